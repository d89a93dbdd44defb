"""Bootstrap distributions as ridges, one above the other.

Parameters have different units. Ridges therefore show (replicate - estimate) / bootstrap standard
error: zero is the estimate, and what matters can be compared, bias (the mass is not around zero),
skewness, and an interval that is not symmetric. In the parameters' own units they can be drawn,
too, where these are the same.

Densities are kernel estimates with Silverman's bandwidth. At the end of a parameter's range (a
standard deviation of zero) they are reflected, so that nothing is shown where nothing can be;
replicates exactly at the end appear as a narrow hill there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ranef.errors import OptionError
from ranef.inference.bootstrap_intervals import IntervalKind
from ranef.inference.bootstrap_result import BootstrapResult
from ranef.plots.canvas import BLUE, GREY, VERMILION, listed, single
from ranef.plots.labels import extra_width, wrapped
from ranef.typing import FloatArray, check_flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 256
# Height of the highest ridge, in rows.
HEIGHT = 0.82
# Numbers that one block of the kernel estimate may hold.
BLOCK = 2_000_000


def bootstrap(
    result: BootstrapResult,
    parameters: str | Iterable[str] | None = None,
    *,
    standardize: bool = True,
    level: float = 0.95,
    kind: IntervalKind = "percentile",
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of every bootstrapped parameter, with its interval.

    Use it to see bias and skewness, and whether an interval hides a heap at zero.

    Parameters
    ----------
    result : BootstrapResult
    parameters : str or iterable of str, optional
        Names, from above; by default all.
    standardize : bool
        In bootstrap standard errors from the estimate; False for the parameters' own units.
    level : float
        Coverage of the intervals.
    kind : {"percentile", "basic", "normal", "bca"}
        Of the intervals, as in ``result.confint``.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib Axes
        Below every ridge its interval and the estimate. A parameter whose replicates are all the
        same, or do not exist, has no ridge.

    Raises
    ------
    OptionError
        For parameters that do not exist, another level or kind.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> ax = ranef.plots.bootstrap(m.bootstrap(500, seed=1))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['sd_Intercept|Batch', 'sigma', 'Intercept']
    >>> pyplot.close()
    """
    if not isinstance(result, BootstrapResult):
        raise OptionError(
            f"result must be what a model's bootstrap returns; got {type(result).__name__}."
        )
    check_flag("standardize", standardize)
    names = _chosen(result, parameters)
    limits = result.confint(level, kind)
    texts = [wrapped(name) for name in names]
    axis = single(ax, (6.0 + extra_width(texts), 1.2 + 0.62 * len(names)))
    if standardize:
        axis.axvline(0.0, color=GREY, linewidth=0.8)
    for row, name in enumerate(names):
        _ridge(axis, result, name, len(names) - 1 - row, limits.loc[name].to_numpy(), standardize)
    axis.set_yticks(range(len(names) - 1, -1, -1), texts)
    axis.set_ylim(-0.35, len(names))
    axis.set_xlabel(
        "(replicate − estimate) / bootstrap standard error" if standardize else "replicate"
    )
    axis.set_title(f"{result.n - result.n_failed} replicates, {100 * level:g} % {kind} intervals")
    return axis


def _chosen(result: BootstrapResult, parameters: str | Iterable[str] | None) -> list[str]:
    names = list(result.names) if parameters is None else listed("parameters", parameters)
    for name in names:
        if name not in result.names:
            raise OptionError.from_choice("every one of parameters", name, result.names)
    if not names:
        raise OptionError("parameters is empty: name at least one, or leave it out.")
    return names


def _ridge(
    axis: Axes,
    result: BootstrapResult,
    name: str,
    row: int,
    limits: FloatArray,
    standardize: bool,
) -> None:
    j = result.names.index(name)
    values = result.values[:, j][np.isfinite(result.values[:, j])]
    estimate = float(result.estimates[j])
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if not spread > 0.0 or (standardize and not np.isfinite(estimate)):
        axis.text(0.02, row + 0.1, "no distribution", transform=axis.get_yaxis_transform())
        return
    origin, unit = (estimate, spread) if standardize else (0.0, 1.0)
    grid, height = density(values, float(result.bounds[0, j]), float(result.bounds[1, j]))
    across = (grid - origin) / unit
    height = row + HEIGHT * height / height.max()
    axis.fill_between(across, row, height, color=BLUE, alpha=0.25, linewidth=0)
    axis.plot(across, height, color=BLUE, linewidth=1.3)
    axis.hlines(row, *((limits - origin) / unit), color=VERMILION, linewidth=2.2)
    axis.plot([(estimate - origin) / unit], [row], "o", color=VERMILION, markersize=5)


def density(values: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Return a grid (m,) within the range low .. high and a kernel density estimate on it.

    Parameters
    ----------
    values : float64 array (n,)
        Not all the same.
    low, high : float
        Ends of the range, at which the estimate is reflected; may be infinite.
    """
    spread = values.std(ddof=1)
    lower, upper = np.quantile(values, [0.25, 0.75])
    width = min(spread, (upper - lower) / 1.34) or spread
    bandwidth = 0.9 * width * len(values) ** -0.2
    grid = np.linspace(
        max(low, values.min() - 3.0 * bandwidth), min(high, values.max() + 3.0 * bandwidth), POINTS
    )
    images = [values]
    images += [2.0 * end - values for end in (low, high) if np.isfinite(end)]
    total = np.zeros(POINTS)
    for image in images:
        step = max(1, BLOCK // POINTS)
        for start in range(0, len(image), step):
            z = (grid[:, None] - image[start : start + step]) / bandwidth
            total += np.exp(-0.5 * z * z).sum(axis=1)
    return grid, total / (len(values) * bandwidth * np.sqrt(2.0 * np.pi))
