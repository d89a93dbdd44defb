"""One pass over the partitions of a Dask DataFrame.

Every partition is worked on where it is; results are merged by fours in a tree, also on the
workers, and only the last one comes to the client. A partial result has the size of the levels, so
little is moved. Nothing is kept on the workers between the passes: what a worker that dies had
done is done again by another one, by Dask's own rules, and the answer does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

from ranef.design.frame import Frame, open_frame
from ranef.errors import DataError, FormulaError, MissingDependencyError, RanefError

FAN_IN = 4
Part = TypeVar("Part")


def reduce_partitions(
    partitions: tuple[Any, ...],
    work: Callable[[Frame], Part],
    merge: Callable[[Part, Part], Part],
) -> Part:
    """Work on every partition and merge the results, on whatever runs Dask's tasks.

    Raises
    ------
    DataError
        If a partition cannot be used; names it.
    MissingDependencyError
        If Dask is not installed.
    """
    try:
        from dask.delayed import delayed
    except ImportError:
        raise MissingDependencyError.from_extra("dask", "dask") from None
    if not partitions:
        raise DataError("the data are empty: the Dask DataFrame has no partition.")
    # pure functions, given once: the layout of a model with many levels is large
    working, merging = delayed(work, pure=False), delayed(merge, pure=False)
    each = delayed(_work, pure=False)
    some = delayed(_merge, pure=False)
    parts = [each(number, data, working) for number, data in enumerate(partitions, start=1)]
    while len(parts) > 1:
        parts = [
            some(parts[start : start + FAN_IN], merging) for start in range(0, len(parts), FAN_IN)
        ]
    outcome = parts[0].compute()
    if isinstance(outcome, Exception):
        raise outcome
    result: Part = outcome
    return result


def _work(number: int, data: Any, work: Callable[[Frame], Any]) -> Any:
    """Return the result for one partition, or the error: an error is no reason to try again."""
    try:
        return work(open_frame(data))
    except FormulaError as error:
        return error
    except RanefError as error:
        return DataError(f"partition {number}: {error}")


def _merge(parts: list[Any], merge: Callable[[Any, Any], Any]) -> Any:
    for part in parts:
        if isinstance(part, Exception):
            return part
    try:
        return reduce(merge, parts)
    except RanefError as error:
        return error
