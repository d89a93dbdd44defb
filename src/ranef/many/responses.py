"""The responses as they were given, read in blocks: nothing of their whole size is ever copied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import Column
from ranef.design.frame import Frame, open_frame
from ranef.errors import DataError, OptionError, UnknownVariableError
from ranef.typing import FloatArray, IntArray

Chosen = slice | IntArray

ALLOWED = (
    "responses must be names of columns of the data, a data frame with the rows of the data, or an "
    "array (rows, responses)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Responses(ABC):
    """Columns of numbers, aligned with the rows of the data. n rows, m responses.

    Attributes
    ----------
    labels : pandas.Index (m,)
        Unique.
    """

    labels: pd.Index

    @abstractmethod
    def read(self, chosen: Chosen) -> FloatArray:
        """Return some of the responses, by position, (n, B), NaN where missing."""

    @property
    def size(self) -> int:
        """Number of responses, m."""
        return len(self.labels)

    def one(self, label: Any) -> FloatArray:
        """Return one response (n,).

        Raises
        ------
        UnknownVariableError
            If there is none with this label.
        """
        at = self.position(label)
        return self.read(slice(at, at + 1))[:, 0]

    def position(self, label: Any) -> int:
        """Return the place of a response.

        Raises
        ------
        UnknownVariableError
            If there is none with this label.
        """
        try:
            at = self.labels.get_loc(label)
        except (KeyError, TypeError):
            known = map(str, self.labels)
            raise UnknownVariableError(
                f"there is no response {label!r}; there are {_shown(known, self.size)}."
            ) from None
        assert isinstance(at, int)  # labels are unique
        return at


@dataclass(frozen=True, slots=True, eq=False)
class _InArray(Responses):
    array: NDArray[Any]

    def read(self, chosen: Chosen) -> FloatArray:
        part = self.array[:, chosen]
        values = np.asarray(part, dtype=np.float64)
        if isinstance(part, np.ma.MaskedArray):
            return np.where(np.ma.getmaskarray(part), np.nan, values)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class _InPandas(Responses):
    """Columns ``positions`` of a table, all where None; its rows in the ``order`` of the data."""

    table: pd.DataFrame
    positions: IntArray | None
    order: IntArray | None

    def read(self, chosen: Chosen) -> FloatArray:
        part = self.table.iloc[:, chosen if self.positions is None else self.positions[chosen]]
        values: FloatArray = part.to_numpy(dtype=np.float64, na_value=np.nan)
        return values if self.order is None else values[self.order]


@dataclass(frozen=True, slots=True, eq=False)
class _InTable(Responses):
    """Columns ``positions`` of any other table, of ``rows`` rows."""

    table: Any
    positions: IntArray
    rows: int

    def read(self, chosen: Chosen) -> FloatArray:
        frame = open_frame(self.table)
        where = zip(self.positions[chosen].tolist(), self.labels[chosen], strict=True)
        # not by `Frame.column`, which would keep them all
        return np.column_stack([_numbers(frame.read(at, name), self.rows) for at, name in where])


def open_responses(given: Any, frame: Frame, data: Any) -> Responses:
    """Look at responses without reading them.

    Parameters
    ----------
    given : list of str, data frame, dict, or array (n, m)
    frame : Frame
        The data.
    data : Any
        The same as the caller gave them.

    Raises
    ------
    OptionError
        If these are no responses.
    UnknownVariableError
        If they are not columns of the data.
    DataError
        If they are not numbers, or their rows are not those of the data.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, pd.Index) or (isinstance(given, np.ndarray) and given.dtype.kind in "UO"):
        given = given.tolist()
    if isinstance(given, pd.DataFrame):
        return _of_pandas(given, np.arange(given.shape[1]), _row_order(given, frame))
    if isinstance(given, list | tuple) and given and all(_is_name(g) for g in given):
        return _of_columns(pd.Index(given), frame, data)
    if isinstance(given, np.ndarray) or (isinstance(given, list | tuple) and len(given)):
        return _of_array(given, frame)
    if given is None or isinstance(given, list | tuple | pd.Series | int | float):
        raise OptionError(f"{ALLOWED}; got {type(given).__name__}{_empty(given)}.")
    try:
        table = open_frame(given)
    except DataError:
        raise OptionError(f"{ALLOWED}; got {type(given).__name__}.") from None
    _check_rows(table.size, frame)
    if table.labelled and frame.labelled and not table.index.equals(frame.index):
        raise DataError(
            "the responses have other row labels than the data; put them into a data frame, which "
            "is aligned, or use arrays, which go by position."
        )
    labels = pd.Index(table.names)
    _check_labels(labels)
    return _InTable(labels, given, np.arange(len(labels)), frame.size)


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _empty(given: Any) -> str:
    return " without elements" if isinstance(given, list | tuple) else ""


