"""Markdown with pipe tables, for GitHub, Quarto and static documentation sites.

Names of coefficients are full of characters that Markdown reads as markup (``recipe[T.B]``,
``I(x^2)``, ``a_b``, ``Pr(>|t|)``), so all of them are escaped; columns are padded to be readable as
plain text, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ranef.tables.document import Block, Column, Document, Fact, Facts, Paragraph, Table
from ranef.tables.text import display_width, single_line

_ESCAPES = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|~$^#"} | {"&": "&amp;"})


def render_markdown(document: Document) -> str:
    """Render a document as GitHub-flavoured Markdown.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        Without a final newline.
    """
    parts = [f"**{escape_markdown(document.title)}**"] if document.title else []
    for block in document.blocks:
        parts.extend(_block(block))
    return "\n\n".join(parts)


def escape_markdown(text: str) -> str:
    r"""Return the text so that Markdown shows it literally.

    Examples
    --------
    >>> print(escape_markdown("Pr(>|t|) & a_b"))
    Pr(\>\|t\|) &amp; a\_b
    """
    return single_line(text).translate(_ESCAPES)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Facts(items):
            yield "  \n".join(map(_fact, items))  # two blanks: a line break, not a paragraph
        case Paragraph(text):
            yield escape_markdown(text)
        case Table():
            if block.title:
                yield f"**{escape_markdown(block.title)}**"
            yield "\n".join(_table(block))
            yield from map(escape_markdown, block.notes)


def _fact(fact: Fact) -> str:
    return f"{escape_markdown(fact.name)}: " + (
        _code(fact.value) if fact.is_code else escape_markdown(fact.value)
    )


def _code(text: str) -> str:
    """Return a code span, fenced by more backticks than the text has in a row."""
    text = single_line(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _table(table: Table) -> Iterator[str]:
    filled = [_fill(column) for column in table.columns]
    for line in zip(*filled, strict=True):
        yield f"| {' | '.join(line)} |"


def _fill(column: Column) -> list[str]:
    """Pad header, rule and cells of a column to one width."""
    header, *cells = [escape_markdown(cell) for cell in (column.header, *column.cells)]
    numeric = column.kind == "number"
    width = max(3, *map(display_width, (header, *cells)))
    rule = "-" * (width - 1) + ":" if numeric else ":" + "-" * (width - 1)
    return [_pad(header, width, numeric), rule, *(_pad(cell, width, numeric) for cell in cells)]


def _pad(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - display_width(cell))
    return blanks + cell if right else cell + blanks
