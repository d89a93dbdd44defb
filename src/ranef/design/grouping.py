"""Grouping factors: from the values of one or several columns to codes 0 .. J-1.

Levels are numbered in the order of R: categories in their order, other values sorted, and
combinations by the first variable, then the second. Combinations are formed on integer codes,
so that only pairs that occur cost anything: 10 000 x 10 000 possible levels are no problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import WHOLE, Column
from ranef.design.contrasts import level_names
from ranef.errors import DataError
from ranef.typing import IntArray

_TABLE = 1 << 22  # a lookup table this long is always affordable


def group_column(column: Column, rows: IntArray | None) -> tuple[IntArray, pd.Index]:
    """Give numbers to the levels of a column on the used rows.

    Parameters
    ----------
    column : Column
        Nothing is missing in the used rows.
    rows : int array (n,) or None
        The used rows; None for all.

    Returns
    -------
    codes : int32 array (n,)
    levels : pandas.Index (J,)
        Every one occurs. Whole numbers are integers, also where the column has floats.
    """
    values = column.values if rows is None else column.values[rows]
    if column.levels is not None:
        return _compress(values, column.levels)
    if values.dtype.kind == "b":
        return _compress(values.astype(np.int8), pd.Index([False, True]))
    if values.dtype.kind in "iu" and len(values):
        low = int(values.min())
        reach = int(values.max()) - low + 1
        if reach <= max(_TABLE, 2 * len(values)):
            codes, found = _number(distances(values, low), reach)
            wide = np.uint64 if int(values.max()) > np.iinfo(np.int64).max else np.int64
            return codes, pd.Index(found.astype(wide) + wide(low))
    codes, levels = pd.factorize(values, sort=True)
    if values.dtype.kind == "f" and not (levels % 1.0).any() and _are_exact(levels, column.name):
        levels = levels.astype(np.int64)  # floats because others are missing: 106, not 106.0
    return codes.astype(np.int32), pd.Index(levels)


def _are_exact(levels: NDArray[Any], name: str) -> bool:
    """Tell whether different whole numbers cannot have become the same float."""
    large = np.abs(levels) > WHOLE
    if np.count_nonzero(large) > 1:  # a single one may be a code for something
        raise DataError(
            f"{name!r} holds whole numbers above 2^53 as floats, in which neighbours are the same: "
            "read them as integers ('Int64' in pandas, also where some are missing) or as text."
        )
    return not large.any()


def distances(values: NDArray[Any], low: int) -> NDArray[Any]:
    """Return how far integers are above ``low``, the smallest of them, without overflow."""
    if low == 0:
        return values
    own = values if values.dtype.kind == "u" and low > 0 else values.astype(np.int64)
    return np.asarray(own - own.dtype.type(low))


def combine(
    parts: Sequence[tuple[IntArray, pd.Index]],
) -> tuple[IntArray, pd.Index]:
    """Give numbers to the combinations that occur of several grouping factors.

    Parameters
    ----------
    parts : sequence of (codes, levels)

    Returns
    -------
    codes : int32 array (n,)
    levels : pandas.Index (J,)
        Strings ``a1:b1``.
    """
    codes, levels = parts[0]
    positions: list[IntArray] = [np.arange(len(levels))]
    for more, names in parts[1:]:
        width = len(names)
        key = codes.astype(np.int64) * width + more
        codes, found = _number(key, len(positions[0]) * width)
        positions = [position[found // width] for position in positions]
        positions.append(found % width)
    texts = [
        np.array(level_names(part[1]), dtype=object)[position]
        for part, position in zip(parts, positions, strict=True)
    ]
    labels = texts[0]
    for text in texts[1:]:
        labels = labels + ":" + text
    return codes, pd.Index(labels, dtype=object)


def combined_labels(parts: Sequence[tuple[IntArray, pd.Index]]) -> NDArray[Any]:
    """Return the label of the combination in every row; None where a code is -1."""
    missing = np.zeros(len(parts[0][0]), dtype=bool)
    labels: NDArray[Any] | None = None
    for codes, levels in parts:
        missing |= codes < 0
        names = np.array([*level_names(levels), ""], dtype=object)[codes]
        labels = names if labels is None else labels + ":" + names
    assert labels is not None
    labels[missing] = None
    return labels


def _number(values: NDArray[Any], reach: int) -> tuple[IntArray, IntArray]:
    """Return codes and sorted distinct values of integers in ``range(reach)``."""
    if reach > max(_TABLE, 2 * len(values)):
        codes, found = pd.factorize(values, sort=True)
        return codes.astype(np.int32), np.asarray(found)
    present = np.zeros(reach, dtype=bool)
    present[values] = True
    found = np.flatnonzero(present)
    if len(found) == reach:
        return values.astype(np.int32), found
    table = np.cumsum(present, dtype=np.int32)
    table -= 1
    return table[values], found


def _compress(codes: IntArray, levels: pd.Index) -> tuple[IntArray, pd.Index]:
    """Drop the levels that do not occur."""
    numbered, found = _number(codes, len(levels))
    return numbered, levels if len(found) == len(levels) else levels[found]
