"""The same data give the same design, whatever data frame and dtypes they come in."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ranef.design import Design, build_design
from ranef.design.frame import open_frame
from ranef.errors import DataError

FORMULA = "y ~ x + k + f * flag + c + (x | g) + (1 | c:flag)"
LEVELS = ["w", "u", "v", "never"]


def the_data() -> pd.DataFrame:
    """Return a pandas frame with a column of every kind."""
    rng = np.random.default_rng(1)
    n = 60
    f = rng.choice(["u", "v", "w"], n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "k": rng.integers(0, 5, n),
            "f": f,
            "flag": rng.random(n) > 0.5,
            "c": pd.Categorical(rng.choice(["u", "v", "w"], n), LEVELS),
            "o": pd.Categorical(f, ["w", "u", "v"], ordered=True),
            "g": rng.choice([f"g{i}" for i in range(8)], n),
            "day": np.repeat(pd.date_range("2020-01-01", periods=6), 10),
        }
    )


def polars_with_enum(frame: pd.DataFrame) -> pl.DataFrame:
    """Convert to polars, where only an Enum keeps the order of levels."""
    enum = pl.col("c").cast(pl.String).cast(pl.Enum(LEVELS))
    return pl.from_pandas(frame).with_columns(enum)


def assert_same(left: Design, right: Design) -> None:
    """Check everything that a fit uses."""
    assert left.x_names == right.x_names
    np.testing.assert_array_equal(left.X, right.X)
    np.testing.assert_array_equal(left.y, right.y)
    assert left.dropped == right.dropped
    assert left.n_total == right.n_total
    for ours, theirs in zip(left.terms, right.terms, strict=True):
        assert ours.names == theirs.names
        np.testing.assert_array_equal(ours.grouping.codes, theirs.grouping.codes)
        assert ours.grouping.levels.tolist() == theirs.grouping.levels.tolist()


CONVERSIONS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": polars_with_enum,
    "pyarrow": pa.Table.from_pandas,
    "nullable": pd.DataFrame.convert_dtypes,
    "pandas with pyarrow": lambda d: d.convert_dtypes(dtype_backend="pyarrow").assign(c=d.c),
    "objects": lambda d: d.assign(**{name: d[name].astype(object) for name in "yxkfg"}),
    "boolean objects": lambda d: d.assign(flag=d.flag.astype(object)),
    "small integers": lambda d: d.assign(k=d.k.astype("int8")),
    "unsigned": lambda d: d.assign(k=d.k.astype("uint16")),
    "categories": lambda d: d.assign(f=d.f.astype("category"), g=d.g.astype("category")),
    "sparse": lambda d: d.assign(k=pd.arrays.SparseArray(d.k)),
    "dict of series": lambda d: {name: d[name] for name in d},
    "dict of arrays": lambda d: {name: d[name].array for name in d},
    "dict of lists": lambda d: {n: d[n] if n == "c" else d[n].tolist() for n in d},
    "dict of polars": lambda d: dict(polars_with_enum(d).to_dict()),
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_every_kind_of_table_gives_the_same_design(name: str) -> None:
    """pandas, polars, pyarrow and dicts mean the same data."""
    expected = build_design(FORMULA, the_data())
    assert_same(build_design(FORMULA, CONVERSIONS[name](the_data())), expected)


@pytest.mark.parametrize("column", ["y", "x", "k", "f", "flag", "c", "g"])
@pytest.mark.parametrize("name", ["polars", "pyarrow", "pandas with pyarrow", "objects"])
def test_missing_values_are_found_in_every_kind_of_table(name: str, column: str) -> None:
    """None, NaN, NA and null all drop the row and are counted."""
    frame = the_data().astype({"k": "Int64", "flag": "boolean"})
    frame.loc[3, column] = None
    expected = build_design(FORMULA, the_data().drop(index=3))
    design = build_design(FORMULA, CONVERSIONS[name](frame))
    assert design.dropped == {column: 1}
    assert (design.n_total, len(design.y)) == (60, 59)
    np.testing.assert_array_equal(design.X, expected.X)
    np.testing.assert_array_equal(design.terms[0].grouping.codes, expected.terms[0].grouping.codes)


def test_ordered_categories_survive_in_pandas_and_pyarrow() -> None:
    """Ordered factors get polynomial contrasts."""
    for convert in (lambda d: d, pa.Table.from_pandas):
        design = build_design("y ~ o + (1 | g)", convert(the_data()))
        assert design.x_names == ("Intercept", "o[.L]", "o[.Q]")


def test_polars_categoricals_are_sorted() -> None:
    """Polars' Categorical has no order of its own, so its levels are sorted."""
    frame = pl.from_pandas(the_data()).with_columns(
        pl.col("c").cast(pl.String).cast(pl.Categorical)
    )
    assert build_design("y ~ c + (1 | g)", frame).x_names[1:] == ("c[T.v]", "c[T.w]")


