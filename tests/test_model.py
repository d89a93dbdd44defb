"""The fitted model says the same in all its ways: numbers, matrices, labels, tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import ranef
from fits import MODELS, data, fit, fitted
from ranef.errors import OptionError

every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_matrices_reproduce_the_fitted_values(name: str) -> None:
    """X b + Z u + offset are the fitted values; aliased columns count as zero."""
    model = fitted(name)
    if name == "sparse":
        assert isinstance(model.X, sparse.csc_array)
    terms = sorted(model.design.terms, key=lambda term: -term.grouping.size)
    modes = [model.ranef[term.grouping.name][list(term.names)].to_numpy() for term in terms]
    u = np.concatenate([block.ravel() for block in modes])
    assert isinstance(model.Z, sparse.csr_array) and model.Z.shape == (model.nobs, len(u))
    offset = 0.0 if model.design.offset is None else model.design.offset
    mu = model.X @ model.fixef.fillna(0.0).to_numpy() + model.Z @ u + offset
    np.testing.assert_allclose(model.fitted, mu, atol=1e-9)
    np.testing.assert_allclose(model.fitted + model.resid, model.y, atol=1e-12)


@every_model
def test_rows_keep_their_labels(name: str) -> None:
    """Fitted values and residuals align with the caller's rows; dropped rows are absent."""
    model, frame = fitted(name), data()
    kept = frame[frame["m"].notna()] if name == "missing" else frame
    for series in (model.fitted, model.resid, model.residuals("pearson")):
        assert series.index.tolist() == kept.index.tolist()
    np.testing.assert_allclose(model.fitted + model.resid, kept["y"], atol=1e-12)
    assert model.nobs == len(kept) == len(model.y)
    assert model.design.n_total == len(frame)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(1000, 1600),
        pd.Index(["same"] * 600),
        pd.date_range("2020-01-01", periods=600),
        pd.MultiIndex.from_product([range(20), range(30)], names=["a", "b"]),
    ],
    ids=["range", "duplicates", "dates", "two levels"],
)
def test_any_index_will_do(index: pd.Index) -> None:
    """The index is carried along, whatever it is, and never used to look anything up."""
    model = fit("slopes", data().set_axis(index))
    pd.testing.assert_index_equal(model.fitted.index, index)
    np.testing.assert_array_equal(model.fitted, fitted("slopes").fitted)


@every_model
def test_residuals(name: str) -> None:
    """Pearson residuals are multiplied by the root of the weight, scaled ones divided by sigma."""
    model = fitted(name)
    root = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)
    np.testing.assert_allclose(model.residuals("pearson"), model.resid * root, rtol=1e-13)
    np.testing.assert_allclose(model.residuals("scaled"), model.resid / model.sigma, rtol=1e-13)
    pd.testing.assert_series_equal(model.residuals(), model.resid)


def test_unknown_residuals() -> None:
    """Other kinds are refused with the list of those there are."""
    with pytest.raises(
        OptionError, match=r"'response', 'pearson', 'scaled'.*Did you mean 'scaled'"
    ):
        fitted("slopes").residuals("scale")  # type: ignore[arg-type]


@every_model
def test_likelihood(name: str) -> None:
    """Criterion, log-likelihood, AIC and BIC hang together; parameters are counted as lme4 does."""
    model = fitted(name)
    parameters = int(model.fixef.notna().sum()) + len(model.theta) + 1
    assert (model.df, model.df_resid) == (parameters, model.nobs - parameters)
    assert model.loglik == -model.objective / 2
    assert model.aic == pytest.approx(model.objective + 2 * parameters)
    assert model.bic == pytest.approx(model.objective + np.log(model.nobs) * parameters)
    assert model.objective_at(model.theta) == pytest.approx(model.objective, abs=1e-9)
    assert model.objective_at(model.theta.tolist()) == model.objective_at(model.theta)


@every_model
def test_variances(name: str) -> None:
    """VarCorr is sigma^2 T T' term by term, with theta the lower triangles of T."""
    model = fitted(name)
    rest = list(model.theta)
    names = list(model.theta.index)
    for term in sorted(model.design.terms, key=lambda term: -term.grouping.size):
        k, group = len(term.names), term.grouping.name
        T = np.zeros((k, k))
        for b in range(k):
            for a in range(b, k if term.correlated else b + 1):
                T[a, b] = rest.pop(0)
                label = [term.names[a]] if a == b else [term.names[a], term.names[b]]
                assert names.pop(0) == ".".join([group, *label])
        cov = model.VarCorr.cov[group].loc[list(term.names), list(term.names)]
        np.testing.assert_allclose(cov, model.sigma**2 * T @ T.T, rtol=1e-10, atol=1e-12)
        assert (T.diagonal() >= 0).all()
    assert not rest
    assert model.VarCorr.sigma == model.sigma


@every_model
def test_covariances_of_the_estimates(name: str) -> None:
    """Standard errors are roots of the diagonal; aliased columns have none."""
    model = fitted(name)
    kept = model.fixef.dropna().index.tolist()
    assert model.vcov.index.tolist() == model.vcov.columns.tolist() == kept
    np.testing.assert_allclose(model.std_errors[kept], np.sqrt(np.diag(model.vcov)))
    np.testing.assert_allclose(model.vcov, model.vcov.T, rtol=1e-12, atol=1e-15)
    assert model.std_errors.isna().tolist() == model.fixef.isna().tolist()
    expected = ("I(2 * x)",) if name == "aliased" else ()
    assert model.dropped_columns == expected
    assert model.fixef.index[model.fixef.isna()].tolist() == list(expected)


