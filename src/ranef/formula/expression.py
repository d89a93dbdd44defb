"""Reads what stands inside functions, and the response: R's arithmetic, calls and constants.

An operator-precedence parser of R's grammar restricted to the nodes of `nodes`. It builds data;
nothing is compiled or evaluated, and Python's own grammar never sees the formula. That is what
makes `class`, `lambda` or `total.fruits` ordinary names, and `__import__("os")` just a call of
a function that nobody has listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ranef.errors import FormulaError
from ranef.formula.lexer import Lexeme, lex
from ranef.formula.nodes import (
    BINDING,
    Call,
    Constant,
    Listing,
    Name,
    Node,
    Operation,
    Span,
    Value,
    render,
    walk,
)

_CONSTANTS: dict[str, Value] = {
    "TRUE": True, "True": True, "FALSE": False, "False": False,
    "NULL": None, "None": None, "Inf": float("inf"),
}  # fmt: skip
_PREFIX = {"-": "neg", "+": "pos", "!": "!"}
_STRUCTURED = {"us", "diag", "cs", "ar1", "toep", "homdiag", "homcs", "hetar1", "rr"}
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of a formula: its tree, and its text in R's layout.

    Attributes
    ----------
    text : str
        Equal for equal expressions, however they were spaced: ``I(age^2)``.
    node : Node
    """

    text: str
    node: Node = field(compare=False)

    @classmethod
    def from_node(cls, node: Node) -> Expression:
        """Wrap a tree."""
        return cls(render(node), node)

    @property
    def label(self) -> str:
        """The text, without the backquotes of a lone name: what columns are called."""
        return self.node.text if isinstance(self.node, Name) else self.text

    @property
    def span(self) -> Span:
        """Where the expression stands in the formula."""
        return self.node.span

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in order of appearance, each once."""
        found = (node.text for node in walk(self.node) if isinstance(node, Name))
        return tuple(dict.fromkeys(found))

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that are called, each once."""
        found = (node.function for node in walk(self.node) if isinstance(node, Call))
        return tuple(dict.fromkeys(found))

    @property
    def is_offset(self) -> bool:
        """Whether this is ``offset(...)``."""
        return isinstance(self.node, Call) and self.node.function == "offset"

    def __str__(self) -> str:
        return self.text


def parse_expression(formula: str, start: int = 0, stop: int | None = None) -> Expression:
    """Read the expression ``formula[start:stop]``.

    Parameters
    ----------
    formula : str
        The whole formula, for errors that point into it.
    start, stop : int
        Where the expression stands.

    Raises
    ------
    FormulaError
        If it is not an expression.

    Examples
    --------
    >>> parse_expression("I( age^ 2 )")
    Expression(text='I(age^2)', node=...)
    """
    stop = len(formula) if stop is None else stop
    reader = _Reader(formula, list(lex(formula, start, stop)), stop)
    node = reader.read(0)
    extra = reader.peek()
    if extra is not None:
        raise reader.error(reader.unexpected(), extra)
    return Expression.from_node(node)


def constant_names(node: Node) -> tuple[str, ...]:
    """Return the words that are read as this constant, such as ``None``: none for other nodes."""
    if not isinstance(node, Constant):
        return ()
    # 1 == True, but it is not written like that
    return tuple(
        word
        for word, value in _CONSTANTS.items()
        if type(value) is type(node.value) and value == node.value
    )


def backquote_hint(first: str, second: str) -> str:
    """Say how a name of two words is written."""
    return f" If {first + ' ' + second!r} is one name, write it in backquotes."


