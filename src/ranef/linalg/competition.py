"""Blocks that compete for a common part of the mean.

The effects of a random term have mean zero. Where the fixed effects do not contain its column z, as
in ``y ~ 0 + (1 | a) + (1 | b)``, the effects must explain a mean that is not zero, and they can if
their variance is large. If two factors can do so for the same part of the mean, the criterion has
one minimum where the first does and one where the second does, far from each other, and no
derivative at one tells of the other. Such blocks are found from the cross-products: with
z_f = Z_f (1, ..., 1)', summed over the levels, and what the fixed effects leave of it,

    z_f'(I - QQ')z_g = sum over level pairs of Z_f'Z_g - (sum_j C_f,j)'(sum_j C_g,j).
"""

from __future__ import annotations

import numpy as np

from ranef.linalg.crossproducts import CrossProducts
from ranef.typing import FloatArray

# What the fixed effects leave of a column is rounding below this (relative, squared).
LEFT = 1e-8
# Columns of two factors compete if the parts that are left correlate by more than this.
SHARED = 0.5

Block = tuple[int, tuple[int, int]]


def competing_blocks(products: CrossProducts) -> tuple[Block, ...]:
    """Return (factor, (start, stop)) of covariance blocks that compete with one of another factor.

    Empty for nearly all models. Cost: O(p sum(k J) + pairs).
    """
    count = len(products.A)
    if count < 2:
        return ()
    p = products.p
    means = [C[:p].sum(axis=2) for C in products.C]
    left = [A.sum(axis=2) - m.T @ m for A, m in zip(products.A, means, strict=True)]
    size = []
    for A, part in zip(products.A, left, strict=True):
        total, rest = A.sum(axis=2).diagonal(), part.diagonal()
        size.append(np.where(rest > LEFT * total, np.sqrt(np.maximum(rest, 0.0)), np.inf))
    found: set[Block] = set()
    for (f, g), pair in products.pairs.items():
        if np.isinf(size[f]).all() or np.isinf(size[g]).all():
            continue
        cross: FloatArray = pair.values.sum(axis=2) - means[f].T @ means[g]
        for a, b in zip(
            *np.nonzero(np.abs(cross) > SHARED * np.outer(size[f], size[g])), strict=True
        ):
            found |= {_block(products, f, int(a)), _block(products, g, int(b))}
    return tuple(sorted(found))


def _block(products: CrossProducts, f: int, column: int) -> Block:
    return f, next(block for block in products.blocks[f] if block[0] <= column < block[1])
