"""Power by simulation: against exact power where there is a formula, and honest about failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ranef
from ranef.errors import (
    DataError,
    FitError,
    FormulaError,
    OptionError,
    UnknownVariableError,
)

FORMULA = "y ~ x + (1 | g)"
PLAN = pd.DataFrame({"x": [0.0, 1.0] * 24, "g": np.repeat(np.arange(8), 6)})
PARAMETERS: dict[str, Any] = {
    "beta": {"Intercept": 3.0, "x": 0.8},
    "theta": {"sd_Intercept|g": 1.0},
    "sigma": 1.0,
    "test": "x",
}


def contains(result: Any, power: float) -> bool:
    """Tell whether the exact power lies in an interval that misses it once in 10 000 times."""
    low, high = result.interval(0.9999)
    return bool(low <= power <= high)


@pytest.mark.parametrize("effect", [0.0, 0.5, 0.9])
def test_exact_power(effect: float) -> None:
    """A balanced comparison within groups: noncentral t with n - groups - 1 df."""
    exact_df, error = 48 - 8 - 1, np.sqrt(4 / 48)
    limit = stats.t.ppf(0.975, exact_df)
    t = stats.nct(exact_df, effect / error)
    exact = t.sf(limit) + t.cdf(-limit)

    # with a variance of 4 no fit is singular, and Satterthwaite's df are exact
    found = ranef.power(
        FORMULA, PLAN, beta=[3.0, effect], theta=[2.0], sigma=1.0, test="x", n=200, seed=1
    )

    assert found.n_singular == 0
    assert contains(found, exact)


def test_between_groups() -> None:
    """Group means of equal groups are normal: the test of the intercept is exact, too."""
    df, error = 7, np.sqrt(4 / 8 + 1 / 48)
    t = stats.nct(df, 1.5 / error)
    exact = t.sf(stats.t.ppf(0.975, df)) + t.cdf(-stats.t.ppf(0.975, df))

    found = ranef.power(
        "y ~ 1 + (1 | g)", PLAN, beta=[1.5], theta=[2.0], sigma=1.0, test="Intercept", n=200, seed=1
    )

    assert contains(found, exact)


def test_normal_tests_are_fitted_together() -> None:
    """The quick way gives what the same test gives one by one."""
    quick = ranef.power(FORMULA, PLAN, **PARAMETERS, ddf="normal", n=60, seed=3)

    def by_hand(model: ranef.LinearMixedModel) -> float:
        return float(model.coef_table(ddf="normal").loc["x", "p_value"])

    slow = ranef.power(FORMULA, PLAN, **{**PARAMETERS, "test": by_hand}, n=20, seed=3)
    more = ranef.power(FORMULA, PLAN, **PARAMETERS, ddf="normal", n=5000, seed=4)

    assert quick.n == 60
    z = stats.norm(0.8 / np.sqrt(4 / 48))
    # z tests of 48 rows are a little too optimistic: within 0.04 of the power of the true z test
    assert abs(more.power - z.sf(1.96)) < 0.04
    # both draw from streams spawned by the seed; chunks of 20 and 60 start the same
    np.testing.assert_allclose(quick.p_values[:20], slow.p_values, rtol=1e-4, atol=1e-9)


def test_seed_and_processes() -> None:
    """The seed decides, not the number of processes."""
    pytest.importorskip("joblib")
    one = ranef.power(FORMULA, PLAN, **PARAMETERS, n=30, seed=5)
    two = ranef.power(FORMULA, PLAN, **PARAMETERS, n=30, seed=5, n_jobs=2)
    other = ranef.power(FORMULA, PLAN, **PARAMETERS, n=30, seed=6)

    np.testing.assert_array_equal(one.p_values, two.p_values)
    assert not np.array_equal(one.p_values, other.p_values)
    unseeded = ranef.power(FORMULA, PLAN, **PARAMETERS, n=30)
    again = ranef.power(FORMULA, PLAN, **PARAMETERS, n=30, seed=unseeded.seed)
    np.testing.assert_array_equal(unseeded.p_values, again.p_values)


def test_ways_to_give_parameters() -> None:
    """A pilot fit's numbers, arrays, and standard deviations with correlations say the same."""
    data = ranef.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    pilot = ranef.fit(formula, data)
    beta = pilot.fixef / 3  # the whole effect has power 1
    sd, cor = pilot.VarCorr.sd["Subject"], pilot.VarCorr.corr["Subject"].iloc[1, 0]
    by_name = {
        "cor_Days.Intercept|Subject": cor,
        "sd_Days|Subject": sd["Days"],
        "sd_Intercept|Subject": sd["Intercept"],
    }
    common = {"sigma": pilot.sigma, "test": "Days", "n": 400, "ddf": "normal", "seed": 1}
    rows = data.drop(columns="Reaction")
    results = [
        ranef.power(formula, rows, beta=b, theta=theta, **common)
        for b, theta in (
            (beta, pilot.theta),
            (beta.to_numpy(), pilot.theta.to_numpy()),
            (beta[::-1], pilot.theta[::-1]),
            (dict(beta), by_name),
        )
    ]

    for other in results[1:3]:
        np.testing.assert_array_equal(results[0].p_values, other.p_values)
    # another root of the same covariance matrix: other responses, the same distribution
    assert contains(results[3], results[0].power)