class _Reader:
    """A position in a list of lexemes."""

    def __init__(self, formula: str, lexemes: list[Lexeme], stop: int) -> None:
        self.formula = formula
        self.lexemes = lexemes
        self.stop = stop
        self.position = 0
        self.depth = 0

    def peek(self) -> Lexeme | None:
        return self.lexemes[self.position] if self.position < len(self.lexemes) else None

    def error(self, message: str, lexeme: Lexeme | None) -> FormulaError:
        span = (self.stop - 1, self.stop) if lexeme is None else (lexeme.start, lexeme.end)
        return FormulaError(message, self.formula, span)

    def unexpected(self) -> str:
        """Return what is wrong with the next lexeme."""
        lexeme = self.peek()
        before = self.lexemes[self.position - 1] if self.position else None
        message = _unexpected_in(lexeme)
        if lexeme is not None and before is not None and before.kind == lexeme.kind == "name":
            message += backquote_hint(before.text, lexeme.text)
        return message

    def next(self) -> Lexeme:
        lexeme = self.peek()
        if lexeme is None:
            raise self.error("something is missing here.", None)
        self.position += 1
        return lexeme

    def accept(self, text: str) -> bool:
        lexeme = self.peek()
        found = lexeme is not None and lexeme.text == text and _is_sign(lexeme)
        self.position += found
        return found

    def read(self, least: int) -> Node:
        """Read an expression whose operators bind at least as tightly as ``least``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("this expression is nested too deeply.", self.peek())
        left = self.read_operand()
        while (lexeme := self.peek()) is not None and lexeme.kind == "operator":
            operator = "^" if lexeme.text == "**" else lexeme.text
            binding = BINDING.get(operator, -1)
            if operator == "!" or binding < least:
                break
            self.position += 1
            right = self.read(binding if operator == "^" else binding + 1)
            left = Operation(operator, (left, right), (left.span[0], right.span[1]))
            if binding == BINDING["=="]:
                self.refuse_chain()
        self.depth -= 1
        return left

    def refuse_chain(self) -> None:
        lexeme = self.peek()
        if lexeme is not None and BINDING.get(lexeme.text) == BINDING["=="]:
            raise self.error("comparisons cannot be chained; use '&'.", lexeme)

    def read_operand(self) -> Node:
        lexeme = self.next()
        span = (lexeme.start, lexeme.end)
        if lexeme.kind == "number":
            return Constant(_number(lexeme.text), span)
        if lexeme.kind == "string":
            return Constant(lexeme.text, span)
        if lexeme.kind in ("name", "quoted"):
            return self.read_name(lexeme)
        if lexeme.kind == "operator" and lexeme.text in _PREFIX:
            operator = _PREFIX[lexeme.text]
            operand = self.read(BINDING[operator])
            return _signed(operator, operand, (lexeme.start, operand.span[1]))
        if lexeme.text == "(" and lexeme.kind == "bracket":
            return self.read_parentheses(lexeme)
        if lexeme.text == "[" and lexeme.kind == "bracket":
            return self.read_listing(lexeme, [], "]")
        raise self.error(_unexpected(lexeme.text), lexeme)

    def read_name(self, lexeme: Lexeme) -> Node:
        span = (lexeme.start, lexeme.end)
        following = self.peek()
        called = following is not None and following.kind == "bracket" and following.text == "("
        if called:
            self.position += 1
            if lexeme.text == "c" and lexeme.kind == "name":
                return self.read_listing(lexeme, [], ")")
            return self.read_call(lexeme)
        if following is not None and following.kind == "bracket" and following.text == "[":
            raise self.error("subscripts are not allowed in a formula.", following)
        if lexeme.kind == "name" and lexeme.text in _CONSTANTS:
            return Constant(_CONSTANTS[lexeme.text], span)
        if lexeme.text == "." and lexeme.kind == "name":
            raise self.error("'.' cannot be used inside a function.", lexeme)
        return Name(lexeme.text, span)

    def read_parentheses(self, opening: Lexeme) -> Node:
        node = self.read(0)
        if self.accept(","):
            return self.read_listing(opening, [node], ")")
        if not self.accept(")"):
            raise self.error(self.unexpected(), self.peek())
        return node

    def read_listing(self, opening: Lexeme, nodes: list[Node], closer: str) -> Listing:
        while not self.accept(closer):
            nodes.append(self.read(0))
            if not self.accept(",") and not self._at(closer):
                raise self.error(self.unexpected(), self.peek())
        for node in nodes:
            if not isinstance(node, Constant):
                raise FormulaError("only constants can be listed.", self.formula, node.span)
        end = self.lexemes[self.position - 1].end
        values = tuple(node.value for node in nodes if isinstance(node, Constant))
        return Listing(values, (opening.start, end))

    def read_call(self, function: Lexeme) -> Node:
        arguments: list[Node] = []
        named: dict[str, Node] = {}
        while not self.accept(")"):
            name = self.read_keyword()
            if name is None:
                if named:
                    raise self.error("put unnamed arguments before named ones.", self.peek())
                arguments.append(self.read(0))
            elif name.text in named:
                raise self.error(f"the argument {name.text!r} is given twice.", name)
            else:
                named[name.text] = self.read(0)
            if not self.accept(",") and not self._at(")"):
                raise self.error(self.unexpected(), self.peek())
        span = (function.start, self.lexemes[self.position - 1].end)
        if function.text in _STRUCTURED and _has_bar(arguments):
            raise FormulaError(
                f"the covariance structure {function.text}(... | ...) is not available; "
                "write (... | ...) for a full and (... || ...) for a diagonal covariance matrix.",
                self.formula,
                span,
            )
        return Call(function.text, tuple(arguments), tuple(named.items()), span)

    def read_keyword(self) -> Lexeme | None:
        """Read ``name =`` if that comes next."""
        lexeme = self.peek()
        if lexeme is None or lexeme.kind not in ("name", "quoted"):
            return None
        after = self.position + 1
        if after < len(self.lexemes) and self.lexemes[after].text == "=":
            self.position += 2
            return lexeme
        return None

    def _at(self, text: str) -> bool:
        lexeme = self.peek()
        return lexeme is not None and lexeme.text == text and _is_sign(lexeme)


def _is_sign(lexeme: Lexeme) -> bool:
    return lexeme.kind in ("operator", "bracket")


def _has_bar(nodes: list[Node]) -> bool:
    return any(isinstance(node, Operation) and node.operator == "|" for node in nodes)


def _number(text: str) -> float | int:
    return int(text) if text.isdecimal() else float(text)


def _signed(operator: str, operand: Node, span: Span) -> Node:
    """Fold the sign into a number, so that ``-1`` is a constant and can be listed."""
    if isinstance(operand, Constant) and operator != "!":
        value = operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Constant(-value if operator == "neg" else value, span)
    return Operation(operator, (operand,), span)


def _unexpected(text: str) -> str:
    hint = {
        "=": " To compare, write '=='.",
        "||": " To combine conditions, write '|'.",
        "&&": " To combine conditions, write '&'.",
        ":": " An interaction stands outside of functions.",
        "~": " A formula has one '~'.",
        "[": " Subscripts are not allowed in a formula.",
    }.get(text, "")
    return f"{text!r} cannot stand here.{hint}"


def _unexpected_in(lexeme: Lexeme | None) -> str:
    return "something is missing here." if lexeme is None else _unexpected(lexeme.text)
