"""What the data become: arrays with names, ready for cross-products.

A `Design` holds one row per used observation. Nothing in it aliases the caller's data, and
nothing later in the pipeline looks at the caller's data frame again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.design.variables import Variables, hand_out_views
from ranef.formula.terms import ModelFormula
from ranef.typing import FloatArray, IntArray, lock_sparse


class ReadOnly:
    """Makes the arrays of a frozen record read-only, also after unpickling."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field, value in zip(fields(self), self._values(), strict=True):  # type: ignore[arg-type]
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, sparse.csc_array):
                    lock_sparse(item)
                elif isinstance(item, np.ndarray):
                    item.flags.writeable = False
            if isinstance(value, dict):
                object.__setattr__(self, field.name, MappingProxyType(dict(value)))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # unpickled arrays are writeable: the constructor locks them again
        values = self._values()
        return (
            type(self),
            tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values),
        )

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping(ReadOnly):
    """A grouping factor: which level every row belongs to.

    Attributes
    ----------
    name : str
        As written in the formula: ``Subject`` or ``a:b``.
    variables : tuple of str
        The columns that are combined, in the order of the formula.
    codes : int32 array (n,)
        Level of every row, 0 .. J-1; every level occurs.
    levels : pandas.Index (J,)
        Labels in the order of R: categories in their order, anything else sorted.
        Combinations are strings ``"a1:b1"``, ordered by the first variable, then the second.
    """

    name: str
    variables: tuple[str, ...]
    codes: IntArray
    levels: pd.Index

    @property
    def size(self) -> int:
        """Number of levels, J."""
        return len(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class RandomTerm(ReadOnly):
    """One random-effects term ``(columns | group)`` of the model.

    Attributes
    ----------
    label : str
        The term as the user wrote it, e.g. ``(Days | Subject)``.
    grouping : Grouping
        Shared (the same object) by all terms on the same factor.
    names : tuple of str (k,)
        Column names: ``Intercept``, ``Days``, ``Machine[T.B]``.
    columns : tuple (k,) of float64 array (n,) or None
        Values of each column; None stands for a column of ones. Read-only.
    correlated : bool
        False for ``||``: the covariance matrix is diagonal.
    spec : object
        What makes the same columns from new data: a `ColumnSpec`, see `newdata`.
    """

    label: str
    grouping: Grouping
    names: tuple[str, ...]
    columns: tuple[FloatArray | None, ...]
    correlated: bool
    spec: Any


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Design(ReadOnly):
    """The model in arrays. n rows, p columns, random terms in the order of the formula.

    Attributes
    ----------
    formula : ModelFormula
        What was asked for.
    response : str
        The response as written, e.g. ``log(conc)``.
    y : float64 array (n,)
        Response; the offset is *not* subtracted.
    X : float64 array (n, p), Fortran order, or scipy.sparse.csc_array (n, p)
        Fixed-effects columns, aliased ones included.
    x_names : tuple of str (p,)
    terms : tuple of RandomTerm
    weights, offset : float64 array (n,) or None
        ``offset`` is the sum of the argument and of all ``offset()`` terms.
    index : pandas.Index (n,)
        The caller's row labels of the used rows (a RangeIndex where there were none).
    n_total : int
        Rows in the caller's data; ``n_total - n`` were dropped.
    dropped : mapping variable -> int
        Rows with a missing value in that variable (a row may count for several).
    spec : object
        What makes X and the offset from new data, and tells which columns belong to which
        term: a `ColumnSpec`, see `newdata`.
    variables : Variables
        The columns of the data that the model uses, on the used rows.
    contrasts : mapping of str to str
        The codings that were asked for.
    """

    formula: ModelFormula
    response: str
    y: FloatArray
    X: FloatArray | sparse.csc_array
    x_names: tuple[str, ...]
    terms: tuple[RandomTerm, ...]
    weights: FloatArray | None
    offset: FloatArray | None
    index: pd.Index
    n_total: int
    dropped: Mapping[str, int]
    spec: Any
    variables: Variables
    contrasts: Mapping[str, Any]

    def __repr__(self) -> str:
        n, p = self.X.shape
        terms = ", ".join(term.label for term in self.terms)
        return f"<Design: {n} rows, {p} fixed-effects columns, random terms {terms}>"


hand_out_views(Design, "index")
