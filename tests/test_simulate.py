"""Simulated responses: their distribution, their rows, and the models fitted to them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import (
    DataError,
    NoRowsError,
    OptionError,
    RanefWarning,
    UnknownVariableError,
)

FORMULA = "Reaction ~ Days + (Days | Subject)"
NEW = {
    "Days": [0.0, 1.0, 2.0, 3.0, 4.0, np.nan],
    "Subject": ["308", "308", "new", "new", None, "308"],
    "w": [1.0, 2.0, 4.0, 1.0, 1.0, 1.0],
}


def sleepstudy() -> pd.DataFrame:
    """Return the data with weights."""
    data = ranef.datasets.load("sleepstudy")
    return data.assign(w=1.0 + np.arange(len(data)) % 3)


@pytest.fixture(scope="module")
def model() -> ranef.LinearMixedModel:
    """Return a weighted model."""
    return ranef.fit(FORMULA, sleepstudy(), weights="w")


def covariance(model: ranef.LinearMixedModel, days: Any, subjects: Any, weights: Any) -> Any:
    """Return sigma^2 / w on the diagonal, plus z'Sigma z within subjects."""
    Z = np.column_stack([np.ones(len(days)), days])
    Sigma = model.VarCorr.cov["Subject"].to_numpy()
    same = np.asarray(subjects)[:, None] == np.asarray(subjects)
    return same * (Z @ Sigma @ Z.T) + np.diag(model.sigma**2 / np.asarray(weights))


def check_moments(draws: pd.DataFrame, mean: Any, cov: Any) -> None:
    """Compare with normal theory; five standard errors, so that chance almost never fails."""
    n, values = draws.shape[1], draws.to_numpy()
    off = (values.mean(axis=1) - mean) / np.sqrt(np.diag(cov) / n)
    assert np.abs(off).max() < 5
    found = np.cov(values)
    error = np.sqrt((cov**2 + np.outer(np.diag(cov), np.diag(cov))) / n)
    assert (np.abs(found - cov) / error).max() < 5


def test_new_effects(model: ranef.LinearMixedModel) -> None:
    """Rows of the fit: mean X beta, covariance Z Sigma Z' + sigma^2 / w."""
    data = sleepstudy()[:12]  # two subjects
    draws = model.simulate(4000, seed=1)[:12]

    mean = model.predict(random="none")[:12]
    check_moments(draws, mean, covariance(model, data["Days"], data["Subject"], data["w"]))


def test_fitted_effects(model: ranef.LinearMixedModel) -> None:
    """Rows of the fit with the modes kept: mean fitted values, independent residuals."""
    draws = model.simulate(4000, seed=2, random="fitted")[:12]

    check_moments(draws, model.fitted[:12], np.diag(model.sigma**2 / sleepstudy()["w"][:12]))


def test_new_data(model: ranef.LinearMixedModel) -> None:
    """New rows: all groups new, in the same order as the data; weights come from their column."""
    draws = model.simulate(6000, seed=3, newdata=NEW)

    assert draws[4:].isna().all(axis=None)
    cov = covariance(model, NEW["Days"][:4], NEW["Subject"][:4], NEW["w"][:4])
    check_moments(draws[:4], model.fixef.to_numpy() @ [[1] * 4, NEW["Days"][:4]], cov)


def test_new_data_with_known_groups(model: ranef.LinearMixedModel) -> None:
    """With modes kept, only groups that the model does not know vary."""
    draws = model.simulate(6000, seed=4, newdata=NEW, random="fitted")

    assert draws[4:].isna().all(axis=None)
    cov = covariance(model, NEW["Days"][:4], NEW["Subject"][:4], NEW["w"][:4])
    cov[:2] = cov[:, :2] = 0.0
    cov[[0, 1], [0, 1]] = model.sigma**2 / np.array(NEW["w"][:2])
    mean = model.predict(NEW, new_levels="population")[:4]
    check_moments(draws[:4], mean, cov)


def test_crossed_groups_offsets_and_index() -> None:
    """Several factors, an offset, and the caller's labels."""
    data = ranef.datasets.load("penicillin").assign(o=1.0)
    data.index = [f"r{i}" for i in range(len(data))]
    model = ranef.fit("diameter ~ 1 + offset(o) + (1 | plate) + (1 | sample)", data)

    draws = model.simulate(50, seed=1, random="fitted", newdata=data)

    assert draws.index.equals(data.index)
    pd.testing.assert_frame_equal(draws, model.simulate(50, seed=1, random="fitted"))


def test_seeds(model: ranef.LinearMixedModel) -> None:
    """The same seed gives the same responses, and more of them do not change the first."""
    few, many = (model.simulate(n, seed=7) for n in (2, 5))

    pd.testing.assert_frame_equal(few, many[["sim_1", "sim_2"]])
    assert not few.equals(model.simulate(2, seed=8))


