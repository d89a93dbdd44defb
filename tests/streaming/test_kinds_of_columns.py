"""What columns of every kind of data mean: the same streamed and in memory, whatever the cuts."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError
from ranef.streaming import files
from streams import assert_agree, cut, make_data

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")
feather = pytest.importorskip("pyarrow.feather")

EDGES = [100, 200, 300, 400]
LARGE = 2**58


def make_rows() -> pd.DataFrame:
    """Return data in which text does not come in the order of the alphabet."""
    data = make_data(500).drop(columns="z").dropna().reset_index(drop=True)
    return pd.concat([data[data.f == "mid"], data[data.f != "mid"]], ignore_index=True)


ROWS = make_rows()

# ids that differ by less than floats can tell, beyond 2^53
IDS: dict[str, Callable[[Any], Any]] = {
    "large": lambda g: LARGE + g,
    "negative": lambda g: -LARGE - g,
    "unsigned": lambda g: (2**63 + g.astype(object)).astype("uint64"),
    "spread": lambda g: (g - 12) * 2**58,
}
SOURCES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda d: d,
    "polars": pl.from_pandas,
    "pyarrow": lambda d: pa.Table.from_pandas(d, preserve_index=False),
    "objects": lambda d: d.assign(id=d.id.astype(object).where(d.id.notna(), None)),
    "chunks": lambda d: cut(d, EDGES),
    "lazy": lambda d: pl.from_pandas(d).lazy(),
    "tables": lambda d: [pa.Table.from_pandas(c, preserve_index=False) for c in cut(d, EDGES)],
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("missing", [0, 3])
@pytest.mark.parametrize("ids", IDS)
def test_large_ids(ids: str, missing: int, source: str) -> None:
    """Whole numbers above 2^53 are different groups, also where others are missing."""
    given = pd.Series(IDS[ids](ROWS.g))
    given = given.astype("UInt64" if given.dtype == "uint64" else "Int64")
    data = ROWS.assign(id=given)
    data.loc[data.index[150 : 150 + missing], "id"] = pd.NA
    plain = ranef.fit("y ~ x + (1 | g)", ROWS.drop(index=ROWS.index[150 : 150 + missing]))
    model = ranef.fit("y ~ x + (1 | id)", SOURCES[source](data))
    assert model.nobs == len(data) - missing
    assert model.ngroups == {"id": plain.ngroups["g"]}
    # the groups are those of g, but perhaps in another order
    assert model.objective == pytest.approx(plain.objective, rel=1e-12)
    new = data.iloc[[0, 1, 150]]
    assert model.predict(new).isna().tolist() == [False, False, missing > 0]


def test_large_ids_as_floats() -> None:
    """Floats have merged them before anyone could see it."""
    data = ROWS.assign(id=(LARGE + 100 * ROWS.g).astype(float))
    for source in (data, cut(data, EDGES)):
        with pytest.raises(DataError, match=r"'id' holds whole numbers above 2\^53 as floats"):
            ranef.fit("y ~ x + (1 | id)", source)


def test_large_numbers_as_predictors() -> None:
    """Numbers that are missing somewhere are missing, and not zero."""
    data = ROWS.assign(t=pd.Series(LARGE + 2**50 * ROWS.g).astype("Int64"))
    data.loc[data.index[7:9], "t"] = pd.NA
    models = [ranef.fit("y ~ scale(t) + (1 | h)", d) for d in (data, cut(data, EDGES))]
    assert_agree(*models)
    plain = ranef.fit("y ~ scale(g) + (1 | h)", ROWS.assign(g=ROWS.g.where(data.t.notna())))
    assert models[0].objective == pytest.approx(plain.objective, rel=1e-9)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16"])
def test_small_integers(dtype: str) -> None:
    """Differences of small integers do not fit into their type."""
    low = 0 if dtype.startswith("u") else -120
    data = ROWS.assign(q=(low + 10 * ROWS.g).astype(dtype))
    plain = ranef.fit("y ~ x + (1 | g)", ROWS)
    for source in (data, cut(data, EDGES)):
        model = ranef.fit("y ~ x + factor(q) + (1 | h) + (1 | q:h)", source)
        assert len(model.fixef) == 1 + plain.ngroups["g"]
        model = ranef.fit("y ~ x + (1 | q)", source)
        assert model.objective == pytest.approx(plain.objective, rel=1e-12)
        assert model.ranef["q"].index.tolist() == [low + 10 * g for g in range(25)]


def dates(data: pd.DataFrame) -> dict[str, list[Any]]:
    """Return one point of time for every group, in chunks of different types."""
    day = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(data.g, unit="D"))
    chunks = cut(data.assign(day=day), EDGES)
    objects = [c.assign(day=c.day.dt.date) for c in chunks]
    short = pa.schema([("day", pa.date32())])
    tables = [pa.Table.from_pandas(c, preserve_index=False) for c in chunks]
    at = tables[0].schema.get_field_index("day")
    arrow = [t.set_column(at, "day", t.column("day").cast(short.field(0).type)) for t in tables]
    return {
        "times": chunks,
        "dates": objects,
        "both": [a if i % 2 else b for i, (a, b) in enumerate(zip(chunks, objects, strict=True))],
        "seconds": [c.assign(day=c.day.astype("datetime64[s]")) for c in chunks],
        "arrow": arrow,
        "arrow and pandas": [*arrow[:2], *chunks[2:]],
        "polars": [pl.from_pandas(c).with_columns(pl.col("day").cast(pl.Date)) for c in chunks],
    }


def test_dates() -> None:
    """Dates are the midnights they begin with, whatever type they have."""
    kinds = dates(ROWS)
    models = {name: ranef.fit("y ~ x + (1 | day)", chunks) for name, chunks in kinds.items()}
    whole = pd.concat(kinds["both"])
    assert whole["day"].dtype == object
    in_memory = ranef.fit("y ~ x + (1 | day)", whole)
    for model in models.values():
        assert_agree(model, in_memory)
        for chunks in kinds.values():  # new data of any type
            assert np.allclose(model.predict(chunks[0]), in_memory.predict(kinds["times"][0]))


def test_dates_in_files(tmp_path: Path) -> None:
    """Files of which some have dates and some have times."""
    for number, chunk in enumerate(dates(ROWS)["both"]):
        chunk.to_parquet(tmp_path / f"{number}.parquet", index=False)
    assert ranef.fit("y ~ x + (1 | day)", tmp_path).ngroups == {"day": 25}


def test_time_zones() -> None:
    """Times with and without a zone cannot be ordered."""
    chunks = dates(ROWS)["times"]
    chunks[1] = chunks[1].assign(day=chunks[1].day.dt.tz_localize("UTC"))
    for source in (chunks, pd.concat(chunks)):
        with pytest.raises(DataError, match=r"'day' holds .* time zones?"):
            ranef.fit("y ~ x + (1 | day)", source)


def test_dates_before_the_calendar() -> None:
    """Dates that times of nanoseconds cannot hold are sorted as they are."""
    days = [datetime.date(1, 1, 1) + datetime.timedelta(days=int(g)) for g in ROWS.g]
    data = ROWS.assign(day=pd.Series(days, dtype=object))
    for source in (data, cut(data, EDGES)):
        assert ranef.fit("y ~ x + (1 | day)", source).ngroups == {"day": 25}


def encoded(data: pd.DataFrame) -> Any:
    """Return an Arrow table whose text is a dictionary, which nobody has declared."""
    table = pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata(None)
    at = table.schema.get_field_index("f")
    return table.set_column(at, "f", table.column("f").dictionary_encode())


TEXT = ["Intercept", "f[T.low]", "f[T.mid]"]
DECLARED = ["Intercept", "f[T.high]", "f[T.low]"]
CATEGORIES = ["mid", "high", "low"]


def write(path: Path, kind: str) -> None:
    """Write the rows with another type for the text."""
    categories = pd.Categorical(ROWS.f, CATEGORIES, ordered=kind == "ordered")
    polars = pl.from_pandas(ROWS)
    if kind == "dictionary":
        pq.write_table(encoded(ROWS), path, row_group_size=50)
    elif kind in ("categories", "ordered"):
        ROWS.assign(f=categories).to_parquet(path, index=False, row_group_size=50)
    elif kind == "enum":
        column = pl.col("f").cast(pl.Enum(CATEGORIES))
        polars.with_columns(column).write_parquet(path, row_group_size=50)
    else:
        column = pl.col("f").cast(pl.Categorical)
        polars.with_columns(column).write_parquet(path, row_group_size=50)


@pytest.mark.parametrize("size", [1 << 20, 64])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dictionary", TEXT),
        ("polars", TEXT),
        ("categories", DECLARED),
        ("enum", DECLARED),
        ("ordered", ["Intercept", "f[.L]", "f[.Q]"]),
    ],
)
def test_dictionaries(
    kind: str, names: list[str], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that is encoded is text; only what was declared has an order, in chunks of any size."""
    monkeypatch.setattr(files, "CHUNK_ROWS", size)
    path = tmp_path / "rows.parquet"
    write(path, kind)
    table = pq.read_table(path)
    tables = [table[:150], table[150:]]
    for source in (path, ds.dataset(path), table, tables):
        model = ranef.fit("y ~ f + (1 | g)", source)
        assert list(model.fixef.index) == names, type(source)


def test_dictionaries_of_numbers_and_nulls() -> None:
    """Numbers that are encoded are numbers; what is missing by its value is missing."""
    codes = pd.factorize(ROWS.f, sort=True)[0]
    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    at = table.schema.get_field_index("f")
    numbers = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([10.0, 20.0, 40.0]))
    nulls = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(["a", None, "b"]))
    for values, plain in (
        (numbers, np.array([10.0, 20.0, 40.0])[codes]),
        (nulls, np.array(["a", None, "b"], dtype=object)[codes]),
    ):
        wanted = ranef.fit("y ~ f + (1 | g)", ROWS.assign(f=plain))
        given = table.set_column(at, "f", values)
        assert_agree(ranef.fit("y ~ f + (1 | g)", [given[:200], given[200:]]), wanted)
        assert list(ranef.fit("y ~ f + (1 | g)", given).fixef.index) == list(wanted.fixef.index)
