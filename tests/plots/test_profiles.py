"""Pictures of profiles show the interval that was asked for, or say that they cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.inference.profile import Profile

Model = ranef.LinearMixedModel


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Return the curves of two parameters."""
    model = ranef.fit("Reaction ~ Days + (1 | Subject)", ranef.datasets.load("sleepstudy"))
    return model.profile(["sigma", "Days"], level=0.9)


def shaded(axis: Axes) -> tuple[float, float]:
    """Return the ends of what is shaded."""
    across = axis.collections[0].get_paths()[0].vertices[:, 0]
    return float(across.min()), float(across.max())


@pytest.mark.parametrize(("level", "expected"), [(None, 0.9), (0.9, 0.9), (0.5, 0.5)])
def test_the_shaded_interval(profile: Profile, level: float | None, expected: float) -> None:
    """It is that of the level, by default of the profile, and the title names it."""
    figure = plots.density(profile, level=level)
    assert figure.get_suptitle() == f"{100 * expected:g} % interval shaded"
    for axis in figure.axes:
        limits = profile.confint(expected).loc[axis.get_title()]
        curve = next(c for c in profile.curves if c.name == axis.get_title())
        step = np.diff(curve.dense()[0]).max()  # ends fall between two points of the curve
        np.testing.assert_allclose(shaded(axis), limits, atol=step)


def test_the_level_in_given_axes(profile: Profile) -> None:
    """There the figure is not ours: the panels say it."""
    figure, axes = pyplot.subplots(1, 2)
    plots.density(profile, axes=axes, level=0.8)
    assert [axis.get_xlabel() for axis in axes] == ["80 % interval shaded"] * 2
    assert figure.get_suptitle() == ""


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p: plots.density(p, level=0.95), "reach to level 0.9; for 0.95 profile again"),
        (lambda p: plots.density(p, level=95), "level must be a number between 0 and 1; got 95"),
        (lambda p: plots.density(p, level="x"), "level must be a number between 0 and 1; got 'x'"),
        (lambda p: plots.density(3), "profile must be what .* got int"),
        (lambda p: plots.zeta(p, levels=(2,)), "level must be a number between 0 and 1; got 2"),
        (lambda p: plots.zeta(p, levels=("x",)), "level must be a number .* got 'x'"),
        (lambda p: plots.zeta(p, levels=0.5), "levels must be a list; got 0.5"),
        (lambda p: plots.zeta(3), "profile must be what .* got int"),
    ],
)
def test_bad_options(profile: Profile, draw: Callable[[Any], Any], message: str) -> None:
    """Levels that are none, or that the curves do not reach, are refused."""
    with pytest.raises(OptionError, match=message):
        draw(profile)
