"""How often every combination of levels of the fixed effects' factors occurs.

Marginal means need the levels, and which of their combinations there are. Numbers with one or two
values count as factors there, and so do numbers that the formula makes a factor of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.design.types import Design
from ranef.streaming.facts import Cells, Numbers
from ranef.streaming.lookup import LevelTable, level_table
from ranef.typing import FloatArray

# More combinations than this are not counted.
MOST = 1_000_000
# Numbers with no more values than this are kept at all of them, in memory as here.
FEW_VALUES = 2


@dataclass(frozen=True, slots=True, eq=False)
class CellLayout:
    """The factors whose combinations are counted, v of them.

    Attributes
    ----------
    levels : tuple of Column (v,)
        Every level once, as the data have it.
    tables : tuple of LevelTable (v,)
        Where each is.
    """

    levels: tuple[Column, ...]
    tables: tuple[LevelTable, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of levels of every variable."""
        return tuple(len(column.values) for column in self.levels)

    def count(self, frame: Frame) -> FloatArray:
        """Return how many rows of a chunk every combination has, (size,)."""
        cell = None
        for column, table in zip(self.levels, self.tables, strict=True):
            own = frame.column(column.name)
            if column.kind == "numeric" and len(column.values) <= FEW_VALUES:
                codes = np.asarray(own.values == column.values[-1], dtype=np.intp)
                codes *= len(column.values) - 1
            else:
                codes = table.codes(own)
            cell = codes if cell is None else cell * len(column.values) + codes
        size = int(np.prod(self.sizes))
        if cell is None:
            return np.array([float(frame.size)])
        return np.bincount(cell, minlength=size).astype(np.float64)

    def cells(self, counts: FloatArray) -> Cells:
        """Return the combinations that occur."""
        found = np.flatnonzero(counts)
        at = np.unravel_index(found, self.sizes) if self.levels else ()
        columns = {
            column.name: replace(column, values=column.values[codes])
            for column, codes in zip(self.levels, at, strict=True)
        }
        return Cells(columns, counts[found])


def cell_layout(
    design: Design, predictors: Sequence[str], numbers: Mapping[str, Numbers]
) -> CellLayout | None:
    """Find the factors and their levels; None if there are too many combinations.

    Parameters
    ----------
    design : Design
        Of rows that show every level of every factor.
    predictors : sequence of str
        Variables of the fixed effects.
    numbers : mapping of str to Numbers
        Those that are numbers.
    """
    spec = design.spec
    made = {factor for term in spec.sum.terms for factor in term.factors}
    coerced = {name for factor in made if factor.text in spec.codings for name in factor.names}
    levels = []
    for name in predictors:
        column = design.variables.columns[name]
        known = numbers.get(name)
        if known is None or name in coerced:
            values = np.unique(column.values)
        elif known.few:
            values = np.unique([known.low, known.high]).astype(column.values.dtype)
        else:
            continue
        levels.append(replace(column, values=values, missing=None))
    if np.prod([len(column.values) for column in levels], dtype=object) > MOST:
        return None
    return CellLayout(tuple(levels), tuple(level_table(_labels(column)) for column in levels))


def _labels(column: Column) -> pd.Index:
    labels: pd.Index = pd.Index(column.values)
    return labels if column.levels is None else column.levels.take(column.values)
