"""Checksums of rows that depend neither on their order nor on the chunks they come in.

Numbers are mixed into 64 bits, and the mixtures are added modulo 2^64. Other values in the same
rows give another sum, but for one chance in 10^19; other pairs of rows do too, where a row is mixed
as a whole. This finds mistakes; it is no protection against somebody who wants to deceive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.typing import BoolArray, FloatArray, IntArray

# Rows that are mixed at once: they stay in the cache.
AT_ONCE = 1 << 15
# Odd constants of good mixing functions (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
# number generators").
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_HALF = np.uint64(32)


def row_print(values: FloatArray | None, n: int, neutral: float = 0.0) -> int:
    """Return the sum of the mixed bits of numbers, modulo 2^64.

    Parameters
    ----------
    values : float64 array (n,) or None
    n : int
    neutral : float
        What None stands for in every row.
    """
    if values is None:
        return n * row_print(np.array([neutral]), 1) % 2**64
    total = np.uint64(0)
    with np.errstate(over="ignore"):
        for start in range(0, len(values), AT_ONCE):
            part = values[start : start + AT_ONCE] + 0.0  # a copy, in which -0 is 0
            total += _mix(part.view(np.uint64)).sum(dtype=np.uint64)
    return int(total)


def combine_prints(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Return the prints of the rows of both."""
    return tuple((a + b) % 2**64 for a, b in zip(left, right, strict=True))


def frame_print(frame: Frame, names: Sequence[str], keep: IntArray | None) -> int:
    """Return the print of several columns: which values stand together in a row matters.

    Levels count by what they are, not by their codes, and whole numbers as floats, because both may
    differ between chunks.

    Parameters
    ----------
    frame : Frame
    names : sequence of str
    keep : int array or None
        The rows that count; all by default. Nothing is missing in them.
    """
    used: BoolArray | None = None
    if keep is not None:
        used = np.zeros(frame.size, dtype=bool)
        used[keep] = True
    columns = [frame.column(name) for name in names]
    factors = _factors(len(columns))
    tables = [_level_bits(column, c) for column, c in zip(columns, factors, strict=True)]
    total = np.uint64(0)
    product = np.empty(AT_ONCE)
    mixture = np.empty(AT_ONCE, dtype=np.uint64)
    with np.errstate(all="ignore"):
        for start in range(0, frame.size, AT_ONCE):
            size = min(AT_ONCE, frame.size - start)
            rows = slice(start, start + size)
            mixed, number = mixture[:size], product[:size]
            mixed.fill(0)
            for column, table, c in zip(columns, tables, factors, strict=True):
                values = column.values[rows]
                if table is None:
                    # a product fills all bits also where the number is a round one
                    np.multiply(values, c, out=number, dtype=np.float64)
                    mixed += number.view(np.uint64)
                else:
                    mixed += table[values]
            # sums of columns do not tell which values stand together; this is not a sum
            mixed *= _FIRST
            mixed ^= mixed >> _HALF
            if used is not None:
                mixed *= used[rows]
            total += mixed.sum(dtype=np.uint64)
    return int(total)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits each, in place."""
    for shift, factor in zip(_SHIFTS, (_FIRST, _SECOND, None), strict=True):
        bits ^= bits >> shift
        if factor is not None:
            bits *= factor
    return bits


def _factors(count: int) -> list[float]:
    """Return numbers from 1 to 2 without pattern, one for every column."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    return [1.0 + float(np.sqrt((number * golden) % 1.0)) for number in range(1, count + 1)]


def _level_bits(column: Column, factor: float) -> NDArray[np.uint64] | None:
    """Return 64 bits for every level, and others for what is missing, which has the code -1."""
    if column.levels is None:
        return None
    levels = column.levels
    if levels.dtype.kind in "iufb":
        bits = np.multiply(levels.to_numpy(), factor, dtype=np.float64).view(np.uint64)
    else:
        bits = pd.util.hash_array(levels.to_numpy(dtype=object), categorize=False)
        bits = bits * (np.float64(factor).view(np.uint64) | np.uint64(1))
    return np.append(bits, np.uint64(0))
