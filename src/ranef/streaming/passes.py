"""One pass over the data: a function of a chunk, and one that merges two results.

Here the chunks follow each other; on a cluster the partitions are worked on where they are, and
the results are merged in a tree, see `ranef.streaming.cluster`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from ranef.design.frame import Frame
from ranef.errors import DataError, FormulaError, RanefError
from ranef.streaming.cluster import reduce_partitions
from ranef.streaming.source import Source, open_chunk

Part = TypeVar("Part")


def reduce_source(
    source: Source,
    columns: tuple[str, ...],
    work: Callable[[Frame], Part],
    merge: Callable[[Part, Part], Part],
    *,
    progress: str = "",
) -> Part:
    """Work on every chunk and merge the results.

    Parameters
    ----------
    source : Source
    columns : tuple of str
        What is needed of the data.
    work, merge : callable
    progress : str
        What a progress bar says; none if empty.

    Raises
    ------
    DataError
        If a chunk cannot be used; names it.
    """
    if source.partitions is not None:
        return reduce_partitions(source.partitions(columns), work, merge)
    result: Part | None = None
    iterator: Any = source.chunks(columns)
    with closing(iterator), _bar(progress) as bar:
        for label, data in iterator:
            frame = open_chunk(label, data)
            try:
                part = work(frame)
                result = part if result is None else merge(result, part)
            except FormulaError:
                raise  # it points into the formula, which is the same for all chunks
            except RanefError as error:
                raise DataError(f"{label}: {error}") from error
            bar.update(frame.size)
    if result is None:
        raise DataError(f"the data are empty: {source.description} gave no chunk.")
    return result


class _NoBar:
    """Shows nothing."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, rows: int) -> None:
        """Do nothing."""


def _bar(text: str) -> Any:
    if not text:
        return _NoBar()
    from tqdm.auto import tqdm

    return tqdm(desc=text, unit=" rows", unit_scale=True)
