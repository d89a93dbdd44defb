"""Columns of numbers as R prints tables of tests: five digits, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ranef.tables.document import Column, numbers
from ranef.tables.format import format_common, format_p_values, format_statistics
from ranef.typing import FloatArray

_DIGITS, _P_DIGITS = 5, 4
_STATISTICS = {"chisq", "lrt", "f_value"}


def statistic_columns(frame: pd.DataFrame, headers: Mapping[str, str]) -> list[Column]:
    """Return the printed columns of a table of tests.

    Parameters
    ----------
    frame : DataFrame
    headers : mapping of str to str
        What the columns are called in print; those whose names begin with ``p_`` are p-values.
    """
    out = []
    for name, header in headers.items():
        values = frame[name].to_numpy(dtype=np.float64)
        out.append(numbers(header, _blanks(values, _cells(name, values))))
    return out


def _cells(name: str, values: FloatArray) -> Iterable[str]:
    if name.startswith("p_"):
        return format_p_values(values, _P_DIGITS)
    return (format_statistics if name in _STATISTICS else format_common)(values, _DIGITS)


def _blanks(values: Iterable[float], cells: Iterable[str]) -> list[str]:
    return ["" if np.isnan(v) else cell for v, cell in zip(values, cells, strict=True)]
