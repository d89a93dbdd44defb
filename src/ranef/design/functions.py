"""The functions a formula may call, under their names in R.

A closed list: a formula is data, and nothing outside of this table (and the caller's ``context``)
can be reached from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from formulaic.transforms import cyclic_cubic_spline, natural_cubic_spline

from ranef.design import factors, transforms
from ranef.design.contrasts import CONTRAST_NAMES, ContrastRequest


def _elementwise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        return function(transforms.numeric(x))

    return apply


def _log(x: Any, base: Any = None) -> Any:
    logarithm = np.log(transforms.numeric(x))
    return logarithm if base is None else logarithm / np.log(transforms.numeric(base))


def _round(x: Any, digits: Any = 0) -> Any:
    return np.round(transforms.numeric(x), int(digits))


def _identity(x: Any) -> Any:
    return x


def _request(spelling: str) -> Callable[..., ContrastRequest]:
    """Return what a contrast does when it is called: ``contr.treatment(3, base = 2)``."""
    name = CONTRAST_NAMES[spelling]

    def of_r(n: Any = None, base: Any = None) -> ContrastRequest:
        # R's n is the number of levels, which the data have; formulaic's base is a level
        level = next((value for value in (n, base) if isinstance(value, str)), None)
        return ContrastRequest(name, level, None if isinstance(base, str) else base)

    def of_formulaic(reference: Any = None) -> ContrastRequest:
        return ContrastRequest(name, reference)

    return of_r if spelling.startswith("contr.") else of_formulaic


ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "expm1": np.expm1,
    "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "floor": np.floor, "ceiling": np.ceil, "sign": np.sign,
}  # fmt: skip

STATEFUL: dict[str, Callable[..., Any]] = {
    "scale": transforms.scale,
    "center": transforms.center,
    "poly": transforms.poly,
    "bs": transforms.bs,
    "ns": transforms.ns,
    "cr": transforms.regression_spline(natural_cubic_spline),
    "cs": transforms.regression_spline(natural_cubic_spline),
    "cc": transforms.regression_spline(cyclic_cubic_spline),
    "factor": factors.factor,
    "ordered": factors.ordered,
    "relevel": factors.relevel,
    "C": factors.coded,
    "as.numeric": factors.as_numeric,
    "as.integer": factors.as_integer,
    "dummy": factors.dummy,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _elementwise(function) for name, function in ELEMENTWISE.items()},
    **STATEFUL,
    "log": _log,
    "round": _round,
    "I": _identity,
    "lag": transforms.lag,
    "as.factor": factors.as_factor,
    **{spelling: _request(spelling) for spelling in CONTRAST_NAMES},
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
