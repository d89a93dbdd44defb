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
from streams import cut, make_data

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
        with pytest.raises(NoRowsError, match=r"predict\(chunk\)"):
            getattr(model, name)
    with pytest.raises(NoRowsError):
        model.residuals("pearson")
    for name in ("index", "variables", "y", "X"):
        with pytest.raises(NoRowsError, match=name):
            getattr(model.design, name)
    with pytest.raises(AttributeError):
        model.design.nothing  # noqa: B018
