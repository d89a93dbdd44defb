"""Shrinkage: how far partial pooling moves every group from what it would say alone.

With one coefficient, a dumbbell per group: from the open circle (no pooling) an arrow to the dot
(partial pooling). With two, arrows in their plane. The numbers are those of `ranef.pooling`.

Arrows do not all aim straight at the fixed effects, and that is no mistake: an intercept and a
slope that are estimated together inform about each other, so a group moves along the directions
in which its own data say little.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import OptionError
from ranef.explain.groups import find_group, find_level
from ranef.explain.pooling import Pooling, pooling
from ranef.inference.models import check_fitted
from ranef.plots.canvas import (
    BLUE,
    GREY,
    SMALL,
    VERMILION,
    column_height,
    level_ticks,
    listed,
    single,
)
from ranef.plots.labels import extra_width, wrapped
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranef.model import LinearMixedModel


def shrinkage(
    model: LinearMixedModel,
    group: str | None = None,
    *,
    terms: str | Iterable[str] | None = None,
    label: Iterable[Any] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw complete, no and partial pooling of every group.

    Use it to see what a mixed model does: groups that are far away, or know little about
    themselves, are moved most.

    Parameters
    ----------
    model : LinearMixedModel
    group : str, optional
        The grouping factor; needed if the model has several.
    terms : str or two str, optional
        One coefficient (a row per group) or two (their plane, the first to the right). By default
        the first two that vary between groups, or the only one.
    label : iterable of levels
        Groups whose names are written into the plane.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib Axes
        A group whose own data do not determine its coefficients has a dot, but no circle and no
        arrow.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If it has several and none was named; for coefficients or levels that do not exist.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> ax = ranef.plots.shrinkage(m, label=["335"])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Intercept', 'Days')
    >>> pyplot.close()
    """
    check_fitted("plots.shrinkage", [model])
    grouping = find_group(model, group)
    marked = [find_level(grouping, wanted) for wanted in listed("label", label)]
    pooled = pooling(model, grouping.name)
    columns = _columns(pooled, terms)
    modes = model.ranef[grouping.name].to_numpy()
    center = (pooled.partial_pooling[0] - modes[0])[columns]
    if len(columns) == 1:
        return _dumbbells(pooled, columns[0], float(center[0]), ax)
    return _plane(pooled, columns, center, marked, ax)


def _columns(pooled: Pooling, terms: str | Iterable[str] | None) -> list[int]:
    """Return the positions of one or two coefficients."""
    if terms is None:
        return list(range(min(2, len(pooled.names))))
    wanted = listed("terms", terms)
    for name in wanted:
        if name not in pooled.names:
            raise OptionError.from_choice("every one of terms", name, pooled.names)
    if len(wanted) not in (1, 2) or len(set(wanted)) < len(wanted):
        raise OptionError(f"terms must be one coefficient or two different ones; got {wanted!r}.")
    return [pooled.names.index(name) for name in wanted]


def _arrows(axis: Axes, start: FloatArray, end: FloatArray) -> None:
    """Draw arrows from (m, 2) to (m, 2), without those of groups that have no start."""
    known = np.isfinite(start).all(axis=1)
    start, step = start[known], (end - start)[known]
    axis.quiver(
        *start.T,
        *step.T,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color=GREY,
        width=0.0028,
        headwidth=5.0,
        headlength=6.0,
        zorder=1.5,
    )


def _dumbbells(pooled: Pooling, j: int, center: float, ax: Axes | None) -> Axes:
    order = np.argsort(pooled.partial_pooling[:, j], kind="stable")
    names = [wrapped(level, lines=1) for level in pooled.levels[order]]
    axis = single(ax, (5.2 + extra_width(names), column_height(len(order)) + 0.5))
    no, partial = pooled.no_pooling[order, j], pooled.partial_pooling[order, j]
    rows = np.arange(len(order), dtype=np.float64)
    axis.axvline(center, color=BLUE, linewidth=1.0, label="fixed effect")
    complete = pooled.complete_pooling[j]
    axis.axvline(complete, color=VERMILION, linestyle="--", linewidth=1.0, label="complete pooling")
    _arrows(axis, np.column_stack([no, rows]), np.column_stack([partial, rows]))
    _points(axis, no, partial, rows, rows)
    level_ticks(axis, names, pooled.group)
    axis.set_xlabel(wrapped(pooled.names[j]))
    _legend(axis)
    return axis


def _plane(
    pooled: Pooling, columns: list[int], center: FloatArray, marked: list[int], ax: Axes | None
) -> Axes:
    axis = single(ax, (6.0, 4.9))
    no, partial = pooled.no_pooling[:, columns], pooled.partial_pooling[:, columns]
    _arrows(axis, no, partial)
    _points(axis, no[:, 0], partial[:, 0], no[:, 1], partial[:, 1])
    complete = pooled.complete_pooling[columns]
    axis.plot(*complete, "X", color=VERMILION, markersize=9, label="complete pooling", zorder=3)
    axis.plot(*center, "+", color="black", markersize=11, label="fixed effects", zorder=3.5)
    for level in marked:
        at = no[level] if np.isfinite(no[level]).all() else partial[level]
        axis.annotate(
            wrapped(pooled.levels[level]), at, (5, 4), textcoords="offset points", fontsize=SMALL
        )
    axis.set_xlabel(wrapped(pooled.names[columns[0]]))
    axis.set_ylabel(wrapped(pooled.names[columns[1]]))
    axis.margins(0.08)
    _legend(axis)
    return axis


def _points(
    axis: Axes, x_no: FloatArray, x_partial: FloatArray, y_no: FloatArray, y_partial: FloatArray
) -> None:
    axis.plot(
        x_no, y_no, "o", color=BLUE, markerfacecolor="white", markersize=4.5, label="no pooling"
    )
    axis.plot(x_partial, y_partial, "o", color=BLUE, markersize=4.5, label="partial pooling")


def _legend(axis: Axes) -> None:
    """Put the legend above the picture, where there is no data."""
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=SMALL
    )
