"""Intraclass correlations: which share of the variance lies between the groups.

    adjusted   = V_random / (V_random + V_residual)
    unadjusted = V_random / V_total

with the parts of `ranef.inference.variance_decomposition`. In a random-intercept model the adjusted
value is the correlation of two observations of the same group, given the predictors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ranef.inference.variance_decomposition import (
    VarianceDecomposition,
    variance_decomposition,
)
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.format import format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ICC(Renderable):
    """Intraclass correlations.

    Attributes
    ----------
    decomposition : VarianceDecomposition
        The variances behind them.
    grouped : bool
        Show every grouping factor, not only all together.
    """

    decomposition: VarianceDecomposition
    grouped: bool = False

    @property
    def adjusted(self) -> float:
        """Share of the random effects in the variance that the fixed effects leave."""
        parts = self.decomposition
        return parts.random / (parts.random + parts.residual)

    @property
    def unadjusted(self) -> float:
        """Share of the random effects in the whole variance."""
        return self.decomposition.random / self.decomposition.total

    @property
    def by_group(self) -> pd.DataFrame:
        """Columns adjusted, unadjusted; one row per grouping factor. Rows add up to the whole."""
        parts = self.decomposition
        groups = pd.Series(dict(parts.groups), dtype=float)
        return pd.DataFrame(
            {
                "adjusted": groups / (parts.random + parts.residual),
                "unadjusted": groups / parts.total,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the values as a table.

        Returns
        -------
        DataFrame (rows, 2)
            Columns adjusted, unadjusted; row ``all``, then every grouping factor if the values
            by group were asked for.
        """
        both = {"adjusted": self.adjusted, "unadjusted": self.unadjusted}
        whole = pd.DataFrame(both, index=["all"])
        return pd.concat([whole, self.by_group]) if self.grouped else whole

    def document(self) -> Document:
        """Return the two values, or a table with a row for every grouping factor."""
        frame = self.to_frame()
        cells = {str(name): format_fixed(frame[name], 3) for name in frame}
        if self.grouped:
            columns = (numbers(name, shown) for name, shown in cells.items())
            rows = labels("", map(str, frame.index))
            return Document("", (Table("Intraclass correlation", (rows, *columns)),))
        facts = (Fact(f"{name.capitalize()} ICC", shown[0]) for name, shown in cells.items())
        return Document("", (Facts(tuple(facts)),))


def icc(model: LinearMixedModel, by_group: bool = False) -> ICC:
    """Return the intraclass correlation, adjusted for the fixed effects and unadjusted.

    Use it to say how much observations of the same group resemble each other. Random slopes
    count with their actual columns, averaged over the rows.

    Parameters
    ----------
    model : LinearMixedModel
    by_group : bool
        Also show the share of every grouping factor; `ICC.by_group` has it in any case.

    Returns
    -------
    ICC
        ``.adjusted``, ``.unadjusted``, ``.by_group``, ``.decomposition``, ``.to_frame()``.

    Raises
    ------
    OptionError
        If ``by_group`` is not True or False.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("strength ~ 1 + (1 | batch/cask)", ranef.datasets.load("pastes"))
    >>> print(icc(m, by_group=True))
    Intraclass correlation:
               adjusted unadjusted
    all           0.937      0.937
    batch:cask    0.783      0.783
    batch         0.154      0.154

    References
    ----------
    Nakagawa, Johnson, Schielzeth 2017, Journal of the Royal Society Interface 14(134).
    """
    check_flag("by_group", by_group)
    return ICC(variance_decomposition(model), bool(by_group))
