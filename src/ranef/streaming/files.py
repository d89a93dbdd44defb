"""Chunks of files: Parquet and Feather by pyarrow, CSV by pandas.

Only the columns that the model uses are read. A fit reads the files twice; their sizes and times
of change are compared before, between and after.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pandas as pd

from ranef.errors import DataError
from ranef.streaming.arrow import import_pyarrow, table_to_frame

CHUNK_ROWS = 1 << 20
PARQUET = (".parquet", ".pq")
FEATHER = (".feather", ".arrow", ".ipc")
TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz", ".csv.zst")


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """A description for messages, how to read chunks, and what identifies the data."""

    description: str
    read: Callable[[tuple[str, ...] | None], Iterator[tuple[str, Any]]]
    fingerprint: Callable[[], object]


def file_chunks(path: str | PathLike[str]) -> Chunks:
    """Return the chunks of a file, of the files of a folder, or of those that match a pattern.

    Raises
    ------
    DataError
        If there are none, or of a kind that cannot be read.
    """
    files = _find(fspath(path))
    kinds = {_kind(file) for file in files}
    if len(kinds) > 1:
        raise DataError(f"{fspath(path)!r} matches files of several kinds: {sorted(kinds)}.")
    kind = kinds.pop()
    description = files[0] if len(files) == 1 else f"{len(files)} files, first {files[0]}"
    if kind == "csv":
        return Chunks(description, lambda columns: _csv(files, columns), _prints(files))
    import_pyarrow()
    return Chunks(description, lambda columns: _arrow(files, columns, kind), _prints(files))


def dataset_chunks(dataset: Any) -> Chunks:
    """Return the chunks of a pyarrow Dataset."""
    files = [file for file in getattr(dataset, "files", []) if Path(file).is_file()]

    def read(columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
        if columns is None:
            yield "the columns", dataset.schema.empty_table()
            return
        yield from _joined(_batches(dataset, columns), "the dataset")

    return Chunks("a pyarrow Dataset", read, _prints(files))


def _batches(dataset: Any, columns: tuple[str, ...]) -> Iterator[Any]:
    """Return the batches of a dataset; what Arrow reads in advance or keeps costs memory."""
    import pyarrow.dataset as ds

    options: dict[str, Any] = {}
    if isinstance(getattr(dataset, "format", None), ds.ParquetFileFormat):
        options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)
    batches: Iterator[Any] = dataset.to_batches(
        columns=list(columns),
        batch_size=CHUNK_ROWS // 8,
        batch_readahead=4,
        fragment_readahead=1,
        **options,
    )
    return batches


def _find(path: str) -> list[str]:
    if Path(path).is_dir():
        files = sorted(str(file) for file in Path(path).rglob("*") if file.is_file())
        files = [file for file in files if file.endswith((*PARQUET, *FEATHER, *TEXT))]
    elif Path(path).is_file():
        files = [path]
    else:
        files = sorted(glob.glob(path, recursive=True))
    if not files:
        raise DataError(
            f"data given as text must be the path of a file; got {path!r}, and there is no such "
            "file (bundled data sets: ranef.datasets.load(name))."
        )
    return files


def _kind(file: str) -> str:
    lower = file.lower()
    if lower.endswith(PARQUET):
        return "parquet"
    if lower.endswith(FEATHER):
        return "feather"
    if lower.endswith(TEXT):
        return "csv"
    raise DataError(
        f"the file {file!r} is of no known kind; it must end with one of "
        f"{', '.join((*PARQUET, *FEATHER, *TEXT))}."
    )


def _prints(files: list[str]) -> Callable[[], object]:
    def fingerprint() -> object:
        found = []
        for file in files:
            try:
                status = Path(file).stat()
            except OSError as error:
                raise DataError(f"{file}: {error.strerror or error}.") from error
            found.append((file, status.st_size, status.st_mtime_ns))
        return tuple(found)

    return fingerprint


def _arrow(
    files: list[str], columns: tuple[str, ...] | None, kind: str
) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    for file in files:
        try:
            dataset = ds.dataset(file, format=kind)
            if columns is None:
                yield file, dataset.schema.empty_table()
                return
            _require(columns, dataset.schema.names, file)
            yield from _joined(_batches(dataset, columns), file)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file} cannot be read: {error}") from error


def _joined(batches: Iterator[Any], file: str) -> Iterator[tuple[str, Any]]:
    """Yield frames of about `CHUNK_ROWS` rows; writers often make much smaller pieces."""
    import pyarrow as pa

    waiting: list[Any] = []
    start = rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK_ROWS // 2:
            yield _labelled(file, start, pa.Table.from_batches(waiting))
            start, rows, waiting = start + rows, 0, []
    if rows:
        yield _labelled(file, start, pa.Table.from_batches(waiting))


def _labelled(file: str, start: int, table: Any) -> tuple[str, Any]:
    return f"{file}, rows {start} to {start + table.num_rows - 1}", table_to_frame(table, start)


def _csv(files: list[str], columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
    for file in files:
        separator = "\t" if ".tsv" in file.lower() else ","
        try:
            header = pd.read_csv(file, sep=separator, nrows=0)
            if columns is None:
                yield file, header
                return
            _require(columns, list(header.columns), file)
            with pd.read_csv(
                file, sep=separator, chunksize=CHUNK_ROWS, usecols=list(columns)
            ) as reader:
                for frame in reader:
                    yield f"{file}, rows {frame.index[0]} to {frame.index[-1]}", frame
        except pd.errors.EmptyDataError:
            raise DataError(f"the data are empty: {file} has no header line.") from None
        except (OSError, pd.errors.ParserError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read: {error}") from error


def _require(columns: tuple[str, ...], names: list[str], file: str) -> None:
    for name in columns:
        if name not in names:
            raise DataError(
                f"{file} has no column {name!r}, which other files have; it has "
                f"{', '.join(names[:20])}."
            )
