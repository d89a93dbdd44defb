"""What goes wrong with data in chunks is said, with the place; nothing wrong is returned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import (
    DataError,
    FitError,
    FormulaError,
    NoRowsError,
    OptionError,
    UnknownVariableError,
)
from ranef.streaming import fitting
from streams import assert_agree, cut, make_data

FORMULA = "y ~ x + f + (x | g)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Return rows that tests must not change."""
    return make_data(300)


Change = Callable[[pd.DataFrame], pd.DataFrame]

SECOND_CHUNK: dict[str, tuple[Change, str]] = {
    "column missing": (lambda d: d.drop(columns="x"), "chunk 2: the column 'x' is missing"),
    "text for numbers": (lambda d: d.assign(x="1"), "chunk 2: the column 'x' holds text"),
    "numbers for text": (lambda d: d.assign(f=1.0), "chunk 2: the column 'f' holds numbers"),
    "infinite": (lambda d: d.assign(x=np.inf), "chunk 2: 'x' is infinite in rows 100"),
    "complex": (lambda d: d.assign(x=1j), "chunk 2: the column 'x' holds complex"),
    "no frame": (lambda d: 3, "chunk 2: data must be a pandas"),
    "twice": (lambda d: d.rename(columns={"z": "x"}), "chunk 2: the data have 2 columns named"),
}


@pytest.mark.parametrize("name", SECOND_CHUNK)
def test_a_chunk_that_differs(data: pd.DataFrame, name: str) -> None:
    """The error names the chunk and the column."""
    change, message = SECOND_CHUNK[name]
    chunks = cut(data, [100, 200])
    chunks[1] = change(chunks[1])
    with pytest.raises(DataError, match=message):
        ranef.fit(FORMULA, chunks)


ALL_CHUNKS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("y ~ x + (1 | nowhere)", {}, UnknownVariableError, "no column 'nowhere'"),
    ("y ~ x + nowhere + (1 | g)", {}, UnknownVariableError, "no column 'nowhere'"),
    ("y ~ lag(x) + (1 | g)", {}, FormulaError, "looks at other rows"),
    ("y ~ factor(scale(x)) + (1 | g)", {}, FormulaError, "cannot be streamed"),
    ("y ~ own(x) + (1 | g)", {"context": {"own": lambda x: x - x.mean()}}, DataError, "part of"),
    ("y ~ factor(s, labels = c('a', 'b', 'c', 'd')) + (1|g)", {}, DataError, "column of the data"),
    ("y ~ poly(as.numeric(f), 2) + (1 | g)", {}, DataError, "not numeric"),
    ("y ~ x + (1 | g)", {"weights": np.ones(300)}, OptionError, "name of a column"),
    ("y ~ x + (1 | g)", {"weights": "nowhere"}, UnknownVariableError, "no column 'nowhere'"),
    ("y ~ x + (1 | g)", {"weights": "o"}, DataError, "weights must be positive"),
    ("y ~ x + f + (1 | g)", {"na_action": "raise"}, DataError, "'f' in"),
    ("log(-w) ~ x + (1 | g)", {}, DataError, "log.* not a finite number in rows 0"),
    ("y ~ log(-w) + (1 | g)", {}, DataError, "not a finite number|not finite"),
    ("f ~ x + (1 | g)", {}, DataError, "not numeric"),
    ("y ~ x + I(2 * y) + (1 | g)", {}, FitError, "explain y exactly"),
    ("I(0 * x) ~ 1 + (1 | g)", {}, DataError, "constant"),
    ("y ~ 1 + (1 | row)", {}, DataError, "300 levels for 300 observations"),
    ("y ~ 1 + (1 | same)", {}, DataError, "single level"),
    ("y ~ 1 + (0 + zero | g)", {}, DataError, "all zero"),
]


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"), ALL_CHUNKS, ids=[case[0] for case in ALL_CHUNKS]
)
def test_models_that_cannot_be_fitted(
    data: pd.DataFrame, formula: str, options: dict[str, Any], error: type, message: str
) -> None:
    """As in memory where it is the same mistake; and what cannot be streamed says so."""
    chunks = cut(data.assign(row=np.arange(300), same=1, zero=0.0), [2, 150])
    with pytest.raises(error, match=message):
        ranef.fit(formula, chunks, **options)


