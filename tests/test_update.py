"""`update`: the model that results is the one that `ranef.fit` would have made."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import (
    DataError,
    FormulaError,
    NoRowsError,
    OptionError,
    RankDeficiencyWarning,
    UnknownVariableError,
)

FORMULA = "Reaction ~ Days + (Days | Subject)"


def sleepstudy() -> pd.DataFrame:
    """Return the data with more columns."""
    data = ranef.datasets.load("sleepstudy")
    i = np.arange(len(data))
    return data.assign(z=i % 7 - 3.0, w=1.0 + i % 3, o=i / 10.0)


@pytest.fixture(scope="module")
def model() -> ranef.LinearMixedModel:
    """Return a model of the sleepstudy data."""
    return ranef.fit(FORMULA, sleepstudy())


# lme4 1.1-31: update(lmer(Reaction ~ Days + (Days | Subject), sleepstudy), ...)
R = [
    ({"formula": ". ~ . - (Days | Subject) + (1 | Subject)"}, 1786.46508539),
    ({"reml": False}, 1751.939344),
    ({"formula": "log(.) ~ ."}, -298.4811711),
    ({"formula": ". ~ . + I(Days^2)"}, 1742.8156),
    ({"data": sleepstudy().query("Days > 1")}, 1404.094365),
    ({"weights": 1.0 + sleepstudy()["Days"]}, 1791.685833),
]


@pytest.mark.parametrize(("changes", "criterion"), R)
def test_as_lme4(model: ranef.LinearMixedModel, changes: dict[str, Any], criterion: float) -> None:
    """The criterion is that of R's update; lme4 stops within 1e-4 of the optimum."""
    assert model.update(**changes).objective == pytest.approx(criterion, abs=2e-4)


