"""Chunks of files: Parquet and Feather by pyarrow, CSV by pandas.

Only the columns that the model uses are read (of CSV files the others are skipped over). A fit
reads the files twice; their sizes and times of change are compared before, between and after.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
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
TABBED = (".tsv", ".tsv.gz")
TEXT = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst", *TABBED)


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """A description for messages, how to read chunks, and what identifies the data.

    ``folders`` are columns that stand in the names of folders (``year=2024``), not in the files.
    """

    description: str
    read: Callable[[tuple[str, ...] | None], Iterator[tuple[str, Any]]]
    fingerprint: Callable[[], object]
    folders: tuple[str, ...] = ()


def file_chunks(*paths: str | PathLike[str]) -> Chunks:
    """Return the chunks of files, of the files of a folder, or of those that match a pattern.

    Raises
    ------
    DataError
        If there are none, or of a kind that cannot be read.
    """
    found = [_find(fspath(path)) for path in paths]
    files = [file for some in found for file in some]
    kinds = {_kind(file) for file in files}
    if len(kinds) > 1:
        shown = ", ".join(repr(fspath(path)) for path in paths[:3])
        raise DataError(f"{shown} matches files of several kinds: {sorted(kinds)}.")
    kind = kinds.pop()
    description = files[0] if len(files) == 1 else f"{len(files)} files, first {files[0]}"
    folders = _folder_columns(files)
    if kind == "csv":
        return Chunks(description, lambda columns: _csv(files, columns), _prints(files), folders)
    import_pyarrow()
    return Chunks(
        description, lambda columns: _arrow(files, columns, kind), _prints(files), folders
    )


def dataset_chunks(dataset: Any) -> Chunks:
    """Return the chunks of a pyarrow Dataset."""
    import pyarrow as pa

    files = [file for file in getattr(dataset, "files", []) if Path(file).is_file()]

    def read(columns: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
        if columns is None:
            yield "the columns", dataset.schema.empty_table()
            return
        try:
            _require_in_fragments(columns, dataset)
            yield from _joined(_batches(dataset, columns), "the dataset")
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"the dataset cannot be read: {error}") from error

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


def _require_in_fragments(columns: tuple[str, ...], dataset: Any) -> None:
    """Raise DataError if a file lacks a column: Arrow would fill it with missing values."""
    import pyarrow.dataset as ds

    for fragment in dataset.get_fragments():
        known = {
            *fragment.physical_schema.names,
            *ds.get_partition_keys(fragment.partition_expression),
        }
        _require(columns, sorted(known), getattr(fragment, "path", "a part of the dataset"))


def _find(path: str) -> list[str]:
    given = Path(path).expanduser()
    if given.is_dir():
        inside = (file for file in given.rglob("*") if not _is_hidden(file.relative_to(given)))
        files = sorted(str(file) for file in inside if file.is_file())
        files = [file for file in files if file.lower().endswith((*PARQUET, *FEATHER, *TEXT))]
    elif given.is_file():
        files = [str(given)]
    else:
        files = sorted(glob.glob(str(given), recursive=True))
    if not files and given.is_dir():
        raise DataError(
            f"the folder {path!r} holds no file that can be read: none ends with one of "
            f"{', '.join((*PARQUET, *FEATHER, *TEXT))} (names that begin with '.' or '_' do not "
            "count)."
        )
    if not files:
        raise DataError(
            f"data given as text must be the path of a file; got {path!r}, and there is no such "
            "file (bundled data sets: ranef.datasets.load(name))."
        )
    return files


def _is_hidden(path: Path) -> bool:
    """Tell whether a file is not meant as data, as Spark and Arrow see it: ``_temporary``."""
    return any(part.startswith((".", "_")) for part in path.parts)


def _folder_columns(files: Sequence[str]) -> tuple[str, ...]:
    parts = (part for file in files for part in Path(file).parent.parts if "=" in part)
    return tuple(dict.fromkeys(part.partition("=")[0] for part in parts))


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
        separator = "\t" if file.lower().endswith(TABBED) else ","
        try:
            # without a header the second line may not be longer than the first
            pd.read_csv(file, sep=separator, header=None, nrows=2, dtype=str)
            header = pd.read_csv(file, sep=separator, nrows=0)
            if columns is None:
                yield file, header
                return
            _require(columns, list(header.columns), file)
            # With `usecols` pandas would not complain of lines with too many fields, whose values
            # stand in the wrong columns. To read one byte of what is not needed costs little.
            others = {name: "S1" for name in header.columns if name not in columns}
            with pd.read_csv(
                file,
                sep=separator,
                chunksize=CHUNK_ROWS,
                dtype=others,
            ) as reader:
                for frame in reader:
                    if len(frame):
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
