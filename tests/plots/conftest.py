"""Pictures of these tests are rendered without warnings, and closed; nothing global changes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import matplotlib
import pytest

import ranef

matplotlib.use("agg")  # before pyplot looks for a display

from matplotlib import pyplot


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail for warnings, calls of show, changed settings; render and close what was drawn."""

    def show(*args: object, **kwargs: object) -> None:
        raise AssertionError("a picture was shown")

    monkeypatch.setattr(pyplot, "show", show)
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.draw()
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="session")
def sleepstudy() -> ranef.LinearMixedModel:
    """Return intercepts and slopes of eighteen subjects."""
    return ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))


@pytest.fixture(scope="session")
def penicillin() -> ranef.LinearMixedModel:
    """Return a model with two crossed factors."""
    data = ranef.datasets.load("penicillin")
    return ranef.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data)


@pytest.fixture(scope="session")
def rail() -> ranef.LinearMixedModel:
    """Return a model with intercepts only."""
    return ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))


@pytest.fixture(scope="session")
def streamed() -> ranef.LinearMixedModel:
    """Return a model that keeps no rows."""
    data = ranef.datasets.load("sleepstudy")
    return ranef.fit("Reaction ~ Days + (Days | Subject)", [data[:90], data[90:]])
