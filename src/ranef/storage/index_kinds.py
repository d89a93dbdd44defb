"""Every kind of pandas Index as JSON and back, one pair of functions each.

An index is an object with its kind, its name and its parts; numbers and text stand in arrays. Text
is one array of UTF-8 bytes and one of positions. The first kind in `KINDS` that recognises an index
writes it. What pandas keeps in pyarrow's arrays comes back in pandas' own, so that a file can be
read where pyarrow is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import StorageError
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.fields import Fields
from ranef.storage.scalars import decode_scalar, encode_scalar

JSON = dict[str, Any]

# Zones of the time-zone database and fixed offsets; never a path
_ZONE = r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*(?:[+-]\d\d:\d\d)?"
_UNITS = ("s", "ms", "us", "ns")
_MASKED = {  # pandas' types with a mask, and the type of their numbers
    "boolean": "bool",
    **{name: name.lower() for name in ("Int8", "Int16", "Int32", "Int64", "Float32", "Float64")},
    **{name: name.lower() for name in ("UInt8", "UInt16", "UInt32", "UInt64")},
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where the arrays of an index go. Ranges longer than ``rows`` are written as numbers."""

    arrays: ArrayWriter
    rows: int

    def numbers(self, values: Any) -> JSON:
        """Write an array."""
        return self.arrays.add(np.asarray(values), "labels")

    def texts(self, values: Sequence[str]) -> JSON:
        """Write strings."""
        encoded = [value.encode("utf-8", "surrogatepass") for value in values]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return {"text": self.numbers(text), "ends": self.numbers(ends)}


