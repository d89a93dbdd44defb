"""Derivatives of the criterion by the entries of Sigma, for many responses at once.

For every block, with N = I - K_ G and A = L L' (see `ranef.batch.criterion`),

    V   = G N  = Z'V0^-1 Z        E = L^-1 X N        t = N'(c - X'gamma) = Z'P y
    F   = sum V - E'E (REML) - (nu / r^2) t t'                   the slope by Sigma

and for symmetric directions D_i of Sigma, repeated over the block's levels,

    information_ij = sum t'D_i V D_j t  -  h_i'h_j,    h_i = sum E D_i t          (= a_i'P a_j)
    traces_ij      = sum tr(V D_i V D_j) - 2 tr(E'E D_i V D_j) + tr(d_i d_j),     d_i = E D_i E'
    Hessian        = 2 (nu / r^2) information - (nu / r^4) s_i s_j - traces,      s_i = t'D_i t

(traces in ML: the first part only). Directions are the free entries of Sigma: e_x e_x', and
e_x e_y' + e_y e_x'. Nothing is divided by T, so variances may be exactly zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranef.batch.reduce import Reduced
from ranef.batch.small import gram, multiply, transpose
from ranef.batch.structure import Family, Structure
from ranef.typing import FloatArray, IntArray

Factors = tuple[FloatArray, ...]  # (k_f, k_f, B)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Values at one T per replicate: all (B,), gamma (p, B).

    ``root`` (p, p, B) has root root' = inv(Q'V0^-1 Q). ``value`` is infinite where rounding makes
    the system indefinite. ``rounding`` bounds the rounding error of the value.
    """

    value: FloatArray
    r2: FloatArray
    gamma: FloatArray
    root: FloatArray
    rounding: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Eliminated:
    """One family after its elimination: K_ (K, K, U, B)."""

    family: Family
    K: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Derivatives by the entries of Sigma: F (k_f, k_f, B), score (h, B), the rest (h, h, B)."""

    F: Factors
    score: FloatArray
    information: FloatArray
    traces: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Free entries of all Sigma, x >= y: parallel int arrays (h,)."""

    factor: IntArray
    x: IntArray
    y: IntArray

    @classmethod
    def of(cls, blocks: tuple[tuple[tuple[int, int], ...], ...]) -> Entries:
        """List the lower triangles of all covariance blocks, column by column."""
        table = [
            (f, x, y)
            for f, parts in enumerate(blocks)
            for start, stop in parts
            for y in range(start, stop)
            for x in range(y, stop)
        ]
        whole = np.array(table, dtype=np.intp).reshape(-1, 3)
        return cls(whole[:, 0], whole[:, 1], whole[:, 2])

    @property
    def size(self) -> int:
        """Number of parameters, h."""
        return len(self.factor)


def slopes_at(
    structure: Structure,
    entries: Entries,
    responses: Reduced,
    point: Point,
    blocks: list[Eliminated],
    scale: FloatArray,
    *,
    reml: bool,
) -> Slopes:
    """Return the derivatives at a point.

    Parameters
    ----------
    structure : Structure
    entries : Entries
        What to differentiate by.
    responses : Reduced
    point : Point
    blocks : list of Eliminated
        One for every family.
    scale : float64 array (B,)
        nu / r^2.
    reml : bool
    """
    p, h, B = structure.p, entries.size, responses.size
    sums = _Sums(
        entries,
        structure.widths,
        F=tuple(np.zeros((k, k, B)) for k in structure.widths),
        score=np.zeros((h, B)),
        information=np.zeros((h, h, B)),
        traces=np.zeros((h, h, B)),
        h=np.zeros((h, p, B)),
        d=np.zeros((h, p, p, B)),
    )
    for block, c in zip(blocks, responses.c, strict=True):
        family, G = block.family, block.family.G[..., None]
        K, R, U = family.width, family.columns, family.classes
        N = -multiply(block.K, G)
        N[np.arange(K), np.arange(K)] += 1.0
        V = multiply(G, N)
        V = 0.5 * (V + transpose(V))
        Y = V * family.multiplicity[:, None]
        slope, e, E = Y, c, None
        if p and R:
            e = c.copy()
            e[:, :R] -= (family.X.reshape(p, -1).T @ point.gamma).reshape(K, R, U, B)
            E = _borders(family, point, N)
            if reml:
                EE = gram(E.reshape(K, p * R, U, B))
                Y, slope = Y - 2.0 * EE, slope - EE
        t = multiply(transpose(N), e)
        tt = gram(t)
        sums.add_slope(family, slope - scale * tt)
        sums.add_score(family, tt)
        sums.add_products(family, V, tt, sums.information)
        sums.add_products(family, V, Y, sums.traces)
        if E is not None:
            sums.add_borders(family, E, t[:, :R], reml=reml)
    information = sums.information - np.einsum("ipb,jpb->ijb", sums.h, sums.h)
    traces = sums.traces
    if reml:
        traces = traces + np.einsum("ipqb,jpqb->ijb", sums.d, sums.d)
    return Slopes(sums.F, sums.score, information, traces)


