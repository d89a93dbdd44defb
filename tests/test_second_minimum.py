"""Criteria with two minima, and searches that used to crawl: the lowest point is found.

Oracle: the criterion itself at theta = 0, and BOBYQA from two starts.
"""

from __future__ import annotations

import numpy as np
import pytest

import ranef
from models import frame
from ranef.convergence import Status


def unequal_groups(seed: int) -> dict[str, np.ndarray]:
    """Return two large groups and two of a single, far-off row each."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(4), [200, 1, 1, 200])
    y = rng.standard_normal(402)
    y[[200, 201]] = rng.normal(0.0, 4.0, 2)
    return {"y": y, "g": g}


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
def test_a_minimum_at_zero_is_not_missed(optimizer: str) -> None:
    """No fit that is called converged lies above the criterion at zero variance."""
    two_minima = 0
    for seed in range(60):
        data = unequal_groups(seed)
        model = ranef.fit("y ~ 1 + (1 | g)", data, optimizer=optimizer)  # type: ignore[arg-type]
        assert model.convergence.converged
        assert model.objective <= model.objective_at([0.0]) + 1e-6
        interior = ranef.fit("y ~ 1 + (1 | g)", data, start=[1.0])
        two_minima += model.is_singular and model.objective < interior.objective + 1e-9
    assert two_minima > 0


def test_a_slope_over_three_unequal_groups() -> None:
    """The exact Hessian is indefinite on the way: average information alone crawled here."""
    rng = np.random.default_rng(1396)
    n, J, K = int(rng.integers(8, 40)), int(rng.integers(2, 5)), int(rng.integers(2, 4))
    g = (rng.random(n) ** rng.choice([1, 4]) * J).astype(int)
    k, x = rng.integers(0, K, n), rng.standard_normal(n)
    y = (rng.standard_normal(J) * 3)[g] * x ** int(rng.integers(0, 2))
    y = y + rng.standard_normal(n) * rng.choice([0.01, 0.1, 1])
    y = y + rng.choice([0, 5, 50]) * rng.standard_normal(K)[k]
    data = {"y": y, "x": x, "g": g}
    newton = ranef.fit("y ~ x + (x | g)", data)
    bobyqa = ranef.fit("y ~ x + (x | g)", data, optimizer="bobyqa")

    assert newton.convergence.status is not Status.NOT_CONVERGED
    assert newton.convergence.n_evaluations <= 40
    assert newton.objective <= bobyqa.objective + 1e-6


@pytest.mark.parametrize(
    ("formula", "smaller"),
    [
        ("y ~ 0 + (x | a) + (1 | b)", "y ~ 0 + (x | a)"),
        ("y ~ 0 + x + (1 | a) + (1 | b)", "y ~ 0 + x + (1 | a)"),
        ("y ~ 1 + (x | a) + (x | b)", "y ~ 1 + (x | a)"),
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_factors_that_compete_for_the_mean(formula: str, smaller: str, reml: bool) -> None:
    """Without its fixed effect, a mean goes into one factor or the other: the better one is found.

    Of these data sets about a third have a second minimum, up to 8 higher. Oracles: a model with
    fewer terms fits no better, and searches from other starts end no lower.
    """
    for seed in range(12):
        data = frame(seed)
        model = ranef.fit(formula, data, reml=reml)
        assert model.convergence.converged
        if not reml:
            assert model.objective <= ranef.fit(smaller, data, reml=False).objective + 1e-6
        rng = np.random.default_rng(seed)
        for _ in range(4):
            start = np.exp(rng.normal(0.0, 2.0, len(model.theta)))
            elsewhere = ranef.fit(formula, data, reml=reml, start=start)
            assert model.objective <= elsewhere.objective + 1e-6