EMPTY: dict[str, Any] = {
    "no chunk": [],
    "no rows": [make_data(10).iloc[:0]],
    "function without chunks": lambda: iter(()),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_source(name: str) -> None:
    """No chunk, or no row in any."""
    with pytest.raises(DataError, match="the data are empty"):
        ranef.fit(FORMULA, EMPTY[name])


def test_no_complete_row(data: pd.DataFrame) -> None:
    """Every row has something missing."""
    with pytest.raises(DataError, match="no complete row is left of 300"):
        ranef.fit(FORMULA, cut(data.assign(x=np.nan), [100]))


def test_one_shot_iterators(data: pd.DataFrame) -> None:
    """A generator is used up after one pass."""
    with pytest.raises(DataError, match=r"read only once.*Give a function"):
        ranef.fit(FORMULA, (chunk for chunk in cut(data, [100])))


def test_function_that_returns_the_same_iterator(data: pd.DataFrame) -> None:
    """The second pass sees nothing, or less: that is no fit."""
    iterator = iter(cut(data, [100, 200]))
    with pytest.raises(DataError, match=r"gave no chunk|changed"):
        ranef.fit(FORMULA, lambda: iterator)


def test_chunks_that_change_between_passes(data: pd.DataFrame) -> None:
    """Other rows or other levels in the second pass are found out."""
    others = {
        "fewer rows": data.iloc[:250],
        "more missing": data.assign(x=data.x.mask(data.x < 3)),
        "new group": data.assign(g=data.g.where(data.index != 7, 999)),
        "new level": data.assign(f=data.f.where(data.index != 7, "other")),
    }
    for name, other in others.items():
        given = iter([data, data, other])
        with pytest.raises(DataError, match=r"changed|did not have"):
            ranef.fit(FORMULA, lambda given=given: [next(given)])
        assert name


def other_values(data: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the same rows of a column in another order: the same values, levels and counts."""
    turned = data[name].to_numpy()[::-1]
    return data.assign(**{name: turned})


@pytest.mark.parametrize("name", ["y", "x", "f", "g", "w", "o"])
@pytest.mark.parametrize("at", [2, 3])
def test_values_that_change_between_passes(data: pd.DataFrame, name: str, at: int) -> None:
    """As many rows, used rows and levels, but other pairs of values: nothing else would show it."""
    whole = data.dropna()
    given = iter([whole, *([whole] * (at - 2)), *([other_values(whole, name)] * 3)])
    if at == 3:  # the names come from the first chunk, the two passes from the next two
        with pytest.raises(DataError, match=r"changed while they were read: .* other values"):
            ranef.fit(FORMULA, lambda: [next(given)], weights="w", offset="o")
        return
    model = ranef.fit(FORMULA, lambda: [next(given)], weights="w", offset="o")
    assert model.nobs == len(whole)


def test_one_value_that_changes(data: pd.DataFrame) -> None:
    """A single digit in a single row."""
    other = data.assign(x=data.x.where(data.index != 7, np.nextafter(data.x[7], np.inf)))
    given = iter([data, data, other])
    with pytest.raises(DataError, match="other values"):
        ranef.fit(FORMULA, lambda: [next(given)])


def test_order_and_chunks_may_change_between_passes(data: pd.DataFrame) -> None:
    """What cannot change the sums is no error: another order, other chunks, other types."""
    shuffled = data.sample(frac=1.0, random_state=1)
    wide = data.astype({"f": "category", "g": "float64"})[::-1]
    given = iter([[data], cut(data, [1, 130]), cut(shuffled, [200, 250])])
    model = ranef.fit(FORMULA, lambda: next(given))
    assert_agree(model, ranef.fit(FORMULA, data), 1e-9)
    given = iter([[wide], [data], [wide]])
    assert ranef.fit("y ~ x + (x | g)", lambda: next(given)).nobs == len(data)


def test_lazy_frames_without_a_seed(data: pd.DataFrame) -> None:
    """A query that gives other values every time."""
    pl = pytest.importorskip("polars")
    lazy = pl.from_pandas(data).lazy().with_columns(pl.col("y").shuffle())
    with pytest.raises(DataError, match="other values"):
        ranef.fit(FORMULA, lazy)


def test_file_with_the_old_time(
    data: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other contents of the same size and time of change."""
    path = tmp_path / "data.csv"
    data.to_csv(path, index=False)
    before = path.stat()
    real = fitting.make_layout

    def swap(*arguments: Any) -> Any:
        data.assign(y=data.y.to_numpy()[::-1]).to_csv(path, index=False)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        return real(*arguments)

    monkeypatch.setattr(fitting, "make_layout", swap)
    with pytest.raises(DataError, match="other values"):
        ranef.fit(FORMULA, path)


def test_file_that_changes(data: pd.DataFrame, tmp_path: Path) -> None:
    """A file that is written while it is read."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    data.to_parquet(path)
    calls = []

    def touch(x: Any) -> Any:
        calls.append(None)
        os.utime(path, ns=(len(calls), len(calls)))
        return x

    with pytest.raises(DataError, match=r"data.parquet changed while it was read"):
        ranef.fit("y ~ touch(x) + (1 | g)", path, context={"touch": touch})


def test_files_that_cannot_be_read(data: pd.DataFrame, tmp_path: Path) -> None:
    """Wrong names, wrong kinds, wrong contents."""
    pytest.importorskip("pyarrow")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 this is no such file")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(b"y,x,f,g\n1,2,\xff\xfe,4\n")
    (tmp_path / "data.xlsx").write_bytes(b"")
    cases = {
        "broken.parquet": "broken.parquet cannot be read",
        "empty.csv": "no header line",
        "binary.csv": "binary.csv cannot be read",
        "data.xlsx": "of no known kind",
        "absent.parquet": "there is no such file",
        "*.feather": "there is no such file",
        "*": "of no known kind|several kinds",
    }
    for name, message in cases.items():
        with pytest.raises(DataError, match=message):
            ranef.fit(FORMULA, tmp_path / name)
    folder = tmp_path / "parts"
    folder.mkdir()
    data.to_csv(folder / "a.csv")
    data.drop(columns="x").to_csv(folder / "b.csv")
    with pytest.raises(DataError, match=r"b.csv has no column 'x'"):
        ranef.fit(FORMULA, folder)


def test_lines_with_too_many_fields(data: pd.DataFrame, tmp_path: Path) -> None:
    """Their values would stand in the wrong columns."""
    data[["y", "x", "z", "g"]].to_csv(tmp_path / "data.csv", index=False)
    lines = (tmp_path / "data.csv").read_text().splitlines()
    for number in (1, 2, 150, 300):
        fields = lines[number].split(",")
        changed = [*lines[:number], ",".join([fields[0], "9", *fields[1:]]), *lines[number + 1 :]]
        (tmp_path / "ragged.csv").write_text("\n".join(changed))
        with pytest.raises(DataError, match=rf"ragged.csv cannot be .* line {number + 1}, saw"):
            ranef.fit("y ~ x + (1 | g)", tmp_path / "ragged.csv")


def test_files_with_a_header_only(data: pd.DataFrame, tmp_path: Path) -> None:
    """They add nothing; alone they are no data."""
    data[:120].to_csv(tmp_path / "a.csv", index=False)
    data[:0].to_csv(tmp_path / "b.csv", index=False)
    data[120:].to_csv(tmp_path / "c.csv", index=False)
    assert_agree(ranef.fit(FORMULA, tmp_path), ranef.fit(FORMULA, data))
    with pytest.raises(DataError, match="the data are empty"):
        ranef.fit(FORMULA, tmp_path / "b.csv")


def test_folders(data: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with a dot or an underscore is left over by other programs."""
    folder = tmp_path / "_job.tsv" / ".cache" / "parts"  # the names above do not matter
    for inside in (folder, folder / "more", folder / ".checkpoints", folder / "_temporary" / "0"):
        inside.mkdir(parents=True)
        data.to_csv(inside / "rows.CSV", index=False)
    data.to_csv(folder / ".hidden.csv", index=False)
    data.to_csv(folder / "_started.csv", index=False)
    (folder / "readme.txt").write_text("no data")
    assert ranef.fit(FORMULA, folder).design.n_total == 2 * len(data)
    monkeypatch.setenv("HOME", str(folder))
    paths = ["~/rows.CSV", folder / "more" / "rows.CSV"]
    assert ranef.fit(FORMULA, paths).design.n_total == 2 * len(data)
    with pytest.raises(DataError, match=r"holds no file that can be read"):
        ranef.fit(FORMULA, tmp_path / "_job.tsv")  # everything in it is hidden
    (folder / "f=low").mkdir()
    data.drop(columns="f").to_csv(folder / "f=low" / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"'f' stands in the names of folders .*hive"):
        ranef.fit(FORMULA, folder / "f=low" / "rows.csv")


def test_datasets_that_cannot_be_read(data: pd.DataFrame, tmp_path: Path) -> None:
    """Arrow and polars have errors of their own, and Arrow fills columns that a file lacks."""
    ds = pytest.importorskip("pyarrow.dataset")
    pl = pytest.importorskip("polars")
    data[:120].to_parquet(tmp_path / "a.parquet", index=False)
    data[120:].drop(columns="x").to_parquet(tmp_path / "b.parquet", index=False)
    with pytest.raises(DataError, match=r"b.parquet has no column 'x'"):
        ranef.fit(FORMULA, ds.dataset(tmp_path))
    broken = ds.dataset(tmp_path / "a.parquet")
    lazy = pl.scan_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(DataError, match="the dataset cannot be read"):
        ranef.fit(FORMULA, broken)
    with pytest.raises(DataError, match="a polars LazyFrame cannot be computed"):
        ranef.fit(FORMULA, lazy)


def test_partitions_of_a_dataset(data: pd.DataFrame, tmp_path: Path) -> None:
    """A column that stands in the names of folders is no column that files lack."""
    pa, ds = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.dataset")
    table = pa.Table.from_pandas(data.dropna(), preserve_index=False)
    by = ds.partitioning(pa.schema([("f", pa.string())]), flavor="hive")
    ds.write_dataset(table, tmp_path, format="parquet", partitioning=by)
    model = ranef.fit(FORMULA, ds.dataset(tmp_path, partitioning="hive"))
    assert_agree(model, ranef.fit(FORMULA, data.dropna()))


UNCLEAR: list[tuple[str, dict[str, Any], str]] = [
    ("frame", {}, "must return an iterator of data frames; got a single DataFrame"),
    ("array", {"context": {"k": np.ones(300)}}, "'k' of the context has one value for every row"),
]


@pytest.mark.parametrize(("name", "options", "message"), UNCLEAR)
def test_mistakes_in_arguments(
    data: pd.DataFrame, name: str, options: dict[str, Any], message: str
) -> None:
    """The message says what to give instead."""
    source: Any = (lambda: data) if name == "frame" else [data]
    formula = "y ~ I(x * k) + (1 | g)" if options else FORMULA
    with pytest.raises(DataError, match=message):
        ranef.fit(formula, source, **options)


class Guarded:
    """Chunks that know whether their iterators were closed."""

    def __init__(self, chunks: list[pd.DataFrame], interrupt_at: int) -> None:
        self.chunks, self.interrupt_at = chunks, interrupt_at
        self.opened = self.closed = self.given = 0

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.opened += 1
        try:
            for chunk in self.chunks:
                self.given += 1
                if self.given == self.interrupt_at:
                    raise KeyboardInterrupt
                yield chunk
        finally:
            self.closed += 1


@pytest.mark.parametrize("at", [2, 3, 5, 6])
def test_interrupt(data: pd.DataFrame, at: int) -> None:
    """Ctrl-C in any pass gets through at once and leaves no iterator open."""
    chunks = Guarded(cut(data, [100, 200]), at)
    with pytest.raises(KeyboardInterrupt):
        ranef.fit(FORMULA, chunks)
    assert chunks.opened == chunks.closed
    assert chunks.given == at


def test_iterators_are_closed_after_an_error(data: pd.DataFrame) -> None:
    """An error in a chunk closes what the caller opened."""
    chunks = cut(data, [100, 200])
    chunks[1] = chunks[1].drop(columns="x")
    guarded = Guarded(chunks, interrupt_at=-1)
    with pytest.raises(DataError):
        ranef.fit(FORMULA, guarded)
    assert guarded.opened == guarded.closed


def test_rows_are_explained(data: pd.DataFrame) -> None:
    """Everything that needs rows says that there are none, and what to do."""
    model = ranef.fit(FORMULA, cut(data, [100]))
    for name in ("fitted", "resid", "X", "y", "Z"):
        with pytest.raises(NoRowsError, match=r"predict\(chunk\)") as caught:
            getattr(model, name)
        assert not any(f"{word!r}" in str(caught.value) for word in ("columns", "codes"))
    with pytest.raises(NoRowsError):
        model.residuals("pearson")
    for name in ("index", "variables", "y", "X"):
        with pytest.raises(NoRowsError, match=name):
            getattr(model.design, name)
    with pytest.raises(AttributeError):
        model.design.nothing  # noqa: B018
