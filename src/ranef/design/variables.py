"""The variables of a model on the rows that were used: what later questions about the data need.

Marginal means average over the values of predictors, and a test of a term fits the model without
it. Both go back to the variables; the caller's data frame may be gone or changed by then. Columns
that the model holds as numbers anyway are shared with it, so this costs little memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.design.rows import UsedRows
from ranef.formula import ModelFormula
from ranef.formula.nodes import Name
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Variables:
    """The columns of the data that a model uses. n rows.

    Attributes
    ----------
    columns : mapping of str to Column
    index : pandas.Index (n,)
    """

    columns: Mapping[str, Column]
    index: pd.Index

    def __post_init__(self) -> None:
        for column in self.columns.values():
            column.values.flags.writeable = False
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Variables, (dict(self.columns), self.index)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        return f"<Variables: {', '.join(self.columns)}; {len(self.index)} rows>"

    def frame(self) -> Frame:
        """Return the variables as data from which a design can be built."""
        names = tuple(self.columns)
        return Frame(names, len(self.index), self.index, True, lambda _, name: self.columns[name])

    def to_frame(self) -> pd.DataFrame:
        """Return the variables as a new pandas data frame; factors are categorical."""
        return pd.DataFrame(
            {name: _to_series(column, self.index) for name, column in self.columns.items()},
            index=self.index,
        )


def hand_out_views(record: type[Any], name: str) -> None:
    """Let a field that is a pandas index be another object, with the same data, at every access.

    The name of an index can be changed in place. A result that holds an index would change that
    of the model, of all other results, and of the caller's data frame.
    """
    slot = getattr(record, name)

    def get(owner: Any) -> pd.Index:
        index: pd.Index = slot.__get__(owner, record)
        return index.view()

    def put(owner: Any, index: pd.Index) -> None:
        slot.__set__(owner, index.view())

    setattr(record, name, property(get, put))


hand_out_views(Variables, "index")


def used_variables(
    formula: ModelFormula,
    frame: Frame,
    rows: UsedRows,
    grouped: Mapping[str, tuple[IntArray, pd.Index]],
    y: FloatArray,
    X: FloatArray | sparse.csc_array,
    x_names: tuple[str, ...],
) -> Variables:
    """Keep what has been read of the data, on the used rows.

    Numbers that stand in y or X as they are, are taken from there, and factors from ``grouped``,
    the codes and levels that were found.
    """
    held: dict[str, FloatArray] = {}
    if isinstance(X, np.ndarray):
        held = {name: X[:, position] for position, name in enumerate(x_names)}
    if isinstance(formula.response.node, Name):
        held[formula.response.node.text] = y
    evaluated = {name for expression in formula.expressions for name in expression.names}
    columns = {}
    for name, column in frame.cache.items():
        if name in grouped and (column.kind == "factor" or name not in evaluated):
            codes, levels = grouped[name]
            columns[name] = replace(
                column, kind="factor", values=codes, levels=levels, missing=None
            )
            continue
        values = held.get(name)
        if values is None or column.kind != "numeric" or column.values.dtype != np.float64:
            # not a view: the caller may change the data later
            values = np.array(rows.subset(column.values))
        columns[name] = replace(column, values=values, missing=None)
    return Variables(columns, rows.index)


def _to_series(column: Column, index: pd.Index) -> pd.Series:
    if column.levels is None:
        return pd.Series(column.values.copy(), index=index)
    if column.kind == "labels":
        return pd.Series(column.levels[column.values], index=index)
    values = pd.Categorical.from_codes(column.values, column.levels, ordered=column.ordered)
    return pd.Series(values, index=index).cat.remove_unused_categories()
