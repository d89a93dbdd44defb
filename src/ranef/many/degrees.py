"""Satterthwaite's degrees of freedom for many responses at once.

`ranef.inference.satterthwaite` has phi = l'Phi l, the Hessian in (x, sigma^2) and its inverse. With
sigma^2 profiled out the block inverse there collapses to

    1 / df  =  1 / nu  +  d'H^-1 d,        d = d log phi(x) / dx,

H the Hessian of the profiled criterion and phi(x) = (r^2 / nu) l'C l, C = inv(Q'V0^-1 Q): what is
known about the direction l is limited by the residual degrees of freedom, and by how much the
uncertainty of the covariance parameters moves the variance. With w = C l, e_j = Z_j'V0^-1 Q w and
t = Z'Py,

    d = 2 [ (sum_j e_j e_j') / l'w  -  (sum_j t_j t_j') / r^2 ] T

at the free entries of T. H and sum t t' come from one evaluation by `ranef.batch.criterion`; the
e_j of a block of random effects are

    e = X'w - G K_ X'w,        K_ = T (I + T'G T)^-1 T'.

Directions without variance take no part, as there. Cost: one evaluation, and O(K^2) for every
coefficient and class of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.chart import Charts, pivoted, transform
from ranef.batch.criterion import Criterion
from ranef.batch.reduce import Reduced
from ranef.batch.refit import CACHED, ENOUGH_AT_ONCE, LARGEST_ARRAY, MOST_AT_ONCE
from ranef.batch.slopes import Factors, Point, Slopes
from ranef.batch.small import inverse_factor, multiply, times, transpose
from ranef.batch.structure import Family
from ranef.covariance.chart import SINGULAR_BELOW
from ranef.inference.satterthwaite import FLAT
from ranef.optimize.certificate import KKT_TOLERANCE
from ranef.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """How well coefficients and covariance parameters are determined, for B responses.

    Attributes
    ----------
    df : float64 array (m, B)
        Degrees of freedom of every coefficient.
    curvature : float64 array (B,)
        Smallest eigenvalue of the Hessian per relative change of the parameters that have variance;
        infinite where none has. Zero where a variance is zero without need.
    """

    df: FloatArray
    curvature: FloatArray


def precision(criterion: Criterion, responses: Reduced, T: Factors, rows: FloatArray) -> Precision:
    """Return degrees of freedom at the minima.

    Parameters
    ----------
    criterion : Criterion
    responses : Reduced
        B responses.
    T : tuple of float64 arrays (k_f, k_f, B)
        Where their criteria are minimal.
    rows : float64 array (m, p)
        Linear functions of the coefficients of Q.
    """
    footprint = criterion.structure.footprint
    least = max(1, min(ENOUGH_AT_ONCE, LARGEST_ARRAY // footprint))
    size = max(least, min(MOST_AT_ONCE, CACHED // footprint))
    df, curvature = np.full((len(rows), responses.size), np.nan), np.full(responses.size, np.nan)
    for first in range(0, responses.size, size):
        part = slice(first, first + size)
        with np.errstate(all="ignore"):
            found = _precision(
                criterion, responses.part(part), tuple(t[..., part] for t in T), rows
            )
        df[:, part], curvature[part] = found.df, found.curvature
    return Precision(df, curvature)


def _precision(criterion: Criterion, responses: Reduced, T: Factors, rows: FloatArray) -> Precision:
    T, charts = pivoted(T, criterion.structure.blocks)
    point, slopes = criterion.evaluate(responses, T)
    scale = criterion.nu / point.r2
    _, _, hessian = transform(slopes, T, charts, criterion.entries, scale, criterion.nu)
    free = _free(T, charts)
    x = charts.read(T)
    size = np.maximum(1.0, np.abs(x))  # relative for large parameters, as in the scalar version
    values, vectors = _decomposed(hessian * (size[:, None] * size), free)
    kept = values > FLAT * np.maximum(values.max(axis=1, initial=0.0), 0.0)[:, None]
    residual = _moments_of_residuals(criterion, slopes, point)
    df = np.empty((len(rows), responses.size))
    for m, (share, moments) in enumerate(_moments_of_coefficients(criterion, point, T, rows)):
        slope = charts.read(
            tuple(
                2.0 * multiply(e / share - t, t_f)
                for e, t, t_f in zip(moments, residual, T, strict=True)
            )
        )
        along = np.einsum("bij,ib->bj", vectors, np.where(free, slope * size, 0.0))
        spread = (np.where(kept, along * along, 0.0) / np.where(kept, values, 1.0)).sum(axis=1)
        df[m] = 1.0 / (1.0 / criterion.nu + spread)
    smallest = np.where(free.any(axis=0), values.min(axis=1, initial=np.inf), np.inf)
    singular = np.flatnonzero(~free.all(axis=0))
    smallest[singular[_is_flat(criterion, T, slopes.F, singular)]] = 0.0
    return Precision(df, smallest)


def _is_flat(criterion: Criterion, T: Factors, F: Factors, at: IntArray) -> BoolArray:
    """Tell where a variance that is zero could as well be a little larger, for responses ``at``."""
    flat = np.zeros(len(at), dtype=bool)
    for t, slope, parts in zip(T, F, criterion.structure.blocks, strict=True):
        for start, stop in parts:
            left, values, _ = np.linalg.svd(t[start:stop, start:stop, at].transpose(2, 0, 1))
            along = np.einsum("iax,abi,ibx->ix", left, slope[start:stop, start:stop, at], left)
            flat |= ((values < SINGULAR_BELOW) & (along <= KKT_TOLERANCE)).any(axis=1)
    return flat


def _free(T: Factors, charts: Charts) -> BoolArray:
    """Tell which parameters stand in columns of T that are not (nearly) zero, (h, B)."""
    sizes = [np.sqrt(np.einsum("abi,abi->bi", t, t)) for t in T]
    columns = zip(charts.factor.tolist(), charts.col.tolist(), strict=True)
    return np.array([sizes[f][b] >= SINGULAR_BELOW for f, b in columns])


def _decomposed(matrices: FloatArray, free: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues (B, h) and vectors (B, h, h) of the free parts of (h, h, B).

    What is not free gets an eigenvalue of its own that is neither the smallest nor the largest.
    """
    h = len(free)
    inside = np.where(free[:, None] & free, matrices, 0.0)
    inside[:, :, ~np.isfinite(inside).all(axis=(0, 1))] = 0.0
    diagonal = np.einsum("iib->ib", inside)
    diagonal[...] = np.where(free, diagonal, diagonal.max(axis=0))
    if h == 1:  # no need to ask LAPACK
        return inside[0].T.copy(), np.ones((matrices.shape[2], 1, 1))
    values, vectors = np.linalg.eigh(inside.transpose(2, 0, 1))
    return values, vectors


