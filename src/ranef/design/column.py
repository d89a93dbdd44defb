"""Columns of every kind of data frame, converted to numbers, booleans, factors or labels.

A column is numbers, booleans, a factor (codes and levels), or labels that can only form groups
(dates). Nothing is copied that need not be: a `Column` may look into the caller's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import DataError
from ranef.typing import BoolArray

Kind: TypeAlias = Literal["numeric", "boolean", "factor", "labels"]


WHOLE = 2**53  # whole numbers up to this one are exact in floats


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of the data. n rows.

    Attributes
    ----------
    name : str
    kind : str
        ``labels`` are values that are neither numbers nor categories, such as dates.
    values : array (n,)
        Numbers, booleans, or the codes of a factor (-1 where missing). Numbers are NaN where
        missing, except for integers that would not be exact in floats: these are 0 there.
    levels : pandas.Index or None
        What the codes stand for.
    ordered : bool
        Whether the levels have an order that matters.
    text : bool
        Whether the levels were found among strings, not declared.
    missing : bool array (n,) or None
        None if nothing is missing.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    levels: pd.Index | None = None
    ordered: bool = False
    text: bool = False
    missing: BoolArray | None = None


def column_from_series(series: pd.Series[Any], name: str) -> Column:
    """Convert a pandas column.

    Raises
    ------
    DataError
        If its values are of a kind that cannot be used.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        read = _BY_NUMPY_KIND.get(dtype.kind, _labels)
    elif isinstance(dtype, pd.CategoricalDtype):
        read = _categories
    elif isinstance(dtype, pd.SparseDtype):
        return column_from_series(pd.Series(np.asarray(series.array)), name)
    elif pd.api.types.is_bool_dtype(dtype):
        read = _nullable_booleans
    elif pd.api.types.is_numeric_dtype(dtype):
        read = _nullable_numbers
    elif pd.api.types.is_string_dtype(dtype):
        read = _strings
    elif str(dtype).startswith("dictionary"):  # pyarrow's categories
        return _categories(series.astype("category"), name)
    else:
        read = _labels
    return read(series, name)


def column_from_narwhals(series: nw.Series[Any], name: str) -> Column:
    """Convert a column of any other data frame.

    Raises
    ------
    DataError
        If its values are of a kind that cannot be used.
    """
    dtype = series.dtype
    if dtype.is_integer():
        missing = series.is_null().to_numpy()
        values: Any = (series.fill_null(0) if missing.any() else series).to_numpy()
        return column_from_integers(values, missing, name)
    if dtype == nw.Boolean and series.null_count() == 0:
        return Column(name, "boolean", series.to_numpy())
    if dtype.is_numeric():
        return _floats(series.cast(nw.Float64()).to_numpy().astype(np.float64, copy=False), name)
    native = series.to_native()
    if dtype == nw.Categorical and _only_encodes(native):
        plain = nw.from_native(native.cast(native.type.value_type), series_only=True)
        return column_from_narwhals(plain, name)
    if dtype in (nw.Categorical, nw.Enum):
        levels, ordered = _declared_levels(series)
        values = pd.Categorical(series.cast(nw.String()).to_list(), levels, ordered)
    elif dtype.is_temporal():
        values = pd.Series(series.to_numpy())
    elif dtype in (nw.Boolean, nw.String, nw.Object, nw.Unknown):
        values = pd.Series(series.to_list(), dtype=object)
    else:
        raise DataError(f"the column {name!r} holds {dtype}, which cannot be used in a model.")
    return column_from_series(pd.Series(values), name)


def _only_encodes(native: Any) -> bool:
    """Tell whether this is a dictionary of pyarrow that declares no order of categories."""
    return hasattr(native, "unify_dictionaries") and not native.type.ordered


def column_from_integers(values: NDArray[Any], missing: BoolArray, name: str) -> Column:
    """Return whole numbers some of which are missing: floats with NaN, if those are exact.

    Parameters
    ----------
    values : integer array (n,)
        Anything where missing.
    missing : bool array (n,)
    name : str
    """
    if not missing.any():
        return Column(name, "numeric", values)
    values = np.where(missing, values.dtype.type(0), values)
    if int(values.max()) <= WHOLE and int(values.min()) >= -WHOLE:
        values = np.where(missing, np.nan, values)
    return Column(name, "numeric", values, missing=missing)


def _declared_levels(series: nw.Series[Any]) -> tuple[list[Any] | None, bool]:
    """Return the levels in the order the caller gave them; polars' Categorical has none."""
    native = series.to_native()
    if series.dtype == nw.Enum:
        return list(getattr(series.dtype, "categories", ())), False
    if hasattr(native, "unify_dictionaries"):  # pyarrow
        chunks = native.unify_dictionaries().chunks
        return chunks[0].dictionary.to_pylist() if chunks else [], bool(native.type.ordered)
    categories = getattr(native.dtype, "categories", None)  # anything that looks like pandas
    if categories is None or not hasattr(categories, "tolist"):
        return None, False
    return categories.tolist(), bool(native.dtype.ordered)


