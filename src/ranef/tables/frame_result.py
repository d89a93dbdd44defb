"""Results that are a table: frozen, printed like R, and read like a data frame.

The frame belongs to the result. Everything that leaves it is a copy, so that `result.loc[...]`
reads, and an assignment through it changes nothing that anybody else sees. What a data frame does
beyond being read (sorting, merging, writing files) is up to the copy that `to_frame` returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ranef.tables.renderable import Renderable


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult(Renderable):
    """Base of results that are a data frame with a way to print it.

    Subclasses are dataclasses with ``frozen=True, eq=False, repr=False``, may add fields (the
    frame is the first, given by position), and implement `document`.

    Examples
    --------
    >>> from ranef.tables.document import Document, Table, labels, numbers
    >>> class Counts(FrameResult):
    ...     def document(self):
    ...         cells = [labels("", self.index), numbers("n", map(str, self["n"]))]
    ...         return Document("", (Table("", tuple(cells)),))
    >>> counts = Counts(pd.DataFrame({"n": [3, 4]}, index=["a", "b"]))
    >>> counts
      n
    a 3
    b 4
    >>> int(counts.loc["b", "n"]), len(counts), list(counts)
    (4, 2, ['n'])
    """

    _frame: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "_frame", self._frame.copy())

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a new data frame."""
        return self._frame.copy()

    @property
    def loc(self) -> Any:
        """Cells by label, as of a data frame."""
        return self._frame.copy().loc

    @property
    def iloc(self) -> Any:
        """Cells by position, as of a data frame."""
        return self._frame.copy().iloc

    @property
    def index(self) -> pd.Index:
        """Labels of the rows."""
        return self._frame.index.copy()

    @property
    def columns(self) -> pd.Index:
        """Names of the columns."""
        return self._frame.columns.copy()

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self._frame.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Refuse: without the names of the columns numbers mean little."""
        raise TypeError("this is a result, not an array or a data frame; use .to_frame().")

    if not TYPE_CHECKING:  # type checkers shall report misspelt names

        def __getattr__(self, name: str) -> Any:
            hint = ""
            if not name.startswith("_") and hasattr(pd.DataFrame, name):
                hint = f"; what data frames can do is at .to_frame().{name}"
            elif not name.startswith("_") and name in self._frame.columns:
                hint = f"; its columns are items, [{name!r}]"
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}{hint}.")

    def __getitem__(self, key: Any) -> Any:
        return self._frame.copy()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._frame.columns.copy())  # names of columns, as a data frame does

    def __contains__(self, key: object) -> bool:
        return key in self._frame.columns

    def __len__(self) -> int:
        return len(self._frame)
