"""Methods of a fitted model about making another one of it.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ranef.model.fitted import LinearMixedModel
    from ranef.typing import ContrastName, NaAction, OptimizerName


def update(
    self: LinearMixedModel,
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
    >>> simple = m.update(". ~ . - (Days | Subject) + (1 | Subject)")
    >>> str(simple.formula), round(simple.objective, 4)
    ('Reaction ~ 1 + Days + (1 | Subject)', 1786.4651)
    >>> round(m.update(reml=False).objective, 4)
    1751.9393
    """
    from ranef.updating import update

    return update(
        self,
        formula,
        data,
        reml,
        weights,
        offset,
        contrasts,
        na_action=na_action,
        optimizer=optimizer,
        start=start,
        control=control,
        context=context,
    )