def _numbers(series: pd.Series[Any], name: str) -> Column:
    return Column(name, "numeric", series.to_numpy())


def _float_series(series: pd.Series[Any], name: str) -> Column:
    return _floats(series.to_numpy(), name)


def _booleans(series: pd.Series[Any], name: str) -> Column:
    return Column(name, "boolean", series.to_numpy())


def _complex(series: pd.Series[Any], name: str) -> Column:
    raise DataError(f"the column {name!r} holds complex numbers; give their real part.")


def _categories(series: pd.Series[Any], name: str) -> Column:
    codes = series.cat.codes.to_numpy()
    return _factor(name, codes, series.cat.categories, ordered=bool(series.cat.ordered))


def _nullable_numbers(series: pd.Series[Any], name: str) -> Column:
    if pd.api.types.is_integer_dtype(series.dtype):
        own = np.uint64 if pd.api.types.is_unsigned_integer_dtype(series.dtype) else np.int64
        return column_from_integers(
            series.to_numpy(own, na_value=0), series.isna().to_numpy(), name
        )
    return _floats(series.to_numpy(dtype=np.float64, na_value=np.nan), name)


def _floats(values: NDArray[Any], name: str) -> Column:
    missing: BoolArray | None = None
    if not np.isfinite(values).all():
        missing = np.isnan(values)
        if not missing.any():
            missing = None
    return Column(name, "numeric", values, missing=missing)


def _factor(
    name: str, codes: NDArray[Any], levels: pd.Index, *, ordered: bool = False, text: bool = False
) -> Column:
    missing = codes < 0
    return Column(
        name,
        "factor",
        codes,
        levels=levels,
        ordered=ordered,
        text=text,
        missing=missing if missing.any() else None,
    )


def _strings(series: pd.Series[Any], name: str) -> Column:
    codes, levels = pd.factorize(series, sort=True)
    return _factor(name, codes, pd.Index(levels, dtype=object), text=True)


def _labels(series: pd.Series[Any], name: str) -> Column:
    try:
        codes, levels = pd.factorize(series, sort=True)
    except TypeError:  # they cannot be sorted
        raise DataError(
            f"the column {name!r} holds labels of several kinds, such as dates with and without "
            "time zones; give it one type."
        ) from None
    missing = codes < 0
    return Column(
        name,
        "labels",
        codes,
        levels=pd.Index(levels),
        missing=missing if missing.any() else None,
    )


def _nullable_booleans(series: pd.Series[Any], name: str) -> Column:
    missing = series.isna().to_numpy()
    values = series.fillna(False).to_numpy(dtype=bool)
    return Column(name, "boolean", values, missing=missing if missing.any() else None)


def _from_objects(series: pd.Series[Any], name: str) -> Column:
    """Find out what a column of Python objects holds."""
    found = pd.api.types.infer_dtype(series, skipna=True)
    if found not in _BY_OBJECTS:
        raise DataError(
            f"the column {name!r} holds {found} Python objects; "
            "convert it to numbers, strings or a categorical."
        )
    return _BY_OBJECTS[found](series, name)


def _nothing(series: pd.Series[Any], name: str) -> Column:
    """Where nothing is, nothing can be wrong: numbers, all missing, fit everywhere."""
    return _floats(np.full(len(series), np.nan), name)


def _python_booleans(series: pd.Series[Any], name: str) -> Column:
    return _nullable_booleans(series.astype("boolean"), name)


def _python_integers(series: pd.Series[Any], name: str) -> Column:
    for dtype in ("Int64", "UInt64"):
        try:
            whole = pd.Series(pd.array(series.to_numpy(), dtype=dtype))
        except (OverflowError, TypeError, ValueError):  # too large
            continue
        return _nullable_numbers(whole, name)
    return _python_numbers(series, name)


def _python_numbers(series: pd.Series[Any], name: str) -> Column:
    return _floats(pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan), name)


def _times(series: pd.Series[Any], name: str) -> Column:
    """Make dates and times one type: a date is its midnight."""
    try:
        return _labels(pd.to_datetime(series), name)
    except pd.errors.OutOfBoundsDatetime:
        return _labels(series, name)  # they can be sorted if they are of one type
    except (TypeError, ValueError):
        raise DataError(
            f"the column {name!r} holds dates of several time zones, or with and without one; give "
            "it one type."
        ) from None


_BY_NUMPY_KIND: dict[str, Callable[[pd.Series[Any], str], Column]] = {
    "f": _float_series,
    "i": _numbers,
    "u": _numbers,
    "b": _booleans,
    "c": _complex,
    "O": _from_objects,
}
_BY_OBJECTS: dict[str, Callable[[pd.Series[Any], str], Column]] = {
    "string": _strings,
    "empty": _nothing,
    "boolean": _python_booleans,
    "integer": _python_integers,
    "floating": _python_numbers,
    "mixed-integer-float": _python_numbers,
    "decimal": _python_numbers,
    "date": _times,
    "datetime": _times,
    "datetime64": _times,
    "timedelta": _labels,
    "period": _labels,
    "interval": _labels,
    "time": _labels,
}
