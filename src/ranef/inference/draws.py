"""What everything that draws random numbers needs: how many, from which generator, by whom."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ranef.errors import MissingDependencyError, OptionError

T = TypeVar("T")


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


def in_processes(
    work: Callable[..., T],
    jobs: Sequence[tuple[Any, ...]],
    n_jobs: int,
    shown: Sequence[int] | None = None,
) -> Iterator[T]:
    """Yield ``work(*job)`` for all jobs, in their order.

    Parameters
    ----------
    work : callable
    jobs : sequence of tuples
        Arguments.
    n_jobs : int
        Processes; see `check_jobs`.
    shown : sequence of int, optional
        How many repetitions every job makes: shows a progress bar.

    Raises
    ------
    MissingDependencyError
        For several processes without joblib.
    """
    if shown is not None:
        from tqdm.auto import tqdm  # slow to import

        with tqdm(total=sum(shown), unit="replicate") as bar:
            for done, count in zip(in_processes(work, jobs, n_jobs), shown, strict=True):
                bar.update(count)
                yield done
        return
    if n_jobs == 1 or len(jobs) == 1:
        yield from (work(*job) for job in jobs)
        return
    try:
        from joblib import Parallel, delayed  # optional
    except ImportError as error:
        raise MissingDependencyError.from_extra("joblib", "parallel") from error
    yield from Parallel(n_jobs=n_jobs, return_as="generator")(delayed(work)(*job) for job in jobs)
