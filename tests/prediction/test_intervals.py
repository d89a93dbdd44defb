"""Intervals: what they are made of, and what does not change them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fits
import ranef
from ranef.errors import DataError
from ranef.prediction import predict
from ranef.typing import FloatArray

COLUMNS = ["prediction", "std_error", "df", "lower", "upper"]
# Sums in another order.
ROUNDING = 1e-12


def variance(model: ranef.LinearMixedModel, *arguments: object, **options: object) -> FloatArray:
    """Return squared standard errors of predictions."""
    return predict(model, *arguments, **options)["std_error"].to_numpy() ** 2


def row(**values: object) -> dict[str, object]:
    """Return one row of new data for the models of `fits`."""
    return {"x": 0.7, "z": -0.4, "g": 3, "h": "q", "s": 1, "o": 0.0, **values}


@pytest.mark.parametrize("name", fits.MODELS)
@pytest.mark.parametrize("kind", ["confidence", "prediction"])
def test_every_model(name: str, kind: str) -> None:
    """Intervals are t intervals around the fitted values, for every model and both kinds."""
    from scipy import stats

    model = fits.fitted(name)
    got = predict(model, interval=kind, level=0.8)
    assert got.columns.tolist() == COLUMNS
    np.testing.assert_allclose(got["prediction"], model.fitted, rtol=1e-11)
    assert (got["std_error"] > 0).all() and (got["df"] >= 1).all()
    half = stats.t.ppf(0.9, got["df"]) * got["std_error"]
    np.testing.assert_allclose(got["upper"] - got["prediction"], half, rtol=1e-9)
    np.testing.assert_allclose(got["prediction"] - got["lower"], half, rtol=1e-9)


def test_an_observation_has_residual_variance() -> None:
    """Var(observation) = Var(mean) + sigma^2 / w, with the weights of the fit or of new data."""
    model, data = fits.fitted("weights and offset"), fits.data()
    mean = variance(model, interval="confidence")
    want = mean + model.sigma**2 / model.design.weights
    np.testing.assert_allclose(variance(model, interval="prediction"), want, rtol=ROUNDING)
    got = variance(model, data, interval="prediction")
    np.testing.assert_allclose(got, want, rtol=1e-10)  # columns from new data
    mean = variance(model, data, interval="confidence")
    got = variance(model, data.drop(columns="w"), interval="prediction")
    np.testing.assert_allclose(got, mean + model.sigma**2, rtol=ROUNDING)


def test_weights_must_be_positive() -> None:
    """As in the fit."""
    with pytest.raises(DataError, match="weights 'w' must be positive"):
        predict(fits.fitted("weights and offset"), row(w=0.0), interval="prediction")


def test_a_new_group_has_the_variance_of_groups() -> None:
    """Var(x'beta) + z'Sigma z; the covariance matrices are those that the model prints."""
    model = fits.fitted("slopes")
    z = np.array([1.0, 0.7])
    between = z @ model.VarCorr.cov["g"] @ z
    alone = variance(model, row(), "none", interval="confidence")
    options = {"new_levels": "population", "theta_uncertainty": False}
    got = variance(model, row(g=99), interval="confidence", **options)
    np.testing.assert_allclose(got, alone + between, rtol=1e-10)


def test_an_observation_of_groups_that_were_not_asked_for() -> None:
    """Its groups are unknown, and their variance counts as that of new groups does."""
    model = fits.fitted("crossed")
    options = {"new_levels": "population", "interval": "prediction"}
    nobody = predict(model, row(g=99, h="new"), theta_uncertainty=False, **options)
    got = predict(model, {"x": 0.7, "z": -0.4}, "none", **options)
    np.testing.assert_allclose(got, nobody, rtol=1e-10)
    new_h = predict(model, row(h="new"), **options)
    np.testing.assert_allclose(predict(model, row(), "g", **options), new_h, rtol=1e-10)
    confidence = variance(model, row(), "g", interval="confidence")
    assert confidence < new_h["std_error"].item() ** 2 - model.sigma**2


def test_what_is_not_known_widens() -> None:
    """Known group, new group; mean, observation; theta as if known, estimated."""
    model = fits.fitted("slopes")
    options = {"new_levels": "population", "interval": "confidence"}
    known, new = (variance(model, row(g=g), **options) for g in (3, 99))
    assert known < new
    assert variance(model, row(), theta_uncertainty=False, **options) < known
    assert known < variance(model, row(), interval="prediction")


def test_a_point_without_variance() -> None:
    """Where nothing is estimated the interval is the point, and has no degrees of freedom."""
    model = fits.fitted("one column")
    found = predict(model, {"x": 0.0}, "none", interval="confidence").iloc[0]
    assert found[["prediction", "std_error", "lower", "upper"]].tolist() == [0, 0, 0, 0]
    assert np.isnan(found["df"])


def test_normal_quantiles() -> None:
    """ddf='normal' has infinite degrees of freedom and the same standard errors."""
    model = fits.fitted("crossed")
    t, normal = (
        predict(model, row(), interval="confidence", ddf=d) for d in ("satterthwaite", "normal")
    )
    assert np.isinf(normal["df"]).all()
    np.testing.assert_array_equal(normal["std_error"], t["std_error"])
    assert (normal["upper"] < t["upper"]).all()


@given(st.lists(st.integers(0, 599), min_size=1, max_size=12))
def test_rows_do_not_know_each_other(chosen: list[int]) -> None:
    """Rows in any order and number get what they get among all."""
    model, data = fits.fitted("crossed"), fits.data()
    got = predict(model, data.iloc[chosen], interval="prediction")
    want = predict(model, interval="prediction").iloc[chosen]
    # matrix products of other shapes; differences quotients magnify rounding by 1e5
    pd.testing.assert_frame_equal(got, want, rtol=1e-9)


def test_missing_rows_without_random_effects() -> None:
    """Every method leaves rows with missing values out."""
    new = {"x": [0.5, None], "z": [1.0, 1.0]}
    for ddf in ("satterthwaite", "kenward-roger", "normal"):
        model = fits.fitted("slopes") if ddf == "kenward-roger" else fits.fitted("crossed")
        got = predict(model, new, "none", interval="confidence", ddf=ddf)
        assert got.notna().all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize("name", ["crossed", "weights and offset", "factors"])
def test_order_of_the_data(name: str) -> None:
    """Neither the order of the rows nor that of the levels of groups and factors matters."""
    data = fits.data()
    shuffled = data.sample(frac=1, random_state=1)
    shuffled["h"] = pd.Categorical(shuffled["h"], categories=list("tqsrp"))
    shuffled["g"] = pd.Categorical(shuffled["g"], categories=list(range(20))[::-1])
    shuffled["f"] = shuffled["f"].cat.reorder_categories(["c", "a", "b"])
    new = data.iloc[:8]
    want = predict(fits.fit(name, data), new, interval="prediction")
    got = predict(fits.fit(name, shuffled), new, interval="prediction")
    # two optimisations, each within 1e-8 deviance units
    np.testing.assert_allclose(got, want, rtol=1e-4)
    np.testing.assert_allclose(got["prediction"], want["prediction"], rtol=1e-6, atol=1e-6)


@given(st.floats(1e-6, 1e6), st.floats(-1e4, 1e4))
def test_units(scale: float, shift: float) -> None:
    """Predictions and intervals follow the units and the origin of the response."""
    data = fits.data()
    new = data.iloc[:5]
    want = predict(fits.fitted("slopes"), new, interval="prediction")
    model = ranef.fit("y ~ x + (x | g)", data.assign(y=scale * (data["y"] + shift)))
    got = predict(model, new, interval="prediction")
    np.testing.assert_allclose(got["std_error"], scale * want["std_error"], rtol=1e-6)
    np.testing.assert_allclose(got["df"], want["df"], rtol=1e-5)
    tolerance = 1e-6 * scale * max(1.0, abs(shift))
    np.testing.assert_allclose(
        got["lower"], scale * (want["lower"] + shift), rtol=0, atol=tolerance
    )
