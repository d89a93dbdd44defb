"""Conditional covariances among the random effects that the chain leaves: K_DD = T inv(S) T'.

Where S has a dense root, K_DD is one matrix, computed once. Where it has a sparse one, q x q
numbers would be too many, and solving is cheap: a product with K_DD is two triangular solves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg.dense import inverse_from_factor
from ranef.linalg.elimination import Factorization
from ranef.linalg.root import DenseRoot, symmetric
from ranef.typing import FloatArray, IntArray

# Bytes of right-hand sides that are solved for at a time.
SOLVE_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Remaining:
    """K_DD for known beta, relative to sigma^2, (q_dense, q_dense).

    Attributes
    ----------
    f : Factorization
    whole : float64 array (q_dense, q_dense) or None
        None where S has a sparse root.
    """

    f: Factorization
    whole: FloatArray | None

    def times(self, rows: FloatArray | sparse.csr_array) -> FloatArray:
        """Return rows (m, q_dense) times K_DD, (m, q_dense)."""
        if self.whole is not None:
            product: FloatArray = rows @ self.whole
            return product
        f, q, frame = self.f, self.f.plan.q_dense, self.f.plan.block.frame
        transposed = tuple(T.T for T in f.T)
        out = np.empty(rows.shape)
        step = max(1, SOLVE_BYTES // (8 * f.plan.size))
        for first in range(0, rows.shape[0], step):
            part = rows[first : first + step]
            full = part.toarray() if sparse.issparse(part) else np.asarray(part)
            right = np.zeros((f.plan.size, len(full)))
            right[:q] = frame.scaled(full, f.T).T
            half = f.root.forward(right)
            half[q:] = 0.0  # the border plays no part where beta is known
            out[first : first + step] = frame.scaled(f.root.backward(half)[:q].T, transposed)
        return out

    def elements(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return the elements at ``rows`` and ``columns``, which are broadcast."""
        if self.whole is not None:
            found: FloatArray = self.whole[rows, columns]
            return found
        rows, columns = np.broadcast_arrays(rows, columns)
        wanted, place = np.unique(rows, return_inverse=True)
        place = place.ravel()
        out, flat = np.empty(rows.size), columns.ravel()
        step = max(1, SOLVE_BYTES // (8 * self.f.plan.size))
        order = np.argsort(place, kind="stable")
        for first in range(0, len(wanted), step):
            slab = wanted[first : first + step]
            begin, stop = np.searchsorted(place[order], [first, first + len(slab)])
            mine = order[begin:stop]
            out[mine] = self.times(self._units(slab))[place[mine] - first, flat[mine]]
        return out.reshape(rows.shape)

    def square(self, where: IntArray) -> FloatArray:
        """Return the part among the effects ``where``, (m, m)."""
        if self.whole is not None:
            return np.asarray(self.whole[np.ix_(where, where)])
        return np.asarray(self.times(self._units(where))[:, where])

    def _units(self, where: IntArray) -> sparse.csr_array:
        shape = (len(where), self.f.plan.q_dense)
        return sparse.csr_array(
            (np.ones(len(where)), where, np.arange(len(where) + 1)), shape=shape
        )


def remaining_covariance(f: Factorization) -> Remaining:
    """Return K_DD; the matrix itself where S has a dense root."""
    plan, q = f.plan, f.plan.q_dense
    if not isinstance(f.root, DenseRoot):
        return Remaining(f, None)
    M = symmetric(inverse_from_factor(np.array(f.root.L[:q, :q], order="F")))
    transposed = tuple(T.T for T in f.T)
    for _ in range(2):  # both sides
        M = plan.block.frame.scaled(M, transposed).T
    return Remaining(f, M)
