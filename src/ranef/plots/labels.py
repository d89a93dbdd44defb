"""Names that users chose, as text of a picture: literally, and not wider than there is room.

What stands between two dollar signs is mathematics to matplotlib, and what begins with an
underscore is left out of its legends. Names of coefficients and levels may contain either, and be
longer than the picture is wide: they are broken into lines, and shortened in the middle where that
is not enough, since names often differ at their ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Letters of a line, and lines of a label.
WIDTH, MOST_LINES = 30, 3
# Letters for which a picture has room as it is, and the inches that every other one takes.
ROOM, LETTER = 12, 0.085
# A label may be broken after these letters, and before an opening bracket.
_BREAKS = r"(?<=[\s_:;,/|*+-])|(?<=[^T]\.)|(?=[\[(])"


def plain(text: object) -> str:
    """Return a name as text in which nothing is read as mathematics."""
    return str(text).replace("$", r"\$")


def wrapped(text: object, width: int = WIDTH, lines: int = MOST_LINES) -> str:
    """Return a name in lines of at most ``width`` letters, shortened if these are not enough.

    Examples
    --------
    >>> print(wrapped("condition[T.treatment with words]", 20))
    condition
    [T.treatment with
    words]
    """
    return plain("\n".join(_broken(str(text), width, lines)))


def shortened(text: object, width: int) -> str:
    """Return a name of at most ``width`` letters, with dots in its middle if it was longer.

    Examples
    --------
    >>> shortened("the school at the lake", 11)
    'the sc…lake'
    """
    return plain(_without_middle(str(text), width))


def in_legend(text: object) -> str:
    """Return a name as matplotlib shows it in a legend."""
    shown = wrapped(text, 44)
    return f" {shown}" if shown.startswith("_") else shown


def line_count(labels: Iterable[str]) -> int:
    """Return the number of lines of the label that has most."""
    return max((label.count("\n") + 1 for label in labels), default=1)


def extra_width(labels: Iterable[str]) -> float:
    """Return by how many inches a picture must be wider for these labels at its side."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    return LETTER * max(0, longest - ROOM)


def _broken(text: str, width: int, most: int) -> list[str]:
    found = [""]
    for piece in re.split(_BREAKS, text):
        rest = piece
        if len(found[-1]) + len(rest.rstrip()) > width and found[-1]:
            found.append("")
        while len(rest.rstrip()) > width:
            found[-1] = rest[:width]
            rest = rest[width:]
            found.append("")
        found[-1] += rest
    if len(found) > most:
        # what is left of a name is broken again; it has fewer letters, and in the end fits
        return _broken(_without_middle(text, min(len(text) - 1, width * most)), width, most)
    return [line.rstrip() for line in found]


def _without_middle(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 5
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
