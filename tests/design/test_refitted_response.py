"""After `refit` of a transformed response the variables of the old one are not used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import UnknownVariableError

Model = ranef.LinearMixedModel


def data() -> pd.DataFrame:
    """Return positive responses of groups, and a variable that stands on both sides."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 6)
    x = rng.uniform(1.0, 4.0, len(g))
    y = np.exp(0.3 * x + rng.standard_normal(12)[g] + 0.5 * rng.standard_normal(len(g)))
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.fixture(scope="module")
def first() -> Model:
    """Return a model of log(y)."""
    return ranef.fit("log(y) ~ x + (1 | g)", data())


@pytest.fixture(scope="module")
def again(first: Model) -> Model:
    """Return the same model of other values of log(y)."""
    return first.refit(first.y[::-1].copy())


@pytest.mark.parametrize("formula", ["sqrt(. + 9) ~ .", "y ~ .", ". ~ . + y", ". ~ . + (y | g)"])
def test_update_refuses_the_old_variable(first: Model, again: Model, formula: str) -> None:
    """The y of the data is not that of the new response; the first model has it."""
    with pytest.raises(UnknownVariableError, match=r"refitted .* 'y' .*data="):
        again.update(formula)
    assert "y" in first.update("y ~ .").design.variables


def test_update_keeps_the_new_response(again: Model) -> None:
    """Where the response stays, or is another variable, nothing is refused."""
    smaller = again.update(". ~ . - x")
    np.testing.assert_array_equal(smaller.y, again.y)
    with pytest.raises(UnknownVariableError, match="refitted"):  # also at second hand
        smaller.update("y ~ .")
    np.testing.assert_array_equal(again.update("x ~ 1 + (1 | g)").y, data()["x"])


def test_same_values_are_no_other_response(first: Model) -> None:
    """A refit to the same values still knows its variables."""
    same = first.refit(first.y)
    assert list(same.augment().columns[:3]) == ["y", "x", "g"]
    assert same.update("y ~ .").formula.response.label == "y"


def test_augment_shows_the_new_response(first: Model, again: Model, tmp_path: Path) -> None:
    """It stands under its label, also in a model that was saved; the old variable is gone."""
    assert list(first.augment().columns[:3]) == ["y", "x", "g"]
    again.save(tmp_path / "m.ranef")
    for model in (again, ranef.load(tmp_path / "m.ranef")):
        table = model.augment()
        assert list(table.columns[:3]) == ["log(y)", "x", "g"]
        np.testing.assert_array_equal(table["log(y)"], again.y)
        # y - fitted, computed twice
        np.testing.assert_allclose(table["log(y)"] - table["fitted"], table["resid"], atol=1e-12)


def test_variables_of_predictors_stay() -> None:
    """A variable that the predictors use, too, is shown and may be used."""
    model = ranef.fit("I(y / x) ~ x + (1 | g)", data())
    other = model.refit(model.y + 1.0)
    assert list(other.augment().columns[:3]) == ["I(y/x)", "x", "g"]
    assert other.update(". ~ . + I(x^2)").fixef.index[-1] == "I(x^2)"


def test_a_plain_response_is_replaced() -> None:
    """A response without a transformation is a column: the new values take its place."""
    model = ranef.fit("y ~ x + (1 | g)", data())
    other = model.refit(2.0 * model.y)
    np.testing.assert_array_equal(other.augment()["y"], other.y)
    np.testing.assert_allclose(other.update("log(.) ~ .").y, np.log(other.y), rtol=1e-15)


def test_names_of_augment_are_different() -> None:
    """Variables called like its columns, with a dot or without, leave every name unique."""
    frame = data().assign(fitted=1.0 + np.arange(72) % 5)
    frame[".fitted"] = np.arange(72) % 7
    table = ranef.fit("y ~ fitted + `.fitted` + (1 | g)", frame).augment()
    assert table.columns.is_unique
    np.testing.assert_array_equal(table["fitted"], frame["fitted"])
    assert "..fitted" in table
