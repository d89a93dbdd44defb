"""Which rows of the data are used, and why the others are not.

A row is dropped if any variable of the model is missing in it: response, predictors, groups,
weights or offset. Infinite values are an error, not a missing value: they come from mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.evaluate import Evaluator
from ranef.design.frame import Frame
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError, UnknownVariableError
from ranef.formula import Expression, ModelFormula
from ranef.formula.nodes import Name
from ranef.typing import BoolArray, FloatArray, IntArray, NaAction


@dataclass(frozen=True, slots=True, eq=False)
class UsedRows:
    """The rows that enter the model.

    Attributes
    ----------
    keep : int array (n,) or None
        Positions in the data; None for all rows.
    size : int
        Number of used rows, n.
    index : pandas.Index (n,)
        Labels of the used rows.
    dropped : dict of str to int
        Rows with a missing value, by variable.
    """

    keep: IntArray | None
    size: int
    index: pd.Index
    dropped: dict[str, int]

    def take(self, numbers: Numbers | None) -> FloatArray | None:
        """Return weights or offsets on the used rows."""
        if numbers is None:
            return None
        return numbers.values if self.keep is None else numbers.values[self.keep]

    def subset(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the used rows of an array; the array itself if all are used."""
        return values if self.keep is None else values[self.keep]

    def first(self, wrong: BoolArray) -> str:
        """Return the labels of the first rows where ``wrong`` (n,) holds."""
        labels = [str(label) for label in self.index[np.flatnonzero(wrong)[:3]]]
        more = ", ..." if np.count_nonzero(wrong) > len(labels) else ""
        word = "row" if len(labels) == 1 and not more else "rows"
        return f"{word} {', '.join(labels)}{more}"


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Weights or offsets as given: what to call them, and their values (n_total,)."""

    name: str
    values: FloatArray


def read_numbers(role: str, given: Any, frame: Frame) -> Numbers | None:
    """Read the argument ``weights`` or ``offset``.

    Parameters
    ----------
    role : str
        The name of the argument.
    given : str, array-like or None
        A column of the data, or one number per row. A pandas Series goes by its labels where the
        data have labels, everything else by position.
    frame : Frame

    Returns
    -------
    Numbers or None
        A copy; NaN where missing.

    Raises
    ------
    DataError
        If these are not numbers, or not one per row.
    UnknownVariableError
        If there is no such column.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given not in frame:
            raise UnknownVariableError.from_missing(given, frame.names)
        column = frame.column(given)
        if column.kind != "numeric":
            raise DataError(f"the {role} {given!r} must be a column of numbers.")
        values = column.values.astype(np.float64)
        if column.missing is not None:
            values[column.missing] = np.nan
        return Numbers(given, values)
    if isinstance(given, pd.Series) and frame.labelled:
        given = _aligned(role, given, frame.index)
    try:
        values = np.array(pd.to_numeric(pd.Series(given)).to_numpy(np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        raise DataError(
            f"{role} must be the name of a column or one number per row; "
            f"got {type(given).__name__}."
        ) from None
    if values.shape != (frame.size,):
        raise DataError(f"{role} has {len(values)} values; the data have {frame.size} rows.")
    return Numbers(role, values)


def _aligned(role: str, given: pd.Series, index: pd.Index) -> pd.Series:
    """Return a Series in the order of the data's rows."""
    if len(given) != len(index) or given.index.equals(index):  # the length is checked by the caller
        return given
    if given.index.is_unique and index.is_unique and index.isin(given.index).all():
        return given.reindex(index)
    raise DataError(
        f"{role} is a pandas Series whose index differs from that of the data; give it the same "
        "labels, or use to_numpy() to go by position."
    )


def find_rows(
    formula: ModelFormula,
    evaluator: Evaluator,
    numbers: Sequence[Numbers | None],
    na_action: NaAction,
) -> UsedRows:
    """Find the rows without missing values.

    Raises
    ------
    FormulaError
        If the formula names unknown variables or functions.
    DataError
        If values are infinite, no row is complete, or rows would be dropped and may not be.
    """
    rows, masks = usable_rows(formula, evaluator, numbers)
    _check_complete(rows, masks, evaluator.frame, na_action)
    return rows


def usable_rows(
    formula: ModelFormula, evaluator: Evaluator, numbers: Sequence[Numbers | None]
) -> tuple[UsedRows, dict[str, BoolArray]]:
    """Return the rows without missing values, perhaps none, and what is missing by variable.

    Raises
    ------
    FormulaError
        If the formula names unknown variables or functions.
    DataError
        If values are infinite.
    """
    frame = evaluator.frame
    expressions = formula.expressions
    for expression in expressions:
        evaluator.check(expression)
    _check_groups(formula, evaluator)
    masks: dict[str, BoolArray] = {}
    names = dict.fromkeys(n for e in expressions for n in evaluator.columns_of(e))
    groups = (name for term in formula.random for v in term.group for name in v.names)
    for name in dict.fromkeys((*names, *groups)):
        missing = frame.column(name).missing
        if missing is not None:
            masks[name] = missing
    for given in numbers:
        if given is not None and np.isnan(given.values).any():
            masks[given.name] = masks.get(given.name, False) | np.isnan(given.values)
    usable = _used_rows(frame, masks)
    _check_finite(frame, names, numbers, usable)
    for expression in expressions:
        if _may_lose_rows(expression):
            lost = _missing_in(evaluator.evaluate(expression))
            for name in evaluator.columns_of(expression):
                lost &= ~masks.get(name, np.zeros(frame.size, dtype=bool))
            if lost.any():
                masks[expression.label] = lost
    return _used_rows(frame, masks), masks


def _check_groups(formula: ModelFormula, evaluator: Evaluator) -> None:
    frame = evaluator.frame
    for term in formula.random:
        for variable in term.group:
            name = variable.names[0]
            if name not in frame:
                raise UnknownVariableError.from_missing(
                    name, frame.names, formula.source, variable.span
                )


def _used_rows(frame: Frame, masks: dict[str, BoolArray]) -> UsedRows:
    if not masks:
        return UsedRows(None, frame.size, frame.index, {})
    wrong = np.zeros(frame.size, dtype=bool)
    for mask in masks.values():
        wrong |= mask
    keep = np.flatnonzero(~wrong)
    dropped = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    return UsedRows(keep, len(keep), frame.index[keep], dropped)


def _check_finite(
    frame: Frame, names: Iterable[str], numbers: Sequence[Numbers | None], rows: UsedRows
) -> None:
    given = [(number.name, number.values) for number in numbers if number is not None]
    columns = [(name, frame.column(name).values) for name in names]
    for name, values in (*columns, *given):
        if values.dtype.kind != "f":
            continue
        infinite = np.isinf(rows.subset(values))
        if infinite.any():
            raise DataError(
                f"{name!r} is infinite in {rows.first(infinite)}; correct these values, or make "
                "them missing to drop the rows."
            )


def _may_lose_rows(expression: Expression) -> bool:
    """Tell whether the expression can be missing where its variables are not."""
    if isinstance(expression.node, Name):
        return False
    return not {"lag", "factor", "ordered", "C"}.isdisjoint(expression.functions)


def _missing_in(value: Any) -> BoolArray:
    if isinstance(value, FactorValue):
        return value.codes < 0
    columns = value.columns if isinstance(value, Matrix) else (np.asarray(value),)
    missing = np.zeros(len(columns[0]), dtype=bool) if columns[0].ndim else np.zeros(1, dtype=bool)
    for column in columns:
        if column.dtype.kind == "f":
            missing |= np.isnan(column)
    return missing


def _check_complete(
    rows: UsedRows, masks: dict[str, BoolArray], frame: Frame, na_action: NaAction
) -> None:
    if na_action == "raise" and masks:
        counts = ", ".join(f"{name!r} in {count}" for name, count in rows.dropped.items())
        raise DataError(
            f"there are missing values (rows: {counts}); na_action='drop' leaves these rows out."
        )
    if rows.size == 0:
        empty = [repr(name) for name, mask in masks.items() if mask.all()]
        reason = (
            f"{', '.join(empty)} {'is' if len(empty) == 1 else 'are'} missing in every row"
            if empty
            else "every row has a missing value; rows missing: "
            + ", ".join(f"{name!r} {count}" for name, count in rows.dropped.items())
        )
        raise DataError(f"no complete row is left of {frame.size}: {reason}.")
