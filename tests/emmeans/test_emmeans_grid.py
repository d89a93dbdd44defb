"""What means are: averages over the grid, by hand and in every coding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranef
from emmeans.reference import fitted, frame
from ranef.inference.emmeans import emmeans, emtrends
from ranef.inference.emmeans.axes import grid_axes
from ranef.inference.emmeans.grid import LARGEST, reference_grid

MAIN = "y ~ a * b + c + x + z + (1 | g)"


def predicted(model: ranef.LinearMixedModel, data: dict[str, Any]) -> np.ndarray:
    """Return predictions for rows of new data without random effects."""
    from ranef.design import fixed_columns

    return np.asarray(fixed_columns(model.design, data) @ model.fixef.to_numpy())


@pytest.mark.parametrize("wanted", ["a", "c", "b"])
def test_means_are_averages_of_predictions(wanted: str) -> None:
    """Over all levels of the others, both values of z and the mean of x: no reference level."""
    model, data = fitted(MAIN), frame()
    levels = {
        "a": ["a1", "a2", "a3"],
        "b": ["u", "v"],
        "c": ["lo", "mid", "hi", "top"],
        "z": [0.0, 10.0],
    }
    rows = pd.DataFrame(itertools.product(*levels.values()), columns=list(levels))
    rows["x"] = data["x"].mean()
    rows["mean"] = predicted(model, dict(rows.items()))
    by_hand = rows.groupby(wanted)["mean"].mean()
    means = emmeans(model, wanted)
    expected = [by_hand[level] for level in means[wanted]]
    assert means["emmean"].to_numpy() == pytest.approx(expected, rel=1e-12)


def test_reference_levels_do_not_matter() -> None:
    """Other reference levels, or other contrasts, leave every number as it is."""
    want = emmeans(fitted(MAIN), "a | b").to_frame()
    data = frame()
    data["a"] = pd.Categorical(data["a"], ["a3", "a1", "a2"])
    contrasts = {"b": "sum", "c": "helmert"}
    got = emmeans(ranef.fit(MAIN, data, contrasts=contrasts), "a | b").to_frame()
    merged = want.merge(got, on=["a", "b"])
    for name in ("emmean", "std_error", "df", "conf_low", "conf_high"):
        # two searches for one optimum
        assert merged[f"{name}_x"].to_numpy() == pytest.approx(merged[f"{name}_y"], rel=1e-6)


def test_cell_weights_give_the_raw_means_of_a_full_model() -> None:
    """With no random variance and all cells fitted, weights by cell give averages of the data."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"a": rng.choice(list("pq"), 80), "b": rng.choice(list("rst"), 80)})
    data["g"] = np.arange(80) % 8
    data["y"] = rng.standard_normal(80) + (data["a"] == "q")
    data["y"] -= data.groupby("g")["y"].transform("mean")  # the group means are all equal
    model = ranef.fit("y ~ a * b + (1 | g)", data)
    assert model.is_singular
    means = emmeans(model, "a", weights="cells")
    raw = data.groupby("a")["y"].mean()
    assert means["emmean"].to_numpy() == pytest.approx(raw.to_numpy(), rel=1e-10)


def test_proportional_and_outer_weights_of_one_factor_are_the_same() -> None:
    """They differ only in how several averaged factors are combined."""
    model = fitted("y ~ a + c + x + (1 | g)")
    want = emmeans(model, "a", weights="proportional")
    got = emmeans(model, "a", weights="outer")
    counts = frame()["c"].value_counts()[["lo", "mid", "hi", "top"]].to_numpy()
    by_hand = emmeans(model, "a", weights=counts)
    rows = emmeans(model, "a", weights=np.tile(counts, (3, 1)))
    for other in (got, by_hand, rows):
        assert other["emmean"].to_numpy() == pytest.approx(want["emmean"], rel=1e-12)


def test_numbers_with_two_values_are_levels() -> None:
    """A number like z is averaged over both of its values, equally, not held at its mean."""
    model = fitted(MAIN)
    axes = {axis.name: axis for axis in grid_axes(model, None)}
    assert axes["z"].levels.tolist() == [0, 10]
    assert axes["x"].levels.tolist() == [pytest.approx(frame()["x"].mean())]
    assert axes["c"].texts == ("lo", "mid", "hi", "top")
    at_middle = emmeans(model, "a", at={"z": 5})
    want = emmeans(model, "a")["emmean"]
    assert at_middle["emmean"].to_numpy() == pytest.approx(want.to_numpy(), rel=1e-12)


def test_offset_counts_with_its_mean() -> None:
    """A mean includes the mean of the offset, given as a column or as an array."""
    data = frame()
    offset = data["o"].to_numpy() + 3.0
    moved = data.assign(y=data["y"] + offset)
    plain = emmeans(fitted(MAIN), "a")
    given = emmeans(ranef.fit(MAIN, moved, offset=offset), "a")
    # two searches for one optimum
    expected = plain["emmean"] + offset.mean()
    assert given["emmean"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-7)


def test_used_rows_count() -> None:
    """Means of numbers are over the rows that were used, levels are those that occur there."""
    data = frame()
    data.loc[data["a"] == "a3", "x"] = np.nan
    model = ranef.fit("y ~ a + x + (1 | g)", data)
    axes = {axis.name: axis for axis in grid_axes(model, None)}
    assert axes["a"].texts == ("a1", "a2")
    assert axes["x"].levels[0] == pytest.approx(data["x"].mean())


