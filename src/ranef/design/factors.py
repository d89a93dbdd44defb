"""The functions of a formula that make, change or undo factors.

What depends on the levels of the training data is remembered in ``_state``: the numbers that
`as_numeric` gives to levels, the levels that labels go with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ranef.design.contrasts import as_request, level_text
from ranef.design.transforms import vector
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError
from ranef.typing import BoolArray, FloatArray


def factor(
    x: Any, levels: Any = None, labels: Any = None, ordered: Any = None, *, _state: dict[str, Any]
) -> FactorValue:
    """Make a factor, R's ``factor``; values that are not among ``levels`` are missing."""
    found = as_factor(x)
    if levels is not None:
        found = _with_levels(found, levels if isinstance(levels, tuple) else (levels,))
    elif labels is not None:  # labels go with the levels of the training data
        known = _with_levels(found, _state.setdefault("levels", tuple(found.levels)))
        _refuse_new(found, known.codes < 0)
        found = known
    names = found.levels
    if labels is not None:
        shown = labels if isinstance(labels, tuple) else (labels,)
        if len(shown) != len(names):
            raise DataError(f"{len(shown)} labels for {len(names)} levels.")
        names = pd.Index(list(shown))
    rank = found.ordered if ordered is None else bool(ordered)
    return FactorValue(found.codes, names, ordered=rank, text=found.text and labels is None)


def _with_levels(found: FactorValue, wanted: tuple[Any, ...]) -> FactorValue:
    """Return the factor with other levels; what is not among them is missing."""
    position = {found.code_of(level): new for new, level in enumerate(wanted)}
    table = np.array([position.get(code, -1) for code in range(len(found.levels))] + [-1])
    return FactorValue(table[found.codes], pd.Index(list(wanted)), ordered=found.ordered)


def as_factor(x: Any) -> FactorValue:
    """Make a factor of whatever values there are; a factor stays as it is."""
    if isinstance(x, FactorValue):
        return FactorValue(x.codes, x.levels, ordered=x.ordered, text=x.text)
    if not isinstance(x, np.ndarray):
        raise DataError("a column of the data is needed here.")
    codes, levels = pd.factorize(x, sort=True)
    return FactorValue(codes, pd.Index(levels))


def ordered(
    x: Any, levels: Any = None, labels: Any = None, *, _state: dict[str, Any]
) -> FactorValue:
    """Make an ordered factor."""
    return factor(x, levels, labels, True, _state=_state)


def relevel(x: Any, ref: Any, *, _state: dict[str, Any]) -> FactorValue:
    """Put the level ``ref`` first: a string is the level itself, a number its position, as in R."""
    found = as_factor(x)
    if "levels" in _state:  # the order was settled by the training data
        return found
    first = found.code_of(ref) if isinstance(ref, str) else _position(ref, found)
    if first < 0:
        raise DataError(f"{ref!r} is not a level.")
    rest = [level for code, level in enumerate(found.levels) if code != first]
    _state["levels"] = (found.levels[first], *rest)
    return _with_levels(found, _state["levels"])


def _position(ref: Any, found: FactorValue) -> int:
    """Return the code at a position that counts from 1."""
    number = isinstance(ref, int | float) and not isinstance(ref, bool)
    if not number or not 1 <= ref <= len(found.levels):
        raise DataError(
            f"ref must be a level in quotes, or a position from 1 to {len(found.levels)} in "
            f"{', '.join(map(repr, map(str, found.levels[:10])))}; got {ref!r}."
        )
    return int(ref) - 1


def coded(
    x: Any,
    contrasts: Any = None,
    *,
    base: Any = None,
    levels: Any = None,
    _state: dict[str, Any],
) -> FactorValue:
    """Make a factor with its own contrasts, R's and formulaic's ``C``."""
    found = factor(x, levels, _state=_state)
    if base is not None:
        contrasts = replace(as_request(contrasts or "treatment"), base=base)
    return FactorValue(
        found.codes, found.levels, ordered=found.ordered, text=found.text, contrast=contrasts
    )


def dummy(x: Any, levels: Any = None, *, _state: dict[str, Any]) -> Any:
    """Return indicators of some levels as numbers, lme4's ``dummy``; of all but the first."""
    found = as_factor(x)
    wanted = levels if isinstance(levels, tuple) else (levels,)
    if levels is None:
        wanted = _state.setdefault("levels", tuple(found.levels[1:]))
    elif "levels" not in _state:
        for level in wanted:
            if found.code_of(level) < 0:
                raise DataError(f"{level!r} is not a level.")
        _state["levels"] = wanted
    columns = tuple((found.codes == found.code_of(w)).astype(np.float64) for w in wanted)
    return columns[0] if len(columns) == 1 else Matrix(columns, tuple(map(level_text, wanted)))


def as_numeric(x: Any, *, _state: dict[str, Any]) -> FloatArray:
    """Return numbers: those that text spells, or the numbers of the levels, as in R."""
    if not isinstance(x, FactorValue):
        return vector(x)
    if _state.setdefault("text", x.text):
        numbers = pd.to_numeric(pd.Series(x.levels), errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(numbers).any():
            raise DataError(f"{x.levels[np.isnan(numbers)][0]!r} is not a number.")
        return np.append(numbers, np.nan)[x.codes]
    # R numbers the levels from 1; new data have the numbers of the training data
    known = _state.setdefault("levels", tuple(x.levels))
    ranks = {level: rank for rank, level in enumerate(known, start=1)}
    numbers = np.array([*(ranks.get(level, np.nan) for level in x.levels), np.nan])
    values: FloatArray = numbers[x.codes]
    _refuse_new(x, np.isnan(values))
    return values


def as_integer(x: Any, *, _state: dict[str, Any]) -> FloatArray:
    """Return whole numbers, cut off towards zero."""
    return np.asarray(np.trunc(as_numeric(x, _state=_state)), dtype=np.float64)


def _refuse_new(found: FactorValue, lost: BoolArray) -> None:
    """Raise DataError if a level was lost because the training data did not have it."""
    new = np.flatnonzero(lost & (found.codes >= 0))
    if len(new):
        level = found.levels[found.codes[new[0]]]
        raise DataError(
            f"has the level {str(level)!r}, which it did not have when the model was fitted."
        )
