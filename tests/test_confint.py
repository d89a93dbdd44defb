"""Intervals of all parameters: R's numbers for each method, rows and names, honest boundaries.

Where the likelihood has its say (``profile``) the oracle is lme4's own profile on a fine grid; its
limits are read off an interpolating spline, so that they are good to about 2e-6 of an interval's
width.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ranef
from bank import Case, case, cases
from fits import fit, fitted
from ranef.errors import OptionError, UnknownVariableError
from ranef.inference.confint import confint
from ranef.inference.variance_errors import variance_errors

PROFILED = [case for case in cases() if "fine" in case.results.get("profile_ci", {})]
WITH_WALD = [case for case in cases() if "lower" in case.results.get("wald", {})]

pytestmark = pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")


def model_of(case: Case) -> ranef.LinearMixedModel:
    """Fit a reference case."""
    return ranef.fit(case.formula, case.frame(), **case.options())


def few(method: str) -> dict[str, int]:
    """Return options for a quick bootstrap; the other methods draw nothing."""
    return {"n": 20, "seed": 1} if method == "bootstrap" else {}


def translated(case: Case, r_names: list[str]) -> list[str]:
    """Return ranef's names of lme4's parameters."""
    fixed = [name for name in r_names if "|" not in name and name != "sigma"]
    ours = dict(zip(fixed, case.columns(fixed), strict=True))
    out = []
    for name in r_names:
        if "|" in name:
            effect, _, group = name.partition("|")
            effect = effect.replace("(Intercept)", "Intercept")
            out.append(f"{effect}|{case.group(group)}")
        else:
            out.append(ours.get(name, name))
    return out


@pytest.mark.parametrize("case", PROFILED, ids=str)
@pytest.mark.parametrize(("level", "suffix"), [(0.95, ""), (0.9, "90")])
def test_profile_intervals_are_those_of_lme4(case: Case, level: float, suffix: str) -> None:
    """Every limit agrees, for fits by REML and by maximum likelihood."""
    fine = case.results["profile_ci"]["fine"]
    expected = pd.DataFrame(
        {"lower": fine[f"lower{suffix}"], "upper": fine[f"upper{suffix}"]},
        index=translated(case, fine["names_new"]),
        dtype=float,
    )
    found = confint(model_of(case), level=level)
    width = expected["upper"] - expected["lower"]

    assert sorted(found.index) == sorted(expected.index)
    # R's spline: see the top of this file; measured, at most 2.4e-6, and mostly 1e-8
    error = (found.loc[expected.index] - expected).div(width, axis=0).abs()
    assert error.max().max() < 5e-6


def test_worked_numbers_of_sleepstudy() -> None:
    """The example of lme4's own documentation, printed with seven digits."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    expected = {
        "sd_Intercept|Subject": (14.3815, 37.7160),
        "sd_Days|Subject": (3.8012, 8.7534),
        "cor_Days.Intercept|Subject": (-0.4815, 0.6850),
        "sigma": (22.8983, 28.8580),
        "Intercept": (237.6807, 265.1295),
        "Days": (7.35865, 13.57592),
    }
    found = confint(model)

    assert found.columns.tolist() == ["lower", "upper"]
    assert found.index.tolist() == list(expected)
    # four decimals are printed; R's interpolation error is about as large
    np.testing.assert_allclose(found, list(expected.values()), atol=2e-4)


@pytest.mark.parametrize(
    ("data", "formula", "expected"),
    [
        ("dyestuff", "Yield ~ 1 + (1 | Batch)",
         {"sigma": (np.exp(3.64362), np.exp(4.21446)), "Intercept": (1486.4515, 1568.548494)}),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)",
         {"sd_Intercept|plate": (0.6335658, 1.1821040),
          "sd_Intercept|sample": (1.0957822, 3.5563195),
          "sigma": (np.exp(-0.7218645), np.exp(-0.4629033)),
          "Intercept": (21.2666274, 24.6778176)}),
    ],
)  # fmt: skip
def test_numbers_of_lme4s_own_tests(
    data: str, formula: str, expected: dict[str, tuple[float, float]]
) -> None:
    """What lme4 tests its profiles against."""
    found = confint(ranef.fit(formula, ranef.datasets.load(data), reml=False))

    # lme4 compares with a relative tolerance of 1e-4 itself: its splines are no better
    np.testing.assert_allclose(found.loc[list(expected)], list(expected.values()), rtol=1e-4)


