"""The functions a formula may call, under their names in R.

A closed list: a formula is data, and nothing outside of this table (and the caller's ``context``)
can be reached from it. Stateful functions take ``_state``, a dict that is filled on the first
call and obeyed afterwards. Missing values pass through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import (
    basis_spline,
    cyclic_cubic_spline,
    natural_cubic_spline,
)
from formulaic.transforms import (
    poly as orthogonal_polynomials,
)
from numpy.typing import NDArray

from ranef.design.contrasts import CONTRAST_NAMES, ContrastRequest
from ranef.design.splines import natural_spline
from ranef.design.values import FactorValue, Matrix, as_number
from ranef.errors import DataError
from ranef.typing import FloatArray


def _numeric(value: Any) -> Any:
    if isinstance(value, FactorValue):
        raise DataError("a factor is not numeric.")
    if isinstance(value, str | tuple) or value is None:
        raise DataError("a number is needed.")
    return as_number(value)


def _elementwise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        return function(_numeric(x))

    return apply


def _log(x: Any, base: Any = None) -> Any:
    logarithm = np.log(_numeric(x))
    return logarithm if base is None else logarithm / np.log(_numeric(base))


def _round(x: Any, digits: Any = 0) -> Any:
    return np.round(_numeric(x), int(digits))


def _identity(x: Any) -> Any:
    return x


def _vector(x: Any) -> FloatArray:
    """Return ``x`` as one column of floats."""
    values: FloatArray = np.asarray(_numeric(x), dtype=np.float64)
    if values.ndim != 1:
        raise DataError("a column of the data is needed here, not a constant.")
    return values


def _scale(x: Any, center: Any = True, scale: Any = True, *, _state: dict[str, Any]) -> FloatArray:
    """Subtract the mean and divide by the standard deviation, as R: ignoring missing values."""
    values = _vector(x)
    if "center" not in _state:
        present = values[~np.isnan(values)]
        _state["center"] = _amount(center, lambda: float(present.mean()), 0.0)
        rest = present - _state["center"]
        _state["scale"] = _amount(
            scale, lambda: float(np.sqrt((rest @ rest) / (len(rest) - 1))), 1.0
        )
    if not _state["scale"] > 0:
        raise DataError("the column is constant, so it cannot be scaled.")
    return (values - _state["center"]) / float(_state["scale"])


def _amount(option: Any, compute: Callable[[], float], without: float) -> float:
    if isinstance(option, bool):
        return compute() if option else without
    return float(option)


def _center(x: Any, *, _state: dict[str, Any]) -> FloatArray:
    return _scale(x, True, False, _state=_state)


def _poly(x: Any, degree: Any = 1, raw: Any = False, *, _state: dict[str, Any]) -> Matrix:
    values = _vector(x)
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
    values = _vector(x)
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


def _bs(
    x: Any,
    df: Any = None,
    knots: Any = None,
    degree: Any = 3,
    intercept: Any = False,
    Boundary_knots: Any = None,  # noqa: N803 - R's Boundary.knots
    *,
    _state: dict[str, Any],
) -> Matrix:
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


def _ns(
    x: Any,
    df: Any = None,
    knots: Any = None,
    intercept: Any = False,
    Boundary_knots: Any = None,  # noqa: N803 - R's Boundary.knots
    *,
    _state: dict[str, Any],
) -> Matrix:
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


def _regression_spline(
    spline: Callable[..., Any],
) -> Callable[..., Matrix]:
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


def _lag(x: Any, k: Any = 1) -> FloatArray:
    """Return the value ``k`` rows earlier; the first ``k`` rows are missing."""
    values = _vector(x)
    steps = int(k)
    shifted = np.full(len(values), np.nan)
    if steps >= 0:
        shifted[steps:] = values[: max(len(values) - steps, 0)]
    else:
        shifted[:steps] = values[-steps:]
    return shifted


def _factor(x: Any, levels: Any = None, labels: Any = None, ordered: Any = None) -> FactorValue:
    found = _as_factor(x)
    codes, names, text = found.codes, found.levels, found.text
    if levels is not None:
        wanted = levels if isinstance(levels, tuple) else (levels,)
        position = {found.code_of(level): new for new, level in enumerate(wanted)}
        table = np.array([position.get(code, -1) for code in range(len(names))] + [-1])
        codes, names, text = table[codes], pd.Index(list(wanted)), False
    if labels is not None:
        shown = labels if isinstance(labels, tuple) else (labels,)
        if len(shown) != len(names):
            raise DataError(f"{len(shown)} labels for {len(names)} levels.")
        names = pd.Index(list(shown))
    rank = found.ordered if ordered is None else bool(ordered)
    return FactorValue(codes, names, ordered=rank, text=text)


def _as_factor(x: Any) -> FactorValue:
    if isinstance(x, FactorValue):
        return FactorValue(x.codes, x.levels, ordered=x.ordered, text=x.text)
    if not isinstance(x, np.ndarray):
        raise DataError("a column of the data is needed here.")
    codes, levels = pd.factorize(x, sort=True)
    return FactorValue(codes, pd.Index(levels))


def _ordered(x: Any, levels: Any = None, labels: Any = None) -> FactorValue:
    return _factor(x, levels, labels, True)


def _relevel(x: Any, ref: Any) -> FactorValue:
    found = _as_factor(x)
    first = found.code_of(ref)
    if first < 0:
        raise DataError(f"{ref!r} is not a level.")
    rest = [level for code, level in enumerate(found.levels) if code != first]
    return _factor(found, (found.levels[first], *rest))


def _coded(x: Any, contrasts: Any = None, *, levels: Any = None) -> FactorValue:
    found = _factor(x, levels)
    return FactorValue(
        found.codes, found.levels, ordered=found.ordered, text=found.text, contrast=contrasts
    )


def _as_numeric(x: Any) -> FloatArray:
    if not isinstance(x, FactorValue):
        return _vector(x)
    missing = x.codes < 0
    if x.text:
        numbers = pd.to_numeric(pd.Series(x.levels), errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(numbers).any():
            bad = x.levels[np.isnan(numbers)][0]
            raise DataError(f"{bad!r} is not a number.")
        values: NDArray[Any] = numbers[x.codes]
    else:
        values = x.codes + 1.0  # R numbers the levels from 1
    return np.where(missing, np.nan, values)


def _as_integer(x: Any) -> FloatArray:
    return np.asarray(np.trunc(_as_numeric(x)), dtype=np.float64)


def _request(name: str) -> Callable[..., ContrastRequest]:
    @wraps(ContrastRequest)
    def build(reference: Any = None, *, base: Any = None) -> ContrastRequest:
        return ContrastRequest(name, reference, base)

    return build


ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "expm1": np.expm1,
    "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "floor": np.floor, "ceiling": np.ceil, "sign": np.sign,
}  # fmt: skip

STATEFUL: dict[str, Callable[..., Any]] = {
    "scale": _scale,
    "center": _center,
    "poly": _poly,
    "bs": _bs,
    "ns": _ns,
    "cr": _regression_spline(natural_cubic_spline),
    "cs": _regression_spline(natural_cubic_spline),
    "cc": _regression_spline(cyclic_cubic_spline),
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _elementwise(function) for name, function in ELEMENTWISE.items()},
    **STATEFUL,
    "log": _log,
    "round": _round,
    "I": _identity,
    "lag": _lag,
    "factor": _factor,
    "as.factor": _as_factor,
    "ordered": _ordered,
    "relevel": _relevel,
    "C": _coded,
    "as.numeric": _as_numeric,
    "as.integer": _as_integer,
    **{spelling: _request(name) for spelling, name in CONTRAST_NAMES.items()},
}

CONSTANTS: dict[str, Any] = {
    "pi": float(np.pi),
    **{spelling: ContrastRequest(name) for spelling, name in CONTRAST_NAMES.items()},
}


@cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FUNCTIONS[name])


def signature_error(name: str, arguments: list[Any], named: dict[str, Any]) -> str:
    """Return what is wrong with the arguments of a call, or nothing."""
    try:
        _signature(name).bind(*arguments, **named)
    except TypeError as error:
        return f"{name}() cannot be called like this: {error}."
    return ""
