"""What an expression inside a formula can be, and nothing else.

`log(x + 1)` is a tree of the five node kinds below. The grammar has no attribute access, no
subscript, no assignment and no call of anything but a named function, so there is nothing to
forbid later: what cannot be written as these nodes is not an expression.

Nodes compare by content; where they stand in the formula (``span``) does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
Value: TypeAlias = float | int | bool | str | None

BINDING = {
    "|": 1, "&": 2, "!": 3,
    "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%%": 7, "%/%": 7, "neg": 8, "pos": 8, "^": 9,
}  # fmt: skip
"""How tightly each operator binds; R's order."""

_TIGHT = {"/", "%%", "%/%", "^"}  # R prints these without spaces
_WORDS = {True: "True", False: "False", None: "None"}
_RESERVED = {"TRUE", "FALSE", "NULL", "True", "False", "None", "Inf", "NaN", "NA"}


@dataclass(frozen=True, slots=True)
class Name:
    """A variable: a column of the data, or a constant of the caller's context."""

    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a string, TRUE, FALSE or NULL."""

    value: Value
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """Several constants: ``c(1, 2)``, ``[1, 2]`` or ``(1, 2)``."""

    items: tuple[Value, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """Arithmetic, a comparison or a logical operation on one or two operands."""

    operator: str
    operands: tuple[Node, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a fixed list (or of the caller's context) applied to expressions."""

    function: str
    arguments: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...]
    span: Span = field(compare=False)


Node: TypeAlias = Name | Constant | Listing | Operation | Call


def is_plain_name(text: str) -> bool:
    """Tell whether ``text`` can stand in a formula without backquotes."""
    if not text or text in _RESERVED or text == ".":
        return False
    bare = text.replace(".", "_")
    # a dot followed by a digit starts a number
    return bare.isidentifier() and not (text[0] == "." and text[1:2].isdigit())


def is_number(node: Node) -> bool:
    """Tell whether the node is a number, TRUE and FALSE not being any."""
    value = node.value if isinstance(node, Constant) else None
    return isinstance(value, int | float) and not isinstance(value, bool)


def quote_name(text: str) -> str:
    """Return ``text`` as it has to be written in a formula."""
    return text if is_plain_name(text) else f"`{text}`"


def render(node: Node) -> str:
    """Return the expression in R's layout: equal expressions give equal text.

    Examples
    --------
    >>> x = Name("age", (0, 3))
    >>> render(Operation("^", (x, Constant(2, (4, 5))), (0, 5)))
    'age^2'
    """
    match node:
        case Name():
            return quote_name(node.text)
        case Constant():
            return _render_value(node.value)
        case Listing():
            return f"c({', '.join(map(_render_value, node.items))})"
        case Call():
            inside = [render(argument) for argument in node.arguments]
            inside += [f"{name}={render(argument)}" for name, argument in node.named]
            return f"{quote_name(node.function)}({', '.join(inside)})"
        case Operation():
            return _render_operation(node)


def walk(node: Node) -> Iterator[Node]:
    """Yield ``node`` and everything inside it, from left to right."""
    yield node
    children: tuple[Node, ...] = ()
    if isinstance(node, Operation):
        children = node.operands
    elif isinstance(node, Call):
        children = (*node.arguments, *(argument for _, argument in node.named))
    for child in children:
        yield from walk(child)


def _render_value(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return _WORDS[value]
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    return repr(value)


def _render_operation(node: Operation) -> str:
    binding = BINDING[node.operator]
    if len(node.operands) == 1:
        sign = {"neg": "-", "pos": "+", "!": "!"}[node.operator]
        return sign + _bracketed(node.operands[0], binding)
    left, right = node.operands
    # comparisons do not chain, powers associate to the right, the others to the left
    level = 4
    low = binding + 1 if binding == level or node.operator == "^" else binding
    high = binding if node.operator == "^" else binding + 1
    space = "" if node.operator in _TIGHT else " "
    return f"{_bracketed(left, low)}{space}{node.operator}{space}{_bracketed(right, high)}"


def _bracketed(node: Node, least: int) -> str:
    """Return the text of an operand, in parentheses if it binds less tightly than ``least``."""
    text = render(node)
    negative = isinstance(node, Constant) and text.startswith("-")
    loose = isinstance(node, Operation) and BINDING[node.operator] < least
    return f"({text})" if negative or loose else text
