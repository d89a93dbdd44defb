"""The numbers behind fitted lines: predictions along one variable, the others held somewhere.

The line of a level is drawn where the level has data, and contains its random effects, and those
of factors in which it is nested. Other variables are held at the level's own value if they are
constant within all levels (a person's sex), else at their mean, or at their most frequent level.
The line of the population has no random effects, and own values of nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.design.spec import ColumnSpec
from ranef.design.types import Grouping
from ranef.errors import OptionError, UnknownVariableError
from ranef.explain.groups import find_level
from ranef.inference.emmeans.axes import find_level as find_value
from ranef.plots.canvas import listed
from ranef.prediction import predict
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Points of a curve along a number.
POINTS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A fitted line: positions (m,) on the axis of x and predictions (m,)."""

    x: FloatArray
    y: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Data and lines.

    Attributes
    ----------
    x : float64 array (n,)
        Where every row of the data stands: numbers, or 0, 1, ... for the levels of a factor.
    ticks : tuple of str or None
        The names of those levels.
    levels : int array (m,)
        The levels of the grouping factor that have lines.
    lines : tuple (m,) of Curve
    population : Curve
    """

    x: FloatArray
    ticks: tuple[str, ...] | None
    levels: IntArray
    lines: tuple[Curve, ...]
    population: Curve


class Along:
    """The variable on the axis: its rows as positions, and positions as its values.

    Parameters
    ----------
    values : Series (n,)
    observed_only : bool
        Stay at values that occur, which factors do anyway: for numbers that the formula makes
        factors.
    """

    def __init__(self, values: pd.Series[Any], observed_only: bool) -> None:
        self.ticks: tuple[str, ...] | None = None
        if isinstance(values.dtype, pd.CategoricalDtype):
            self.position: FloatArray = np.asarray(values.cat.codes, dtype=np.float64)
            self.ticks = tuple(map(str, values.cat.categories))
        elif values.dtype == bool:
            self.position = np.asarray(values, dtype=np.float64)
            self.ticks = ("False", "True")
        else:
            self.position = np.asarray(values, dtype=np.float64)
        self.values = values
        self.observed_only = observed_only or self.ticks is not None

    def grid(self, rows: IntArray) -> FloatArray:
        """Return the positions of a line for some rows of the data."""
        own = self.position[rows]
        if self.observed_only:
            return np.unique(own)
        low, high = own.min(), own.max()
        return np.linspace(low, high, POINTS) if low < high else np.array([low])

    def at(self, positions: FloatArray) -> pd.Series[Any]:
        """Return the values at positions, in the type of the data."""
        if not self.observed_only:
            return pd.Series(positions)
        known, first = np.unique(self.position, return_index=True)
        return self.values.iloc[first[np.searchsorted(known, positions)]].reset_index(drop=True)


def fitted_curves(
    model: LinearMixedModel,
    x: str,
    grouping: Grouping,
    levels: Iterable[Any] | None,
    at: Mapping[str, Any] | None,
) -> Curves:
    """Predict along a variable for the levels of a grouping factor, and for the population.

    Parameters
    ----------
    model : LinearMixedModel
    x : str
        A variable of the model.
    grouping : Grouping
    levels : iterable or None
        Levels that get a line; None for all.
    at : mapping of str to value or None
        Where other variables are held.

    Raises
    ------
    UnknownVariableError
        If ``x``, or a variable of ``at``, is not one of the model's.
    OptionError
        For levels that do not exist, an ``x`` of which no line can be drawn, and what ``at``
        cannot hold: variables that are no predictors, or make the grouping factor.
    """
    data = model.design.variables.to_frame()
    if at is not None and not isinstance(at, Mapping):
        raise OptionError(f"at must be a dict from variables to values; got {at!r}.")
    _check_variables(model, data, x, grouping, at or {})
    factors = _made_factors(model)
    along = Along(data[x], x in factors)
    shown: IntArray = np.arange(grouping.size)
    if levels is not None:
        wanted = listed("levels", levels)
        shown = np.array([find_level(grouping, level) for level in wanted], dtype=np.intp)
    if len(shown) == 0:
        raise OptionError("levels is empty: name at least one, or leave it out.")
    rows = np.argsort(grouping.codes, kind="stable")
    rows_of = np.split(rows, np.cumsum(np.bincount(grouping.codes, minlength=grouping.size))[:-1])
    grids = [along.grid(rows_of[level]) for level in shown]
    first = np.array([rows_of[level][0] for level in shown])
    held = {name: _held(data[name], name in factors, at) for name in data.columns if name != x}
    own = [
        name
        for name in held
        if name not in (at or {}) and _is_constant(data[name], grouping.codes, grouping.size)
    ]
    size = [len(grid) for grid in grids]
    frame = pd.DataFrame(
        {
            name: (
                data[name].iloc[np.repeat(first, size)].reset_index(drop=True)
                if name in own
                else _repeated(value, sum(size))
            )
            for name, value in held.items()
        }
    )
    frame[x] = along.at(np.concatenate(grids))
    values = _predicted(model, frame, _determined(model, grouping))
    every = along.grid(rows)
    middle = pd.DataFrame({name: _repeated(value, len(every)) for name, value in held.items()})
    middle[x] = along.at(every)
    return Curves(
        along.position,
        along.ticks,
        shown,
        tuple(
            Curve(grid, part)
            for grid, part in zip(grids, np.split(values, np.cumsum(size)[:-1]), strict=True)
        ),
        Curve(every, _predicted(model, middle, "none")),
    )


def _check_variables(
    model: LinearMixedModel, data: pd.DataFrame, x: Any, grouping: Grouping, at: Mapping[str, Any]
) -> None:
    """Raise unless ``x`` can change along a line, and the variables of ``at`` can be held."""
    predictors = _predictors(model)
    for argument, names in (("x", [x]), ("at", list(at))):
        for name in names:
            if not isinstance(name, str):
                raise OptionError(f"{argument} must name predictors of the model; got {name!r}.")
            if name not in data:
                raise UnknownVariableError.from_missing(name, data.columns)
            if name in grouping.variables:
                part = "part of " if len(grouping.variables) > 1 else ""
                raise OptionError(
                    f"{name!r} is {part}the grouping factor, of which every line has its own "
                    f"level: {argument} must name other variables; levels= chooses lines."
                )
            if name not in predictors:
                raise OptionError(
                    f"{argument} must name predictors of the model "
                    f"({', '.join(predictors) or 'there are none'}); {name!r} is none of them."
                )
    if x in at:
        raise OptionError(f"x must be a variable that changes along a line; {x!r} is held by at=.")


def _predictors(model: LinearMixedModel) -> list[str]:
    """Return the variables that a prediction depends on, but for the grouping factors."""
    design = model.design
    names = [name for term in design.formula.random for name in term.effects.names]
    names += [name for offset in design.formula.offsets for name in offset.names]
    given = design.spec.offset_column
    names = [*design.formula.fixed.names, *names, *([] if given is None else [given])]
    return [name for name in dict.fromkeys(names) if name in design.variables]


def _predicted(model: LinearMixedModel, frame: pd.DataFrame, random: str | list[str]) -> FloatArray:
    return np.asarray(predict(model, frame, random), dtype=np.float64)


def _made_factors(model: LinearMixedModel) -> set[str]:
    """Return the variables inside expressions that the formula makes factors."""
    specs: list[ColumnSpec] = [model.design.spec, *(term.spec for term in model.design.terms)]
    return {
        name
        for spec in specs
        for term in spec.sum.terms
        for factor in term.factors
        # a condition such as I(x > 3) has two levels, but leaves x a number
        if factor.text in spec.codings and spec.codings[factor.text].levels.dtype != bool
        for name in factor.names
    }


def _held(column: pd.Series[Any], is_factor: bool, at: Mapping[str, Any] | None) -> pd.Series[Any]:
    """Return the value at which a variable is held, (1,), in the type of the data."""
    name = str(column.name)
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != bool
    wanted = (at or {}).get(name)
    if wanted is not None and numeric and not is_factor:
        try:
            value = float(wanted)
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value):
            raise OptionError(f"at={{{name!r}: ...}} must be a number; got {wanted!r}.")
        return pd.Series([value])
    if wanted is None and numeric and not is_factor:
        return pd.Series([float(column.mean())])
    codes, levels = pd.factorize(column, sort=True)
    if wanted is None:
        level = int(np.bincount(codes).argmax())
    else:
        level = find_value(name, pd.Index(levels), wanted)
    return column.iloc[[int(np.argmax(codes == level))]]


def _repeated(value: pd.Series[Any], times: int) -> pd.Series[Any]:
    return value.iloc[np.zeros(times, dtype=np.intp)].reset_index(drop=True)


def _is_constant(column: pd.Series[Any], codes: IntArray, size: int) -> bool:
    """Tell whether a variable has one value in every level."""
    values = pd.factorize(column)[0]
    found = np.zeros(size, dtype=values.dtype)
    found[codes] = values
    return bool((found[codes] == values).all())


def _determined(model: LinearMixedModel, grouping: Grouping) -> list[str]:
    """Return the grouping factors of which each level of this one has one level."""
    groupings = {slot.term.grouping.name: slot.term.grouping for slot in model.problem.slots}
    return [
        name
        for name, other in groupings.items()
        if _is_constant(pd.Series(other.codes), grouping.codes, grouping.size)
    ]