@pytest.mark.parametrize(
    ("template", "formula", "arguments"),
    [
        (". ~ . - z - offset(o)", FORMULA, {"weights": "w", "offset": "z"}),
        (". ~ . - z", f"{FORMULA} + offset(o)", {"weights": "w", "offset": "z"}),
        (". ~ . + I(z^2)", f"{FORMULA} + z + I(z^2) + offset(o)", {"weights": "w"}),
        ("log(.) ~ . - offset(o)", FORMULA.replace("Reaction", "log(Reaction)") + "+ z", {}),
    ],
)
def test_same_as_a_new_fit(template: str, formula: str, arguments: dict[str, Any]) -> None:
    """Weights and offset stay, whatever the formula does with its own offset."""
    data = sleepstudy()
    old = ranef.fit(f"{FORMULA} + z + offset(o)", data, **arguments)
    new = ranef.fit(formula, data, **arguments)

    updated = old.update(template)

    # the same numbers, perhaps in another order of columns
    assert updated.objective == pytest.approx(new.objective, rel=1e-10)
    # estimates of both searches agree to the root of their tolerance, 1e-8 in the criterion
    np.testing.assert_allclose(updated.fixef[new.fixef.index], new.fixef, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("formula", [FORMULA, f"{FORMULA} + offset(o)"])
@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, {"weights": "w", "offset": "z"}),
        ({"weights": None}, {"offset": "z"}),
        ({"offset": None}, {"weights": "w"}),
        ({"offset": "w"}, {"weights": "w", "offset": "w"}),
    ],
)
def test_arrays_of_weights_and_offsets(
    formula: str, changes: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """They stay, are taken away or replaced; it does not matter how they were given."""
    data = sleepstudy()
    old = ranef.fit(formula, data, weights=data["w"].to_numpy(), offset=data["z"].to_numpy())
    with_columns = ranef.fit(f"{formula} + w", data, weights="w", offset="z")
    new = ranef.fit(formula, data, **arguments)

    if "w" not in changes.values():  # an array has no name
        # subtracting an offset from a sum leaves rounding errors
        assert old.update(**changes).objective == pytest.approx(new.objective, rel=1e-12)
    updated = with_columns.update(". ~ . - w", **changes)
    assert updated.objective == pytest.approx(new.objective, rel=1e-12)


def test_there_and_back(model: ranef.LinearMixedModel) -> None:
    """What was taken out can be put back: the model keeps its variables."""
    without = model.update(". ~ . - Days - (Days | Subject) + (1 | Subject)")

    again = without.update(". ~ . + Days - (1 | Subject) + (Days | Subject)")

    assert again.objective == pytest.approx(model.objective, rel=1e-12)
    assert pickle.loads(pickle.dumps(without)).update(". ~ . + Days").nobs == model.nobs


def test_rows_and_transforms_stay() -> None:
    """Without data, rows are those of the fit, and scale() keeps its mean."""
    data = sleepstudy()
    data.loc[[0, 5, 9], "z"] = np.nan
    old = ranef.fit("Reaction ~ scale(Days) + z + (1 | Subject)", data)

    new = old.update(". ~ . - z")

    assert new.nobs == old.nobs == 177
    assert new.design.dropped == old.design.dropped
    np.testing.assert_array_equal(new.X[:, 1], old.X[:, 1])
    # with the data again, three more rows are complete
    assert old.update(". ~ . - z", data).nobs == 180


def test_contrasts_and_context() -> None:
    """Codings stay as far as their factors do; functions of the caller stay and can be added."""
    cake = ranef.datasets.load("cake")
    old = ranef.fit(
        "angle ~ recipe + half(temp) + (1 | recipe:replicate)",
        cake,
        contrasts={"recipe": "sum"},
        context={"half": lambda x: x / 2},
    )

    assert list(old.update(". ~ . - half(temp)").fixef.index[1:]) == ["recipe[S.A]", "recipe[S.B]"]
    assert list(old.update(". ~ . - recipe").fixef.index[1:]) == ["half(temp)"]
    assert list(old.update(contrasts={}).fixef.index[1:3]) == ["recipe[T.B]", "recipe[T.C]"]
    assert list(old.update(data=cake).fixef.index) == list(old.fixef.index)
    more = old.update(". ~ . + third(temp)", context={"third": lambda x: x**2 / 3})
    assert "third(temp)" in more.fixef.index


def test_warnings_are_those_of_a_fit(model: ranef.LinearMixedModel) -> None:
    """Dropped columns are announced once, at the line of the caller."""
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        model.update(". ~ . + I(2 * Days)")

    assert [w.category for w in issued] == [RankDeficiencyWarning]
    assert issued[0].filename == __file__


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"formula": ". ~ . + z"}, UnknownVariableError, "does not hold 'z': pass the data again"),
        ({"formula": ". ~ . + (1 | z)"}, UnknownVariableError, "does not hold 'z'"),
        ({"formula": ". ~ . + half(Days)"}, FormulaError, "unknown function 'half'"),
        ({"formula": ". ~ . - z"}, FormulaError, "no such term to subtract"),
        ({"formula": 1}, FormulaError, "a formula is a string"),
        ({"formula": ". ~ . + lag(Days)"}, DataError, "can use 179 of the 180 rows"),
        ({"reml": "yes"}, OptionError, "reml must be True, False or None"),
        ({"weights": "w"}, UnknownVariableError, "no column 'w'"),
        ({"weights": [1.0, 2.0]}, DataError, "weights has 2 values; the data have 180 rows"),
        ({"weights": -np.ones(180)}, DataError, "weights must be positive"),
        ({"offset": "abc"}, UnknownVariableError, "no column 'abc'"),
        ({"contrasts": {"Days": "sum"}}, OptionError, "not a factor"),
        ({"context": 3}, OptionError, "context must be a dict"),
        ({"optimizer": "sgd"}, OptionError, "optimizer must be one of"),
        ({"na_action": "omit"}, OptionError, "na_action must be one of"),
        ({"control": {}}, OptionError, "control must be a ranef.Control"),
        ({"data": 3}, DataError, "data must be"),
        ({"data": {"Reaction": [1.0]}}, UnknownVariableError, "no column 'Days'"),
    ],
)
def test_bad_input(
    model: ranef.LinearMixedModel, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Errors say what is wrong, and what to do."""
    with pytest.raises(error) as caught:
        model.update(**changes)
    assert message in str(caught.value)


def test_other_data_need_to_be_told_about_arrays() -> None:
    """Weights and offsets that were arrays say nothing about other rows."""
    data = sleepstudy()
    by_array = ranef.fit(
        FORMULA, data, weights=np.linspace(1, 2, 180), offset=np.linspace(0, 1, 180)
    )
    for arguments, missing in (({}, "weights"), ({"weights": "w"}, "offset")):
        with pytest.raises(OptionError, match=f"which column of the new data has the {missing}"):
            by_array.update(data=data, **arguments)
    assert by_array.update(data=data, weights="w", offset=None).nobs == 180
    by_column = ranef.fit(FORMULA, data, weights="w", offset="z")
    fresh = ranef.fit(FORMULA, data[:100], weights="w", offset="z")
    assert by_column.update(data=data[:100]).objective == fresh.objective


def test_streamed_data() -> None:
    """A model without rows needs the data; the error says so."""
    data = sleepstudy()
    streamed = ranef.fit(FORMULA, [data[:90], data[90:]])

    with pytest.raises(NoRowsError, match="pass data= to update it"):
        streamed.update(reml=False)
    again = streamed.update(". ~ . - (Days | Subject) + (1 | Subject)", data)
    assert again.objective == pytest.approx(1786.46508539, abs=1e-5)


def test_streamed_data_with_weights() -> None:
    """The column of the weights is known by its name, so that other data are weighted too."""
    data = sleepstudy()
    streamed = ranef.fit(FORMULA, [data[:90], data[90:]], weights="w")
    again = streamed.update("log(.) ~ .", data)
    fresh = ranef.fit("log(Reaction) ~ Days + (Days | Subject)", data, weights="w")
    assert again.objective == pytest.approx(fresh.objective, abs=1e-9)
    plain = streamed.update(". ~ .", data, weights=None)
    assert plain.objective == pytest.approx(1743.62827196, abs=1e-7)
