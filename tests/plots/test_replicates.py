"""Ridges of bootstrap replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.inference.bootstrap_result import BootstrapResult
from ranef.plots.replicates import density


@pytest.fixture(scope="module")
def result() -> BootstrapResult:
    """Return replicates of which some have no variance between batches."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    return model.bootstrap(400, seed=3)


def intervals(axis: Axes) -> list[list[float]]:
    """Return the ends of the intervals, from above."""
    lines = [c for c in axis.collections if isinstance(c, LineCollection)]
    return [[c.get_segments()[0][0, 0], c.get_segments()[0][-1, 0]] for c in lines]


def names(axis: Axes) -> list[str]:
    """Return the labels of the rows from above."""
    return [label.get_text() for label in axis.get_yticklabels()]


@pytest.mark.parametrize("options", [{}, {"level": 0.5}, {"kind": "basic"}])
def test_standardized(result: BootstrapResult, options: dict[str, Any]) -> None:
    """Zero is the estimate, one a bootstrap standard error."""
    axis = plots.bootstrap(result, **options)
    assert names(axis) == list(result.names)
    frame = result.to_frame()
    expected = result.confint(**options).sub(frame["original"], axis=0)
    expected = expected.div(frame["std_error"], axis=0)
    np.testing.assert_allclose(intervals(axis), expected, rtol=1e-10, atol=1e-12)
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [0.0, 0.0, 0.0]


def test_own_units(result: BootstrapResult) -> None:
    """Unstandardised, intervals are those of `confint`, in the order that is asked for."""
    wanted = ["sigma", "sd_Intercept|Batch"]
    axis = plots.bootstrap(result, wanted, standardize=False)
    assert names(axis) == wanted
    np.testing.assert_array_equal(intervals(axis), result.confint().loc[wanted])
    assert min(line.get_xdata().min() for line in axis.lines) >= 0.0  # no negative SD


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (0.0, 1.0)])
def test_density(low: float, high: float) -> None:
    """It integrates to one over the range, whatever is reflected, and is the sample's."""
    rng = np.random.default_rng(2)
    values = rng.beta(1.0, 2.5, 3000)
    grid, height = density(values, low, high)
    assert grid.min() >= low and grid.max() <= high
    assert (height >= 0).all()
    # the trapezoidal rule, and tails beyond three bandwidths
    assert np.trapezoid(height, grid) == pytest.approx(1.0, abs=2e-3)
    if np.isfinite(low):
        # without reflection, the estimate at the end would be half of the true 2.5
        assert height[0] == pytest.approx(2.5, rel=0.12)


def test_density_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many replicates are summed block by block, with the same result."""
    values = np.random.default_rng(2).standard_normal(500)
    expected = density(values, -np.inf, np.inf)[1]
    monkeypatch.setattr("ranef.plots.replicates.BLOCK", 256 * 7)
    # sums in another order
    np.testing.assert_allclose(density(values, -np.inf, np.inf)[1], expected, rtol=1e-12)


def test_a_statistic_that_never_changes() -> None:
    """Where there is no distribution the row says so."""
    model = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    found = model.bootstrap(20, seed=1, statistic=lambda m: {"n": m.nobs, "sigma": m.sigma})
    axis = plots.bootstrap(found)
    assert names(axis) == ["n", "sigma"]
    assert [text.get_text() for text in axis.texts] == ["no distribution"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": "Sigma"}, "Did you mean 'sigma'"),
        ({"parameters": []}, "parameters is empty"),
        ({"kind": "studentized"}, "'percentile', 'basic', 'normal', 'bca'"),
        ({"level": 1.0}, "level must be"),
    ],
)
def test_bad_options(result: BootstrapResult, options: dict[str, Any], message: str) -> None:
    """Errors name what is allowed."""
    with pytest.raises(OptionError, match=message):
        plots.bootstrap(result, **options)
