"""Fitted lines are predictions, and stand where the data are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import ranef
from ranef import plots
from ranef.errors import OptionError, UnknownVariableError
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel


def segments(axis: Axes) -> list[FloatArray]:
    """Return the lines of the levels, (m, 2) each."""
    collection = next(c for c in axis.collections if isinstance(c, LineCollection))
    return [np.asarray(part) for part in collection.get_segments()]


def population(axis: Axes) -> FloatArray:
    """Return the line of the population, (m, 2)."""
    return np.asarray(axis.lines[1].get_xydata())


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Return groups with a variable of their own, in classes, and variables that change."""
    rng = np.random.default_rng(5)
    n = 240
    g = np.arange(n) % 24
    data = pd.DataFrame(
        {
            "g": g,
            "top": g // 4,
            "x": rng.uniform(0, 10, n),
            "z": rng.standard_normal(n) + 2,
            "f": pd.Categorical(rng.choice(["p", "q", "r"], n, p=[0.2, 0.5, 0.3])),
            "sex": np.where(g % 3 == 0, "m", "w"),
            "year": rng.choice([2001, 2004, 2008], n),
        }
    )
    slope = rng.standard_normal(24)[g]
    data["y"] = (
        data["x"] * (1 + 0.3 * slope)
        + data["z"]
        + (data["sex"] == "m") * 2.0
        + rng.standard_normal(6)[data["top"]]
        + rng.standard_normal(n)
    )
    return data


def test_straight_lines(sleepstudy: Model) -> None:
    """Intercept and slope of every line are those of `coef`; of the population, fixed effects."""
    axis = plots.lines(sleepstudy, "Days")
    found = segments(axis)
    for part, (intercept, slope) in zip(found, sleepstudy.coef["Subject"].to_numpy(), strict=True):
        np.testing.assert_allclose(part[:, 1], intercept + slope * part[:, 0], rtol=1e-12)
        assert (part[0, 0], part[-1, 0]) == (0.0, 9.0)
    middle = population(axis)
    expected = sleepstudy.fixef["Intercept"] + sleepstudy.fixef["Days"] * middle[:, 0]
    np.testing.assert_allclose(middle[:, 1], expected, rtol=1e-12)
    days = ranef.datasets.load("sleepstudy")["Days"]
    np.testing.assert_array_equal(axis.lines[0].get_xydata(), np.column_stack([days, sleepstudy.y]))
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("Days", "Reaction")


def test_panels(sleepstudy: Model) -> None:
    """A panel has the rows of one level, its line and the population's."""
    figure = plots.lines(sleepstudy, "Days", kind="panels", levels=["335", "308"])
    data = ranef.datasets.load("sleepstudy")
    whole = segments(plots.lines(sleepstudy, "Days", levels=["335", "308"]))
    assert [axis.get_title() for axis in figure.axes] == ["335", "308"]
    for axis, level, line in zip(figure.axes, ["335", "308"], whole, strict=True):
        own = data[data["Subject"].astype(str) == level]
        np.testing.assert_array_equal(axis.lines[0].get_xydata(), own[["Days", "Reaction"]])
        np.testing.assert_array_equal(axis.lines[2].get_xydata(), line)


def test_many_panels(frame: pd.DataFrame) -> None:
    """Thirty levels are enough; the label says how many there are."""
    data = frame.assign(many=np.arange(len(frame)) % 48)
    figure = plots.lines(ranef.fit("y ~ x + (1 | many)", data), "x", kind="panels")
    assert len(figure.axes) == 30
    assert figure.get_supxlabel() == "x (the first 30 of 48 levels)"


def test_lines_end_where_the_data_of_a_level_end(frame: pd.DataFrame) -> None:
    """No line is drawn beyond the rows that its level has."""
    axis = plots.lines(ranef.fit("y ~ x + (x | g)", frame), "x")
    spans = frame.groupby("g")["x"].agg(["min", "max"]).to_numpy()
    found = np.array([[part[0, 0], part[-1, 0]] for part in segments(axis)])
    np.testing.assert_array_equal(found, spans)


