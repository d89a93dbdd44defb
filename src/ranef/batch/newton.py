"""Newton's method on all replicates at once; those that have converged leave the batch.

The method is that of `ranef.optimize.newton`: pivoted coordinates before every step, average
information while the decrement exceeds one half, the exact Hessian afterwards, a trust region for
each replicate. Where the curvature is positive definite and the step lies inside the region, which
is nearly always, a vectorised Cholesky factorisation gives the step; the others are decomposed by
eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.batch.chart import Charts, pivoted, transform
from ranef.batch.criterion import Criterion
from ranef.batch.reduce import Reduced
from ranef.batch.slopes import Factors
from ranef.batch.small import inverse_factor, times, transpose
from ranef.optimize.newton import EXACT_BELOW, NOISE, SMALLEST_CURVATURE
from ranef.typing import BoolArray, FloatArray, IntArray

MAX_EVALUATIONS = 40
TOLERANCE = 1e-8
SMALLEST_RADIUS = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """Value, gradient and curvature of B replicates, each at its own T in its own chart.

    T and F are tuples of (k_f, k_f, B); the others (B,), (h, B) or (h, h, B).
    """

    T: Factors
    charts: Charts
    value: FloatArray
    rounding: FloatArray
    F: Factors
    gradient: FloatArray
    average: FloatArray
    exact: FloatArray

    @property
    def noise(self) -> FloatArray:
        """How much of a change in the criterion may be rounding."""
        return np.maximum(NOISE * np.maximum(1.0, np.abs(self.value)), 0.01 * self.rounding)

    def part(self, chosen: IntArray | BoolArray) -> Local:
        """Return some of the replicates."""
        return _combined([self], lambda arrays: arrays[0][..., chosen])

    def replaced(self, other: Local, chosen: BoolArray) -> Local:
        """Return the replicates with those chosen taken from ``other``."""
        if chosen.all():
            return other
        return _combined([self, other], lambda arrays: np.where(chosen, arrays[1], arrays[0]))


def _combined(parts: list[Local], operation: Callable[[list[Any]], Any]) -> Local:
    """Apply an operation to like arrays of all parts, replicates last."""

    def array(name: str) -> FloatArray:
        result: FloatArray = operation([getattr(part, name) for part in parts])
        return result

    def factors(name: str) -> Factors:
        like = zip(*(getattr(part, name) for part in parts), strict=True)
        return tuple(operation(list(arrays)) for arrays in like)

    charts = parts[0].charts
    return Local(
        T=factors("T"),
        charts=Charts(charts.factor, charts.col, operation([part.charts.row for part in parts])),
        value=array("value"),
        rounding=array("rounding"),
        F=factors("F"),
        gradient=array("gradient"),
        average=array("average"),
        exact=array("exact"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Where the replicates ended.

    Attributes
    ----------
    at : int array (found,)
        The replicates whose decrement vanished, in the order of ``here`` and ``T``.
    here : Local
        Derivatives at the last point.
    T : tuple of float64 arrays (k_f, k_f, found)
        One converged step further.
    evaluations : int
        Rounds of evaluations.
    """

    at: IntArray
    here: Local
    T: Factors
    evaluations: int


def locate(criterion: Criterion, responses: Reduced, T: Factors) -> Local:
    """Evaluate everything at T, re-expressed by pivoted factors."""
    T, charts = pivoted(T, criterion.structure.blocks)
    point, slopes = criterion.evaluate(responses, T)
    derivatives = transform(
        slopes, T, charts, criterion.entries, criterion.nu / point.r2, criterion.nu
    )
    return Local(T, charts, point.value, point.rounding, slopes.F, *derivatives)


def newton(criterion: Criterion, responses: Reduced, start: Factors) -> Search:
    """Minimise every replicate's criterion from ``start``, (k_f, k_f, B)."""
    with np.errstate(all="ignore"):
        return _newton(criterion, responses, start)


