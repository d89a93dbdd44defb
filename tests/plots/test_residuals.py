"""The four panels of residuals."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

import ranef
from ranef import plots
from ranef.plots.diagnostics import neighbour_means, normal_scores

Model = ranef.LinearMixedModel


def test_panels(sleepstudy: Model) -> None:
    """Every panel holds the numbers that it names."""
    one, two, three, four = plots.residuals(sleepstudy).axes
    fitted, resid = sleepstudy.fitted.to_numpy(), sleepstudy.resid.to_numpy()
    scaled = resid / sleepstudy.sigma
    np.testing.assert_array_equal(one.lines[1].get_xydata(), np.column_stack([fitted, resid]))
    np.testing.assert_array_equal(two.lines[0].get_ydata(), np.sort(scaled))
    np.testing.assert_array_equal(three.lines[0].get_ydata(), np.sqrt(np.abs(scaled)))
    labels = [line.get_label() for line in four.lines[:2]]
    assert labels == ["Intercept | Subject", "Days | Subject"]
    for line, name in zip(four.lines[:2], ["Intercept", "Days"], strict=True):
        modes = np.sort(sleepstudy.ranef["Subject"][name])
        # their mean is zero up to the tolerance of the fit
        np.testing.assert_allclose(line.get_ydata(), modes / modes.std(ddof=1), atol=1e-9)


def test_quartile_line(sleepstudy: Model) -> None:
    """The line passes through the quartiles, as R's ``qqline``."""
    axis = plots.residuals(sleepstudy).axes[1]
    (x, y), ordered = axis.lines[1].get_data(), axis.lines[0].get_ydata()
    q = NormalDist().inv_cdf(0.75)
    # the quartiles of the normal scores of 180 points are those of the distribution to 1e-3
    np.testing.assert_allclose(
        np.interp([-q, q], x, y), np.quantile(ordered, [0.25, 0.75]), atol=5e-3
    )


def test_weights() -> None:
    """Scaled residuals are those of observations of the same variance."""
    data = ranef.datasets.load("sleepstudy")
    data["w"] = 1.0 + data["Days"]
    model = ranef.fit("Reaction ~ Days + (1 | Subject)", data, weights="w")
    axis = plots.residuals(model).axes[1]
    expected = np.sort(model.resid * np.sqrt(data["w"]) / model.sigma)
    np.testing.assert_allclose(axis.lines[0].get_ydata(), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("count", "expected"),
    # qqnorm(seq_len(n), plot.it = FALSE)$x in R 4.2.2
    [
        (5, [-1.17976112, -0.49720057, 0.0, 0.49720057, 1.17976112]),
        (12, [-1.73166440, -1.15034938, -0.81221780, -0.54852228, -0.31863936, -0.10463346]),
    ],
)
def test_normal_scores(count: int, expected: list[float]) -> None:
    """The scores are R's, to the digits that it printed."""
    np.testing.assert_allclose(normal_scores(count)[: len(expected)], expected, atol=6e-9)


def test_neighbour_means() -> None:
    """Bins hold equally many points, and their means average to the mean of all."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 240))
    across, up = neighbour_means(x, y)
    assert len(across) == 12 and (np.diff(across) > 0).all()
    assert up.mean() == pytest.approx(y.mean(), rel=1e-12)
    assert [len(part) for part in neighbour_means(x[:5], y[:5])] == [1, 1]


def test_no_variance() -> None:
    """Effects without variance are left out, and the panel says so."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))
    axis = plots.residuals(model).axes[3]
    assert not axis.lines and axis.texts[0].get_text() == "no variance"
