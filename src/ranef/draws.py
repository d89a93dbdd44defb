"""What everything that repeats its work needs: how often, with which random numbers, by whom.

Knows nothing of models. Jobs come back in the order in which they were given, so that neither the
number of workers nor what they are (threads, processes, machines) changes a result.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ranef.errors import MissingDependencyError, OptionError

T = TypeVar("T")


def check_count(name: str, value: Any) -> int:
    """Return a positive whole number; raise OptionError otherwise."""
    if not _is_whole(value) or value < 1:
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


def check_jobs(value: Any) -> int | None:
    """Return a number of workers as joblib counts them; raise OptionError otherwise.

    -1 stands for all processors, -2 for all but one, and so on; None for what an active
    ``joblib.parallel_config`` says, and one worker without.
    """
    if value is None:
        return None
    if not _is_whole(value) or value == 0:
        raise OptionError(
            "n_jobs must be a whole number other than 0 (workers; -1 for all processors, -2 for "
            f"all but one), or None for what joblib.parallel_config says; got {value!r}."
        )
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def in_parallel(
    work: Callable[..., T],
    jobs: Sequence[tuple[Any, ...]],
    n_jobs: int | None,
) -> Iterator[T]:
    """Return an iterator of ``work(*job)`` for all jobs, in their order.

    The workers are those of joblib's active backend: processes of this machine, or what
    ``joblib.parallel_config(backend=...)`` says.

    Parameters
    ----------
    work : callable
    jobs : sequence of tuples
        Arguments.
    n_jobs : int or None
        Workers; see `check_jobs`.

    Raises
    ------
    MissingDependencyError
        At once, for several workers without joblib, however many jobs there are.
    """
    if n_jobs is None:
        joblib = sys.modules.get("joblib")  # not imported: nothing can have been configured
    else:
        joblib = None if n_jobs == 1 else require_joblib()
    if joblib is None or len(jobs) == 1:
        return (work(*job) for job in jobs)
    return _by_joblib(joblib, work, jobs, n_jobs)


def _by_joblib(
    joblib: Any, work: Callable[..., T], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None
) -> Iterator[T]:
    backend, _ = joblib.parallel.get_active_backend()
    # multiprocessing, and some backends of other packages, give all results at the end only
    streams = bool(getattr(backend, "supports_return_generator", False))
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator" if streams else "list")
    call = joblib.delayed(work)
    yield from parallel(call(*job) for job in jobs)


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