@every_model
def test_groups(name: str) -> None:
    """Levels are counted, and are the index of the modes and of their standard deviations."""
    model, frame = fitted(name), data()
    for group, size in model.ngroups.items():
        variables = group.split(":")
        assert size == len(frame[variables].drop_duplicates())
        modes, deviations = model.ranef[group], model.ranef.sd[group]
        assert len(modes) == size and modes.index.name == group
        assert modes.index.equals(deviations.index) and list(modes) == list(deviations)
        cov = model.ranef.cov[group]
        np.testing.assert_allclose(np.square(deviations), np.diagonal(cov, axis1=1, axis2=2))
    assert list(model.ranef) == list(model.ngroups) == list(model.coef)
    sizes = list(model.ngroups.values())
    assert sizes == sorted(sizes, reverse=True)


@every_model
def test_coefficients_of_levels(name: str) -> None:
    """A level has fixef plus ranef; an effect without a fixed counterpart is added to zero."""
    model = fitted(name)
    for group, table in model.coef.items():
        modes = model.ranef[group]
        assert table.columns.tolist()[: len(model.fixef)] == model.fixef.index.tolist()
        assert table.index.equals(modes.index)
        for column in table:
            fixed = model.fixef.get(column, 0.0)
            random = modes.get(column, 0.0)
            np.testing.assert_allclose(table[column], fixed + random + np.zeros(len(table)))


def test_without_fixed_effects_reml_is_ml() -> None:
    """Nothing to integrate out: the model says that it was fitted by maximum likelihood."""
    model = fitted("no fixed effects")
    assert not model.reml and model.fixef.empty and model.vcov.shape == (0, 0)
    assert model.X.shape == (600, 0)
    again = ranef.fit("y ~ 0 + (1 | g)", data(), reml=False)
    assert again.objective == model.objective


@every_model
def test_glance(name: str) -> None:
    """One row with the facts about the fit."""
    model = fitted(name)
    row = model.glance()
    criterion = "reml_criterion" if model.reml else "deviance"
    assert row.columns.tolist() == [
        "nobs", "sigma", "loglik", "aic", "bic", criterion, "df", "df_resid", "converged",
        "singular",
    ]  # fmt: skip
    assert len(row) == 1
    assert row[criterion].item() == model.objective
    assert (row["nobs"].item(), row["df"].item()) == (model.nobs, model.df)
    assert row["converged"].item() and row["singular"].item() == model.is_singular


@every_model
def test_tidy(name: str) -> None:
    """One row per parameter: coefficients, then standard deviations, correlations, sigma."""
    model = fitted(name)
    table = model.tidy()
    assert table.columns.tolist() == [
        "effect", "group", "term", "estimate", "std_error", "statistic", "df", "p_value",
        "conf_low", "conf_high",
    ]  # fmt: skip
    fixed, random = table[table["effect"] == "fixed"], table[table["effect"] == "ran_pars"]
    assert len(fixed) + len(random) == len(table)
    assert fixed["term"].tolist() == model.fixef.index.tolist()
    np.testing.assert_array_equal(fixed["estimate"], model.fixef)
    np.testing.assert_array_equal(random["estimate"], model.VarCorr.to_frame()["sdcor"])
    assert random["group"].tolist() == model.VarCorr.to_frame()["grp"].tolist()
    assert random["term"].iloc[-1] == "sd__Observation"
    assert random["estimate"].iloc[-1] == model.sigma
    assert len(random) >= len(model.theta) + 1
    assert random["std_error"].isna().all()


@every_model
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_coefficient_table(name: str, level: float) -> None:
    """Estimates, z statistics, p-values and intervals, against scipy's normal distribution."""
    from scipy.stats import norm

    model = fitted(name)
    table = model.coef_table(ddf="normal", level=level)
    assert table.columns.tolist() == [
        "estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"
    ]  # fmt: skip
    assert table.index.tolist() == model.fixef.index.tolist()
    z = model.fixef / model.std_errors
    np.testing.assert_allclose(table["statistic"], z)
    np.testing.assert_allclose(table["p_value"], 2 * norm.sf(np.abs(z)), rtol=1e-9, atol=1e-300)
    half = norm.ppf((1 + level) / 2) * model.std_errors
    np.testing.assert_allclose(table["conf_low"], model.fixef - half)
    np.testing.assert_allclose(table["conf_high"], model.fixef + half)
    assert np.isinf(table["df"].dropna()).all()


@pytest.mark.parametrize(
    "theta",
    [
        [], [1.0], [1.0, 2.0, 3.0, 4.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], 1.0, None, "abc",
        [[1.0, 0.0, 1.0]], ["a", "b", "c"], {"a": 1}, [1.0, 2.0 + 1j, 1.0],
    ],
)  # fmt: skip
def test_bad_theta(theta: Any) -> None:
    """The criterion at something else than as many finite numbers is refused, naming them."""
    with pytest.raises(OptionError, match=r"theta must be 3 finite numbers \(g.Intercept, g.x.Int"):
        fitted("slopes").objective_at(theta)
    if theta is not None:  # no start values are the default
        with pytest.raises(OptionError, match="start must be 3 finite numbers"):
            ranef.fit("y ~ x + (x | g)", data(), start=theta)


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, np.nan, "95%", None, True])
def test_bad_levels(level: Any) -> None:
    """Coverage lies between 0 and 1."""
    for method in (fitted("slopes").coef_table, fitted("slopes").tidy):
        with pytest.raises(OptionError, match="level must be a number between 0 and 1"):
            method(level=level)
