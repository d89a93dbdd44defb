"""The criterion of many responses, each at its own theta.

For every block of the structure, with K_ = (Sigma^-1 + G)^-1 = T (I + T'G T)^-1 T',

    A   = I - sum X K_ X'         r = Q'y0 - sum X K_ c        s = y0'y0 - sum c'K_ c
    gamma = A^-1 r                r^2 = s - r'gamma
    f   = sum log|I + T'G T|  +  log|A| (REML)  +  nu (1 + log(2 pi r^2 / nu))  +  constant

where sums over the blocks of a class are products with its multiplicity, or with cross-products of
its borders that are computed once. Cost for every replicate: nothing in n; for every class of
blocks O(K^3), whatever its multiplicity. Derivatives are those of `ranef.batch.slopes`.
"""

from __future__ import annotations

import math

import numpy as np

from ranef.batch.reduce import Reduced
from ranef.batch.slopes import Eliminated, Entries, Factors, Point, Slopes, slopes_at
from ranef.batch.small import gram, inverse_factor, multiply, solve, transpose
from ranef.batch.structure import Family, Structure
from ranef.objective import ROUNDING_FACTOR, Objective
from ranef.typing import FloatArray


class Criterion:
    """The criterion of every response of one design.

    Parameters
    ----------
    structure : Structure
    objective : Objective
        Of any response of the design: its degrees of freedom and constants.
    """

    def __init__(self, structure: Structure, objective: Objective) -> None:
        self.structure = structure
        self.entries = Entries.of(structure.blocks)
        self.reml = objective.reml
        self.nu = objective.nu
        self.constant = objective.constant
        self._pairs = [_border_pairs(family) for family in structure.families]

    def value(self, responses: Reduced, T: Factors) -> Point:
        """Return the values alone, at T (k_f, k_f, B)."""
        with np.errstate(all="ignore"):  # what is not finite is infinite in the value
            return self._eliminate(responses, T)[0]

    def evaluate(self, responses: Reduced, T: Factors) -> tuple[Point, Slopes]:
        """Return values and derivatives at T (k_f, k_f, B)."""
        with np.errstate(all="ignore"):
            point, blocks = self._eliminate(responses, T)
            scale = self.nu / point.r2
            slopes = slopes_at(
                self.structure, self.entries, responses, point, blocks, scale, reml=self.reml
            )
            return point, slopes

    def _eliminate(self, responses: Reduced, T: Factors) -> tuple[Point, list[Eliminated]]:
        p, B = self.structure.p, responses.size
        A = np.zeros((p * p, B))
        A[:: p + 1] = 1.0
        r, s = responses.Q.copy(), responses.yy.copy()
        logdet = np.zeros(B)
        blocks = []
        for family, c, borders in zip(
            self.structure.families, responses.c, self._pairs, strict=True
        ):
            K, R = family.width, family.columns
            GT = _scale_columns(family, family.G[..., None], T)
            M = _scale_rows(family, GT, T)
            M[np.arange(K), np.arange(K)] += 1.0
            factor, logs = inverse_factor(M)
            logdet += family.multiplicity @ logs
            root = _scale_rows(family, factor, T, transposed=False)
            half = multiply(transpose(root), c)  # not c'K_ c: that would cancel digits
            s -= np.einsum("krub,krub->b", half, half)
            K_ = gram(root)
            if p and R:
                Kc = multiply(root, half[:, :R])
                r -= family.X.reshape(p, -1) @ Kc.reshape(-1, B)
                low = np.tril_indices(K)
                A -= borders @ K_[low].reshape(-1, B)
            blocks.append(Eliminated(family, K_))
        inner, logs = inverse_factor(A.reshape(p, p, B))
        gamma = solve(inner, r)
        r2 = s - np.einsum("pb,pb->b", r, gamma)
        r2 = np.where(r2 > 0.0, r2, np.nan)
        value = logdet + self.nu * (1.0 + np.log((2.0 * math.pi / self.nu) * r2)) + self.constant
        if self.reml:
            value = value + logs
        lost = self.nu * responses.yy / r2 + np.einsum("ppb->b", np.abs(inner) ** 2)
        rounding = ROUNDING_FACTOR * float(np.finfo(float).eps) * lost
        value = np.where(np.isfinite(value), value, np.inf)
        return Point(value, r2, gamma, inner, rounding), blocks


def _scale_rows(
    family: Family, blocks: FloatArray, T: Factors, *, transposed: bool = True
) -> FloatArray:
    """Return T'blocks, or T blocks: T repeated for every level in the block."""
    out = []
    for f, t in enumerate(T):
        k, count = len(t), family.counts[f]
        if not count:
            continue
        rows = blocks[family.starts[f] : family.starts[f] + k * count]
        matrix = (transpose(t) if transposed else t)[:, :, None]
        product = multiply(matrix, rows.reshape(k, -1, *rows.shape[2:]))
        out.append(product.reshape(k * count, -1, *product.shape[2:]))
    return out[0] if len(out) == 1 else np.concatenate(out)


def _scale_columns(family: Family, blocks: FloatArray, T: Factors) -> FloatArray:
    """Return blocks T."""
    return transpose(_scale_rows(family, transpose(blocks), T))


def _border_pairs(family: Family) -> FloatArray:
    """Return sums of X[., x] X[., y]' over the columns, to meet K_[x, y], x >= y: (p p, low U)."""
    p, K = family.X.shape[:2]
    x, y = np.tril_indices(K)
    product = np.einsum("piru,qiru->pqiu", family.X[:, x], family.X[:, y])
    product = product + np.where(x != y, 1.0, 0.0)[:, None] * product.swapaxes(0, 1)
    return np.asarray(product.reshape(p * p, len(x) * family.classes))
