"""The variables of the reference grid, and the values at which each is held.

As in emmeans: factors at all their levels; numbers at their mean, unless they have at most two
different values, which are kept as if they were levels; numbers inside ``factor()`` at all their
values. ``at`` replaces any of these. Variables inside other functions (``log(x)``, ``poly(x, 2)``)
are held themselves, and the functions are applied to what they are held at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.design.column import Column
from ranef.design.contrasts import level_text
from ranef.errors import FormulaError, OptionError, UnknownVariableError
from ranef.formula import parse_expression
from ranef.inference.emmeans.population import population
from ranef.typing import IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# A number with no more different values than this is kept at all of them.
FEW_VALUES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A variable of the grid.

    Attributes
    ----------
    name : str
    levels : pandas.Index (L,)
        The values it takes, in the type of the data.
    codes : int array (m,) or None
        Which of them every row of the `Population` has, -1 for none; None for numbers that are
        held at values of no meaning for rows, such as their mean.
    """

    name: str
    levels: pd.Index
    codes: IntArray | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The levels as text."""
        return level_texts(self.levels)


def level_texts(levels: Sequence[Any] | pd.Index) -> tuple[str, ...]:
    """Return levels as text: whole numbers without a point, others to seven digits if enough."""
    full = tuple(level_text(level) for level in levels)
    short = tuple(
        f"{level:.7g}" if isinstance(level, float) and not level.is_integer() else text
        for level, text in zip(levels, full, strict=True)
    )
    return short if len(set(short)) == len(set(full)) else full


def grid_axes(
    model: LinearMixedModel, at: Mapping[str, Any] | None, *, spread: bool = False
) -> tuple[Axis, ...]:
    """Return the variables of the fixed effects, in the order of the formula.

    Parameters
    ----------
    model : LinearMixedModel
    at : mapping of str to value or sequence of values
        Where variables are held instead.
    spread : bool
        Hold numbers at their mean minus and plus one, not at their mean.

    Raises
    ------
    UnknownVariableError, OptionError
        If ``at`` names something else, levels that do not exist, or numbers that are not finite.
    """
    names = _predictors(model)
    wanted = dict(at or {})
    for name in wanted:
        if name not in names:
            raise unknown_variable(name, names)
    coerced = set(coerced_variables(model).values())
    known = population(model)
    return tuple(
        _axis(known.columns[name], name in coerced, wanted.get(name), spread)
        if name in known.columns
        else _number_axis(name, known.numbers[name].mean, wanted.get(name), spread)
        for name in names
    )


def unknown_variable(name: str, names: Sequence[str]) -> UnknownVariableError:
    """Build the error for something that is not a variable of the fixed effects."""
    hint = OptionError.from_choice("", _variable_in(name), names)
    close = str(hint).partition("Did you mean ")[2]
    known = ", ".join(names) or "(none)"
    return UnknownVariableError(
        f"{name!r} is not a variable of the fixed effects, which are {known}."
        + (f" Did you mean {close}" if close else "")
    )


def _variable_in(text: str) -> str:
    """Return x for ``factor(x)``, and other text as it is."""
    try:
        names = parse_expression(text).names
    except FormulaError:
        return text
    return names[0] if len(names) == 1 else text


def _predictors(model: LinearMixedModel) -> tuple[str, ...]:
    """Return the variables of the fixed terms, as they follow each other in the formula."""
    fixed = model.formula.fixed
    factors = [factor for term in fixed.terms for factor in term.factors]
    factors.sort(key=lambda factor: factor.span[0])
    names = (name for factor in factors for name in factor.names)
    known = population(model)
    return tuple(name for name in dict.fromkeys(names) if name in known)


def coerced_variables(model: LinearMixedModel) -> dict[str, str]:
    """Return the expressions that make a factor of a variable: ``factor(x)`` and x."""
    spec = model.design.spec
    factors = {factor for term in spec.sum.terms for factor in term.factors}
    # a condition such as I(x > 3) has two levels, but is no reason to leave the mean of x
    return {
        factor.text: name
        for factor in factors
        if factor.text in spec.codings and spec.codings[factor.text].levels.dtype != bool
        for name in factor.names
    }


def _axis(column: Column, coerced: bool, wanted: Any, spread: bool) -> Axis:
    values = column.values
    if column.kind in ("factor", "labels"):
        assert column.levels is not None
        used = np.unique(values[values >= 0])
        table = np.full(len(column.levels) + 1, -1)
        table[used] = np.arange(len(used))
        return _chosen(column.name, column.levels[used], table[values], wanted)
    if column.kind == "boolean":
        unique, codes = np.unique(values, return_inverse=True)
        return _chosen(column.name, pd.Index(unique), codes, wanted)
    if coerced or wanted is None:
        unique, codes = np.unique(values, return_inverse=True)
        if coerced or len(unique) <= FEW_VALUES:
            return _chosen(column.name, pd.Index(unique), codes, wanted)
    return _number_axis(column.name, float(values.mean(dtype=np.float64)), wanted, spread)


def _number_axis(name: str, mean: float, wanted: Any, spread: bool) -> Axis:
    """Return the axis of a number that is held at values of its own."""
    if wanted is not None:
        return Axis(name, pd.Index(_numbers(name, wanted)), None)
    return Axis(name, pd.Index([mean - 1.0, mean + 1.0] if spread else [mean]), None)


def _chosen(name: str, levels: pd.Index, codes: IntArray, wanted: Any) -> Axis:
    """Return the axis of the levels that are wanted, in the order in which they are wanted."""
    if wanted is None:
        return Axis(name, levels, codes)
    positions = [find_level(name, levels, level) for level in _listed(name, wanted)]
    table = np.full(len(levels) + 1, -1)
    table[positions] = np.arange(len(positions))
    return Axis(name, levels[positions], table[codes])


def find_level(name: str, levels: pd.Index, wanted: Any) -> int:
    """Return the position of a level, given as itself or as text."""
    for position, level in enumerate(levels):
        if level == wanted:
            return position
    texts = level_texts(levels)
    if str(wanted) in texts:
        return texts.index(str(wanted))
    raise OptionError.from_choice(f"a level of {name!r}", wanted, texts)


def _listed(name: str, wanted: Any) -> list[Any]:
    single = isinstance(wanted, str) or not np.iterable(wanted)
    listed = [wanted] if single else list(wanted)
    if not listed:
        raise OptionError(f"at={{{name!r}: ...}} holds no value.")
    if len(dict.fromkeys(map(str, listed))) < len(listed):
        raise OptionError(f"at={{{name!r}: ...}} repeats a value: {listed!r}.")
    return listed


def _numbers(name: str, wanted: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        numbers = np.array(_listed(name, wanted), dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise OptionError(f"at={{{name!r}: ...}} must be finite numbers; got {wanted!r}.")
    return numbers
