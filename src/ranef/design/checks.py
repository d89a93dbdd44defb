"""What must hold before a model is worth fitting. Each check has one message."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ranef.design.frame import Frame
from ranef.design.spec import ColumnSpec
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.errors import DataError
from ranef.formula import GroupTerm
from ranef.typing import FloatArray


def check_rows(frame: Frame) -> None:
    """Raise DataError if there are no rows."""
    if frame.size == 0:
        raise DataError("the data are empty: there are no rows.")


def check_names(specs: Iterable[ColumnSpec]) -> None:
    """Raise DataError if columns of different terms have the same name.

    Estimates are found by name, and so are columns that fixed and random part share.
    """
    owners: dict[str, str] = {}
    for spec in specs:
        labels = ["the intercept"] if spec.intercept else []
        for part in spec.terms:
            labels += [f"the term {part.label!r}"] * (part.stop - part.start)
        for name, label in zip(spec.names, labels, strict=True):
            owner = owners.setdefault(name, label)
            if owner != label:
                raise DataError(
                    f"{owner} and {label} both have a column called {name!r} in the model; rename "
                    "the variable in the data."
                )


def check_grouping(grouping: Grouping, term: GroupTerm) -> None:
    """Raise DataError if a term means another grouping factor of the same name.

    Estimates are found by name: `a:b` is the combination of two columns, or one column that is
    called so.
    """
    variables = tuple(variable.names[0] for variable in term.group)
    if variables != grouping.variables:
        whole, parts = sorted((variables, grouping.variables), key=len)
        raise DataError(
            f"the grouping factor {grouping.name!r} is the column {whole[0]!r} in one random term "
            f"and the combination of {' and '.join(map(repr, parts))} in another; rename the "
            "column in the data."
            if len(whole) == 1
            else f"the grouping factor {grouping.name!r} is made of different columns in two "
            "random terms; rename the columns in the data."
        )


def check_design(design: Design) -> None:
    """Raise DataError if the model cannot be identified from these data."""
    y = design.y
    if y.min() == y.max():
        raise DataError(
            f"the response {design.response!r} is constant ({y[0]:g}); there is nothing to explain."
        )
    if design.weights is not None:
        check_weights(design.weights)
    for term in design.terms:
        check_levels(term, len(y))
        _check_columns(term)


def check_weights(weights: FloatArray) -> None:
    """Raise DataError unless all weights are positive."""
    if (weights < 0).any():
        raise DataError("weights must be positive; some are negative.")
    if (weights == 0).any():
        raise DataError(
            f"{np.count_nonzero(weights == 0)} weights are zero; drop these rows instead."
        )


def check_levels(term: RandomTerm, n: int) -> None:
    """Raise DataError if n rows cannot tell the effects of a term from the residuals."""
    grouping = term.grouping
    # as in lme4, where `||` makes one term of every column
    k = len(term.columns) if term.correlated else 1
    J = grouping.size
    if J < 2:
        raise DataError(
            f"the grouping factor {grouping.name!r} has a single level, "
            f"{str(grouping.levels[0])!r}; a random term needs at least two."
        )
    if n <= J:
        raise DataError(
            f"the grouping factor {grouping.name!r} has {J} levels for {n} observations; with one "
            "observation per group its variance cannot be told from the residual variance."
        )
    if k * J >= n:
        raise DataError(
            f"the random term {term.label} has {k * J} effects ({k} for each of {J} levels) for "
            f"{n} observations; its variances cannot be told from the residual variance. "
            "Use fewer effects per group."
        )


def _check_columns(term: RandomTerm) -> None:
    for name, column in zip(term.names, term.columns, strict=True):
        if column is not None and not column.any():
            raise DataError(f"in the random term {term.label} the column {name!r} is all zero.")
