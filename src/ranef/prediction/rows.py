"""What is to be predicted: rows of X, and for every grouping factor a level and a row of Z.

The rows of the fit and those of new data end in the same form, and nothing after this module knows
where they come from. Missing values are NaN in X or z and stay in their row by arithmetic alone.
A level that is not known has code -1: its effects are predicted by their mean, zero, and have the
whole variance of a level that was drawn anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.design.newdata import (
    GroupCodes,
    fixed_columns,
    fixed_offset,
    group_codes,
    random_columns,
    row_index,
)
from ranef.design.types import Grouping
from ranef.errors import DataError, UnknownVariableError
from ranef.estimation import Problem, TermSlot
from ranef.inference.estimability import alias_matrix, estimable_rows
from ranef.model import LinearMixedModel
from ranef.typing import BoolArray, FloatArray, IntArray

MISSING = -2
# Numbers that one block of rows may hold: memory stays bounded whatever the number of rows.
BLOCK = 1 << 22
SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class GroupRows:
    """One grouping factor's part of the rows.

    Attributes
    ----------
    factor : int
        In the core's order.
    codes : int array (m,)
        The level; -1 where it is not known.
    z : float64 array (m, k)
        Random-effects columns in the core's coordinates; NaN where the row cannot be predicted.
    """

    factor: int
    codes: IntArray
    z: FloatArray

    @property
    def known(self) -> BoolArray:
        """Rows whose level took part in the fit, (m,)."""
        return self.codes >= 0

    def known_z(self, rows: slice) -> tuple[IntArray, FloatArray]:
        """Return codes (c,) and columns (k, c) of a block of rows; zeros where unknown."""
        codes, z = self.codes[rows], self.z[rows]
        # NaN must stay NaN, so that it reaches the prediction
        at_hand = (codes >= 0) | np.isnan(z).any(axis=1)
        return np.maximum(codes, 0), np.where(at_hand[:, None], z, 0.0).T

    def unknown_z(self, rows: slice) -> FloatArray:
        """Return the columns (c, k) of a block of rows; zeros where the level is known."""
        return np.where(self.codes[rows, None] < 0, self.z[rows], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The m rows to predict.

    Attributes
    ----------
    index : pandas.Index (m,)
    X : float64 array or csr_array (m, p)
        Columns of the kept coefficients.
    determined : bool array (m,)
        Rows without missing fixed-effects columns whose x'beta is the same for all solutions.
    inestimable : int
        How many rows the data of the fit do not determine.
    offset : float64 array (m,) or None
    groups : tuple of GroupRows
        Grouping factors whose effects are predicted, or count as variance.
    """

    index: pd.Index
    X: FloatArray | sparse.csr_array
    determined: BoolArray
    inestimable: int
    offset: FloatArray | None
    groups: tuple[GroupRows, ...]

    @property
    def size(self) -> int:
        """Number of rows, m."""
        return int(self.X.shape[0])

    def blocks(self, width: int) -> list[slice]:
        """Return slices of rows such that ``width`` numbers per row fit into `BLOCK`."""
        step = max(1, BLOCK // max(1, width))
        return [slice(start, start + step) for start in range(0, self.size, step)]

    def fixed(self, rows: slice) -> FloatArray:
        """Return the rows of X in full, (c, p)."""
        return dense(self.X, rows)


def dense(X: FloatArray | sparse.csr_array, rows: slice) -> FloatArray:
    """Return some rows of a matrix in full."""
    if isinstance(X, np.ndarray):
        return X[rows]
    full: FloatArray = X[rows].toarray()
    return full


def fitted_rows(model: LinearMixedModel, asked: Collection[int], rest: bool) -> Rows:
    """Return the rows of the fit.

    Parameters
    ----------
    model : LinearMixedModel
    asked : collection of int
        Grouping factors (core's order) whose effects are predicted.
    rest : bool
        Let all other factors count as levels that nobody knows.
    """
    design, problem = model.design, model.problem
    columns = problem.basis.columns
    X = columns if isinstance(columns, np.ndarray) else sparse.csr_array(columns)
    n = len(design.y)
    groups = []
    for factor, group in enumerate(problem.groups):
        if factor in asked or rest:
            z = _stack(group.columns, n) @ group.whitening
            codes = group.codes if factor in asked else np.full(n, -1, dtype=np.int32)
            groups.append(GroupRows(factor, codes, z))
    return Rows(design.index, X, np.ones(n, dtype=bool), 0, design.offset, tuple(groups))


def new_rows(
    model: LinearMixedModel, newdata: Any, asked: Collection[int], rest: bool, new_levels: str
) -> Rows:
    """Return the rows of new data; other parameters as in `fitted_rows`.

    Parameters
    ----------
    new_levels : {"error", "population", "nan"}

    Raises
    ------
    DataError
        For levels that are not known, if ``new_levels`` is ``error``, and of fixed factors.
    UnknownVariableError
        If a column that is needed is not there.
    """
    problem, index = model.problem, row_index(newdata)
    X = fixed_columns(model.design, newdata)
    groups = []
    for factor, group in enumerate(problem.groups):
        if factor not in asked and not rest:
            continue
        slots = [slot for slot in problem.slots if slot.factor == factor]
        z = _new_columns(slots, newdata, len(index)) @ group.whitening
        codes: IntArray = np.full(len(index), -1, dtype=np.int32)
        if factor in asked:
            found = _group_codes(slots[0].term.grouping, newdata, len(index), new_levels)
            codes, hopeless = _known_codes(group.name, found, new_levels)
            z[hopeless] = np.nan
        groups.append(GroupRows(factor, codes, z))
    by_rows = X if isinstance(X, np.ndarray) else sparse.csr_array(X)
    missing, estimable = _checked(model, by_rows)
    return Rows(
        index,
        by_rows[:, problem.basis.kept],
        estimable & ~missing,
        int(np.count_nonzero(~estimable & ~missing)),
        fixed_offset(model.design, newdata),
        tuple(groups),
    )


def factor_names(problem: Problem) -> dict[str, int]:
    """Return the grouping factors by name, in the order of the terms."""
    return {slot.term.grouping.name: slot.factor for slot in problem.slots}


def _stack(columns: tuple[FloatArray | None, ...], m: int) -> FloatArray:
    out = np.ones((m, len(columns)))
    for a, column in enumerate(columns):
        if column is not None:
            out[:, a] = column
    return out


def _new_columns(slots: list[TermSlot], newdata: Any, m: int) -> FloatArray:
    """Return the columns of all terms of a grouping factor, (m, k), in the user's units."""
    z = np.empty((m, sum(slot.stop - slot.start for slot in slots)))
    for slot in slots:
        z[:, slot.start : slot.stop] = _stack(random_columns(slot.term, newdata), m)
    return z


def _group_codes(grouping: Grouping, newdata: Any, size: int, new_levels: str) -> GroupCodes:
    """Return the levels of the rows; without a column for them, ``population`` knows none."""
    try:
        return group_codes(grouping, newdata)
    except UnknownVariableError as error:
        if new_levels == "population":
            return GroupCodes(np.full(size, -1, dtype=np.int32), np.full(size, None))
        raise UnknownVariableError(
            f"{error} Without groups, random='none' predicts the mean of the population, and "
            "new_levels='population' a group that is not known."
        ) from None


def _known_codes(name: str, found: GroupCodes, new_levels: str) -> tuple[IntArray, BoolArray]:
    """Return codes with -1 for unknown levels, and which rows cannot be predicted."""
    codes = found.codes
    new, missing = codes == -1, codes == MISSING
    if new_levels == "error" and new.any():
        labels = pd.unique(pd.Series(found.labels[new], dtype=object))
        shown = ", ".join(repr(_plain(label)) for label in labels[:SHOWN])
        more = f", ... ({len(labels)} levels)" if len(labels) > SHOWN else ""
        raise DataError(
            f"the new data have levels of {name!r} that the model was not fitted to: {shown}{more}."
            " Use new_levels='population' to predict them with random effects of zero, "
            "new_levels='nan' to leave them out, or random= to say which groups to use."
        )
    hopeless = {
        "error": missing,  # a missing group is no new level: its row is missing too
        "population": np.zeros(len(codes), dtype=bool),
        "nan": new | missing,
    }[new_levels]
    return np.maximum(codes, -1), hopeless


def _plain(label: Any) -> Any:
    """Return numpy's numbers as Python's, which print as numbers."""
    return label.item() if isinstance(label, np.generic) else label


def _checked(
    model: LinearMixedModel, X: FloatArray | sparse.csr_array
) -> tuple[BoolArray, BoolArray]:
    """Return which rows of X (all columns) have missing values, and which are estimable."""
    m = X.shape[0]
    missing, estimable = np.zeros(m, dtype=bool), np.ones(m, dtype=bool)
    aliased, _ = alias_matrix(model)
    step = max(1, BLOCK // max(1, X.shape[1]))
    for start in range(0, m, step):
        rows = slice(start, start + step)
        L = dense(X, rows)
        missing[rows] = np.isnan(L).any(axis=1)
        if len(aliased):
            estimable[rows] = estimable_rows(model, L)[1]
    return missing, estimable
