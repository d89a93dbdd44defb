"""Chunks in which a column has no value, chunks without rows: their types mean nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.streaming import files
from streams import assert_agree, cut, make_data

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

SIZE = 100
# column without any value in the second chunk -> formula and options
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "x": ("y ~ x + (x | g)", {}),
    "y": ("y ~ x + (1 | g)", {}),
    "g": ("y ~ x + (1 | g)", {}),
    "h": ("y ~ x + (1 | h)", {}),
    "f": ("y ~ x * f + (1 | g)", {}),
    "whole": ("y ~ whole + scale(z) + (1 | g)", {}),
    "flag": ("y ~ x + flag + (1 | g)", {}),
    "cat": ("y ~ cat + (1 | g)", {"contrasts": {"cat": "sum"}}),
    "day": ("y ~ x + (1 | day)", {}),
    "w": ("y ~ x + (1 | g)", {"weights": "w"}),
    "o": ("y ~ x + (1 | g)", {"offset": "o"}),
    "z": ("y ~ scale(z) + poly(x, 2) + (1 | g)", {}),
    "s": ("y ~ factor(s) + I(z > 1) + (1 | g)", {}),
}


def length(f: Any) -> Any:
    """Return numbers for text: floats would have none."""
    return np.array([len("" if pd.isna(v) else v) % 4 for v in f])


SPECIAL: list[tuple[str, tuple[str, dict[str, Any]]]] = [
    ("f", ('y ~ I(f == "high") + (1 | g)', {})),
    ("f", ('y ~ factor(f, levels = c("low", "mid")) + (1 | g)', {})),
    (
        "f",
        (
            "y ~ length(f) + (1 | g)",
            {"context": {"length": length}},
        ),
    ),
    ("z", ("y ~ offset(z) + bs(z, df = 4) + (1 | g)", {})),
]
CASES = [*MODELS.items(), *SPECIAL]


@cache
def rows(name: str) -> pd.DataFrame:
    """Return data whose second chunk has no value in a column."""
    data = make_data(500)
    data["whole"] = (10 * data.z.fillna(1)).round()
    data["flag"] = data.x > 5
    data["cat"] = pd.Categorical(data.f, ["mid", "high", "low"])
    data["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(data.s, unit="D")
    if data[name].dtype == bool:
        data[name] = data[name].astype("boolean")
    data.loc[SIZE : 2 * SIZE - 1, name] = None
    return data


def chunks(data: pd.DataFrame) -> list[pd.DataFrame]:
    """Cut into pieces of a hundred rows."""
    return cut(data, [100, 200, 300, 400])


def objects(data: pd.DataFrame) -> list[pd.DataFrame]:
    """Return what databases give: None in a column of Python objects."""
    found = chunks(data)
    empty = [name for name in data if found[1][name].isna().all()]
    found[1] = found[1].assign(**{name: np.full(SIZE, None, dtype=object) for name in empty})
    return found


def floats(data: pd.DataFrame) -> list[pd.DataFrame]:
    """Return what CSV files give: NaN, whatever the type."""
    found = chunks(data)
    empty = [name for name in data if found[1][name].isna().all()]
    found[1] = found[1].assign(**{name: np.full(SIZE, np.nan) for name in empty})
    return found


def arrow_nulls(data: pd.DataFrame) -> list[Any]:
    """Return Arrow tables with a column of type null."""
    tables = [pa.Table.from_pandas(chunk, preserve_index=False) for chunk in chunks(data)]
    for at, name in enumerate(data):
        if tables[1].column(at).null_count == SIZE:
            tables[1] = tables[1].set_column(at, name, pa.nulls(SIZE))
    return tables


def polars_nulls(data: pd.DataFrame) -> list[Any]:
    """Return polars frames with a column of type Null."""
    frames = [pl.from_pandas(chunk) for chunk in chunks(data)]
    nulls = [name for name in data if frames[1][name].null_count() == SIZE]
    frames[1] = frames[1].with_columns([pl.lit(None).alias(name) for name in nulls])
    return frames


def without_rows(data: pd.DataFrame) -> list[pd.DataFrame]:
    """Return chunks among which some have no rows, of any type or none."""
    found = chunks(data)
    untyped = pd.DataFrame({name: [] for name in data})
    return [untyped, found[0], data.iloc[:0], *found[1:], untyped.astype(object)]


KINDS: dict[str, Callable[[pd.DataFrame], list[Any]]] = {
    "pandas": chunks,
    "objects": objects,
    "floats": floats,
    "arrow": arrow_nulls,
    "polars": polars_nulls,
    "no rows": without_rows,
    "first": lambda data: objects(data)[1:] + objects(data)[:1],
}


@cache
def in_memory(at: int) -> Any:
    """Return a model of all rows at once."""
    name, (formula, options) = CASES[at]
    return ranef.fit(formula, rows(name), **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", range(len(CASES)))
def test_a_column_without_values(at: int, kind: str) -> None:
    """The rows are dropped, as they are in memory; the other chunks say what the column is."""
    name, (formula, options) = CASES[at]
    if name == "cat" and kind == "polars":
        pytest.skip("polars' categories have no order of their own")
    assert_agree(ranef.fit(formula, KINDS[kind](rows(name)), **options), in_memory(at))


def test_a_database(tmp_path: Path) -> None:
    """The chunks that pandas reads from SQL, of which one has nothing but None in a column."""
    data = rows("x")[["y", "x", "g"]]
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        data.to_sql("rows", connection, index=False)
        read = ranef.fit(
            "y ~ x + (x | g)",
            lambda: pd.read_sql("select * from rows", connection, chunksize=SIZE),
        )
    assert_agree(read, in_memory(0))


@pytest.mark.parametrize("name", ["f", "flag", "h", "x"])
def test_csv(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pandas reads a piece of a column without values as floats."""
    monkeypatch.setattr(files, "CHUNK_ROWS", SIZE)
    rows(name).drop(columns="day").to_csv(tmp_path / "rows.csv", index=False)
    formula, options = MODELS[name]
    whole = pd.read_csv(tmp_path / "rows.csv")
    assert_agree(
        ranef.fit(formula, tmp_path / "rows.csv", **options), ranef.fit(formula, whole, **options)
    )


def test_predictions_for_a_chunk_without_values() -> None:
    """They are missing; the type of the column is no error."""
    model = in_memory(0)
    chunk = objects(rows("x"))[1]
    assert model.predict(chunk).isna().all()
