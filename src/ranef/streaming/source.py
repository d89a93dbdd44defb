"""Where chunks come from: one interface for files, queries, iterables and clusters.

A `Source` can be read from the beginning as often as needed, in chunks of rows. Everything that
is an ordinary data frame is not a source: `open_source` returns None for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
import pandas as pd

from ranef.design.frame import Frame, open_frame
from ranef.errors import DataError
from ranef.streaming.arrow import table_to_frame
from ranef.streaming.files import Chunks, dataset_chunks, file_chunks
from ranef.streaming.queries import is_duckdb, is_polars_lazy, query_chunks

Columns: TypeAlias = tuple[str, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Data that come in chunks.

    Attributes
    ----------
    description : str
        For messages: ``3 files, first ...``.
    chunks : callable
        Columns that are needed (None for all) -> iterator of (label, data frame), from the
        beginning.
    fingerprint : callable
        Something that is equal as long as the data are the same.
    partitions : callable or None
        Columns -> delayed data frames of a cluster; None if the chunks are read here.
    folders : tuple of str
        Columns that stand in the names of folders, where they are not read.
    """

    description: str
    chunks: Callable[[Columns], Iterator[tuple[str, Any]]]
    fingerprint: Callable[[], object]
    partitions: Callable[[Columns], tuple[Any, ...]] | None = None
    folders: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, from the first chunk.

        Raises
        ------
        DataError
            If there is no chunk, or it is not a data frame.
        """
        iterator = self.chunks(None)
        try:
            for label, data in iterator:
                return open_chunk(label, data).names
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        raise DataError(f"the data are empty: {self.description} gave no chunk.")


def open_source(data: Any) -> Source | None:
    """Return a source of chunks, or None for data that are in memory as a whole.

    Parameters
    ----------
    data : object
        A path or pattern of Parquet, Feather or CSV files, a list of paths, a pyarrow Dataset, a
        polars LazyFrame, a DuckDB relation, a Dask DataFrame, a list or other re-iterable of data
        frames, or a function that returns an iterator of data frames.

    Raises
    ------
    DataError
        If the chunks can be read only once, or a file cannot be found.
    """
    source: Source | None = None
    if _is_path(data):
        source = _from_chunks(file_chunks(data))
    elif isinstance(data, list | tuple) and data and all(map(_is_path, data)):
        source = _from_chunks(file_chunks(*data))
    elif _is_dask(data):
        source = _from_dask(data)
    elif _is_dataset(data):
        source = _from_chunks(dataset_chunks(data))
    elif is_polars_lazy(data) or is_duckdb(data):
        source = _from_chunks(query_chunks(data))
    elif not _is_whole(data):
        source = _from_object(data)
    return source


def _is_path(data: Any) -> bool:
    return isinstance(data, str | PathLike)


def _is_whole(data: Any) -> bool:
    """Tell whether this is one data frame, or nothing that could be data at all."""
    whole = isinstance(data, pd.DataFrame | pd.Series | Mapping | Frame | np.ndarray | bytes)
    return whole or bool(nw.dependencies.is_into_dataframe(data))


def _from_object(data: Any) -> Source | None:
    if hasattr(data, "__next__") or hasattr(data, "read_next_batch"):
        raise DataError(
            f"the data are a {type(data).__name__}, which can be read only once; a fit reads them "
            "twice. Give a function that returns a new iterator of data frames: "
            "ranef.fit(formula, lambda: read_chunks())."
        )
    if callable(data):
        return _from_iterable(data, getattr(data, "__name__", type(data).__name__))
    if hasattr(data, "__iter__"):
        return _from_iterable(data.__iter__, f"a {type(data).__name__} of data frames")
    return None


def open_chunk(label: str, data: Any) -> Frame:
    """Return a chunk as a frame.

    Raises
    ------
    DataError
        If it is not a data frame; names the chunk.
    """
    arrow = sys.modules.get("pyarrow")
    try:
        if arrow is not None and isinstance(data, arrow.Table | arrow.RecordBatch):
            return table_to_frame(data, 0)
        return open_frame(data)
    except DataError as error:
        raise DataError(f"{label}: {error}") from error


def _from_chunks(chunks: Chunks) -> Source:
    return Source(chunks.description, chunks.read, chunks.fingerprint, folders=chunks.folders)


def _from_iterable(start: Callable[[], Iterable[Any]], description: str) -> Source:
    def chunks(columns: Columns) -> Iterator[tuple[str, Any]]:
        del columns  # these frames are in memory as they are
        found = start()
        if _is_whole(found):
            raise DataError(
                f"{description} must return an iterator of data frames; got a single "
                f"{type(found).__name__}. Return a list of one, or give it as it is."
            )
        if not isinstance(found, Iterable):
            raise DataError(
                f"{description} must return an iterator of data frames; got {type(found).__name__}."
            )
        for number, data in enumerate(found, start=1):
            yield f"chunk {number}", data

    return Source(description, chunks, lambda: None)


def _is_dask(data: Any) -> bool:
    module = type(data).__module__.partition(".")[0]
    return module in ("dask", "dask_expr") and hasattr(data, "to_delayed")


def _is_dataset(data: Any) -> bool:
    dataset = sys.modules.get("pyarrow.dataset")
    return dataset is not None and isinstance(data, dataset.Dataset)


def _from_dask(data: Any) -> Source:
    if not hasattr(data, "columns"):
        raise DataError("the Dask collection must be a DataFrame.")

    def partitions(columns: Columns) -> tuple[Any, ...]:
        wanted = data if columns is None else data[list(columns)]
        return tuple(wanted.to_delayed())

    def chunks(columns: Columns) -> Iterator[tuple[str, Any]]:
        del columns
        yield "the columns", data._meta  # an empty frame: names need no computation

    return Source("a Dask DataFrame", chunks, lambda: None, partitions)
