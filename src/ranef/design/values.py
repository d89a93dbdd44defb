"""What an expression can be worth: numbers, several columns, or a factor.

Scalars and arrays are numpy's and Python's own; these two classes are what those cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import DataError
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Several numeric columns of n rows, such as a spline basis.

    Attributes
    ----------
    columns : tuple of float64 array (n,)
    names : tuple of str
        What tells the columns apart: ``1``, ``2``, ...
    """

    columns: tuple[FloatArray, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FactorValue:
    """A factor of n rows.

    Attributes
    ----------
    codes : int array (n,)
        Position in ``levels``; -1 where missing.
    levels : pandas.Index
    ordered : bool
        Ordered factors get polynomial contrasts.
    text : bool
        Whether the levels were found among strings.
    labels_only : bool
        Whether the values are dates or the like, which can only form groups.
    contrast : object
        What ``C(x, contrast)`` asked for, or None.
    """

    codes: IntArray
    levels: pd.Index
    ordered: bool = False
    text: bool = False
    labels_only: bool = False
    contrast: Any = None

    def code_of(self, level: Any) -> int:
        """Return the code of a level, or -2 if there is none."""
        for code, known in enumerate(self.levels):
            if known == level or str(known) == level:
                return code
        return -2


def as_number(value: Any) -> Any:
    """Return a scalar or array as floating-point numbers.

    Integers become floats so that arithmetic cannot overflow, nor run for ever as Python's
    unbounded integers can.
    """
    if isinstance(value, Matrix):
        if len(value.columns) == 1:
            return value.columns[0]
        raise DataError("a matrix of several columns cannot be used in arithmetic.")
    if isinstance(value, np.ndarray):
        return value if value.dtype == np.float64 else value.astype(np.float64)
    return np.float64(value)


def from_returned(value: Any, size: int, text: str = "") -> Any:
    """Check and convert what the caller's own function or constant is worth.

    Raises
    ------
    DataError
        If it is neither a scalar nor n rows.
    """
    if hasattr(value, "__formulaic_metadata__"):
        value = value.__wrapped__
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float | tuple) or callable(value):
        return value
    return _checked(_arranged(value), size, text)


def _arranged(value: Any) -> NDArray[Any] | Matrix | FactorValue:
    if isinstance(value, dict | pd.DataFrame):
        return Matrix(*_split(dict(value.items())))
    if isinstance(value, pd.Series):
        value = value.array if isinstance(value.dtype, pd.CategoricalDtype) else value.to_numpy()
    if isinstance(value, pd.Categorical):
        codes = np.asarray(value.codes)
        return FactorValue(codes, value.categories, ordered=bool(value.ordered))
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind in "OUS":
        codes, levels = pd.factorize(array, sort=True)
        return FactorValue(codes, pd.Index(levels), text=True)
    if array.ndim > 1:
        columns = tuple(np.ascontiguousarray(column, dtype=np.float64) for column in array.T)
        return Matrix(columns, tuple(str(number) for number in range(1, len(columns) + 1)))
    return array


def _split(columns: dict[Any, Any]) -> tuple[tuple[FloatArray, ...], tuple[str, ...]]:
    kept = {str(k): v for k, v in columns.items() if not str(k).startswith("__")}
    return tuple(np.asarray(v, dtype=np.float64) for v in kept.values()), tuple(kept)


def _checked(
    value: NDArray[Any] | Matrix | FactorValue, size: int, text: str
) -> NDArray[Any] | Matrix | FactorValue:
    arrays: tuple[NDArray[Any], ...] = (value,) if isinstance(value, np.ndarray) else ()
    if isinstance(value, Matrix):
        arrays = value.columns
    elif isinstance(value, FactorValue):
        arrays = (value.codes,)
    for array in arrays:
        if array.shape != (size,):
            raise DataError(
                f"{text or 'a value of the context'} has shape {array.shape}; expected ({size},)."
            )
    return value
