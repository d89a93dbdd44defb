"""Turns a formula and data into a `Design`.

Order of events, as in R: find the variables; evaluate every expression on all rows; drop the rows
in which something is missing; number the levels that are left; make the columns; check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from ranef.design.checks import check_design, check_grouping, check_names, check_rows
from ranef.design.coding import full_codings
from ranef.design.columns import FactorSource, NumericSource, Product, Source, stack
from ranef.design.evaluate import Evaluator
from ranef.design.frame import Frame, open_frame
from ranef.design.grouping import combine
from ranef.design.newdata import weights_column
from ranef.design.response import check_response
from ranef.design.rows import find_rows, read_numbers
from ranef.design.sources import SourceMaker
from ranef.design.spec import ColumnSpec, TermColumns
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.design.variables import used_variables
from ranef.errors import DataError, OptionError
from ranef.formula import Expression, GroupTerm, ModelFormula, TermSum, parse_formula
from ranef.typing import FloatArray, NaAction, check_choice


def build_design(
    formula: ModelFormula | str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, str] | None = None,
    na_action: NaAction = "drop",
    context: Mapping[str, Any] | None = None,
) -> Design:
    """Make the arrays of a model.

    Use it to see the matrices that a fit works on; fitting calls it for you.

    Parameters
    ----------
    formula : ModelFormula or str
    data : pandas, polars or pyarrow table, or dict of columns
    weights : str or array (n_total,), optional
        Column or values; one positive number for each row of the data. A pandas Series is
        aligned with a pandas frame by its index.
    offset : str or array (n_total,), optional
        Column or values, added to the ``offset()`` terms.
    contrasts : mapping of str to str, optional
        For factors of the fixed part: ``treatment``, ``sum``, ``helmert`` or ``poly``.
    na_action : str
        ``drop`` rows with missing values, or ``raise``.
    context : mapping of str to object, optional
        Functions and constants that the formula may use besides its own.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If the formula cannot be read, or names what does not exist.
    DataError
        If the data cannot be used for it.

    Examples
    --------
    >>> data = {"y": [1.0, 2.5, 3.0, 4.5, 4.0, 6.5], "x": [1, 2, 3, 1, 2, 3], "g": list("aaabbb")}
    >>> design = build_design("y ~ x + (1 | g)", data)
    >>> design.x_names
    ('Intercept', 'x')
    >>> design.terms[0].grouping.levels.tolist()
    ['a', 'b']
    """
    check_choice("na_action", na_action, NaAction)
    _check_context(context)
    frame = open_frame(data)
    if not isinstance(formula, ModelFormula):
        formula = parse_formula(formula, frame.names)
    evaluator = Evaluator(frame, formula.source, _used(context or {}, formula))
    return _build(formula, evaluator, weights, offset, _wanted_contrasts(contrasts), na_action)


def build_prototype(
    formula: ModelFormula,
    frame: Frame,
    *,
    weights: str | None,
    offset: str | None,
    contrasts: Mapping[str, str] | None,
    context: Mapping[str, Any],
    states: dict[str, dict[str, Any]],
) -> Design:
    """Make the arrays of some rows of large data that show every level.

    Nothing is checked that depends on the number of rows.

    Parameters
    ----------
    formula : ModelFormula
    frame : Frame
        Rows in which nothing is missing.
    weights, offset, contrasts, context
        As in `build_design`.
    states : dict of str to dict
        What stateful transforms learned from all rows.

    Returns
    -------
    Design
    """
    evaluator = Evaluator(frame, formula.source, context, states)
    wanted = _wanted_contrasts(contrasts)
    return _build(formula, evaluator, weights, offset, wanted, "drop", check=False)


def used_context(context: Any, formula: ModelFormula) -> dict[str, Any]:
    """Check the caller's functions and constants, and return those that the formula uses."""
    _check_context(context)
    return _used(context or {}, formula)


