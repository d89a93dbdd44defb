"""What equations are made of: symbols, variables, products, equations, distributions, sections.

Nothing is rendered here. A symbol may have a value, so that one set of equations shows either: the
renderers print values instead of symbols on request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Symbol:
    """A letter with subscripts.

    Attributes
    ----------
    name : str
        ``u``, or the English name of a Greek letter.
    number : str
        ``0``, ``10`` or ``10,2``.
    index : str
        The units it varies over: ``j``; empty for a parameter.
    squared : bool
    value : float or None
        Its estimate, for a parameter.
    """

    name: str
    number: str = ""
    index: str = ""
    squared: bool = False
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the data, or an expression, with the subscript of its units."""

    label: str
    index: str
    indicator: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A coefficient times variables, or either alone."""

    symbol: Symbol | None
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Equation:
    """The left side is the sum of the products on the right."""

    left: Symbol | Variable
    right: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Normal, with mean zero.

    Attributes
    ----------
    effects : tuple of Symbol (k,)
    covariance : tuple (k,) of tuple (k,) of Symbol
    divisor : Symbol or None
        Divides the variance: a weight.
    """

    effects: tuple[Symbol, ...]
    covariance: tuple[tuple[Symbol, ...], ...]
    divisor: Symbol | None = None


Line: TypeAlias = Equation | Distribution


@dataclass(frozen=True, slots=True)
class Section:
    """What belongs to one level.

    Attributes
    ----------
    title : str
        ``Level 2``; may be empty.
    units : tuple of (str, str)
        What they are called, and their subscript.
    lines : tuple of Equation and Distribution
    """

    title: str
    units: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a symbol stands for.

    Attributes
    ----------
    symbol : Symbol
    kind : str
        ``fixed``, ``variance``, ``covariance`` or ``residual variance``.
    group : str
        Grouping factor; empty for fixed effects.
    name : str
        As in `LinearMixedModel.fixef` and `LinearMixedModel.VarCorr`.
    """

    symbol: Symbol
    kind: str
    group: str
    name: str


@dataclass(frozen=True, slots=True)
class System:
    """The equations of a model.

    Attributes
    ----------
    sections : tuple of Section
    parameters : tuple of Parameter
    left_out : tuple of str
        Columns that others determine.
    """

    sections: tuple[Section, ...]
    parameters: tuple[Parameter, ...]
    left_out: tuple[str, ...]


def show_number(value: float, digits: int) -> str:
    """Return a number with ``digits`` decimals; more if it is small, so that as many digits count.

    Examples
    --------
    >>> show_number(251.4051, 3), show_number(-0.0123456, 3), show_number(1.5e-9, 3)
    ('251.405', '-0.0123', '1.50e-09')
    """
    size = abs(value)
    if size == 0 or size >= 0.1:
        return f"{value:.{digits}f}" if size < 1e15 else f"{value:.{max(digits - 1, 0)}e}"
    if size < 1e-4:
        return f"{value:.{max(digits - 1, 0)}e}"
    decimals = digits
    while decimals < digits + 4 and size * 10 ** (decimals - digits + 1) < 1:
        decimals += 1
    return f"{value:.{decimals}f}"
