"""Shorter names for the margins of wide tables, as R shortens them.

The correlation table of the fixed effects has one column per coefficient, so its column names
must be short, and a reader of lme4 expects ``Intrcp``. A name loses, from its right end, first
lower-case vowels, then other lower-case letters, then anything, but never the first character
of a word; in each round the ends of words go first. Names that become equal get one more
character until they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def abbreviate(names: Sequence[str], length: int, *, brackets: bool = False) -> tuple[str, ...]:
    """Shorten names to about ``length`` characters, keeping them different.

    Parameters
    ----------
    names : sequence of str
    length : int
        Shorter names are left alone; equal abbreviations become longer than this.
    brackets : bool
        Also lengthen abbreviations until they have all brackets of the name, which R does not do.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> abbreviate(["Intercept", "recipe[T.B]", "recipe[T.C]", "Days"], 6)
    ('Intrcp', 'r[T.B]', 'r[T.C]', 'Days')
    """
    unique = list(dict.fromkeys(names))
    short = {name: _shorten(name, length) for name in unique}
    longest = max(map(len, unique), default=0)
    while length < longest:
        wanting = _clashing(short) + (_broken(short) if brackets else [])
        if not wanting:
            break
        length += 1
        short.update({name: _shorten(name, length) for name in wanting})
    return tuple(short[name] for name in names)


def _clashing(short: dict[str, str]) -> list[str]:
    """Return the names whose abbreviation another name has, too."""
    values = list(short.values())
    return [name for name, value in short.items() if values.count(value) > 1]


def _broken(short: dict[str, str]) -> list[str]:
    """Return the names whose abbreviation lost a bracket."""
    return [name for name, text in short.items() if _brackets(text) != _brackets(name)]


def _brackets(text: str) -> str:
    return "".join(character for character in text if character in "()[]{}")


def _shorten(name: str, length: int) -> str:
    text = name.strip()
    if len(text) <= length:
        return text
    for droppable, word_end_only in _ROUNDS:
        text = _drop(text, length, droppable, word_end_only)
    return "".join(text.split())


def _drop(text: str, length: int, droppable: Callable[[str], bool], word_end_only: bool) -> str:
    """Drop characters from the right until ``length`` remain, not counting blanks."""
    blanks = sum(map(str.isspace, text))
    for i in range(len(text) - 1, 0, -1):
        if len(text) - blanks <= length:
            break
        starts_word = text[i - 1].isspace()
        ends_word = i + 1 == len(text) or text[i + 1].isspace()
        removable = (ends_word if word_end_only else True) and not starts_word
        if removable and droppable(text[i]):
            text = text[:i] + text[i + 1 :]
    return text


def _is_vowel(character: str) -> bool:
    return character in "aeiou"


def _is_any(character: str) -> bool:
    return not character.isspace()


_ROUNDS: tuple[tuple[Callable[[str], bool], bool], ...] = (
    (_is_vowel, True),
    (_is_vowel, False),
    (str.islower, True),
    (str.islower, False),
    (_is_any, False),
)