def _of_columns(names: pd.Index, frame: Frame, data: Any) -> Responses:
    known = {name: at for at, name in enumerate(frame.names)}
    for name in names:
        if name not in known:
            raise UnknownVariableError.from_missing(name, frame.names)
    positions = np.array([known[name] for name in names])
    _check_labels(names)
    if isinstance(data, pd.DataFrame):
        return _of_pandas(data, positions, None)
    return _InTable(names, data, positions, frame.size)


def _of_pandas(table: pd.DataFrame, positions: IntArray, order: IntArray | None) -> Responses:
    if table.columns.nlevels > 1:
        raise DataError("the responses have several levels of names; flatten them first.")
    labels = table.columns[positions]
    _check_labels(labels)
    dtypes = table.dtypes.to_numpy()[positions]
    usable = {dtype: _is_numeric(dtype) for dtype in set(dtypes)}
    for label, dtype in zip(labels, dtypes, strict=True):
        if not usable[dtype]:
            raise DataError(f"the response {str(label)!r} is not a column of numbers ({dtype}).")
    everything = np.array_equal(positions, np.arange(table.shape[1]))
    return _InPandas(labels, table, None if everything else positions, order)


def _is_numeric(dtype: Any) -> bool:
    numeric = pd.api.types.is_numeric_dtype(dtype)
    return numeric and not pd.api.types.is_complex_dtype(dtype)


def _row_order(table: pd.DataFrame, frame: Frame) -> IntArray | None:
    """Return which rows of a data frame of responses are the rows of the data; None for all."""
    if not frame.labelled or table.index.equals(frame.index):
        _check_rows(len(table), frame)
        return None
    if not (table.index.is_unique and frame.index.is_unique):
        _check_rows(len(table), frame)
        raise DataError(
            "the labels of the rows of responses and data differ and are not unique, so they "
            "cannot be aligned; use responses.to_numpy() to go by position."
        )
    order = table.index.get_indexer(frame.index)
    absent = np.flatnonzero(order < 0)
    if len(absent):
        raise DataError(
            f"responses have no row for {len(absent)} of the {frame.size} rows of the data, the "
            f"first is {frame.index[absent[0]]!r}; use responses.to_numpy() to go by position."
        )
    return order


def _numbers(column: Column, size: int) -> FloatArray:
    if column.kind not in ("numeric", "boolean"):
        raise DataError(f"the response {column.name!r} is not a column of numbers.")
    if len(column.values) != size:
        raise DataError(f"the response {column.name!r} has {len(column.values)} rows, not {size}.")
    values = np.asarray(column.values, dtype=np.float64)
    return values if column.missing is None else np.where(column.missing, np.nan, values)


def _of_array(given: Any, frame: Frame) -> Responses:
    parts = given if isinstance(given, list | tuple) else [given]
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    array = np.ma.asarray(given) if masked else np.asarray(given)
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and all(map(_is_name, array.flat))):
        raise OptionError(f"{ALLOWED}; a list of names must hold strings only.")
    if array.dtype.kind not in "fiub":
        raise DataError(f"the array of responses must hold numbers; its dtype is {array.dtype}.")
    if array.ndim != 2 or not array.shape[1]:
        raise DataError(
            f"an array of responses has two axes, rows and responses; got shape {array.shape}."
        )
    _check_rows(len(array), frame)
    return _InArray(pd.RangeIndex(array.shape[1]), array)


def _check_rows(size: int, frame: Frame) -> None:
    if size != frame.size:
        raise DataError(f"responses have {size} rows; the data have {frame.size}.")


def _check_labels(labels: pd.Index) -> None:
    if not len(labels):
        raise OptionError(f"{ALLOWED}; got no response at all.")
    if not labels.is_unique:
        twice = labels[labels.duplicated()][0]
        raise OptionError(f"every response needs a name of its own; {str(twice)!r} occurs twice.")


def _shown(names: Iterable[str], count: int) -> str:
    first = [name for name, _ in zip(names, range(10), strict=False)]
    return ", ".join(first) + (f", ... ({count} in all)" if count > len(first) else "")