def _borders(family: Family, point: Point, N: FloatArray) -> FloatArray:
    """Return E', (K, p, R, U, B)."""
    p, K, R, U = family.X.shape
    B = N.shape[3]
    inner = transpose(point.root)[:, :, None]
    LX = multiply(inner, family.X.reshape(p, K * R, U, 1))
    turned = LX.reshape(p, K, R, U, B).swapaxes(0, 1).reshape(K, p * R, U, B)
    return multiply(transpose(N), turned).reshape(K, p, R, U, B)


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums over families, filled in place: as in `Slopes`; h (h, p, B), d (h, p, p, B)."""

    entries: Entries
    widths: tuple[int, ...]
    F: Factors
    score: FloatArray
    information: FloatArray
    traces: FloatArray
    h: FloatArray
    d: FloatArray

    def add_slope(self, family: Family, slope: FloatArray) -> None:
        """Add the diagonal blocks of (K, K, U, B), summed over levels, to F."""
        for f in self._factors(family):
            k, count = self.widths[f], family.counts[f]
            at = slice(family.starts[f], family.starts[f] + k * count)
            mine = slope[at, at].reshape(k, count, k, count, *slope.shape[2:])
            self.F[f][:] += np.einsum("xsysub->xyb", mine)

    def add_score(self, family: Family, tt: FloatArray) -> None:
        """Add t'D_i t."""
        for i, rows, cols in self._places(family):
            total = np.einsum("ssub->b", tt[rows, cols])
            self.score[i] += total if rows == cols else 2.0 * total

    def add_products(self, family: Family, V: FloatArray, Y: FloatArray, total: FloatArray) -> None:
        """Add tr(Y D_i V D_j) for all pairs of directions."""
        entries, widths = self.entries, self.widths
        for f in self._factors(family):
            for g in self._factors(family):
                if g < f:
                    continue
                i = np.flatnonzero(entries.factor == f)
                j = np.flatnonzero(entries.factor == g)
                between = [_pairs(family, blocks, f, g, widths) for blocks in (Y, V)]
                moments = np.einsum("irb,jrb->ijb", *between)
                shape = (widths[f], widths[g], widths[f], widths[g], -1)
                part = _symmetric_sum(moments.reshape(shape), entries, i, j)
                total[i[:, None], j] += part
                if f != g:
                    total[j[:, None], i] += part.swapaxes(0, 1)

    def add_borders(self, family: Family, E: FloatArray, t: FloatArray, *, reml: bool) -> None:
        """Add h_i = E D_i t and d_i = E D_i E'."""
        p, B = E.shape[1], E.shape[-1]
        for i, rows, cols in self._places(family):
            left, right = (E[at].swapaxes(0, 1).reshape(p, -1, B) for at in (rows, cols))
            self.h[i] += np.einsum("prb,rb->pb", left, t[cols].reshape(-1, B))
            if rows != cols:
                self.h[i] += np.einsum("prb,rb->pb", right, t[rows].reshape(-1, B))
            if reml:
                product = np.einsum("prb,qrb->pqb", left, right)
                self.d[i] += product if rows == cols else product + product.swapaxes(0, 1)

    def _factors(self, family: Family) -> Iterator[int]:
        """Yield the factors that occur in the family."""
        yield from (f for f, count in enumerate(family.counts) if count)

    def _places(self, family: Family) -> Iterator[tuple[int, slice, slice]]:
        """Yield the parameters whose factor occurs, and their rows and columns in a block."""
        entries = self.entries
        for i, (f, x, y) in enumerate(
            zip(entries.factor.tolist(), entries.x.tolist(), entries.y.tolist(), strict=True)
        ):
            count, start = family.counts[f], family.starts[f]
            if count:
                yield (
                    i,
                    slice(start + x * count, start + (x + 1) * count),
                    slice(start + y * count, start + (y + 1) * count),
                )


def _pairs(
    family: Family, blocks: FloatArray, f: int, g: int, widths: tuple[int, ...]
) -> FloatArray:
    """Return the parts of symmetric blocks between levels of f and g: (k_f k_g, r, B)."""
    k, k_g, m, n = widths[f], widths[g], family.counts[f], family.counts[g]
    rows = slice(family.starts[f], family.starts[f] + k * m)
    cols = slice(family.starts[g], family.starts[g] + k_g * n)
    U, B = blocks.shape[2:]
    part = blocks[rows, cols].reshape(k, m, k_g, n, U, B).transpose(0, 2, 1, 3, 4, 5)
    return part.reshape(k * k_g, m * n * U, B)


def _symmetric_sum(moments: FloatArray, entries: Entries, i: IntArray, j: IntArray) -> FloatArray:
    """Return tr(Y D_i V D_j) from the moments [x, z, y, w] of Y_xz V_yw, (i, j, B)."""
    x, y = entries.x[i][:, None], entries.y[i][:, None]
    z, w = entries.x[j][None], entries.y[j][None]
    total = moments[x, z, y, w] + moments[y, z, x, w] + moments[x, w, y, z] + moments[y, w, x, z]
    weight = np.where(x == y, 0.5, 1.0) * np.where(z == w, 0.5, 1.0)
    result: FloatArray = total * weight[..., None]
    return result
