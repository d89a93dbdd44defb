"""The exact test of one variance: closed forms, direct simulation, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bank
import models
import ranef
from ranef.batch.refit import make_engine, refit_responses
from ranef.batch.responses import row_responses
from ranef.errors import DataError, OptionError
from ranef.inference.compare import compare
from ranef.inference.exact_rlrt import _eigenvalues, exact_rlrt, null_statistics
from ranef.typing import FloatArray


@cache
def sleep(random: str, reml: bool = True, fixed: str = "Days") -> ranef.LinearMixedModel:
    """Return a model of the sleep study."""
    return ranef.fit(f"Reaction ~ {fixed} + {random}", bank.load("sleepstudy"), reml=reml)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("dataset", "response", "group", "within"),
    [("Dyestuff", "Yield", "Batch", 4), ("Rail", "travel", "Rail", 2)],
)
def test_balanced_data_give_the_f_test(
    dataset: str, response: str, group: str, within: int, reml: bool
) -> None:
    """In a balanced one-way layout both likelihood ratios increase with the F of the ANOVA."""
    data = bank.load(dataset)
    samples = [part.to_numpy() for _, part in data.groupby(group, observed=True)[response]]
    expected = stats.f_oneway(*samples).pvalue
    model = ranef.fit(f"{response} ~ 1 + (1 | {group})", data, reml=reml)
    found = exact_rlrt(model, n=100_000, seed=1)
    # four standard errors of a share of 100 000
    error = 4.0 * np.sqrt(expected / 100_000) + 1e-5
    assert found.p_value == pytest.approx(expected, abs=error)
    assert found.reml is reml and not found.approximate
    levels = len(samples)
    # the REML estimate is zero where F < 1, the ML estimate where F < J / (J - 1)
    bound = 1.0 if reml else levels / (levels - 1.0)
    zero = stats.f.cdf(bound, levels - 1, levels * within)
    assert found.zero == pytest.approx(zero, abs=0.007)


# formula, keyword arguments: unbalanced, few groups, weights, slopes, covariates between groups
DESIGNS: list[tuple[str, dict[str, Any]]] = [
    ("y ~ x + (1 | a)", {}),
    ("y ~ x + (1 | c)", {"reml": False}),
    ("y ~ x + f + (0 + z | b)", {}),
    ("y ~ x + (1 | a)", {"weights": "w"}),
    ("y ~ between + (1 | a)", {"reml": False}),
    ("y ~ 0 + (0 + z | a)", {}),
]


@pytest.mark.parametrize(("formula", "options"), DESIGNS)
def test_direct_simulation(formula: str, options: dict[str, Any]) -> None:
    """Likelihood ratios of fits to responses without random effects have the same distribution."""
    data = models.frame(6, 60)
    data["between"] = data["a"] % 5
    model = ranef.fit(formula, data, **options)
    size = 1500
    direct = _simulated(model, size)
    column = 0
    drawn = null_statistics(model.problem, model.reml, 0, column, size, np.random.default_rng(1))
    assert drawn.min() >= 0.0
    # the point mass at zero: four standard errors of the difference of two shares
    error = 4.0 * np.sqrt(0.5 / size)
    assert (drawn < 1e-6).mean() == pytest.approx((direct < 1e-6).mean(), abs=error)
    # one in 10 000 such pairs of samples would differ more
    distance = stats.ks_2samp(np.maximum(drawn, 1e-6), np.maximum(direct, 1e-6)).statistic
    assert distance < 2.23 * np.sqrt(2.0 / size)


def _simulated(model: ranef.LinearMixedModel, size: int) -> FloatArray:
    """Return likelihood ratios of responses of independent normal residuals."""
    design, problem = model.design, model.problem
    Y = np.random.default_rng(0).standard_normal((model.nobs, size))
    if design.weights is not None:
        Y /= np.sqrt(design.weights)[:, None]
    responses = row_responses(problem, Y, design.weights, design.offset)
    fits = refit_responses(make_engine(problem), responses)
    assert not fits.failed.any()
    # without random effects the criterion has a closed form
    nu, constant = problem.objective.nu, problem.objective.constant
    null = nu * (1.0 + np.log(2.0 * np.pi * responses.yy / nu)) + constant
    return np.where(null - fits.value < 1e-6, 0.0, null - fits.value)


@pytest.mark.parametrize("reml", [True, False])
def test_p_values_are_uniform_where_positive(reml: bool) -> None:
    """Under the null hypothesis p-values are uniform, apart from ties at zero, which have p = 1."""
    model = ranef.fit("y ~ x + (1 | a)", models.frame(6, 60), reml=reml)
    observed = _simulated(model, 800)
    drawn = null_statistics(model.problem, reml, 0, 0, 5000, np.random.default_rng(3))
    p_values = np.array([(1 + (drawn >= t).sum()) / 5001 if t > 0 else 1.0 for t in observed])
    for level in (0.01, 0.05, 0.2):
        # four standard errors of a share of 800
        error = 4.0 * np.sqrt(level * (1.0 - level) / 800)
        assert (p_values <= level).mean() == pytest.approx(level, abs=error)


@pytest.mark.parametrize("p", [0, 1, 3])
def test_eigenvalues(p: int) -> None:
    """The eigenvalues are those of the dense matrix, repeated ones counted."""
    rng = np.random.default_rng(p)
    a = np.repeat([4.0, 6.0, 7.5], [9, 2, 1])
    C = 0.4 * rng.standard_normal((p, 12))
    values, counts = _eigenvalues(a, C)
    dense = np.linalg.eigvalsh(np.diag(a) - C.T @ C)
    np.testing.assert_allclose(np.sort(np.repeat(values, counts)), dense, rtol=1e-12)
    assert len(values) <= 2 * p + 1 + 3


def test_directions_that_fixed_effects_take_are_left_out() -> None:
    """An intercept takes one of the eigenvalues of balanced groups."""
    values, counts = _eigenvalues(np.full(6, 5.0), np.full((1, 6), 5.0 / np.sqrt(30.0)))
    assert np.repeat(values, counts).tolist() == pytest.approx([5.0] * 5)


def test_many_groups_are_quick_where_they_repeat_themselves() -> None:
    """Five thousand groups of few different sizes: the mixture is nearly right, too."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(5000), rng.integers(1, 5, 5000))
    data = pd.DataFrame(
        {"g": g, "x": rng.standard_normal(len(g)), "y": rng.standard_normal(len(g))}
    )
    found = exact_rlrt(ranef.fit("y ~ x + (1 | g)", data), n=4000, seed=1)
    # with so many groups half of the estimates are zero; 4000 draws leave 0.008
    assert found.zero == pytest.approx(0.5, abs=0.035)