def test_levels_with_one_value(frame: pd.DataFrame) -> None:
    """They have no line but a mark."""
    data = frame.assign(x=np.where(frame["g"] < 2, 3.0, frame["x"]))
    model = ranef.fit("y ~ x + (1 | g)", data)
    marks = plots.lines(model, "x").lines[1]
    expected = model.predict(pd.DataFrame({"x": 3.0, "g": [0, 1]}))
    np.testing.assert_allclose(marks.get_ydata(), expected, rtol=1e-12)
    figure = plots.lines(model, "x", kind="panels", levels=[1, 2])
    assert [axis.lines[2].get_marker() for axis in figure.axes] == ["_", ""]


@pytest.mark.parametrize(
    ("at", "held"),
    [
        (None, {"z": None, "f": "q"}),
        ({"z": 3, "f": "r"}, {"z": 3.0, "f": "r"}),
        ({"sex": "m"}, {"z": None, "f": "q", "sex": "m"}),
    ],
)
def test_other_variables(
    frame: pd.DataFrame, at: dict[str, Any] | None, held: dict[str, Any]
) -> None:
    """They are held at a level's own value, else at the mean or the most frequent level."""
    model = ranef.fit("y ~ x * sex + z + f + (x | g)", frame)
    axis = plots.lines(model, "x", at=at)
    held = {name: frame["z"].mean() if value is None else value for name, value in held.items()}
    for level, part in enumerate(segments(axis)):
        own = {"sex": frame.loc[frame["g"] == level, "sex"].iloc[0], **held}
        new = pd.DataFrame({"x": part[:, 0], "g": level, **own})
        np.testing.assert_allclose(part[:, 1], model.predict(new), rtol=1e-12)
    middle = population(axis)
    new = pd.DataFrame({"x": middle[:, 0], "sex": "w", **held})  # w is more frequent
    np.testing.assert_allclose(middle[:, 1], model.predict(new, random="none"), rtol=1e-12)


def test_levels_are_nested(frame: pd.DataFrame) -> None:
    """Lines of groups in classes contain the effects of the class; crossed factors stay out."""
    model = ranef.fit("y ~ x + (1 | top / g) + (1 | f)", frame)
    part = segments(plots.lines(model, "x", "top:g"))[5]
    new = pd.DataFrame({"x": part[:, 0], "top": 1, "g": 5})
    expected = model.predict(new, random=["top", "top:g"])
    np.testing.assert_allclose(part[:, 1], expected, rtol=1e-12)
    part = segments(plots.lines(model, "x", "top"))[1]
    expected = model.predict(pd.DataFrame({"x": part[:, 0], "top": 1}), random=["top"])
    np.testing.assert_allclose(part[:, 1], expected, rtol=1e-12)


@pytest.mark.parametrize(("formula", "ticks"), [("f", True), ("factor(year)", False)])
def test_factors_on_the_axis(frame: pd.DataFrame, formula: str, ticks: bool) -> None:
    """Lines run through the levels that occur, and through nothing between them."""
    name = "f" if ticks else "year"
    model = ranef.fit(f"y ~ {formula} + x + (1 | g)", frame)
    axis = plots.lines(model, name)
    middle = population(axis)
    labels = sorted(frame[name].unique())
    np.testing.assert_array_equal(middle[:, 0], range(3) if ticks else labels)
    new = pd.DataFrame({name: labels, "x": frame["x"].mean()})
    np.testing.assert_allclose(middle[:, 1], model.predict(new, random="none"), rtol=1e-12)
    if ticks:
        assert [label.get_text() for label in axis.get_xticklabels()] == labels


