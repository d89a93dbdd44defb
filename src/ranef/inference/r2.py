"""R^2 of a mixed model: how much of the variance the fixed effects, and the whole model, explain.

    marginal    = V_fixed / V_total
    conditional = (V_fixed + V_random) / V_total

with the parts of `ranef.inference.variance_decomposition`. The definition is that of Nakagawa and
Schielzeth (2013), with Johnson's (2014) average over the rows for random slopes. By group, the
question is another one (Raudenbush and Bryk 2002): how much smaller is the variance at each level
than in the model without predictors? That takes a second fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from ranef.formula.terms import TermSum
from ranef.inference.refits import refit_formula
from ranef.inference.variance_decomposition import (
    VarianceDecomposition,
    variance_decomposition,
)
from ranef.tables.document import (
    Block,
    Document,
    Fact,
    Facts,
    Table,
    labels,
    numbers,
)
from ranef.tables.format import format_common, format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class R2(Renderable):
    """Marginal and conditional R^2.

    Attributes
    ----------
    decomposition : VarianceDecomposition
        The variances behind it.
    null : VarianceDecomposition or None
        Those of the model without predictors, where R^2 by group was asked for.
    """

    decomposition: VarianceDecomposition
    null: VarianceDecomposition | None = None

    @property
    def marginal(self) -> float:
        """Share of the fixed effects in the variance."""
        return self.decomposition.fixed / self.decomposition.total

    @property
    def conditional(self) -> float:
        """Share of fixed and random effects together."""
        parts = self.decomposition
        return (parts.fixed + parts.random) / parts.total

    @property
    def by_group(self) -> pd.Series[float] | None:
        """By how much predictors reduce the variance of each level, as a share.

        Negative where they increase it; NaN where there is none without predictors. None unless
        asked for.
        """
        if self.null is None:
            return None
        now, before = (parts.to_series().iloc[1:] for parts in (self.decomposition, self.null))
        return (1.0 - now / before.where(before > 0.0)).rename("r2")

    def to_frame(self) -> pd.DataFrame:
        """Return the two values, or one per level where they were asked for.

        Returns
        -------
        DataFrame (rows, 1)
            Column r2; rows ``marginal`` and ``conditional``, then the grouping factors and
            ``Residual`` if R^2 by group was asked for.
        """
        both = pd.Series({"marginal": self.marginal, "conditional": self.conditional}, name="r2")
        levels = self.by_group
        return (both if levels is None else pd.concat([both, levels])).to_frame()

    def document(self) -> Document:
        """Return the R^2 and the variances that they are made of."""
        marginal, conditional = format_fixed([self.marginal, self.conditional], 3)
        blocks: list[Block] = [
            Facts((Fact("Marginal R2", marginal), Fact("Conditional R2", conditional))),
            decomposition_table(self.decomposition),
        ]
        levels = self.by_group
        if levels is not None:
            cells = format_fixed(levels, 3)
            blocks.append(
                Table(
                    "Reduction of variance by the predictors",
                    (labels("Level", map(str, levels.index)), numbers("R2", cells)),
                    ("Compared with the same random terms and no predictors.",),
                )
            )
        return Document("", tuple(blocks))


def decomposition_table(parts: VarianceDecomposition) -> Table:
    """Return the printed table of the variances and their shares."""
    values = parts.to_series()
    return Table(
        "Average variance of an observation",
        (
            labels("", map(str, values.index)),
            numbers("Variance", format_common(values, 5)),
            numbers("Share", format_fixed(values / parts.total, 3)),
        ),
    )


def r2(model: LinearMixedModel, by_group: bool = False) -> R2:
    """Return the marginal and the conditional R^2 of Nakagawa, Schielzeth and Johnson.

    Use it to say how much of the variance of the response the model accounts for: ``marginal``
    by the fixed effects alone, ``conditional`` with the random effects. Random slopes count with
    their actual columns, averaged over the rows; variances of zero count as zero; offsets do not
    count. In weighted models the residual variance is the average over the rows.

    Parameters
    ----------
    model : LinearMixedModel
    by_group : bool
        Also compare the variance of every grouping factor, and of the residual, with a fit
        without predictors (same random terms, same criterion).

    Returns
    -------
    R2
        ``.marginal``, ``.conditional``, ``.by_group``, ``.decomposition``, ``.to_frame()``.

    Raises
    ------
    OptionError
        If ``by_group`` is not True or False.
    FitError
        If ``by_group`` and the model without predictors cannot be fitted.
    NoRowsError
        If ``by_group``, the data were streamed, and the model has no intercept.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> found = r2(m)
    >>> round(found.marginal, 4), round(found.conditional, 4)
    (0.2787, 0.7992)

    References
    ----------
    Nakagawa, Johnson, Schielzeth 2017, Journal of the Royal Society Interface 14(134); Johnson
    2014, Methods in Ecology and Evolution 5(9); by group: Raudenbush, Bryk 2002, "Hierarchical
    Linear Models", chapter 4.
    """
    check_flag("by_group", by_group)
    result = R2(variance_decomposition(model))
    if not by_group:
        return result
    formula = model.formula.with_terms(fixed=TermSum(intercept=True, terms=()))
    return replace(result, null=variance_decomposition(refit_formula(model, formula)))
