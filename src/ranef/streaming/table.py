"""Rows that are kept in the first pass: a few columns of plain arrays that can be joined.

Values of factors are kept as what they stand for, not as codes, because codes differ between
chunks. What every chunk says about the kind of its columns is kept beside the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import Column, Kind, column_from_series
from ranef.design.frame import Frame
from ranef.errors import DataError
from ranef.typing import IntArray

Table: TypeAlias = Mapping[str, NDArray[Any]]

# The labels of the rows, for error messages; no formula can name this.
LABELS = "\0labels"

_WORDS: dict[Kind, str] = {
    "numeric": "numbers",
    "boolean": "booleans",
    "factor": "text or categories",
    "labels": "dates or other labels",
}


@dataclass(frozen=True, slots=True, eq=False)
class Nature:
    """What the chunks say about a column.

    Attributes
    ----------
    kind : str or None
        None where everything is missing.
    levels : pandas.Index or None
        Declared levels, if all chunks declare the same.
    ordered : bool
    """

    kind: Kind | None
    levels: pd.Index | None = None
    ordered: bool = False

    def merge(self, other: Nature, name: str) -> Nature:
        """Return what two chunks say together.

        Raises
        ------
        DataError
            If they contradict each other.
        """
        if self.kind is None or other.kind is None:
            return self if other.kind is None else other
        if self.kind != other.kind:
            raise DataError(
                f"the column {name!r} holds {_WORDS[other.kind]}, but {_WORDS[self.kind]} in the "
                "chunks before; give it one type throughout."
            )
        if self.kind != "factor":
            return self
        if self._declares(other):
            return self
        for nature in (self, other):
            if nature.levels is not None and nature.levels.inferred_type not in ("string", "empty"):
                raise DataError(
                    f"the categories of {name!r} differ between chunks and are not text; declare "
                    "the same categories in all chunks."
                )
        return Nature("factor")

    def _declares(self, other: Nature) -> bool:
        if self.levels is None or other.levels is None:
            return self.levels is other.levels
        return self.ordered == other.ordered and self.levels.equals(other.levels)


def neutral(frame: Frame) -> Frame:
    """Return a chunk in which columns without any value are numbers, all missing.

    The type of such a column means nothing: a database gives Python objects for it, a CSV file
    floats. As numbers they fit everywhere. Levels that are declared are something, though.
    """

    def read(_: int, name: str) -> Column:
        column = frame.column(name)
        if column.kind == "numeric" or not _says_nothing(column):
            return column
        missing = np.ones(frame.size, dtype=bool) if frame.size else None
        return Column(name, "numeric", np.full(frame.size, np.nan), missing=missing)

    return Frame(frame.names, frame.size, frame.index, frame.labelled, read)


def _says_nothing(column: Column) -> bool:
    if column.kind == "factor" and not column.text and column.levels is not None:
        return not len(column.levels)
    return not len(column.values) or (column.missing is not None and bool(column.missing.all()))


def nature_of(column: Column) -> Nature:
    """Return what a chunk says about a column."""
    if _says_nothing(column):
        return Nature(None)
    if column.kind == "factor" and not column.text:
        return Nature("factor", column.levels, column.ordered)
    return Nature(column.kind)


def take_table(frame: Frame, names: Sequence[str], positions: IntArray) -> Table:
    """Copy rows of a chunk."""
    out: dict[str, NDArray[Any]] = {LABELS: frame.index[positions].to_numpy()}
    for name in names:
        column = frame.column(name)
        values = column.values[positions]
        if column.levels is not None:
            values = column.levels.to_numpy(dtype=object)[values]
        out[name] = values
    return out


def size_of(table: Table) -> int:
    """Return the number of rows."""
    return len(table[LABELS])


def take(table: Table, positions: IntArray | slice) -> Table:
    """Return some rows of a table."""
    return {name: values[positions] for name, values in table.items()}


def join(tables: Sequence[Table]) -> Table:
    """Put tables below each other; integers beside floats become floats."""
    if len(tables) == 1:
        return tables[0]
    return {name: _concatenate([t[name] for t in tables]) for name in tables[0]}


def _concatenate(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    pieces = [piece for piece in pieces if len(piece)] or pieces[:1]  # empty ones have any type
    if len({piece.dtype.kind for piece in pieces} - set("iuf")) > 1:  # labels of several kinds
        pieces = [piece.astype(object) for piece in pieces]
    return np.concatenate(pieces)


def table_frame(table: Table, natures: Mapping[str, Nature]) -> Frame:
    """Return a table as data for a design: levels as in memory, declared or sorted."""

    def read(name: str) -> Column:
        values, nature = table[name], natures[name]
        if nature.kind in ("numeric", "boolean", None):
            kind: Kind = "boolean" if nature.kind == "boolean" else "numeric"
            return Column(name, kind, values)
        if nature.levels is not None:
            categories = pd.Categorical(values, nature.levels, ordered=nature.ordered)
            return column_from_series(pd.Series(categories), name)
        found = column_from_series(pd.Series(values, dtype=object), name)
        return replace(found, kind=nature.kind) if nature.kind is not None else found

    labels = pd.Index(table[LABELS])
    names = tuple(name for name in table if name != LABELS)
    return Frame(names, len(labels), labels, True, lambda at, _: read(names[at]))