def test_curves(frame: pd.DataFrame) -> None:
    """What the formula does to the variable shows: lines are curves."""
    model = ranef.fit("log(y + 20) ~ poly(x, 2) + (1 | g)", frame)
    axis = plots.lines(model, "x")
    assert np.abs(np.diff(population(axis)[:, 1], 2)).max() > 1e-6
    assert axis.get_ylabel() == "log(y + 20)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"x": "days"}, UnknownVariableError, "Did you mean 'Days'"),
        ({"x": "Subject"}, OptionError, "'Subject' is the grouping factor"),
        ({"x": "Days", "at": {"Days": 3}}, OptionError, "held by at="),
        ({"x": "Days", "at": {"age": 3}}, UnknownVariableError, "age"),
        ({"x": "Days", "levels": []}, OptionError, "levels is empty"),
        ({"x": "Days", "levels": ["x"]}, OptionError, "'x' is not a level of Subject"),
        ({"x": "Days", "kind": "facets"}, OptionError, "'spaghetti', 'panels'"),
        ({"x": 3}, OptionError, "x must name predictors of the model; got 3"),
        ({"x": "Reaction"}, OptionError, r"predictors of the model \(Days\); 'Reaction' is none"),
        ({"x": "Days", "levels": 308}, OptionError, "levels must be a list; got 308"),
        ({"x": "Days", "at": 3}, OptionError, "at must be a dict .* got 3"),
        ({"x": "Days", "at": {"Subject": "308"}}, OptionError, "'Subject' is the grouping factor"),
        ({"x": "Days", "at": {"Reaction": 3}}, OptionError, "'Reaction' is none"),
    ],
)
def test_bad_options(
    sleepstudy: Model, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Errors say what is wrong."""
    with pytest.raises(error, match=message):
        plots.lines(sleepstudy, **options)


def test_conditions_on_the_axis(frame: pd.DataFrame) -> None:
    """True and False are levels, too."""
    model = ranef.fit("y ~ late + x + (1 | g)", frame.assign(late=frame["year"] > 2002))
    axis = plots.lines(model, "late")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["False", "True"]
    difference = float(np.diff(population(axis)[:, 1])[0])
    assert difference == pytest.approx(model.fixef["late[T.True]"], rel=1e-10)


def test_bad_values(frame: pd.DataFrame) -> None:
    """Values of `at` must fit the variable."""
    model = ranef.fit("y ~ x + z + f + (1 | g)", frame)
    with pytest.raises(OptionError, match="must be a number; got 'much'"):
        plots.lines(model, "x", at={"z": "much"})
    with pytest.raises(OptionError, match="a level of 'f'"):
        plots.lines(model, "x", at={"f": "s"})


def test_every_line_is_that_of_its_level(frame: pd.DataFrame) -> None:
    """No argument makes lines of one level stand in the panels of others, at any depth."""
    model = ranef.fit("y ~ x + z + (1 | top / g)", frame)
    for at in ({"g": 5}, {"top": 1}):
        with pytest.raises(OptionError, match="part of the grouping factor"):
            plots.lines(model, "x", "top:g", at=at)
    with pytest.raises(OptionError, match=r"predictors of the model \(x, z\); 'g' is none"):
        plots.lines(model, "x", "top", at={"g": 5})


def test_what_can_stand_on_the_axis(frame: pd.DataFrame) -> None:
    """Predictors of both parts and offsets, but not weights, response and other groups."""
    data = frame.assign(o=frame["z"] ** 2, p=frame["x"] ** 2, w=1.0 + frame["x"])
    formula = "y ~ x + offset(p) + (z | g) + (1 | year)"
    model = ranef.fit(formula, data, weights="w", offset="o")
    for name in ("x", "z", "o", "p"):
        assert plots.lines(model, name, "g").get_xlabel() == name
    for name in ("y", "w", "year"):
        with pytest.raises(OptionError, match=rf"\(x, z, p, o\); '{name}' is none of them"):
            plots.lines(model, name, "g")
    both = ranef.fit("y ~ x + z + (1 | g) + (1 | z)", data.assign(z=data["z"].round()))
    assert plots.lines(both, "z", "g").get_xlabel() == "z"  # a predictor, too


@pytest.mark.parametrize("value", [np.nan, np.inf, "a", [1.0, 2.0]])
def test_numbers_to_hold(frame: pd.DataFrame, value: Any) -> None:
    """A number is needed; with NaN nothing would be drawn."""
    model = ranef.fit("y ~ x + z + (1 | g)", frame)
    with pytest.raises(OptionError, match=r"at=\{'z': ...\} must be a number; got"):
        plots.lines(model, "x", at={"z": value})


def test_one_level_without_a_list(sleepstudy: Model) -> None:
    """A text is one level, not a list of its letters."""
    assert len(segments(plots.lines(sleepstudy, "Days", levels="308"))) == 1
