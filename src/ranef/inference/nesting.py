"""Whether one model is a special case of another: columns of X, and covariance matrices.

Fixed effects are nested if every column of the smaller X is a combination of columns of the larger.

Random effects are nested if every covariance matrix Z Sigma Z' of the smaller model is one of the
larger. Blocks of effects with one unstructured covariance matrix decide that. With the columns A of
a block of the smaller model, and B of a block of the larger:

* the same groups, A = B M: then Sigma of the larger is M S M';
* finer groups, h = g x label, where A 1[label = l] = B M_l for every label l: then it is
  sum_l M_l S M_l'. So `(1 | Worker:Machine)` lies in `(0 + Machine | Worker)`.

Several blocks may lie in the same one, as covariance matrices can be added. Cost: one pass over the
rows for every pair of blocks, O(n k^2). Without rows names decide, see `nesting_by_name`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.inference.nesting_by_name import fixed_by_name, is_streamed, random_by_name
from ranef.linalg.crossproducts import GroupedColumns
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# What is left of a column after subtracting its projection is rounding below this, relative to it.
DEPENDENT = 1e-7
# Columns of X that are looked at together: bounds the memory for their residuals.
AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of the smaller model's covariance matrix, placed in the larger model's.

    Attributes
    ----------
    factor, block
        Of the smaller model: grouping factor and (start, stop) in the core's order.
    into, place
        The same of the larger model.
    M : float64 array (r, k)
        Its columns, in terms of those of the larger model's block, in the user's units.
    """

    factor: int
    block: tuple[int, int]
    into: int
    place: tuple[int, int]
    M: FloatArray


def outside_fixed(small: LinearMixedModel, large: LinearMixedModel) -> tuple[str, ...]:
    """Return the columns of the smaller X that are no combinations of the larger's.

    Raises
    ------
    NoRowsError
        If that cannot be told without rows.
    """
    if is_streamed(small) or is_streamed(large):
        return fixed_by_name(small, large)
    basis, kept = large.problem.basis, small.problem.basis
    names = [small.design.x_names[j] for j in kept.kept]
    if large.design.X is small.design.X:
        return ()
    weights = large.design.weights
    found: list[str] = []
    for start in range(0, len(names), AT_ONCE):
        part = kept.columns[:, start : start + AT_ONCE]
        columns: FloatArray = part.toarray() if sparse.issparse(part) else np.asarray(part)
        weighted = columns if weights is None else columns * weights[:, None]
        combination = basis.R_inverse @ (basis.R_inverse.T @ (basis.columns.T @ weighted))
        left = _norms(columns - basis.columns @ combination)
        outside = left > DEPENDENT * _norms(columns)
        found += [names[start + i] for i in np.flatnonzero(outside)]
    return tuple(found)


def embed_random(small: LinearMixedModel, large: LinearMixedModel) -> tuple[Piece, ...] | str:
    """Place the smaller model's random effects in the larger's.

    Returns
    -------
    tuple of Piece, or str
        A term of the smaller model that the larger one does not contain.

    Raises
    ------
    NoRowsError
        If that cannot be told without rows.
    """
    if is_streamed(small) or is_streamed(large):
        return tuple(Piece(*placed) for placed in random_by_name(small, large))
    pieces: list[Piece] = []
    labels = _labels(small)
    for f, group in enumerate(small.problem.groups):
        for block in group.blocks:
            found = _place(small, f, block, large)
            if found is None:
                return labels[f, block]
            pieces += found
    return tuple(pieces)


def _labels(model: LinearMixedModel) -> dict[tuple[int, tuple[int, int]], str]:
    """Return what the user calls every block."""
    return {
        (slot.factor, block): slot.term.label
        for slot in model.problem.slots
        for block in slot.blocks
    }


def _place(
    small: LinearMixedModel, f: int, block: tuple[int, int], large: LinearMixedModel
) -> list[Piece] | None:
    group = small.problem.groups[f]
    A = _matrix(group, block)
    for into, other in enumerate(large.problem.groups):
        if _same_groups(group, other):
            for place in sorted(other.blocks, key=lambda b: b[1] - b[0]):
                M = combination(_matrix(other, place), A)
                if M is not None:
                    return [Piece(f, block, into, place, M)]
    for into, other in enumerate(large.problem.groups):
        codes = _label_codes(small, group.name, large, other.name)
        # every label needs columns of its own
        if codes is None or int(codes.max()) >= other.width or _pairs(group, other) > group.size:
            continue
        found = list(_place_labels(A, codes, other))
        if None not in found:
            return [Piece(f, block, into, place, M) for place, M in filter(None, found)]
    return None


def _place_labels(
    A: FloatArray, codes: IntArray, other: GroupedColumns
) -> Iterator[tuple[tuple[int, int], FloatArray] | None]:
    """Yield for every label the block that has its columns, and how; None if there is none."""
    blocks = sorted(other.blocks, key=lambda b: b[1] - b[0])
    columns = {block: _matrix(other, block) for block in blocks}
    for label in range(int(codes.max()) + 1):
        mine = A * (codes == label)[:, None]
        placed = ((block, combination(columns[block], mine)) for block in blocks)
        yield next(((block, M) for block, M in placed if M is not None), None)


def combination(B: FloatArray, A: FloatArray) -> FloatArray | None:
    """Return M (r, k) with A = B M, or None.

    Parameters
    ----------
    B : float64 array (n, r)
    A : float64 array (n, k)
    """
    size = _norms(B)
    size[size == 0.0] = 1.0
    scaled = np.linalg.lstsq(B / size, A, rcond=1e-10)[0]
    M: FloatArray = scaled / size[:, None]
    inside = _norms(A - B @ M) <= DEPENDENT * _norms(A)
    return M if inside.all() else None


def _matrix(group: GroupedColumns, block: tuple[int, int]) -> FloatArray:
    n = len(group.codes)
    columns = [np.ones(n) if c is None else c for c in group.columns[block[0] : block[1]]]
    return np.stack(columns, axis=1)


def _norms(columns: FloatArray) -> FloatArray:
    norms: FloatArray = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    return norms


def _same_groups(one: GroupedColumns, other: GroupedColumns) -> bool:
    """Tell whether two factors divide the rows in the same way."""
    return one.size == other.size == _pairs(one, other)


def _pairs(one: GroupedColumns, other: GroupedColumns) -> int:
    """Return how many pairs of levels occur: if nested, as many as the finer factor has."""
    return len(np.unique(one.codes.astype(np.int64) * other.size + other.codes))


def _label_codes(
    small: LinearMixedModel, name: str, large: LinearMixedModel, other: str
) -> IntArray | None:
    """Return what distinguishes the finer groups ``name`` within ``other``, or None."""
    variables, outer = _variables(small, name), _variables(large, other)
    rest = [variable for variable in variables if variable not in outer]
    if not rest or len(rest) + len(outer) != len(variables):
        return None
    keys = [small.design.variables.columns[variable].values for variable in rest]
    codes = pd.DataFrame(dict(enumerate(keys))).groupby(list(range(len(keys)))).ngroup()
    return np.asarray(codes, dtype=np.int64)


def _variables(model: LinearMixedModel, group: str) -> tuple[str, ...]:
    return next(t.grouping.variables for t in model.design.terms if t.grouping.name == group)
