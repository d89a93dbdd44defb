"""Plain text, as R prints it: for terminals, logs and doctests.

Columns are as wide as their widest cell and one blank apart. Widths count what a terminal shows,
so names in Chinese or with combining accents stay aligned. Lines have no trailing blanks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from textwrap import fill

from ranef.tables.document import Block, Column, Document, Facts, Paragraph, Table


def render_text(document: Document, width: int = 80) -> str:
    """Render a document as plain text.

    Parameters
    ----------
    document : Document
    width : int
        Foldable tables continue below themselves when they are wider than this.

    Returns
    -------
    str
        Without a final newline.

    Examples
    --------
    >>> from ranef.tables.document import labels, numbers
    >>> table = Table("Levels", (labels("group", ["a", "b"]), numbers("n", ["9", "10"])))
    >>> print(render_text(Document("", (table,))))
    Levels:
    group  n
    a      9
    b     10
    """
    parts = [_block(block, width) for block in document.blocks]
    if document.title:
        title = single_line(document.title)
        if document.blocks and isinstance(document.blocks[0], Facts):
            parts[0] = f"{title}\n{parts[0]}"
        else:
            parts.insert(0, title)
    return "\n\n".join(parts)


def display_width(text: str) -> int:
    r"""Return how many terminal cells a text takes.

    Examples
    --------
    >>> display_width("Batch"), display_width("批次"), display_width("e\u0301")
    (5, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def single_line(text: str) -> str:
    """Return the text with line breaks and tabs turned into blanks."""
    return text if text.isprintable() else " ".join(text.splitlines()).expandtabs(1)


def _block(block: Block, width: int) -> str:
    match block:
        case Facts(items):
            return "\n".join(f"{fact.name}: {single_line(fact.value)}" for fact in items)
        case Paragraph(text):
            return _fill_lines(text, width)
        case Table():
            return "\n".join(_table(block, width))


def _fill_lines(text: str, width: int) -> str:
    """Break sentences into lines; names and numbers stay whole."""
    return fill(text, width, break_long_words=False, break_on_hyphens=False)


def _table(table: Table, width: int) -> Iterator[str]:
    if table.title:
        yield f"{single_line(table.title)}:"
    filled = [_fill(column.in_text or column) for column in table.columns]
    n_labels = sum(column.kind == "label" for column in table.columns)
    for part in _folds(table, filled, width):
        for line in zip(*part, strict=True):
            # Correlations are a triangle: below a fold, its first lines have nothing left to say.
            if not table.foldable or "".join(line[n_labels:]).strip():
                yield (" " * table.indent + " ".join(line)).rstrip()
    yield from (_fill_lines(note, width) for note in table.notes)


def _fill(column: Column) -> list[str]:
    """Pad header and cells of a column to one width."""
    header, *cells = [single_line(cell) for cell in (column.header, *column.cells)]
    if column.kind != "number":
        return _left([header, *cells])
    return _left([header, *_right(cells)]) if column.header_left else _right([header, *cells])


def _left(cells: Sequence[str]) -> list[str]:
    width = max(map(display_width, cells))
    return [cell + " " * (width - display_width(cell)) for cell in cells]


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(display_width, cells), default=0)
    return [" " * (width - display_width(cell)) + cell for cell in cells]


def _folds(table: Table, filled: list[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Split the columns into parts that fit; the row labels are repeated in each."""
    heads = [cells for cells, c in zip(filled, table.columns, strict=True) if c.kind == "label"]
    bodies = [cells for cells, c in zip(filled, table.columns, strict=True) if c.kind != "label"]
    if not table.foldable:
        yield filled
        return
    used = start = table.indent + sum(display_width(cells[0]) + 1 for cells in heads)
    part: list[list[str]] = []
    for cells in bodies:
        used += display_width(cells[0]) + 1
        if part and used - 1 > width:
            yield [*heads, *part]
            used, part = start + display_width(cells[0]) + 1, []
        part.append(cells)
    yield [*heads, *part]
