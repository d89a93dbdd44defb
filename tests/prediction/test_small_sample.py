"""Uncertainty about the covariance parameters: what it adds, and the degrees of freedom.

In a balanced one-way layout everything is a function of the two mean squares, which are
independent multiples of chi-squared variables: the closed forms are exact.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import ranef
from models import SHAPES, frame
from oracle import Dense
from ranef.prediction import predict
from ranef.prediction.rows import new_rows
from ranef.prediction.uncertainty import parameter_uncertainty, theta_variances

# Optima are polished until estimates agree with closed forms to 8 digits or more; derivatives by
# central differences to 9.
ESTIMATE = 1e-7


class OneWay:
    """Dyestuff, 6 batches of 5, and its analysis of variance."""

    J, n = 6, 5

    def __init__(self) -> None:
        self.data = ranef.datasets.load("dyestuff")
        self.model = ranef.fit("Yield ~ 1 + (1 | Batch)", self.data)
        means = self.data.groupby("Batch", observed=True)["Yield"].mean()
        self.distance = (means - means.mean()).to_numpy()
        within = self.data["Yield"] - self.data.groupby("Batch", observed=True)["Yield"].transform(
            "mean"
        )
        self.df = np.array([self.J * (self.n - 1), self.J - 1])
        self.E = float((within**2).sum() / self.df[0])
        self.A = float(self.n * (self.distance**2).sum() / self.df[1])

    def satterthwaite(self, variance: float, by_E: float, by_A: float) -> float:
        """Return the degrees of freedom of a function of the mean squares."""
        spread = (by_E * self.E) ** 2 / self.df[0] + (by_A * self.A) ** 2 / self.df[1]
        return variance**2 / spread


def test_observation_of_a_new_group() -> None:
    """V = E (1 - 1/n) + A/n (1 + 1/J)."""
    case = OneWay()
    J, n, E, A = case.J, case.n, case.E, case.A
    found = predict(case.model, {"Batch": "new"}, "all", "population", "prediction").iloc[0]
    by_E, by_A = 1 - 1 / n, (1 + 1 / J) / n
    v = E * by_E + A * by_A
    assert found["std_error"] ** 2 == pytest.approx(v, rel=ESTIMATE)
    assert found["df"] == pytest.approx(case.satterthwaite(v, by_E, by_A), rel=ESTIMATE)


def test_mean_of_a_new_group() -> None:
    """V = (A - E)/n + A/(n J)."""
    case = OneWay()
    J, n, E, A = case.J, case.n, case.E, case.A
    found = predict(case.model, {"Batch": "new"}, "all", "population", "confidence").iloc[0]
    v = (A - E) / n + A / (n * J)
    df = case.satterthwaite(v, -1 / n, (1 + 1 / J) / n)
    assert found["std_error"] ** 2 == pytest.approx(v, rel=ESTIMATE)
    assert found["df"] == pytest.approx(df, rel=ESTIMATE)


def test_mean_of_a_known_group() -> None:
    """V = E/n - E^2/(n A) (1 - 1/J), and what the shrinkage factor 1 - E/A adds."""
    case = OneWay()
    J, n, E, A = case.J, case.n, case.E, case.A
    known = {"Batch": list("ABCDEF")}
    plain = predict(case.model, known, interval="confidence", theta_uncertainty=False)
    v = E / n - E**2 / (n * A) * (1 - 1 / J)
    by_E, by_A = 1 / n - 2 * E / (n * A) * (1 - 1 / J), E**2 / (n * A**2) * (1 - 1 / J)
    np.testing.assert_allclose(plain["std_error"] ** 2, v, rtol=ESTIMATE)
    np.testing.assert_allclose(plain["df"], case.satterthwaite(v, by_E, by_A), rtol=ESTIMATE)
    whole = predict(case.model, known, interval="confidence")
    added = case.distance**2 * (E / A) ** 2 * (2 / case.df).sum()
    np.testing.assert_allclose(whole["std_error"] ** 2 - v, added, rtol=1e-6, atol=1e-6 * v)
    np.testing.assert_allclose(whole["df"], plain["df"])


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("shape", ["slopes", "diagonal", "nested", "crossed", "crossed vectors"])
def test_addition_by_dense_algebra(shape: str, reml: bool) -> None:
    """D eta' A d eta with exact derivatives and the exact Hessian, on n x n matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ranef.fit(SHAPES[shape], frame(3), reml=reml, weights="w", offset="o")
    new = frame(5, 10)
    wanted = new_rows(model, new, set(range(len(model.problem.groups))), False, "population")
    uncertainty = parameter_uncertainty(model)
    T, chart = uncertainty.T, uncertainty.free
    point = Dense.of_core(model.problem, model.design, reml=reml).at(T)
    X = np.sqrt(model.design.weights)[:, None] * np.asarray(model.problem.basis.columns)
    eta = np.empty((chart.size, wanted.size))
    for i, (f, a, b) in enumerate(zip(chart.factor, chart.row, chart.col, strict=True)):
        moved = point._slope(f, a, b) @ point.Py
        beta = -np.linalg.solve(X.T @ point.V_inverse @ X, X.T @ point.V_inverse @ moved)
        eta[i] = wanted.fixed(slice(None)) @ beta
        for group in wanted.groups:
            g = group.factor
            Z = point.model.Z[g]
            change = -T[g] @ T[g].T @ np.einsum("njk,n->kj", Z, point.P @ moved)
            if g == f:
                tangent = np.outer(np.eye(len(T[f]))[a], T[f][:, b])
                change += (tangent + tangent.T) @ point.t[f]
            eta[i] += (group.z * change[:, group.codes].T).sum(axis=1)
    A = 2.0 * np.linalg.inv(point.hessian(chart, average=False))
    want = np.einsum("im,ij,jm->m", eta, A, eta)
    # derivatives of estimates by central differences, their Hessian from gradients
    np.testing.assert_allclose(theta_variances(model, wanted), want, rtol=1e-5)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "normal"])
