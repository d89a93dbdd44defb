"""What was learned from the training data, so that new data get the same columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranef.design.contrasts import FactorCoding
from ranef.formula import Expression, Term, TermSum


@dataclass(frozen=True, slots=True)
class TermColumns:
    """Which columns belong to a term.

    Attributes
    ----------
    term : Term
    full : tuple of bool
        For each factor of the term, whether all its levels have a column.
    start, stop : int
        The columns ``start:stop`` of the matrix.
    """

    term: Term
    full: tuple[bool, ...]
    start: int
    stop: int

    @property
    def label(self) -> str:
        """The label of the term."""
        return self.term.label


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSpec:
    """How the columns of a sum of terms are made.

    Attributes
    ----------
    source : str
        The formula, for errors that point into it.
    sum : TermSum
    terms : tuple of TermColumns
        In the order of the columns; the intercept, if any, is column 0 and not listed.
    names : tuple of str (p,)
    suffixes : mapping of str to tuple of str
        For every numeric expression, what its columns are called after its label.
    codings : mapping of str to FactorCoding
        For every expression that is a factor.
    states : mapping of str to dict
        What stateful transforms learned, by the text of the call.
    context : mapping of str to object
        The caller's own functions and constants.
    offsets : tuple of Expression
        The ``offset()`` terms (fixed part only).
    offset_column : str or None
        The column given as the argument ``offset`` (fixed part only).
    weights_column : str or None
        The column given as the argument ``weights`` (fixed part only).
    """

    source: str
    sum: TermSum
    terms: tuple[TermColumns, ...]
    names: tuple[str, ...]
    suffixes: Mapping[str, tuple[str, ...]]
    codings: Mapping[str, FactorCoding]
    states: Mapping[str, Mapping[str, Any]]
    context: Mapping[str, Any]
    offsets: tuple[Expression, ...] = ()
    offset_column: str | None = None
    weights_column: str | None = None

    @property
    def intercept(self) -> bool:
        """Whether column 0 is the intercept."""
        return self.sum.intercept
