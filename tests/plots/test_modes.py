"""The caterpillar shows the conditional modes and their standard deviations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel
Z95 = 1.959963984540054


def segments(axis: Axes) -> FloatArray:
    """Return the ends of horizontal lines, (m, 2)."""
    collection = next(c for c in axis.collections if isinstance(c, LineCollection))
    return np.array([[ends[0, 0], ends[-1, 0]] for ends in collection.get_segments()])


def rows(axis: Axes) -> list[str]:
    """Return the labels of the rows from below."""
    return [label.get_text() for label in axis.get_yticklabels()]


@pytest.mark.parametrize("group", ["plate", "sample"])
def test_points_and_intervals(penicillin: Model, group: str) -> None:
    """Dots are modes, lines reach 1.96 conditional standard deviations, the smallest is below."""
    (axis,) = plots.caterpillar(penicillin, group).axes
    table = pd.DataFrame(
        {"mode": penicillin.ranef[group]["Intercept"], "sd": penicillin.ranef.sd[group].iloc[:, 0]}
    ).sort_values("mode", kind="stable")
    assert rows(axis) == list(table.index)
    np.testing.assert_array_equal(axis.lines[-1].get_xdata(), table["mode"])
    expected = table["mode"].to_numpy()[:, None] + np.outer(table["sd"], [-Z95, Z95])
    np.testing.assert_allclose(segments(axis), expected, rtol=1e-14)
    assert axis.get_title() == "Intercept" and axis.get_ylabel() == group


@pytest.mark.parametrize("sort", [True, "Intercept", "Days"])
def test_rows_are_those_of_one_effect(sleepstudy: Model, sort: bool | str) -> None:
    """All panels have the same rows, sorted by the first effect or the one that is named."""
    figure = plots.caterpillar(sleepstudy, sort=sort)
    modes = sleepstudy.ranef["Subject"]
    order = modes["Days" if sort == "Days" else "Intercept"].argsort(kind="stable")
    assert rows(figure.axes[0]) == list(modes.index[order])
    for axis, effect in zip(figure.axes, modes.columns, strict=True):
        np.testing.assert_array_equal(axis.lines[-1].get_xdata(), modes[effect].iloc[order])


def test_order_of_the_levels(sleepstudy: Model) -> None:
    """Unsorted, the first level is above, as in a table."""
    axis = plots.caterpillar(sleepstudy, sort=False).axes[0]
    assert rows(axis)[::-1] == list(sleepstudy.ranef["Subject"].index)


def test_level(sleepstudy: Model) -> None:
    """Half of the level is less than half as wide, and the label says which it is."""
    axis = plots.caterpillar(sleepstudy, level=0.5).axes[0]
    half = np.diff(segments(axis)).ravel() / 2
    sd = sleepstudy.ranef.sd["Subject"]["Intercept"]
    np.testing.assert_allclose(np.sort(half), np.sort(0.6744897501960817 * sd), rtol=1e-13)
    assert "50 %" in axis.get_xlabel()


def test_many_levels_have_no_names() -> None:
    """Beyond sixty levels their names could not be read."""
    rng = np.random.default_rng(1)
    g = np.arange(400) % 80
    y = rng.standard_normal(80)[g] + rng.standard_normal(400)
    axis = plots.caterpillar(ranef.fit("y ~ 1 + (1 | g)", {"y": y, "g": g})).axes[0]
    assert rows(axis) == [] and axis.get_ylabel() == "g (80 levels)"
    assert len(segments(axis)) == 80


def test_bad_options(sleepstudy: Model) -> None:
    """Errors name what is allowed."""
    with pytest.raises(OptionError, match="'Intercept', 'Days'"):
        plots.caterpillar(sleepstudy, sort="days")
    with pytest.raises(OptionError, match="level must be"):
        plots.caterpillar(sleepstudy, level=95)
