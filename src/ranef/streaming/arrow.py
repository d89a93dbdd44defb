"""Arrow tables as frames, without the detour over Python objects.

A chunk of text columns becomes codes and levels in Arrow's own code. The order of the levels of a
chunk means nothing, because chunks are joined by value, so they are not sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ranef.design.column import Column, column_from_integers, column_from_series
from ranef.design.dictionaries import Declared, declared, dictionary_column
from ranef.design.frame import Frame
from ranef.errors import DataError, MissingDependencyError

_NOTHING = np.zeros(0, dtype=bool)


def import_pyarrow() -> Any:
    """Return pyarrow.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError.from_extra("pyarrow", "arrow") from None
    return pyarrow


def table_to_frame(table: Any, start: int) -> Frame:
    """Return an Arrow table as a frame whose first row has the number ``start``."""
    names = tuple(table.schema.names)
    size = table.num_rows
    return Frame(
        names,
        size,
        pd.RangeIndex(start, start + size),
        False,
        lambda position, name: _column(
            table.column(position), name, declared(table.schema, position)
        ),
    )


def _column(values: Any, name: str, given: Declared | None = None) -> Column:
    pa = import_pyarrow()
    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    kind = chunked.type
    if _is_text(pa, kind):
        return dictionary_column(chunked.cast(pa.large_string()).dictionary_encode(), name, None)
    if pa.types.is_dictionary(kind):
        if given is None and not _is_text(pa, kind.value_type):
            return _column(chunked.cast(kind.value_type), name)
        return dictionary_column(chunked, name, given)
    if pa.types.is_integer(kind):
        missing = chunked.is_null().to_numpy() if chunked.null_count else _NOTHING
        return column_from_integers(chunked.fill_null(0).to_numpy(), missing, name)
    if pa.types.is_date(kind):  # dates beside times are their midnights
        chunked = chunked.cast(pa.timestamp("ms"))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column_from_series(pd.Series(chunked.cast(pa.float64()).to_numpy()), name)
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind):
        return column_from_series(chunked.to_pandas(), name)
    raise DataError(f"the column {name!r} holds {kind}, which cannot be used in a model.")


def _is_text(pa: Any, kind: Any) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    return hasattr(pa.types, "is_string_view") and bool(pa.types.is_string_view(kind))
