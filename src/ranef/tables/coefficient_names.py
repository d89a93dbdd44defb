"""Short names of coefficients, for the margins of the correlation table in plain text.

A name like ``recipe[T.B]:day[T.late]`` consists of *components*. Shortened as a whole, as R does
it, an interaction loses its last factor altogether and keeps halves of brackets. So components are
shortened one by one, each written as R writes it (``recipeB``), with a fair share of the length;
the same component looks the same in all interactions of one order, and different ones differ.
What has neither interactions nor function calls comes out as in R.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ranef.tables.abbreviate import abbreviate

SHORTEST = 3
"""Components of interactions keep this many characters, even if the name becomes too long."""

# The second is for columns without a contrast: f[B], poly(x, 2)[1].
_CODED = (r"(.*?)\[[A-Z]\.(.*)\]", r"(.*?)\[(.*)\]")
_OPENING, _CLOSING = "([{", ")]}"


def abbreviate_coefficients(names: Sequence[str], length: int) -> tuple[str, ...]:
    """Shorten names of coefficients to about ``length`` characters, keeping them different.

    Parameters
    ----------
    names : sequence of str
        As in a table of coefficients, with ``:`` between the components of an interaction.
    length : int
        Interactions of many components become longer than this.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> abbreviate_coefficients(["Intercept", "f[T.B]", "o[T.hi]", "f[T.B]:o[T.hi]"], 6)
    ('Intrcp', 'fB', 'ohi', 'fB:ohi')
    >>> abbreviate_coefficients(["group[T.new]", "Days", "group[T.new]:Days"], 6)
    ('gropnw', 'Days', 'grp:Dys')
    """
    split = [components(name) for name in names]
    plain = _as_in_r([part for parts in split for part in parts])
    pools = {
        order: _pool([plain[p] for parts in split if len(parts) == order for p in parts], share)
        for order, share in {len(parts): _share(length, len(parts)) for parts in split}.items()
    }
    short = [":".join(pools[len(parts)][plain[part]] for part in parts) for parts in split]
    # Odd names of columns or levels, with colons of their own, may still meet: these stay long.
    owners = Counter(text for text, _ in set(zip(short, names, strict=True)))
    return tuple(
        text if owners[text] == 1 else name for text, name in zip(short, names, strict=True)
    )


def components(name: str) -> tuple[str, ...]:
    """Split the name of an interaction at the colons outside brackets.

    Examples
    --------
    >>> components("f[T.10:30]:poly(x, 2)[1]:z")
    ('f[T.10:30]', 'poly(x, 2)[1]', 'z')
    """
    parts, depth = [""], 0
    for character in name:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(parts)


def _share(length: int, order: int) -> int:
    """Return how long a component of an interaction may be."""
    return length if order == 1 else max(SHORTEST, (length - order + 1) // order)


def _as_in_r(parts: Sequence[str]) -> dict[str, str]:
    """Write ``f[T.B]`` as ``fB``, unless something else is called that."""
    plain = {part: _glued(part) for part in parts}
    owners = Counter(plain.values())
    return {part: text if owners[text] == 1 else part for part, text in plain.items()}


def _glued(part: str) -> str:
    for pattern in _CODED:
        if match := re.fullmatch(pattern, part, re.DOTALL):
            return "".join(match.groups())
    return part


def _pool(parts: Sequence[str], length: int) -> dict[str, str]:
    """Abbreviate components of the interactions of one order."""
    # What follows a blank starts a word, of which the first character stays: factor(f) keeps its f.
    marked = [part if len(part) <= length else part.replace("(", "( ") for part in parts]
    short = abbreviate(marked, length, brackets=True)
    return {part: text.replace("( ", "(") for part, text in zip(parts, short, strict=True)}
