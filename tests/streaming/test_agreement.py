"""However the data come in, the estimates are those of a fit in memory."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranef
from ranef.streaming import fitting
from streams import assert_agree, cut, make_data

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pyarrow.dataset")

N = 600
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("y ~ x + z + f + (x | g)", {}),
    ("y ~ x + (x | g) + (1 | h)", {"weights": "w", "offset": "o"}),
    ("y ~ x * f + (1 | g/s)", {"reml": False}),
    ("y ~ bs(x, df = 4) + ns(z, df = 2) + (1 | h)", {}),
    ("y ~ scale(x) + poly(z, 2) + (x || g)", {"weights": "w"}),
    ("y ~ x + I(2 * x - 3) + f + z + (1 | g)", {}),
    ("scale(y) ~ center(x) + offset(o) + (0 + f | g)", {}),
    ("y ~ log(z) + I(x > 5) + factor(s) + (1 | g) + (0 + x | g)", {}),
    ("y ~ x + f + (1 | g:s) + (1 | h)", {"contrasts": {"f": "sum"}}),
    ('y ~ 0 + f + relevel(h, "item3") + (1 | g)', {}),
    ("y ~ 1 + (1 | g) + (1 | h)", {}),
    ("y ~ square(x) + (1 | g)", {"context": {"square": lambda x: x**2}}),
    ("y ~ 0 + (1 | g)", {}),
]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Return rows that tests must not change."""
    return make_data(N)


def quietly(formula: str, data: Any, **options: Any) -> Any:
    """Fit, without warnings about dropped columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ranef.errors.RankDeficiencyWarning)
        return ranef.fit(formula, data, **options)


@pytest.fixture(scope="module")
def in_memory() -> list[Any]:
    """Return the fits of all models in memory."""
    data = make_data(N)
    return [quietly(formula, data, **options) for formula, options in MODELS]


@pytest.mark.parametrize("number", range(len(MODELS)), ids=[formula for formula, _ in MODELS])
@settings(max_examples=4, deadline=None)
@given(at=st.lists(st.integers(0, N), max_size=12))
def test_any_chunks(in_memory: list[Any], number: int, at: list[int]) -> None:
    """Cuts at any rows, also chunks without rows, change nothing."""
    formula, options = MODELS[number]
    streamed = quietly(formula, cut(make_data(N), at), **options)
    assert_agree(in_memory[number], streamed)


def test_chunks_of_one_row() -> None:
    """The smallest chunks there are."""
    data = make_data(150)
    formula = "y ~ x + f + (x | g)"
    whole = quietly(formula, data)
    assert_agree(whole, quietly(formula, cut(data, list(range(1, 150)))))


def test_levels_in_some_chunks_only(data: pd.DataFrame) -> None:
    """Sorted data: every group and every level of f stands in one or two chunks."""
    ordered = data.sort_values(["f", "g"], kind="stable")
    formula = "y ~ x + f + (x | g) + (1 | h)"
    assert_agree(quietly(formula, ordered), quietly(formula, cut(ordered, [100, 200, 300, 400])))


def test_large_mean_and_scale(data: pd.DataFrame) -> None:
    """Neither origin nor scale of the variables costs digits."""
    moved = data.assign(x=data.x * 1e-3 + 1e3, y=data.y + 1e6)
    formula = "y ~ x + z + (x | g)"
    before, after = quietly(formula, data), quietly(formula, cut(moved, [50, 500]))
    pairs = {
        "slope": (after.fixef["x"] / 1e3, before.fixef["x"]),
        "its error": (after.std_errors["x"] / 1e3, before.std_errors["x"]),
        "its deviation": (after.VarCorr.sd["g"]["x"] / 1e3, before.VarCorr.sd["g"]["x"]),
        "sigma": (after.sigma, before.sigma),
    }
    for name, (moved_value, value) in pairs.items():
        # the moved x has ten digits left, rounded independently in 600 rows
        assert moved_value == pytest.approx(value, rel=1e-10), name


def test_many_fixed_effects(data: pd.DataFrame) -> None:
    """A factor with many levels makes X sparse, with an aliased column beside it."""
    rng = np.random.default_rng(3)
    wide = data.assign(k=rng.integers(0, 120, len(data)).astype(str), two=2.0 * data.x)
    formula = "y ~ x + two + k + (x | g) + (1 | h)"
    whole = quietly(formula, wide)
    assert whole.design.X.__class__.__name__ == "csc_array"
    assert_agree(whole, quietly(formula, cut(wide, [100, 350])))


def test_misleading_sample() -> None:
    """Where the sample says nothing about a column, another pass over the data does."""
    n = 40_000
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": rng.integers(0, 10, n), "x": rng.normal(size=n)})
    # the same as x in every row that the sample can see
    data["rare"] = data.x + np.where(np.arange(n) % 512 == 311, 0.01, 0.0)
    data["y"] = data.x + rng.normal(size=10)[data.g] + rng.normal(size=n)
    formula = "y ~ x + rare + (1 | g)"
    whole, calls = quietly(formula, data), []

    def chunks() -> Any:
        calls.append(None)
        return iter(cut(data, [20_000]))

    streamed = quietly(formula, chunks)
    assert len(calls) == 1 + 2 + 1  # the names, two passes, and one more
    assert not streamed.dropped_columns
    # x and rare differ by 4e-4 of their size: twelve digits of the sums are eight of the difference
    assert_agree(whole, streamed, 1e-8)


def forms(data: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Return the data in every form that is read in chunks."""
    import pyarrow.dataset as ds
    from pyarrow import feather

    (folder / "parts").mkdir()
    for number, part in enumerate(cut(data, [200, 401])):
        part.to_parquet(folder / "parts" / f"part-{number}.parquet", row_group_size=64)
    data.to_parquet(folder / "whole.parquet")
    data.to_csv(folder / "whole.csv", index=False)
    data.to_csv(folder / "whole.tsv.gz", index=False, sep="\t")
    table = pa.Table.from_pandas(data, preserve_index=False)
    feather.write_feather(table, str(folder / "whole.feather"))
    chunks = cut(data, [10, 300])
    return {
        "parquet": folder / "whole.parquet",
        "text path": str(folder / "whole.parquet"),
        "pattern": str(folder / "parts" / "*.parquet"),
        "folder": folder / "parts",
        "csv": folder / "whole.csv",
        "tsv": folder / "whole.tsv.gz",
        "feather": folder / "whole.feather",
        "dataset": ds.dataset(folder / "parts"),
        "lazy": pl.scan_parquet(folder / "whole.parquet"),
        "lazy frame": pl.from_pandas(data).lazy(),
        "list": chunks,
        "function": lambda: iter(chunks),
        "polars chunks": [pl.from_pandas(chunk) for chunk in chunks],
        "arrow chunks": tuple(table.to_batches(max_chunksize=100)),
        "dicts": [{name: chunk[name].to_numpy() for name in chunk} for chunk in chunks],
    }


