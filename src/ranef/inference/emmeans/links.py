"""Transformed responses, and the way back: log(y), sqrt(y) and the like.

A model of log(y) is linear in log(y). Its means, transformed back, are not means of y but values of
y at means of log(y); intervals are transformed at their ends, and standard errors by the slope of
the inverse (the delta method). Differences of logarithms are ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ranef.errors import OptionError
from ranef.formula.nodes import Call, Constant, Name, Node, Operation, is_number, render, walk
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

KNOWN = ("log", "log2", "log10", "log1p", "sqrt", "exp")


@dataclass(frozen=True, slots=True)
class Link:
    """A transformation of the response, eta = f(y + shift).

    Attributes
    ----------
    name : str
        As in the formula: ``log``.
    inverse, slope : callable
        f's inverse, and its derivative, of eta (n,).
    shift : float
    is_log : bool
        Differences on this scale are logarithms of ratios.
    """

    name: str
    inverse: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]
    shift: float = 0.0
    is_log: bool = False

    def back(self, eta: FloatArray) -> FloatArray:
        """Return the response."""
        return self.inverse(eta) - self.shift

    def of_ratios(self) -> Link:
        """Return the way from differences of logarithms to ratios, where the shift cancels."""
        return Link(self.name, self.inverse, self.slope, is_log=True)


def find_link(model: LinearMixedModel) -> Link | None:
    """Return the transformation that the formula applies to the response, if it has a way back."""
    node = _response(model)
    if not isinstance(node, Call) or node.function in model.design.spec.context:
        return None
    if node.function not in KNOWN or not node.arguments:
        return None
    inner, shift = _shifted(node.arguments[0])
    if any(isinstance(part, Call) for part in walk(inner)):
        return None
    bases = {"log": _base(node), "log2": 2.0, "log10": 10.0}
    if node.function in bases:
        base = bases[node.function]
        name = node.function if node.function != "log" or base == math.e else render(node)
        return None if base is None else _logarithm(name, base, shift)
    others: dict[str, Link] = {
        "log1p": Link("log1p", np.expm1, np.exp, shift),
        "sqrt": Link("sqrt", _square, _twice, shift),
        "exp": Link("exp", np.log, np.reciprocal, shift),
    }
    return others[node.function]


def required_link(model: LinearMixedModel) -> Link | None:
    """Return the way back to the response; None if the response is not transformed.

    Raises
    ------
    OptionError
        If it is, in a way that is not known.
    """
    link = find_link(model)
    if link is None and transformed_response(model) is not None:
        raise OptionError(
            f"type='response' is known for {', '.join(KNOWN)} of the response; the response is "
            f"{model.formula.response}. Use type='link'."
        )
    return link


def transformed_response(model: LinearMixedModel) -> str | None:
    """Return what the response is if it is not a variable itself: ``scale(y)``; else None."""
    node = _response(model)
    return None if isinstance(node, Name) else render(node)


def _response(model: LinearMixedModel) -> Node:
    """Return the response without I(), which changes nothing."""
    node = model.formula.response.node
    while isinstance(node, Call) and node.function == "I" and len(node.arguments) == 1:
        node = node.arguments[0]
    return node


def _shifted(node: Node) -> tuple[Node, float]:
    """Take a constant off: y + 1 is y, shifted by 1."""
    if isinstance(node, Operation) and node.operator in ("+", "-") and len(node.operands) == 2:
        left, right = node.operands
        if is_number(right) and isinstance(right, Constant):
            value = float(right.value or 0)
            return left, value if node.operator == "+" else -value
        if node.operator == "+" and is_number(left) and isinstance(left, Constant):
            return right, float(left.value or 0)
    return node, 0.0


def _base(node: Call) -> float | None:
    given = [*node.arguments[1:], *(value for name, value in node.named if name == "base")]
    if not given:
        return float(math.e)
    base = given[0]
    if isinstance(base, Constant) and is_number(base):
        return float(base.value or 0)
    return None


def _logarithm(name: str, base: float, shift: float) -> Link:
    log = float(np.log(base))
    return Link(name, partial(_power, log), partial(_power_slope, log), shift, is_log=True)


def _power(log: float, eta: FloatArray) -> FloatArray:
    return np.exp(log * eta)


def _power_slope(log: float, eta: FloatArray) -> FloatArray:
    return log * np.exp(log * eta)


def _square(eta: FloatArray) -> FloatArray:
    return np.maximum(eta, 0.0) ** 2


def _twice(eta: FloatArray) -> FloatArray:
    return 2.0 * np.maximum(eta, 0.0)
