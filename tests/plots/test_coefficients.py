"""The picture of coefficients shows the numbers of `coef_table`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import ranef
from ranef import plots
from ranef.errors import OptionError
from ranef.typing import FloatArray

Model = ranef.LinearMixedModel


@pytest.fixture(scope="module")
def machines() -> dict[str, Model]:
    """Return two models for the same means."""
    data = ranef.datasets.load("machines")
    return {
        "intercepts": ranef.fit("score ~ Machine + (1 | Worker)", data),
        "slopes": ranef.fit("score ~ Machine + (Machine | Worker)", data),
    }


def names(axis: Axes) -> list[str]:
    """Return the labels of the rows from above."""
    return [label.get_text() for label in axis.get_yticklabels()]


def series(axis: Axes) -> list[FloatArray]:
    """Return for every model row, estimate and ends, (m, 4)."""
    intervals = [c for c in axis.collections if isinstance(c, LineCollection)]
    out = []
    for line, collection in zip(axis.lines[1:], intervals, strict=True):
        ends = [[part[0, 0], part[-1, 0]] for part in collection.get_segments()]
        out.append(np.column_stack([line.get_ydata(), line.get_xdata(), np.array(ends)]))
    return out


@pytest.mark.parametrize("options", [{}, {"level": 0.9}, {"ddf": "normal"}])
def test_one_model(machines: dict[str, Model], options: dict[str, Any]) -> None:
    """Points and intervals are those of the table; the intercept is left out."""
    model = machines["slopes"]
    axis = plots.coefficients(model, **options)
    assert names(axis) == ["Machine[T.B]", "Machine[T.C]"]
    table = model.coef_table(**options).loc[names(axis), ["estimate", "conf_low", "conf_high"]]
    (found,) = series(axis)
    np.testing.assert_array_equal(found[:, 1:], table)
    np.testing.assert_array_equal(found[:, 0], [0, 1])
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first is above
    assert axis.get_legend() is None


def test_several_models(machines: dict[str, Model]) -> None:
    """Each has its own colour, its name in the legend, and a place nearer to its own name."""
    axis = plots.coefficients(machines, intercept=True)
    assert names(axis)[0] == "Intercept"
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(machines)
    assert len({line.get_color() for line in axis.lines[1:]}) == 2
    for found, model in zip(series(axis), machines.values(), strict=True):
        np.testing.assert_array_equal(found[:, 1], model.fixef)
        assert (np.abs(found[:, 0] - np.arange(3)) < 0.3).all()


def test_coefficients_that_one_model_lacks(sleepstudy: Model) -> None:
    """Rows are those of all models; a model without the coefficient has no point."""
    data = ranef.datasets.load("sleepstudy")
    other = ranef.fit("Reaction ~ Days + I(Days^2) + (1 | Subject)", data)
    axis = plots.coefficients([sleepstudy, other])
    assert names(axis) == ["Days", "I(Days^2)"]
    assert [len(found) for found in series(axis)] == [1, 2]
    legend = axis.get_legend()
    assert legend is not None
    assert "Days | Subject" in legend.get_texts()[0].get_text().replace("\n", " ")


def test_the_same_formula_twice(sleepstudy: Model) -> None:
    """Fits that differ in something else are numbered, not merged."""
    axis = plots.coefficients([sleepstudy, sleepstudy])
    assert len(series(axis)) == 2


def test_terms(machines: dict[str, Model]) -> None:
    """Named coefficients stand in the order in which they are named."""
    axis = plots.coefficients(machines, terms=["Machine[T.C]", "Intercept"])
    assert names(axis) == ["Machine[T.C]", "Intercept"]
    np.testing.assert_array_equal(series(axis)[0][:, 0] < series(axis)[1][:, 0], True)


def test_an_intercept_alone(rail: Model) -> None:
    """If there is nothing else, the intercept is drawn."""
    assert names(plots.coefficients(rail)) == ["Intercept"]


def test_aliased_coefficients_are_left_out() -> None:
    """A column that others determine has no estimate to draw."""
    data = ranef.datasets.load("sleepstudy")
    with pytest.warns(ranef.errors.RankDeficiencyWarning):
        model = ranef.fit("Reaction ~ Days + I(2 * Days) + (1 | Subject)", data)
    assert names(plots.coefficients(model)) == ["Days"]


@pytest.mark.parametrize("wrong", [None, 3, [], {}, ["model"], {"a": None}])
def test_bad_models(wrong: Any) -> None:
    """What is no model is refused."""
    with pytest.raises(OptionError, match="model"):
        plots.coefficients(wrong)


def test_estimates_without_intervals(sleepstudy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coefficient whose interval does not exist is a point all the same."""
    table = sleepstudy.coef_table()
    table.loc["Days", ["df", "p_value", "conf_low", "conf_high"]] = np.nan
    monkeypatch.setattr(ranef.LinearMixedModel, "coef_table", lambda *arguments: table)
    axis = plots.coefficients(sleepstudy, intercept=True)
    assert names(axis) == ["Intercept", "Days"]
    np.testing.assert_array_equal(axis.lines[1].get_xdata(), sleepstudy.fixef)


def test_flags(sleepstudy: Model) -> None:
    """A text would count as true."""
    with pytest.raises(OptionError, match="intercept must be True or False; got 'yes'"):
        plots.coefficients(sleepstudy, intercept="yes")


def test_bad_terms(sleepstudy: Model) -> None:
    """Coefficients must exist."""
    with pytest.raises(OptionError, match="Did you mean 'Days'"):
        plots.coefficients(sleepstudy, terms="days")
    empty = ranef.fit("travel ~ 0 + (1 | Rail)", ranef.datasets.load("rail"))
    with pytest.raises(OptionError, match="no fixed effects"):
        plots.coefficients(empty)
