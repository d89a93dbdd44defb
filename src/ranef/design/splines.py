"""Natural cubic splines with the basis of R's ``ns``.

The basis is the cubic B-spline basis on the knots, projected on the functions whose second
derivative vanishes at both boundaries: with C (2, K) those derivatives and C' = QR, the columns of
B Q after the first two. Outside of the boundaries the functions continue as straight lines. R
drops the first B-spline unless there is an intercept; Householder's Q fixes every sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.errors import DataError
from ranef.typing import FloatArray

_ORDER = 4


def natural_spline(
    x: FloatArray,
    *,
    df: int | None,
    knots: list[float] | None,
    intercept: bool,
    bounds: tuple[float, ...] | None,
    state: dict[str, Any],
) -> FloatArray:
    """Return the basis of natural cubic splines.

    Parameters
    ----------
    x : float64 array (n,)
        Without missing values.
    df : int, optional
        Number of columns; places the inner knots at quantiles. Default 1.
    knots : list of float, optional
        The inner knots instead.
    intercept : bool
        Whether the columns span the constant.
    bounds : tuple of two floats, optional
        Where the straight lines start; the range of ``x`` by default.
    state : dict
        Remembers the knots.

    Returns
    -------
    float64 array (n, df)
    """
    if "knots" not in state:
        low, high = bounds if bounds is not None else (float(x.min()), float(x.max()))
        if not low < high:
            raise DataError("a spline needs at least two different values.")
        if knots is None:
            inner = max((1 if df is None else df) - 1 - intercept, 0)
            inside = x[(x >= low) & (x <= high)]
            knots = np.quantile(inside, np.linspace(0, 1, inner + 2)[1:-1]).tolist()
        if any(not low < knot < high for knot in knots):
            raise DataError("the inner knots must lie between the boundary knots.")
        state["knots"] = sorted(knots)
        state["bounds"] = (low, high)
    low, high = state["bounds"]
    grid = np.array([low] * _ORDER + state["knots"] + [high] * _ORDER)
    first = 0 if intercept else 1
    basis = _with_straight_ends(x, grid, low, high)[:, first:]
    bends = b_splines(np.array([low, high]), grid, derivative=2)[:, first:]
    rotation = np.linalg.qr(bends.T, mode="complete")[0]
    result: FloatArray = (basis @ rotation)[:, 2:]
    return result


def b_splines(x: FloatArray, grid: FloatArray, *, derivative: int = 0) -> FloatArray:
    """Return cubic B-splines, or their derivatives, on a grid with fourfold ends.

    Parameters
    ----------
    x : float64 array (n,)
        Inside the grid.
    grid : float64 array (K + 4,)
    derivative : int

    Returns
    -------
    float64 array (n, K)
    """
    pieces = len(grid) - 1
    last = pieces - _ORDER  # the last piece of positive length; it owns the right end
    values = np.zeros((len(x), pieces))
    piece = np.clip(np.searchsorted(grid, x, side="right") - 1, _ORDER - 1, last)
    values[np.arange(len(x)), piece] = 1.0
    for order in range(2, _ORDER + 1):
        span = grid[order - 1 :] - grid[: len(grid) - order + 1]
        with np.errstate(divide="ignore"):
            inverse = np.where(span > 0, 1.0 / span, 0.0)
        count = len(grid) - order
        scaled = values * inverse[: values.shape[1]]
        left, right = scaled[:, :count], scaled[:, 1 : count + 1]
        if order > _ORDER - derivative:  # the last steps differentiate
            values = (order - 1) * (left - right)
        else:
            start, stop = grid[:count], grid[order : order + count]
            values = (x[:, None] - start) * left + (stop - x[:, None]) * right
    return values


def _with_straight_ends(x: FloatArray, grid: FloatArray, low: float, high: float) -> FloatArray:
    inside = np.clip(x, low, high)
    basis = b_splines(inside, grid)
    outside = x != inside
    if outside.any():
        slopes = b_splines(inside[outside], grid, derivative=1)
        basis[outside] += (x - inside)[outside, None] * slopes
    return basis
