"""The characters of a formula, cut into lexemes.

Used twice: to check the whole formula (brackets, quotes, characters that mean nothing) before
anything else looks at it, and to read what stands inside functions. Positions are those of the
caller's string, so that every error can point at its cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ranef.errors import FormulaError

Kind: TypeAlias = Literal["name", "quoted", "number", "string", "operator", "bracket"]

OPERATORS = (
    "%in%", "%/%", "%%", "||", "**", "==", "!=", "<=", ">=", "&&",
    "~", "|", "+", "-", "*", "/", "^", ":", ",", "=", "<", ">", "!", "&",
)  # fmt: skip
CLOSERS = {"(": ")", "[": "]"}
_ESCAPES = {"n": "\n", "t": "\t"}
_OPENERS = {closer: opener for opener, closer in CLOSERS.items()}


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A piece of a formula: ``text`` is its meaning (without quotes), ``start:end`` its place."""

    kind: Kind
    text: str
    start: int
    end: int


def lex(formula: str, start: int = 0, stop: int | None = None) -> Iterator[Lexeme]:
    """Yield the lexemes of ``formula[start:stop]``.

    Raises
    ------
    FormulaError
        If a quote is not closed, or at a character that cannot occur in a formula.
    """
    position = start
    stop = len(formula) if stop is None else stop
    while position < stop:
        character = formula[position]
        if character.isspace():
            position += 1
            continue
        lexeme = _read(formula, position, stop)
        yield lexeme
        position = lexeme.end


def check_brackets(lexemes: list[Lexeme], formula: str) -> None:
    """Raise FormulaError unless every bracket has its partner."""
    open_brackets: list[Lexeme] = []
    for lexeme in lexemes:
        if lexeme.kind != "bracket":
            continue
        span = (lexeme.start, lexeme.end)
        if lexeme.text in CLOSERS:
            open_brackets.append(lexeme)
        elif not open_brackets:
            raise FormulaError(f"this {lexeme.text!r} closes nothing.", formula, span)
        elif open_brackets[-1].text != _OPENERS[lexeme.text]:
            expected = CLOSERS[open_brackets[-1].text]
            raise FormulaError(f"expected {expected!r} before this.", formula, span)
        else:
            open_brackets.pop()
    if open_brackets:
        lexeme = open_brackets[-1]
        raise FormulaError(
            f"this {lexeme.text!r} is never closed; add a {CLOSERS[lexeme.text]!r}.",
            formula,
            (lexeme.start, lexeme.end),
        )


def one_line(text: str) -> str:
    """Return the text with single spaces, leaving what stands in quotes alone."""
    pieces: list[str] = []
    end = 0
    for lexeme in lex(text):
        if pieces and lexeme.start > end:
            pieces.append(" ")
        pieces.append(text[lexeme.start : lexeme.end])
        end = lexeme.end
    return "".join(pieces)


def _read(formula: str, start: int, stop: int) -> Lexeme:
    character = formula[start]
    if character in "()[]":
        return Lexeme("bracket", character, start, start + 1)
    if character in "\"'`":
        return _read_quoted(formula, start, stop)
    following = formula[start + 1] if start + 1 < stop else ""
    if character.isdecimal() or (character == "." and following.isdecimal()):
        return _read_number(formula, start, stop)
    if _is_word(character):
        end = start + 1
        while end < stop and _is_word(formula[end]):
            end += 1
        return Lexeme("name", formula[start:end], start, end)
    for operator in OPERATORS:
        if formula.startswith(operator, start, stop):
            return Lexeme("operator", operator, start, start + len(operator))
    hint = " Python blocks are not read; use I(...)." if character in "{}" else ""
    raise FormulaError(
        f"the character {character!r} cannot be used in a formula.{hint}",
        formula,
        (start, start + 1),
    )


def _is_word(character: str) -> bool:
    return character == "." or ("a" + character).isidentifier()


def _read_number(formula: str, start: int, stop: int) -> Lexeme:
    end = start
    while end < stop and (formula[end].isdecimal() or formula[end] == "."):
        end += 1
    if end < stop and formula[end] in "eE":
        digits = end + 2 if formula[end + 1 : end + 2] in ("+", "-") else end + 1
        if digits < stop and formula[digits].isdecimal():
            end = digits
            while end < stop and formula[end].isdecimal():
                end += 1
    text = formula[start:end]
    if end < stop and formula[end] == "L":  # R writes integers as 2L
        end += 1
    while end < stop and _is_word(formula[end]):
        end += 1
    if formula[start:end].removesuffix("L") != text or text.count(".") > 1:
        raise FormulaError(
            f"{formula[start:end]!r} is neither a number nor a name; "
            "put unusual names in `backquotes`.",
            formula,
            (start, end),
        )
    return Lexeme("number", text, start, end)


def _read_quoted(formula: str, start: int, stop: int) -> Lexeme:
    quote = formula[start]
    text: list[str] = []
    position = start + 1
    while position < stop and formula[position] != quote:
        if formula[position] == "\\" and quote != "`" and position + 1 < stop:
            position += 1
            text.append(_ESCAPES.get(formula[position], formula[position]))
        else:
            text.append(formula[position])
        position += 1
    if position >= stop:
        raise FormulaError("this quote is never closed.", formula, (start, start + 1))
    if quote == "`" and not text:
        raise FormulaError("there is no name in these backquotes.", formula, (start, position + 1))
    return Lexeme("quoted" if quote == "`" else "string", "".join(text), start, position + 1)
