"""What everything that repeats its work needs: how often, with which random numbers, by whom.

Knows nothing of models. Jobs come back in the order in which they were given, so that the number
of processes does not change a result.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
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
) -> Iterator[T]:
    """Yield ``work(*job)`` for all jobs, in their order.

    Parameters
    ----------
    work : callable
    jobs : sequence of tuples
        Arguments.
    n_jobs : int
        Processes; see `check_jobs`.

    Raises
    ------
    MissingDependencyError
        For several processes without joblib.
    """
    if n_jobs == 1 or len(jobs) == 1:
        yield from (work(*job) for job in jobs)
        return
    joblib = require_joblib()
    call = joblib.delayed(work)
    yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator")(call(*job) for job in jobs)


def require_joblib() -> Any:
    """Return joblib; raise MissingDependencyError, naming the extra, where it is missing."""
    try:
        import joblib  # optional
    except ImportError as error:
        raise MissingDependencyError.from_extra("joblib", "parallel") from error
    return joblib


def with_progress(results: Iterable[T], counts: Sequence[int], unit: str) -> Iterator[T]:
    """Yield results that stand for ``counts`` units each, and show a progress bar meanwhile."""
    from tqdm.auto import tqdm  # slow to import

    with tqdm(total=sum(counts), unit=unit) as bar:
        for result, count in zip(results, counts, strict=True):
            bar.update(count)
            yield result
