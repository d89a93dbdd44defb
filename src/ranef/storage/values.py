"""What transforms learned and what a context holds: scalars, arrays, lists and dicts of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ranef.design.contrasts import ContrastRequest
from ranef.errors import StorageError
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.scalars import decode_scalar, encode_scalar


def encode_value(value: Any, arrays: ArrayWriter, indices: IndexWriter) -> Any:
    """Return a value as JSON; arrays and pandas' own scalars go where such things go.

    Raises
    ------
    StorageError
        If it holds anything that is not data, such as a function.
    """
    if isinstance(value, np.ndarray):
        return {"values": arrays.add(value)}
    if isinstance(value, pd.Timestamp | pd.Timedelta | pd.Period | pd.Interval):
        return {"label": indices.add(pd.Index([value]))}
    if isinstance(value, ContrastRequest):
        parts = (value.name, value.reference, value.base)
        return {"contrast": [encode_value(part, arrays, indices) for part in parts]}
    if type(value) in (tuple, list):
        kind = "items" if type(value) is tuple else "list"
        return {kind: [encode_value(item, arrays, indices) for item in value]}
    if type(value) is dict:
        pairs = [(key, encode_value(item, arrays, indices)) for key, item in value.items()]
        return {"dict": [[encode_scalar(key), item] for key, item in pairs]}
    return encode_scalar(value)


def decode_value(stored: Any, arrays: ArrayReader, indices: IndexReader) -> Any:
    """Return the value that `encode_value` was given.

    Raises
    ------
    StorageError
        If this is not what `encode_value` writes.
    """
    if not isinstance(stored, dict) or len(stored) != 1:
        return decode_scalar(stored)
    ((kind, content),) = stored.items()
    if kind == "values":
        return arrays.get(content)
    if kind == "label":
        return indices.get(content)[0]
    if kind not in _CONTAINERS:
        return decode_scalar(stored)
    if not isinstance(content, list):
        raise StorageError(f"{content!r:.60} is not a list")
    if kind != "dict":
        return _CONTAINERS[kind]([decode_value(item, arrays, indices) for item in content])
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise StorageError("a dict has entries that are not pairs")
    return {decode_scalar(key): decode_value(item, arrays, indices) for key, item in content}


def _contrast(parts: list[Any]) -> ContrastRequest:
    if len(parts) != 3 or type(parts[0]) is not str:
        raise StorageError(f"{parts!r:.60} is not a contrast")
    return ContrastRequest(*parts)


_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "items": tuple,
    "list": list,
    "dict": dict,
    "contrast": _contrast,
}
