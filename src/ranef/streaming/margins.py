"""Second pass: what a chunk adds to what is remembered of the rows, see `ranef.streaming.facts`.

Cost for every row: a hash of the response, and one look-up for every factor among the fixed
effects. Where rows have weights, or X no intercept, also p^2 + sum k^2 operations: the means of
columns without weights are no part of the cross-products then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add

import numpy as np
from scipy import sparse

from ranef.design.frame import Frame
from ranef.streaming.facts import Numbers, RowFacts
from ranef.streaming.layout import Layout
from ranef.streaming.prints import combine_prints, row_print
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Sums over rows, none of them weighted. p columns of X, k of a factor.

    Attributes
    ----------
    n : int
    prints : tuple of int (3,)
        Of response, weights and offset.
    offset, inverse_weights : float
        Sums of the offset and of 1 / w.
    total : float64 array (p,)
    gram : float64 array (p, p)
        Sums of q and of q q', for the rows q of Q0 about the layout's center; empty without one.
    squares : tuple of float64 arrays (k, k)
        Sums of z z' for every factor, for the rows z of Z0; empty without weights.
    counts : float64 array (m,) or None
        Rows in every cell of the layout.
    """

    n: int
    prints: tuple[int, ...]
    offset: float
    inverse_weights: float
    total: FloatArray
    gram: FloatArray
    squares: tuple[FloatArray, ...]
    counts: FloatArray | None

    def merge(self, other: Margins) -> Margins:
        """Return the sums over the rows of both."""
        return Margins(
            self.n + other.n,
            combine_prints(self.prints, other.prints),
            self.offset + other.offset,
            self.inverse_weights + other.inverse_weights,
            self.total + other.total,
            self.gram + other.gram,
            tuple(map(add, self.squares, other.squares)),
            None if self.counts is None or other.counts is None else self.counts + other.counts,
        )


def chunk_margins(
    frame: Frame,
    layout: Layout,
    X: FloatArray | sparse.csc_array,
    work: Mapping[int, FloatArray],
    y: FloatArray,
    weights: FloatArray | None,
    offset: FloatArray | None,
) -> Margins:
    """Sum the used rows of a chunk.

    Parameters
    ----------
    frame : Frame
    layout : Layout
    X : (n, p) dense or sparse
    work : mapping of int to float64 array (n,)
        Work columns, multiplied by the roots of the weights.
    y : float64 array (n,)
    weights, offset : float64 array (n,) or None
    """
    n = len(y)
    total, gram = _moments(layout, X)
    squares: tuple[FloatArray, ...] = ()
    inverse = float(n)
    if weights is not None:
        reciprocals = 1.0 / weights
        inverse = float(reciprocals.sum())
        squares = tuple(
            np.array([[(work[a] * reciprocals) @ work[b] for b in f.work] for a in f.work])
            for f in layout.factors
        )
    return Margins(
        n,
        (row_print(y, n), row_print(weights, n, neutral=1.0), row_print(offset, n)),
        0.0 if offset is None else float(offset.sum()),
        inverse,
        total,
        gram,
        squares,
        None if layout.cells is None else layout.cells.count(frame),
    )


def row_facts(
    layout: Layout,
    margins: Margins,
    numbers: Mapping[str, Numbers],
    gram: FloatArray,
    squares: Sequence[FloatArray],
    kept: IntArray,
    R1_inverse: FloatArray,
    whitenings: Sequence[FloatArray],
) -> RowFacts:
    """Return what is remembered of all rows, in the final coordinates.

    Parameters
    ----------
    layout : Layout
    margins : Margins
    numbers : mapping of str to Numbers
    gram : float64 array (r, r)
        Q0'Q0 for the kept columns.
    squares : sequence of float64 arrays (k, k)
        Z0'Z0 / n for every factor.
    kept : int array (r,)
    R1_inverse : float64 array (r, r)
        Q = Q0 R1^-1.
    whitenings : sequence of float64 arrays (k, k)
        Z = Z0 W1.
    """
    n = margins.n
    if layout.center is None:
        # the first column is the intercept: a constant, so its products are sums
        total = gram[0] * np.sqrt(n / gram[0, 0])
    else:
        gram, total = margins.gram[np.ix_(kept, kept)], margins.total[kept]
    spread = (gram - np.outer(total, total) / n) / max(n - 1, 1)
    if layout.center is None:
        spread[0] = spread[:, 0] = 0.0
    means = [part / n for part in margins.squares] or squares
    return RowFacts(
        prints=margins.prints,
        offset_mean=margins.offset / n,
        inverse_weight=margins.inverse_weights / n,
        spread=R1_inverse.T @ spread @ R1_inverse,
        squares=tuple(W.T @ mean @ W for W, mean in zip(whitenings, means, strict=True)),
        numbers=dict(numbers),
        cells=None
        if layout.cells is None or margins.counts is None
        else layout.cells.cells(margins.counts),
    )


def _moments(layout: Layout, X: FloatArray | sparse.csc_array) -> tuple[FloatArray, FloatArray]:
    if layout.center is None:
        return np.zeros(0), np.zeros((0, 0))
    if isinstance(layout.T, np.ndarray):
        dense = X if isinstance(X, np.ndarray) else X.toarray(order="F")
        Q = layout.T.T @ (dense - layout.center).T
        return Q.sum(axis=1), Q @ Q.T
    # a sparse X stays sparse, so it is not centred here
    thin = sparse.csc_array(X) @ layout.T
    return np.asarray(thin.sum(axis=0)).ravel(), (thin.T @ thin).toarray()
