"""Arguments of everything that draws random numbers: how many, from which generator, by whom."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ranef.errors import OptionError


def check_count(name: str, value: Any) -> int:
    """Return a positive whole number; raise OptionError otherwise."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        raise OptionError(f"{name} must be a positive whole number; got {value!r}.")
    return int(value)


def generator(seed: Any) -> np.random.Generator:
    """Return a generator for a seed; raise OptionError for what cannot be one."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed must be a whole number that is not negative, or a numpy Generator; got {seed!r}."
        ) from error


def check_jobs(value: Any) -> int:
    """Return a number of processes; -1 stands for all processors."""
    if value == -1 and not isinstance(value, bool):
        return -1
    try:
        return check_count("n_jobs", value)
    except OptionError as error:
        raise OptionError(
            f"n_jobs must be a positive whole number, or -1 for all processors; got {value!r}."
        ) from error
