"""The criterion as a landscape over two covariance parameters, and the optimizer's way down.

The profiled criterion depends on theta alone: fixed effects and sigma are solved for. With one
parameter the picture is a curve, with two a map. With more, it is a cut through the minimum: the
other parameters stay at their estimates, and points of the path, where they do not, are projected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranef.errors import OptionError
from ranef.inference.models import check_fitted
from ranef.plots.canvas import BLUE, GREY, SEQUENTIAL, SMALL, VERMILION, listed, pyplot, single
from ranef.plots.labels import wrapped
from ranef.plots.search import Path, search_path
from ranef.typing import BoolArray, FloatArray, OptimizerName, check_choice, check_flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranef.model import LinearMixedModel

# Heights above the minimum at which contours are drawn; 3.84 and 5.99 are quantiles of chi-square.
CONTOURS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
# Points of the grid in every direction, for one parameter and for two.
POINTS = {1: 201, 2: 41}
# The criterion is evaluated at no more points; a picture does not show as many.
MOST_POINTS = 1_000_000
# A picture reaches this far beyond the path and the minimum, relative to their size.
BEYOND = 0.15
# Without a path, this many times the estimate; where that is zero, this.
TIMES, AT_LEAST = 2.2, 0.5


def surface(
    model: LinearMixedModel,
    parameters: str | Sequence[str] | None = None,
    *,
    path: bool = True,
    optimizer: OptimizerName = "newton",
    start: object = None,
    points: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the profiled criterion over one or two covariance parameters, and the optimizer's path.

    Use it to show what fitting a mixed model is: finding the lowest point of this.

    Parameters
    ----------
    model : LinearMixedModel
    parameters : str or two str, optional
        Names in ``model.theta``. By default the first two on the diagonal of a factor (standard
        deviations relative to sigma, where an effect comes first), or the only ones there are.
    path : bool
        Run the optimizer again and draw where it went: dots are its steps, crosses points that it
        tried and left. Where the model has more parameters the path is projected.
    optimizer : {"newton", "bobyqa", "nelder-mead"}
        It need not be that of the fit.
    start : array (m,), optional
        Where the path starts, in the order of ``model.theta``; by default where a fit does.
        BOBYQA moves a start that is close to zero.
    points : int, optional
        Points of the grid in every direction, at all of which the criterion is evaluated: a million
        at most. By default 201 for a curve and 41 x 41 for a map.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib Axes
        Heights are above the minimum, in units of the deviance.

    Raises
    ------
    OptionError
        For parameters that do not exist, another optimizer or number of points.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> ranef.plots.surface(m).get_xlabel()
    'θ Batch.Intercept'
    >>> pyplot.close()
    """
    check_fitted("plots.surface", [model])
    check_flag("path", path)
    check_choice("optimizer", optimizer, OptimizerName)
    names, chosen = model.problem.theta_names(), _chosen(model, parameters)
    if points is None:
        points = POINTS[len(chosen)]
    elif isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 3:
        raise OptionError(f"points must be an integer of 3 or more; got {points!r}.")
    if points ** len(chosen) > MOST_POINTS:
        most = int(MOST_POINTS ** (1 / len(chosen)))
        raise OptionError(f"points must be at most {most} in every direction; got {points!r}.")
    found = search_path(model, optimizer, start) if path else None
    grids = [_grid(model, j, found, points) for j in chosen]
    heights = _heights(model, chosen, grids)
    axis = single(ax, (5.6, 4.6))
    axis.set_xlabel(f"θ {wrapped(names[chosen[0]])}")
    kind = "REML criterion" if model.reml else "deviance"
    if len(chosen) == 1:
        _curve(axis, model, chosen[0], grids[0], heights, found)
        axis.set_ylabel(f"{kind} above its minimum")
        return axis
    axis.set_ylabel(f"θ {wrapped(names[chosen[1]])}")
    _map(axis, grids, heights, kind)
    if found is not None:
        _way(axis, found.theta[:, chosen], found.taken)
    axis.plot(*model.theta_values[chosen], "*", color="black", markersize=10, zorder=4)
    axis.set_xlim(*grids[0][[0, -1]])
    axis.set_ylim(*grids[1][[0, -1]])
    return axis


