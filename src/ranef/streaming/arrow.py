"""Arrow tables as frames, without the detour over Python objects.

A chunk of text columns becomes codes and levels in Arrow's own code. The order of the levels of a
chunk means nothing, because chunks are joined by value, so they are not sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ranef.design.column import Column, column_from_series
from ranef.design.frame import Frame
from ranef.errors import DataError, MissingDependencyError


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
        lambda position, name: _column(table.column(position), name),
    )


def _column(values: Any, name: str) -> Column:
    pa = import_pyarrow()
    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    kind = chunked.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(pa, kind)
    if text or pa.types.is_dictionary(kind):
        if text:
            chunked = chunked.cast(pa.large_string()).dictionary_encode()
        return _dictionary(chunked.unify_dictionaries(), name, text=text)
    if pa.types.is_integer(kind) and chunked.null_count == 0:
        return Column(name, "numeric", chunked.to_numpy())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column_from_series(pd.Series(chunked.cast(pa.float64()).to_numpy()), name)
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind):
        return column_from_series(chunked.to_pandas(), name)
    raise DataError(f"the column {name!r} holds {kind}, which cannot be used in a model.")


def _is_view(pa: Any, kind: Any) -> bool:
    return hasattr(pa.types, "is_string_view") and bool(pa.types.is_string_view(kind))


def _dictionary(chunked: Any, name: str, *, text: bool) -> Column:
    pa = import_pyarrow()
    if chunked.num_chunks == 0:
        return Column(
            name, "factor", np.zeros(0, dtype=np.int32), pd.Index([], dtype=object), text=text
        )
    array = chunked.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    indices = array.indices
    if indices.null_count:
        indices = indices.cast(pa.int64()).fill_null(-1)
    codes = indices.to_numpy(zero_copy_only=False)
    if codes.dtype.kind == "u":
        codes = codes.astype(np.int64)
    missing = codes < 0
    return Column(
        name,
        "factor",
        codes,
        pd.Index(array.dictionary.to_pylist(), dtype=object),
        ordered=bool(chunked.type.ordered) and not text,
        text=text,
        missing=missing if missing.any() else None,
    )
