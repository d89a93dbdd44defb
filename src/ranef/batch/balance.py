"""Two grouping factors in balance: rotations that take them apart although they are crossed.

Where every level of a factor has the same Z'Z = a I (one column each: random intercepts of a
balanced design), its levels may be rotated into each other by any orthogonal matrix. With
B = Z_1'Z_2 = U diag(s) V', rotating one factor by U and the other by V leaves only pairs (i, i)
that touch: blocks of two effects with G = [a_1 s_i; s_i a_2], and blocks of one where s_i = 0. In a
complete design all s_i but one are zero. Equal blocks then share their work as all others do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ranef.linalg.crossproducts import CrossProducts, PairBlocks
from ranef.typing import FloatArray

# Levels are alike if their Z'Z agree to this, relative to the largest.
EQUAL = 2.0**-40
# Singular values below this, relative to the largest, are zero.
SMALLEST_SINGULAR = 1e-12
# Largest cost of a singular value decomposition, J_1 J_2 min(J_1, J_2), that is not felt.
LARGEST_DECOMPOSITION = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Rotations:
    """Orthogonal matrices (J_f, J_f), one for each of the two factors."""

    left: FloatArray
    right: FloatArray

    def apply(self, C: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        """Return C (k, J, B) in rotated levels."""
        return self._times(self.left, C[0]), self._times(self.right, C[1])

    def undo(self, C: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        """Return C of rotated levels in the original ones."""
        return self._times(self.left.T, C[0]), self._times(self.right.T, C[1])

    @staticmethod
    def _times(matrix: FloatArray, C: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("ji,kjb->kib", matrix, C, optimize=True))


def balanced(products: CrossProducts) -> tuple[CrossProducts, Rotations] | None:
    """Return the cross-products of rotated levels and the rotations; None without balance."""
    if len(products.A) != 2 or any(A.shape[0] != 1 for A in products.A):
        return None
    if any(np.ptp(A) > EQUAL * A.max() for A in products.A):
        return None
    sizes = tuple(A.shape[2] for A in products.A)
    if float(sizes[0]) * sizes[1] * min(sizes) + max(sizes) ** 3 > LARGEST_DECOMPOSITION:
        return None
    pair = products.pairs[0, 1]
    B = np.zeros(sizes)
    B[pair.rows, pair.cols] = pair.values[0, 0]
    left, s, right_t = np.linalg.svd(B)
    right = right_t.T
    kept = np.flatnonzero(s > SMALLEST_SINGULAR * s.max(initial=0.0))
    for i in kept:  # signs are free: choose them, or seeds would mean different things elsewhere
        first = left[np.flatnonzero(np.abs(left[:, i]) > 1e-6)[0], i]
        if first < 0.0:
            left[:, i], right[:, i] = -left[:, i], -right[:, i]
    rotations = Rotations(left, right)
    turned = tuple(
        np.einsum("ji,pkj->pki", matrix, C, optimize=True)
        for matrix, C in zip((left, right), products.C, strict=True)
    )
    pairs = PairBlocks(kept, kept, s[None, None, kept])
    return replace(products, C=turned, pairs={(0, 1): pairs}), rotations