def test_the_callers_data_may_change() -> None:
    """The model remembers its variables."""
    data = frame()
    model = ranef.fit(MAIN, data)
    want = emmeans(model, "a", weights="cells").to_frame()
    data["x"] = 1e6
    data["a"] = "a1"
    pd.testing.assert_frame_equal(emmeans(model, "a", weights="cells").to_frame(), want)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "dict"])
def test_other_data_frames(kind: str) -> None:
    """The same numbers from every kind of data frame."""
    data = frame()
    want = emmeans(ranef.fit(MAIN, data), "a | c").to_frame()
    if kind == "dict":
        other: Any = {name: data[name].to_numpy() for name in data}
        other["c"] = pd.Categorical(data["c"])
    elif kind == "polars":
        polars = pytest.importorskip("polars")
        other = polars.from_pandas(data).with_columns(
            polars.Series("c", data["c"].astype(str), dtype=polars.Enum(data["c"].cat.categories))
        )
    else:
        pyarrow = pytest.importorskip("pyarrow")
        other = pyarrow.Table.from_pandas(data)
    got = emmeans(ranef.fit(MAIN, other), "a | c").to_frame()
    pd.testing.assert_frame_equal(got, want, check_dtype=False)


def test_sparse_model_matrices() -> None:
    """Many columns make no difference."""
    rng = np.random.default_rng(1)
    many = rng.permutation(np.repeat([f"m{i:03d}" for i in range(120)], 12))
    data = pd.DataFrame({"m": many, "g": rng.integers(0, 30, 1440), "x": rng.normal(size=1440)})
    data["y"] = rng.normal(size=1440) + data["x"]
    model = ranef.fit("y ~ m + x + (1 | g)", data)
    means = emmeans(model, "m").to_frame().set_index("m")["emmean"]
    fixef, held = model.fixef, data["x"].mean() * model.fixef["x"]
    assert means["m000"] == pytest.approx(fixef["Intercept"] + held)
    assert means["m077"] == pytest.approx(fixef["Intercept"] + fixef["m[T.m077]"] + held)
    overall = emmeans(model, "1")["emmean"].iloc[0]
    assert overall == pytest.approx(means.mean())


def test_without_fixed_variables() -> None:
    """A model of an intercept has one mean: the intercept."""
    model = fitted("y ~ 1 + (1 | g)")
    means = emmeans(model, "1")
    assert means["1"].tolist() == ["overall"]
    assert means["emmean"].tolist() == pytest.approx([model.fixef["Intercept"]])


def test_large_grids_are_refused() -> None:
    """Before anything of that size is made, with the sizes in the message."""
    assert LARGEST > 10_000 * 100
    model = fitted(MAIN)
    values = np.linspace(0, 1, 3_000)
    with pytest.raises(ranef.errors.OptionError, match=r"would have .* rows .*x 3000"):
        emmeans(model, "a", at={"x": values, "z": values})


@given(st.permutations(["a", "b", "c"]), st.sampled_from([1, 2, 3]))
@settings(max_examples=15)
def test_margins_of_margins(names: list[str], kept: int) -> None:
    """Averaging in steps is averaging at once, for equal weights."""
    grid = reference_grid(fitted(MAIN), grid_axes(fitted(MAIN), None))
    at_once = grid.margin(names[:kept])
    in_steps = grid.margin([*names, "x"]).margin(names).margin(names[:kept])
    np.testing.assert_allclose(in_steps.L, at_once.L, atol=1e-12)
    assert (in_steps.codes == at_once.codes).all()
    assert in_steps.counts.tolist() == at_once.counts.tolist()


def test_trends_of_lines_are_coefficients() -> None:
    """Exactly: the slope of the reference level is its coefficient."""
    model = fitted("y ~ a * x + (1 | g)")
    found = emtrends(model, "a", "x").to_frame().set_index("a")
    table = model.coef_table()
    assert found.loc["a1", "trend"] == pytest.approx(table.loc["x", "estimate"], rel=1e-11)
    assert found.loc["a1", "std_error"] == pytest.approx(table.loc["x", "std_error"], rel=1e-10)
    expected = table.loc["x", "estimate"] + table.loc["a[T.a3]:x", "estimate"]
    assert found.loc["a3", "trend"] == pytest.approx(expected, rel=1e-10)


def test_trends_of_curves_are_derivatives() -> None:
    """Of a logarithm and of a square, to the precision of a difference quotient of order four."""
    model = fitted("y ~ log(p) + I(x^2) + x + (1 | g)")
    beta = model.fixef
    slopes = emtrends(model, "p", "p", at={"p": [0.5, 2.0]})
    assert slopes["trend"].to_numpy() == pytest.approx(beta["log(p)"] / [0.5, 2.0], rel=1e-8)
    slope = emtrends(model, "1", "x", at={"x": 1.5})["trend"].iloc[0]
    assert slope == pytest.approx(beta["x"] + 3.0 * beta["I(x^2)"], rel=1e-11)
    near_zero = emtrends(model, "1", "p", at={"p": 1e-3})["trend"].iloc[0]
    assert near_zero == pytest.approx(beta["log(p)"] * 1e3, rel=1e-3)
