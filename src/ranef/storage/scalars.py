"""Single values as JSON, with their types: numbers, text, dates, missing values.

JSON's own kinds stand for themselves. Everything else is an object with one key that names the kind
(two for numpy's scalars), so that each comes back as what it was, not as something that looks
like it. A value of another kind cannot be saved.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from ranef.errors import StorageError

_MISSING: dict[str, Any] = {"NA": pd.NA, "NaT": pd.NaT}
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_NUMPY = {
    name: np.dtype(name).type
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
}  # fmt: skip


def encode_scalar(value: Any) -> Any:
    """Return a value as JSON.

    Raises
    ------
    StorageError
        If values of this type cannot be saved.

    Examples
    --------
    >>> encode_scalar("a"), encode_scalar(float("nan")), encode_scalar(("a", 1))
    ('a', {'float': 'nan'}, {'tuple': ['a', 1]})
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if np.isfinite(value) else {"float": str(value)}
    for name, special in _MISSING.items():
        if value is special:
            return {"missing": name}
    if kind is tuple:
        return {"tuple": [encode_scalar(item) for item in value]}
    if isinstance(value, np.generic) and value.dtype.name in _NUMPY:
        return {"numpy": value.dtype.name, "value": encode_scalar(value.item())}
    if kind in _WRITERS and getattr(value, "tzinfo", None) is None:
        name, write = _WRITERS[kind]
        return {name: write(value)}
    raise StorageError(
        f"{value!r:.60} is of type {kind.__name__}, which cannot be saved; use text or numbers."
    )


def decode_scalar(stored: Any) -> Any:
    """Return the value that `encode_scalar` was given.

    Raises
    ------
    StorageError
        If this is not what `encode_scalar` writes.

    Examples
    --------
    >>> decode_scalar({"date": "2024-02-29"})
    datetime.date(2024, 2, 29)
    """
    if stored is None or type(stored) in (bool, int, float, str):
        return stored
    if isinstance(stored, dict) and stored.keys() == {"numpy", "value"}:
        return _numpy_scalar(stored["numpy"], decode_scalar(stored["value"]))
    if isinstance(stored, dict) and len(stored) == 1:
        ((name, value),) = stored.items()
        if name in _READERS:
            try:
                return _READERS[name](value)
            except (ArithmeticError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, StorageError):
                    raise
                raise StorageError(f"{stored!r:.60} is not a value") from None
    raise StorageError(f"{stored!r:.60} is not a value")


def _numpy_scalar(name: Any, value: Any) -> Any:
    if not isinstance(name, str) or name not in _NUMPY or not isinstance(value, int | float):
        raise StorageError(f"{name!r:.20} is not a kind of number")
    try:
        return _NUMPY[name](value)
    except (OverflowError, ValueError):
        raise StorageError(f"{value!r:.60} is not {name}") from None


def _tuple(items: Any) -> tuple[Any, ...]:
    if not isinstance(items, list):
        raise StorageError(f"{items!r:.60} is not a list")
    return tuple(decode_scalar(item) for item in items)


_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    dt.date: ("date", dt.date.isoformat),
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.time: ("time", dt.time.isoformat),
    dt.timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", str),
}

_READERS: dict[str, Callable[[Any], Any]] = {
    "float": lambda value: _FLOATS[value],
    "missing": lambda value: _MISSING[value],
    "tuple": _tuple,
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda value: dt.timedelta(*value),
    "decimal": Decimal,
}
