"""Statistics of a model with groups of rows left out.

Rows of a mixed model are not exchangeable; groups are. What is left out is a whole independent
group: a level of the only or of the outermost grouping factor, with all that is nested in it.
Where factors are crossed no groups are independent, and levels of the factor with the most levels
are left out. With many groups, blocks of them are left out together, `MOST_BLOCKS` in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ranef.batch.structure import components
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.errors import FitError
from ranef.fit import fit_design
from ranef.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

MOST_BLOCKS = 200
# With fewer independent groups their skewness says nothing.
FEWEST_GROUPS = 5


def jackknife(
    model: LinearMixedModel, statistic: Callable[[LinearMixedModel], FloatArray], size: int
) -> FloatArray:
    """Return the statistic without each group, or block of groups, in turn: (blocks, size).

    NaN where a model cannot be fitted without the group, or the statistic fails. Cost: one fit for
    every block, at most `MOST_BLOCKS`, each with a pass over the rows.
    """
    unit = units(model)
    groups = np.arange(unit.max() + 1)
    blocks = np.array_split(groups, min(len(groups), MOST_BLOCKS))
    out = np.full((len(blocks), size), np.nan)
    for i, block in enumerate(blocks):
        keep = (unit < block[0]) | (unit > block[-1])
        try:
            fitted = fit_design(
                without(model.design, keep), reml=model.reml, start=model.theta_values
            )
            if fitted.convergence.converged:
                out[i] = statistic(fitted)
        except Exception:  # whatever the statistic raises: the block says nothing
            continue
    return out


def units(model: LinearMixedModel) -> IntArray:
    """Return the group that every row belongs to, (n,)."""
    problem = model.problem
    label, count = components(problem.objective.plan.products)
    if count >= FEWEST_GROUPS:
        return np.asarray(label[0][problem.groups[0].codes])
    return max(problem.groups, key=lambda group: group.size).codes


def without(design: Design, keep: BoolArray) -> Design:
    """Return the design of some of its rows; levels that no longer occur are dropped."""
    groupings: dict[int, Grouping] = {}

    def part(grouping: Grouping) -> Grouping:
        if id(grouping) not in groupings:  # terms of one factor share their grouping
            found, codes = np.unique(grouping.codes[keep], return_inverse=True)
            groupings[id(grouping)] = replace(
                grouping, codes=codes.astype(np.int32), levels=grouping.levels[found]
            )
        return groupings[id(grouping)]

    def chosen(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else values[keep]

    def some(term: RandomTerm) -> RandomTerm:
        columns = tuple(chosen(column) for column in term.columns)
        return replace(term, grouping=part(term.grouping), columns=columns)

    if not keep.any():
        raise FitError("no rows are left.")
    X = design.X[keep] if isinstance(design.X, np.ndarray) else design.X.tocsr()[keep].tocsc()
    return replace(
        design,
        y=design.y[keep],
        X=np.asfortranarray(X) if isinstance(X, np.ndarray) else X,
        terms=tuple(some(term) for term in design.terms),
        weights=chosen(design.weights),
        offset=chosen(design.offset),
        index=design.index[keep],
    )
