"""Which means are asked for: names, or R's formulas.

``"A"``, ``["A", "B"]``, ``"A | B"``, ``"~ A * B"`` and ``"pairwise ~ A | B"`` are the ways in which
emmeans is asked. Operators between variables all mean "and": only the bar, which starts groups,
and the tilde, which ends the name of a family of contrasts, say more.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ranef.errors import FormulaError, OptionError
from ranef.formula.lexer import Lexeme, lex

OVERALL = "1"
"""The variable of the overall mean: it has one level, ``overall``."""

_BETWEEN = {"*", "+", ":"}


@dataclass(frozen=True, slots=True)
class Specs:
    """What to average for.

    Attributes
    ----------
    variables : tuple of str
        Means are for all combinations of these; the first varies fastest.
    by : tuple of str
        Groups of means that are shown and compared on their own.
    contrast : str or None
        What stood before the tilde.
    """

    variables: tuple[str, ...]
    by: tuple[str, ...]
    contrast: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """All variables, those of ``by`` last."""
        return (*self.variables, *self.by)


def parse_specs(
    specs: str | Sequence[str], by: str | Sequence[str] | None, known: Collection[str]
) -> Specs:
    """Read what the caller asks for; whether the variables exist is checked elsewhere.

    Parameters
    ----------
    specs : str or sequence of str
        Names, or a formula.
    by : str, sequence of str or None
        More grouping variables.
    known : collection of str
        A string that is one of these is a name, whatever characters are in it.

    Raises
    ------
    FormulaError
        If a formula cannot be read.
    OptionError
        If ``specs`` or ``by`` is of another type.

    Examples
    --------
    >>> parse_specs("pairwise ~ A * B | C", None, ())
    Specs(variables=('A', 'B'), by=('C',), contrast='pairwise')
    """
    groups = names_of("by", by)
    if not isinstance(specs, str) or specs in known:
        found = Specs(names_of("specs", specs), ())
    else:
        found = _read(specs)
    variables = tuple(name for name in found.variables if name not in groups) or (
        (OVERALL,) if not found.variables else ()
    )
    if not variables:
        raise OptionError(f"specs and by name the same variables: {', '.join(groups)}.")
    return Specs(variables, _unique((*found.by, *groups), variables), found.contrast)


def names_of(argument: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return a name, several names or None as a tuple of different names."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    names = list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(name, str) for name in names):
        raise OptionError(
            f"{argument} must be a name of a variable, or a list of names; got {value!r}."
        )
    return _unique(names, ())


def _unique(names: Iterable[str], without: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name not in without)


def _read(text: str) -> Specs:
    lexemes = list(lex(text))
    tilde = _positions(lexemes, "~")
    if len(tilde) > 1:
        raise _error("specs have one '~' at most.", text, lexemes[tilde[1]])
    left = lexemes[: tilde[0]] if tilde else []
    right = lexemes[tilde[0] + 1 :] if tilde else lexemes
    if len(left) > 1 or any(lexeme.kind not in ("name", "quoted") for lexeme in left):
        raise _error("one family of contrasts stands before '~', such as pairwise.", text, left[-1])
    bar = _positions(right, "|")
    if len(bar) > 1:
        raise _error("specs have one '|' at most.", text, right[bar[1]])
    end = bar[0] if bar else len(right)
    variables = _names(right[:end], text)
    by = _names(right[end + 1 :], text) if bar else ()
    return Specs(variables, _unique(by, variables), left[0].text if left else None)


def _positions(lexemes: Sequence[Lexeme], operator: str) -> list[int]:
    return [i for i, lex in enumerate(lexemes) if lex.kind == "operator" and lex.text == operator]


def _names(lexemes: Sequence[Lexeme], text: str) -> tuple[str, ...]:
    if not lexemes:
        raise FormulaError(f"specs need the names of variables; got {text!r}.")
    names = []
    for i, lexeme in enumerate(lexemes):
        if i % 2:
            if lexeme.kind == "bracket" and lexeme.text == "(":
                raise _function(lexemes[i - 1 :], text)
            if lexeme.kind != "operator" or lexeme.text not in _BETWEEN:
                raise _error("put '*' between the names of variables.", text, lexeme)
        elif lexeme.kind in ("name", "quoted"):
            names.append(lexeme.text)
        elif (lexeme.kind, lexeme.text, len(lexemes)) != ("number", OVERALL, 1):
            raise _error("the name of a variable stands here.", text, lexeme)
    if len(lexemes) % 2 == 0:
        raise _error("the name of a variable is missing after this.", text, lexemes[-1])
    return _unique(names, ())


def _function(lexemes: Sequence[Lexeme], text: str) -> FormulaError:
    """Return the error for factor(item), where item has to be written."""
    inside = list(itertools.takewhile(lambda lexeme: lexeme.text != ")", lexemes[2:]))
    names = [lexeme.text for lexeme in inside if lexeme.kind in ("name", "quoted")]
    end = lexemes[min(len(inside) + 2, len(lexemes) - 1)].end
    what = f"write {names[0]}" if len(names) == 1 else "write the variable alone"
    message = f"means are for levels of variables, not of functions of them: {what}."
    return FormulaError(message, text, (lexemes[0].start, end))


def _error(message: str, text: str, lexeme: Lexeme) -> FormulaError:
    return FormulaError(message, text, (lexeme.start, lexeme.end))
