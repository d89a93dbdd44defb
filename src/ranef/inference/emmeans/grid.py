"""Linear functions of the fixed effects over combinations of variables, and their averages.

A grid has one row per combination: which level of every variable, the row of the model matrix,
the offset, and how many observations there are. Averaging over variables averages rows; nothing
is ever held at a reference level. Averages of averages need no other code, so a grid that has
been averaged is a grid again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from ranef.design import fixed_columns
from ranef.errors import DataError, OptionError
from ranef.inference.emmeans.axes import Axis, level_texts
from ranef.inference.emmeans.population import mean_offset, population
from ranef.inference.emmeans.specs import OVERALL
from ranef.typing import FloatArray, IntArray, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Weighting: TypeAlias = Literal["equal", "proportional", "outer", "cells", "flat"]

# Elements of the model matrix of a grid: more than this would take minutes and gigabytes.
LARGEST = 50_000_000
# A sum this much smaller than its terms is what rounding left of zero.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Linear functions over combinations of levels. m rows, v variables, P columns of X.

    Attributes
    ----------
    names : tuple of str (v,)
    levels : tuple of pandas.Index (v,)
    codes : int array (m, v)
        Positions in the levels.
    L : float64 array (m, P)
        NaN where an average has no weights.
    offset : float64 array (m,)
    counts : float64 array (m,)
        Observations, those of all values of numbers taken together.
    """

    names: tuple[str, ...]
    levels: tuple[pd.Index, ...]
    codes: IntArray
    L: FloatArray
    offset: FloatArray
    counts: FloatArray

    def sizes(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return how many levels these variables have."""
        return tuple(len(self.levels[self.names.index(name)]) for name in names)

    def averaged(self, keep: Sequence[str]) -> tuple[str, ...]:
        """Return the variables with several levels that are not kept."""
        sizes = zip(self.names, self.sizes(self.names), strict=True)
        return tuple(name for name, size in sizes if size > 1 and name not in keep)

    def cells(self, names: Sequence[str]) -> IntArray:
        """Return for every row the number of its combination of these variables, (m,).

        The first variable varies fastest.
        """
        cells = np.zeros(len(self.codes), dtype=np.int64)
        stride = 1
        for name in names:
            at = self.names.index(name)
            cells += stride * self.codes[:, at]
            stride *= len(self.levels[at])
        return cells

    def rows(self, selected: Any) -> Grid:
        """Return some of the rows."""
        return replace(
            self,
            codes=self.codes[selected],
            L=self.L[selected],
            offset=self.offset[selected],
            counts=self.counts[selected],
        )

    def labels(self) -> pd.DataFrame:
        """Return the levels of every row, one column per variable."""
        columns = {
            name: levels.take(self.codes[:, i])
            for i, (name, levels) in enumerate(zip(self.names, self.levels, strict=True))
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.codes)))

    def margin(self, keep: Sequence[str], weights: Weighting | ArrayLike = "equal") -> Grid:
        """Return averages for all combinations of some variables, over the others.

        Parameters
        ----------
        keep : sequence of str
            In the order wanted.
        weights : str or array
            See `average_weights`.
        """
        cells = self.cells(keep)
        weight = average_weights(self, keep, weights)
        unique, back = np.unique(cells, return_inverse=True)
        total = np.bincount(back, weight, len(unique))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = weight / total[back]
        shape = (len(unique), len(cells))
        average = sparse.csr_array((share, (back, np.arange(len(cells)))), shape=shape)
        average.eliminate_zeros()  # a row without weight may be NaN
        return Grid(
            tuple(keep),
            tuple(self.levels[self.names.index(name)] for name in keep),
            _codes_of(unique, self.sizes(keep)),
            without_noise(np.asarray(average @ self.L), np.asarray(average @ np.abs(self.L))),
            np.asarray(average @ self.offset),
            np.bincount(back, self.counts, len(unique)).astype(np.float64),
        )

    def with_overall(self) -> Grid:
        """Return the grid with the variable of the overall mean, which has one level."""
        return replace(
            self,
            names=(*self.names, OVERALL),
            levels=(*self.levels, pd.Index(["overall"])),
            codes=np.column_stack([self.codes, np.zeros(len(self.codes), dtype=np.int64)]),
        )


def without_noise(sums: FloatArray, size: FloatArray) -> FloatArray:
    """Return sums with zeros for what is only rounding, given the sums of absolute values."""
    return np.where(np.abs(sums) <= ROUNDING * size, 0.0, sums)


def reference_grid(model: LinearMixedModel, axes: Sequence[Axis]) -> Grid:
    """Return the grid of all combinations of the variables of the fixed effects.

    Raises
    ------
    OptionError
        If there are too many combinations.
    DataError
        If a function in the formula has no value at some combination.
    """
    sizes = [len(axis.levels) for axis in axes]
    count = int(np.prod(sizes, dtype=object)) if axes else 1
    width = len(model.design.x_names)
    if count * width > LARGEST:
        shown = " x ".join(f"{axis.name} {size}" for axis, size in zip(axes, sizes, strict=True))
        raise OptionError(
            f"the reference grid would have {count:,} rows ({shown}); hold variables that do not "
            "matter at one value, such as at={'name': [level]}."
        )
    codes = _codes_of(np.arange(count), sizes)
    return Grid(
        tuple(axis.name for axis in axes),
        tuple(axis.levels for axis in axes),
        codes,
        model_rows(model, axes, codes),
        np.full(count, mean_offset(model)),
        _counts(axes, codes, model.nobs, population(model).counts),
    )


def model_rows(
    model: LinearMixedModel,
    axes: Sequence[Axis],
    codes: IntArray,
    replaced: Mapping[str, FloatArray] | None = None,
) -> FloatArray:
    """Return rows of the model matrix for combinations of levels.

    Parameters
    ----------
    model : LinearMixedModel
    axes : sequence of v Axis
    codes : int array (m, v)
    replaced : mapping of str to float64 array (m,), optional
        Values of variables instead of those of the grid; then rows need not be finite.

    Returns
    -------
    float64 array (m, P)
    """
    data: dict[str, Any] = {}
    columns = population(model).columns
    for i, axis in enumerate(axes):
        column = columns.get(axis.name)
        if column is not None and column.levels is not None:
            data[axis.name] = pd.Categorical.from_codes(
                codes[:, i], axis.levels, ordered=column.ordered
            )
        else:
            data[axis.name] = axis.levels.to_numpy()[codes[:, i]]
    data.update(replaced or {})
    if not data:  # a frame without columns has no rows
        data = {"": np.zeros(len(codes))}
    X = fixed_columns(model.design, data)
    L = X.toarray() if sparse.issparse(X) else np.ascontiguousarray(X)
    bad = np.flatnonzero(~np.isfinite(L).all(axis=1))
    if len(bad) and replaced is None:
        where = ", ".join(
            f"{axis.name} = {level_texts(axis.levels)[codes[bad[0], i]]}"
            for i, axis in enumerate(axes)
        )
        raise DataError(f"a function of the formula has no finite value at {where}; see at=.")
    return L


def average_weights(grid: Grid, keep: Sequence[str], weights: Weighting | ArrayLike) -> FloatArray:
    """Return the weight of every row of the grid in the average that it belongs to.

    Parameters
    ----------
    grid : Grid
    keep : sequence of str
        Variables that are not averaged over.
    weights : str or array
        ``equal``: all combinations count the same. ``proportional``: by the number of
        observations of the combination of averaged levels, whatever the others are. ``outer``:
        by the product of the numbers of observations of every averaged level. ``cells``: by
        the observations in the cell itself, so that averages are those of the data's own
        cells. ``flat``: equal, leaving out cells without observations. An array (k,) or (means,
        k) has the weights of the k combinations of averaged levels, the first running fastest.

    Returns
    -------
    float64 array (m,)
    """
    counts = grid.counts if (grid.counts > 0).any() else np.ones(len(grid.counts))
    over = grid.averaged(keep)
    if not isinstance(weights, str):
        return _given_weights(grid, keep, over, weights)
    check_choice("weights", weights, Weighting)
    if weights == "equal" or not over:
        return np.ones(len(counts))
    if weights == "cells":
        return counts
    if weights == "flat":
        return (counts > 0).astype(np.float64)
    if weights == "proportional":
        return _totals(grid, over, counts)
    result = np.ones(len(counts))
    for name in over:
        result *= _totals(grid, (name,), counts) / counts.sum()
    return result


def _totals(grid: Grid, names: Sequence[str], counts: FloatArray) -> FloatArray:
    cells = grid.cells(names)
    totals = np.bincount(cells, counts).astype(np.float64)
    return totals[cells]


def _given_weights(
    grid: Grid, keep: Sequence[str], over: tuple[str, ...], weights: ArrayLike
) -> FloatArray:
    given = np.asarray(weights, dtype=np.float64)
    k, means = int(np.prod(grid.sizes(over))), int(np.prod(grid.sizes(keep)))
    if given.shape not in {(k,), (means, k)} or not np.isfinite(given).all() or (given < 0).any():
        shown = " x ".join(f"{n} ({', '.join(_texts(grid, n))})" for n in over) or "nothing"
        raise OptionError(
            f"weights must be {k} non-negative numbers, one for each combination of {shown}, the "
            f"first varying fastest, or one such row for each of {means} means; got an array of "
            f"shape {given.shape}."
        )
    table = np.broadcast_to(given, (means, k))
    chosen: FloatArray = table[grid.cells(keep), grid.cells(over)]
    return chosen


def _texts(grid: Grid, name: str) -> tuple[str, ...]:
    return level_texts(grid.levels[grid.names.index(name)])


def _codes_of(cells: IntArray, sizes: Sequence[int]) -> IntArray:
    """Return the codes of numbered combinations, the first varying fastest, (m, v)."""
    if not len(sizes):
        return np.zeros((len(cells), 0), dtype=np.int64)
    return np.stack(np.unravel_index(cells, tuple(sizes), order="F"), axis=1)


def _counts(
    axes: Sequence[Axis], codes: IntArray, nobs: int, each: FloatArray | None
) -> FloatArray:
    """Return the number of observations with the levels of every row.

    ``each`` says how many observations every row of the population stands for; None for one.
    """
    factors = [(i, axis.codes) for i, axis in enumerate(axes) if axis.codes is not None]
    if not factors:
        return np.full(len(codes), float(nobs))
    sizes = tuple(len(axes[i].levels) for i, _ in factors)
    found = np.stack([own for _, own in factors])
    inside = (found >= 0).all(axis=0)
    cell = np.ravel_multi_index(tuple(found[:, inside]), sizes)
    weights = None if each is None else each[inside]
    counts = np.bincount(cell, weights, minlength=int(np.prod(sizes)))
    here = np.ravel_multi_index(tuple(codes[:, i] for i, _ in factors), sizes)
    return counts[here].astype(np.float64)
