"""What all pictures have in common: where they are drawn, and what happens without matplotlib."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import ranef
from ranef import plots
from ranef.errors import MissingDependencyError, NoRowsError, OptionError, UnknownVariableError
from ranef.inference.emmeans import emmeans

Model = ranef.LinearMixedModel
Draw = Callable[..., Any]


def means(model: Model, **options: Any) -> Figure:
    """Draw the marginal means of a model with one number."""
    return plots.emmeans(emmeans(model, "Days", at={"Days": [0, 5, 9]}), **options)


def ridges(model: Model, **options: Any) -> Axes:
    """Draw a small bootstrap."""
    return plots.bootstrap(model.bootstrap(50, seed=1), **options)


def zeta(model: Model, **options: Any) -> Figure:
    """Draw the profile of sigma and Days."""
    return plots.zeta(model.profile(["sigma", "Days"]), **options)


def density(model: Model, **options: Any) -> Figure:
    """Draw the same as densities."""
    return plots.density(model.profile(["sigma", "Days"]), **options)


def panels(model: Model, axes: Any = None) -> Figure:
    """Draw the lines of three subjects, a panel for each."""
    figure: Figure = plots.lines(
        model, "Days", kind="panels", levels=["308", "309", "335"], ax=axes
    )
    return figure


def spaghetti(model: Model, **options: Any) -> Axes:
    """Draw all lines."""
    axis: Axes = plots.lines(model, "Days", **options)
    return axis


SINGLE: tuple[Draw, ...] = (plots.shrinkage, plots.coefficients, plots.surface, spaghetti, ridges)
# Pictures of several panels, and how many those of sleepstudy have.
SEVERAL: dict[Draw, int] = {
    plots.caterpillar: 2,
    plots.residuals: 4,
    plots.matrices: 5,
    zeta: 2,
    density: 2,
    panels: 3,
    means: 1,
}


def name(draw: Draw) -> str:
    """Return what a picture is called."""
    return draw.__name__


@pytest.mark.parametrize("draw", SINGLE, ids=name)
def test_single_pictures_return_their_axes(draw: Draw, sleepstudy: Model) -> None:
    """Without axes there is a new figure; given axes are drawn into and returned."""
    new = draw(sleepstudy)
    assert isinstance(new, Axes)
    assert [figure.axes[0] for figure in map(pyplot.figure, pyplot.get_fignums())] == [new]
    own = pyplot.subplots()[1]
    assert draw(sleepstudy, ax=own) is own
    assert own.has_data()


@pytest.mark.parametrize("draw", SINGLE, ids=name)
@pytest.mark.parametrize("wrong", [3, "ax", pyplot])
def test_single_pictures_refuse_what_is_no_axes(draw: Draw, sleepstudy: Model, wrong: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(OptionError, match="one matplotlib Axes; got"):
        draw(sleepstudy, ax=wrong)


@pytest.mark.parametrize(("draw", "count"), SEVERAL.items(), ids=map(name, SEVERAL))
def test_several_panels_return_the_figure(draw: Draw, count: int, sleepstudy: Model) -> None:
    """Without axes there is a new figure; of given axes the first ones are used."""
    new = draw(sleepstudy)
    assert isinstance(new, Figure)
    assert sum(axis.get_label() != "<colorbar>" for axis in new.axes) == count
    figure, grid = pyplot.subplots(2, 3)
    assert draw(sleepstudy, axes=grid) is figure
    assert [axis.has_data() for axis in grid.ravel()] == [i < count for i in range(6)]


@pytest.mark.parametrize(("draw", "count"), SEVERAL.items(), ids=map(name, SEVERAL))
def test_too_few_axes(draw: Draw, count: int, sleepstudy: Model) -> None:
    """The error counts both; something else than axes is refused, too."""
    axis = pyplot.subplots()[1]
    if count > 1:
        with pytest.raises(OptionError, match=f"of {count} .*, and there are 1 axes"):
            draw(sleepstudy, axes=axis)
    with pytest.raises(OptionError, match="axes must be matplotlib Axes; got str"):
        draw(sleepstudy, axes=["here"] * count)


@pytest.mark.parametrize("draw", [*SINGLE, *SEVERAL], ids=name)
def test_pictures_need_matplotlib(
    draw: Draw, sleepstudy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"ranef\[plots\]"):
        draw(sleepstudy)


@pytest.mark.parametrize("wrong", [3, "model", None])
@pytest.mark.parametrize(
    "draw",
    [plots.caterpillar, plots.shrinkage, plots.matrices, plots.residuals, plots.surface, spaghetti],
    ids=name,
)
def test_something_else_than_a_model(draw: Draw, wrong: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(OptionError, match=r"plots\.\w+ needs models fitted by ranef.fit"):
        draw(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"label": 3}, "label must be a list; got 3"), ({"terms": 3}, "terms must be a list; got 3")],
)
def test_lists_of_shrinkage(sleepstudy: Model, options: dict[str, Any], message: str) -> None:
    """What is no list is refused as such."""
    with pytest.raises(OptionError, match=message):
        plots.shrinkage(sleepstudy, **options)


def test_results_of_other_kinds() -> None:
    """Pictures of results want theirs."""
    with pytest.raises(OptionError, match="what a model's bootstrap returns; got int"):
        plots.bootstrap(3)


@pytest.mark.parametrize(
    "draw", [plots.caterpillar, plots.shrinkage, plots.matrices, spaghetti], ids=name
)
def test_unknown_groups(draw: Draw, sleepstudy: Model, penicillin: Model) -> None:
    """A grouping factor that does not exist is refused; of several one must be named."""
    with pytest.raises(UnknownVariableError, match="subject"):
        draw(sleepstudy, group="subject")
    if draw is not plots.matrices:  # has a default
        with pytest.raises(OptionError, match="several grouping factors"):
            draw(penicillin)


def test_models_without_rows(streamed: Model, sleepstudy: Model) -> None:
    """Pictures of parameters and levels are the same; those of rows say what they lack."""
    for draw in (plots.shrinkage, plots.matrices, plots.residuals, spaghetti):
        with pytest.raises(NoRowsError):
            draw(streamed)
    for draw in (plots.coefficients, plots.surface):
        one, two = draw(streamed), draw(sleepstudy)
        for a, b in zip(one.lines, two.lines, strict=True):
            # the same sums in another order, and optimizers that stop a rounding error apart
            np.testing.assert_allclose(a.get_xydata(), b.get_xydata(), rtol=1e-5, atol=1e-5)
    assert len(plots.caterpillar(streamed).axes) == 2
