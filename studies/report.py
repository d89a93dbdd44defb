"""Tables of results in Markdown, with the Monte-Carlo error of every proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence


def rate(hits: float, count: int) -> str:
    """Return a proportion as a percentage with its Monte-Carlo standard error.

    The error of a proportion near 0 or 1 is taken as that of one hit.
    """
    p = hits / count
    error = math.sqrt(max(p * (1 - p), 1 / count) / count)
    return f"{100 * p:.1f} ± {100 * error:.1f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a pipe table; all columns but the first run to the right."""
    rule = ["---", *("--:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))
