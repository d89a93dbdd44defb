"""Which replicates have certainly reached their minimum: `ranef.optimize.certificate`, vectorised.

A replicate passes where the decrement vanished, the exact Hessian is positive (clearly, in the
directions that have variance), no variance of zero wants to grow, and no covariance block is better
left out. Whatever does not pass is not judged here: it is fitted again on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.chart import pivoted
from ranef.batch.criterion import Criterion
from ranef.batch.newton import Local, Search
from ranef.batch.reduce import Reduced
from ranef.batch.slopes import Factors, Point
from ranef.batch.small import is_positive
from ranef.covariance.chart import SINGULAR_BELOW
from ranef.optimize.certificate import (
    CLEARLY_NEEDED,
    CURVATURE_TOLERANCE,
    HARDLY_CURVED,
    KKT_TOLERANCE,
    LOWER,
)
from ranef.optimize.driver import ZERO_TOLERANCE
from ranef.typing import BoolArray, FloatArray

# A last pivot below this may belong to a singular value below `SINGULAR_BELOW`.
SUSPICIOUS_PIVOT = 1e-2
# Where rounding of the criterion exceeds this, a scalar fit has the better error analysis.
LARGEST_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """End points of a search, for the replicates that were found.

    Attributes
    ----------
    T : tuple of float64 arrays (k_f, k_f, B)
        Variances of zero are exactly zero.
    point : Point
        Values there.
    passed, singular : bool arrays (B,)
    """

    T: Factors
    point: Point
    passed: BoolArray
    singular: BoolArray


def certify(criterion: Criterion, responses: Reduced, search: Search) -> Ends:
    """Take the last step and judge it; ``responses`` are those of ``search.at``."""
    with np.errstate(all="ignore"):
        return _certify(criterion, responses, search)


def _certify(criterion: Criterion, responses: Reduced, search: Search) -> Ends:
    here = search.here
    T, point = _last_step(criterion, responses, search)
    T, point = _rounded(criterion, responses, T, point)
    singular, wanted = _null(criterion, T, here.F)
    passed = ~wanted & (point.rounding <= LARGEST_ROUNDING) & np.isfinite(point.value)
    passed &= _curves_up(here)
    passed &= ~_lower_without(criterion, responses, here, T, point.value)
    return Ends(T, point, passed, singular)


def _last_step(criterion: Criterion, responses: Reduced, search: Search) -> tuple[Factors, Point]:
    """Return the end points; the last step is not taken where it would be worse."""
    T = search.T
    point = criterion.value(responses, T)
    worse = ~(point.value <= search.here.value + search.here.noise)
    if worse.any():
        T = _where(worse, search.here.T, T)
        point = criterion.value(responses, T)
    return T, point


def _rounded(
    criterion: Criterion, responses: Reduced, T: Factors, point: Point
) -> tuple[Factors, Point]:
    """Replace directions of negligible variance by exact zeros, if the criterion does not mind."""
    T, _ = pivoted(T, criterion.structure.blocks)
    small = [np.einsum("abi,abi->bi", t, t) < SINGULAR_BELOW**2 for t in T]
    touched = np.flatnonzero(np.any([part.any(axis=0) for part in small], axis=0))
    if not len(touched):
        return T, point
    zeroed = tuple(
        np.where(part[:, touched], 0.0, t[..., touched]) for t, part in zip(T, small, strict=True)
    )
    there = criterion.value(responses.part(touched), zeroed)
    good = there.value <= point.value[touched] + ZERO_TOLERANCE
    chosen = touched[good]
    for t, new in zip(T, zeroed, strict=True):
        t[..., chosen] = new[..., good]
    for name in Point.__slots__:
        getattr(point, name)[..., chosen] = getattr(there, name)[..., good]
    return T, point


def _null(criterion: Criterion, T: Factors, F: Factors) -> tuple[BoolArray, BoolArray]:
    """Tell which replicates lack variance in some direction, and where such a variance wants in."""
    size = T[0].shape[2]
    singular, wanted = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for t, slope, parts in zip(T, F, criterion.structure.blocks, strict=True):
        for start, stop in parts:
            block = t[start:stop, start:stop]
            last = np.sqrt(np.einsum("abi,abi->bi", block, block).min(axis=0))
            near = np.flatnonzero(last < SUSPICIOUS_PIVOT)
            if not len(near):
                continue
            left, values, _ = np.linalg.svd(block[..., near].transpose(2, 0, 1))
            null = values < SINGULAR_BELOW
            singular[near] |= null.any(axis=1)
            mine = slope[start:stop, start:stop, near]
            along = np.einsum("iax,abi,ibx->ix", left, mine, left)
            wanted[near] |= (null & ~(along >= -KKT_TOLERANCE)).any(axis=1)
    return singular, wanted


def _curves_up(here: Local) -> BoolArray:
    """Tell where the exact Hessian is positive, clearly so for parameters that have variance."""
    H, charts = here.exact, here.charts
    x = charts.read(here.T)
    sizes = [np.sqrt(np.einsum("abi,abi->bi", t, t)) for t in here.T]
    inside = np.array(
        [
            sizes[f][b] >= SINGULAR_BELOW
            for f, b in zip(charts.factor.tolist(), charts.col.tolist(), strict=True)
        ]
    )
    scale = np.maximum(1.0, np.abs(x))
    both = inside[:, None] & inside
    diagonal = np.eye(len(x))[..., None]
    scaled = np.where(both, H * (scale[:, None] * scale) - HARDLY_CURVED * diagonal, diagonal)
    largest = np.abs(H).max(axis=(0, 1))  # an eigenvalue is at least this over h
    tolerated = H + CURVATURE_TOLERANCE * np.maximum(1.0, largest) * diagonal
    return is_positive(scaled) & is_positive(tolerated)


def _lower_without(
    criterion: Criterion, responses: Reduced, here: Local, T: Factors, value: FloatArray
) -> BoolArray:
    """Tell where the criterion is lower with one covariance block at zero."""
    charts = here.charts
    x = charts.read(here.T)
    lower = np.zeros(len(value), dtype=bool)
    for f, parts in enumerate(criterion.structure.blocks):
        for start, stop in parts:
            mine = (charts.factor == f) & (charts.col >= start) & (charts.col < stop)
            inside = x * mine[:, None]
            rise = np.einsum("ib,ijb,jb->b", inside, here.exact, inside)
            block = T[f][start:stop, start:stop]
            tried = np.flatnonzero(~(rise > CLEARLY_NEEDED) & (block != 0.0).any(axis=(0, 1)))
            if not len(tried):
                continue
            without = tuple(t[..., tried].copy() for t in T)
            without[f][start:stop] = 0.0
            at_zero = criterion.value(responses.part(tried), without).value
            lower[tried] |= at_zero < value[tried] - LOWER
    return lower


def _where(chosen: BoolArray, one: Factors, other: Factors) -> Factors:
    return tuple(np.where(chosen, a, b) for a, b in zip(one, other, strict=True))
