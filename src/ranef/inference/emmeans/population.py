"""What marginal means need to know of the data: values of the predictors, and how often they occur.

Of a fit in memory these are its rows. A fit of streamed data has counted its rows by combination of
levels, and takes those combinations for rows, each with its count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ranef.design.column import Column
from ranef.errors import NoRowsError
from ranef.streaming import Numbers, StreamedDesign
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The predictors in m rows, or combinations of levels.

    Attributes
    ----------
    columns : mapping of str to Column
    numbers : mapping of str to Numbers
        Predictors of which only mean and range are known.
    counts : float64 array (m,) or None
        How many rows of the data each stands for; None for one.
    """

    columns: Mapping[str, Column]
    numbers: Mapping[str, Numbers]
    counts: FloatArray | None

    def __contains__(self, name: object) -> bool:
        return name in self.columns or name in self.numbers

    def range(self, name: str) -> float:
        """Return the largest value of a number minus the smallest."""
        if name in self.numbers:
            return self.numbers[name].high - self.numbers[name].low
        values = self.columns[name].values
        return float(values.max()) - float(values.min())


def population(model: LinearMixedModel) -> Population:
    """Return what is known of the predictors.

    Raises
    ------
    NoRowsError
        If the data were streamed, and there are too many combinations of levels to count.
    """
    design = model.design
    if not isinstance(design, StreamedDesign):
        return Population(design.variables.columns, {}, None)
    facts = design.facts
    if facts.cells is None:
        raise NoRowsError(
            "the factors of the fixed effects have more than a million combinations of levels; a "
            "fit to streamed data does not count so many, which marginal means need. Fit data "
            "that are in memory, or test coefficients with contest()."
        )
    return Population(facts.cells.columns, facts.numbers, facts.cells.counts)


def mean_offset(model: LinearMixedModel) -> float:
    """Return the mean of the offset over the rows."""
    design = model.design
    if isinstance(design, StreamedDesign):
        return design.facts.offset_mean
    return 0.0 if design.offset is None else float(design.offset.mean())
