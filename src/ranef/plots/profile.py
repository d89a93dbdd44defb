"""Pictures of profiles: the signed root of the deviance, and densities.

A panel per parameter. In a picture of zeta, straight lines mean that the log-likelihood is a
parabola; every interval is read off where the curve crosses the heights of its level. A curve
that bends shows on which side an interval reaches farther; one that ends in mid-air has come to the
end of the parameter's range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ranef.errors import MissingDependencyError, OptionError
from ranef.inference.profile import Profile, normal_quantile
from ranef.inference.profile_curve import Curve

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
# Size of a panel in inches, and how many stand side by side.
PANEL = (2.9, 2.4)
ACROSS = 3
CURVE, GUIDE, SHADE = "#1f5a8a", "#8a8a8a", "#1f5a8a"


def zeta(profile: Profile, axes: Any = None, levels: tuple[float, ...] = LEVELS) -> Any:
    """Draw zeta against every parameter, with the intervals of several levels.

    Use it to see which parameters a symmetric interval would misjudge.

    Parameters
    ----------
    profile : Profile
    axes : array of matplotlib Axes, optional
        As many as the profile has parameters; a new figure by default.
    levels : tuple of float
        Intervals to mark, as far as the profile reaches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    OptionError
        If there are not enough axes.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from ranef.inference.profile import profile
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> figure = zeta(profile(m))
    >>> len(figure.axes)
    3
    """
    marked = [level for level in levels if level <= profile.level]

    def draw(axis: Any, curve: Curve) -> None:
        value, height, _ = curve.dense()
        axis.axhline(0.0, color=GUIDE, linewidth=0.6)
        axis.plot(value, height, color=CURVE, linewidth=1.6)
        for level in marked:
            z = normal_quantile(level)
            ends = np.clip(curve.limits(z), value[0], value[-1])
            heights = np.clip(curve.at(ends), -z, z)
            axis.vlines(ends, 0.0, heights, color=GUIDE, linewidth=0.8)
            axis.plot(ends, heights, ".", color=GUIDE, markersize=3.5)
        axis.plot([curve.estimate], [0.0], "o", color=CURVE, markersize=4)

    return _panels(profile, axes, draw, "ζ")


def density(profile: Profile, axes: Any = None, level: float = 0.95) -> Any:
    """Draw the density that a profile implies for every parameter, one interval shaded.

    The density is that of which the ends of the profile's intervals are quantiles:
    phi(zeta) d zeta / d value.

    Parameters
    ----------
    profile : Profile
    axes : array of matplotlib Axes, optional
        As many as the profile has parameters; a new figure by default.
    level : float
        Of the interval to shade.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    OptionError
        If there are not enough axes.
    MissingDependencyError
        If there is no matplotlib.
    """
    z = normal_quantile(min(level, profile.level))

    def draw(axis: Any, curve: Curve) -> None:
        value, height, mass = curve.dense()
        inside = np.abs(height) <= z
        axis.fill_between(value, 0.0, mass, where=inside, color=SHADE, alpha=0.25, linewidth=0)
        axis.plot(value, mass, color=CURVE, linewidth=1.6)
        axis.axvline(curve.estimate, color=GUIDE, linewidth=0.8)
        axis.set_ylim(bottom=0.0)

    return _panels(profile, axes, draw, "density")


def _panels(profile: Profile, axes: Any, draw: Callable[[Any, Curve], None], label: str) -> Any:
    """Draw every curve into a panel of its own."""
    panels = list(_axes(len(profile.curves), axes))
    for i, (axis, curve) in enumerate(zip(panels, profile.curves, strict=True)):
        axis.set_title(curve.name, fontsize=9)
        axis.tick_params(labelsize=8)
        if i % ACROSS == 0 or axes is not None:
            axis.set_ylabel(label, fontsize=9, rotation=0 if len(label) == 1 else 90)
        if len(curve.value) < 2:
            axis.text(0.5, 0.5, "not defined", ha="center", transform=axis.transAxes, fontsize=9)
        else:
            draw(axis, curve)
    return panels[0].figure if panels else None


def _axes(count: int, axes: Any) -> Iterator[Any]:
    """Yield ``count`` axes: those given, or new ones."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependencyError.from_extra("matplotlib", "plots") from error
    if axes is None:
        across = min(ACROSS, max(1, count))
        down = -(-count // across)
        figure, grid = pyplot.subplots(
            down,
            across,
            squeeze=False,
            figsize=(PANEL[0] * across, PANEL[1] * down),
            layout="constrained",
        )
        for spare in grid.ravel()[count:]:
            figure.delaxes(spare)
        yield from grid.ravel()[:count]
        return
    given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(given) < count:
        raise OptionError(
            f"the profile has {count} parameters, and there are {len(given)} axes: give one for "
            "each, or none."
        )
    yield from given[:count]
