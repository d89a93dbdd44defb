"""From the formula's characters to formulaic tokens, one list for each part of the formula.

formulaic's tokenizer cuts the string; the passes here add what R's grammar has and formulaic's has
not: `(effects | group)`, names quoted in backquotes, signs in a row, functions whose arguments
are R. Every part is then an ordinary token list for formulaic's AST builder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from formulaic.errors import FormulaicError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Token

from ranef.errors import FormulaError
from ranef.formula.expression import Expression, constant_names, parse_expression
from ranef.formula.lexer import CLOSERS, OPERATORS, Lexeme, check_brackets, lex
from ranef.formula.nodes import Name, is_number
from ranef.formula.operators import token_span

KIND = Token.Kind
_TERM_OPERATORS = {symbol: symbol for symbol in ("~", "|", "||", "+", "-", "*", "/", ":", "^")}
_TERM_OPERATORS |= {"**": "^", "%in%": "in"}


@dataclass(frozen=True, slots=True)
class BarGroup:
    """The tokens of one ``( effects | group )``: indices into the list it was found in."""

    opening: int
    bar: int
    closing: int


def read_tokens(formula: str) -> tuple[list[Token], dict[str, Expression]]:
    """Return the tokens of the formula, and the expression that each name or call stands for.

    Every token is a single operator, bracket, number, name or call, with its place.

    Raises
    ------
    FormulaError
        At characters, brackets, names or calls that are not part of the language.
    """
    lexemes = list(lex(formula))
    check_brackets(lexemes, formula)
    _check_operators(lexemes, formula)
    # strings and quoted names may hold anything, brackets included: hide that from the tokenizer
    masked = list(formula)
    for lexeme in lexemes:
        if lexeme.kind in ("quoted", "string"):
            masked[lexeme.start + 1 : lexeme.end - 1] = "x" * (lexeme.end - lexeme.start - 2)
    expressions: dict[str, Expression] = {}
    tokens: list[Token] = []
    for token in _tokenize("".join(masked), formula):
        start, end = _place(token, formula)
        if token.kind is KIND.OPERATOR:
            tokens.extend(_split_operators(formula, start, end))
        elif token.kind in (KIND.NAME, KIND.PYTHON):
            expression = parse_expression(formula, start, end)
            if is_number(expression.node) and not constant_names(
                expression.node
            ):  # R writes integers as 1L
                tokens.append(_read_value(formula, start, end))
                continue
            expressions.setdefault(expression.text, expression)
            tokens.append(_token(expression.text, KIND.NAME, start, end))
        elif token.kind is KIND.VALUE:
            tokens.append(_read_value(formula, start, end))
        else:
            if token.token in "[]":
                raise FormulaError("subscripts are not allowed.", formula, (start, end))
            tokens.append(_token(token.token, KIND.CONTEXT, start, end))
    return tokens, expressions


def find_groups(tokens: Sequence[Token], formula: str) -> list[BarGroup]:
    """Return the parentheses that hold a bar.

    Raises
    ------
    FormulaError
        For a bar outside of parentheses, two bars in one pair, or bars inside one another.
    """
    groups: list[BarGroup] = []
    open_at: list[int] = []
    bars: dict[int, int] = {}  # opening parenthesis -> its bar
    for index, token in enumerate(tokens):
        if token.kind is KIND.CONTEXT and token.token == "(":
            open_at.append(index)
        elif token.kind is KIND.CONTEXT:
            opening = open_at.pop()
            if opening in bars:
                if any(outer in bars for outer in open_at) or _holds_group(groups, opening):
                    raise FormulaError(
                        "a random term cannot hold another one.",
                        formula,
                        span_of(tokens[opening : index + 1]),
                    )
                groups.append(BarGroup(opening, bars[opening], index))
        elif token.kind is KIND.OPERATOR and token.token in ("|", "||"):
            if not open_at:
                raise FormulaError(
                    "put a random term in parentheses: (x | g).", formula, token_span(token)
                )
            if open_at[-1] in bars:
                raise FormulaError(
                    "a random term has one bar: (x | g) or (x || g).", formula, token_span(token)
                )
            bars[open_at[-1]] = index
    return groups


def merge_signs(tokens: Sequence[Token], formula: str) -> list[Token]:
    """Turn ``+ -`` into ``-`` and so on, which formulaic's AST builder does not take.

    Signs multiply in front of a number. ``x + -z`` is refused: R takes nothing from nothing there
    and silently leaves ``z`` as it is.
    """
    result: list[Token] = []
    for index, token in enumerate(tokens):
        before = result[-1] if result else None
        if before is None or not (_is_sign(token) and _is_sign(before)):
            result.append(token)
            continue
        following = tokens[index + 1 : index + 2]
        number = bool(following) and (following[0].kind is KIND.VALUE or _is_sign(following[0]))
        if token.token == "-" and not number:
            raise FormulaError("write one sign between terms.", formula, span_of([before, token]))
        text = "+" if before.token == token.token else "-"
        result[-1] = _token(text, KIND.OPERATOR, *span_of([before, token]))
    return result


def span_of(tokens: Iterable[Token]) -> tuple[int, int]:
    """Return the place from the first to the last of several tokens."""
    spans = [span for span in map(token_span, tokens) if span is not None]
    return (spans[0][0], spans[-1][1]) if spans else (0, 1)


def name_token(text: str, span: tuple[int, int]) -> Token:
    """Return a token that stands for a variable."""
    return _token(text, KIND.NAME, *span)


def is_dot(token: Token) -> bool:
    """Tell whether the token is ``.``, which stands for the columns of the data."""
    return token.kind is KIND.NAME and token.token == "."


def _token(text: str, kind: Token.Kind, start: int, end: int) -> Token:
    return Token(text, kind=kind, source_start=start, source_end=end - 1)


def _place(token: Token, formula: str) -> tuple[int, int]:
    start = token.source_start or 0
    end = (start if token.source_end is None else token.source_end) + 1
    quoted = token.kind is KIND.NAME and formula[start] == "`"
    word = token.kind is KIND.OPERATOR and formula[start] == "%"
    return start, end + (quoted or word)  # formulaic leaves the closing quote out


def _check_operators(lexemes: Sequence[Lexeme], formula: str) -> None:
    """Raise FormulaError at operators that only mean something inside functions."""
    if any(lexeme.text == "=" for lexeme in lexemes):
        _check_equals(lexemes, formula)
    called: list[bool] = []  # for every open bracket: does it hold arguments?
    before: Lexeme | None = None
    for lexeme in lexemes:
        if lexeme.kind == "bracket" and lexeme.text in CLOSERS:
            adjacent = before is not None and before.end == lexeme.start
            called.append(adjacent and before is not None and before.kind in ("name", "quoted"))
        elif lexeme.kind == "bracket":
            called.pop()
        elif lexeme.kind == "operator" and lexeme.text not in _TERM_OPERATORS and not any(called):
            raise FormulaError(
                f"{lexeme.text!r} cannot stand between terms; arithmetic goes inside I(...).",
                formula,
                (lexeme.start, lexeme.end),
            )
        before = lexeme


def _check_equals(lexemes: Sequence[Lexeme], formula: str) -> None:
    """Raise FormulaError at an ``=`` that stands for the missing ``~``."""
    depth = 0
    for lexeme in lexemes:
        if lexeme.kind == "operator" and lexeme.text == "~":
            return
        if lexeme.kind == "bracket":
            depth += 1 if lexeme.text in CLOSERS else -1
        elif lexeme.kind == "operator" and lexeme.text == "=" and not depth:
            raise FormulaError(
                "a formula needs a '~' between the response and the terms; write it for this '='.",
                formula,
                (lexeme.start, lexeme.end),
            )


def _tokenize(masked: str, formula: str) -> list[Token]:
    try:
        return list(tokenize(masked))
    except FormulaicError as error:  # what is left: quotes in odd places
        place = max(str(error).rpartition("\n\n")[2].find("\u29db"), 0)  # formulaic's mark
        raise FormulaError("this cannot stand here.", formula, (place, place + 1)) from None


def _split_operators(formula: str, start: int, end: int) -> Iterable[Token]:
    """Cut operators that stand together, such as ``~-``, into single ones."""
    position = start
    while position < end:
        if formula[position].isspace():
            position += 1
            continue
        symbol = next(s for s in OPERATORS if formula.startswith(s, position))
        yield _token(_TERM_OPERATORS[symbol], KIND.OPERATOR, position, position + len(symbol))
        position += len(symbol)


def _read_value(formula: str, start: int, end: int) -> Token:
    text = formula[start:end]
    if text == ".":
        return _token(".", KIND.NAME, start, end)
    if text[0] in "\"'":
        raise FormulaError("a string is not a term.", formula, (start, end))
    node = parse_expression(formula, start, end).node
    value = getattr(node, "value", text) if not isinstance(node, Name) else text
    if isinstance(value, float) and value.is_integer():  # R takes 1.0 for 1
        value = int(value)
    return _token(str(value), KIND.VALUE, start, end)


def _holds_group(groups: Iterable[BarGroup], opening: int) -> bool:
    return any(group.opening > opening for group in groups)


def _is_sign(token: Token) -> bool:
    return token.kind is KIND.OPERATOR and token.token in ("+", "-")
