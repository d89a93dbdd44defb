"""What all pictures share: matplotlib when it is there, axes, colours.

matplotlib is imported when a picture is drawn, never before. Nothing global is changed: sizes of
letters are relative to the user's, `rcParams` and the backend stay as they are, and nothing is
shown. Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any
kind of colour vision can tell apart; heat maps use ColorBrewer's Blues, and RdBu around zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import MissingDependencyError, OptionError
from ranef.plots.labels import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
# In the order in which things that are compared take them; yellow is too pale for lines.
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
GREY, PALE = "#7f7f7f", "#c4c4c4"
SEQUENTIAL, DIVERGING = "Blues", "RdBu_r"
# Letters of tick labels and notes, relative to the user's.
SMALL = "small"
# As many labels as can be read below each other.
MOST_LABELS = 60


def colour(position: int) -> str:
    """Return a colour of the palette; they repeat after seven."""
    return PALETTE[position % len(PALETTE)]


def pyplot() -> Any:
    """Return matplotlib's pyplot.

    Raises
    ------
    MissingDependencyError
        If there is no matplotlib.
    """
    try:
        from matplotlib import pyplot as found
    except ImportError as error:
        raise MissingDependencyError.from_extra("matplotlib", "plots") from error
    return found


def single(ax: Axes | None, size: tuple[float, float] = (6.0, 4.2)) -> Axes:
    """Return the given axes, or those of a new figure.

    Parameters
    ----------
    ax : Axes or None
    size : tuple of float
        Width and height of a new figure in inches.

    Raises
    ------
    OptionError
        If ``ax`` is something else.
    """
    found = pyplot()
    if ax is None:
        return found.subplots(figsize=size, layout="constrained")[1]  # type: ignore[no-any-return]
    if not _is_axes(ax):
        raise OptionError(f"ax must be one matplotlib Axes; got {type(ax).__name__}.")
    return ax


def panels(
    count: int,
    axes: Any,
    what: str,
    *,
    across: int,
    size: tuple[float, float],
    sharex: bool = False,
    sharey: bool = False,
) -> list[Axes]:
    """Return ``count`` axes: the first of those given, or those of a new figure.

    Parameters
    ----------
    count : int
        At least 1.
    axes : array or sequence of Axes, or one Axes; None for a new figure
    what : str
        What there is one panel for, in the plural.
    across : int
        How many panels stand side by side in a new figure.
    size : tuple of float
        Width and height of a panel in inches.
    sharex, sharey : bool
        Let the panels of a new figure share an axis.

    Raises
    ------
    OptionError
        If there are fewer axes than panels, or something else among them.
    """
    found = pyplot()
    if axes is None:
        across = min(across, count)
        down = -(-count // across)
        figure, grid = found.subplots(
            down,
            across,
            squeeze=False,
            figsize=(size[0] * across, size[1] * down),
            layout="constrained",
            sharex=sharex,
            sharey=sharey,
        )
        for spare in grid.ravel()[count:]:
            figure.delaxes(spare)
        if sharex:  # the last panel of a column may stand above an empty place
            for axis in grid.ravel()[max(0, count - across) : count]:
                axis.xaxis.set_tick_params(labelbottom=True)
        return list(grid.ravel()[:count])
    given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if not all(_is_axes(axis) for axis in given):
        kinds = ", ".join(sorted({type(axis).__name__ for axis in given}))
        raise OptionError(f"axes must be matplotlib Axes; got {kinds}.")
    if len(given) < count:
        raise OptionError(
            f"the picture is of {count} {what}, and there are {len(given)} axes: give one for "
            "each, or none."
        )
    return list(given[:count])


def figure_of(axes: Sequence[Axes]) -> Figure:
    """Return the figure in which axes stand."""
    return axes[0].figure  # type: ignore[return-value]


def _is_axes(value: Any) -> bool:
    from matplotlib.axes import Axes

    return isinstance(value, Axes)


def level_ticks(axis: Axes, names: Sequence[str], title: str) -> None:
    """Label rows 0, 1, ... from below; only by their number where they are too many to read.

    Parameters
    ----------
    axis : Axes
    names : sequence of str
        As they are shown, see `labels`.
    title : str
        The name of the grouping factor.
    """
    if len(names) <= MOST_LABELS:
        axis.set_yticks(range(len(names)), names, fontsize=SMALL)
        axis.set_ylabel(wrapped(title))
    else:
        axis.set_yticks([])
        axis.set_ylabel(f"{wrapped(title)} ({len(names)} levels)")
    axis.set_ylim(-0.7, len(names) - 0.3)


def column_height(rows: int) -> float:
    """Return the height in inches of a panel with a row for each of so many levels."""
    return float(np.clip(0.9 + 0.17 * rows, 2.2, 11.0))


def listed(argument: str, values: Any) -> list[Any]:
    """Return what an argument lists; a text stands for itself alone.

    Raises
    ------
    OptionError
        If it lists nothing.
    """
    if isinstance(values, str):
        return [values]
    try:
        return list(values)
    except TypeError:
        raise OptionError(f"{argument} must be a list; got {values!r}.") from None