@pytest.mark.parametrize("convert", [lambda d: d, pl.from_pandas, pa.Table.from_pandas])
def test_dates_can_be_groups_but_not_predictors(convert: Callable[[pd.DataFrame], Any]) -> None:
    """A date is a fine label; as a predictor it has to be turned into a number or a factor."""
    data = convert(the_data())
    levels = build_design("y ~ x + (1 | day)", data).terms[0].grouping.levels
    assert [str(level)[:10] for level in levels[:2]] == ["2020-01-01", "2020-01-02"]
    with pytest.raises(DataError, match=r"'day' holds neither numbers .* factor\(day\)"):
        build_design("y ~ day + (1 | g)", data)
    assert len(build_design("y ~ factor(day) + (1 | g)", data).x_names) == 6


def test_labels_of_rows_are_the_callers() -> None:
    """Pandas rows keep their labels; other tables have positions."""
    frame = the_data().set_index(pd.Index([f"r{i}" for i in range(60)], name="row"))
    frame.iloc[1, 0] = np.nan
    design = build_design("y ~ x + (1 | g)", frame)
    assert design.index[:2].tolist() == ["r0", "r2"]
    assert design.index.name == "row"
    positions = build_design("y ~ x + (1 | g)", pl.from_pandas(frame)).index
    assert positions[:2].tolist() == [0, 2]
    assert isinstance(
        build_design("y ~ x + (1 | g)", pl.from_pandas(the_data())).index, pd.RangeIndex
    )


def test_columns_that_are_not_used_may_be_anything() -> None:
    """Only the columns that the formula names are looked at."""
    frame = the_data().assign(odd=[object()] * 60, z=1j)
    frame.insert(0, "twice", 1)
    frame.insert(0, "twice", 2, allow_duplicates=True)
    assert_same(build_design(FORMULA, frame), build_design(FORMULA, the_data()))


def test_column_names_need_not_be_strings() -> None:
    """Names such as 0 are written in backquotes."""
    frame = pd.DataFrame({0: [1.0, 2, 4, 3, 5, 7], 1: [1, 2, 3, 4, 5, 6], "g": list("aabbcc")})
    assert build_design("`0` ~ `1` + (1 | g)", frame).x_names == ("Intercept", "1")


def test_a_dict_of_scalars_is_one_row() -> None:
    """One row is refused for its size, not for its form."""
    with pytest.raises(DataError, match="constant"):
        build_design("y ~ x + (1 | g)", {"y": 1.0, "x": 2.0, "g": "a"})


UNUSABLE = {
    "None": (None, "pandas, polars or pyarrow"),
    "text": ("data.csv", "got str"),
    "array": (np.zeros((3, 2)), "got ndarray"),
    "lazy": (pl.LazyFrame({"y": [1.0]}), r"Call \.collect\(\)"),
    "ragged": ({"y": [1.0, 2.0], "x": [1.0], "g": ["a", "b"]}, "differ in length"),
    "levels": (pd.DataFrame({("y", "a"): [1.0]}), "several levels of names"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_not_a_table_is_refused(name: str) -> None:
    """The error says what is wanted and what was got."""
    data, message = UNUSABLE[name]
    with pytest.raises(DataError, match=message):
        build_design("y ~ x + (1 | g)", data)


COLUMNS = {
    "complex": (np.arange(60) * 1j, "complex"),
    "mixed": ([1, "a"] * 30, "mixed"),
    "lists": ([[1]] * 60, "mixed"),
    "bytes": ([b"a", b"b"] * 30, "bytes"),
    "times": ([datetime.time(1), datetime.time(2)] * 30, "neither numbers nor categories"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_unusable_values_are_refused(name: str) -> None:
    """The error names the column."""
    values, message = COLUMNS[name]
    with pytest.raises(DataError, match=message) as caught:
        build_design("y ~ x + (1 | g)", the_data().assign(x=values))
    assert "'x'" in str(caught.value)


def test_nested_values_of_other_tables_are_refused() -> None:
    """Polars structs and lists have no meaning in a model."""
    frame = polars_with_enum(the_data()).with_columns(x=pl.struct("x", "k"))
    with pytest.raises(DataError, match="Struct"):
        build_design("y ~ x + (1 | g)", frame)


def test_a_single_value_in_a_dict_stands_for_all_rows() -> None:
    """As in pandas: {"x": 3} beside columns of n rows is n times 3."""
    data = {"y": [1.0, 2.0, 4.0, 3.0], "x": 3, "h": "u", "g": ["a", "b", "a", "b"]}
    frame = open_frame(data)

    assert frame.size == 4
    assert frame.column("x").values.tolist() == [3, 3, 3, 3]
    assert frame.column("h").levels is not None
