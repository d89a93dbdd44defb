"""The same columns from new data: prediction never learns anything from them.

Levels, contrasts, knots, means and polynomial coefficients are those of the training data. A level
that a fixed factor never had is an error. A row with a missing value is NaN throughout; rows are
never dropped and keep their order, so results align with `row_index`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from ranef.design.column import Column
from ranef.design.columns import FactorSource, NumericSource, Product, Source, stack
from ranef.design.contrasts import FactorCoding
from ranef.design.evaluate import Evaluator
from ranef.design.frame import Frame, open_frame
from ranef.design.grouping import combined_labels
from ranef.design.spec import ColumnSpec
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError, NoRowsError, UnknownVariableError
from ranef.formula import Expression
from ranef.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class GroupCodes:
    """Which known level the rows of new data belong to.

    Attributes
    ----------
    codes : int32 array (m,)
        Position in the levels of the training data; -1 for a level that is not among them, -2
        where the group is missing.
    labels : object array (m,)
        The level of every row, as in ``Grouping.levels``; None where missing.
    """

    codes: IntArray
    labels: NDArray[Any]


def row_index(newdata: Any) -> pd.Index:
    """Return the row labels of new data; a RangeIndex where there are none."""
    return open_frame(newdata).index


def fixed_columns(design: Design, newdata: Any) -> FloatArray | sparse.csc_array:
    """Make the columns of X from new data.

    Parameters
    ----------
    design : Design
    newdata : data frame or dict of columns, m rows

    Returns
    -------
    float64 array (m, p) or csc_array (m, p)
        Rows with a missing value are NaN.

    Raises
    ------
    UnknownVariableError
        If a variable is not there.
    DataError
        If a factor has a level that the training data did not have.

    Examples
    --------
    >>> from ranef.design import build_design
    >>> data = {"y": [1.0, 2.5, 3.0, 4.5, 4.0, 6.5], "x": [1, 2, 3, 1, 2, 3], "g": list("aaabbb")}
    >>> design = build_design("y ~ scale(x) + (1 | g)", data)
    >>> fixed_columns(design, {"x": [2, None]})
    array([[ 1.,  0.],
           [nan, nan]])
    """
    spec: ColumnSpec = design.spec
    frame = open_frame(newdata)
    products = _products(spec, frame)
    X = stack(products, frame.size, spec.intercept)
    missing = _missing_rows(spec, frame)
    if missing is None:
        return X
    if isinstance(X, np.ndarray):
        X[missing] = np.nan
        return X
    return _with_nan_rows(X, missing)


def fixed_offset(design: Design, newdata: Any) -> FloatArray | None:
    """Make the offset from new data.

    The sum of the ``offset()`` terms and, if the argument ``offset`` named a column, of that
    column. An offset given as an array cannot be known for new data and counts as zero.

    Returns
    -------
    float64 array (m,) or None
        None if the model has no such offset.
    """
    spec: ColumnSpec = design.spec
    frame = open_frame(newdata)
    total: FloatArray | None = None
    if spec.offset_column is not None:
        if spec.offset_column not in frame:
            raise UnknownVariableError.from_missing(spec.offset_column, frame.names)
        total = _floats(frame.column(spec.offset_column))
    evaluator = _evaluator(spec, frame)
    for expression in spec.offsets:
        evaluator.check(expression)
        source = _source(expression, evaluator, spec)
        values = np.array(source.column(0, False), dtype=np.float64)
        for name in evaluator.columns_of(expression):
            missing = frame.column(name).missing
            if missing is not None:
                values[missing] = np.nan
        total = values if total is None else total + values
    return total


def offset_is_unknown(design: Design) -> bool:
    """Tell whether a part of the offset was given as an array, so that new data lack it."""
    try:
        offset = design.offset
    except NoRowsError:  # streamed data have no offset but columns and offset() terms
        return False
    if offset is None:
        return False
    known = fixed_offset(design, design.variables.frame())
    return known is None or not np.allclose(known, offset, rtol=1e-9, atol=0.0)


def weights_column(design: Design) -> str | None:
    """Return the name of the column that the prior weights came from, if they came from one."""
    spec: ColumnSpec = design.spec
    return spec.weights_column


def new_weights(design: Design, newdata: Any) -> FloatArray | None:
    """Return the prior weights of new data, from the column that those of the fit came from.

    Returns
    -------
    float64 array (m,) or None
        NaN where missing. None if the model has no weights, or they came from no column, or the new
        data have no such column: then every row has weight 1.

    Raises
    ------
    DataError
        If weights are not positive numbers.
    """
    name, frame = weights_column(design), open_frame(newdata)
    if name is None or name not in frame:
        return None
    column = frame.column(name)
    if column.kind != "numeric":
        raise DataError(f"the weights {name!r} must be a column of numbers.")
    weights = column.values.astype(np.float64)
    if column.missing is not None:
        weights[column.missing] = np.nan
    if (weights <= 0.0).any() or np.isinf(weights).any():
        raise DataError(f"the weights {name!r} must be positive numbers.")
    return weights


def random_columns(term: RandomTerm, newdata: Any) -> tuple[FloatArray | None, ...]:
    """Make the columns of a random term from new data.

    Returns
    -------
    tuple (k,) of float64 array (m,) or None
        As `RandomTerm.columns`: None stands for ones. Rows with a missing value are NaN.

    Raises
    ------
    UnknownVariableError
        If a variable is not there.
    DataError
        If a factor has a level that the training data did not have.
    """
    spec: ColumnSpec = term.spec
    frame = open_frame(newdata)
    missing = _missing_rows(spec, frame)
    columns: list[FloatArray | None] = [None] if spec.intercept else []
    for product in _products(spec, frame):
        for column in product.columns():
            values = np.array(column, dtype=np.float64)
            if missing is not None:
                values[missing] = np.nan
            columns.append(values)
    return tuple(columns)


def group_codes(grouping: Grouping, newdata: Any) -> GroupCodes:
    """Find the groups of new data among those of the training data.

    Raises
    ------
    UnknownVariableError
        If a grouping variable is not there.
    """
    frame = open_frame(newdata)
    for name in grouping.variables:
        if name not in frame:
            raise UnknownVariableError.from_missing(name, frame.names)
    parts = [_codes_and_levels(frame.column(name)) for name in grouping.variables]
    if len(parts) > 1:
        labels = combined_labels(parts)
        codes = grouping.levels.get_indexer(pd.Index(labels, dtype=object))
    else:
        own, levels = parts[0]
        table = np.append(_positions(grouping.levels, levels), -1)
        codes = table[own]
        labels = np.array([*levels, None], dtype=object)[own]
    missing = np.zeros(frame.size, dtype=bool)
    for own, _ in parts:
        missing |= own < 0
    return GroupCodes(np.where(missing, -2, codes).astype(np.int32), labels)


def _evaluator(spec: ColumnSpec, frame: Frame) -> Evaluator:
    states = {text: dict(state) for text, state in spec.states.items()}
    return Evaluator(frame, spec.source, spec.context, states)


def _products(spec: ColumnSpec, frame: Frame) -> list[Product]:
    return products_of(spec, _evaluator(spec, frame))


def products_of(spec: ColumnSpec, evaluator: Evaluator) -> list[Product]:
    """Return the terms of a sum on the frame of an evaluator that knows the states of the fit."""
    sources: dict[str, Source] = {}
    for block in spec.terms:
        for factor in block.term.factors:
            if factor.text not in sources:
                evaluator.check(factor)
                sources[factor.text] = _source(factor, evaluator, spec)
    return [
        Product(tuple(sources[factor.text] for factor in block.term.factors), block.full)
        for block in spec.terms
    ]


def _source(expression: Expression, evaluator: Evaluator, spec: ColumnSpec) -> Source:
    value = evaluator.evaluate(expression)
    coding = spec.codings.get(expression.text)
    if coding is not None:
        codes = _known_codes(expression, _as_factor(value), coding)
        return FactorSource(expression.label, codes, coding)
    if isinstance(value, FactorValue):
        raise DataError(
            f"{expression.label!r} was numeric when the model was fitted; the new data have "
            f"{'text' if value.text else 'a factor'}."
        )
    if isinstance(value, Matrix):
        columns: tuple[NDArray[Any], ...] = value.columns
    elif isinstance(value, np.ndarray):
        columns = (value,)
    else:
        columns = (np.full(evaluator.frame.size, value, dtype=np.float64),)
    return NumericSource(
        expression.label, columns, spec.suffixes.get(expression.text, ("",) * len(columns))
    )


def _as_factor(value: Any) -> FactorValue:
    if isinstance(value, FactorValue):
        return value
    codes, levels = pd.factorize(np.asarray(value), sort=True)
    return FactorValue(codes, pd.Index(levels))


def _known_codes(expression: Expression, value: FactorValue, coding: FactorCoding) -> IntArray:
    """Return the codes in terms of the training levels, or say which level is new."""
    table = np.append(_positions(coding.levels, value.levels), -1)
    codes: IntArray = table[value.codes]
    unknown = np.unique(value.codes[(codes < 0) & (value.codes >= 0)])
    if len(unknown):
        shown = ", ".join(repr(str(level)) for level in value.levels[unknown][:5])
        known = ", ".join(repr(str(level)) for level in coding.levels[:20])
        raise DataError(
            f"{expression.label!r} has the level {shown}, which it did not have when the model "
            f"was fitted; it had {known}{', ...' if len(coding.levels) > 20 else ''}."
        )
    return codes


def _positions(known: pd.Index, levels: pd.Index) -> IntArray:
    """Return where ``levels`` stand among the known ones; -1 if nowhere."""
    found: IntArray = known.astype(object).get_indexer(levels.astype(object))
    return found


def _codes_and_levels(column: Column) -> tuple[IntArray, pd.Index]:
    if column.levels is not None:
        return column.values, column.levels
    codes, levels = pd.factorize(column.values, sort=True)
    if column.missing is not None:
        codes = np.where(column.missing, -1, codes)
    return codes, pd.Index(levels)


def _missing_rows(spec: ColumnSpec, frame: Frame) -> BoolArray | None:
    masks = [frame.column(name).missing for name in spec.sum.names if name in frame]
    found = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(found) if found else None


def _floats(column: Column) -> FloatArray:
    if column.kind not in ("numeric", "boolean"):
        raise DataError(f"the offset {column.name!r} is not a column of numbers.")
    values = column.values.astype(np.float64)
    if column.missing is not None:
        values[column.missing] = np.nan
    return values


def _with_nan_rows(X: sparse.csc_array, missing: BoolArray) -> sparse.csc_array:
    """Put NaN into the first column of these rows; any product with them is then NaN."""
    rows = np.flatnonzero(missing)
    marks = sparse.csc_array(
        (np.full(len(rows), np.nan), (rows, np.zeros(len(rows), dtype=np.intp))), shape=X.shape
    )
    return sparse.csc_array(X + marks)
