"""Hypotheses written as text: ``"recipe[T.B] - recipe[T.C] = 0"``.

A hypothesis is an equation of linear expressions: names of coefficients, numbers, ``+ - * /`` and
parentheses. Names are looked for in the text, longest first, instead of being cut out of it by
rules: a coefficient may be called ``f[T.New York (USA)]:poly(x, 2)[1]``, and only the model knows
where that ends. Blanks beside punctuation do not matter, and names may be put into backquotes. The
label of a term with several coefficients, on its own or compared with a number, stands for all of
them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from ranef.errors import FormulaError, UnknownVariableError
from ranef.typing import FloatArray

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MORE = re.compile(r"[\w.:\[(]")
_PIECES = re.compile(r"[\w.]+(?:\s+[\w.]+)*|[^\w\s.]")
_WORD = re.compile(r"[^\W\d][\w.]*|`[^`]*`?")
_SHOWN = 20
# Squares of larger numbers, which the tests need, could overflow.
LARGEST_NUMBER = 1e100
_CLOSERS = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """Linear functions of the coefficients and the values that they are compared with.

    Attributes
    ----------
    rows : float64 array (m, P)
        Over all columns of X.
    rhs : float64 array (m,)
    labels : tuple of str (m,)
        What the rows are called.
    equation : bool
        Whether the right-hand sides were written down.
    basic : bool
        Whether the rows are meant for the model without its aliased columns.
    """

    rows: FloatArray
    rhs: FloatArray
    labels: tuple[str, ...]
    equation: bool = False
    basic: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a hypothesis may name.

    Attributes
    ----------
    names : tuple of str (P,)
        Coefficients.
    terms : mapping of str to tuple of int
        Labels of terms, and which of their coefficients can be estimated.
    """

    names: tuple[str, ...]
    terms: Mapping[str, tuple[int, ...]]


def parse_hypothesis(text: str, known: Vocabulary) -> Hypotheses:
    """Read one hypothesis.

    Parameters
    ----------
    text : str
        Without ``=``, the expression is compared with zero.
    known : Vocabulary

    Returns
    -------
    Hypotheses
        One row; for the label of a term, one row for each of its coefficients.

    Raises
    ------
    UnknownVariableError
        For a name that is neither a coefficient nor a term.
    FormulaError
        If it is not a linear equation.

    Examples
    --------
    >>> known = Vocabulary(("Intercept", "f[T.b]", "x"), {})
    >>> read = parse_hypothesis("2*(f[T.b] - 1) = x/2", known)
    >>> read.rows, read.rhs
    (array([[ 0. ,  2. , -0.5]]), array([2.]))
    """
    return _Reader(text, known).read()


@dataclass(slots=True)
class _Linear:
    """A linear expression: coefficients by position, and a constant."""

    weights: dict[int, float]
    constant: float

    def times(self, factor: float) -> _Linear:
        weights = {position: factor * weight for position, weight in self.weights.items()}
        return _Linear(weights, factor * self.constant)

    def plus(self, other: _Linear) -> _Linear:
        weights = dict(self.weights)
        for position, weight in other.weights.items():
            weights[position] = weights.get(position, 0.0) + weight
        return _Linear(weights, self.constant + other.constant)


