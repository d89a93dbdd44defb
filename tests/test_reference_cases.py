"""Every reference fit of R, number by number, and all three optimizers on the same models.

Tolerances are those of the reference: its optima are good to about 1e-7 in theta, R prints 15
digits, and where a model is singular or over-parameterised theta itself is not unique.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import bank
import ranef
from ranef.convergence import Status
from ranef.typing import FloatArray, OptimizerName

CASES = {case.id: case for case in bank.cases()}
every_case = pytest.mark.parametrize("name", CASES)
# Two terms of this model compete for the same variance: its theta is one of many.
NOT_UNIQUE = {"mach_facuncorr"}
# Nelder-Mead needs a hundred values with 4 000 random effects: 8 s for what takes Newton 0.4 s.
LARGE = {"inst_full", "inst_ml"}


@cache
def fit(name: str, optimizer: OptimizerName = "newton") -> ranef.LinearMixedModel:
    """Fit a reference model once per process; any warning but the expected ones is an error."""
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if case.results["dropped_columns"]:
            warnings.simplefilter("ignore", ranef.errors.RankDeficiencyWarning)
        if name in NOT_UNIQUE:
            warnings.simplefilter("ignore", ranef.errors.IdentifiabilityWarning)
        if optimizer != "newton":
            warnings.simplefilter("ignore", ranef.errors.ConvergenceWarning)
        return ranef.fit(case.formula, case.frame(), optimizer=optimizer, **case.options())


def best(name: str) -> float:
    """Return the lowest criterion that R found by any of its optimizers."""
    results = CASES[name].results
    found = [results["criterion"]["value"], results["optim"]["best_criterion"]]
    return min(value for value in found if value is not None)


def rows(values: list[object]) -> FloatArray:
    """Return R's matrix, a list of rows, as an array."""
    return np.array(values, dtype=float)


@every_case
def test_criterion(name: str) -> None:
    """The criterion is as low as the best that R found; AIC, BIC and logLik follow from it."""
    model, results = fit(name), CASES[name].results
    assert model.objective == pytest.approx(best(name), abs=1e-5)
    assert model.convergence.converged
    assert model.loglik == pytest.approx(results["logLik"]["value"], abs=1e-5)
    assert model.aic == pytest.approx(results["AIC"], abs=1e-5)
    assert model.bic == pytest.approx(results["BIC"], abs=1e-5)
    assert (model.reml, model.nobs) == (CASES[name].reml, results["n"])
    assert (model.df, model.df_resid) == (results["logLik"]["df"], results["df_residual"])


@every_case
def test_fixed_effects(name: str) -> None:
    """Estimates within 1e-5 standard errors, standard errors to 1e-5, under ranef's names."""
    model, case = fit(name), CASES[name]
    fixed = case.results["fixef"]
    dropped = case.results["dropped_columns"]
    names = case.columns([*fixed["names"], *dropped])
    kept, aliased = names[: len(fixed["names"])], names[len(fixed["names"]) :]
    se = np.array(fixed["se"])
    assert sorted(model.fixef.index) == sorted(names)
    np.testing.assert_allclose(model.fixef[kept] / se, np.array(fixed["values"]) / se, atol=1e-5)
    np.testing.assert_allclose(model.std_errors[kept], se, rtol=1e-5)
    assert list(model.dropped_columns) == [x for x in model.fixef.index if x in aliased]
    assert model.fixef[aliased].isna().all() and model.std_errors[aliased].isna().all()
    vcov = rows(case.results["vcov"])
    np.testing.assert_allclose(
        model.vcov.loc[kept, kept] / np.outer(se, se), vcov / np.outer(se, se), atol=1e-5
    )


@every_case
def test_variances(name: str) -> None:
    """The residual SD to 1e-5; theta and VarCorr to 1e-4 where the model determines them."""
    model, case = fit(name), CASES[name]
    results = case.results
    assert model.sigma == pytest.approx(results["sigma"], rel=1e-5)
    assert model.is_singular == results["singular"]
    assert (model.convergence.status is Status.SINGULAR) == results["singular"]
    assert (model.convergence.status is Status.AMBIGUOUS) == (name in NOT_UNIQUE)
    assert list(model.theta.index) == case.theta_names()
    if name in NOT_UNIQUE:
        return
    if not results["singular"]:
        theta = np.array(results["theta"]["values"])
        np.testing.assert_allclose(model.theta, theta, atol=1e-4 * max(1.0, np.abs(theta).max()))
    for block in results["varcorr"]:
        names = case.columns(block["terms"])
        # under the name of a factor with several terms there is the matrix of all of them
        found = model.VarCorr.cov[case.group(block["name"])].loc[names, names]
        scale = np.max(block["sd"]) ** 2 + 1e-9 * model.sigma**2
        np.testing.assert_allclose(found / scale, rows(block["cov"]) / scale, atol=1e-4)