def test_fixed_effects_alone(ddf: str) -> None:
    """Without random effects the numbers are those of the coefficient table."""
    data = ranef.datasets.load("sleepstudy").iloc[:-7]  # unbalanced: no two methods agree
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    found = predict(model, {"Days": [0.0]}, "none", interval="confidence", ddf=ddf, level=0.9)
    table = model.coef_table(ddf, 0.9).loc["Intercept"]
    want = table[["estimate", "std_error", "df", "conf_low", "conf_high"]]
    # df by central differences on one side, in closed form on the other
    np.testing.assert_allclose(found.iloc[0], want.to_numpy(float), rtol=1e-8)


def test_never_less_than_one() -> None:
    """Where the delta method finds fewer degrees of freedom than any variance has, it is one."""
    rng = np.random.default_rng(12)
    g = np.repeat(np.arange(6), 10)
    y = rng.standard_normal(60)
    y += 0.28 * np.array([1, -1, 1, -1, 1, -1])[g] - pd.Series(y).groupby(g).transform("mean")
    model = ranef.fit("y ~ 1 + (1 | g)", {"y": y, "g": g})
    assert 0 < model.theta.iloc[0] < 0.2
    found = predict(model, {"g": 99}, "all", "population", "confidence")
    assert found["df"].item() == 1.0


def test_singular_fit() -> None:
    """Without variance between groups there is nothing to add, and the df are those of sigma."""
    data = ranef.datasets.load("dyestuff2")
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", data)
    assert model.is_singular
    found = predict(model, {"Batch": ["A", "new"]}, "all", "population", "prediction")
    # v = sigma^2 (1 + 1/30) for both; sigma^2 has 29 degrees of freedom
    np.testing.assert_allclose(found["std_error"] ** 2, model.sigma**2 * 31 / 30, rtol=ESTIMATE)
    np.testing.assert_allclose(found["df"], 29, rtol=ESTIMATE)