@dataclass(frozen=True, slots=True)
class Source:
    """Where the arrays of an index come from. No range may be longer than ``rows``."""

    arrays: ArrayReader
    rows: int

    def numbers(self, fields: Fields, key: str) -> NDArray[Any]:
        """Read an array with one axis."""
        values = self.arrays.get(fields.get(key))
        if values.ndim != 1:
            raise StorageError(f"{fields.where}: {key!r} is not a list of numbers")
        return values

    def texts(self, fields: Fields) -> list[str]:
        """Read strings."""
        text = self.numbers(fields, "text").astype(np.uint8).tobytes()
        ends = self.numbers(fields, "ends").astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if (ends < starts).any() or ends[-1:].sum() != len(text):
            raise StorageError(f"{fields.where}: the texts do not end where they should")
        return [
            text[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class IndexKind:
    """How one kind of index is recognised, written and read."""

    name: str
    fits: Callable[[Any, Target], bool]
    write: Callable[[Any, Target], JSON]
    read: Callable[[Fields, Source], Any]


def encode_index(index: pd.Index, target: Target) -> JSON:
    """Return an index as JSON.

    Raises
    ------
    StorageError
        If it holds labels that cannot be saved.
    """
    if isinstance(index.dtype, pd.ArrowDtype):
        index = pd.Index(index.astype(object).tolist(), name=index.name)
    kind = next((kind for kind in KINDS if kind.fits(index, target)), None)
    if kind is None:
        raise StorageError(f"labels of type {index.dtype} cannot be saved; use text or numbers.")
    own = {} if isinstance(index, pd.MultiIndex) else {"name": encode_scalar(index.name)}
    return {"kind": kind.name, **own, **kind.write(index, target)}


def decode_index(fields: Fields, source: Source) -> pd.Index:
    """Return the index that `encode_index` was given.

    Raises
    ------
    StorageError, ValueError, TypeError
        If this is not what `encode_index` writes.
    """
    name = fields.text("kind")
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        raise StorageError(f"{fields.where}: {name!r:.20} is not a kind of labels")
    index: pd.Index = kind.read(fields, source)
    return index.rename(decode_scalar(fields.get("name"))) if "name" in fields else index


def _write_multi(index: pd.MultiIndex, target: Target) -> JSON:
    used = index.remove_unused_levels()
    return {
        "names": [encode_scalar(name) for name in used.names],
        "levels": [encode_index(level.rename(None), target) for level in used.levels],
        "codes": [target.numbers(codes) for codes in used.codes],
    }


def _read_multi(fields: Fields, source: Source) -> Any:
    levels: list[Any] = [decode_index(level, source) for level in fields.each("levels")]
    codes: list[Any] = [source.arrays.get(codes) for codes in fields.items("codes")]
    names = [decode_scalar(name) for name in fields.items("names")]
    return pd.MultiIndex(levels=levels, codes=codes, names=names)


def _read_range(fields: Fields, source: Source) -> Any:
    ends = fields.items("range")
    if len(ends) != 3 or not all(type(end) is int and abs(end) < 2**62 for end in ends):
        raise StorageError(f"{fields.where}: {ends!r:.60} is not a range")
    index = pd.RangeIndex(*ends)
    if len(index) > source.rows:
        raise StorageError(f"{fields.where}: the range is longer than the data")
    return index


def _write_categorical(index: pd.CategoricalIndex, target: Target) -> JSON:
    return {
        "codes": target.numbers(index.codes),
        "categories": encode_index(index.categories, target),
        "ordered": bool(index.ordered),
    }


def _read_categorical(fields: Fields, source: Source) -> Any:
    categories = decode_index(fields.fields("categories"), source)
    codes = source.numbers(fields, "codes")
    values = pd.Categorical.from_codes(codes, categories, ordered=fields.flag("ordered"))
    return pd.CategoricalIndex(values)


def _write_interval(index: pd.IntervalIndex, target: Target) -> JSON:
    sides = {"left": encode_index(index.left, target), "right": encode_index(index.right, target)}
    return {**sides, "closed": index.closed}


def _read_interval(fields: Fields, source: Source) -> Any:
    left, right = (decode_index(fields.fields(side), source) for side in ("left", "right"))
    closed: Any = fields.text("closed")
    return pd.IntervalIndex.from_arrays(left, right, closed=closed)


def _read_period(fields: Fields, source: Source) -> Any:
    make: Any = pd.PeriodIndex  # its stubs do not know from_ordinals
    return make.from_ordinals(source.numbers(fields, "values"), freq=fields.text("frequency"))


def _write_times(index: Any, target: Target) -> JSON:
    zone = getattr(index, "tz", None)
    if zone is not None and not re.fullmatch(_ZONE, str(zone)):
        raise StorageError(
            f"the time zone {str(zone)!r} cannot be saved; use one that has a name: "
            "tz_convert('Europe/Berlin')."
        )
    return {
        "values": target.numbers(index.asi8),
        "unit": index.unit,
        "frequency": index.freqstr,
        "zone": None if zone is None else str(zone),
    }


def _read_times(fields: Fields, source: Source) -> Any:
    unit = fields.text("unit")
    if unit not in _UNITS:
        raise StorageError(f"{fields.where}: {unit!r:.20} is not a unit of time")
    scalar = "datetime64" if fields.text("kind") == "datetime" else "timedelta64"
    values = source.numbers(fields, "values").astype(np.int64).view(f"{scalar}[{unit}]")
    index: Any = pd.Index(values)
    zone = fields.get("zone")
    if zone is not None:
        if not isinstance(zone, str) or not re.fullmatch(_ZONE, zone):
            raise StorageError(f"{fields.where}: {zone!r:.40} is not a time zone")
        index = index.tz_localize("UTC").tz_convert(zone)
    if fields.get("frequency") is not None:
        index.freq = fields.text("frequency")
    return index


def _write_string(index: pd.Index, target: Target) -> JSON:
    missing = np.asarray(index.isna())
    pairs = zip(index, missing, strict=True)
    return {
        "na": "NA" if index.dtype.na_value is pd.NA else "nan",  # type: ignore[union-attr]
        "missing": target.numbers(missing) if missing.any() else None,
        **target.texts(["" if gone else str(text) for text, gone in pairs]),
    }


def _read_string(fields: Fields, source: Source) -> Any:
    na = {"NA": pd.NA, "nan": np.nan}[fields.text("na")]
    texts: list[Any] = list(source.texts(fields))
    if fields.get("missing") is not None:
        gone = source.numbers(fields, "missing")
        texts = [na if lost else text for text, lost in zip(texts, gone, strict=True)]
    # pandas' own type for text: before pandas 3 that was object
    return pd.Index(texts, dtype="string" if na is pd.NA else pd.Index(["text"]).dtype)


def _write_masked(index: pd.Index, target: Target) -> JSON:
    values = index.to_numpy(dtype=_MASKED[str(index.dtype)], na_value=0)
    missing = target.numbers(index.isna())
    return {"dtype": str(index.dtype), "values": target.numbers(values), "missing": missing}


def _read_masked(fields: Fields, source: Source) -> Any:
    dtype: Any = fields.text("dtype")
    if dtype not in _MASKED:
        raise StorageError(f"{fields.where}: {dtype!r:.20} is not a kind of labels")
    values: Any = pd.array(source.numbers(fields, "values").astype(_MASKED[dtype]), dtype=dtype)
    values[source.numbers(fields, "missing").astype(bool)] = pd.NA
    return pd.Index(values)


def _read_objects(fields: Fields, source: Source) -> Any:
    stored = fields.items("values")
    values = np.empty(len(stored), dtype=object)
    for position, value in enumerate(stored):  # assigned at once, tuples would become rows
        values[position] = decode_scalar(value)
    return pd.Index(values, dtype=object, tupleize_cols=False)


def _numpy_kind(index: pd.Index) -> str:
    return index.dtype.kind if isinstance(index.dtype, np.dtype) else ""


KINDS: tuple[IndexKind, ...] = (
    IndexKind("multi", lambda i, _: isinstance(i, pd.MultiIndex), _write_multi, _read_multi),
    IndexKind(
        "range",
        lambda i, t: isinstance(i, pd.RangeIndex) and len(i) <= t.rows,
        lambda i, _: {"range": [i.start, i.stop, i.step]},
        _read_range,
    ),
    IndexKind(
        "categorical",
        lambda i, _: isinstance(i, pd.CategoricalIndex),
        _write_categorical,
        _read_categorical,
    ),
    IndexKind(
        "interval", lambda i, _: isinstance(i, pd.IntervalIndex), _write_interval, _read_interval
    ),
    IndexKind(
        "period",
        lambda i, _: isinstance(i, pd.PeriodIndex),
        lambda i, t: {"values": t.numbers(i.asi8), "frequency": i.freqstr},
        _read_period,
    ),
    IndexKind("datetime", lambda i, _: isinstance(i, pd.DatetimeIndex), _write_times, _read_times),
    IndexKind(
        "timedelta", lambda i, _: isinstance(i, pd.TimedeltaIndex), _write_times, _read_times
    ),
    IndexKind(
        "string", lambda i, _: isinstance(i.dtype, pd.StringDtype), _write_string, _read_string
    ),
    IndexKind("masked", lambda i, _: str(i.dtype) in _MASKED, _write_masked, _read_masked),
    IndexKind(
        "numbers",
        lambda i, _: _numpy_kind(i) in tuple("biuf"),
        lambda i, t: {"values": t.numbers(i)},
        lambda fields, source: pd.Index(source.numbers(fields, "values")),
    ),
    IndexKind(
        "object strings",
        lambda i, _: _numpy_kind(i) == "O" and len(i) > 0 and all(type(v) is str for v in i),
        lambda i, t: t.texts(i.tolist()),
        lambda fields, source: pd.Index(source.texts(fields), dtype=object),
    ),
    IndexKind(
        "objects",
        lambda i, _: _numpy_kind(i) == "O",
        lambda i, _: {"values": [encode_scalar(value) for value in i]},
        _read_objects,
    ),
)