@pytest.mark.parametrize("case", WITH_WALD, ids=str)
def test_wald_intervals_of_fixed_effects(case: Case) -> None:
    """With the normal distribution they are lme4's."""
    wald = case.results["wald"]
    names = translated(case, wald["names"])
    found = confint(model_of(case), "wald", parameters="beta_", ddf="normal").loc[names]
    # both optima are known to about 1e-7 in theta; measured, 4e-7 of a width, and mostly 1e-8
    width = np.subtract(wald["upper"], wald["lower"])
    tolerance = 1e-4 if case.results["singular"] else 1e-6

    assert (np.abs(found["lower"] - wald["lower"]) / width).max() < tolerance
    assert (np.abs(found["upper"] - wald["upper"]) / width).max() < tolerance


def test_wald_uses_the_degrees_of_freedom_asked_for() -> None:
    """Rows of fixed effects are the intervals of the coefficient table."""
    model = fitted("slopes")
    for ddf in ("satterthwaite", "kenward-roger", "normal"):
        table = model.coef_table(ddf=ddf, level=0.9)
        found = confint(model, "wald", 0.9, "beta_", ddf=ddf)

        assert found.index.tolist() == table.index.tolist()
        np.testing.assert_array_equal(found["lower"], table["conf_low"])
        np.testing.assert_array_equal(found["upper"], table["conf_high"])


def test_wald_intervals_of_variance_parameters() -> None:
    """Symmetric in log sd and in Fisher's z, with the standard errors of `variance_errors`."""
    model = fitted("slopes")
    errors = variance_errors(model).to_frame()
    found = confint(model, "wald", 0.9, "theta_")
    z = stats.norm.ppf(0.95)
    for name, (estimate, error) in errors.iterrows():
        link = np.arctanh if str(name).startswith("cor") else np.log
        slope = 1 / (1 - estimate**2) if str(name).startswith("cor") else 1 / estimate
        low, high = link(found.loc[name, "lower"]), link(found.loc[name, "upper"])

        assert high - low == pytest.approx(2 * z * slope * error, rel=1e-10)
        assert high + low == pytest.approx(2 * link(estimate), rel=1e-10)


