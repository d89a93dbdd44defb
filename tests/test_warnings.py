"""Verdicts and warnings: none about a good fit, exactly one about every problem."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import ranef
from fits import MODELS, data, fitted
from ranef.convergence import Status
from ranef.errors import ConvergenceWarning, RankDeficiencyWarning


def warnings_of(formula: str, **options: Any) -> list[warnings.WarningMessage]:
    """Return the warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranef.fit(formula, data(), **options)
    return caught


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "aliased"])
def test_good_fits_are_silent(name: str, optimizer: str) -> None:
    """No warning about a fit that is where it should be, singular or not."""
    formula, options = MODELS[name]
    assert warnings_of(formula, optimizer=optimizer, **options) == []


def test_singular_fits_are_silent_but_say_so() -> None:
    """A variance of zero is a result, told by the model, not a warning."""
    model = fitted("singular")
    assert model.is_singular and model.convergence.status is Status.SINGULAR
    assert model.convergence.converged
    assert "the variance of Intercept by nothing is zero" in model.convergence.message
    assert model.theta.iloc[0] == 0.0 and not np.any(model.ranef["nothing"])


def test_rank_deficiency_warns_once() -> None:
    """One warning that names the columns, at the caller's line."""
    (warning,) = warnings_of("y ~ x + I(2 * x) + z + I(x - z) + (1 | g)")
    assert warning.category is RankDeficiencyWarning
    assert "I(2 * x)" in str(warning.message) and "I(x - z)" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
def test_failure_warns_once(optimizer: str) -> None:
    """One warning that says what happened and what to do; the model says the same."""
    control = ranef.Control(max_evaluations=2)
    (warning,) = warnings_of("y ~ x + (x | g)", control=control, optimizer=optimizer)
    assert warning.category is ConvergenceWarning and warning.filename == __file__
    text = str(warning.message)
    assert text.startswith("not converged after ") and "limit on evaluations" in text
    assert "max_evaluations" in text
    if optimizer == "newton":
        assert "optimizer='newton'" not in text  # that is what failed
    with pytest.warns(ConvergenceWarning):
        model = ranef.fit("y ~ x + (x | g)", data(), control=control, optimizer=optimizer)
    assert model.convergence.message == text
    assert not model.convergence.converged
    assert model.convergence.status is Status.NOT_CONVERGED
    assert model.convergence.optimizer == optimizer
    assert model.objective > fitted("slopes").objective + 1e-7
    assert np.isfinite(model.fixef).all()


def test_two_problems_are_two_warnings() -> None:
    """Rank deficiency and failure are told separately."""
    caught = warnings_of("y ~ x + I(2 * x) + (x | g)", control=ranef.Control(max_evaluations=2))
    assert [warning.category for warning in caught] == [RankDeficiencyWarning, ConvergenceWarning]


def test_the_verdict() -> None:
    """Status, message, counts and derivatives of a good fit."""
    verdict = fitted("slopes").convergence
    assert verdict.status == "converged" and verdict.converged
    assert verdict.message == f"converged after {verdict.n_evaluations} evaluations"
    assert 0 <= verdict.decrement < 1e-5 and verdict.smallest_curvature > 0
    assert 0 <= verdict.grad_norm < 1e-2 and verdict.null_directions == ()


def test_repr() -> None:
    """Short in a list, a summary in print."""
    model = fitted("slopes")
    assert repr(model) == "<LinearMixedModel y ~ x + (x | g) by REML: converged>"
    assert "Random effects" in str(model) and "<table" in model._repr_html_()
