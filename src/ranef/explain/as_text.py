"""Equations as plain text: ``beta_0j = gamma_00 + u_0j``. ASCII, for any terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ranef.explain.notation import (
    Distribution,
    Equation,
    Line,
    Product,
    Symbol,
    System,
    Variable,
    show_number,
)
from ranef.tables.text import display_width, single_line

WIDTH = 80


def text_system(system: System, digits: int | None) -> str:
    """Return the equations as text.

    Parameters
    ----------
    system : System
    digits : int or None
        Show estimates with so many decimals; None for symbols.
    """
    parts = []
    for section in system.sections:
        units = ", ".join(f"{name} {index}" for name, index in section.units)
        title = [f"{section.title} ({single_line(units)})"] if section.title else []
        indent = "  " if section.title else ""
        lines = [indent + row for line in section.lines for row in _line(line, digits)]
        parts.append("\n".join([*title, *lines]))
    if system.left_out:
        parts.append(f"Left out, because others determine them: {', '.join(system.left_out)}")
    return "\n\n".join(parts)


def text_symbol(symbol: Symbol) -> str:
    """Return a symbol: ``gamma_00``, ``u_0j``, ``sigma^2``."""
    below = symbol.number + symbol.index
    return symbol.name + (f"_{below}" if below else "") + ("^2" if symbol.squared else "")


def _variable(variable: Variable) -> str:
    label = single_line(variable.label)
    return f"[{label}]_{variable.index}" if variable.indicator else f"{label}_{variable.index}"


def _line(line: Line, digits: int | None) -> list[str]:
    return _equation(line, digits) if isinstance(line, Equation) else _normal(line, digits)


def _equation(equation: Equation, digits: int | None) -> list[str]:
    left = equation.left
    start = (_variable(left) if isinstance(left, Variable) else text_symbol(left)) + " ="
    rows, row = [], start
    for position, product in enumerate(equation.right):
        sign, size = _product(product, digits)
        shown = f"{sign} {size}" if position else ("-" if sign == "-" else "") + size
        if display_width(row) + 1 + display_width(shown) > WIDTH and row != start:
            rows.append(row)
            row = " " * len(start)
        row += f" {shown}"
    return [*rows, row]


def _product(product: Product, digits: int | None) -> tuple[str, str]:
    """Return the sign and the rest."""
    sign, parts = "+", []
    if product.symbol is not None:
        shown = _number(product.symbol, digits)
        sign = "-" if shown.startswith("-") else "+"
        parts.append(shown.removeprefix("-"))
    return sign, " ".join([*parts, *map(_variable, product.variables)])


def _number(symbol: Symbol, digits: int | None) -> str:
    if digits is None or symbol.value is None:
        return text_symbol(symbol)
    return show_number(symbol.value, digits)


def _normal(distribution: Distribution, digits: int | None) -> list[str]:
    names = [text_symbol(effect) for effect in distribution.effects]
    cells = [[_number(symbol, digits) for symbol in row] for row in distribution.covariance]
    if len(names) == 1:
        divisor = distribution.divisor
        over = "" if divisor is None else f" / {text_symbol(divisor)}"
        return [f"{names[0]} ~ N(0, {cells[0][0]}{over})"]
    start = f"({', '.join(names)}) ~ N(0, "
    rows = _matrix(cells, left=digits is None)
    if len(start) + len(rows[0]) > WIDTH:
        return [f"{start}T), T =", *(f"  {row}" for row in rows)]
    return [
        (start if i == 0 else " " * len(start)) + row + (")" if i == len(rows) - 1 else "")
        for i, row in enumerate(rows)
    ]


def _matrix(cells: Sequence[Sequence[str]], *, left: bool) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "["
        + "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        + "]"
        for row in cells
    ]
