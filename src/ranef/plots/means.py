"""Marginal means, trends and contrasts as points with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment
from ranef.inference.emmeans.axes import level_texts
from ranef.inference.emmeans.results import Estimates
from ranef.plots.canvas import BLUE, GREY, PALE, VERMILION, figure_of, panels
from ranef.plots.comparisons import comparison_intervals
from ranef.plots.labels import extra_width, line_count, wrapped
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def emmeans(
    result: Estimates,
    *,
    comparisons: bool | None = None,
    level: float | None = None,
    adjust: Adjustment | None = None,
    axes: Any = None,
) -> Figure:
    """Draw marginal means (or trends, or contrasts) with intervals, a panel per group of ``by``.

    Use it to report means, and to see at a glance which of them differ.

    Parameters
    ----------
    result : MarginalMeans or Contrasts
        What `emmeans` and `emtrends` of a model return, or contrasts of it.
    comparisons : bool, optional
        Add comparison intervals, drawn as arrows: two of them overlap where the pairwise test of
        the two means finds no difference. By default they are drawn for means.
    level : float, optional
        Coverage of the intervals, and 1 - size of the tests; by default that of ``result``.
    adjust : str, optional
        Adjustment of the pairwise tests behind the arrows; Tukey's by default. The confidence
        intervals have that of ``result``.
    axes : array of matplotlib Axes, optional
        One for every group; a new figure by default.

    Returns
    -------
    matplotlib Figure
        Means that the data do not determine have a row without a point.

    Raises
    ------
    OptionError
        For contrasts with ``comparisons=True``, another level or adjustment.
    MissingDependencyError
        If there is no matplotlib.

    Notes
    -----
    The arrows are not those of R's emmeans, whose two sides may have different lengths, but
    symmetric: half-lengths that add up, for every pair, to what a difference needs to be
    significant. That is exact where all differences have the same standard error, as in balanced
    data. Otherwise it is a compromise, and the picture says how many pairs come out wrong.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
    >>> figure = ranef.plots.emmeans(m.emmeans("Machine"))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['A', 'B', 'C']
    >>> pyplot.close(figure)
    """
    if not isinstance(result, Estimates):
        raise OptionError(
            f"result must be marginal means, trends or contrasts; got {type(result).__name__}."
        )
    are_means = result.functions.kind == "prediction"
    if comparisons and not are_means:
        raise OptionError("comparisons=True is for means; contrasts are comparisons already.")
    level = result.question.level if level is None else level
    shown = result.confint(level, adjust=result.question.adjust)
    groups = result.functions.groups
    longest = max(map(len, groups))
    texts = [wrapped(text) for text in _row_texts(result)]
    place = max(0.34, 0.18 * line_count(texts))
    size = ((5.4 if len(groups) == 1 else 3.4) + extra_width(texts), 1.3 + place * longest)
    found = panels(len(groups), axes, "groups", across=3, size=size, sharex=True)
    ends: FloatArray = shown.to_frame()[["conf_low", "conf_high"]].to_numpy(dtype=np.float64)
    values = np.asarray(shown.estimates, dtype=np.float64)
    arrows, note = None, ""
    if comparisons is not False and are_means and longest > 1:
        arrows, note = _arrows(result, level, adjust)
    by = list(result.by)
    label = f"{result.name}, {100 * level:g} % intervals"
    label += "" if arrows is None else f" and comparisons (arrows){note}"
    for axis, rows in zip(found, groups, strict=True):
        if not are_means:
            axis.axvline(_nothing(result), color=GREY, linewidth=0.8)
        _draw(axis, values[rows], ends[rows], None if arrows is None else arrows[rows])
        axis.set_yticks(range(len(rows)), [texts[row] for row in rows])
        axis.set_ylim(len(rows) - 0.4, -0.6)
        if by:
            first = shown[by].iloc[rows[0]]
            heading = (f"{name} = {level_texts([first[name]])[0]}" for name in by)
            axis.set_title(wrapped(", ".join(heading)), fontsize="medium")
        if axes is not None or len(groups) == 1:
            axis.set_xlabel(label)
    if axes is None and len(groups) > 1:
        figure_of(found).supxlabel(label, fontsize="medium")
    found[0].set_ylabel(wrapped(", ".join(result.functions.variables), 20))
    return figure_of(found)


def _row_texts(result: Estimates) -> list[str]:
    """Return what every row is called: the levels of the variables that form no groups."""
    columns = [level_texts(list(result[name])) for name in result.functions.variables]
    return [" ".join(parts) for parts in zip(*columns, strict=True)]


def _nothing(result: Estimates) -> float:
    """Return where there is no difference: 0, or 1 for ratios."""
    return 1.0 if result.name == "ratio" else 0.0


def _arrows(result: Estimates, level: float, adjust: Adjustment | None) -> tuple[FloatArray, str]:
    """Return both ends of the comparison intervals, (m, 2), and what must be said about them."""
    found = comparison_intervals(result, level, adjust)
    center = result.functions.values[0]
    ends = np.column_stack([center - found.half, center + found.half])
    link = result.functions.link
    if result.scale == "response" and link is not None:
        ends = np.asarray(link.back(ends), dtype=np.float64)
    if not found.wrong:
        return ends, ""
    verb = "disagrees" if found.wrong == 1 else "disagree"
    return ends, f"\narrows: {found.wrong} of {found.pairs} pairs {verb} with the tests"


def _draw(axis: Axes, values: FloatArray, ends: FloatArray, arrows: FloatArray | None) -> None:
    rows = np.arange(len(values))
    axis.hlines(rows, *ends.T, color=PALE, linewidth=7)
    if arrows is not None:
        for row, (low, high) in enumerate(arrows):
            if np.isfinite([low, high]).all() and low < high:
                axis.annotate(
                    "",
                    (high, row),
                    (low, row),
                    arrowprops={
                        "arrowstyle": "<|-|>",
                        "color": VERMILION,
                        "shrinkA": 0,
                        "shrinkB": 0,
                        "mutation_scale": 7,
                    },
                )
        known = arrows[np.isfinite(arrows)]
        axis.update_datalim(np.column_stack([known, np.zeros(len(known))]))
    axis.plot(values, rows, "o", color=BLUE, markersize=5, zorder=4)