def _moments_of_residuals(criterion: Criterion, slopes: Slopes, point: Point) -> Factors:
    """Return sum t t' / r^2 for every factor, (k_f, k_f, B)."""
    out = [np.zeros((k, k, len(point.r2))) for k in criterion.structure.widths]
    entries = criterion.entries
    table = zip(entries.factor.tolist(), entries.x.tolist(), entries.y.tolist(), strict=True)
    for (f, a, b), score in zip(table, slopes.score, strict=True):
        out[f][a, b] = out[f][b, a] = (score if a == b else 0.5 * score) / point.r2
    # effects of different blocks do not touch T, but stay zero here: T is block diagonal
    return tuple(out)


def _moments_of_coefficients(
    criterion: Criterion, point: Point, T: Factors, rows: FloatArray
) -> list[tuple[FloatArray, Factors]]:
    """Return l'w (B,) and sum e e' (k_f, k_f, B) for every row."""
    structure, B = criterion.structure, len(point.r2)
    roots = [_root(family, T) for family in structure.families]
    out = []
    for row in rows:
        half = times(transpose(point.root), np.repeat(row[:, None], B, axis=1))
        w = times(point.root, half)
        moments = tuple(np.zeros((k, k, B)) for k in structure.widths)
        for family, root in zip(structure.families, roots, strict=True):
            if family.columns:
                _add_moments(moments, family, root, w)
        out.append(((half * half).sum(axis=0), moments))
    return out


def _root(family: Family, T: Factors) -> FloatArray:
    """Return a root of K_: (K, K, U, B) with root root' = K_."""
    K, B = family.width, T[0].shape[2]
    whole = np.zeros((K, K, 1, B))  # T, repeated for every level in the block
    for t, start, count in zip(T, family.starts, family.counts, strict=True):
        for level in range(count):
            at = start + level + count * np.arange(len(t))
            whole[at[:, None], at, 0] = t
    M = multiply(transpose(whole), multiply(family.G[..., None], whole))
    M[np.arange(K), np.arange(K)] += 1.0
    return multiply(whole, inverse_factor(M)[0])


def _add_moments(moments: Factors, family: Family, root: FloatArray, w: FloatArray) -> None:
    """Add a family's part of sum e e'."""
    p, K, R, U = family.X.shape
    Xw = (family.X.reshape(p, -1).T @ w).reshape(K, R, U, -1)
    e = Xw - multiply(family.G[..., None], multiply(root, multiply(transpose(root), Xw)))
    for f, (total, start, count) in enumerate(
        zip(moments, family.starts, family.counts, strict=True)
    ):
        if count:
            k = len(total)
            mine = e[start : start + k * count].reshape(k, -1, e.shape[3])
            moments[f][:] += np.einsum("xrb,yrb->xyb", mine, mine)
