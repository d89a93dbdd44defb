"""Residuals made independent by the Cholesky factor of V, without ever forming V.

With V0 = I + Z Sigma Z' = L L' (rows multiplied by sqrt(w)), L^-1 r has for its i-th element the
error of predicting r_i from the rows before it, in units of its standard deviation. Rows tell
something about each other only through their random effects, so that the prediction needs the mean
and the covariance matrix S S' of the effects given the rows so far, and no more. Row by row,

    a = S'z,   f = 1 + a'a,   v = (r_i - z'b) / sqrt(f),
    b <- b + S a (r_i - z'b) / f,        S <- S - S a a' / (f + sqrt(f))

(the square-root filter of Potter, see Bierman 1977, "Factorization Methods for Discrete Sequential
Estimation"). Independent blocks of effects (`ranef.batch.structure.components`) advance together,
one row of each at a time. Cost: n K^2 for blocks of K effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.structure import components
from ranef.diagnostics.deletion import Rowwise
from ranef.errors import FitError
from ranef.typing import FloatArray, IntArray

# Multiplications that are still seconds.
LARGEST_WORK = 3e10
# Numbers that the factors S of blocks taken together may have.
AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Independent blocks of random effects.

    Attributes
    ----------
    of_row : int array (n,)
        The block of every row.
    of_level, place : tuples of int arrays (J_f,)
        The block of every level; where its first column stands among the effects of the block,
        the others follow.
    effects, rows : int arrays (B,)
        Numbers of effects and of rows in every block.
    """

    of_row: IntArray
    of_level: tuple[IntArray, ...]
    place: tuple[IntArray, ...]
    effects: IntArray
    rows: IntArray


def whitened_residuals(at: Rowwise) -> FloatArray:
    """Return L^-1 r for the weighted marginal residuals r, (n,), in the order of the rows.

    Raises
    ------
    FitError
        If crossed factors tie too many random effects together.
    """
    blocks = _blocks(at)
    work = float((blocks.rows * blocks.effects.astype(float) ** 2).sum())
    if work > LARGEST_WORK:
        largest = int(blocks.effects.argmax())
        raise FitError(
            f"crossed grouping factors tie {blocks.effects[largest]} random effects and "
            f"{blocks.rows[largest]} rows together; making their residuals independent would take "
            f"{work:.1g} operations. Use kind='studentized'."
        )
    order = np.argsort(blocks.of_row, kind="stable")  # rows of a block in the order of the data
    first = np.cumsum(blocks.rows) - blocks.rows
    by_size = np.lexsort((-blocks.rows, -blocks.effects))
    out = np.empty(len(order))
    start = 0
    while start < len(by_size):
        K = int(blocks.effects[by_size[start]])
        stop = start + max(1, AT_ONCE // (K * K))
        chosen = by_size[start:stop]
        chosen = chosen[np.argsort(-blocks.rows[chosen], kind="stable")]
        _filter(at, blocks, chosen, first, order, out, K)
        start = stop
    return out


def _blocks(at: Rowwise) -> _Blocks:
    model = at.model
    label, count = components(model.problem.objective.plan.products)
    effects = np.zeros(count, dtype=np.int64)
    place = []
    for levels, T in zip(label, model.state.factorization.T, strict=True):
        order = np.argsort(levels, kind="stable")
        held = np.bincount(levels, minlength=count)
        within = np.empty(len(levels), dtype=np.int64)
        within[order] = np.arange(len(levels)) - np.repeat(np.cumsum(held) - held, held)
        place.append(effects[levels] + len(T) * within)
        effects += len(T) * held
    of_row = label[0][at.rows.groups[0].codes]
    return _Blocks(
        of_row, tuple(label), tuple(place), effects, np.bincount(of_row, minlength=count)
    )


def _filter(
    at: Rowwise,
    blocks: _Blocks,
    chosen: IntArray,
    first: IntArray,
    order: IntArray,
    out: FloatArray,
    K: int,
) -> None:
    """Write the whitened residuals of the chosen blocks, most rows first, of at most K effects."""
    count = len(chosen)
    S, b = np.zeros((count, K, K)), np.zeros((count, K))
    position = np.full(len(blocks.effects), -1)
    position[chosen] = np.arange(count)
    for levels, place, T in zip(
        blocks.of_level, blocks.place, at.model.state.factorization.T, strict=True
    ):
        mine = np.flatnonzero(position[levels] >= 0)
        k = np.arange(len(T))
        where = place[mine][:, None] + k
        S[position[levels[mine]][:, None, None], where[:, :, None], where[:, None, :]] = T
    sizes = blocks.rows[chosen]
    for t in range(int(sizes[0])):
        active = int(np.searchsorted(-sizes, -t, side="left"))
        rows = order[first[chosen[:active]] + t]
        where, z = _columns(at, blocks, rows)
        own = np.arange(active)[:, None]
        a = np.einsum("cm,cmk->ck", z, S[own, where])
        f = 1.0 + (a * a).sum(axis=1)
        error = at.marginal[rows] - (z * b[own, where]).sum(axis=1)
        out[rows] = error / np.sqrt(f)
        Sa = np.matmul(S[:active], a[:, :, None])[:, :, 0]
        b[:active] += Sa * (error / f)[:, None]
        S[:active] -= Sa[:, :, None] * (a / (f + np.sqrt(f))[:, None])[:, None, :]


def _columns(at: Rowwise, blocks: _Blocks, rows: IntArray) -> tuple[IntArray, FloatArray]:
    """Return which effects of their block the rows touch, and by how much, (m, sum of k_f)."""
    where, z = [], []
    for factor, (group, place) in enumerate(zip(at.rows.groups, blocks.place, strict=True)):
        columns = at.random(factor, rows)
        where.append(place[group.codes[rows]][:, None] + np.arange(columns.shape[1]))
        z.append(columns)
    return np.concatenate(where, axis=1), np.concatenate(z, axis=1)