class _Reader:
    """A position in the text."""

    def __init__(self, text: str, known: Vocabulary) -> None:
        self.text = text
        self.known = known
        self.position = 0

    def read(self) -> Hypotheses:
        self.skip()
        if self.position == len(self.text):
            self.fail("the hypothesis is empty.", self.position)
        start = self.position
        label = self.find(self.several())
        self.skip()
        if label is not None and (self.at("=") or self.position == len(self.text)):
            return self.term(label)
        self.position = start
        total = self.sum()
        equation = self.equals()
        if equation:
            total = total.plus(self.sum().times(-1.0))
        if self.position < len(self.text):
            self.unexpected()
        self.check_size(total)
        row = np.zeros((1, len(self.known.names)))
        for position, weight in total.weights.items():
            row[0, position] = weight
        label = " ".join(self.text.split())
        if total.constant != 0.0 and not equation:  # the estimate is without the constant
            label += " = 0"
        return Hypotheses(row, np.array([0.0 - total.constant]), (label,), equation)

    def term(self, label: str) -> Hypotheses:
        columns = self.known.terms[label]
        span = (0, len(self.text))
        if not columns:
            raise FormulaError(f"no coefficient of {label!r} can be estimated.", self.text, span)
        value, equation = 0.0, self.equals()
        if equation:
            start = self.position
            right = self.sum()
            if right.weights or self.position < len(self.text):
                self.fail(
                    f"{label!r} has {len(columns)} coefficients; "
                    "they can only be compared with a number.",
                    start,
                )
            self.check_size(right)
            value = right.constant
        rows = np.eye(len(self.known.names))[list(columns)]
        right_hand = f" = {value:g}" if value != 0.0 else ""
        names = tuple(self.known.names[column] + right_hand for column in columns)
        return Hypotheses(rows, np.full(len(columns), value), names, equation)

    def check_size(self, total: _Linear) -> None:
        """Refuse what products and quotients have made too large, or not a number."""
        values = (total.constant, *total.weights.values())
        if not all(abs(value) <= LARGEST_NUMBER for value in values):
            raise FormulaError(
                f"this amounts to numbers larger than {LARGEST_NUMBER:g}.",
                self.text,
                (0, len(self.text)),
            )

    def sum(self) -> _Linear:
        total = self.product()
        while (sign := self.accept("+-")) is not None:
            total = total.plus(self.product().times(1.0 if sign == "+" else -1.0))
        return total

    def product(self) -> _Linear:
        left = self.signed()
        while (sign := self.accept("*/")) is not None:
            start = self.position
            right = self.signed()
            if sign == "*":
                if left.weights and right.weights:
                    self.fail("a product of coefficients is not linear.", start)
                scaled, factor = (left, right) if left.weights else (right, left)
                left = scaled.times(factor.constant)
                continue
            if right.weights:
                self.fail("division by a coefficient is not linear.", start)
            if right.constant == 0.0:
                self.fail("division by zero.", start)
            left = left.times(1.0 / right.constant)
        return left

    def signed(self) -> _Linear:
        sign = 1.0
        while (found := self.accept("+-")) is not None:
            sign = -sign if found == "-" else sign
        atom = self.atom()
        return atom if sign > 0.0 else atom.times(sign)

    def atom(self) -> _Linear:
        self.skip()
        start = self.position
        number = _NUMBER.match(self.text, start)
        if number is not None:
            self.position = number.end()
            self.skip()
            if _WORD.match(self.text, self.position) or self.at("("):
                self.fail(f"write a product with '*': {number.group()} * ...", self.position)
            value = float(number.group())
            if value > LARGEST_NUMBER:
                self.position = number.end()
                self.fail(f"numbers must not be larger than {LARGEST_NUMBER:g}.", start)
            return _Linear({}, value)
        name = self.find(self.known.names)
        if name is not None:
            self.skip()
            return _Linear({self.known.names.index(name): 1.0}, 0.0)
        label = self.find(self.several())
        if label is not None:
            raise FormulaError(self.many(label), self.text, (start, self.position))
        if self.accept("(") is not None:
            inner = self.sum()
            if self.accept(")") is None:
                self.unexpected()
            return inner
        if _WORD.match(self.text, start):
            self.unknown(start)
        self.unexpected()

    def several(self) -> list[str]:
        """Return the terms that are not also the name of a coefficient."""
        return [label for label in self.known.terms if label not in self.known.names]

    def many(self, label: str) -> str:
        names = [self.known.names[column] for column in self.known.terms[label]]
        return (
            f"{label!r} has {len(names)} coefficients ({_listed(names)}): name one of them, or "
            "test the term on its own."
        )

    def find(self, names: Sequence[str]) -> str | None:
        """Read the longest of ``names`` that stands here."""
        if self.text.startswith("`", self.position):
            end = self.text.find("`", self.position + 1)
            quoted = self.text[self.position + 1 : end]
            # labels of terms keep the backquotes of their variables
            found = next((name for name in (quoted, f"`{quoted}`") if name in names), None)
            if end > 0 and found is not None:
                self.position = end + 1
                return found
        best, stop = None, self.position
        for name in names:
            end = _end_of(name, self.text, self.position)
            if end > stop:
                best, stop = name, end
        self.position = stop
        return best

    def skip(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def at(self, sign: str) -> bool:
        return self.text.startswith(sign, self.position)

    def accept(self, signs: str) -> str | None:
        self.skip()
        found = self.text[self.position : self.position + 1]
        if not found or found not in signs:
            return None
        self.position += 1
        self.skip()
        return found

    def equals(self) -> bool:
        """Read ``=`` or ``==``."""
        self.skip()
        length = 2 if self.at("==") else int(self.at("="))
        self.position += length
        self.skip()
        return length > 0

    def fail(self, message: str, start: int) -> NoReturn:
        stop = max(start + 1, min(self.position, len(self.text)))
        raise FormulaError(message, self.text, (start, stop))

    def unexpected(self) -> NoReturn:
        self.skip()
        if self.position == len(self.text):
            raise FormulaError(
                "something is missing here.", self.text, (len(self.text), len(self.text) + 1)
            )
        found = self.text[self.position]
        hints = {
            "=": " One equation at a time: give several as a list.",
            ":": " The model has no such interaction.",
            "^": " Only linear expressions can be tested.",
            ",": " Give several hypotheses as a list.",
            ";": " Give several hypotheses as a list.",
            "<": " Hypotheses are equations.",
            ">": " Hypotheses are equations.",
        }
        self.fail(f"{found!r} cannot stand here.{hints.get(found, '')}", self.position)

    def unknown(self, start: int) -> NoReturn:
        """Say that a name is not known; it reaches as far as names usually do."""
        stop, closers = start, list[str]()
        if self.at("`"):
            stop = self.text.find("`", start + 1) + 1 or len(self.text)
        while stop < len(self.text):
            character = self.text[stop]
            if character in _CLOSERS:
                closers.append(_CLOSERS[character])
            elif closers and character == closers[-1]:
                closers.pop()
            elif not closers and not (character.isalnum() or character in "_.:`"):
                break
            stop += 1
        name = self.text[start:stop].strip("`")
        raise UnknownVariableError(unknown_coefficient(name, self.known), self.text, (start, stop))


def unknown_coefficient(name: str, known: Vocabulary) -> str:
    """Return the message about a name that the model does not have, with the nearest ones."""
    possible = [*known.names, *(label for label in known.terms if label not in known.names)]
    close = [other for other in possible if other.casefold() == name.casefold()]
    close = close or difflib.get_close_matches(name, possible, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"no coefficient is called {name!r}.{hint} Coefficients: {_listed(known.names)}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _end_of(name: str, text: str, start: int) -> int:
    """Return where ``name`` ends if it stands at ``start``, blanks beside punctuation aside; -1."""
    pieces = _PIECES.findall(name)
    if not text.startswith(pieces[0], start):
        return -1
    found = re.compile(r"\s*".join(map(re.escape, pieces))).match(text, start)
    if found is None:
        return -1
    end = found.end()
    longer = text[end : end + 1]
    whole = longer not in {*":[("} if _is_sign(name[-1]) else not _MORE.match(longer)
    return end if whole else -1


def _is_sign(character: str) -> bool:
    return not (character.isalnum() or character in "_." or character.isspace())
