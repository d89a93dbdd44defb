"""The caterpillar: conditional modes with their intervals, one row per level.

The intervals are mode -+ z x conditional standard deviation, as in lme4's ``dotplot(ranef(m))``:
where the effect of a level lies, given the estimated parameters. They say nothing about
differences between two levels, for which they are too long, and are no tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.explain.groups import find_group
from ranef.inference.models import check_fitted
from ranef.inference.profile import normal_quantile
from ranef.inference.wald import check_level
from ranef.plots.canvas import (
    BLUE,
    GREY,
    MOST_LABELS,
    column_height,
    figure_of,
    level_ticks,
    panels,
)
from ranef.plots.labels import extra_width, wrapped
from ranef.typing import IntArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranef.model import LinearMixedModel

# Panels that stand side by side.
ACROSS = 4


def caterpillar(
    model: LinearMixedModel,
    group: str | None = None,
    *,
    sort: bool | str = True,
    level: float = 0.95,
    axes: Any = None,
) -> Figure:
    """Draw the conditional modes of a grouping factor with their intervals, a panel per effect.

    Use it to see which levels are unusual, and how certain that is.

    Parameters
    ----------
    model : LinearMixedModel
    group : str, optional
        The grouping factor; needed if the model has several.
    sort : bool or str
        Put levels into the order of their first effect, the smallest below, or of the effect that
        is named; False keeps the order of the levels, the first above. Rows are the same in
        all panels.
    level : float
        Coverage of the intervals.
    axes : array of matplotlib Axes, optional
        One for every effect; a new figure by default.

    Returns
    -------
    matplotlib Figure
        The names of the levels are left out if there are more than sixty.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If it has several and none was named, or for another argument that is not allowed.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> figure = ranef.plots.caterpillar(m)
    >>> [axis.get_title() for axis in figure.axes]
    ['Intercept', 'Days']
    >>> pyplot.close(figure)
    """
    check_fitted("plots.caterpillar", [model])
    name = find_group(model, group).name
    reach = normal_quantile(check_level(level))
    modes = model.ranef[name]
    order = _order(modes, sort)
    names = [wrapped(label, lines=1) for label in modes.index[order]]
    extra = extra_width(names) / min(ACROSS, modes.shape[1]) if len(names) <= MOST_LABELS else 0.0
    size = (3.3 + extra, column_height(len(modes)))
    found = panels(modes.shape[1], axes, "effects", across=ACROSS, size=size, sharey=True)
    half = reach * model.ranef.sd[name].to_numpy()[order]
    values, rows = modes.to_numpy()[order], np.arange(len(modes))
    for j, (axis, effect) in enumerate(zip(found, modes.columns, strict=True)):
        axis.axvline(0.0, color=GREY, linewidth=0.8)
        low, high = values[:, j] - half[:, j], values[:, j] + half[:, j]
        axis.hlines(rows, low, high, color=BLUE, linewidth=1.1)
        axis.plot(values[:, j], rows, "o", color=BLUE, markersize=3.2)
        axis.set_title(wrapped(effect))
        axis.set_xlabel(f"mode and {100 * level:g} % interval")
        if j == 0 or axes is not None:
            level_ticks(axis, names, name)
    return figure_of(found)


def _order(modes: pd.DataFrame, sort: bool | str) -> IntArray:
    """Return the positions of the levels from below."""
    if isinstance(sort, bool):
        if not sort:
            return np.arange(len(modes))[::-1]
        column = 0
    else:
        names = [str(name) for name in modes.columns]
        if sort not in names:
            raise OptionError.from_choice("sort", sort, ["True", "False", *names])
        column = names.index(sort)
    return np.argsort(modes.iloc[:, column].to_numpy(), kind="stable")
