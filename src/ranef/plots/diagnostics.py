"""Four panels about residuals and random effects: what is wrong shows as a pattern.

    residuals against fitted values     a trend: the mean is wrong
    Q-Q of scaled residuals             a bent line: heavy tails, skewness, outliers
    scale-location                      a trend: the variance is not constant
    Q-Q of random effects               outlying groups

Conditional modes are shrunken, and look more normal than the effects that they stand for; and in
small groups residuals do, too. A straight line is no proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.inference.models import check_fitted
from ranef.plots.canvas import BLUE, GREY, SMALL, VERMILION, colour, figure_of, panels
from ranef.plots.labels import in_legend
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ranef.model import LinearMixedModel

# Means of neighbours: at most so many, each of at least so many points.
MOST_BINS, FEWEST_IN_BIN = 12, 12


def residuals(model: LinearMixedModel, axes: Any = None) -> Figure:
    """Draw residuals against fitted values, their Q-Q plot, scale-location, and effects' Q-Q plot.

    Use it after every fit, before anything is believed.

    Parameters
    ----------
    model : LinearMixedModel
    axes : array of four matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib Figure
        Residuals are divided by ``sigma`` and multiplied by the square root of weights, where
        "scaled" stands. Red lines are means of neighbours (of equal numbers of points), and lines
        through the quartiles. Random effects are divided by the standard deviation of their
        modes; those without variance are left out.

    Raises
    ------
    OptionError
        If there are not enough axes.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> figure = ranef.plots.residuals(m)
    >>> [axis.get_title() for axis in figure.axes]
    ['Residuals', 'Q-Q of residuals', 'Scale-location', 'Q-Q of random effects']
    >>> pyplot.close(figure)
    """
    check_fitted("plots.residuals", [model])
    one, two, three, four = panels(4, axes, "panels", across=2, size=(3.3, 2.8))
    fitted = np.asarray(model.fitted, dtype=np.float64)
    plain = np.asarray(model.residuals(), dtype=np.float64)
    scaled = np.asarray(model.residuals("pearson"), dtype=np.float64) / model.sigma
    shade = float(np.clip(16.0 / np.sqrt(len(fitted)), 0.1, 0.7))
    one.axhline(0.0, color=GREY, linewidth=0.8)
    _cloud(one, fitted, plain, shade)
    one.set(title="Residuals", xlabel="fitted", ylabel="residual")
    quantiles = normal_scores(len(scaled))
    ordered = np.sort(scaled)
    two.plot(quantiles, ordered, "o", color=BLUE, markersize=3, alpha=shade)
    _quartile_line(two, quantiles, ordered)
    two.set(title="Q-Q of residuals", xlabel="normal quantile", ylabel="scaled residual")
    _cloud(three, fitted, np.sqrt(np.abs(scaled)), shade)
    three.set(title="Scale-location", xlabel="fitted", ylabel="√|scaled residual|")
    _effects(four, model)
    return figure_of([one])


def normal_scores(count: int) -> FloatArray:
    """Return the normal quantiles of a sorted sample, as R's ``qqnorm``."""
    from scipy.special import ndtri  # slow to import, and not needed for a fit

    offset = 0.375 if count <= 10 else 0.5
    probability = (np.arange(1, count + 1) - offset) / (count + 1 - 2 * offset)
    result: FloatArray = ndtri(probability)
    return result


def neighbour_means(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the means of x and y in bins of equal numbers of points, by increasing x."""
    bins = int(np.clip(len(x) // FEWEST_IN_BIN, 1, MOST_BINS))
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, bins)
    return np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])


def _cloud(axis: Axes, x: FloatArray, y: FloatArray, shade: float) -> None:
    axis.plot(x, y, "o", color=BLUE, markersize=3, alpha=shade)
    axis.plot(*neighbour_means(x, y), color=VERMILION, linewidth=1.4)


def _quartile_line(axis: Axes, quantiles: FloatArray, ordered: FloatArray) -> None:
    across, up = (np.quantile(values, [0.25, 0.75]) for values in (quantiles, ordered))
    slope = (up[1] - up[0]) / (across[1] - across[0])
    ends = quantiles[[0, -1]]
    axis.plot(ends, up[0] + slope * (ends - across[0]), color=VERMILION, linewidth=1.2)


def _effects(axis: Axes, model: LinearMixedModel) -> None:
    axis.set(title="Q-Q of random effects", xlabel="normal quantile", ylabel="mode / SD of modes")
    drawn = 0
    for group, modes in model.ranef.items():
        for name in modes.columns:
            values = np.sort(modes[name].to_numpy())
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            if spread > 0.0:
                axis.plot(
                    normal_scores(len(values)),
                    (values - values.mean()) / spread,
                    "o",
                    color=colour(drawn),
                    markersize=3.2,
                    label=in_legend(f"{name} | {group}"),
                )
                drawn += 1
    if drawn:
        axis.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=0.8)
        axis.legend(fontsize=SMALL, frameon=False, handletextpad=0.2)
    else:
        axis.text(0.5, 0.5, "no variance", ha="center", transform=axis.transAxes)
