"""Optima and verdicts: the best known criterion is reached, and what is said about it is true.

Oracles: closed forms of balanced data, several optimizers from several starts, R's best numbers.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.convergence import Status
from ranef.covariance.chart import Factors, identity
from ranef.design import build_design
from ranef.errors import ConvergenceWarning
from ranef.estimation import make_problem
from ranef.optimize.certificate import Verdict
from ranef.optimize.control import Control
from ranef.optimize.driver import minimise
from ranef.typing import FloatArray, OptimizerName

HARD = Path(__file__).parent / "optimize" / "hard"
GOOD = {Verdict.CONVERGED, Verdict.SINGULAR}
OPTIMIZERS: tuple[OptimizerName, ...] = ("newton", "bobyqa", "nelder-mead")

# The models on which optimizers that stop at a bound, or on a small gradient, go wrong.
NEARLY_SINGULAR = [
    "y ~ x + (x | g) + (1 | k)",
    "y ~ x + z + (x + z | g)",
    "y ~ x + (x | g) + (z | k)",
    "y ~ x + (x || g) + (x | k)",
    "y ~ (x | g) + (1 | g:k) + (1 | k)",
]


def nearly_singular(number: int) -> tuple[str, bool, pd.DataFrame]:
    """Return one of many small models whose variances are drawn from 0, .01, .09 and 1."""
    rng = np.random.default_rng([20, number])
    n, J, K = rng.integers(40, 150), rng.integers(5, 14), rng.integers(3, 8)
    g, k = rng.integers(0, J, n), rng.integers(0, K, n)
    x, z = rng.standard_normal((2, n))
    sd = np.sqrt(rng.choice([0.0, 0.01, 0.09, 1.0], 4))
    a, b, c = rng.standard_normal((3, J))
    d = rng.standard_normal(K)
    y = 1 + x + sd[0] * a[g] + sd[1] * b[g] * x + sd[2] * c[g] * z + sd[3] * d[k]
    data = pd.DataFrame({"y": y + rng.standard_normal(n), "x": x, "z": z, "g": g, "k": k})
    return NEARLY_SINGULAR[number % 5], bool(number % 2), data


@pytest.mark.parametrize("batch", range(20))
def test_no_false_optimum_and_no_false_verdict(batch: int) -> None:
    """200 models: Newton reaches the best of all searches, and every verdict is true.

    "Converged" promises a criterion within 1e-5 of the best known; "not converged" must not be
    said about a point that is there. Newton also starts at random points, the others at T = I.
    """
    for number in range(10 * batch, 10 * batch + 10):
        formula, reml, data = nearly_singular(number)
        objective = make_problem(build_design(formula, data), reml=reml).objective
        rng = np.random.default_rng([21, number])
        plain = identity(objective.blocks)
        starts: list[tuple[OptimizerName, Factors]] = [(name, plain) for name in OPTIMIZERS]
        starts += [
            ("newton", tuple(rng.standard_normal(t.shape) * np.eye(len(t)) for t in plain))
            for _ in range(4)
        ]
        ends = [minimise(objective, start, name, Control()) for name, start in starts]
        lowest = min(optimum.value for optimum, _ in ends)
        for (name, _), (optimum, certificate) in zip(starts, ends, strict=True):
            gap = optimum.value - lowest
            told = f"model {number}, {name}: {certificate.verdict.value}, gap {gap:.1e}"
            if certificate.verdict in GOOD:
                assert gap < 1e-5, told
            else:
                assert gap > 1e-7, told
            if name == "newton":
                assert gap < 1e-5 and certificate.verdict in GOOD, told
                assert optimum.n_evaluations <= 40, told


# --- closed forms ----------------------------------------------------------------------------------


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


# --- lme4's hard cases -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "formula", "reml", "criterion", "theta"),
    [
        (
            "gauge", "y ~ (1 | Operator) + (1 | Part) + (1 | Part:Operator)", True,
            -176.8530545540, [0.710257852, 1.7345954, 35.6684081],
        ),
        (
            "gauge", "y ~ (1 | Operator) + (1 | Part) + (1 | Part:Operator)", False,
            -177.2456235234, [0.709900273, 1.73424146, 29.1259615],
        ),
        ("outlier", "y ~ (1 | Var2)", True, 3331.6474561427, [0.21067645]),
        ("flat", "y ~ (1 | group)", True, -3.7393141197, [0.903151891]),
    ],
    ids=["gauge REML", "gauge ML", "outlier", "flat"],
)  # fmt: skip
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_hard_cases_of_lme4(
    file: str, formula: str, reml: bool, criterion: float, theta: list[float],
    optimizer: OptimizerName,
) -> None:  # fmt: skip
    """Data on which versions of lme4 stopped at a boundary, at a false zero, or on a plateau."""
    data = pd.read_csv(HARD / f"{file}.csv", dtype={"Operator": str, "group": str})
    model = ranef.fit(formula, data, reml=reml, optimizer=optimizer)
    assert model.convergence.status is Status.CONVERGED
    assert model.objective == pytest.approx(criterion, abs=1e-6)
    np.testing.assert_allclose(model.theta, theta, rtol=2e-4)
    if file == "flat":
        assert model.theta.iloc[0] ** 2 * model.sigma**2 == pytest.approx(0.029662699, rel=1e-4)


def test_dyestuff() -> None:
    """The numbers of lme4's own tests: criterion at 0, at 1 and at the optimum."""
    data = ranef.datasets.load("dyestuff")
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", data)
    assert model.objective_at([0.0]) == pytest.approx(326.023232155879, abs=1e-9)
    assert model.objective_at([1.0]) == pytest.approx(319.792389042, abs=1e-8)
    assert model.objective == pytest.approx(319.654276842, abs=1e-8)
    assert model.theta.iloc[0] == pytest.approx(0.84832031, abs=1e-5)  # lme4 stops a bit early
    assert model.sigma == pytest.approx(49.5101272946856, rel=1e-6)
    assert model.vcov.iloc[0, 0] == pytest.approx(375.7147, rel=1e-5)
    ml = ranef.fit("Yield ~ 1 + (1 | Batch)", data, reml=False)
    assert ml.objective == pytest.approx(327.327059881, abs=1e-8)
    assert ml.sigma == pytest.approx(49.5100999308, rel=1e-6)