def test_the_response_is_not_used() -> None:
    """It may be missing, constant, or text; offsets and weights of the plan count."""
    arguments = {**PARAMETERS, "n": 10, "seed": 1}
    plain = ranef.power(FORMULA, PLAN, **arguments)
    for response in (np.nan, 1.0, "text"):
        with_column = ranef.power(FORMULA, PLAN.assign(y=response), **arguments)
        np.testing.assert_array_equal(plain.p_values, with_column.p_values)
    as_dict = ranef.power(FORMULA, {name: PLAN[name].tolist() for name in PLAN}, **arguments)
    np.testing.assert_array_equal(plain.p_values, as_dict.p_values)
    logged = ranef.power("log(y) ~ x + (1 | g)", PLAN, **arguments)
    np.testing.assert_array_equal(plain.p_values, logged.p_values)
    shifted = ranef.power(f"{FORMULA} + offset(1000 * x)", PLAN, **arguments)
    np.testing.assert_allclose(plain.p_values, shifted.p_values, rtol=1e-4, atol=1e-9)
    weighted = ranef.power(FORMULA, PLAN, **arguments, weights=np.full(48, 100.0))
    assert weighted.power == 1.0


def test_failures_are_counted() -> None:
    """What fails is not significant, is counted, and says why."""
    calls = iter(range(100))

    def sometimes(model: ranef.LinearMixedModel) -> float:
        if next(calls) % 2:
            raise ZeroDivisionError("half of the time")
        return 0.001

    found = ranef.power(FORMULA, PLAN, **{**PARAMETERS, "test": sometimes}, n=10, seed=1)

    assert (found.n_failed, found.n_significant, found.power) == (5, 5, 0.5)
    assert found.failures[0] == (0, "ZeroDivisionError: half of the time")
    assert np.isnan(found.p_values[0])
    assert "10, 0 singular, 5 failed" in str(found)


def test_all_fail() -> None:
    """If nothing works there is no power to report."""
    calls = iter(range(100))

    def once(model: ranef.LinearMixedModel) -> float:
        return 0.5 if next(calls) == 0 else 1 / 0

    with pytest.raises(FitError, match="all 5 repetitions failed; the first: ZeroDivisionError"):
        ranef.power(FORMULA, PLAN, **{**PARAMETERS, "test": once}, n=5, seed=1)