def _newton(criterion: Criterion, responses: Reduced, start: Factors) -> Search:
    here = locate(criterion, responses, start)
    index = np.arange(responses.size)
    x = here.charts.read(here.T)
    radius = np.maximum(1.0, np.sqrt((x * x).sum(axis=0)))
    ended: list[tuple[IntArray, Local, Factors]] = []
    count = 1
    while True:
        step, decrement, promised = _steps(here, radius)
        done = decrement < np.maximum(TOLERANCE, here.noise)
        moved = here.charts.write(here.T, x + step)
        if done.any():
            at = np.flatnonzero(done)
            ended.append((index[at], here.part(at), tuple(t[..., at] for t in moved)))
        length = np.sqrt((step * step).sum(axis=0))
        going = ~done & np.isfinite(here.value) & np.isfinite(length)
        going &= radius > SMALLEST_RADIUS
        if not going.any() or count == MAX_EVALUATIONS:
            break
        if not going.all():
            left = np.flatnonzero(going)
            index, radius = index[left], radius[left]
            length, promised = length[left], promised[left]
            here, moved = here.part(left), tuple(t[..., left] for t in moved)
            responses = responses.part(left)
        there = locate(criterion, responses, moved)
        count += 1
        better = there.value <= here.value + here.noise
        ratio = (here.value - there.value) / promised
        grown = np.where(ratio > 0.75, np.maximum(radius, 3.0 * length), radius)
        shrunk = np.maximum(length / 4.0, 1e-8)
        grown = np.where((ratio < 0.25) & (promised > here.noise), shrunk, grown)
        radius = np.where(better, grown, length / 4.0)
        here = here.replaced(there, better)
        x = here.charts.read(here.T)
    if not ended:
        return Search(index[:0], here.part(index[:0]), tuple(t[..., :0] for t in here.T), count)
    return Search(
        np.concatenate([at for at, _, _ in ended]),
        _combined([local for _, local, _ in ended], lambda arrays: np.concatenate(arrays, axis=-1)),
        tuple(
            np.concatenate(parts, axis=-1) for parts in zip(*(T for *_, T in ended), strict=True)
        ),
        count,
    )


def _steps(here: Local, radius: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return steps (h, B), Newton decrements and promised decreases (B,)."""
    gradient = here.gradient
    by_average, decrement, good = _by_cholesky(here.average, gradient)
    by_exact, exact_decrement, exact_good = _by_cholesky(here.exact, gradient)
    near = decrement < EXACT_BELOW
    step = np.where(near, by_exact, by_average)
    decrement = np.where(near, exact_decrement, decrement)
    fine = good & (exact_good | ~near)
    fine &= (step * step).sum(axis=0) <= radius * radius
    promised = 0.5 * decrement
    rest = np.flatnonzero(~fine & np.isfinite(here.value))
    if len(rest):
        slow = _by_eigenvalues(here.part(rest), radius[rest])
        step[:, rest], decrement[rest], promised[rest] = slow
    return step, decrement, promised


def _by_cholesky(
    curvature: FloatArray, gradient: FloatArray
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return Newton steps, decrements, and where the curvature is positive definite."""
    factor, logs = inverse_factor(curvature)
    half = times(transpose(factor), gradient)
    return -times(factor, half), (half * half).sum(axis=0), np.isfinite(logs)


def _by_eigenvalues(here: Local, radius: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return steps inside the trust region by absolute eigenvalues, decrements, promises."""
    gradient = here.gradient.T
    size, vectors, along = _decomposed(here.average, gradient)
    near = (along * along / size).sum(axis=1) < EXACT_BELOW
    if near.any():
        part = _decomposed(here.exact[..., near], gradient[near])
        size[near], vectors[near], along[near] = part
    decrement = (along * along / size).sum(axis=1)
    limit = radius[:, None]
    long = ((along / size) ** 2).sum(axis=1) > radius * radius
    low, high = np.zeros_like(limit), np.sqrt((along * along).sum(axis=1))[:, None] / limit
    for _ in range(40 if long.any() else 0):
        mu = 0.5 * (low + high)
        outside = ((along / (size + mu)) ** 2).sum(axis=1)[:, None] > limit * limit
        low, high = np.where(outside, mu, low), np.where(outside, high, mu)
    scaled = along / (size + np.where(long[:, None], high, 0.0))
    promised = (scaled * along - 0.5 * size * scaled * scaled).sum(axis=1)
    step = -np.einsum("bij,bj->ib", vectors, scaled)
    return step, decrement, promised


def _decomposed(
    curvature: FloatArray, gradient: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return absolute, floored eigenvalues (B, h), vectors (B, h, h), and V'gradient (B, h)."""
    values, vectors = np.linalg.eigh(curvature.transpose(2, 0, 1))
    size = np.abs(values)
    floor = np.maximum(SMALLEST_CURVATURE * size.max(axis=1, keepdims=True), 1e-12)
    return np.maximum(size, floor), vectors, np.einsum("bij,bi->bj", vectors, gradient)