def test_wald_intervals_on_the_boundary() -> None:
    """A standard deviation of zero has no upper limit by Wald; the profile has one."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))
    wald, profiled = confint(model, "wald"), confint(model)

    assert wald.loc["sd_Intercept|Batch", "lower"] == 0.0
    assert np.isnan(wald.loc["sd_Intercept|Batch", "upper"])
    assert wald.loc["sigma"].notna().all()
    assert profiled.loc["sd_Intercept|Batch", "lower"] == 0.0
    # lme4 2.08407, from its spline
    assert profiled.loc["sd_Intercept|Batch", "upper"] == pytest.approx(2.08405, abs=1e-4)


def test_wald_intervals_of_a_correlation_of_one() -> None:
    """No number is better than a wrong one."""
    indometh = case("indometh")
    found = confint(model_of(indometh), "wald", parameters="theta_")

    assert found.loc["cor_time.Intercept|Subject"].isna().all()
    assert found.loc["sd_Intercept|Subject"].notna().all()


@pytest.mark.parametrize("method", ["profile", "wald", "bootstrap"])
def test_every_method_has_the_same_rows(method: str) -> None:
    """Parameters in the order of the model, aliased coefficients with NaN."""
    model = fitted("aliased")
    found = confint(model, method, **few(method))

    expected = ["sd_Intercept|g", "sigma", "Intercept", "x", "I(2 * x)", "z"]
    assert found.index.tolist() == expected
    assert found.columns.tolist() == ["lower", "upper"]
    assert found.loc["I(2 * x)"].isna().all()
    assert found.drop("I(2 * x)").notna().all().all()
    assert (found["lower"] < found["upper"]).sum() == len(expected) - 1


def test_bootstrap_is_the_percentile_interval() -> None:
    """What `bootstrap` gives with the same seed."""
    from ranef.inference.bootstrap import bootstrap

    model = fitted("slopes")
    found = confint(model, "bootstrap", 0.8, n=40, seed=3)
    expected = bootstrap(model, 40, seed=3).confint(0.8, kind="percentile")

    np.testing.assert_array_equal(found, expected.loc[found.index])


@pytest.mark.parametrize("method", ["profile", "wald", "bootstrap"])
def test_parameters_are_selected_by_name(method: str) -> None:
    """In the order of the model, whatever the order of the names."""
    model = fitted("slopes")
    some = confint(model, method, parameters=["x", "sigma"], **few(method))
    everything = confint(model, method, **few(method))

    pd.testing.assert_frame_equal(some, everything.loc[["sigma", "x"]])
    assert confint(model, method, parameters="x", **few(method)).index.tolist() == ["x"]


def test_shortcuts_of_lme4() -> None:
    """theta_ are the variance parameters, beta_ the fixed effects."""
    model = fitted("slopes")
    variance = ["sd_Intercept|g", "sd_x|g", "cor_x.Intercept|g", "sigma"]

    assert confint(model, "wald", parameters="theta_").index.tolist() == variance
    assert confint(model, "wald", parameters="beta_").index.tolist() == ["Intercept", "x"]
    assert confint(model, "wald", parameters=["beta_", "sigma"]).index.tolist() == [
        "sigma", "Intercept", "x",
    ]  # fmt: skip


def test_unknown_parameters_are_refused_with_a_hint() -> None:
    """The message has the nearest name and all others."""
    with pytest.raises(UnknownVariableError, match=r"Did you mean 'sd_x\|g'"):
        confint(fitted("slopes"), parameters=["sd_x|G"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "profil"}, "Did you mean 'profile'"),
        ({"level": 95}, "between 0 and 1"),
        ({"ddf": "residual"}, "ddf must be one of"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"n_jobs": 1.5}, "n_jobs must be"),
        ({"parameters": 3}, "parameters must be the name of a parameter.*or None for all; got 3"),
        ({"parameters": ["sigma", 3]}, r"parameters must be .* got \['sigma', 3\]"),
        ({"parameters": [["sigma"]]}, r"parameters must be .* got \[\['sigma'\]\]"),
        ({"parameters": b"sigma"}, "parameters must be .* got b'sigma'"),
        ({"method": "bootstrap", "n": 1}, "at least 10 bootstrap replicates.*got n=1"),
        ({"method": "bootstrap", "n": 9}, "at least 10 bootstrap replicates.*got n=9"),
        ({"method": "bootstrap", "n": "9"}, "n must be a positive whole number; got '9'"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    """Refused, with what is allowed."""
    with pytest.raises(OptionError, match=message):
        confint(fitted("slopes"), **options)  # type: ignore[arg-type]


def test_a_predictor_may_be_called_sigma() -> None:
    """Rows stay unique."""
    data = ranef.datasets.load("sleepstudy").rename(columns={"Days": "sigma"})
    found = confint(ranef.fit("Reaction ~ sigma + (1 | Subject)", data), "wald")

    assert found.index.tolist() == ["sd_Intercept|Subject", "sigma", "Intercept", "sigma.1"]


def test_models_without_fixed_effects() -> None:
    """There are intervals of what there is."""
    assert confint(fitted("no fixed effects")).index.tolist() == ["sd_Intercept|g", "sigma"]
    assert fit("no fixed effects").nobs > 0


@pytest.mark.parametrize("option", [{"n": 100}, {"seed": 1}])
@pytest.mark.parametrize("method", ["profile", "wald"])
def test_options_of_the_bootstrap_are_not_ignored(method: str, option: dict[str, int]) -> None:
    """Who asks for replicates and gets none should know."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    with pytest.raises(OptionError, match="bootstrap"):
        confint(model, method, **option)  # type: ignore[arg-type]
