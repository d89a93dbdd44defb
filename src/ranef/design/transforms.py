"""The transforms of a formula that make numbers from numbers and remember what they learned.

Each takes ``_state``, a dict that is filled on the first call and obeyed afterwards: means, knots
and polynomial coefficients of the training data serve for new data too. Missing values pass
through and teach nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from formulaic.transforms import basis_spline
from formulaic.transforms import poly as orthogonal_polynomials

from ranef.design.splines import natural_spline
from ranef.design.values import FactorValue, Matrix, as_number
from ranef.errors import DataError
from ranef.typing import FloatArray


def numeric(value: Any) -> Any:
    """Return a scalar or array as floats; DataError if it is not numeric."""
    if isinstance(value, FactorValue):
        raise DataError("a factor is not numeric.")
    if isinstance(value, str | tuple) or value is None:
        raise DataError("a number is needed.")
    return as_number(value)


def vector(x: Any) -> FloatArray:
    """Return ``x`` as one column of floats."""
    values: FloatArray = np.asarray(numeric(x), dtype=np.float64)
    if values.ndim != 1:
        raise DataError("a column of the data is needed here, not a constant.")
    return values


def scale(x: Any, center: Any = True, scale: Any = True, *, _state: dict[str, Any]) -> FloatArray:
    """Subtract the mean and divide by the standard deviation, as R: ignoring missing values."""
    values = vector(x)
    if "center" not in _state:
        present = values[~np.isnan(values)]
        _state["center"] = _amount(center, lambda: float(present.mean()), 0.0)
        rest = present - _state["center"]
        _state["scale"] = _amount(
            scale, lambda: float(np.sqrt((rest @ rest) / (len(rest) - 1))), 1.0
        )
    if not _state["scale"] > 0:
        raise DataError("the column is constant, so it cannot be scaled.")
    scaled: FloatArray = (values - _state["center"]) / _state["scale"]
    return scaled


def _amount(option: Any, compute: Callable[[], float], without: float) -> float:
    if isinstance(option, bool):
        return compute() if option else without
    return float(option)


def center(x: Any, *, _state: dict[str, Any]) -> FloatArray:
    """Subtract the mean."""
    return scale(x, True, False, _state=_state)


def poly(x: Any, degree: Any = 1, raw: Any = False, *, _state: dict[str, Any]) -> Matrix:
    """Return orthogonal polynomials, R's ``poly``; powers if ``raw``."""
    values = vector(x)
    degree = _count("degree", degree)
    names = tuple(str(k) for k in range(1, degree + 1))
    if raw:
        return Matrix(tuple(values**k for k in range(1, degree + 1)), names)
    if "alpha" not in _state and degree >= len(np.unique(values[~np.isnan(values)])):
        raise DataError("'degree' must be less than the number of different values.")
    basis = np.asarray(orthogonal_polynomials(values, degree, _state=_state))
    return Matrix(tuple(basis.T), names)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise DataError(f"{name!r} must be a whole number.")
    if not 1 <= value <= 1000:
        raise DataError(f"{name!r} must lie between 1 and 1000.")
    return int(value)


def _knots(knots: Any) -> list[float] | None:
    if knots is None:
        return None
    return [float(knot) for knot in (knots if isinstance(knots, tuple) else (knots,))]


def _on_present(
    x: Any, basis: Callable[[FloatArray], dict[Any, Any]]
) -> tuple[tuple[FloatArray, ...], int]:
    """Apply a spline basis to the rows that are present."""
    values = vector(x)
    present = ~np.isnan(values)
    if present.all():
        columns = basis(values)
        return tuple(np.asarray(c, dtype=np.float64) for c in columns.values()), len(columns)
    full = []
    for column in basis(values[present]).values():
        whole = np.full(len(values), np.nan)
        whole[present] = column
        full.append(whole)
    return tuple(full), len(full)


def _numbered(columns: tuple[FloatArray, ...], count: int) -> Matrix:
    return Matrix(columns, tuple(str(k) for k in range(1, count + 1)))


def bs(
    x: Any,
    df: Any = None,
    knots: Any = None,
    degree: Any = 3,
    intercept: Any = False,
    Boundary_knots: Any = None,
    *,
    _state: dict[str, Any],
) -> Matrix:
    """Return cubic (or other) B-splines, R's ``bs``; polynomials continue beyond the ends."""
    low, high = Boundary_knots or (None, None)
    if df is not None and knots is not None:
        df = None  # R lets the knots decide

    def basis(values: FloatArray) -> dict[Any, Any]:
        return dict(
            basis_spline(
                values,
                df=None if df is None else _count("df", df),
                knots=_knots(knots),
                degree=_count("degree", degree),
                include_intercept=bool(intercept),
                lower_bound=low,
                upper_bound=high,
                extrapolation="extend",
                _state=_state,
            )
        )

    return _numbered(*_on_present(x, basis))


def ns(
    x: Any,
    df: Any = None,
    knots: Any = None,
    intercept: Any = False,
    Boundary_knots: Any = None,
    *,
    _state: dict[str, Any],
) -> Matrix:
    """Return natural cubic splines, R's ``ns``; straight lines beyond the ends."""

    def basis(values: FloatArray) -> dict[Any, Any]:
        columns = natural_spline(
            values,
            df=None if df is None else _count("df", df),
            knots=_knots(knots),
            intercept=bool(intercept),
            bounds=None if Boundary_knots is None else tuple(_knots(Boundary_knots) or ()),
            state=_state,
        )
        return dict(enumerate(columns.T))

    return _numbered(*_on_present(x, basis))


def regression_spline(
    spline: Callable[..., Any],
) -> Callable[..., Matrix]:
    """Return formulaic's cubic regression spline ``cr`` or ``cc`` as a transform."""

    def apply(
        x: Any,
        df: Any = None,
        knots: Any = None,
        lower_bound: Any = None,
        upper_bound: Any = None,
        constraints: Any = None,
        *,
        _state: dict[str, Any],
    ) -> Matrix:
        def basis(values: FloatArray) -> dict[Any, Any]:
            return dict(
                spline(
                    values,
                    df=None if df is None else _count("df", df),
                    knots=_knots(knots),
                    lower_bound=lower_bound,
                    upper_bound=upper_bound,
                    constraints=constraints,
                    _state=_state,
                )
            )

        return _numbered(*_on_present(x, basis))

    return apply


def lag(x: Any, k: Any = 1) -> FloatArray:
    """Return the value ``k`` rows earlier; the first ``k`` rows are missing."""
    values = vector(x)
    steps = int(k)
    shifted = np.full(len(values), np.nan)
    if steps >= 0:
        shifted[steps:] = values[: max(len(values) - steps, 0)]
    else:
        shifted[:steps] = values[-steps:]
    return shifted
