"""Pictures of profiles: the signed root of the deviance, and densities.

A panel per parameter. In a picture of zeta, straight lines mean that the log-likelihood is a
parabola; every interval is read off where the curve crosses the heights of its level. A curve
that bends shows on which side an interval reaches farther; one that ends in mid-air has come to the
end of the parameter's range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ranef.errors import OptionError
from ranef.inference.profile import Profile, normal_quantile
from ranef.inference.profile_curve import Curve
from ranef.inference.wald import check_level
from ranef.plots.canvas import BLUE, GREY, SMALL, figure_of, listed, panels
from ranef.plots.labels import wrapped

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
# Size of a panel in inches, and how many stand side by side.
PANEL = (2.9, 2.4)
ACROSS = 3


def zeta(profile: Profile, axes: Any = None, levels: Iterable[float] = LEVELS) -> Any:
    """Draw zeta against every parameter, with the intervals of several levels.

    Use it to see which parameters a symmetric interval would misjudge.

    Parameters
    ----------
    profile : Profile
    axes : array of matplotlib Axes, optional
        As many as the profile has parameters; a new figure by default.
    levels : iterable of float
        Intervals to mark, as far as the profile reaches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    OptionError
        For something that is no profile, levels that are not between 0 and 1, or too few axes.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> figure = zeta(m.profile())
    >>> len(figure.axes)
    3
    >>> pyplot.close(figure)
    """
    _check(profile)
    marked = [check_level(level) for level in listed("levels", levels)]
    marked = [level for level in marked if level <= profile.level]

    def draw(axis: Any, curve: Curve) -> None:
        value, height, _ = curve.dense()
        axis.axhline(0.0, color=GREY, linewidth=0.6)
        axis.plot(value, height, color=BLUE, linewidth=1.6)
        for level in marked:
            z = normal_quantile(level)
            ends = np.clip(curve.limits(z), value[0], value[-1])
            heights = np.clip(curve.at(ends), -z, z)
            axis.vlines(ends, 0.0, heights, color=GREY, linewidth=0.8)
            axis.plot(ends, heights, ".", color=GREY, markersize=3.5)
        axis.plot([curve.estimate], [0.0], "o", color=BLUE, markersize=4)

    return _panels(profile, axes, draw, "ζ")


def density(profile: Profile, axes: Any = None, level: float | None = None) -> Any:
    """Draw the density that a profile implies for every parameter, one interval shaded.

    The density is that of which the ends of the profile's intervals are quantiles:
    phi(zeta) d zeta / d value.

    Parameters
    ----------
    profile : Profile
    axes : array of matplotlib Axes, optional
        As many as the profile has parameters; a new figure by default.
    level : float, optional
        Of the interval to shade, at most that of the profile, which is the default.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    OptionError
        For something that is no profile, another level, or too few axes.
    MissingDependencyError
        If there is no matplotlib.
    """
    _check(profile)
    level = profile.level if level is None else check_level(level)
    if level > profile.level:
        raise OptionError(
            f"the curves of the profile reach to level {profile.level:g}; for {level:g} profile "
            f"again with level={level:g}."
        )
    z, note = normal_quantile(level), f"{100 * level:g} % interval shaded"

    def draw(axis: Any, curve: Curve) -> None:
        value, height, mass = curve.dense()
        inside = np.abs(height) <= z
        axis.fill_between(value, 0.0, mass, where=inside, color=BLUE, alpha=0.25, linewidth=0)
        axis.plot(value, mass, color=BLUE, linewidth=1.6)
        axis.axvline(curve.estimate, color=GREY, linewidth=0.8)
        axis.set_ylim(bottom=0.0)
        if axes is not None:
            axis.set_xlabel(note, fontsize=SMALL)

    figure = _panels(profile, axes, draw, "density")
    if axes is None:
        figure.suptitle(note, fontsize="medium")
    return figure


def _check(profile: Any) -> None:
    if not isinstance(profile, Profile):
        raise OptionError(
            f"profile must be what a model's profile returns; got {type(profile).__name__}."
        )


def _panels(profile: Profile, axes: Any, draw: Callable[[Any, Curve], None], label: str) -> Any:
    """Draw every curve into a panel of its own."""
    found = panels(len(profile.curves), axes, "parameters", across=ACROSS, size=PANEL)
    for i, (axis, curve) in enumerate(zip(found, profile.curves, strict=True)):
        axis.set_title(wrapped(curve.name), fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        if i % ACROSS == 0 or axes is not None:
            axis.set_ylabel(label, rotation=0 if len(label) == 1 else 90)
        if len(curve.value) < 2:
            axis.text(0.5, 0.5, "not defined", ha="center", transform=axis.transAxes)
        else:
            draw(axis, curve)
    return figure_of(found)
