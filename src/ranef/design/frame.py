"""One view of every kind of data frame: columns by name, converted only when used.

Only the columns that the formula names are ever touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from ranef.design.column import Column, column_from_narwhals, column_from_series
from ranef.design.dictionaries import declared_column
from ranef.errors import DataError
from ranef.typing import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The caller's data behind one interface.

    Attributes
    ----------
    names : tuple of str
    size : int
        Number of rows.
    index : pandas.Index
        The caller's row labels; a RangeIndex where there are none.
    labelled : bool
        Whether the rows have labels, as those of pandas do.
    read : callable
        Position of a column -> Column; use `column`.
    """

    names: tuple[str, ...]
    size: int
    index: pd.Index
    labelled: bool
    read: Callable[[int, str], Column]
    cache: dict[str, Column] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def column(self, name: str) -> Column:
        """Return a column; the caller has checked that it exists.

        Raises
        ------
        DataError
            If two columns have this name, or its values are of a kind that cannot be used.
        """
        found = self.cache.get(name)
        if found is None:
            if self.names.count(name) > 1:
                raise DataError(f"the data have {self.names.count(name)} columns named {name!r}.")
            found = self.cache[name] = self.read(self.names.index(name), name)
            if len(found.values) != self.size:
                raise DataError(
                    f"the columns differ in length: {name!r} has {len(found.values)} rows, "
                    f"others {self.size}."
                )
        return found

    def take(self, positions: IntArray | slice) -> Frame:
        """Return some of the rows; columns are cut when they are used."""

        def read(_: int, name: str) -> Column:
            whole = self.column(name)
            missing = None if whole.missing is None else whole.missing[positions]
            if missing is not None and not missing.any():
                missing = None
            return replace(whole, values=whole.values[positions], missing=missing)

        index = self.index[positions]
        return Frame(self.names, len(index), index, self.labelled, read)


def open_frame(data: Any) -> Frame:
    """Wrap a pandas, polars or pyarrow table, or a dict of columns; a `Frame` stays as it is.

    Parameters
    ----------
    data : data frame or mapping of str to array-like

    Returns
    -------
    Frame

    Raises
    ------
    DataError
        If this is not a table.
    """
    if isinstance(data, Frame):
        return data
    if isinstance(data, pd.DataFrame):
        return _from_pandas(data)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    try:
        table = nw.from_native(data, eager_only=True)
    except TypeError:
        lazy = hasattr(data, "collect")
        hint = " Call .collect() first." if lazy else ""
        raise DataError(
            "data must be a pandas, polars or pyarrow table or a dict of columns; "
            f"got {type(data).__name__}.{hint}"
        ) from None
    arrow = nw.dependencies.is_pyarrow_table(data)

    def read(position: int, name: str) -> Column:
        found = declared_column(data, position, name) if arrow else None
        return column_from_narwhals(table[:, position], name) if found is None else found

    names = tuple(table.columns)
    return Frame(names, len(table), pd.RangeIndex(len(table)), False, read)


def _from_pandas(data: pd.DataFrame) -> Frame:
    if data.columns.nlevels > 1:
        raise DataError("the data have columns with several levels of names; flatten them first.")
    labels = list(data.columns)
    by_label = data.columns.is_unique  # ten times faster than by position

    def read(position: int) -> pd.Series[Any]:
        series: pd.Series[Any] = data[labels[position]] if by_label else data.iloc[:, position]
        return series

    return Frame(
        tuple(map(str, data.columns)),
        len(data),
        data.index,
        True,
        lambda position, name: column_from_series(read(position), name),
    )


def _from_mapping(data: Mapping[Any, Any]) -> Frame:
    if data and all(map(_is_scalar, data.values())):
        data = {key: [value] for key, value in data.items()}  # one row
    keys = list(data)
    first = next((data[key] for key in keys if not _is_scalar(data[key])), ())
    size = len(first)
    labels = _shared_index(data, size)
    return Frame(
        tuple(map(str, keys)),
        size,
        pd.RangeIndex(size) if labels is None else labels,
        labels is not None,
        lambda position, name: _column_from_values(data[keys[position]], name, size),
    )


def _shared_index(data: Mapping[Any, Any], size: int) -> pd.Index | None:
    """Return the row labels of the pandas columns in a dict, if there are any."""
    first: tuple[Any, pd.Index] | None = None
    for key, values in data.items():
        if not isinstance(values, pd.Series) or len(values) != size:
            continue
        if first is None:
            first = key, values.index
        elif not first[1].equals(values.index):
            raise DataError(
                f"the columns {str(first[0])!r} and {str(key)!r} are pandas Series with different "
                "indices; put them into a data frame, or give arrays, which go by position."
            )
    return None if first is None else first[1]


def _column_from_values(values: Any, name: str, size: int) -> Column:
    if _is_scalar(values):  # one value for all rows, as pandas understands it
        values = [values] * size
    if isinstance(values, pd.Series):
        return column_from_series(values, name)
    if nw.dependencies.is_narwhals_series(values) or nw.dependencies.is_into_series(values):
        return column_from_narwhals(nw.from_native(values, series_only=True), name)
    try:
        return column_from_series(pd.Series(values, copy=False), name)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the column {name!r} cannot be read: {error}") from None


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str) or bool(np.isscalar(value))
