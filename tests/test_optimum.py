"""Optima and verdicts: the best known criterion is reached, and what is said about it is true.

Oracles: several optimizers from several starts, and R's best numbers.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.convergence import Status
from ranef.covariance.chart import Factors, identity
from ranef.design import build_design
from ranef.errors import ConvergenceWarning, IdentifiabilityWarning
from ranef.estimation import make_problem
from ranef.optimize import newton
from ranef.optimize.certificate import Verdict
from ranef.optimize.control import Control
from ranef.optimize.driver import minimise
from ranef.typing import OptimizerName

HARD = Path(__file__).parent / "optimize" / "hard"
GOOD = {Verdict.CONVERGED, Verdict.SINGULAR}  # these models are identified: never AMBIGUOUS
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


def test_null_directions_are_null() -> None:
    """The combinations a singular fit names have no variance, in the user's own columns."""
    found = 0
    for number in range(60):
        formula, reml, data = nearly_singular(number)
        model = ranef.fit(formula, data, reml=reml)
        assert model.is_singular == (model.convergence.status is Status.SINGULAR)
        assert model.is_singular == bool(model.convergence.null_directions)
        for direction in model.convergence.null_directions:
            found += 1
            weights = np.array(direction.weights)
            assert np.abs(weights).max() == weights.max() == 1.0
            cov = model.VarCorr.cov[direction.group].loc[[*direction.names], [*direction.names]]
            assert weights @ cov.to_numpy() @ weights < 1e-7 * model.sigma**2
            modes = model.ranef[direction.group][[*direction.names]].to_numpy()
            assert np.abs(modes @ weights).max() < 1e-3 * model.sigma
            assert str(direction) in model.convergence.message
    assert found > 30


# --- lme4's hard cases ---------------------------------------------------------------------------


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


# --- starts --------------------------------------------------------------------------------------

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


# --- what is not identified ----------------------------------------------------------------------


def grouped(seed: int = 0) -> pd.DataFrame:
    """Return data with random intercepts and slopes."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 12, 150), rng.standard_normal(150)
    u = rng.standard_normal((12, 2))
    y = 1 + x + u[g, 0] + u[g, 1] * x + rng.standard_normal(150)
    return pd.DataFrame({"y": y, "x": x, "g": g, "twice": 2 * x, "three": 3.0})


@pytest.mark.parametrize(
    ("term", "simple"),
    [
        ("(x + twice | g)", "(x | g)"),
        ("(three | g) + (0 + x | g)", "(x || g)"),
        ("(1 | g) + (x | g)", "(x | g)"),
        ("(x | g) + (0 + twice | g)", "(x | g)"),
    ],
)
def test_over_parameterised_models(term: str, simple: str) -> None:
    """A variance that can be split in many ways: the simple model's criterion, and a warning."""
    with pytest.warns(IdentifiabilityWarning) as caught:
        model = ranef.fit(f"y ~ x + {term}", grouped())
    assert len(caught) == 1
    plain = ranef.fit(f"y ~ x + {simple}", grouped())
    assert plain.convergence.status is Status.CONVERGED
    assert model.convergence.status is Status.AMBIGUOUS and model.convergence.converged
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


def test_random_slopes_that_stand_in_for_fixed_ones() -> None:
    """Slopes with a mean that the fixed effects lack: average information alone takes long."""
    rng = np.random.default_rng(5)
    n, levels = 5_000, 250
    g, h = rng.integers(0, levels, (2, n))
    X = rng.standard_normal((n, 3))
    slopes = 1.0 + 0.3 * rng.standard_normal((levels, 3))
    y = (X * slopes[g]).sum(axis=1) + rng.standard_normal(levels)[g] + rng.standard_normal(n)
    y += rng.standard_normal(levels)[h]
    data = {"y": y, "g": g, "h": h} | {f"x{i}": column for i, column in enumerate(X.T)}
    formula = "y ~ 1 + (x0 + x1 + x2 | g) + (1 | h)"
    model = ranef.fit(formula, data)
    assert model.convergence.status is Status.CONVERGED
    assert model.convergence.n_evaluations <= 30
    with patch.object(newton, "PATIENCE", 10**9):  # some 100 evaluations
        patient = ranef.fit(formula, data)
    assert model.objective <= patient.objective + 1e-6
    assert patient.convergence.n_evaluations > 60