def test_unbalanced_machines() -> None:
    """Machines without eight rows, numbers from R."""
    data = ranef.datasets.load("machines")
    data = data.drop(index=data.index[np.array([2, 3, 6, 20, 21, 22, 33, 47]) - 1])
    model = ranef.fit("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data)
    assert model.objective == pytest.approx(191.014456, abs=1e-5)
    cov = model.VarCorr.cov
    assert cov["Worker:Machine"].iloc[0, 0] == pytest.approx(13.98497925, rel=1e-5)
    assert cov["Worker"].iloc[0, 0] == pytest.approx(22.66354785, rel=1e-5)
    assert model.sigma**2 == pytest.approx(0.962028302, rel=1e-6)


# --- starts ----------------------------------------------------------------------------------------

STARTS = {
    "zero": [0.0, 0.0, 0.0],
    "rank one": [1.0, 0.2, 0.0],
    "false zero of the intercept": [0.0, 0.0, 0.3],
    "small": [1e-3, 0.0, 1e-3],
    "tiny": [1e-8, 0.0, 1e-8],
    "large": [100.0, 0.0, 100.0],
    "perfectly correlated": [1.0, 1.0, 1e-6],
    "negative diagonal": [-1.0, 0.1, -1.0],
    "lme4's": [1.0, 0.0, 1.0],
}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_starts(name: str, optimizer: OptimizerName) -> None:
    """Any start leads to the same optimum; from zero and from saddles the search escapes."""
    data = ranef.datasets.load("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ranef.fit(
            "Reaction ~ Days + (Days | Subject)",
            data,
            reml=False,
            start=STARTS[name],
            optimizer=optimizer,
        )
    gap = model.objective - 1751.9393444632
    if optimizer == "newton":
        assert gap == pytest.approx(0.0, abs=1e-7)
        assert model.aic == pytest.approx(1763.939344, abs=1e-5)
    assert model.convergence.converged == (gap < 1e-5)


@pytest.mark.parametrize(
    ("dataset", "formula"),
    [
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
        ("pastes", "strength ~ 1 + (1 | batch/cask)"),
        ("machines", "score ~ Machine + (Machine | Worker)"),
        ("orthodont", "distance ~ age * Sex + (age | Subject)"),
        ("dyestuff2", "Yield ~ 1 + (1 | Batch)"),
    ],
)
def test_starts_at_zero(dataset: str, formula: str) -> None:
    """At zero variances the gradient is zero by symmetry; the search does not stay there."""
    data = ranef.datasets.load(dataset)
    usual = ranef.fit(formula, data)
    found = ranef.fit(formula, data, start=np.zeros(len(usual.theta)))
    assert found.objective == pytest.approx(usual.objective, abs=1e-7)
    assert found.convergence.status is usual.convergence.status


def test_a_start_at_the_optimum_costs_little() -> None:
    """Starting from a fit's own theta confirms it at once."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    again = ranef.fit("Reaction ~ Days + (Days | Subject)", data, start=model.theta)
    assert again.convergence.n_evaluations <= 2
    assert again.objective == pytest.approx(model.objective, abs=1e-9)


# --- what is not identified ------------------------------------------------------------------------


def grouped(seed: int = 0) -> pd.DataFrame:
    """Return data with random intercepts and slopes."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 12, 150), rng.standard_normal(150)
    u = rng.standard_normal((12, 2))
    y = 1 + x + u[g, 0] + u[g, 1] * x + rng.standard_normal(150)
    return pd.DataFrame({"y": y, "x": x, "g": g, "twice": 2 * x, "three": 3.0})


@pytest.mark.parametrize("term", ["(x + twice | g)", "(three | g) + (0 + x | g)", "(x | g)"])
@pytest.mark.parametrize("optimizer", ["newton"])
def test_collinear_random_columns(term: str, optimizer: OptimizerName) -> None:
    """Columns that say the same thing twice: the criterion of the model without them, no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ranef.fit(f"y ~ x + {term}", grouped(), optimizer=optimizer)
    simple = "(x || g)" if "three" in term else "(x | g)"
    plain = ranef.fit(f"y ~ x + {simple}", grouped())
    assert model.convergence.converged
    assert model.objective == pytest.approx(plain.objective, abs=1e-6)
    np.testing.assert_allclose(model.fitted, plain.fitted, atol=1e-3)


@pytest.mark.parametrize("noise", [1.0, 1e-1, 1e-2, 1e-3])
def test_precise_measurements(noise: float) -> None:
    """Residuals up to a thousand times smaller than the random effects: the same certainty."""
    data = grouped()
    rng = np.random.default_rng(1)
    u = rng.standard_normal((12, 2))
    data["y"] = u[data["g"], 0] + u[data["g"], 1] * data["x"] + noise * rng.standard_normal(150)
    model = ranef.fit("y ~ x + (x | g)", data)
    assert model.convergence.status is Status.CONVERGED
    assert model.sigma == pytest.approx(noise, rel=0.2)
    near = np.array([model.objective_at(model.theta * factor) for factor in (0.99, 0.999, 1.001)])
    assert near.min() > model.objective - 1e-7


@pytest.mark.parametrize("noise", [1e-7, 0.0])
def test_perfect_fits_are_not_called_converged(noise: float) -> None:
    """Random effects that explain everything have no optimum: told in a warning, or an error."""
    data = grouped()
    u = np.random.default_rng(1).standard_normal((12, 2))
    e = np.random.default_rng(2).standard_normal(150)
    data["y"] = u[data["g"], 0] + u[data["g"], 1] * data["x"] + noise * e
    try:
        with pytest.warns(ConvergenceWarning):
            model = ranef.fit("y ~ x + (x | g)", data)
    except ranef.errors.FitError:
        return
    assert model.convergence.status is Status.NOT_CONVERGED
