"""The conditional AIC against refits with changed responses, dense matrices and published numbers.

The generalised degrees of freedom are defined by what fitted values do when the response changes,
so the test changes every observation in turn, fits again and counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import fits
import ranef
from models import SHAPES, VARIANTS, Variant, core_point, through
from oracle import Dense
from ranef.fit import fit_design
from ranef.inference.caic import caic
from ranef.linalg.elimination import factorize
from ranef.linalg.scores import direction_scores


def by_refitting(model: ranef.LinearMixedModel, step: float = 1e-3) -> float:
    """Return the trace of d fitted / d response from central differences of whole fits."""
    design, total = model.design, 0.0
    step *= model.sigma
    for i in range(model.nobs):
        ends = []
        for change in (step, -step):
            y = design.y.copy()
            y[i] += change
            again = fit_design(replace(design, y=y), reml=model.reml, start=model.theta)
            ends.append(again.fitted.iloc[i])
        total += (ends[0] - ends[1]) / (2.0 * step)
    return total


DATA = {
    "dyestuff": ("Yield ~ 1 + (1 | Batch)", True, None),
    "dyestuff2": ("Yield ~ 1 + (1 | Batch)", True, None),  # singular: a variance of zero
    "orange": ("circumference ~ age + (age | Tree)", True, None),  # singular: correlation of -1
    "machines": ("score ~ Machine + (Machine | Worker)", False, None),
    "pastes": ("strength ~ 1 + (1 | batch/cask)", True, None),
    "rail": ("travel ~ 0 + (1 | Rail)", True, None),  # no fixed effects
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", True, "weights"),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", False, "weights"),
}


@pytest.mark.parametrize("name", DATA)
def test_degrees_of_freedom_are_what_refits_say(name: str) -> None:
    """Derivatives with the covariance parameters estimated again, at every observation."""
    formula, reml, weighted = DATA[name]
    data = ranef.datasets.load(name).iloc[:80]
    weights = None if weighted is None else np.random.default_rng(1).uniform(0.3, 3, len(data))
    model = ranef.fit(formula, data, reml=reml, weights=weights)

    # the error of central differences: 1e-6 of the second-order terms, and fits good to 1e-8
    assert caic(model).gdf == pytest.approx(by_refitting(model), abs=2e-5)


@pytest.mark.parametrize(
    ("name", "formula", "reml", "hat_trace", "gdf"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", False, 28.6116, 29.91544),
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", True, 29.0221, 30.25347),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", True, 27.47236, 27.61047),
    ],
)
def test_dense_formula(name: str, formula: str, reml: bool, hat_trace: float, gdf: float) -> None:
    """The corrected formula of Greven and Kneib, computed in R with n x n matrices."""
    found = caic(ranef.fit(formula, ranef.datasets.load(name), reml=reml))

    # all digits of the oracle; R's optimum was good to 1e-6
    assert found.hat_trace == pytest.approx(hat_trace, abs=6e-5)
    assert found.gdf == pytest.approx(gdf, abs=1e-5)
    assert found.edf == found.gdf + 1


def test_sleepstudy() -> None:
    """The value and its parts; the conditional log-likelihood is a sum over observations."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    found = caic(model)

    assert found.caic == pytest.approx(1711.521, abs=5e-4)  # digits of the oracle
    assert found.to_frame().loc[0, "caic"] == found.caic
    assert str(found).splitlines()[2].split() == ["1711.5", "-824.5", "31.25", "29.02"]


@pytest.mark.parametrize("name", fits.MODELS)
def test_conditional_likelihood_and_hat_trace(name: str) -> None:
    """Normal densities around the fitted values; the trace of I - P with dense matrices."""
    model = fits.fitted(name)
    X = model.X if isinstance(model.X, np.ndarray) else model.X.toarray()
    dense = Dense.of(replace(model.design, X=X), reml=model.reml)
    P = dense.at(dense.factors(model.theta_values)).P
    weights = 1.0 if model.design.weights is None else model.design.weights
    densities = stats.norm.logpdf(model.y, model.fitted, model.sigma / np.sqrt(weights))
    found = caic(model)

    assert found.cond_loglik == pytest.approx(densities.sum(), rel=1e-10)
    # a variance that is zero in the oracle is 1e-18 in the core: far below the rounding of P
    assert found.hat_trace == pytest.approx(model.nobs - np.trace(P), rel=1e-8)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_direction_scores(shape: str, variant: Variant) -> None:
    """Z'P Z c for random c, against dense matrices, along every way through the core."""
    with through(variant):
        problem, T, point = core_point(SHAPES[shape], 3, reml=True, weighted=True)
        f = factorize(problem.objective.plan, T)
        assert f is not None
        rng = np.random.default_rng(2)
        factor = [g for g in range(len(T)) for _ in range(2)]
        shapes = [A.shape[1:] for A in problem.objective.plan.products.A]
        directions = [rng.standard_normal(shapes[g]) for g in factor]
        directions[1] = 3.0 * directions[0]  # collinear directions do no harm
        found = direction_scores(f, factor, directions)

    for i, (g, c) in enumerate(zip(factor, directions, strict=True)):
        a = np.einsum("njk,kj->n", point.model.Z[g], c)
        for h, Z in enumerate(point.model.Z):
            expected = np.einsum("njk,n->kj", Z, point.P @ a)
            # condition numbers of a few thousand at most
            np.testing.assert_allclose(found[h][i], expected, rtol=1e-8, atol=1e-10)


def test_units_do_not_matter() -> None:
    """A constant weight, and other units and origin of a predictor with random slopes."""
    data = ranef.datasets.load("sleepstudy").assign(late=lambda d: 24 * d["Days"] + 500)
    plain = caic(ranef.fit("Reaction ~ Days + (Days | Subject)", data))
    weighted = caic(ranef.fit("Reaction ~ Days + (Days | Subject)", data, weights=[4.0] * 180))
    moved = caic(ranef.fit("Reaction ~ late + (late | Subject)", data))

    # searches for the same optimum, found to 1e-9 in deviance: parameters agree to about 1e-5
    for other in (weighted, moved):
        assert other.caic == pytest.approx(plain.caic, abs=1e-3)
        assert other.gdf == pytest.approx(plain.gdf, abs=1e-3)


@pytest.mark.filterwarnings("ignore::ranef.errors.IdentifiabilityWarning")
def test_flat_directions_take_no_part() -> None:
    """Subjects as fixed and as random effects: the fitted values are those of the fixed ones."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Subject + (1 | Subject)", data)

    assert caic(model).gdf == pytest.approx(18.0, abs=1e-6)
