"""The indices of a model, each written once: the levels of a factor stand in many places."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ranef.errors import StorageError
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.fields import Fields
from ranef.storage.index_kinds import JSON, Source, Target, decode_index, encode_index


class IndexWriter:
    """Collects the indices of a model.

    Parameters
    ----------
    arrays : ArrayWriter
    rows : int
        Number of rows of the model.

    Attributes
    ----------
    stored : list of dict
        What goes into the file, by number.
    """

    def __init__(self, arrays: ArrayWriter, rows: int) -> None:
        self.stored: list[JSON] = []
        self._target = Target(arrays, rows)
        self._known: dict[int, tuple[int, pd.Index]] = {}  # the index is kept: its id is the key

    def add(self, index: pd.Index) -> int:
        """Write an index, unless it is known, and return its number.

        Raises
        ------
        StorageError
            If it holds labels that cannot be saved.
        """
        if id(index) not in self._known:
            self.stored.append(encode_index(index, self._target))
            self._known[id(index)] = (len(self.stored) - 1, index)
        return self._known[id(index)][0]


class IndexReader:
    """Gives the indices of a file by their numbers; what was shared is shared again.

    Parameters
    ----------
    stored : list
    arrays : ArrayReader
    rows : int
        Number of rows of the model.
    """

    def __init__(self, stored: list[Any], arrays: ArrayReader, rows: int) -> None:
        self._stored = stored
        self._source = Source(arrays, rows)
        self._read: dict[int, pd.Index] = {}

    def get(self, number: Any) -> pd.Index:
        """Return an index.

        Raises
        ------
        StorageError
            If there is none, or it cannot be made.
        """
        if type(number) is not int or not 0 <= number < len(self._stored):
            raise StorageError(f"there are no labels number {number!r:.20}")
        if number not in self._read:
            fields = Fields(self._stored[number], f"labels {number}")
            try:
                self._read[number] = decode_index(fields, self._source)
            except StorageError:
                raise
            except (ValueError, TypeError, OverflowError, KeyError, RecursionError) as error:
                raise StorageError(f"labels {number} cannot be made: {error!s:.100}") from None
        return self._read[number]
