"""What a response contributes to the criterion: its cross-products, for many responses at once.

In the core's coordinates (see `ranef.linalg.conditioning`) a response y, less its offset and with
rows multiplied by sqrt(w), enters only through

    C_f,j = Z_f,j'y0     Q'y0     y0'y0,      y0 = y - Q Q'y,

and its least-squares estimate, which is added back at the end. They are sums over rows: one pass
for all responses, n sum(k_f) + n p multiplications each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.estimation import Problem
from ranef.typing import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Cross-products of B responses.

    Attributes
    ----------
    C : tuple of float64 arrays (k_f, J_f, B)
        Z'y0 for every grouping factor.
    Q : float64 array (p, B)
        Q'y0: zero up to rounding, if y0 is a least-squares residual.
    yy : float64 array (B,)
        y0'y0.
    estimate : float64 array (p, B)
        What was subtracted to get y0, as coefficients of the kept columns of X.
    """

    C: tuple[FloatArray, ...]
    Q: FloatArray
    yy: FloatArray
    estimate: FloatArray

    @property
    def size(self) -> int:
        """Number of responses, B."""
        return len(self.yy)


def row_responses(
    problem: Problem,
    Y: FloatArray,
    weights: FloatArray | None = None,
    offset: FloatArray | None = None,
) -> Responses:
    """Sum the cross-products of responses given row by row.

    Parameters
    ----------
    problem : Problem
        Of the design that all responses share.
    Y : float64 array (n, B)
        Finite.
    weights, offset : float64 array (n,) or None
        Those the problem was made with.
    """
    basis = problem.basis
    root = None if weights is None else np.sqrt(weights)[:, None]
    residual = np.array(Y, dtype=np.float64) if offset is None else Y - offset[:, None]
    if root is not None:
        residual *= root
    estimate = np.zeros((len(basis.kept), Y.shape[1]))
    for _ in range(2):  # the second step refines: it removes the rounding error of the first
        weighted = residual if root is None else residual * root
        step = basis.R_inverse @ (basis.R_inverse.T @ (basis.columns.T @ weighted))
        change = basis.columns @ step
        if root is not None:
            change *= root
        residual -= change
        estimate += step
    weighted = residual if root is None else residual * root
    C = []
    for group in problem.groups:
        n = len(group.codes)
        rows = np.arange(n)
        raw = np.empty((group.width, group.size, Y.shape[1]))
        for a, column in enumerate(group.columns):
            values = np.ones(n) if column is None else column
            by_level = sparse.csr_array((values, (group.codes, rows)), shape=(group.size, n))
            raw[a] = np.asarray(by_level @ weighted)
        C.append(np.tensordot(group.whitening.T, raw, axes=1))
    Q = basis.R_inverse.T @ (basis.columns.T @ weighted)
    return Responses(tuple(C), Q, np.einsum("nb,nb->b", residual, residual), estimate)
