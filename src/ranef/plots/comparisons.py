"""Intervals for comparing means by eye: they overlap where a pairwise test finds no difference.

Confidence intervals of means do not say which means differ. Comparison intervals of half-lengths
h_i do, if for every pair

    h_i + h_j = margin_ij,    half the width of the (adjusted) interval of mean_i - mean_j:

then two of them overlap exactly where the interval of the difference contains zero. With equal
standard errors of all differences h is half of that margin. Otherwise there are more pairs than
means, and h solves the equations by least squares, those of pairs that are nearly significant with
the greatest weight (see Goldstein and Healy 1995, Journal of the Royal Statistical Society A 158).
Pairs that come out wrong all the same are counted, and a picture must say so.

R's emmeans draws arrows for the same purpose, whose lengths to the left and to the right may
differ; these intervals are symmetric and simpler.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ranef.inference.emmeans.adjust import Adjustment
from ranef.inference.emmeans.results import Estimates
from ranef.typing import FloatArray, IntArray

# Relative distance from the border of significance at which a pair loses half of its weight.
CLOSE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Comparison intervals on the scale of the model.

    Attributes
    ----------
    half : float64 array (m,)
        NaN where there is nothing to compare a mean with.
    wrong, pairs : int
        Pairs whose intervals and test disagree, and all pairs.
    """

    half: FloatArray
    wrong: int
    pairs: int


def comparison_intervals(
    means: Estimates, level: float, adjust: Adjustment | None = None
) -> Comparisons:
    """Return the half-lengths of comparison intervals, group by group.

    Parameters
    ----------
    means : Estimates
    level : float
        1 - level is the size of the tests.
    adjust : str, optional
        As in `Estimates.contrasts`; Tukey's by default.
    """
    half = np.full(len(means), np.nan)
    wrong = pairs = 0
    if max(len(rows) for rows in means.functions.groups) < 2:
        return Comparisons(half, wrong, pairs)
    tests = means.contrasts("pairwise", adjust=adjust, type="link").confint(level)
    margins = 0.5 * (tests["conf_high"] - tests["conf_low"]).to_numpy()
    estimate = means.functions.values[0]
    start = 0
    for rows in means.functions.groups:
        among = np.array(list(combinations(range(len(rows)), 2)), dtype=np.intp).reshape(-1, 2)
        margin = margins[start : start + len(among)]
        start += len(among)
        gap = np.abs(estimate[rows][among[:, 0]] - estimate[rows][among[:, 1]])
        known = np.isfinite(margin)
        if not known.any():
            continue
        found = half_lengths(among[known], gap[known], margin[known], len(rows))
        half[rows] = found
        total = found[among[known]].sum(axis=1)
        wrong += int(np.sum((gap[known] > total) != (gap[known] > margin[known])))
        pairs += int(known.sum())
    return Comparisons(half, wrong, pairs)


def half_lengths(among: IntArray, gap: FloatArray, margin: FloatArray, size: int) -> FloatArray:
    """Solve h_i + h_j = margin_ij, (size,); NaN for a mean that is in no pair.

    Parameters
    ----------
    among : int array (r, 2)
        The pairs.
    gap, margin : float64 array (r,)
        Differences without sign, and how large they must be to be significant.
    size : int
        Number of means.
    """
    system = np.zeros((len(among), size))
    np.put_along_axis(system, among, 1.0, axis=1)
    scale = np.where(margin > 0.0, margin, 1.0)
    weight = 1.0 / (CLOSE + np.abs(gap - margin) / scale)
    # the solution of smallest size: of two means, each gets half
    h = np.linalg.lstsq(system * weight[:, None], margin * weight, rcond=None)[0]
    result: FloatArray = np.where(system.any(axis=0), np.maximum(h, 0.0), np.nan)
    return result
