"""Heat maps show the entries of the matrices that they name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.plots.blocks import shown_part
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel


def image(axis: Axes) -> FloatArray:
    """Return the numbers behind the colours."""
    return np.asarray(axis.images[0].get_array())


def grouping(model: Model, name: str) -> Any:
    """Return a grouping factor."""
    return next(
        slot.term.grouping for slot in model.problem.slots if slot.term.grouping.name == name
    )


@pytest.fixture(scope="module")
def shuffled() -> Model:
    """Return a model with everything: nested, crossed, several terms, weights, rows in disorder."""
    rng = np.random.default_rng(8)
    n = 90
    data = pd.DataFrame(
        {
            "x": rng.standard_normal(n),
            "a": rng.integers(0, 9, n),
            "b": rng.integers(0, 4, n),
            "w": rng.uniform(0.5, 2, n),
        }
    )
    effects = rng.standard_normal((9, 2)) * 2
    data["y"] = effects[data["a"], 0] + effects[data["a"], 1] * data["x"]
    data["y"] += rng.standard_normal(4)[data["b"]] + rng.standard_normal(n)
    return ranef.fit("y ~ x + (1 | a) + (0 + x | a) + (x | b)", data, weights="w")


@pytest.mark.parametrize("group", ["a", "b"])
def test_the_whole_model(shuffled: Model, group: str) -> None:
    """Without a limit that matters, V = Z Sigma Z' + sigma^2 / w with Z of the model itself."""
    found = grouping(shuffled, group)
    part = shown_part(shuffled, found, 1000)
    order = np.argsort(found.codes, kind="stable")
    np.testing.assert_array_equal(part.rows, order)
    Z = shuffled.Z.toarray()[order]
    np.testing.assert_array_equal(part.Z, Z)
    weights = shuffled.design.weights
    assert weights is not None
    V = Z @ part.Sigma @ Z.T + shuffled.sigma**2 * np.diag(1 / weights[order])
    np.testing.assert_allclose(part.V, V, rtol=1e-10, atol=1e-10)
    # Sigma itself: the blocks that `VarCorr` reports, one per level, in the order of Z
    blocks = [
        np.kron(np.eye(shuffled.ngroups[c.group]), c.cov) for c in shuffled.VarCorr.components
    ]
    total = sum(len(block) for block in blocks)
    expected, start = np.zeros((total, total)), 0
    for block in blocks:
        stop = start + len(block)
        expected[start:stop, start:stop] = block
        start = stop
    np.testing.assert_allclose(part.Sigma, expected, rtol=1e-10, atol=1e-12)


def test_a_part_of_the_model(shuffled: Model) -> None:
    """Of the first levels as many are shown as fit, with the entries of the whole."""
    found = grouping(shuffled, "a")
    whole, part = shown_part(shuffled, found, 1000), shown_part(shuffled, found, 25)
    m = len(part.rows)
    sizes = np.bincount(found.codes)
    assert m in np.cumsum(sizes) and m <= 25
    np.testing.assert_array_equal(part.rows, whole.rows[:m])
    np.testing.assert_allclose(part.V, whole.V[:m, :m], rtol=1e-10, atol=1e-12)
    kept = np.flatnonzero(whole.Z[:m].any(axis=0))
    np.testing.assert_array_equal(part.Z, whole.Z[:m, kept])
    np.testing.assert_array_equal(part.Lambda, whole.Lambda[np.ix_(kept, kept)])


def test_a_level_that_is_too_large(shuffled: Model) -> None:
    """If the first level alone does not fit, some of its rows are shown."""
    assert len(shown_part(shuffled, grouping(shuffled, "b"), 5).rows) == 5


def test_blocks_of_V(sleepstudy: Model) -> None:
    """A block is what `implied_covariance` says of the level."""
    (axis,) = [
        axis for axis in plots.matrices(sleepstudy, "V").axes if axis.get_title().startswith("V")
    ]
    V = image(axis)
    assert V.shape == (60, 60)  # six subjects of ten days
    for i, level in enumerate(["308", "309", "310", "330", "331", "332"]):
        rows = slice(10 * i, 10 * i + 10)
        np.testing.assert_allclose(V[rows, rows], sleepstudy.implied_covariance(level), rtol=1e-10)
        V[rows, rows] = 0.0
    assert not V.any()


