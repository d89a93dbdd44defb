"""Records whose rows were summed up and are gone.

A fit of streamed data yields the same records as any other fit (design, terms, groupings, basis),
but the attributes that hold one value for every row are never set. Python asks `__getattr__`
for a slot that was never set: here it explains what happened and what to do. Everything that
reads levels, names, codings or cross-products works unchanged.
"""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import numpy as np

from ranef.design.types import Design, Grouping, RandomTerm
from ranef.errors import NoRowsError
from ranef.linalg.conditioning import FixedBasis
from ranef.linalg.crossproducts import GroupedColumns
from ranef.streaming.facts import RowFacts
from ranef.typing import FloatArray

# What the attributes that are not there are called outside of this package.
_WORDS = {
    "y": "is no response 'y'",
    "X": "is no matrix 'X'",
    "index": "are no labels of rows ('index')",
    "variables": "are no 'variables' by row",
    "columns": "are no predictors by row",
    "codes": "are no groups by row",
    "residual": "are no residuals",
    "weights": "are no prior weights by row",
    "offset": "is no offset by row",
}


class Rowless:
    """Mixin of the records below: some of their fields were never set."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        if name in _names(type(self)):
            raise NoRowsError(
                "the model was fitted to streamed data and keeps no rows, so there "
                f"{_WORDS.get(name, f'is no {name!r}')}. For fitted values and residuals use "
                "predict(chunk) for one chunk after the other; for everything else that needs rows "
                "fit data that are in memory."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        values = _set_fields(self)
        plain = {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in values.items()}
        return restore, (type(self), plain)


class StreamedDesign(Rowless, Design):
    """A `Design` without ``y``, ``X``, ``index``, ``variables``; others as the data had them.

    ``facts`` is what is remembered of the rows.
    """

    __slots__ = ("facts",)
    facts: RowFacts

    def __repr__(self) -> str:
        terms = ", ".join(term.label for term in self.terms)
        return (
            f"<StreamedDesign: {len(self.x_names)} fixed-effects columns, random terms {terms}; "
            "no rows are kept>"
        )


class StreamedTerm(Rowless, RandomTerm):
    """A `RandomTerm` without ``columns``."""

    __slots__ = ()


class StreamedGrouping(Rowless, Grouping):
    """A `Grouping` without ``codes``."""

    __slots__ = ()


class StreamedBasis(Rowless, FixedBasis):
    """A `FixedBasis` without ``columns`` and ``residual``.

    ``combinations`` (p, d) says how the kept columns make up each of the d aliased ones.
    """

    __slots__ = ("combinations",)
    combinations: FloatArray


class StreamedColumns(Rowless, GroupedColumns):
    """A `GroupedColumns` without ``codes`` and ``columns``."""

    __slots__ = ()

    @property
    def width(self) -> int:
        """Number of columns, k."""
        return int(self.whitening.shape[0])


def is_given(design: Design, name: str) -> bool:
    """Tell whether a design has weights or an offset, kept or not."""
    try:
        return getattr(design, name) is not None
    except NoRowsError:
        return True


Record = TypeVar("Record", bound=Rowless)


def restore(kind: type[Record], values: dict[str, Any]) -> Record:
    """Make a record with only these fields; arrays and dicts become read-only."""
    record = object.__new__(kind)
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        kept = MappingProxyType(dict(value)) if isinstance(value, dict) else value
        object.__setattr__(record, name, kept)
    return record


def _names(kind: type) -> tuple[str, ...]:
    return (*(field.name for field in fields(kind)), *kind.__dict__["__slots__"])


def _set_fields(record: Rowless) -> dict[str, Any]:
    out = {}
    for name in _names(type(record)):
        try:
            out[name] = getattr(record, name)
        except NoRowsError:
            continue
    return out
