"""Coefficients as points with intervals, of one model or of several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.model import LinearMixedModel
from ranef.plots.canvas import GREY, SMALL, colour, single
from ranef.plots.labels import extra_width, in_legend, line_count, wrapped
from ranef.typing import DdfMethod, check_flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INTERCEPT = "Intercept"
# Of the place that a coefficient has, this much is used by the models.
USED = 0.4


def coefficients(
    models: LinearMixedModel | Iterable[LinearMixedModel] | Mapping[str, LinearMixedModel],
    *,
    terms: str | Iterable[str] | None = None,
    intercept: bool = False,
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw estimates of the fixed effects with their intervals.

    Use it instead of a table of coefficients, and to see what a change of the model does to them.

    Parameters
    ----------
    models : LinearMixedModel, or several in a list or in a dict of name and model
        Several stand below each other, in colours of their own; a coefficient that a model does
        not have is left out. Without names they are called by their formulas.
    terms : str or iterable of str, optional
        Coefficients to draw, from above; by default all, in the order of the models.
    intercept : bool
        Draw the intercept, too; its scale is another one. Not needed if ``terms`` has it.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom of the intervals.
    level : float
        Coverage of the intervals.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib Axes
        Coefficients that others determine are left out.

    Raises
    ------
    OptionError
        For something that is no model, coefficients that do not exist, another ddf or level.
    MissingDependencyError
        If there is no matplotlib.

    Examples
    --------
    >>> import ranef
    >>> from matplotlib import pyplot
    >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
    >>> ax = ranef.plots.coefficients(m)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Machine[T.B]', 'Machine[T.C]']
    >>> pyplot.close()
    """
    check_flag("intercept", intercept)
    named = _named(models)
    # a coefficient without an interval, where a profile or df do not exist, is a point all the same
    tables = {
        name: model.coef_table(ddf, level).dropna(subset=["estimate"])
        for name, model in named.items()
    }
    names = _terms(tables, terms, intercept)
    row = {name: float(position) for position, name in enumerate(names)}
    texts = [wrapped(name) for name in names]
    place = max(0.18 + 0.11 * len(tables), 0.2 * line_count(texts))
    axis = single(ax, (5.6 + extra_width(texts), 1.0 + len(names) * place))
    axis.axvline(0.0, color=GREY, linewidth=0.8)
    for position, (label, table) in enumerate(tables.items()):
        shown = table.loc[[name for name in names if name in table.index]]
        rows = np.array([row[name] for name in shown.index]) + _shift(position, len(tables))
        drawn = colour(position)
        axis.hlines(rows, shown["conf_low"], shown["conf_high"], color=drawn, linewidth=1.6)
        axis.plot(shown["estimate"], rows, "o", color=drawn, markersize=4.5, label=in_legend(label))
    axis.set_yticks(range(len(names)), texts)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(f"estimate and {100 * level:g} % interval")
    if len(tables) > 1:
        # above the picture, growing to the left, where the names of the coefficients leave room
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=SMALL)
    return axis


def _named(models: Any) -> dict[str, LinearMixedModel]:
    """Return the models by name."""
    if isinstance(models, LinearMixedModel):
        found = {"": models}
    elif isinstance(models, Mapping):
        found = {str(name): model for name, model in models.items()}
    else:
        listed = list(models) if isinstance(models, Iterable) else [models]
        texts = [str(getattr(model, "formula", "")) for model in listed]
        # the same formula twice: the fits differ in something else, so they are numbered
        found = {
            text if texts.count(text) == 1 else f"{i}. {text}": model
            for i, (text, model) in enumerate(zip(texts, listed, strict=True), start=1)
        }
    for model in found.values():
        if not isinstance(model, LinearMixedModel):
            raise OptionError(
                f"models must be one fitted model or several; got {type(model).__name__}."
            )
    if not found:
        raise OptionError("models is empty: give at least one fitted model.")
    return found


def _terms(
    tables: Mapping[str, pd.DataFrame], terms: str | Iterable[str] | None, intercept: bool
) -> list[str]:
    """Return the names of the coefficients to draw."""
    known = list(dict.fromkeys(name for table in tables.values() for name in table.index))
    if terms is not None:
        wanted = [terms] if isinstance(terms, str) else list(terms)
        for name in wanted:
            if name not in known:
                raise OptionError.from_choice("every one of terms", name, known)
        return list(dict.fromkeys(wanted))
    names = [name for name in known if intercept or name != INTERCEPT]
    if not known:
        raise OptionError("there are no fixed effects to draw.")
    return names or known  # an intercept alone is worth a picture


def _shift(position: int, count: int) -> float:
    """Return how far below the place of a coefficient a model stands."""
    return 0.0 if count == 1 else USED * (position / (count - 1) - 0.5)