def _chosen(model: LinearMixedModel, parameters: str | Sequence[str] | None) -> list[int]:
    """Return the positions of one or two parameters in theta."""
    names = model.problem.theta_names()
    if parameters is None:
        diagonal = [j for j, (_, a, b) in enumerate(model.problem.theta_entries()) if a == b]
        return diagonal[:2] if len(diagonal) > 1 else list(range(len(names)))
    wanted = listed("parameters", parameters)
    for name in wanted:
        if name not in names:
            raise OptionError.from_choice("every one of parameters", name, names)
    if len(wanted) not in (1, 2) or len(set(wanted)) < len(wanted):
        raise OptionError(f"parameters must be one or two different names; got {wanted!r}.")
    return [names.index(name) for name in wanted]


def _grid(model: LinearMixedModel, j: int, found: Path | None, points: int) -> FloatArray:
    """Return values of one parameter, from zero if it cannot be negative."""
    slot, a, b = model.problem.theta_entries()[j]
    estimate = float(model.theta_values[j])
    seen = [estimate] if found is None else [estimate, *found.theta[found.taken, j]]
    reach = max(TIMES * abs(estimate), AT_LEAST * (estimate == 0.0))
    if a == b:
        return np.linspace(0.0, max(reach, (1.0 + BEYOND) * max(seen)), points)
    # below the diagonal: as far as half of the standard deviation of its row
    size = float(np.linalg.norm(model.problem.raw_factors(model.theta_values)[slot.factor][a]))
    around = max(AT_LEAST * (size or 1.0), BEYOND * (max(seen) - min(seen)))
    return np.linspace(min(seen) - around, max(seen) + around, points)


def _heights(model: LinearMixedModel, chosen: list[int], grids: list[FloatArray]) -> FloatArray:
    """Return the criterion above its minimum, (points,) or (points, points); NaN if not defined."""
    problem, theta = model.problem, model.theta_values.copy()
    mesh = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
    flat = np.empty(mesh.shape[:-1]).ravel()
    with np.errstate(all="ignore"):
        for i, values in enumerate(mesh.reshape(-1, len(chosen))):
            theta[chosen] = values
            flat[i] = problem.objective.value(problem.to_core(theta))
    problem.objective.forget()
    flat[~np.isfinite(flat)] = np.nan
    return flat.reshape(mesh.shape[:-1]) - model.objective


def _curve(
    axis: Axes,
    model: LinearMixedModel,
    j: int,
    grid: FloatArray,
    heights: FloatArray,
    found: Path | None,
) -> None:
    axis.plot(grid, heights, color=BLUE, linewidth=1.6)
    axis.axhline(0.0, color=GREY, linewidth=0.6)
    axis.plot([model.theta_values[j]], [0.0], "*", color="black", markersize=11, zorder=4)
    if found is not None and found.theta.shape[1] == 1:
        above = np.column_stack([found.theta[:, j], found.value - model.objective])
        _way(axis, above, found.taken, line="none")
    axis.set_xlim(grid[0], grid[-1])


def _map(axis: Axes, grids: list[FloatArray], heights: FloatArray, kind: str) -> None:
    shown = np.ma.masked_invalid(heights.T)
    levels = [level for level in CONTOURS if level < shown.max()]
    if levels:
        # a shade for every band: shades by height would leave the valley without any
        shades = np.linspace(0.0, 0.75, len(levels) + 1)
        colours = pyplot().get_cmap(SEQUENTIAL)(shades)
        axis.contourf(*grids, shown, levels=[-np.inf, *levels, np.inf], colors=colours)
        lines = axis.contour(*grids, shown, levels=levels, colors=GREY, linewidths=0.7)
        axis.clabel(lines, fmt="%g", fontsize="x-small", colors="black", zorder=2.0)
    axis.set_title(f"{kind} above its minimum", fontsize="medium")


def _way(axis: Axes, where: FloatArray, taken: BoolArray, line: str = "-") -> None:
    """Draw the steps of an optimizer, (s, 2), and the points that it left again."""
    steps = where[taken]
    axis.plot(*steps.T, linestyle=line, color=VERMILION, linewidth=1.4, zorder=3)
    axis.plot(*steps.T, "o", color=VERMILION, markersize=5, markeredgecolor="white", zorder=3)
    axis.plot(*where[~taken].T, "x", color=VERMILION, markersize=5, zorder=3)
    axis.annotate(
        "start",
        steps[0],
        (5, 5),
        textcoords="offset points",
        fontsize=SMALL,
        annotation_clip=True,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0},
        zorder=3,
    )
