"""The landscape is the criterion of the model, and the path is that of the optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.plots.landscape import _chosen, _grid, _heights
from ranef.plots.search import search_path
from ranef.typing import OptimizerName

Model = ranef.LinearMixedModel


@pytest.fixture(scope="module")
def diagonal() -> Model:
    """Return a model with two parameters."""
    return ranef.fit("Reaction ~ Days + (Days || Subject)", ranef.datasets.load("sleepstudy"))


def test_curve(rail: Model) -> None:
    """With one parameter, the picture is the criterion above its minimum."""
    axis = plots.surface(rail)
    x, y = axis.lines[0].get_data()
    expected = [rail.objective_at([theta]) - rail.objective for theta in x]
    # the same evaluation, by way of the same functions
    np.testing.assert_allclose(y, expected, atol=1e-10)
    assert x[0] == 0.0 and min(y) > -1e-8
    assert axis.get_ylabel() == "REML criterion above its minimum"
    assert axis.get_xlabel() == "θ Rail.Intercept"


def test_heights(diagonal: Model) -> None:
    """A map has the criterion at every point of its grid."""
    chosen = _chosen(diagonal, None)
    grids = [_grid(diagonal, j, None, 5) for j in chosen]
    found = _heights(diagonal, chosen, grids)
    for i, j in np.ndindex(5, 5):
        expected = diagonal.objective_at([grids[0][i], grids[1][j]]) - diagonal.objective
        assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_cuts(sleepstudy: Model) -> None:
    """Where there are more parameters the others stay at their estimates."""
    names = list(sleepstudy.theta.index)
    assert [names[j] for j in _chosen(sleepstudy, None)] == ["Subject.Intercept", "Subject.Days"]
    wanted = ["Subject.Days.Intercept", "Subject.Days"]
    chosen = _chosen(sleepstudy, wanted)
    grids = [_grid(sleepstudy, j, None, 4) for j in chosen]
    assert grids[0][0] < 0 < grids[0][-1] and grids[1][0] == 0.0
    theta = sleepstudy.theta
    theta[wanted] = grids[0][1], grids[1][2]
    expected = sleepstudy.objective_at(theta) - sleepstudy.objective
    assert _heights(sleepstudy, chosen, grids)[1, 2] == pytest.approx(expected, abs=1e-9)
    axis = plots.surface(sleepstudy, wanted, points=9)
    assert (axis.get_xlabel(), axis.get_ylabel()) == tuple(f"θ {name}" for name in wanted)


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
def test_path(diagonal: Model, optimizer: OptimizerName) -> None:
    """The path starts where a fit starts, ends at the estimate, and never goes up."""
    path = search_path(diagonal, optimizer)
    taken = path.value[path.taken]
    assert (np.diff(taken) <= 1e-8).all()
    assert taken[-1] == pytest.approx(diagonal.objective, abs=1e-6)
    # bobyqa and nelder-mead stop at a change of the criterion of 1e-10, which leaves theta to 1e-5
    np.testing.assert_allclose(path.theta[path.taken][-1], diagonal.theta, rtol=1e-3)
    for theta, value in zip(path.theta, path.value, strict=True):
        assert diagonal.objective_at(theta) == pytest.approx(value, abs=1e-7)


def test_path_is_that_of_the_fit(sleepstudy: Model) -> None:
    """As many evaluations as the fit reports; the last step needs none with derivatives."""
    path = search_path(sleepstudy, "newton")
    assert len(path.value) == sleepstudy.convergence.n_evaluations + 1


def test_path_in_the_picture(diagonal: Model) -> None:
    """Steps, points that were left, and the minimum are drawn; the picture reaches all of them."""
    start = [2.0, 0.5]
    path = search_path(diagonal, "bobyqa", start)
    axis = plots.surface(diagonal, optimizer="bobyqa", start=start, points=9)
    line, dots, crosses, star = axis.lines
    np.testing.assert_array_equal(line.get_xydata(), path.theta[path.taken])
    np.testing.assert_array_equal(dots.get_xydata(), path.theta[path.taken])
    np.testing.assert_array_equal(crosses.get_xydata(), path.theta[~path.taken])
    np.testing.assert_array_equal(star.get_xydata()[0], diagonal.theta)
    np.testing.assert_allclose(line.get_xydata()[0], start, rtol=1e-12)
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    x, y = line.get_data()
    assert left <= min(x) and max(x) < right and bottom <= min(y) and max(y) < top


def test_without_a_path(rail: Model, diagonal: Model) -> None:
    """Then there is the landscape and its minimum alone."""
    assert len(plots.surface(rail, path=False).lines) == 3  # curve, zero, star
    assert len(plots.surface(diagonal, path=False, points=9).lines) == 1


def test_a_variance_of_zero() -> None:
    """At the boundary there is still something to see."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"), reml=False)
    axis = plots.surface(model)
    assert axis.get_xlim()[1] >= 0.5 and axis.get_ylabel().startswith("deviance")
    slopes = ranef.fit("Reaction ~ 1 + (Days | Subject)", ranef.datasets.load("sleepstudy")[:60])
    plots.surface(slopes, ["Subject.Intercept", "Subject.Days.Intercept"], points=9)


def test_the_model_stays_as_it_was(diagonal: Model) -> None:
    """Drawing leaves no factorisation behind."""
    plots.surface(diagonal, points=5)
    assert diagonal.problem.objective._last is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": "Subject"}, "'Subject.Intercept', 'Subject.Days'"),
        ({"parameters": []}, "one or two"),
        ({"parameters": ["Subject.Days", "Subject.Days"]}, "one or two"),
        ({"optimizer": "adam"}, "'newton', 'bobyqa', 'nelder-mead'"),
        ({"points": 2}, "3 or more"),
        ({"points": 100_000}, "points must be at most 1000 in every direction; got 100000"),
        ({"path": "x"}, "path must be True or False; got 'x'"),
        ({"parameters": 3}, "parameters must be a list; got 3"),
        ({"start": [1.0]}, "start must be 2 finite numbers"),
    ],
)
def test_bad_options(diagonal: Model, options: dict[str, Any], message: str) -> None:
    """Errors name what is allowed."""
    with pytest.raises(OptionError, match=message):
        plots.surface(diagonal, **options)
