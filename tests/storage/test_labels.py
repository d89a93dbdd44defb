"""Labels of every kind come back as what they were: in the rows, and as levels."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import StorageError
from ranef.storage import load, save

N = 40
COUNT = np.arange(N)
EAST = dt.timezone(dt.timedelta(hours=2))
LABELS: dict[str, Any] = {
    "range": pd.RangeIndex(5, 5 + 3 * N, 3),
    "backwards": pd.RangeIndex(N, 0, -1, name="back"),
    "int64": pd.Index(COUNT * 10**12),
    "int8": pd.Index(COUNT.astype(np.int8)),
    "uint64": pd.Index(COUNT.astype(np.uint64) + np.uint64(2**63)),
    "float": pd.Index(COUNT / 7, name=1.5),
    "float with missing": pd.Index(np.where(COUNT == 3, np.nan, COUNT)),
    "float32": pd.Index((COUNT / 7).astype(np.float32)),
    "bool": pd.Index(COUNT % 2 == 0),
    "text": pd.Index([f"row {i}" for i in COUNT], name="who"),
    "text with missing": pd.Index([None, *(f"r{i}" for i in COUNT[1:])], dtype="string"),
    "odd text": pd.Index(
        ["", "\x00", "a\x00", "é", "批次", "\ud800", "a\nb", *map(str, COUNT[7:])], dtype=object
    ),
    "objects": pd.Index([None, 1, True, 2.5, "x", ("a", 1), float("nan"), pd.NA, pd.NaT, np.int8(3),
                         np.float32(0.1), dt.date(2024, 2, 29), dt.time(1, 2, 3), Decimal("1.10"),
                         dt.timedelta(days=-1, microseconds=7), float("inf"), *COUNT[16:].tolist()],
                        dtype=object, tupleize_cols=False),
    "Int64 with missing": pd.Index(pd.array([None, *COUNT[1:]], dtype="Int64")),
    "boolean": pd.Index(pd.array([None, *(COUNT[1:] % 2 == 0)], dtype="boolean")),
    "Float32": pd.Index(pd.array(COUNT / 3, dtype="Float32")),
    "dates": pd.date_range("2024-02-26", periods=N, freq="D", name="day"),
    "dates without order": pd.DatetimeIndex(np.datetime64("1969-01-01", "ns") + COUNT[::-1] * 7),
    "dates in seconds": pd.date_range("2024-01-01", periods=N, freq="h").as_unit("s"),
    "dates with a zone": pd.date_range("2024-03-30", periods=N, freq="h", tz="Europe/Berlin"),
    "dates with an offset": pd.date_range("2024-03-30", periods=N, tz=EAST),
    "dates in UTC": pd.date_range("2024-03-30", periods=N, tz=dt.UTC),
    "durations": pd.timedelta_range("1h", periods=N, freq="90min"),
    "periods": pd.period_range("2020-01", periods=N, freq="M"),
    "quarters": pd.period_range("2020Q1", periods=N, freq="Q-NOV"),
    "intervals": pd.interval_range(0.0, N / 2, periods=N, closed="left"),
    "intervals of dates": pd.interval_range(pd.Timestamp("2024-01-01"), periods=N),
    "categories": pd.CategoricalIndex(
        [f"c{i % 3}" for i in COUNT], ["c2", "c1", "c0", "no"], ordered=True
    ),
    "categories of dates": pd.CategoricalIndex(pd.date_range("2024-01-01", periods=N)),
    "several": pd.MultiIndex.from_arrays(
        [COUNT // 8, [f"s{i % 8}" for i in COUNT], pd.date_range("2024", periods=N)],
        names=["a", None, ("b", 2)],
    ),
    "several with missing": pd.MultiIndex.from_arrays(
        [np.where(COUNT == 2, np.nan, COUNT), COUNT % 5]
    ),
    "repeated": pd.Index(COUNT // 4),
}  # fmt: skip
LEVELS = {
    name: values
    for name, values in LABELS.items()
    if name in ("int64", "float", "text", "dates", "dates with a zone", "durations",
                "periods", "intervals", "bool")
}  # fmt: skip


def data(index: pd.Index | None = None) -> pd.DataFrame:
    """Return a small data set with these row labels."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.standard_normal(N), "g": COUNT % 8})
    frame["y"] = frame["x"] + rng.standard_normal(8)[frame["g"]] + rng.standard_normal(N)
    return frame if index is None else frame.set_axis(index)


def round_trip(model: ranef.LinearMixedModel, folder: Path) -> ranef.LinearMixedModel:
    """Save and load."""
    save(model, folder / "m.ranef")
    return load(folder / "m.ranef")


@pytest.mark.parametrize("name", LABELS)
def test_row_labels(name: str, tmp_path: Path) -> None:
    """The index of the data: type, values, names, time zone and frequency."""
    model = ranef.fit("y ~ x + (1 | g)", data(LABELS[name]))
    loaded = round_trip(model, tmp_path)
    pd.testing.assert_series_equal(loaded.fitted, model.fitted, check_exact=True)
    found, expected = loaded.fitted.index, LABELS[name]
    assert [type(label) for label in found] == [type(label) for label in expected]


@pytest.mark.parametrize("name", LEVELS)
def test_levels(name: str, tmp_path: Path) -> None:
    """The levels of a grouping factor."""
    model = ranef.fit("y ~ x + (1 | g)", data().assign(g=LEVELS[name][COUNT % 8]))
    loaded = round_trip(model, tmp_path)
    pd.testing.assert_frame_equal(loaded.ranef["g"], model.ranef["g"], check_exact=True)


def test_rows_that_were_dropped(tmp_path: Path) -> None:
    """Labels of the used rows only; a range with holes is not a range any more."""
    frame = data(pd.RangeIndex(100, 100 + N))
    frame.loc[103, "x"] = np.nan
    model = ranef.fit("y ~ x + (1 | g)", frame)
    loaded = round_trip(model, tmp_path)
    pd.testing.assert_index_equal(loaded.fitted.index, model.fitted.index)
    assert loaded.design.dropped == {"x": 1}


def test_labels_of_pyarrow_become_those_of_pandas(tmp_path: Path) -> None:
    """A file must be readable where pyarrow is not installed."""
    pytest.importorskip("pyarrow")
    index = pd.Index(COUNT, dtype="int64[pyarrow]", name="id")
    loaded = round_trip(ranef.fit("y ~ x + (1 | g)", data(index)), tmp_path)
    pd.testing.assert_index_equal(loaded.fitted.index, pd.Index(COUNT, name="id"))


def test_levels_of_polars(tmp_path: Path) -> None:
    """Categories and strings of other data frames."""
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(data().assign(g=lambda d: "g" + d["g"].astype(str)))
    model = ranef.fit("y ~ x + (1 | g)", frame)
    loaded = round_trip(model, tmp_path)
    pd.testing.assert_frame_equal(loaded.ranef["g"], model.ranef["g"], check_exact=True)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (pd.Index([object() for _ in COUNT]), "type object"),
        (pd.Index([complex(i) for i in COUNT]), "complex128"),
        (pd.date_range("2024", periods=N, tz="dateutil/Europe/Berlin"), "tz_convert"),
    ],
)
def test_labels_that_cannot_be_saved(index: pd.Index, said: str, tmp_path: Path) -> None:
    """The error says which they are; no file is written."""
    model = ranef.fit("y ~ x + (1 | g)", data(index))
    with pytest.raises(StorageError, match=said):
        save(model, tmp_path / "m.ranef")
    assert list(tmp_path.iterdir()) == []
