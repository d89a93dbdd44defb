"""Data and fitted lines along a variable: all in one picture, or a panel for every level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ranef.explain.groups import find_group
from ranef.inference.models import check_fitted
from ranef.plots.canvas import BLUE, GREY, SMALL, VERMILION, figure_of, panels, single
from ranef.plots.curves import Curves, fitted_curves
from ranef.plots.labels import WIDTH, in_legend, plain, wrapped
from ranef.typing import check_choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranef.design.types import Grouping
    from ranef.model import LinearMixedModel

LineKind: TypeAlias = Literal["spaghetti", "panels"]
# A picture has at most so many panels, unless levels are named.
MOST_PANELS = 30


def lines(
    model: LinearMixedModel,
    x: str,
    group: str | None = None,
    kind: LineKind = "spaghetti",
    *,
    levels: Iterable[Any] | None = None,
    at: Mapping[str, Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the data, a fitted line for every level of a grouping factor, and the population's.

    Use it to see whether the model describes the data, and how much levels differ.

    Parameters
    ----------
    model : LinearMixedModel
    x : str
        A predictor of the model: numbers, or a factor.
    group : str, optional
        The grouping factor; needed if the model has several.
    kind : {"spaghetti", "panels"}
        All lines in one picture, or a panel for every level (the first thirty).
    levels : iterable, optional
        Levels to draw, in this order.
    at : mapping of str to value, optional
        Where other predictors are held. By default they have a level's own value if they are
        constant within levels, else their mean or their most frequent level. An offset that was
        given as an array counts as zero.
    ax : matplotlib Axes, or array of as many as there are panels; optional
        A new figure by default.

    Returns
    -------
    matplotlib Axes, or Figure for ``"panels"``
        Random effects of other grouping factors are zero, unless the levels are nested in theirs.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor or variable.
    OptionError
        If it has several grouping factors and none was named; for levels that do not exist, and
        other arguments that are not allowed.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> ax = ranef.plots.lines(m, "Days")
    >>> figure = ranef.plots.lines(m, "Days", kind="panels", levels=["308", "309", "335"])
    >>> [axis.get_title() for axis in figure.axes]
    ['308', '309', '335']
    >>> pyplot.close("all")
    """
    check_fitted("plots.lines", [model])
    check_choice("kind", kind, LineKind)
    grouping = find_group(model, group)
    if kind == "spaghetti":
        axis = single(ax)
        found = fitted_curves(model, x, grouping, levels, at)
        _spaghetti(model, grouping, found, axis)
        _label(axis, found, x, model.design.response)
        return axis
    left_out = 0
    if levels is None:
        left_out = max(0, grouping.size - MOST_PANELS)
        levels = list(grouping.levels[:MOST_PANELS])
    return _panels(model, x, grouping, fitted_curves(model, x, grouping, levels, at), left_out, ax)


def _spaghetti(model: LinearMixedModel, grouping: Grouping, found: Curves, axis: Axes) -> None:
    from matplotlib.collections import LineCollection

    rows = np.isin(grouping.codes, found.levels)
    shade = float(np.clip(12.0 / np.sqrt(rows.sum()), 0.15, 0.8))
    axis.plot(found.x[rows], model.design.y[rows], "o", color=GREY, markersize=2.5, alpha=shade)
    segments = [np.column_stack([line.x, line.y]) for line in found.lines]
    points = [part[0] for part in segments if len(part) == 1]
    if points:  # the data of a level have one value of x: a line without length
        axis.plot(*np.array(points).T, "_", color=BLUE, markersize=5)
    axis.add_collection(
        LineCollection(
            segments,
            colors=BLUE,
            linewidths=1.0,
            alpha=float(np.clip(6.0 / np.sqrt(len(segments)), 0.2, 0.75)),
            label=in_legend(f"levels of {grouping.name}"),
        )
    )
    axis.plot(
        found.population.x, found.population.y, color=VERMILION, linewidth=2.6, label="population"
    )
    axis.autoscale_view()
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)


def _panels(
    model: LinearMixedModel, x: str, grouping: Grouping, found: Curves, left_out: int, ax: Any
) -> Any:
    count = len(found.levels)
    across = min(count, 6) if count > 4 else count
    size, letters = ((1.55, 1.5), 18) if count > 4 else ((2.6, 2.4), WIDTH)
    axes = panels(count, ax, "levels", across=across, size=size, sharex=True, sharey=True)
    figure = figure_of(axes)
    for axis, level, line in zip(axes, found.levels, found.lines, strict=True):
        rows = grouping.codes == level
        axis.plot(found.x[rows], model.design.y[rows], "o", color=GREY, markersize=2.8)
        axis.plot(found.population.x, found.population.y, color=VERMILION, linewidth=1.0)
        mark = "_" if len(line.x) == 1 else ""  # a line without length would not be seen
        axis.plot(line.x, line.y, color=BLUE, linewidth=1.6, marker=mark, markersize=8)
        axis.set_title(wrapped(grouping.levels[level], letters, 2), fontsize=SMALL, pad=3)
        axis.tick_params(labelsize=SMALL)
        if ax is not None:
            _label(axis, found, x, model.design.response)
        elif found.ticks is not None:
            _ticks(axis, found.ticks, letters)
    if ax is None:
        note = f" (the first {count} of {count + left_out} levels)" if left_out else ""
        figure.supxlabel(f"{plain(x)}{note}", fontsize="medium")
        figure.supylabel(wrapped(model.design.response), fontsize="medium")
        figure.legend(
            axes[0].lines[1:],
            ["population", in_legend(f"level of {grouping.name}")],
            loc="outside upper center",
            ncols=2,
            frameon=False,
            fontsize=SMALL,
        )
    return figure


def _label(axis: Axes, found: Curves, x: str, response: str) -> None:
    axis.set_xlabel(plain(x))
    axis.set_ylabel(wrapped(response))
    if found.ticks is not None:
        _ticks(axis, found.ticks, 70)


def _ticks(axis: Axes, names: Sequence[str], letters: int) -> None:
    """Name the levels of a factor, of which all together have so many letters side by side."""
    width = max(6, letters // len(names))
    axis.set_xticks(range(len(names)), [wrapped(name, width) for name in names])
