"""From the values of grouping variables in a chunk to the levels of the whole data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.design.grouping import distances, group_column
from ranef.design.types import Grouping
from ranef.design.variables import Variables
from ranef.errors import DataError
from ranef.typing import IntArray

# A table this long is always affordable; longer ones if they are not much longer than the levels.
_TABLE = 1 << 22

CHANGED = (
    "a level of {name!r} was not there in the first pass over the data: they changed meanwhile, "
    "or do not come out the same twice."
)


@dataclass(frozen=True, slots=True, eq=False)
class LevelTable:
    """Positions of the levels of one variable.

    Attributes
    ----------
    levels : pandas.Index
    low : int
        Smallest level, where the levels are whole numbers.
    table : int32 array or None
        Position of level ``low + i``, -1 where there is none; None where that would be long.
    """

    levels: pd.Index
    low: int
    table: IntArray | None

    def codes(self, column: Column) -> IntArray:
        """Return the position of every row; -1 where the value is not known."""
        if column.levels is not None:
            known: IntArray = np.append(self._find(column.levels), -1)
            positions: IntArray = known[column.values]
            return positions
        values = column.values
        if values.dtype.kind == "b":
            return self._find(pd.Index([False, True]))[values.astype(np.intp)]
        if self.table is None or values.dtype.kind not in "iu" or not len(values):
            return self._find(pd.Index(values))
        if int(values.min()) < self.low or int(values.max()) >= self.low + len(self.table):
            return self._find(pd.Index(values))
        codes: IntArray = self.table[distances(values, self.low)]
        return codes

    def _find(self, values: pd.Index) -> IntArray:
        if self.levels.dtype == object:
            values = values.astype(object)
        found: IntArray = self.levels.get_indexer(values)
        return found


def level_table(levels: pd.Index) -> LevelTable:
    """Prepare the search for levels."""
    if levels.dtype.kind in "iu" and len(levels):
        low, high = int(levels.min()), int(levels.max())
        reach = high - low + 1
        if reach <= max(_TABLE, 4 * len(levels)):
            table = np.full(reach, -1, dtype=np.int32)
            table[distances(levels.to_numpy(), low)] = np.arange(len(levels), dtype=np.int32)
            return LevelTable(levels, low, table)
    numeric = levels.dtype.kind in "iuf"
    return LevelTable(levels if numeric else levels.astype(object), 0, None)


@dataclass(frozen=True, slots=True, eq=False)
class GroupLookup:
    """Finds the level of a grouping factor for every row.

    Attributes
    ----------
    name : str
    variables : tuple of str
    parts : tuple of LevelTable
        One for every variable.
    combinations : LevelTable or None
        Combinations that occur, as whole numbers; None for a single variable.
    order : int array or None
        The level of every entry of ``combinations``.
    """

    name: str
    variables: tuple[str, ...]
    parts: tuple[LevelTable, ...]
    combinations: LevelTable | None
    order: IntArray | None

    def codes(self, frame: Frame) -> IntArray:
        """Return the level of every row, (n,).

        Raises
        ------
        DataError
            If a level is not known.
        """
        found = self.parts[0].codes(frame.column(self.variables[0]))
        if self.combinations is not None and self.order is not None:
            wrong = found < 0
            key = found.astype(np.int64)
            for name, part in zip(self.variables[1:], self.parts[1:], strict=True):
                more = part.codes(frame.column(name))
                wrong |= more < 0
                key = key * len(part.levels) + more
            key[wrong] = 0
            found = self.combinations.codes(Column(self.name, "numeric", key))
            found = np.where(wrong | (found < 0), -1, self.order[found])
        if len(found) and found.min() < 0:
            raise DataError(CHANGED.format(name=self.name))
        return found


def group_lookup(grouping: Grouping, variables: Variables) -> GroupLookup:
    """Prepare the search for the levels of a grouping factor.

    Parameters
    ----------
    grouping : Grouping
        Of witnesses that show every level.
    variables : Variables
        Of the same rows.
    """
    parts = [group_column(variables.columns[name], None) for name in grouping.variables]
    tables = tuple(level_table(levels) for _, levels in parts)
    if len(parts) == 1:
        return GroupLookup(grouping.name, grouping.variables, tables, None, None)
    key = parts[0][0].astype(np.int64)
    for codes, levels in parts[1:]:
        key = key * len(levels) + codes
    found, first = np.unique(key, return_index=True)
    return GroupLookup(
        grouping.name,
        grouping.variables,
        tables,
        level_table(pd.Index(found)),
        grouping.codes[first],
    )
