"""One view of every kind of data frame: columns by name, converted only when used.

A column is numbers, booleans, a factor (codes and levels), or labels that can only form groups
(dates). Nothing is copied that need not be: a `Column` may look into the caller's memory, and
only the columns that the formula names are ever touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import DataError
from ranef.typing import BoolArray, IntArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The caller's data behind one interface.

    Attributes
    ----------
    names : tuple of str
    size : int
        Number of rows.
    index : pandas.Index
        The caller's row labels; a RangeIndex where there are none.
    read : callable
        Position of a column -> Column; use `column`.
    """

    names: tuple[str, ...]
    size: int
    index: pd.Index
    read: Callable[[int, str], Column]
    cache: dict[str, Column]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def column(self, name: str) -> Column:
        """Return a column; the caller has checked that it exists.

        Raises
        ------
        DataError
            If two columns have this name, or its values are of a kind that cannot be used.
        """
        found = self.cache.get(name)
        if found is None:
            if self.names.count(name) > 1:
                raise DataError(f"the data have {self.names.count(name)} columns named {name!r}.")
            found = self.cache[name] = self.read(self.names.index(name), name)
            if len(found.values) != self.size:
                raise DataError(
                    f"the columns differ in length: {name!r} has {len(found.values)} rows, "
                    f"others {self.size}."
                )
        return found


def open_frame(data: Any) -> Frame:
    """Wrap a pandas, polars or pyarrow table, or a dict of columns.

    Parameters
    ----------
    data : data frame or mapping of str to array-like

    Returns
    -------
    Frame

    Raises
    ------
    DataError
        If this is not a table.
    """
    if isinstance(data, pd.DataFrame):
        return _from_pandas(data)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    try:
        table = nw.from_native(data, eager_only=True)
    except TypeError:
        lazy = hasattr(data, "collect")
        hint = " Call .collect() first." if lazy else ""
        raise DataError(
            "data must be a pandas, polars or pyarrow table or a dict of columns; "
            f"got {type(data).__name__}.{hint}"
        ) from None
    names = tuple(table.columns)
    return Frame(
        names,
        len(table),
        pd.RangeIndex(len(table)),
        lambda position, name: _from_narwhals(table[:, position], name),
        {},
    )


def _from_pandas(data: pd.DataFrame) -> Frame:
    if data.columns.nlevels > 1:
        raise DataError("the data have columns with several levels of names; flatten them first.")
    return Frame(
        tuple(map(str, data.columns)),
        len(data),
        data.index,
        lambda position, name: column_from_series(data.iloc[:, position], name),
        {},
    )


def _from_mapping(data: Mapping[Any, Any]) -> Frame:
    keys = list(data)
    columns: dict[str, Column] = {}

    def read(position: int, name: str) -> Column:
        values = data[keys[position]]
        if isinstance(values, pd.Series):
            series = values
        elif hasattr(values, "__narwhals_series__") or nw.dependencies.is_into_series(values):
            return _from_narwhals(nw.from_native(values, series_only=True), name)
        else:
            try:
                series = pd.Series(values, copy=False)
            except (TypeError, ValueError) as error:
                raise DataError(f"the column {name!r} cannot be read: {error}") from None
        return column_from_series(series, name)

    size = 0
    for key in keys:
        try:
            size = len(data[key])
        except TypeError:
            raise DataError(
                f"the column {key!r} is a single value; give one value per row."
            ) from None
        break
    index: pd.Index = pd.RangeIndex(size)
    for key in keys:
        if isinstance(data[key], pd.Series) and len(data[key]) == size:
            index = data[key].index
            break
    return Frame(tuple(map(str, keys)), size, index, read, columns)


def column_from_series(series: pd.Series, name: str) -> Column:
    """Convert a pandas column.

    Raises
    ------
    DataError
        If its values are of a kind that cannot be used.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "f":
            return _floats(series.to_numpy(), name)
        if dtype.kind in "iu":
            return Column(name, "numeric", series.to_numpy())
        if dtype.kind == "b":
            return Column(name, "boolean", series.to_numpy())
        if dtype.kind == "O":
            return _from_objects(series, name)
        if dtype.kind == "c":
            raise DataError(f"the column {name!r} holds complex numbers.")
        return _labels(series, name)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = series.cat.codes.to_numpy()
        return _factor(name, codes, series.cat.categories, ordered=bool(dtype.ordered))
    if isinstance(dtype, pd.SparseDtype):
        return column_from_series(series.sparse.to_dense(), name)
    if pd.api.types.is_bool_dtype(dtype):
        return _nullable_booleans(series, name)
    if pd.api.types.is_numeric_dtype(dtype):
        if not series.hasnans and pd.api.types.is_integer_dtype(dtype):
            return Column(name, "numeric", series.to_numpy(dtype=np.int64))
        return _floats(series.to_numpy(dtype=np.float64, na_value=np.nan), name)
    if pd.api.types.is_string_dtype(dtype):
        return _strings(series, name)
    if str(dtype).startswith("dictionary"):
        return column_from_series(series.astype("category"), name)
    return _labels(series, name)


def _from_narwhals(series: nw.Series[Any], name: str) -> Column:
    dtype = series.dtype
    if dtype == nw.Boolean():
        missing = series.is_null().to_numpy()
        filled = series.fill_null(False) if missing.any() else series
        return Column(
            name,
            "boolean",
            filled.to_numpy().astype(bool),
            missing=missing if missing.any() else None,
        )
    if dtype.is_integer() and series.null_count() == 0:
        return Column(name, "numeric", series.to_numpy())
    if dtype.is_numeric():
        return _floats(series.cast(nw.Float64()).to_numpy().astype(np.float64, copy=False), name)
    if dtype in (nw.Categorical, nw.Enum):
        levels = series.cat.get_categories().to_list()
        declared = getattr(getattr(series.to_native(), "type", None), "ordered", False)
        codes = pd.Categorical(series.cast(nw.String()).to_list(), categories=levels).codes
        return _factor(name, codes, pd.Index(levels), ordered=bool(declared))
    if dtype == nw.String():
        return _strings(pd.Series(series.to_list(), dtype=object), name)
    if dtype.is_temporal():
        return _labels(pd.Series(series.to_numpy()), name)
    if dtype == nw.Object() or dtype == nw.Unknown():
        return _from_objects(pd.Series(series.to_list(), dtype=object), name)
    raise DataError(f"the column {name!r} holds {dtype}, which cannot be used in a model.")


def _floats(values: NDArray[Any], name: str) -> Column:
    missing: BoolArray | None = None
    if not np.isfinite(values).all():
        missing = np.isnan(values)
        if not missing.any():
            missing = None
    return Column(name, "numeric", values, missing=missing)


def _factor(
    name: str, codes: IntArray, levels: pd.Index, *, ordered: bool = False, text: bool = False
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


def _strings(series: pd.Series, name: str) -> Column:
    codes, levels = pd.factorize(series, sort=True)
    return _factor(name, codes, pd.Index(levels, dtype=object), text=True)


def _labels(series: pd.Series, name: str) -> Column:
    codes, levels = pd.factorize(series, sort=True)
    missing = codes < 0
    return Column(
        name,
        "labels",
        codes,
        levels=pd.Index(levels),
        missing=missing if missing.any() else None,
    )


def _nullable_booleans(series: pd.Series, name: str) -> Column:
    missing = series.isna().to_numpy()
    values = series.fillna(False).to_numpy(dtype=bool)
    return Column(name, "boolean", values, missing=missing if missing.any() else None)


def _from_objects(series: pd.Series, name: str) -> Column:
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
