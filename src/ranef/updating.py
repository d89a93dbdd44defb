"""A model changed in part and fitted again: other terms, other data, another criterion.

What is not mentioned stays as it is. Without new data the rows are those that the model used, and
transforms keep what they learned from the data (`scale`, knots, polynomials), so that the new model
can be compared with the old one. All variables of the old model are kept in the new one: what was
taken out can be put back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.design import Design, Variables, fixed_offset, redesign, weights_column
from ranef.design.build import used_context
from ranef.errors import NoRowsError, OptionError, UnknownVariableError
from ranef.fit import fit, fit_design, warn_about
from ranef.formula import ModelFormula, update_formula
from ranef.formula.nodes import Name, Span, walk
from ranef.optimize.control import Control
from ranef.typing import ContrastName, NaAction, OptimizerName, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def update(
    model: LinearMixedModel,
    formula: str | None = None,
    data: Any = None,
    reml: bool | None = None,
    weights: Any = ...,
    offset: Any = ...,
    contrasts: Mapping[str, ContrastName] | None = None,
    *,
    na_action: NaAction = "drop",
    optimizer: OptimizerName = "newton",
    start: Any = None,
    control: Any = None,
    context: Mapping[str, Any] | None = None,
) -> LinearMixedModel:
    """Return a model like this one with some things changed, fitted.

    Use it to add or drop terms, to fit by maximum likelihood, or to fit the same model to other
    data. Without ``data`` the rows are those that the model used: its formula may use any variable
    that the model holds, and values learned from the data (means of `scale`, knots) stay.

    Parameters
    ----------
    model : LinearMixedModel
    formula : str, optional
        A formula in which ``.`` stands for what was there: ``". ~ . + x"`` adds a term,
        ``". ~ . - (Days | Subject) + (1 | Subject)"`` replaces one, ``"log(.) ~ ."`` changes the
        response. What is subtracted must be there.
    data : as in `ranef.fit`, optional
        Other data. The model keeps its variables, not the whole of your table: for a formula with
        new variables pass the table again.
    reml : bool, optional
        The criterion.
    weights, offset : str, array or None, optional
        As in `ranef.fit`; None takes them away. By default those of the model; with ``data`` they
        must have come from a column.
    contrasts : dict, optional
        Instead of those of the model; ``{}`` for the default codings.
    na_action : {"drop", "raise"}
        For ``data``.
    optimizer, start, control
        As in `ranef.fit`.
    context : dict, optional
        Your own functions and constants, besides those that the model has.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    FormulaError
        If the formula cannot be read, or a term is subtracted that is not there.
    UnknownVariableError
        If the formula uses variables that neither the model nor ``data`` has.
    NoRowsError
        If the model was fitted to streamed data and no data are given.
    OptionError, DataError, FitError
        As in `ranef.fit`.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> simple = update(m, ". ~ . - (Days | Subject) + (1 | Subject)")
    >>> str(simple.formula), round(simple.objective, 4)
    ('Reaction ~ 1 + Days + (1 | Subject)', 1786.4651)
    >>> round(update(m, reml=False).objective, 4)
    1751.9393
    """
    check_choice("optimizer", optimizer, OptimizerName)
    check_choice("na_action", na_action, NaAction)
    if reml is not None and not isinstance(reml, bool | np.bool_):
        raise OptionError(f"reml must be True, False or None; got {reml!r}.")
    if control is not None and not isinstance(control, Control):
        raise OptionError(f"control must be a ranef.Control; got {control!r}.")
    old = model.formula
    new = old if formula is None else update_formula(old, formula)
    functions = {**model.design.spec.context, **used_context(context, new)}
    by_reml = bool(model.reml if reml is None else reml)
    if data is not None:
        return fit(
            str(new),
            data,
            reml=by_reml,
            weights=_weights_of_data(model.design) if weights is ... else weights,
            offset=_offset_of_data(model.design) if offset is ... else offset,
            contrasts=_contrasts(model.design, new) if contrasts is None else contrasts,
            na_action=na_action,
            optimizer=optimizer,
            start=start,
            control=control,
            context=functions,
        )
    design = _same_rows(model, new, weights, offset, contrasts, functions)
    fitted = fit_design(design, reml=by_reml, optimizer=optimizer, start=start, control=control)
    warn_about(fitted, stacklevel=4)  # this function, the method, the caller
    return fitted


def _same_rows(
    model: LinearMixedModel,
    formula: ModelFormula,
    weights: Any,
    offset: Any,
    contrasts: Any,
    context: Mapping[str, Any],
) -> Design:
    """Return the design of another model for the rows of this one."""
    design = model.design
    try:
        held = design.variables
    except NoRowsError:
        raise NoRowsError(
            "the model was fitted to streamed data and keeps no rows: pass data= to update it."
        ) from None
    for name in formula.names:
        if name not in held and name not in context:
            raise UnknownVariableError(
                f"the model does not hold {name!r}: pass the data again, data=. It keeps what its "
                f"formula uses ({', '.join(held.columns)}).",
                formula.source,
                _place(formula, name),
            )
    if weights is ...:
        weights = None if design.weights is None else (weights_column(design) or design.weights)
    new = redesign(
        design,
        formula,
        weights=weights,
        offset=_own_offset(design) if offset is ... else offset,
        contrasts=contrasts,
        context=context,
    )
    both = Variables({**held.columns, **new.variables.columns}, held.index)
    return replace(new, variables=both)


def _own_offset(design: Design) -> Any:
    """Return the offset that was given as an argument: a column, values, or None."""
    if design.spec.offset_column is not None or design.offset is None:
        return design.spec.offset_column
    of_terms = fixed_offset(design, design.variables.frame())
    if of_terms is None:
        return design.offset
    rest = design.offset - of_terms
    # offset() terms alone leave rounding errors, or nothing at all
    return rest if (np.abs(rest) > 1e-12 * np.abs(of_terms).max(initial=0.0)).any() else None


def _weights_of_data(design: Design) -> str | None:
    """Return the column that the weights came from; other data have it, too."""
    name = weights_column(design)
    if name is not None:
        return name
    try:
        if design.weights is None:
            return None
    except NoRowsError:  # streamed data with weights, from a file that does not tell their name
        pass
    raise _unknown("weights")


def _offset_of_data(design: Design) -> str | None:
    """Return the column that the argument ``offset`` named."""
    if design.spec.offset_column is not None:
        return str(design.spec.offset_column)
    try:
        own = _own_offset(design)
    except NoRowsError:  # streamed data have no offset but columns and offset() terms
        own = None
    if own is not None:
        raise _unknown("offset")
    return None


def _unknown(what: str) -> OptionError:
    return OptionError(
        f"which column of the new data has the {what} is not known: pass {what}= (a column or "
        f"values), or {what}=None for none."
    )


def _contrasts(design: Design, formula: ModelFormula) -> dict[str, Any]:
    fixed = {factor.label for term in formula.fixed.terms for factor in term.factors}
    return {name: wish for name, wish in design.contrasts.items() if name in fixed}


def _place(formula: ModelFormula, name: str) -> Span | None:
    """Return where the formula names a variable."""
    groups = (variable for term in formula.random for variable in term.group)
    for expression in (*formula.expressions, *groups):
        for node in walk(expression.node):
            if isinstance(node, Name) and node.text == name:
                return node.span
    return None
