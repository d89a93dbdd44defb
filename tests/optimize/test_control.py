"""Limits and tolerances: defaults, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import ranef
from ranef.errors import OptionError


def test_defaults() -> None:
    """No limit of one's own means that of the optimizer."""
    assert ranef.Control().limit(200) == 200
    assert ranef.Control(max_evaluations=7).limit(200) == 7


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10", float("nan")])
def test_bad_limits(value: Any) -> None:
    """Only positive integers limit evaluations."""
    with pytest.raises(OptionError, match="max_evaluations must be a positive integer"):
        ranef.Control(max_evaluations=value)


@pytest.mark.parametrize("value", [0, -1e-8, float("nan"), float("inf"), "small", None, True])
def test_bad_tolerances(value: Any) -> None:
    """Only positive finite numbers are tolerances."""
    with pytest.raises(OptionError, match="tol must be a positive number"):
        ranef.Control(tol=value)


def test_frozen() -> None:
    """A control can be shared between fits: it does not change."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        ranef.Control().tol = 1.0  # type: ignore[misc]


def test_fit_takes_nothing_else() -> None:
    """A dictionary is not a control."""
    with pytest.raises(OptionError, match=r"control must be a ranef\.Control"):
        ranef.fit(
            "Yield ~ 1 + (1 | Batch)",
            ranef.datasets.load("dyestuff"),
            control={"tol": 1e-8},  # type: ignore[arg-type]
        )
