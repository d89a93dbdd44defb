"""The picture of shrinkage shows the numbers of `ranef.pooling`."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.quiver import Quiver

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel


def drawn(axis: Axes, label: str) -> FloatArray:
    """Return the points of a series, (m, 2)."""
    line = next(line for line in axis.lines if line.get_label() == label)
    return np.asarray(line.get_xydata())


def arrows(axis: Axes) -> tuple[FloatArray, FloatArray]:
    """Return where arrows start and end, (m, 2) each."""
    quiver = next(c for c in axis.collections if isinstance(c, Quiver))
    start = np.column_stack([quiver.X, quiver.Y])
    return start, start + np.column_stack([quiver.U, quiver.V])


def test_plane(sleepstudy: Model) -> None:
    """Circles are no pooling, dots partial pooling, arrows lead from one to the other."""
    axis = plots.shrinkage(sleepstudy, label=["335"])
    pooled = ranef.pooling(sleepstudy)
    np.testing.assert_array_equal(drawn(axis, "no pooling"), pooled.no_pooling)
    np.testing.assert_array_equal(drawn(axis, "partial pooling"), pooled.partial_pooling)
    np.testing.assert_array_equal(drawn(axis, "complete pooling")[0], pooled.complete_pooling)
    # modes are subtracted from coefficients again: rounding
    np.testing.assert_allclose(drawn(axis, "fixed effects")[0], sleepstudy.fixef, rtol=1e-12)
    start, end = arrows(axis)
    np.testing.assert_array_equal(start, pooled.no_pooling)
    np.testing.assert_allclose(end, pooled.partial_pooling, rtol=1e-12)
    (text,) = axis.texts
    level = list(pooled.levels).index("335")
    assert text.get_text() == "335" and tuple(text.xy) == tuple(pooled.no_pooling[level])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("Intercept", "Days")


def test_terms_choose_the_plane(sleepstudy: Model) -> None:
    """The first stands on the horizontal axis; one alone gives a row per group."""
    pooled = ranef.pooling(sleepstudy)
    axis = plots.shrinkage(sleepstudy, terms=["Days", "Intercept"])
    np.testing.assert_array_equal(drawn(axis, "no pooling"), pooled.no_pooling[:, ::-1])
    axis = plots.shrinkage(sleepstudy, terms="Days")
    assert axis.get_xlabel() == "Days" and len(axis.get_yticklabels()) == 18


def test_dumbbells(rail: Model) -> None:
    """With one coefficient groups are rows, sorted by partial pooling; lines are what all share."""
    axis = plots.shrinkage(rail)
    pooled = ranef.pooling(rail)
    order = np.argsort(pooled.partial_pooling[:, 0])
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == [str(level) for level in pooled.levels[order]]
    np.testing.assert_array_equal(drawn(axis, "no pooling")[:, 0], pooled.no_pooling[order, 0])
    np.testing.assert_array_equal(drawn(axis, "no pooling")[:, 1], range(6))
    np.testing.assert_allclose(arrows(axis)[1][:, 0], pooled.partial_pooling[order, 0], rtol=1e-12)
    assert drawn(axis, "complete pooling")[0, 0] == pooled.complete_pooling[0]
    assert drawn(axis, "fixed effect")[0, 0] == pytest.approx(rail.fixef["Intercept"], rel=1e-12)


def test_groups_that_say_nothing_alone() -> None:
    """A group with one row has no slope of its own: a dot, but no circle and no arrow."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", data[9:])
    axis = plots.shrinkage(model, label=["308", "335"])
    assert len(arrows(axis)[0]) == 17
    assert np.isfinite(drawn(axis, "partial pooling")).all()
    assert tuple(axis.texts[0].xy) == tuple(drawn(axis, "partial pooling")[0])


@pytest.mark.parametrize("terms", ["days", ["Days", "Days"], [], ["Days", "Intercept", "x"]])
def test_bad_terms(sleepstudy: Model, terms: list[str]) -> None:
    """One or two coefficients that exist."""
    with pytest.raises(OptionError, match="terms"):
        plots.shrinkage(sleepstudy, terms=terms)


def test_bad_levels(sleepstudy: Model) -> None:
    """Labels are of levels that exist."""
    with pytest.raises(OptionError, match="is not a level of Subject"):
        plots.shrinkage(sleepstudy, label=["3080"])