def test_every_matrix(rail: Model) -> None:
    """Titles give the size of the whole; small matrices show numbers, others have a bar."""
    figure = plots.matrices(rail)
    by_title = {axis.get_title(): axis for axis in figure.axes if axis.images}
    assert list(by_title) == ["X (18 × 1)", "Z (18 × 6)", "Λ (6 × 6)", "V (18 × 18)", "Σ (6 × 6)"]
    np.testing.assert_array_equal(image(by_title["X (18 × 1)"]), rail.X)
    order = np.argsort(grouping(rail, "Rail").codes, kind="stable")
    np.testing.assert_array_equal(image(by_title["Z (18 × 6)"]), rail.Z.toarray()[order])
    theta = float(rail.theta.iloc[0])
    np.testing.assert_allclose(image(by_title["Λ (6 × 6)"]), theta * np.eye(6), rtol=1e-12)
    texts = [text.get_text() for text in by_title["Λ (6 × 6)"].texts]
    assert texts == [f"{theta:.3g}"] * 6
    assert [label.get_text() for label in by_title["Z (18 × 6)"].get_xticklabels()] == [
        str(level) for level in rail.ranef["Rail"].index
    ]
    assert sum(axis.get_label() == "<colorbar>" for axis in figure.axes) == 1  # of V


def test_shades_of_X_and_Z(sleepstudy: Model) -> None:
    """A column is as dark as its own largest entry makes it; Z by effect, not by level."""
    X, Z = plots.matrices(sleepstudy, ["X", "Z"]).axes
    np.testing.assert_allclose(image(X).max(axis=0), [1.0, 1.0])
    np.testing.assert_allclose(image(X)[:10, 1], np.arange(10) / 9)
    np.testing.assert_allclose(image(Z).max(axis=0), np.ones(12))
    assert X.get_xlabel() == "60 rows, 2 columns shown"


def test_the_limit_holds_for_columns(shuffled: Model) -> None:
    """Crossed factors bring more columns than rows: they are cut."""
    for axis in plots.matrices(shuffled, limit=8).axes:
        if axis.images:
            assert max(image(axis).shape) <= 8


def test_lines_between_levels(sleepstudy: Model) -> None:
    """Borders lie between the six levels that are shown, across and down."""
    axis = plots.matrices(sleepstudy, "Z").axes[0]
    down = [line.get_ydata()[0] for line in axis.lines if len(set(line.get_ydata())) == 1]
    across = [line.get_xdata()[0] for line in axis.lines if len(set(line.get_xdata())) == 1]
    assert down == [9.5, 19.5, 29.5, 39.5, 49.5]
    assert across == [1.5, 3.5, 5.5, 7.5, 9.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"which": "Y"}, "'X', 'Z', 'Lambda', 'Sigma', 'V'"),
        ({"which": ["X", "v"]}, "got 'v'"),
        ({"which": []}, "which is empty"),
        ({"limit": 0}, "positive integer"),
        ({"limit": 2.5}, "positive integer"),
    ],
)
def test_bad_options(rail: Model, options: dict[str, Any], message: str) -> None:
    """Errors name what is allowed."""
    with pytest.raises(OptionError, match=message):
        plots.matrices(rail, **options)


def test_a_rectangle_that_is_square() -> None:
    """Z with as many columns as rows has a scale for every column, and no colour bar."""
    rng = np.random.default_rng(2)
    n, x = 60, 50.0 * rng.standard_normal(60)
    data = pd.DataFrame({"g": np.arange(n) % 20, "h": np.arange(n) // 3, "x": x})
    data["y"] = 0.02 * x + rng.standard_normal(20)[data["g"]] + rng.standard_normal(n)
    model = ranef.fit("y ~ x + (x | g) + (1 | h)", data)
    figure = plots.matrices(model, ["Z", "V"], "g")
    assert [axis.get_title() for axis in figure.axes[:2]] == ["Z (60 × 60)", "V (60 × 60)"]
    assert len(figure.axes) == 3  # one colour bar, of V
    assert np.abs(image(figure.axes[0])).max() == 1.0
    assert np.abs(image(figure.axes[1])).max() > 1.0


def test_no_fixed_effects() -> None:
    """X without columns is an empty panel that says so."""
    model = ranef.fit("travel ~ 0 + (1 | Rail)", ranef.datasets.load("rail"))
    figure = plots.matrices(model)
    assert figure.axes[0].get_title() == "X (18 × 0)"
    assert [text.get_text() for text in figure.axes[0].texts] == ["no columns"]