def rebuild_design(design: Design, formula: ModelFormula) -> Design:
    """Make the arrays of another model for the same rows, from the variables that were kept.

    Use it to leave out or change terms; transforms keep what they learned.

    Parameters
    ----------
    design : Design
    formula : ModelFormula
        Uses no variables but those of the design.

    Returns
    -------
    Design
        With the same response, weights, offset and rows.

    Raises
    ------
    UnknownVariableError
        If the formula uses other variables.
    DataError
        If the formula makes other rows incomplete.
    """
    spec: ColumnSpec = design.spec
    weights = weights_column(design) or design.weights
    new = redesign(design, formula, weights=weights, offset=spec.offset_column)
    return replace(new, offset=design.offset)


def redesign(
    design: Design,
    formula: ModelFormula,
    *,
    weights: Any,
    offset: Any,
    contrasts: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
) -> Design:
    """Make the arrays of another model for the same rows, with weights and offset of its own.

    Parameters
    ----------
    design : Design
    formula : ModelFormula
        Uses no variables but those of the design; the response may be another one.
    weights, offset : str or array (n,), optional
        As in `build_design`; of the used rows.
    contrasts : mapping of str to str, optional
        Those of the design by default, as far as the formula has their factors.
    context : mapping of str to object, optional
        Besides the functions and constants of the design.

    Returns
    -------
    Design

    Raises
    ------
    UnknownVariableError
        If the formula uses other variables.
    DataError
        If the formula makes other rows incomplete.
    """
    spec: ColumnSpec = design.spec
    _check_context(context)
    check_response(design, formula)
    states = {text: dict(state) for text, state in spec.states.items()}
    known = _used({**spec.context, **(context or {})}, formula)
    evaluator = Evaluator(design.variables.frame(), formula.source, known, states)
    if contrasts is None:
        fixed = {factor.label for term in formula.fixed.terms for factor in term.factors}
        contrasts = {name: wish for name, wish in design.contrasts.items() if name in fixed}
    new = _build(formula, evaluator, weights, offset, _wanted_contrasts(contrasts), "drop")
    if len(new.y) != len(design.y):
        raise DataError(
            f"{formula} can use {len(new.y)} of the {len(design.y)} rows: some expression loses "
            "rows; make its columns part of the data."
        )
    # the response may have been replaced after the variables were kept, see `response`
    same = formula.response == design.formula.response
    y = design.y if same else new.y
    return replace(new, y=y, n_total=design.n_total, dropped=design.dropped)


def _build(
    formula: ModelFormula,
    evaluator: Evaluator,
    weights: Any,
    offset: Any,
    contrasts: dict[str, Any],
    na_action: NaAction,
    *,
    check: bool = True,
) -> Design:
    frame = evaluator.frame
    check_rows(frame)
    weight_numbers = read_numbers("weights", weights, frame)
    offset_numbers = read_numbers("offset", offset, frame)
    rows = find_rows(formula, evaluator, (weight_numbers, offset_numbers), na_action)
    maker = SourceMaker(evaluator, rows, contrasts)
    maker.check_contrasts(formula)
    y = maker.response(formula.response)
    X, fixed = _fixed_part(formula, maker, weights, offset)
    terms = _random_part(formula, maker, X, fixed.names)
    check_names([fixed, *(term.spec for term in terms)])
    design = Design(
        formula=formula,
        response=formula.response.label,
        y=y,
        X=X,
        x_names=fixed.names,
        terms=terms,
        weights=rows.take(weight_numbers),
        offset=_total_offset(formula, maker, rows.take(offset_numbers)),
        index=rows.index,
        n_total=frame.size,
        dropped=rows.dropped,
        spec=fixed,
        variables=used_variables(formula, frame, rows, maker.grouped, y, X, fixed.names),
        contrasts=contrasts,
    )
    if check:
        check_design(design)
    return design


def _check_context(context: Any) -> None:
    if context is not None and not isinstance(context, Mapping):
        raise OptionError(
            "context must be a dict from names to functions and constants, such as "
            f"{{'half': half}}; got {context!r}."
        )


def _used(context: Mapping[str, Any], formula: ModelFormula) -> dict[str, Any]:
    """Return what the formula uses of the context: it is kept for prediction, and pickled."""
    mentioned = {*formula.names, *formula.functions}
    return {name: value for name, value in context.items() if name in mentioned}


def _wanted_contrasts(contrasts: Any) -> dict[str, Any]:
    if contrasts is None:
        return {}
    if not isinstance(contrasts, Mapping):
        raise OptionError(
            "contrasts must be a dict from factors to codings, such as {'A': 'sum'}; "
            f"got {contrasts!r}."
        )
    return dict(contrasts)