def test_too_many_different_levels_are_refused() -> None:
    """Thousands of different slopes: an error that says what to do."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(4000), 2)
    x, y = rng.standard_normal((2, 8000))
    model = ranef.fit("y ~ 1 + (0 + x | g)", {"g": g, "x": x, "y": y})
    with pytest.raises(OptionError, match=r"4000 levels.*method='mixture'"):
        exact_rlrt(model, n=10)


def test_other_random_effects_are_taken_as_known() -> None:
    """With null= the statistic is that of the two fits, and p is near the bootstrap's."""
    data = bank.load("Pastes")
    model = ranef.fit("strength ~ 1 + (1 | batch) + (1 | batch:cask)", data)
    null = ranef.fit("strength ~ 1 + (1 | batch:cask)", data)
    found = exact_rlrt(model, null, n=4000, seed=1)
    # lmerTest: ranova gives an LRT of 0.657655926873502
    assert found.statistic == pytest.approx(0.657655926873502, abs=1e-5)
    assert found.approximate and found.term == "(1 | batch)"
    table = compare(null, model, refit=False, method="bootstrap", n=1000, seed=1)
    # an approximation, and 1000 draws leave 0.012
    assert found.p_value == pytest.approx(table.loc["m2", "p_value"], abs=0.06)


def test_uncorrelated_slope() -> None:
    """One of the variances of a || term can be tested, and is named."""
    found = exact_rlrt(sleep("(Days || Subject)"), sleep("(1 | Subject)"), n=100, seed=1)
    assert found.term == "Days in (Days || Subject)"
    # lmerTest: ranova gives an LRT of 42.7957918136076
    assert found.statistic == pytest.approx(42.7957918136076, abs=1e-5)
    assert found.p_value == pytest.approx(1 / 101)


