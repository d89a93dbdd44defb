"""Arguments that make no sense, and models without rows: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fits
import ranef
from ranef.diagnostics import augment, check, cooks_distance, influence, leverage, residuals
from ranef.errors import FitError, NoRowsError, OptionError, UnknownVariableError
from streams import cut, make_data

WRONG: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "unknown group": (
        lambda m: influence(m, "H"), UnknownVariableError, "no grouping factor 'H'.*: g, h",
    ),
    "a fixed variable": (
        lambda m: cooks_distance(m, "x"), UnknownVariableError, "Grouping factors: g, h",
    ),
    "no name": (lambda m: influence(m, by=3), OptionError, r"by must be None .*\(g, h\); got 3"),
    "several": (lambda m: cooks_distance(m, ["g"]), OptionError, r"got \['g'\]"),
    "exact": (lambda m: influence(m, "h", exact="yes"), OptionError, "exact must be True or False"),
    "jobs": (lambda m: influence(m, "h", n_jobs=0), OptionError, "n_jobs must be a whole"),
    "kind": (lambda m: residuals(m, "student"), OptionError, "Did you mean 'studentized'"),
    "scaling": (
        lambda m: influence(m, "h").cooks("p"), OptionError, "'standard', 'lme4'; got 'p'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_arguments(name: str) -> None:
    """The error says what was got and what is allowed."""
    call, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        call(fits.fitted("crossed"))


@pytest.mark.parametrize("call", [influence, lambda m: influence(m, "g"),
                                  lambda m: cooks_distance(m, "g")])  # fmt: skip
def test_no_fixed_effects(call: Callable[[Any], object]) -> None:
    """Influence is measured on fixed effects."""
    with pytest.raises(FitError, match="no fixed effects"):
        call(fits.fitted("no fixed effects"))


ROWS: dict[str, Callable[[Any], object]] = {
    "leverage": leverage,
    "cooks_distance": cooks_distance,
    "cooks_distance by group": lambda m: cooks_distance(m, "h"),
    "influence": influence,
    "influence by group": lambda m: influence(m, "h"),
    "exact influence": lambda m: influence(m, "h", exact=True),
    "residuals": residuals,
    "normalized residuals": lambda m: residuals(m, "normalized"),
    "augment": augment,
    "check": check,
}


@pytest.mark.parametrize("name", ROWS)
def test_models_without_rows(name: str) -> None:
    """A model of streamed data says that it kept no rows, and what to do."""
    model = ranef.fit("y ~ x + (1 | g) + (1 | h)", cut(make_data(), [200, 400]))
    with pytest.raises(NoRowsError, match="keeps no rows"):
        ROWS[name](model)


@pytest.mark.parametrize("function", [residuals, leverage])
@pytest.mark.parametrize("wrong", ["m", 3, None])
def test_something_else_than_a_model(function: Callable[..., Any], wrong: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(OptionError, match=f"{function.__name__} needs models fitted by ranef.fit"):
        function(wrong)
