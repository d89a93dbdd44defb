"""Pictures of marginal means, and comparison intervals."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.inference.emmeans import Estimates, emmeans
from ranef.plots.comparisons import comparison_intervals, half_lengths
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel

# plot(emmeans(m, "temperature"), comparisons = TRUE, plotit = FALSE) of R's emmeans 1.8.4-1, for
# lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake) of lme4 1.1-31 and
# Satterthwaite's df; the ends of its arrows. Where there is no mean to reach R has none.
R_ARROWS = np.array(
    [
        [np.nan, 29.34951027],
        [28.58382306, 31.32728805],
        [30.05048973, 32.79395471],
        [30.80604528, 33.54951027],
        [34.47271195, np.nan],
        [33.98382306, np.nan],  # R: 36.00177778, shortened because no mean is larger than 215's
    ]
)


@pytest.fixture(scope="module")
def cake() -> Model:
    """Return a balanced split-plot experiment."""
    data = ranef.datasets.load("cake")
    return ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", data)


@pytest.fixture(scope="module")
def ragged() -> Model:
    """Return the same after many observations were lost."""
    data = ranef.datasets.load("cake").sample(150, random_state=1)
    return ranef.fit("angle ~ recipe + temperature + (1 | recipe:replicate)", data)


def intervals(axis: Axes) -> FloatArray:
    """Return the ends of the grey bars, (m, 2)."""
    collection = next(c for c in axis.collections if isinstance(c, LineCollection))
    return np.array([[ends[0, 0], ends[-1, 0]] for ends in collection.get_segments()])


def arrows(axis: Axes) -> FloatArray:
    """Return the ends of the arrows, (m, 2)."""
    drawn = [text for text in axis.texts if text.get_text() == ""]
    return np.array([[text.xyann[0], text.xy[0]] for text in drawn])  # type: ignore[attr-defined]


def labels(axis: Axes) -> list[str]:
    """Return the names of the rows from above."""
    return [label.get_text() for label in axis.get_yticklabels()]


def test_means_and_arrows(cake: Model) -> None:
    """Points, bars and arrows are estimates, intervals and R's comparison arrows."""
    result = emmeans(cake, "temperature")
    (axis,) = plots.emmeans(result).axes
    assert labels(axis) == ["175", "185", "195", "205", "215", "225"]
    np.testing.assert_array_equal(axis.lines[-1].get_xdata(), result["emmean"])
    np.testing.assert_array_equal(intervals(axis), result.to_frame()[["conf_low", "conf_high"]])
    there = np.isfinite(R_ARROWS)
    # R's quantile of the studentized range is good to seven digits or so
    np.testing.assert_allclose(arrows(axis)[there], R_ARROWS[there], rtol=1e-6)
    assert axis.get_ylabel() == "temperature" and "comparisons" in axis.get_xlabel()


def test_groups_have_panels(cake: Model) -> None:
    """A panel per combination of `by`, with the means of that group."""
    result = emmeans(cake, "temperature", by="recipe")
    figure = plots.emmeans(result)
    assert [axis.get_title() for axis in figure.axes] == [f"recipe = {r}" for r in "ABC"]
    for axis, recipe in zip(figure.axes, "ABC", strict=True):
        own = result.to_frame()
        own = own[own["recipe"] == recipe]
        np.testing.assert_array_equal(axis.lines[-1].get_xdata(), own["emmean"])
        assert len(arrows(axis)) == 6


def test_several_variables(cake: Model) -> None:
    """Rows are called by all their levels."""
    (axis,) = plots.emmeans(emmeans(cake, ["recipe", "temperature"]), comparisons=False).axes
    assert labels(axis)[:2] == ["A 175", "B 175"] and len(arrows(axis)) == 0
    assert axis.get_ylabel() == "recipe, temperature"


def test_contrasts(cake: Model) -> None:
    """Contrasts have their adjusted intervals, a line at zero, and no arrows."""
    result = emmeans(cake, "recipe").pairs()
    (axis,) = plots.emmeans(result).axes
    expected = result.confint().to_frame()[["conf_low", "conf_high"]]
    np.testing.assert_array_equal(intervals(axis), expected)
    assert len(arrows(axis)) == 0 and axis.lines[0].get_xdata()[0] == 0.0
    with pytest.raises(OptionError, match="contrasts are comparisons already"):
        plots.emmeans(result, comparisons=True)


