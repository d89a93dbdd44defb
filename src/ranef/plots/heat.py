"""The matrices of a model as heat maps: X, Z, Lambda, Sigma and V.

    y = X beta + Z b + e,    b ~ N(0, Sigma),  Sigma = sigma^2 Lambda Lambda',
                             Var(y) = V = Z Sigma Z' + sigma^2 W^-1

Pictures for teaching. Rows are ordered by a grouping factor, so that V is block diagonal where the
model is nested. X and Z are shaded relative to the largest entry of a column (for Z: of an effect),
because a predictor in thousands would leave everything else pale; the others have one scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from ranef.errors import OptionError
from ranef.explain.groups import find_group
from ranef.inference.models import check_fitted
from ranef.plots.blocks import Part, shown_part
from ranef.plots.canvas import DIVERGING, GREY, SMALL, figure_of, listed, panels
from ranef.plots.labels import shortened
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ranef.model import LinearMixedModel

MatrixName: TypeAlias = Literal["X", "Z", "Lambda", "Sigma", "V"]
# Matrices of no more rows and columns show their numbers. No more levels have labels, and only
# those that take a share of the axis on which a label can be read; no more have borders.
FEW_ROWS, FEW_COLUMNS = 18, 9
FEW_LEVELS, READABLE, MOST_BORDERS = 18, 0.035, 32
# Levels and columns are called by no more letters.
LETTERS = 16
# Matrices with one scale for all entries, by their symbols; columns of the others have their own.
SQUARE = ("V", "Λ", "Σ")
# Side of a panel in inches.
SIDE = 3.2
# The darkest shades are left unused: numbers and lines must be seen on them.
PALER = 1.25
# X and Z are drawn up to so many times as high as wide; a square has this many rows per column.
TALLEST, ROWS_PER_COLUMN = 3.0, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """One heat map.

    Attributes
    ----------
    symbol : str
    size : tuple of int
        Of the whole matrix.
    values : float64 array (a, b)
        The entries that are shown.
    scale : float64 array (b,)
        What a full colour means, column by column.
    rows, columns : tuple of str
        The levels that rows and columns belong to, or their names.
    """

    symbol: str
    size: tuple[int, int]
    values: FloatArray
    scale: FloatArray
    rows: tuple[str, ...]
    columns: tuple[str, ...]


def matrices(
    model: LinearMixedModel,
    which: MatrixName | Iterable[MatrixName] = ("X", "Z", "Lambda", "V", "Sigma"),
    group: str | None = None,
    *,
    limit: int = 60,
    axes: Any = None,
) -> Figure:
    """Draw the matrices of a model as heat maps.

    Use it to explain a formula: which columns it makes, and which observations are correlated.

    Parameters
    ----------
    model : LinearMixedModel
    which : str or iterable of {"X", "Z", "Lambda", "Sigma", "V"}
        X (n, p): fixed effects; Z (n, q): random effects; Lambda (q, q): their relative covariance
        factor; Sigma (q, q): their covariance matrix; V (n, n): that of the observations.
    group : str, optional
        The grouping factor by which rows are ordered; by default that of the first term.
    limit : int
        Rows and columns to show. If the model has more rows, those of the first levels are
        shown, as many as fit, with the random effects that they have. Nothing larger is computed.
    axes : array of matplotlib Axes, optional
        One for every matrix; a new figure by default.

    Returns
    -------
    matplotlib Figure
        Small matrices show their numbers. Grey lines separate levels.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        For other matrices, or another limit.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    >>> figure = ranef.plots.matrices(m, ["Z", "V"])
    >>> [axis.get_title() for axis in figure.axes[:2]]
    ['Z (18 × 6)', 'V (18 × 18)']
    >>> pyplot.close(figure)
    """
    check_fitted("plots.matrices", [model])
    wanted: list[Any] = listed("which", which)
    for name in wanted:
        if name not in get_args(MatrixName):
            raise OptionError.from_choice("every one of which", name, get_args(MatrixName))
    if not wanted:
        raise OptionError("which is empty: name at least one matrix.")
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
        raise OptionError(f"limit must be a positive integer; got {limit!r}.")
    first = model.problem.slots[0].term.grouping.name
    grouping = find_group(model, first if group is None else group)
    part = shown_part(model, grouping, int(limit))
    found = panels(len(wanted), axes, "matrices", across=3, size=(SIDE, SIDE))
    for axis, name in zip(found, wanted, strict=True):
        _draw(axis, heat_map(part, model.design.x_names, name, limit))
    return figure_of(found)


def heat_map(part: Part, x_names: Sequence[str], name: MatrixName, limit: int) -> Heat:
    """Return one matrix of the part that is shown, at most ``limit`` columns of it."""
    k = min(limit, len(part.effects))
    if name == "X":
        values = part.X[:, :limit]
        kinds = range(values.shape[1])
        size, columns = (part.n, part.X.shape[1]), tuple(x_names[:limit])
        return Heat("X", size, values, _scale(values, kinds), part.row_levels, columns)
    if name == "Z":
        values = part.Z[:, :k]
        scale = _scale(values, part.effects[:k])
        return Heat("Z", (part.n, part.q), values, scale, part.row_levels, part.effect_levels[:k])
    if name == "V":
        everything = (0,) * len(part.rows)
        scale = _scale(part.V, everything)
        return Heat("V", (part.n, part.n), part.V, scale, part.row_levels, part.row_levels)
    values = (part.Lambda if name == "Lambda" else part.Sigma)[:k, :k]
    levels = part.effect_levels[:k]
    symbol = {"Lambda": "Λ", "Sigma": "Σ"}[name]
    return Heat(symbol, (part.q, part.q), values, _scale(values, (0,) * k), levels, levels)


def _scale(values: FloatArray, kinds: Sequence[int]) -> FloatArray:
    """Return the largest entry among the columns of the same kind, for every column."""
    largest = np.abs(values).max(axis=0, initial=0.0)
    of = np.asarray(kinds, dtype=np.intp)
    out = np.array([largest[of == kind].max() for kind in of])
    return np.where(out > 0.0, out, 1.0)


def _draw(axis: Axes, heat: Heat) -> None:
    # one scale: the colour bar shows numbers; several: colours are relative
    square = heat.symbol in SQUARE
    unit = heat.scale[0] if square else 1.0
    m, k = heat.values.shape
    axis.set_title(f"{heat.symbol} ({heat.size[0]} × {heat.size[1]})", fontsize="medium")
    if k == 0:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no columns", ha="center", transform=axis.transAxes)
        return
    image = axis.imshow(
        heat.values / heat.scale * unit,
        cmap=DIVERGING,
        vmin=-PALER * unit,
        vmax=PALER * unit,
        aspect="equal" if square else "auto",
        interpolation="nearest",
    )
    if not square:
        axis.set_box_aspect(float(np.clip(m / (ROWS_PER_COLUMN * k), 1.0, TALLEST)))
    if (m, k) != heat.size:
        axis.set_xlabel(f"{m} rows, {k} column{'s' if k > 1 else ''} shown", fontsize=SMALL)
    _levels(axis.set_yticks, axis.axhline, heat.rows, rotation=0)
    _levels(axis.set_xticks, axis.axvline, heat.columns, rotation=90)
    axis.tick_params(length=0)
    if m <= FEW_ROWS and k <= FEW_COLUMNS:
        _numbers(axis, heat)
    elif square:
        bar = axis.figure.colorbar(image, ax=axis, shrink=0.7)
        bar.ax.tick_params(labelsize=SMALL)
        bar.ax.set_ylim(0.0 if (heat.values >= 0.0).all() else -unit, unit)


def _levels(set_ticks: Any, draw_line: Any, labels: tuple[str, ...], rotation: float) -> None:
    """Separate what belongs to different levels, and label each in its middle."""
    runs = [(label, len(list(same))) for label, same in groupby(labels)]
    ends = np.cumsum([0, *(length for _, length in runs)]) - 0.5
    if len(runs) <= MOST_BORDERS:
        for border in ends[1:-1]:
            draw_line(border, color=GREY, linewidth=0.4)
    middles = 0.5 * (ends[:-1] + ends[1:])
    shown = [
        (float(middle), label)
        for middle, (label, length) in zip(middles, runs, strict=True)
        if len(runs) <= FEW_LEVELS and length >= READABLE * len(labels)
    ]
    places, texts = [place for place, _ in shown], [shortened(label, LETTERS) for _, label in shown]
    set_ticks(places, texts, rotation=rotation, fontsize="x-small")


def _numbers(axis: Axes, heat: Heat) -> None:
    for (i, j), value in np.ndenumerate(heat.values):
        if value != 0.0:
            dark = abs(value) > 0.6 * heat.scale[j]
            axis.text(
                j,
                i,
                f"{value:.3g}",
                ha="center",
                va="center",
                fontsize="x-small",
                color="white" if dark else "black",
            )
