"""What is printed, before it is known where: a document of facts, sentences and tables.

Numbers are already text here (`ranef.tables.format` made it), but nothing is aligned, escaped or
styled. A result builds its `Document` once and the renderers for text, HTML, Markdown and LaTeX
all show that one, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

CellKind: TypeAlias = Literal["label", "text", "number"]
"""A label names its row; text runs from the left; numbers are flush right."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    header : str
        Shown above the cells; may be empty, and may occur twice.
    cells : tuple of str
        One per row; empty where there is nothing to say.
    kind : {"number", "text", "label"}
        What the cells are.
    header_left : bool
        In plain text, start a number column where its header starts, as R does for variances.
    in_text : Column, optional
        In plain text, where width is scarce, show this instead.
    """

    header: str
    cells: tuple[str, ...]
    kind: CellKind = "number"
    header_left: bool = False
    in_text: Column | None = None


@dataclass(frozen=True)
class Table:
    """A titled table.

    Attributes
    ----------
    title : str
        Without a colon; empty for a table that needs none.
    columns : tuple of Column
        All with the same number of cells.
    notes : tuple of str
        Sentences that belong under the table.
    indent : int
        Blanks before every row in plain text.
    foldable : bool
        In plain text, a table that is too wide continues below itself.
    """

    title: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    indent: int = 0
    foldable: bool = False

    def __post_init__(self) -> None:
        shown = [c for column in self.columns for c in (column, column.in_text) if c is not None]
        lengths = {len(column.cells) for column in shown}
        if len(lengths) > 1:
            raise ValueError(f"columns of one table differ in length: {sorted(lengths)}")

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The cells row by row."""
        return tuple(zip(*(column.cells for column in self.columns), strict=True))

    def with_notes(self, notes: Iterable[str]) -> Table:
        """Return the table with other notes."""
        return replace(self, notes=tuple(notes))


@dataclass(frozen=True)
class Fact:
    """One thing to know, with its name: ``Formula: y ~ x + (1 | g)``.

    Attributes
    ----------
    name : str
        Without a colon.
    value : str
    is_code : bool
        The value is something the user typed or could type.
    """

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Facts:
    """Facts that stand together, one per line."""

    items: tuple[Fact, ...]


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


Block: TypeAlias = Facts | Paragraph | Table


@dataclass(frozen=True)
class Document:
    """Everything that one result has to say, in order.

    Attributes
    ----------
    title : str
        May be empty. Facts that come first belong to it.
    blocks : tuple of Facts, Paragraph and Table
    """

    title: str
    blocks: tuple[Block, ...]


def labels(header: str, cells: Iterable[str]) -> Column:
    """Return a column of row labels."""
    return Column(header, tuple(cells), kind="label")


def numbers(header: str, cells: Iterable[str], *, header_left: bool = False) -> Column:
    """Return a column of formatted numbers."""
    return Column(header, tuple(cells), kind="number", header_left=header_left)