def test_levels(cake: Model) -> None:
    """Another level changes bars and arrows."""
    result = emmeans(cake, "recipe", level=0.9)
    (axis,) = plots.emmeans(result).axes
    (wider,) = plots.emmeans(result, level=0.99).axes
    np.testing.assert_array_equal(intervals(axis), result.to_frame()[["conf_low", "conf_high"]])
    for ends in (intervals, arrows):
        assert (np.diff(ends(wider)) > np.diff(ends(axis))).all()


@pytest.mark.parametrize("scale", ["link", "response"])
def test_back_transformed(scale: str) -> None:
    """On the scale of the response, arrows are transformed at their ends, and ratios have one."""
    data = ranef.datasets.load("cake")
    model = ranef.fit("log(angle) ~ recipe + temperature + (1 | recipe:replicate)", data)
    link = arrows(plots.emmeans(emmeans(model, "recipe")).axes[0])
    result = emmeans(model, "recipe", type=scale)  # type: ignore[arg-type]
    shown = arrows(plots.emmeans(result).axes[0])
    np.testing.assert_allclose(shown, np.exp(link) if scale == "response" else link, rtol=1e-10)
    nothing = plots.emmeans(result.pairs()).axes[0].lines[0].get_xdata()[0]
    assert nothing == (1.0 if scale == "response" else 0.0)


def test_means_that_cannot_be_estimated() -> None:
    """Their rows are empty; the others can still be compared."""
    data = ranef.datasets.load("cake")
    data = data[~((data["recipe"] == "A") & (data["temperature"].astype(str) == "175"))]
    with pytest.warns(ranef.errors.RankDeficiencyWarning):
        model = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", data)
    result = emmeans(model, ["recipe", "temperature"], at={"temperature": [175, 185]})
    (axis,) = plots.emmeans(result).axes
    assert len(labels(axis)) == 6
    assert len(arrows(axis)) == 5
    assert np.isnan(axis.lines[-1].get_xdata()).sum() == 1


def disagreements(result: Estimates, half: FloatArray) -> int:
    """Count pairs whose intervals overlap although they differ, or the other way round."""
    center, tests = result.estimates.to_numpy(), result.pairs().to_frame()
    overlap = [
        abs(center[i] - center[j]) <= half[i] + half[j]
        for i, j in combinations(range(len(center)), 2)
    ]
    return int((np.array(overlap) != (tests["p_value"] >= 0.05).to_numpy()).sum())


def test_disagreements_are_counted(cake: Model, ragged: Model) -> None:
    """None in balanced data; where there are some, the picture says how many."""
    seen = set()
    for result in [
        emmeans(cake, "temperature"),
        emmeans(ragged, ["recipe", "temperature"], at={"temperature": [175, 225]}),
    ]:
        found = comparison_intervals(result, 0.95)
        assert found.pairs == len(result) * (len(result) - 1) // 2
        assert found.wrong == disagreements(result, found.half)
        (axis,) = plots.emmeans(result).axes
        assert (f"{found.wrong} of {found.pairs} pairs" in axis.get_xlabel()) == (found.wrong > 0)
        seen.add(found.wrong > 0)
    assert seen == {False, True}


@given(
    half=st.lists(st.floats(0.1, 5.0), min_size=3, max_size=7),
    gaps=st.lists(st.floats(0.0, 20.0), min_size=21, max_size=21),
)
def test_margins_that_are_sums(half: list[float], gaps: list[float]) -> None:
    """If half-lengths exist that add up to all margins, they are found, whatever the gaps."""
    h = np.array(half)
    among = np.array(list(combinations(range(len(h)), 2)))
    gap = np.array(gaps[: len(among)])
    found = half_lengths(among, gap, h[among].sum(axis=1), len(h))
    # weights between 0.005 and 10: four digits are lost at worst
    np.testing.assert_allclose(found, h, rtol=1e-9, atol=1e-9)


def test_two_means_share() -> None:
    """Of two means, each gets half of the margin; a single one has nothing to be compared with."""
    pair = half_lengths(np.array([[0, 1]]), np.array([3.0]), np.array([2.0]), 3)
    np.testing.assert_allclose(pair, [1.0, 1.0, np.nan])


def test_single_means(cake: Model) -> None:
    """A mean alone has no arrow."""
    (axis,) = plots.emmeans(emmeans(cake, "1")).axes
    assert len(arrows(axis)) == 0 and "comparisons" not in axis.get_xlabel()


def test_bad_results(cake: Model) -> None:
    """What is no result of emmeans is refused."""
    with pytest.raises(OptionError, match="result must be marginal means"):
        plots.emmeans(cake)  # type: ignore[arg-type]
