"""Standardized effect sizes: differences of means in units of a standard deviation.

d = c'beta / sigma has two uncertain parts, which are nearly independent. With sigma known with edf
degrees of freedom, var(log sigma) = 1 / (2 edf), and by the delta method

    var(d) = var(c'beta) / sigma^2 + d^2 / (2 edf),

as in R's emmeans. There the df of intervals are the smallest of those of the means; here they are
those of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.errors import OptionError
from ranef.inference.emmeans.display import estimate_document
from ranef.inference.emmeans.functions import LinearFunctions, RowIndex
from ranef.inference.emmeans.summaries import SHOWN_DDF
from ranef.inference.wald import check_level, t_quantile
from ranef.tables.document import Document, Fact
from ranef.tables.frame_result import FrameResult


@dataclass(frozen=True, eq=False, repr=False)
class EffectSizes(FrameResult):
    """Differences of means divided by a standard deviation.

    Columns: contrast, those of ``by``, effect_size, std_error, df, conf_low, conf_high. Made by the
    method ``eff_size`` of means.

    Attributes
    ----------
    by : tuple of str
    groups : tuple of int array
        Rows of every group.
    sigma, edf, level : float
    facts : tuple of Fact
        What is printed below.
    """

    by: tuple[str, ...]
    groups: tuple[RowIndex, ...]
    sigma: float
    edf: float
    level: float
    facts: tuple[Fact, ...]

    def document(self) -> Document:
        """Return one table per group."""
        return estimate_document(self._frame, "effect_size", self.by, self.groups, self.facts, ())


def effect_sizes(
    functions: LinearFunctions, sigma: float | None, edf: float, level: float
) -> EffectSizes:
    """Return linear functions in units of sigma.

    Parameters
    ----------
    functions : LinearFunctions
        Differences, on the scale of the model.
    sigma : float or None
        None for that of the residuals.
    edf : float
        How well sigma is known; infinite for exactly.
    level : float
        Coverage of the intervals.

    Raises
    ------
    OptionError
        For numbers that are not positive.
    """
    sigma = _positive("sigma", functions.model.sigma if sigma is None else sigma)
    edf = _positive("edf", edf)
    if np.isinf(sigma):
        raise OptionError(f"sigma must be finite; got {sigma!r}.")
    check_level(level)
    estimate, error, df = functions.values
    size = estimate / sigma
    spread = np.sqrt((error / sigma) ** 2 + size**2 / (2.0 * edf))
    reach = np.full(len(df), np.nan)
    known = ~np.isnan(df)
    reach[known] = t_quantile(df[known], 0.5 + 0.5 * level)
    frame = functions.labels.assign(
        effect_size=size,
        std_error=spread,
        df=df,
        conf_low=size - reach * spread,
        conf_high=size + reach * spread,
    )
    facts = [
        Fact("Sigma used for effect sizes", f"{sigma:.4g}"),
        Fact("Degrees-of-freedom method", SHOWN_DDF[functions.ddf]),
        Fact("Confidence level used", f"{level:g}"),
    ]
    if functions.over:
        over = Fact("Results are averaged over the levels of", ", ".join(functions.over))
        facts.insert(0, over)
    return EffectSizes(frame, functions.by, functions.groups, sigma, edf, level, tuple(facts))


def _positive(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not value > 0:
        raise OptionError(f"{name} must be a positive number; got {value!r}.")
    return float(value)