@pytest.mark.parametrize("formula", [FORMULA, FORMULA.replace("Reaction", "log(Reaction)")])
def test_a_refitted_model_is_a_fitted_model(formula: str) -> None:
    """Everything that fits again (drop1, ranova, R2 by group, update) takes the new response."""
    data = ranef.datasets.load("sleepstudy")
    y = ranef.fit(formula, data).simulate(seed=5)["sim_1"]
    refitted = ranef.fit(formula, data).refit(y)
    column = np.exp(y) if "log" in formula else y
    fresh = ranef.fit(formula, data.assign(Reaction=column))

    # tests of the two fits agree as closely as their criteria, about 1e-8
    assert refitted.objective == pytest.approx(fresh.objective, abs=1e-6)
    for table in ("drop1", "ranova"):
        pd.testing.assert_frame_equal(
            getattr(refitted, table)().to_frame(), getattr(fresh, table)().to_frame(), rtol=1e-4
        )
    pd.testing.assert_series_equal(
        refitted.r2(by_group=True).by_group, fresh.r2(by_group=True).by_group, atol=1e-5
    )
    template = ". ~ . - (Days | Subject) + (1 | Subject)"
    assert refitted.update(template).objective == pytest.approx(
        fresh.update(template).objective, abs=1e-6
    )


def test_another_response_of_a_refitted_model() -> None:
    """A transformation that is added later is one of the new response."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit(FORMULA, data)
    y = model.simulate(seed=5)["sim_1"]
    fresh = ranef.fit(FORMULA.replace("Reaction", "log(Reaction)"), data.assign(Reaction=y))

    assert model.refit(y).update("log(.) ~ .").objective == pytest.approx(fresh.objective, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, OptionError, "n must be a positive whole number"),
        ({"n": 2.5}, OptionError, "n must be a positive whole number"),
        ({"seed": "abc"}, OptionError, "seed must be a whole number"),
        ({"random": "all"}, OptionError, "random must be one of 'new', 'fitted'"),
        ({"newdata": {"Subject": ["308"]}}, UnknownVariableError, "no column 'Days'"),
        ({"newdata": {"Days": [1.0]}}, UnknownVariableError, "no column 'Subject'"),
        ({"newdata": {**NEW, "w": [0.0] * 6}}, DataError, "must be positive numbers"),
        ({"newdata": 5}, DataError, "data must be"),
    ],
)
def test_bad_input(
    model: ranef.LinearMixedModel,
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    """Errors say what is wrong."""
    with pytest.raises(error) as caught:
        model.simulate(**arguments)
    assert message in str(caught.value)


@pytest.mark.filterwarnings("ignore:fixed effects are rank deficient")
def test_dropped_columns() -> None:
    """New rows may ask for what the data did not determine; rows of the fit cannot."""
    model = ranef.fit("Reaction ~ Days + I(2 * Days) + (1 | Subject)", sleepstudy())

    assert model.simulate().shape == (180, 1)
    with pytest.raises(OptionError, match=r"leave I\(2 \* Days\) out of the formula"):
        model.simulate(newdata=sleepstudy())


def test_streamed_data() -> None:
    """Without rows there is nothing to simulate, but for new rows."""
    data = sleepstudy()
    model = ranef.fit(FORMULA, [data[:90], data[90:]])

    with pytest.raises(NoRowsError):
        model.simulate()
    assert model.simulate(2, newdata=data).shape == (180, 2)


@pytest.mark.parametrize(
    ("options", "left_out", "message"),
    [
        ({"offset": np.arange(180.0)}, (), "offset of the fit was given as an array"),
        ({"weights": np.arange(1.0, 181.0)}, (), "weights of the fit were given as an array"),
        ({"weights": "w"}, ("w",), "no column 'w', which held the weights"),
    ],
)
def test_warnings_about_new_data(
    options: dict[str, Any], left_out: tuple[str, ...], message: str
) -> None:
    """What new rows do not tell is said once, where the caller stands; the rows of the fit do."""
    data = sleepstudy()
    model = ranef.fit(FORMULA, data, **options)
    with pytest.warns(RanefWarning, match=message) as caught:
        model.simulate(1, seed=1, newdata=data.drop(columns=list(left_out)))
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.simulate(1, seed=1)


def test_no_warnings_about_columns() -> None:
    """Weights and offsets that are columns are found in new data."""
    data = sleepstudy().assign(o=1.0)
    model = ranef.fit(FORMULA, data, weights="w", offset="o")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.simulate(1, seed=1, newdata=data)


def test_streamed_data_with_weights_and_offsets() -> None:
    """Columns are known by name where no rows are kept: the same responses, the same intervals."""
    data = sleepstudy().assign(o=1.0)
    rows = ranef.fit(FORMULA, data, weights="w", offset="o")
    streamed = ranef.fit(FORMULA, [data[:90], data[90:]], weights="w", offset="o")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [m.simulate(2, seed=1, newdata=data, random="fitted") for m in (streamed, rows)]
        ends = [m.predict(data, interval="prediction") for m in (streamed, rows)]
    # the same optimum, summed up in another order
    np.testing.assert_allclose(*found, rtol=1e-6)
    np.testing.assert_allclose(*ends, rtol=1e-5)