def test_a_variance_of_zero_has_p_value_one() -> None:
    """Where the estimate is zero, nothing is less extreme."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", bank.load("Dyestuff2"))
    found = exact_rlrt(model, n=500, seed=1)
    assert model.is_singular
    assert found.statistic == pytest.approx(0.0, abs=1e-7)
    assert found.p_value == 1.0


def test_seeds() -> None:
    """The same seed gives the same draws; a generator goes on."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", bank.load("Dyestuff"))
    first, again, other = (exact_rlrt(model, n=2000, seed=seed) for seed in (1, 1, 2))
    assert (first.p_value, first.zero) == (again.p_value, again.zero)
    assert first.zero != other.zero
    rng = np.random.default_rng(1)
    assert exact_rlrt(model, n=2000, seed=rng).zero == first.zero
    assert exact_rlrt(model, n=2000, seed=rng).zero != first.zero


def test_prints() -> None:
    """The result is a table of one row, with notes about how it was made."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", bank.load("Dyestuff"), reml=False)
    found = exact_rlrt(model, n=99, seed=1)
    assert str(found).splitlines()[0] == "Likelihood-ratio test, exact by simulation:"
    assert str(found).splitlines()[-1] == "99 values simulated under the null hypothesis."
    row = found.to_frame().loc["(1 | Batch)"]
    assert row["statistic"] == found.statistic and row["n"] == 99


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: exact_rlrt(sleep("(Days | Subject)")), OptionError, "tests a single variance"),
    (lambda: exact_rlrt(sleep("(Days || Subject)")), OptionError, "tests a single variance"),
    (lambda: exact_rlrt(sleep("(1 | Subject)"), n=0), OptionError, "n must be a positive"),
    (lambda: exact_rlrt(sleep("(1 | Subject)"), n=2.5), OptionError, "n must be a positive"),
    (lambda: exact_rlrt(sleep("(1 | Subject)"), seed=object()), OptionError, "seed must be"),
    (lambda: exact_rlrt(sleep("(1 | Subject)"), "m0"), OptionError, "null must be a model"),
    (
        lambda: exact_rlrt(sleep("(Days | Subject)"), sleep("(1 | Subject)")),
        OptionError,
        "one variance that is not correlated",
    ),
    (
        lambda: exact_rlrt(sleep("(Days || Subject)"), sleep("(Days || Subject)")),
        OptionError,
        "one variance that is not correlated",
    ),
    (
        lambda: exact_rlrt(sleep("(1 | Subject)"), sleep("(0 + Days | Subject)")),
        OptionError,
        "one variance that is not correlated",
    ),
    (
        lambda: exact_rlrt(sleep("(Days || Subject)"), sleep("(1 | Subject)", False)),
        OptionError,
        "same fixed effects and be fitted by the same",
    ),
    (
        lambda: exact_rlrt(sleep("(Days || Subject)"), sleep("(1 | Subject)", fixed="1")),
        OptionError,
        "same fixed effects and be fitted by the same",
    ),
    (
        lambda: exact_rlrt(
            sleep("(Days || Subject)"),
            ranef.fit("Reaction ~ Days + (1 | Subject)", bank.load("sleepstudy")[:90]),
        ),
        DataError,
        "null was fitted to 90 rows and model to 180",
    ),
    (lambda: exact_rlrt(3), OptionError, "exact_rlrt needs models fitted by ranef.fit; got int"),  # type: ignore[arg-type]
    (
        lambda: exact_rlrt(sleep("(1 | Subject)"), "none"),  # type: ignore[arg-type]
        OptionError,
        "null must be a model fitted by ranef.fit; got str",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number: int) -> None:
    """Tests of anything but one variance are refused, with what to do instead."""
    call, error, message = REFUSED[number]
    with pytest.raises(error, match=message):
        call()
