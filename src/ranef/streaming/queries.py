"""Chunks of queries that polars and DuckDB evaluate without holding the result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ranef.errors import DataError
from ranef.streaming.arrow import table_to_frame
from ranef.streaming.files import CHUNK_ROWS, Chunks

Reader: TypeAlias = Callable[[Any, tuple[str, ...] | None], Iterator[tuple[str, Any]]]


def is_polars_lazy(data: Any) -> bool:
    """Tell whether these are polars' lazy data."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(data, polars.LazyFrame)


def is_duckdb(data: Any) -> bool:
    """Tell whether this is a DuckDB relation."""
    return type(data).__name__ == "DuckDBPyRelation"


def query_chunks(data: Any) -> Chunks:
    """Return the chunks of a polars LazyFrame or a DuckDB relation."""
    if is_duckdb(data):
        return _chunks(
            "a DuckDB relation", _duckdb, data, getattr(sys.modules.get("duckdb"), "Error", OSError)
        )
    return _chunks(
        "a polars LazyFrame", _polars, data, sys.modules["polars"].exceptions.PolarsError
    )


def _chunks(description: str, read: Reader, data: Any, failure: type[Exception]) -> Chunks:
    def chunks(columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
        try:
            yield from read(data, columns)
        except (OSError, failure) as error:
            raise DataError(f"{description} cannot be computed: {error}") from error

    return Chunks(description, chunks, lambda: None)


def _polars(data: Any, columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
    query = data if columns is None else data.select(list(columns))
    if columns is None:
        yield "the columns", query.head(0).collect()  # names need no rows
        return
    start = 0
    for frame in _batches(query):
        yield f"rows {start} to {start + len(frame) - 1}", frame
        start += len(frame)


def _batches(query: Any) -> Iterator[Any]:
    if hasattr(query, "collect_batches"):
        yield from query.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True)
        return
    start = 0
    while len(frame := query.slice(start, CHUNK_ROWS).collect()):  # older versions of polars
        yield frame
        start += len(frame)


def _duckdb(data: Any, columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
    wanted = data.columns if columns is None else columns
    query = data.select(", ".join('"' + name.replace('"', '""') + '"' for name in wanted))
    if columns is None:
        yield "the columns", query.limit(0).to_arrow_table()
        return
    start = 0
    reader = getattr(query, "to_arrow_reader", None) or query.fetch_record_batch
    for batch in reader(CHUNK_ROWS):
        if batch.num_rows:
            yield f"rows {start} to {start + batch.num_rows - 1}", table_to_frame(batch, start)
            start += batch.num_rows