def test_interval() -> None:
    """Clopper and Pearson's interval, as scipy has it; the ends are open."""
    found = ranef.power(FORMULA, PLAN, **PARAMETERS, n=40, seed=1)
    exact = stats.binomtest(found.n_significant, 40).proportion_ci(0.9, "exact")

    # scipy solves for the ends to 1e-12
    np.testing.assert_allclose(found.interval(0.9), (exact.low, exact.high), atol=1e-10)
    surely = ranef.power(FORMULA, PLAN, **{**PARAMETERS, "beta": [0.0, 100.0]}, n=10, seed=1)
    assert surely.interval()[1] == 1.0
    assert not found.p_values.flags.writeable
    with pytest.raises(OptionError, match="level must be a number between 0 and 1"):
        found.interval(95)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"beta": {"x": 1.0}}, OptionError, "beta lacks Intercept"),
        ({"beta": {"Intercept": 1, "x": 1, "z": 1}}, UnknownVariableError, "beta names 'z'"),
        ({"beta": [1.0]}, OptionError, "beta must be 2 finite numbers (Intercept, x)"),
        ({"beta": [1.0, np.nan]}, OptionError, "beta must be 2 finite numbers"),
        ({"theta": [1.0, 2.0]}, OptionError, "theta must be 1 finite numbers"),
        ({"theta": {}}, OptionError, "theta lacks sd_Intercept|g"),
        ({"theta": {"sd": 1.0}}, UnknownVariableError, "theta names 'sd'"),
        ({"theta": {"sd_Intercept|g": -1.0}}, OptionError, "must not be negative"),
        ({"sigma": 0.0}, OptionError, "sigma must be a positive number"),
        ({"sigma": "1"}, OptionError, "sigma must be a positive number"),
        ({"test": "z"}, UnknownVariableError, "no coefficient is called 'z'"),
        ({"test": 5}, OptionError, "test must be a coefficient, an equation or a function"),
        ({"test": lambda m: None}, OptionError, "must return a p-value between 0 and 1"),
        ({"n": 0}, OptionError, "n must be a positive whole number"),
        ({"seed": 1.5}, OptionError, "seed must be a whole number"),
        ({"alpha": 5}, OptionError, "alpha must be a number between 0 and 1"),
        ({"ddf": "between"}, OptionError, "ddf must be one of"),
        ({"n_jobs": 0}, OptionError, "n_jobs must be a whole number other than 0"),
        ({"formula": "y ~ x"}, FormulaError, "no random term"),
        ({"formula": "y ~ z + (1 | g)"}, UnknownVariableError, "no column 'z'"),
        ({"formula": "y ~ x + I(2 * x) + (1 | g)"}, OptionError, "leave I(2 * x) out"),
        ({"data": PLAN[:0]}, DataError, "the data are empty"),
    ],
)
def test_bad_input(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """Mistakes are errors at once, and not failures of all repetitions."""
    arguments = {"formula": FORMULA, "data": PLAN, **PARAMETERS, "n": 2, **changes}
    with pytest.raises(error) as caught:
        ranef.power(**arguments)
    assert message in str(caught.value)


def test_correlations_that_contradict_each_other() -> None:
    """Three effects cannot all be correlated by -0.9; nor can one be by more than 1."""
    formula, plan = "y ~ x + z + (x + z | g)", PLAN.assign(z=np.arange(48) % 5)
    theta = {"sd_Intercept|g": 1.0, "sd_x|g": 1.0, "sd_z|g": 1.0}
    names = ("cor_x.Intercept|g", "cor_z.Intercept|g", "cor_z.x|g")
    common = {"beta": [0.0, 0.0, 0.0], "sigma": 1.0, "test": "x", "n": 2}

    with pytest.raises(OptionError, match="correlations of 'g' contradict each other"):
        ranef.power(formula, plan, theta=theta | dict.fromkeys(names, -0.9), **common)
    with pytest.raises(OptionError, match=r"must lie in -1 .. 1; got 2"):
        ranef.power(formula, plan, theta=theta | {names[0]: 2.0}, **common)
    assert ranef.power(formula, plan, theta=theta | {names[0]: 1.0}, **common).n == 2


@pytest.mark.parametrize("name", ["x", "g"])
def test_missing_values_in_the_plan(name: str) -> None:
    """They would make the study smaller without a word."""
    plan = PLAN.astype({"g": float}).set_axis([f"visit {i}" for i in range(48)])
    plan.loc[["visit 3", "visit 17"], name] = np.nan
    with pytest.raises(DataError, match=rf"missing values in '{name}' \(rows visit 3, visit 17\)"):
        ranef.power(FORMULA, plan, n=10, seed=1, **PARAMETERS)


def test_missing_responses_do_not_matter() -> None:
    """The response is not looked at, so it may be missing."""
    plan = PLAN.assign(y=np.nan)
    assert ranef.power(FORMULA, plan, n=5, seed=1, **PARAMETERS).n_failed == 0


@pytest.mark.parametrize("flag", ["reml", "progress"])
def test_flags(flag: str) -> None:
    """A text would count as true."""
    with pytest.raises(OptionError, match=f"{flag} must be True or False; got 'no'"):
        ranef.power(FORMULA, PLAN, n=5, seed=1, **PARAMETERS, **{flag: "no"})