def _fixed_part(
    formula: ModelFormula, maker: SourceMaker, weights: Any, offset: Any
) -> tuple[FloatArray | sparse.csc_array, ColumnSpec]:
    products, spec = _products(formula.fixed, maker, formula)
    spec = replace(
        spec,
        offsets=formula.offsets,
        offset_column=offset if isinstance(offset, str) else None,
        weights_column=weights if isinstance(weights, str) else None,
    )
    return stack(products, maker.rows.size, formula.fixed.intercept), spec


def _products(
    total: TermSum,
    maker: SourceMaker,
    formula: ModelFormula,
    *,
    fixed: bool = True,
) -> tuple[list[Product], ColumnSpec]:
    """Return the columns of a sum of terms, and how to make them again."""
    sources: dict[str, Source] = {}
    for term in total.terms:
        for factor in term.factors:
            sources.setdefault(factor.text, maker.source(factor, fixed=fixed))
    factors = [text for text, source in sources.items() if isinstance(source, FactorSource)]
    products: list[Product] = []
    columns: list[TermColumns] = []
    names = ["Intercept"] if total.intercept else []
    codings = full_codings(total.terms, factors, total.intercept)
    for term, full in zip(total.terms, codings, strict=True):
        product = Product(tuple(sources[factor.text] for factor in term.factors), full)
        start = len(names)
        names += product.names
        products.append(product)
        columns.append(TermColumns(term, full, start, len(names)))
    spec = ColumnSpec(
        formula.source,
        total,
        tuple(columns),
        tuple(names),
        {text: s.suffixes for text, s in sources.items() if isinstance(s, NumericSource)},
        {text: s.coding for text, s in sources.items() if isinstance(s, FactorSource)},
        maker.evaluator.states,
        maker.evaluator.context,
    )
    return products, spec


def _random_part(
    formula: ModelFormula,
    maker: SourceMaker,
    X: FloatArray | sparse.csc_array,
    x_names: tuple[str, ...],
) -> tuple[RandomTerm, ...]:
    """Make the random terms; columns that X has already are views of X."""
    shared: dict[str, FloatArray] = {}
    if isinstance(X, np.ndarray):
        shared = {name: X[:, position] for position, name in enumerate(x_names)}
    groupings: dict[str, Grouping] = {}
    terms = []
    for term in formula.random:
        products, spec = _products(term.effects, maker, formula, fixed=False)
        columns: list[FloatArray | None] = [None] if term.effects.intercept else []
        for product in products:
            names = product.names
            if all(name in shared for name in names):
                columns += [shared[name] for name in names]
                continue
            for name, values in zip(names, product.columns(), strict=True):
                if name not in shared:
                    shared[name] = np.array(values, dtype=np.float64)
                columns.append(shared[name])
        for column in columns:
            if column is not None:
                column.flags.writeable = False
        grouping = groupings.get(term.group_name)
        if grouping is None:
            grouping = groupings[term.group_name] = _grouping(term, maker)
        check_grouping(grouping, term)
        terms.append(
            RandomTerm(term.label, grouping, spec.names, tuple(columns), term.correlated, spec)
        )
    return tuple(terms)


def _grouping(term: GroupTerm, maker: SourceMaker) -> Grouping:
    parts = [maker.groups(variable.names[0]) for variable in term.group]
    codes, levels = parts[0] if len(parts) == 1 else combine(parts)
    variables = tuple(variable.names[0] for variable in term.group)
    return Grouping(term.group_name, variables, codes, levels)


def _total_offset(
    formula: ModelFormula, maker: SourceMaker, argument: FloatArray | None
) -> FloatArray | None:
    total = argument
    for expression in formula.offsets:
        values = _offset_values(expression, maker)
        total = values if total is None else total + values
    return total


def _offset_values(expression: Expression, maker: SourceMaker) -> FloatArray:
    source = maker.source(expression, fixed=True)
    if isinstance(source, FactorSource) or len(source.columns) != 1:
        raise DataError(f"the offset {expression.label!r} is not a column of numbers.")
    return np.array(source.columns[0], dtype=np.float64)