@pytest.mark.parametrize(
    "formula", ["y ~ x + z + f + (x | g) + (1 | h)", "y ~ poly(x, 2) + (1|g/s)"]
)
def test_every_kind_of_source(data: pd.DataFrame, tmp_path: Path, formula: str) -> None:
    """Files, queries, iterables and functions give the same fit."""
    expected = quietly(formula, data)
    for name, source in forms(data, tmp_path).items():
        try:
            assert_agree(expected, quietly(formula, source))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_duckdb(data: pd.DataFrame) -> None:
    """A DuckDB relation is read twice, in order."""
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.from_arrow(pa.Table.from_pandas(data))
    formula = "y ~ x + f + (x | g) + (1 | h)"
    assert_agree(quietly(formula, data), quietly(formula, relation))


def test_files_of_small_chunks(
    data: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are cut into many chunks: as for large files."""
    monkeypatch.setattr("ranef.streaming.files.CHUNK_ROWS", 70)
    monkeypatch.setattr("ranef.streaming.queries.CHUNK_ROWS", 70)
    formula = "y ~ x + z + f + (x | g) + (1 | h)"
    expected = quietly(formula, data)
    sources = forms(data, tmp_path)
    for name in ("parquet", "pattern", "csv", "feather", "dataset", "lazy", "lazy frame"):
        assert_agree(expected, quietly(formula, sources[name]))


@pytest.mark.parametrize("ordered", [False, True])
def test_declared_categories(data: pd.DataFrame, tmp_path: Path, ordered: bool) -> None:
    """Categories keep their declared order, and ordered ones their polynomial contrasts."""
    kinds = pd.CategoricalDtype(["mid", "never", "low", "high"], ordered=ordered)
    declared = data.assign(f=data.f.astype(kinds))
    formula = "y ~ f + (1 | g)"
    expected = quietly(formula, declared)
    declared.to_parquet(tmp_path / "declared.parquet")
    assert_agree(expected, quietly(formula, cut(declared, [13])))
    assert_agree(
        quietly(formula, pd.read_parquet(tmp_path / "declared.parquet")),
        quietly(formula, tmp_path / "declared.parquet"),
    )


def test_categories_that_differ_between_chunks(data: pd.DataFrame) -> None:
    """They count as text: sorted, as pandas does when it joins such chunks."""
    chunks = [chunk.assign(f=chunk.f.astype("category")) for chunk in cut(data, [7, 300])]
    formula = "y ~ f + (1 | g)"
    assert_agree(quietly(formula, pd.concat(chunks)), quietly(formula, chunks))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2024-01-01", "2024-01-02", "2024-02-05"]).astype("datetime64[s]"),
        pd.Series([1.5, 2.5, -3.0]),
        pd.Series([10**12, -5, 7]),
        pd.Series([True, False, True]),
        pd.Series(["b", "a", "c"]),
    ],
    ids=["dates", "floats", "far apart", "booleans", "text"],
)
def test_kinds_of_groups(data: pd.DataFrame, column: pd.Series) -> None:
    """Whatever the levels are, they are found again; also in combinations."""
    grouped = data.assign(k=column.to_numpy()[np.arange(len(data)) % 3])
    formula = "y ~ x + (1 | g:k)"
    assert_agree(quietly(formula, grouped), quietly(formula, cut(grouped, [2, 90])))
    if grouped.k.nunique() > 2:
        one = "y ~ x + (1 | k)"
        # three groups determine their variance badly: the estimates move along a flat criterion
        assert_agree(quietly(one, grouped), quietly(one, cut(grouped, [2, 90])), 1e-8)


def test_integers_and_floats_together(data: pd.DataFrame) -> None:
    """A grouping number that is missing in one chunk is a float there."""
    chunks = cut(data, [300])
    holes = chunks[1].g.astype(float).mask(np.arange(300) % 50 == 0)
    chunks[1] = chunks[1].assign(g=holes)
    formula = "y ~ x + (1 | g)"
    assert_agree(quietly(formula, pd.concat(chunks)), quietly(formula, chunks))


def test_column_without_values_in_a_chunk(data: pd.DataFrame) -> None:
    """A text column that is missing throughout a chunk looks like numbers there."""
    chunks = cut(data, [100, 200])
    chunks[1] = chunks[1].assign(f=np.nan)
    formula = "y ~ x + f + (1 | g)"
    assert_agree(quietly(formula, pd.concat(chunks)), quietly(formula, chunks))


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry for every pass that sums."""
    passes: list[int] = []
    real = fitting._next_pass

    def counted(*arguments: Any) -> Any:
        passes.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(fitting, "_next_pass", counted)
    return passes


@pytest.mark.parametrize("size", [1e-5, 3e-6, 3e-7, 1.5e-7])
@pytest.mark.parametrize("sampled", [True, False])
def test_columns_that_add_little(size: float, sampled: bool) -> None:
    """They are aliased if what they add is below 1e-7 of them, which products cannot measure."""
    rng = np.random.default_rng(1)
    n = 40_000
    rows = pd.DataFrame({"g": np.arange(n) % 40, "x": rng.normal(size=n)})
    rows["y"] = rows.x + rng.normal(size=40)[rows.g] + rng.normal(size=n)
    noise = size * rng.normal(size=n)
    if not sampled:  # the sample of the first pass takes every fourth row
        noise[::4] = 0.0
        noise[:100] = 0.0
    rows["near"], rows["after"] = rows.x + noise, rng.normal(size=n)
    for formula in ("y ~ x + near + after + (1 | g)", "y ~ near + after + x + (1 | g)"):
        one, other = quietly(formula, rows), quietly(formula, [rows])
        assert one.dropped_columns == other.dropped_columns == ()
        # rounding errors of 1e-16 beside parts of that size, squared where it matters least
        assert other.objective == pytest.approx(one.objective, rel=1e-9)
        assert other.fixef["after"] == pytest.approx(one.fixef["after"], rel=1e-6)
        assert other.fixef["x"] == pytest.approx(one.fixef["x"], rel=1e-5)


def test_a_year_with_one_row_of_another() -> None:
    """All but one of very many rows have the same number, which is far from zero."""
    rng = np.random.default_rng(1)
    n = 300_000
    rows = pd.DataFrame({"y": rng.normal(size=n), "g": np.arange(n) % 50, "year": 2024.0})
    rows.loc[12_347, "year"] = 2025.0
    one, other = ranef.fit("y ~ year + (1 | g)", rows), ranef.fit("y ~ year + (1 | g)", [rows])
    # the slope is known to the digits that 1e-7 of a column leaves
    assert other.fixef["year"] == pytest.approx(one.fixef["year"], rel=1e-7)
    assert other.objective == pytest.approx(one.objective, rel=1e-10)


@pytest.mark.parametrize("far", [0.0, 1e3, 1e5])
def test_exact_dependence_costs_no_pass(far: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample knows of it, and rounding errors are not taken for something."""
    passes = count_passes(monkeypatch)
    rng = np.random.default_rng(2)
    n = 50_000
    rows = pd.DataFrame({"g": np.arange(n) % 40, "x": far + rng.normal(size=n)})
    rows["z"], rows["y"] = rng.exponential(size=n), rng.normal(size=n)
    rows["both"] = 2 * rows.x - 3 * rows.z + 7
    model = quietly("y ~ x + z + both + I(x / 3) + (1 | g)", cut(rows, [20_000]))
    assert model.dropped_columns == ("both", "I(x/3)")
    assert passes == [2]
