"""Conditional covariances between levels of the random effects, for any pairs of levels.

K = (Sigma^-1 + Z'Z)^-1, relative to sigma^2, is Var(b | y) for known beta. The fit needs it on the
pattern of the data alone; new data may ask for any pair. With the elimination of
`ranef.linalg.elimination` (R: what level j of a chain factor touches)

    dense block:      K_DD = T inv(S) T'
    chain and dense:  K_eD[j, :] = -K_j (B_j K_DD + sum_h W_h K_hD[parent_h(j), :])
    within a chain:   K_e.[j, l] = -K_j (B_j K_D.[:, l] + sum_h W_h K_h.[parent_h(j), l]),
                      K_ee[j, j] known

Cost: one inverse of the dense block, or solves with its sparse root; B_j K_DD for the levels asked
for; O(k^2) per pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.linalg import levels
from ranef.linalg.adjoint import conditional_blocks
from ranef.linalg.elimination import Factorization
from ranef.prediction.remaining import Remaining, remaining_covariance
from ranef.typing import FloatArray, IntArray

# Bytes that the rows of B_j K_DD may take at a time.
SLAB_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class LevelCovariances:
    """Covariances of the random effects given the data, by levels; relative to sigma^2.

    Attributes
    ----------
    f : Factorization
    own : tuple of float64 arrays (k_g, k_g, J_g)
        Of every level with itself.
    dense : Remaining or None
        K_DD; None where no pairs of factors are wanted.
    """

    f: Factorization
    own: tuple[FloatArray, ...]
    dense: Remaining | None

    def between(self, g: int, h: int, at_g: IntArray, at_h: IntArray) -> FloatArray:
        """Return K between level ``at_g`` of g and level ``at_h`` of h, (k_g, k_h, m)."""
        plan = self.f.plan
        if g in plan.chain and h in plan.chain:
            return self._nested(g, h, at_g, at_h)
        if g in plan.chain:
            return self._chain_dense(g, h, at_g, at_h)
        if h in plan.chain:
            return self._chain_dense(h, g, at_h, at_g).swapaxes(0, 1)
        assert self.dense is not None
        rows = plan.offset[g] + np.arange(len(self.own[g]))[:, None, None] * self._count(g) + at_g
        cols = plan.offset[h] + np.arange(len(self.own[h]))[:, None] * self._count(h) + at_h
        return self.dense.elements(rows, cols)

    def _count(self, g: int) -> int:
        return int(self.own[g].shape[2])

    def _chain_dense(self, e: int, g: int, at_e: IntArray, at_g: IntArray) -> FloatArray:
        k, plan = len(self.own[e]), self.f.plan
        out = np.empty((k, len(self.own[g]), len(at_e)))
        wanted, place = np.unique(at_e, return_inverse=True)
        order = np.argsort(place, kind="stable")
        step = max(1, SLAB_BYTES // (8 * k * plan.q_dense))
        columns = plan.offset[g] + np.arange(len(self.own[g]))[:, None] * self._count(g) + at_g
        for start in range(0, len(wanted), step):
            slab = wanted[start : start + step]
            first, last = np.searchsorted(place[order], [start, start + len(slab)])
            mine = order[first:last]
            rows = self._dense_rows(e, slab)
            out[:, :, mine] = rows[:, place[mine] - start, columns[:, mine]]
        return out

    def _dense_rows(self, e: int, at: IntArray) -> FloatArray:
        """Return K between levels of a chain factor and the dense block, (k, m, q_dense)."""
        plan, part = self.f.plan, self.f.chain[e]
        assert self.dense is not None and part.B is not None
        rows = (np.arange(len(part.K))[:, None] * self._count(e) + at).ravel()
        touched = self.dense.times(part.B[rows]).reshape(len(part.K), len(at), plan.q_dense)
        for g, W in part.W.items():
            parents, place = np.unique(plan.parents[e, g][at], return_inverse=True)
            above = self._dense_rows(g, parents)[:, place]
            touched += np.einsum("klm,lmq->kmq", W[:, :, at], above)
        result: FloatArray = -np.einsum("klm,lmq->kmq", part.K[:, :, at], touched)
        return result

    def _nested(self, g: int, h: int, at_g: IntArray, at_h: IntArray) -> FloatArray:
        """Return K between levels of chain factors, up the chain until they meet or it ends."""
        plan = self.f.plan
        chain = plan.chain
        if chain.index(g) > chain.index(h):
            return self._nested(h, g, at_h, at_g).swapaxes(0, 1)
        part = self.f.chain[g]
        out = np.zeros((len(self.own[g]), len(self.own[h]), len(at_g)))
        apart = np.ones(len(at_g), dtype=bool)
        if g == h:
            apart = at_g != at_h
            out[:, :, ~apart] = self.own[g][:, :, at_g[~apart]]
        if apart.any() and (part.W or part.B is not None):
            a, b = at_g[apart], at_h[apart]
            touched = np.zeros((len(part.K), len(self.own[h]), len(a)))
            for parent, W in part.W.items():
                above = self._nested(parent, h, plan.parents[g, parent][a], b)
                touched += levels.multiply(W[:, :, a], above)
            if part.B is not None:
                touched += self._through_dense(g, h, a, b)
            out[:, :, apart] = -levels.multiply(part.K[:, :, a], touched)
        return out

    def _through_dense(self, g: int, h: int, at_g: IntArray, at_h: IntArray) -> FloatArray:
        """Return B_j K_D. for levels ``at_g`` of g and ``at_h`` of h, both in the chain."""
        B = self.f.chain[g].B
        assert B is not None
        k, k_h, q = len(self.own[g]), len(self.own[h]), self.f.plan.q_dense
        out = np.empty((k, k_h, len(at_g)))
        step = max(1, SLAB_BYTES // (8 * (k + k_h) * q))
        for start in range(0, len(at_g), step):
            slab = slice(start, start + step)
            wanted, place = np.unique(at_h[slab], return_inverse=True)
            there = self._dense_rows(h, wanted)[:, place]
            rows = (np.arange(k)[:, None] * self._count(g) + at_g[slab]).ravel()
            here = B[rows].toarray().reshape(k, -1, q)
            out[:, :, slab] = np.einsum("kmq,lmq->klm", here, there)
        return out


def level_covariances(f: Factorization, *, pairs: bool) -> LevelCovariances:
    """Prepare covariances between levels.

    Parameters
    ----------
    f : Factorization
    pairs : bool
        Whether levels of different factors will be asked for.
    """
    dense = remaining_covariance(f) if pairs and f.plan.dense else None
    return LevelCovariances(f, conditional_blocks(f), dense)
