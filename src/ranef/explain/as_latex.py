r"""Equations as LaTeX that amsmath sets, and that MathJax and KaTeX show in notebooks.

Names of the data stand in ``\mathrm`` with every special character spelled out: inside ``\text``,
which would be the natural place, MathJax shows the backslash of ``\_``. Characters beyond ASCII go
into ``\text``, because fonts for mathematics do not have them.
"""

from __future__ import annotations

from itertools import groupby

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
from ranef.tables.latex import latex_number
from ranef.tables.text import single_line

GREEK = frozenset({"beta", "gamma", "pi", "psi", "sigma", "tau"})
WIDEST_PMATRIX = 10  # columns that amsmath's matrices have
LONG = 64  # characters of names and symbols in a row, about the width of a page

_SPELLED = {
    " ": r"\ ", "\\": r"\backslash ", "^": r"\hat{\ }", "~": r"{\sim}", "'": r"\text{'}",
    '"': r"\text{''}", "`": r"\text{`}", "-": r"\text{-}", "*": r"{*}",
} | {character: "\\" + character for character in "_%&#${}"} | {
    character: f"{{{character}}}" for character in "<>=+:,;!"
}  # fmt: skip


def latex_system(system: System, digits: int | None) -> str:
    """Return the rows of an ``aligned`` environment.

    Parameters
    ----------
    system : System
    digits : int or None
        Show estimates with so many decimals; None for symbols.
    """
    parts: list[str] = []
    for section in system.sections:
        rows: list[str] = []
        indent = r"\quad " if section.title else ""
        if section.title:
            units = r",\ ".join(rf"{latex_name(name)}\ {index}" for name, index in section.units)
            rows.append(rf"&\text{{{section.title}}}\ ({units})")
        for line in section.lines:
            first, *others = _line(line, digits)
            rows.append(f"&{indent}{first}")
            rows += [rf"&{indent}\qquad {other}" for other in others]
        parts.append(" \\\\\n".join(rows))
    if system.left_out:
        names = r",\ ".join(map(latex_name, system.left_out))
        parts.append(rf"&\text{{Left out, because others determine them: }}{names}")
    return " \\\\[1ex]\n".join(parts)  # a little room between levels


def latex_name(name: str) -> str:
    r"""Return a name of the data for mathematics mode.

    Examples
    --------
    >>> print(latex_name("log(a_b)"), latex_name("Größe"))
    \mathrm{log(a\_b)} \mathrm{Gr\text{öß}e}
    """
    runs = groupby(single_line(name), str.isascii)
    parts = [
        "".join(_SPELLED.get(c, c) for c in run) if ascii_ else rf"\text{{{''.join(run)}}}"
        for ascii_, run in runs
    ]
    return rf"\mathrm{{{''.join(parts)}}}"


def latex_symbol(symbol: Symbol) -> str:
    """Return a symbol with its subscripts."""
    plain = symbol.name.rstrip("'")
    name = ("\\" if plain in GREEK else "") + symbol.name
    below = symbol.number + symbol.index
    return name + (f"_{{{below}}}" if below else "") + ("^2" if symbol.squared else "")


def _variable(variable: Variable) -> str:
    name = latex_name(variable.label)
    return (
        f"[{name}]_{{{variable.index}}}" if variable.indicator else f"{name}_{{{variable.index}}}"
    )


def _line(line: Line, digits: int | None) -> list[str]:
    return _equation(line, digits) if isinstance(line, Equation) else [_normal(line, digits)]


def _equation(equation: Equation, digits: int | None) -> list[str]:
    left = equation.left
    row = (_variable(left) if isinstance(left, Variable) else latex_symbol(left)) + " ="
    rows, used = [], len(left.label) if isinstance(left, Variable) else 0
    for position, product in enumerate(equation.right):
        sign, size = _product(product, digits)
        shown = f"{sign} {size}" if position else ("-" if sign == "-" else "") + size
        length = _length(product)
        if position and used + length > LONG:
            rows.append(row)
            row, used = "{}", 0  # so that the sign keeps its space
        row += f" {shown}"
        used += length
    return [*rows, row]


def _length(product: Product) -> int:
    """Return about how much room a product takes."""
    return 8 + sum(len(variable.label) + 2 for variable in product.variables)


def _product(product: Product, digits: int | None) -> tuple[str, str]:
    """Return the sign and the rest."""
    sign, parts = "+", []
    if product.symbol is not None:
        shown = _number(product.symbol, digits)
        sign = "-" if shown.startswith("-") else "+"
        parts.append(shown.removeprefix("-"))
    return sign, r"\,".join([*parts, *map(_variable, product.variables)])


def _number(symbol: Symbol, digits: int | None) -> str:
    if digits is None or symbol.value is None:
        return latex_symbol(symbol)
    return latex_number(show_number(symbol.value, digits)).strip("$")


def _normal(distribution: Distribution, digits: int | None) -> str:
    names = [latex_symbol(effect) for effect in distribution.effects]
    cells = [[_number(symbol, digits) for symbol in row] for row in distribution.covariance]
    if len(names) == 1:
        variance = cells[0][0]
        if distribution.divisor is not None:
            variance += f" / {latex_symbol(distribution.divisor)}"
        return rf"{names[0]} \sim \mathcal{{N}}(0,\ {variance})"
    vector = _matrix([[name] for name in names])
    return rf"{vector} \sim \mathcal{{N}}\left(\mathbf{{0}},\ {_matrix(cells)}\right)"


def _matrix(cells: list[list[str]]) -> str:
    body = r" \\ ".join(" & ".join(row) for row in cells)
    width = len(cells[0])
    if width <= WIDEST_PMATRIX:
        return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
    return rf"\left(\begin{{array}}{{{'c' * width}}} {body} \end{{array}}\right)"
