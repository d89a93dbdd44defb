"""Information criteria: R's AIC and BIC, AICc by its formula, and what may be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fits
import ranef
from bank import case
from ranef.errors import DataError, OptionError
from ranef.inference.caic import caic
from ranef.inference.information_criteria import information

SLEEP = ranef.datasets.load("sleepstudy")


@pytest.mark.parametrize("name", ["sleep_slope_ml", "sleep_int", "p_wtoff", "pastes_ml"])
def test_values_are_those_of_r(name: str) -> None:
    """AIC and BIC of lme4, and Hurvich and Tsai's correction."""
    reference = case(name)
    results = reference.results
    model = ranef.fit(reference.formula, reference.frame(), **reference.options())
    row = information(model).to_frame().loc["m1"]
    k, n = results["logLik"]["df"], results["n"]

    # -2 log-likelihoods agree to 1e-7
    assert row["npar"] == k
    assert row["loglik"] == pytest.approx(results["logLik"]["value"], abs=1e-6)
    assert row["aic"] == pytest.approx(results["AIC"], abs=1e-6)
    assert row["bic"] == pytest.approx(results["BIC"], abs=1e-6)
    assert row["aicc"] == pytest.approx(results["AIC"] + 2 * k * (k + 1) / (n - k - 1), abs=1e-6)


def test_small_samples_have_no_aicc() -> None:
    """With as many parameters as observations the correction is infinite."""
    data = {"y": [1.0, 2.0, 1.5, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0, 5.0], "g": list("aabbb")}
    model = ranef.fit("y ~ x + (1 | g)", data, reml=False)

    assert np.isinf(information(model).to_frame()["aicc"].item())


def test_conditional_on_request() -> None:
    """A column more, from `caic`."""
    model = fits.fitted("slopes")

    assert "caic" not in information(model).to_frame()
    assert information(model, conditional=True).to_frame()["caic"].item() == caic(model).caic


def test_reml_fits_with_other_fixed_effects_cannot_be_compared() -> None:
    """The table says so; with the same fixed effects it says what it may be used for."""
    slopes = ranef.fit("Reaction ~ Days + (Days | Subject)", SLEEP)
    other = ranef.fit("Reaction ~ 1 + (Days | Subject)", SLEEP)
    rescaled = ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP.assign(Days=SLEEP["Days"] / 7))
    same = ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP)

    assert information(slopes, same).comparable
    assert not information(slopes, other).comparable
    assert not information(slopes, rescaled).comparable  # the criterion depends on the coding
    assert "cannot be compared" in str(information(slopes, other))
    assert "compare only with models" in str(information(slopes))


def test_maximum_likelihood_compares_everything() -> None:
    """No note, and names of one's own."""
    models = [
        ranef.fit(f"Reaction ~ {fixed} + (Days | Subject)", SLEEP, reml=False)
        for fixed in ("Days", "1")
    ]

    assert str(information(*models, names=["linear", "flat"])) == (
        "Information criteria of models fit by maximum likelihood\n"
        "linear: Reaction ~ Days + (Days | Subject)\n"
        "flat: Reaction ~ 1 + (Days | Subject)\n"
        "\n"
        "       npar logLik    AIC   AICc    BIC\n"
        "linear    6 -876.0 1763.9 1764.4 1783.1\n"
        "flat      5 -887.7 1785.5 1785.8 1801.4"
    )


def test_what_is_refused() -> None:
    """No model, other data, mixed criteria, wrong names."""
    reml = ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP)
    ml = ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP, reml=False)
    fewer = ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP.iloc[:-1])

    with pytest.raises(OptionError, match="at least one"):
        information()
    with pytest.raises(OptionError, match="reml=False"):
        information(reml, ml)
    with pytest.raises(DataError, match="180 rows and m2 to 179"):
        information(reml, fewer)
    with pytest.raises(OptionError, match="one name per model, 1"):
        information(reml, names=["a", "b"])


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ((3,), {}, "information needs models fitted by ranef.fit; got int"),
        (([3, 4],), {}, r"got list\. Give models one by one: information\(\*models\)"),
        ((), {"conditional": "x"}, "conditional must be True or False; got 'x'"),
        ((), {"conditional": None}, "conditional must be True or False; got None"),
        ((), {"conditional": 1}, "conditional must be True or False; got 1"),
        ((), {"names": 3}, "names must have one name per model, 1; got 3"),
    ],
)
def test_bad_arguments(models: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    """What is no model, no flag or no list of names is refused."""
    given = models or (ranef.fit("Reaction ~ Days + (1 | Subject)", SLEEP),)
    with pytest.raises(OptionError, match=message):
        information(*given, **options)
