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


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of the data. n rows.

    Attributes
    ----------
    name : str
    kind : str
        ``labels`` are values that are neither numbers nor categories, such as dates.
    values : array (n,)
        Numbers, booleans, or the codes of a factor (-1 where missing).
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
    if dtype.is_integer() and series.null_count() == 0:
        return Column(name, "numeric", series.to_numpy())
    if dtype == nw.Boolean and series.null_count() == 0:
        return Column(name, "boolean", series.to_numpy())
    if dtype.is_numeric():
        return _floats(series.cast(nw.Float64()).to_numpy().astype(np.float64, copy=False), name)
    if dtype in (nw.Categorical, nw.Enum):
        levels, ordered = _declared_levels(series)
        values: Any = pd.Categorical(series.cast(nw.String()).to_list(), levels, ordered)
    elif dtype.is_temporal():
        values = pd.Series(series.to_numpy())
    elif dtype in (nw.Boolean, nw.String, nw.Object, nw.Unknown):
        values = pd.Series(series.to_list(), dtype=object)
    else:
        raise DataError(f"the column {name!r} holds {dtype}, which cannot be used in a model.")
    return column_from_series(pd.Series(values), name)


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
    if not series.hasnans and pd.api.types.is_integer_dtype(series.dtype):
        return Column(name, "numeric", series.to_numpy(dtype=np.int64))
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
    codes, levels = pd.factorize(series, sort=True)
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
    if found in ("string", "empty"):
        return _strings(series, name)
    if found == "boolean":
        return _nullable_booleans(series.astype("boolean"), name)
    if found in ("integer", "floating", "mixed-integer-float", "decimal"):
        return _floats(pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan), name)
    if found in ("date", "datetime", "datetime64", "timedelta", "period", "interval", "time"):
        return _labels(series, name)
    raise DataError(
        f"the column {name!r} holds {found} Python objects; "
        "convert it to numbers, strings or a categorical."
    )


_BY_NUMPY_KIND: dict[str, Callable[[pd.Series[Any], str], Column]] = {
    "f": _float_series,
    "i": _numbers,
    "u": _numbers,
    "b": _booleans,
    "c": _complex,
    "O": _from_objects,
}
