"""Residuals of every kind."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

import fits
import models
import ranef
from diagnostics.brute import point, quietly
from ranef.diagnostics import leverage, residuals, whitening
from ranef.errors import FitError

# Rounding of an 80 x 80 Cholesky factor.
ROUNDING = 1e-12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", models.SHAPES.values(), ids=list(models.SHAPES))
def test_dense_cholesky(formula: str, weighted: bool) -> None:
    """Normalized residuals are inv(L) times the marginal ones, L L' the covariance matrix."""
    options = {"weights": "w", "offset": "o"} if weighted else {}
    model = quietly(formula, models.frame(4), **options)
    whole = point(model)
    beta = whole.beta if whole.model.X.shape[1] else np.zeros(0)
    r = whole.model.y - whole.model.X @ beta
    expected = np.linalg.solve(np.linalg.cholesky(whole.V0), r) / model.sigma
    roots = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)

    np.testing.assert_allclose(residuals(model, "normalized"), expected, atol=ROUNDING)
    np.testing.assert_allclose(roots * residuals(model, "marginal"), r, atol=ROUNDING)
    # blocks of effects taken one at a time
    with patch.object(whitening, "AT_ONCE", 1):
        np.testing.assert_allclose(residuals(model, "normalized"), expected, atol=ROUNDING)


@pytest.mark.parametrize("name", fits.MODELS)
def test_kinds_of_the_model(name: str) -> None:
    """The kinds that the model has are the model's."""
    model = fits.fitted(name)
    roots = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)

    np.testing.assert_array_equal(residuals(model), model.resid)
    np.testing.assert_array_equal(residuals(model, "scaled"), model.resid / model.sigma)
    np.testing.assert_allclose(residuals(model, "pearson"), roots * model.resid, rtol=1e-15)
    expected = residuals(model, "pearson") / (model.sigma * np.sqrt(1.0 - leverage(model)))
    np.testing.assert_allclose(residuals(model, "studentized"), expected, rtol=1e-12)
    assert residuals(model, "normalized").index.equals(model.design.index)


def test_variance_one() -> None:
    """Over many responses, every studentized and normalized residual has variance one."""
    data = models.frame(6)
    model = ranef.fit("y ~ x + (x | a) + (1 | b)", data, weights="w")
    draws = model.simulate(400, seed=1)
    # at the parameters that the responses were drawn with: refits would add their uncertainty
    whole = point(model)
    roots = np.sqrt(model.design.weights)
    Y = roots[:, None] * (draws.to_numpy() - (model.X @ model.fixef.to_numpy())[:, None])
    L = np.linalg.cholesky(whole.V0)
    z = np.linalg.solve(L, Y) / model.sigma
    e = whole.P @ Y / (model.sigma * np.sqrt(np.diagonal(whole.P))[:, None])

    # 400 draws of 80: means over rows have a standard error of sqrt(2 / 32000) = 0.008 and,
    # where residuals depend on each other, three times that
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.03)
    assert np.mean(e**2) == pytest.approx(1.0, abs=0.08)


def test_sums_of_squares() -> None:
    """The normalized residuals of an ML fit have the mean square one, whatever the order."""
    data = models.frame(9)
    model = ranef.fit("y ~ x + (x | a) + (1 | b)", data, reml=False)
    turned = ranef.fit("y ~ x + (x | a) + (1 | b)", data.iloc[::-1], reml=False)

    # r'V^-1 r = n sigma^2 at the optimum
    for one in (model, turned):
        assert (residuals(one, "normalized") ** 2).mean() == pytest.approx(1.0, abs=1e-10)


def test_refusal() -> None:
    """Crossed factors that tie too much together are refused, with what to use instead."""
    model = fits.fitted("crossed")
    with (
        patch.object(whitening, "LARGEST_WORK", 1e3),
        pytest.raises(FitError, match="kind='studentized'"),
    ):
        residuals(model, "normalized")
