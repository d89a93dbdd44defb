"""Arrow's dictionaries: an encoding of repeated values, or categories in a declared order.

Writers encode text as dictionaries to save space; the order of such a dictionary is that in which
the values came, which depends on how the data are cut. It counts as declared where the type says
that it is ordered, and where pandas or polars have left word that the column was categorical.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ranef.design.column import Column

# Where polars keeps the categories of an Enum: length, semicolon, text, and so on.
_ENUM = (b"_PL_ENUM_VALUES2", b"_PL_ENUM_VALUES")


# Declared categories, None for those of the dictionary; and whether they are ordered.
Declared: TypeAlias = tuple[tuple[str, ...] | None, bool]


def declared_column(table: Any, position: int, name: str) -> Column | None:
    """Return a column of an Arrow table if it holds declared categories, else None."""
    found = declared(table.schema, position)
    return None if found is None else dictionary_column(table.column(position), name, found)


def declared(schema: Any, position: int) -> Declared | None:
    """Return what the schema of an Arrow table says about the categories of a column.

    Parameters
    ----------
    schema : pyarrow.Schema
    position : int

    Returns
    -------
    (levels, ordered) or None
        None if this is no dictionary, or one that is an encoding only.
    """
    field = schema.field(position)
    if not hasattr(field.type, "value_type") or not hasattr(field.type, "ordered"):
        return None
    metadata = field.metadata or {}
    for key in _ENUM:
        if key in metadata:  # polars marks it as ordered, but its order only sorts
            return _enum_levels(metadata[key]), False
    if field.type.ordered:
        return None, True
    known = (schema.metadata or {}).get(b"pandas")
    if known is not None:
        for column in json.loads(known).get("columns", ()):
            own = column.get("field_name", column.get("name"))
            if own == field.name and column.get("pandas_type") == "categorical":
                return None, False
    return None


def _enum_levels(text: bytes) -> tuple[str, ...]:
    levels = []
    while text:
        size, _, rest = text.partition(b";")
        levels.append(rest[: int(size)].decode())
        text = rest[int(size) :]
    return tuple(levels)


def dictionary_column(chunked: Any, name: str, given: Declared | None) -> Column:
    """Convert a dictionary array without decoding it.

    Parameters
    ----------
    chunked : pyarrow.ChunkedArray
        Of a dictionary type.
    name : str
    given : (levels, ordered) or None
        What was declared. None for text, whose levels come as they are, not sorted.
    """
    wanted, ordered = (None, False) if given is None else given
    codes: Any = np.zeros(0, dtype=np.int32)
    levels: pd.Index = pd.Index([], dtype=object)
    if chunked.num_chunks:
        array = chunked.unify_dictionaries().combine_chunks()
        array = array.chunk(0) if hasattr(array, "num_chunks") else array
        if array.dictionary.null_count:  # missing by its value, not by its code
            array = array.dictionary_decode().dictionary_encode()
        codes = _codes(array.indices)
        levels = pd.Index(array.dictionary.to_pylist(), dtype=object)
    if wanted is not None:
        known: pd.Index = pd.Index(list(wanted), dtype=object)
        codes = np.append(known.get_indexer(levels), -1)[codes]
        levels = known
    missing = codes < 0
    return Column(
        name,
        "factor",
        codes,
        levels,
        ordered=ordered,
        text=given is None,
        missing=missing if missing.any() else None,
    )


def _codes(indices: Any) -> Any:
    if indices.null_count:
        indices = indices.cast("int64").fill_null(-1)
    codes = indices.to_numpy(zero_copy_only=False)
    return codes.astype(np.int64) if codes.dtype.kind == "u" else codes
