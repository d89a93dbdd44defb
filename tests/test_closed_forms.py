"""Balanced data, where the estimates have closed forms: neither a false zero nor a missed one."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import ConvergenceWarning
from ranef.typing import FloatArray, OptimizerName

OPTIMIZERS: tuple[OptimizerName, ...] = ("newton", "bobyqa", "nelder-mead")


def one_way(groups: int, size: int, ratio: float) -> pd.DataFrame:
    """Return balanced data whose mean squares between and within have exactly this ratio."""
    rng = np.random.default_rng([groups, size])
    effects = rng.standard_normal(groups)
    errors = rng.standard_normal((groups, size))
    effects -= effects.mean()
    errors -= errors.mean(axis=1, keepdims=True)
    between = size * (effects @ effects) / (groups - 1)
    within = (errors * errors).sum() / (groups * (size - 1))
    y = 10 + effects[:, None] * np.sqrt(ratio / between) + errors / np.sqrt(within)
    return pd.DataFrame({"y": y.ravel(), "g": np.repeat(np.arange(groups), size)})


@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.9, 0.999, 1.001, 1.1, 2.0, 10.0, 1e3, 1e6])
@pytest.mark.parametrize(("groups", "size"), [(3, 2), (6, 5), (20, 3)])
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_way(
    ratio: float, groups: int, size: int, reml: bool, optimizer: OptimizerName
) -> None:
    """theta^2 = max((R - 1) / n, 0), with R (J - 1) / J for ML: no zero is false, none missed."""
    data = one_way(groups, size, ratio)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ranef.fit("y ~ 1 + (1 | g)", data, reml=reml, optimizer=optimizer)
    shrunk = ratio if reml else ratio * (groups - 1) / groups
    theta = np.sqrt(max((shrunk - 1) / size, 0.0))
    total, n = float(np.square(data["y"] - 10).sum()), groups * size
    sigma2 = 1.0 if theta > 0 else total / (n - 1 if reml else n)
    least = model.objective_at([theta])
    assert model.objective >= least - 1e-9 * max(1.0, abs(least))
    if not model.convergence.converged:
        assert optimizer != "newton"
        assert model.objective > least + 1e-7
        return
    assert model.objective == pytest.approx(least, abs=1e-7 if optimizer == "newton" else 1e-5)
    if optimizer == "newton":
        # the criterion is flat: 1e-4 in theta costs 1e-7, and near zero it is a fourth power
        assert model.theta.iloc[0] == pytest.approx(theta, rel=1e-4, abs=2e-3 * (theta < 0.05))
        assert model.sigma**2 == pytest.approx(sigma2, rel=1e-4)
        se = model.std_errors["Intercept"]
        assert model.fixef["Intercept"] == pytest.approx(10.0, abs=1e-9 * max(1.0, se))
        assert model.is_singular == (theta == 0)


def balanced(seed: int, nested: bool) -> tuple[pd.DataFrame, FloatArray]:
    """Return balanced data with two factors, and the ANOVA estimates of their variances.

    Nested: 8 groups of 5 cells of 4; crossed without interaction: 8 by 5, 4 each.
    """
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 1.5, (8, 1, 1))
    b = rng.normal(0, 1.0, (8, 5, 1) if nested else (1, 5, 1))
    y = 3 + a + b + rng.standard_normal((8, 5, 4))
    levels = np.indices(y.shape).reshape(3, -1)
    A, B = y.mean(axis=(1, 2)), y.mean(axis=(0, 2))
    cells, mean = y.mean(axis=2), y.mean()
    ms_a = 20 * np.square(A - mean).sum() / 7
    if nested:
        ms_b = 4 * np.square(cells - A[:, None]).sum() / 32
        ms_e = np.square(y - cells[:, :, None]).sum() / 120
        variances = [(ms_b - ms_e) / 4, (ms_a - ms_b) / 20, ms_e]
    else:
        ms_b = 32 * np.square(B - mean).sum() / 4
        fitted = A[:, None, None] + B[None, :, None] - mean
        ms_e = np.square(y - fitted).sum() / (160 - 12)
        variances = [(ms_a - ms_e) / 20, (ms_b - ms_e) / 32, ms_e]
    data = pd.DataFrame({"y": y.ravel(), "a": levels[0], "b": levels[1]})
    return data, np.array(variances)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "crossed"])
def test_balanced_two_factors(seed: int, nested: bool) -> None:
    """Where all ANOVA estimates are positive they are the REML estimates."""
    data, variances = balanced(seed, nested)
    assert variances.min() > 0
    model = ranef.fit("y ~ 1 + (1 | a/b)" if nested else "y ~ 1 + (1 | a) + (1 | b)", data)
    found = np.append(np.square(model.theta) * model.sigma**2, model.sigma**2)
    np.testing.assert_allclose(found, variances, rtol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_balanced_growth_curves(seed: int) -> None:
    """Equal designs per subject: Sigma is the covariance of their own lines less its noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(6.0)
    Z = np.column_stack([np.ones(6), t])
    lines = rng.multivariate_normal([10, 2], [[4, 0.5], [0.5, 1]], 15)
    y = lines @ Z.T + rng.standard_normal((15, 6))
    own = np.linalg.lstsq(Z, y.T, rcond=None)[0].T
    s2 = np.square(y - own @ Z.T).sum() / (15 * 4)
    Sigma = np.cov(own.T) - s2 * np.linalg.inv(Z.T @ Z)
    assert np.linalg.eigvalsh(Sigma).min() > 0
    data = pd.DataFrame({"y": y.ravel(), "t": np.tile(t, 15), "g": np.repeat(np.arange(15), 6)})
    model = ranef.fit("y ~ t + (t | g)", data)
    np.testing.assert_allclose(model.VarCorr.cov["g"], Sigma, rtol=1e-5, atol=1e-5)
    assert model.sigma**2 == pytest.approx(s2, rel=1e-7)
    np.testing.assert_allclose(model.fixef, own.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(model.vcov, np.cov(own.T) / 15, rtol=1e-5, atol=1e-7)