@every_case
def test_probes(name: str) -> None:
    """At given theta the criterion is R's to a relative 1e-10, whatever the optimizer does."""
    model, results = fit(name), CASES[name].results
    for probe in results["probes"]["points"]:
        assert model.objective_at(probe["theta"]) == pytest.approx(probe["criterion"], rel=1e-10)
    if name not in NOT_UNIQUE:
        theta = results["theta"]["values"]
        assert model.objective_at(theta) >= model.objective - 1e-8
        assert model.objective_at(theta) == pytest.approx(results["criterion"]["value"], abs=1e-6)


@every_case
def test_random_effects(name: str) -> None:
    """Levels, conditional modes and their standard deviations, within 1e-5 of their size."""
    model, case = fit(name), CASES[name]
    sizes = {case.group(group): size for group, size in case.results["ngrps"].items()}
    assert model.ngroups == sizes
    if name in NOT_UNIQUE:
        return
    for known in case.results["ranef"]:
        group = case.group(known["group"])
        modes, deviations = model.ranef[group], model.ranef.sd[group]
        modes.index, deviations.index = modes.index.astype(str), deviations.index.astype(str)
        levels = case.group_levels(known["group"], known["levels"])
        assert len(modes) == known["nlevels"]
        assert list(modes.columns) == case.columns(known["terms"])
        values = rows(known["values"])
        size = np.abs(values).max(axis=0) + 1e-6 * model.sigma
        np.testing.assert_allclose(modes.loc[levels] / size, values / size, atol=1e-5)
        sumsq = np.array(known["colsumsq"])
        np.testing.assert_allclose(
            np.square(modes).sum(), sumsq, rtol=1e-5, atol=1e-9 * model.sigma**2
        )
        if "condsd" in known:  # R left it out for the largest models
            expected = rows(known["condsd"])
            np.testing.assert_allclose(
                deviations.loc[levels], expected, rtol=1e-5, atol=1e-6 * model.sigma
            )


@every_case
def test_fitted_values_and_residuals(name: str) -> None:
    """The first rows and sums over all rows; response, Pearson and scaled residuals."""
    model, results = fit(name), CASES[name].results
    fitted, residuals = results["fitted"], results["residuals"]
    count, atol = len(fitted["first"]), 1e-5 * model.sigma
    assert len(model.fitted) == len(model.resid) == results["n"]
    np.testing.assert_allclose(model.fitted.iloc[:count], fitted["first"], atol=atol)
    assert model.fitted.sum() == pytest.approx(fitted["sum"], abs=atol * results["n"])
    assert np.square(model.fitted).sum() == pytest.approx(fitted["sumsq"], rel=1e-6)
    np.testing.assert_allclose(model.resid.iloc[:count], residuals["first"], atol=atol)
    pd.testing.assert_series_equal(model.resid, model.residuals("response"))
    pearson, scaled = model.residuals("pearson"), model.residuals("scaled")
    np.testing.assert_allclose(pearson.iloc[:count], residuals["pearson_first"], atol=atol)
    np.testing.assert_allclose(scaled.iloc[:count], residuals["scaled_first"], atol=1e-5)
    assert np.square(model.resid).sum() == pytest.approx(residuals["sumsq"], rel=1e-5)


@every_case
def test_rows(name: str) -> None:
    """As many rows are dropped as in R, and the rest keep the caller's labels."""
    model, case = fit(name), CASES[name]
    assert model.design.n_total - model.nobs == case.na_rows_dropped
    assert model.fitted.index.isin(case.frame().index).all()
    assert (case.na_rows_dropped > 0) == bool(model.design.dropped)


def test_few_evaluations() -> None:
    """Newton needs a handful of evaluations on real data: median 6 at most, never above 15."""
    counts = [fit(name).convergence.n_evaluations for name in CASES]
    assert np.median(counts) <= 6
    assert max(counts) <= 15


@pytest.mark.parametrize("optimizer", ["bobyqa", "nelder-mead"])
@pytest.mark.parametrize("name", [name for name in CASES if name not in LARGE])
def test_other_optimizers(name: str, optimizer: OptimizerName) -> None:
    """Newton is never worse; the others agree with it to 1e-5, or say that they stopped short."""
    newton, other = fit(name), fit(name, optimizer)
    assert newton.objective <= other.objective + 1e-8 * max(1.0, abs(other.objective))
    gap = other.objective - newton.objective
    assert other.convergence.converged == (gap <= 1e-5)
    assert other.convergence.optimizer == optimizer
    if other.convergence.converged:
        assert other.is_singular == newton.is_singular
        beta, se = newton.fixef.dropna(), newton.std_errors.dropna()
        np.testing.assert_allclose(other.fixef.dropna() / se, beta / se, atol=5e-3)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_bobyqa_on_large_models(name: str) -> None:
    """InstEval by BOBYQA: the same optimum, an order of magnitude more evaluations."""
    newton, other = fit(name), fit(name, "bobyqa")
    assert newton.objective <= other.objective + 1e-8 * abs(other.objective)
    assert other.objective == pytest.approx(newton.objective, abs=1e-5)
    assert other.convergence.converged
