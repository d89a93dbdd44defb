"""Numbers of very different size: right, or honestly refused.

Groups that differ much more than the rows within them, against the closed form of the balanced
one-way layout: sigma^2 = within mean square, and the degrees of freedom of its mean, J - 1.
Covariates far from zero, against the same model in centred ones.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import ranef
from ranef.convergence import Status
from ranef.errors import ConvergenceWarning, FitError

GROUPS, ROWS = 10, 6


def one_way(ratio: float) -> tuple[dict[str, np.ndarray], float]:
    """Return a balanced layout and its within-group standard deviation."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(GROUPS), ROWS)
    y = rng.standard_normal(len(g)) + ratio * rng.standard_normal(GROUPS)[g]
    within = y - np.repeat(y.reshape(GROUPS, ROWS).mean(axis=1), ROWS)
    return {"y": y, "g": g}, float(np.sqrt(within @ within / (GROUPS * (ROWS - 1))))


@pytest.mark.parametrize("ratio", [1.0, 1e2, 1e3, 1e4])
def test_large_ratios_are_fitted(ratio: float) -> None:
    """Up to ten thousand to one, sigma and the degrees of freedom are those of the closed form."""
    data, sigma = one_way(ratio)
    model = ranef.fit("y ~ 1 + (1 | g)", data)

    assert model.convergence.status is Status.CONVERGED
    # digits are lost with the square of the ratio: eps * 1e8 * (a factor of about 100)
    assert model.sigma == pytest.approx(sigma, rel=1e-5)
    assert model.coef_table()["df"].iloc[0] == pytest.approx(GROUPS - 1, rel=1e-3)


@pytest.mark.parametrize("ratio", [1e6, 1e7, 1e9])
def test_where_no_digits_are_left_the_verdict_says_so(ratio: float) -> None:
    """A fit that rounding errors spoil is not called converged, and the cause is named."""
    data, _ = one_way(ratio)
    with pytest.warns(ConvergenceWarning, match="rounding errors hide the minimum"):
        model = ranef.fit("y ~ 1 + (1 | g)", data)

    assert model.convergence.status is Status.NOT_CONVERGED


def test_response_constant_within_groups() -> None:
    """Nothing is left for the residual: the message says that the effects explain it all."""
    g = np.repeat(np.arange(GROUPS), ROWS)
    y = np.random.default_rng(1).standard_normal(GROUPS)[g]
    with pytest.warns(ConvergenceWarning, match="explain the response almost exactly"):
        ranef.fit("y ~ 1 + (1 | g)", {"y": y, "g": g})


def test_well_determined_large_variance_keeps_its_degrees_of_freedom() -> None:
    """A crossed factor with six levels that dominates: 5 degrees of freedom, not n - p."""
    rng = np.random.default_rng(0)
    levels, rows = 300, 6000
    a, b = np.repeat(np.arange(levels), rows // levels), rng.integers(0, 6, rows)
    y = rng.standard_normal(rows) + 0.3 * rng.standard_normal(levels)[a]
    y += 900 * np.array([-1.2, 0.3, 0.8, -0.4, 1.4, -0.9])[b]
    model = ranef.fit("y ~ 1 + (1 | a) + (1 | b)", {"y": y, "a": a, "b": b})

    # nearly balanced: between-b variance dominates the mean by a factor of 1e6
    assert model.coef_table()["df"].iloc[0] == pytest.approx(5.0, rel=0.05)


def test_a_hopeless_start_is_a_clear_error() -> None:
    """Equations that rounding makes singular do not end in an error of numpy."""
    data = ranef.datasets.load("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FitError, match="another start"):
            ranef.fit("Reaction ~ Days + (Days | Subject)", data, start=[1e12, 0.0, 1e12])


@pytest.mark.filterwarnings("ignore::ranef.errors.IdentifiabilityWarning")
def test_coefficients_add_up_over_terms() -> None:
    """An effect in two terms of a factor adds both modes to the fixed effect."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Days + (1 | Subject) + (Days | Subject)", data)
    modes = model.ranef["Subject"]
    coef = model.coef["Subject"]

    assert list(coef.columns) == ["Intercept", "Days"]
    total = model.fixef["Intercept"] + modes["Intercept"] + modes["Intercept.1"]
    np.testing.assert_allclose(coef["Intercept"], total, rtol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_badly_centred_covariates(weighted: bool) -> None:
    """A covariate with a mean of a million deviations, and its interaction, keeps its digits."""
    rng = np.random.default_rng(3)
    n = 900
    h, z = rng.integers(0, 30, n), rng.standard_normal(n)
    far = 1e6 + np.round(rng.standard_normal(n), 6)
    near = far - 1e6  # exact
    # the product as it is stored, less its large part: the same model in good coordinates
    both = ((far * z).astype(np.longdouble) - np.longdouble(1e6) * z).astype(float)
    effects = rng.standard_normal((2, 30))
    y = 1.0 + 0.4 * near + 0.3 * z + effects[0, h] + 0.5 * near * effects[1, h]
    y += rng.standard_normal(n)
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    data = {"y": y, "far": far, "near": near, "z": z, "both": both, "h": h}
    hard = ranef.fit("y ~ far * z + (1 | h)", data, weights=weights)
    easy = ranef.fit("y ~ near + z + both + (1 | h)", data, weights=weights)
    # rounding of one row is 1e-16 x 1e6 of the covariate; coefficients are measured in their errors
    pairs = [("far", "near"), ("far:z", "both")]
    ours, theirs = hard.coef_table(), easy.coef_table()
    for name, other in pairs:
        off = ours.loc[name, "estimate"] - theirs.loc[other, "estimate"]
        assert abs(off) < 1e-9 * theirs.loc[other, "std_error"]
        for column in ("std_error", "df"):
            assert ours.loc[name, column] == pytest.approx(theirs.loc[other, column], rel=1e-10)
    assert hard.objective == pytest.approx(easy.objective, abs=1e-7)
