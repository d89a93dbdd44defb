"""Levels of a model: which grouping factors stand above which, and where a predictor belongs.

Nested factors make a ladder: observations i in groups j in groups k. Factors that are not nested in
each other share one level, and the notation is that of cross-classified models: observation i(jk)
belongs to j of one factor and to k of the other. Nesting is what the data say, not the formula.

A predictor belongs to the highest level within whose units it is constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranef.design.types import Grouping
from ranef.explain.columns import ModelColumn, Part
from ranef.explain.constancy import ConstantColumns, is_nested_by_sums
from ranef.streaming import StreamedDesign
from ranef.typing import IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

INDICES = "jklmnpqrst"
EFFECTS = "uvrsthdabc"
# Names of the coefficients from level 1 upwards, as in HLM, by the number of levels.
COEFFICIENTS = {2: ("beta", "gamma"), 3: ("pi", "beta", "gamma"), 4: ("psi", "pi", "beta", "gamma")}


@dataclass(frozen=True, slots=True)
class Factor:
    """A grouping factor in the notation.

    Attributes
    ----------
    name : str
    level : int
        2 for the groups right above the observations.
    index : str
        The subscript of its units: ``j``, or ``jk`` for j within k.
    effect : str
        The letter of its random effects.
    size : int
        Number of units.
    """

    name: str
    level: int
    index: str
    effect: str
    size: int


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The levels of a model.

    Attributes
    ----------
    factors : tuple of Factor
        From the lowest level upwards.
    crossed : bool
        All factors stand on one level.
    observation : str
        The subscript of an observation: ``ij`` or ``i(jk)``.
    """

    factors: tuple[Factor, ...]
    crossed: bool
    observation: str

    @property
    def height(self) -> int:
        """Number of levels, observations included."""
        return max(factor.level for factor in self.factors)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """What coefficients are called, from level 1 upwards."""
        return COEFFICIENTS[self.height]

    def units(self, level: int) -> str:
        """Return the subscript of what a level has equations for."""
        if level == 1:
            return self.observation
        own = [factor for factor in self.factors if factor.level == level]
        return own[0].index if len(own) == 1 else self.observation[1:]

    def members(self, level: int) -> tuple[Factor, ...]:
        """Return the grouping factors of a level."""
        return tuple(factor for factor in self.factors if factor.level == level)


def make_hierarchy(model: LinearMixedModel) -> Hierarchy:
    """Find out which grouping factors are nested, and give them letters."""
    groupings = list(
        {slot.term.grouping.name: slot.term.grouping for slot in model.problem.slots}.values()
    )
    groupings.sort(key=lambda grouping: -grouping.size)
    nested = all(_is_nested(model, a, b) for a, b in itertools.pairwise(groupings))
    if nested and len(groupings) < max(COEFFICIENTS):
        letters = INDICES[: len(groupings)]
        factors = [
            Factor(g.name, 2 + i, letters[i:], EFFECTS[i], g.size) for i, g in enumerate(groupings)
        ]
        return Hierarchy(tuple(factors), False, "i" + letters)
    indices = _crossed_indices(groupings)
    factors = [
        Factor(g.name, 2, indices[g.name], _letter(EFFECTS, i), g.size)
        for i, g in enumerate(groupings)
    ]
    used = "".join(dict.fromkeys("".join(indices.values())))
    return Hierarchy(tuple(factors), True, f"i({''.join(sorted(used))})")


def _is_nested(model: LinearMixedModel, low: Grouping, high: Grouping) -> bool:
    if isinstance(model.design, StreamedDesign):
        return is_nested_by_sums(model, low.name, high.name)
    return is_nested(low, high)


def is_nested(low: Grouping, high: Grouping) -> bool:
    """Tell whether every level of the first factor occurs in one level of the second."""
    return is_constant(high.codes, low.codes, low.size)


def is_constant(values: NDArray[np.generic], codes: IntArray, size: int) -> bool:
    """Tell whether values (n,) are the same in all rows of every level."""
    first = np.zeros(size, dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return bool((values == values[first[codes]]).all())


class Placement:
    """Where the parts of columns belong, found out once for each.

    Parameters
    ----------
    model : LinearMixedModel
    hierarchy : Hierarchy
    columns : sequence of ModelColumn
        Those of X; a part that has a column of its own is judged by its values.
    """

    def __init__(
        self, model: LinearMixedModel, hierarchy: Hierarchy, columns: Sequence[ModelColumn]
    ) -> None:
        self._hierarchy = hierarchy
        self._found: dict[Part, Factor | None] = {}
        streamed = isinstance(model.design, StreamedDesign)
        self._judge = (ConstantColumns if streamed else _ConstantRows)(model, columns)

    def factor(self, part: Part) -> Factor | None:
        """Return the highest grouping factor in whose levels a part is constant, if any."""
        if part not in self._found:
            self._found[part] = next(
                (
                    factor
                    for factor in reversed(self._hierarchy.factors)
                    if self._judge.is_constant(part, factor.name)
                ),
                None,
            )
        return self._found[part]

    def level(self, part: Part) -> int:
        """Return the level that a part belongs to."""
        factor = self.factor(part)
        return 1 if factor is None else factor.level

    def index(self, part: Part) -> str:
        """Return the subscript of a part."""
        factor = self.factor(part)
        return self._hierarchy.observation if factor is None else factor.index


class _ConstantRows:
    """Which parts of columns are constant within the levels of grouping factors, by their rows."""

    def __init__(self, model: LinearMixedModel, columns: Sequence[ModelColumn]) -> None:
        self._variables = model.design.variables.columns
        self._groupings = {term.grouping.name: term.grouping for term in model.design.terms}
        self._X = model.design.X
        self._own = {c.parts[0]: j for j, c in enumerate(columns) if len(c.parts) == 1}
        self._constant: dict[tuple[str, str], bool] = {}

    def is_constant(self, part: Part, factor: str) -> bool:
        """Tell whether a part has one value in every level."""
        known = [name for name in part.variables if name in self._variables]
        if known and all(self._is_constant_variable(name, factor) for name in known):
            return True
        position = self._own.get(part)
        if position is None or sparse.issparse(self._X):
            return False
        grouping = self._groupings[factor]
        return is_constant(self._X[:, position], grouping.codes, grouping.size)

    def _is_constant_variable(self, name: str, factor: str) -> bool:
        key = (name, factor)
        if key not in self._constant:
            values, grouping = self._variables[name].values, self._groupings[factor]
            self._constant[key] = is_constant(values, grouping.codes, grouping.size)
        return self._constant[key]


def _crossed_indices(groupings: Sequence[Grouping]) -> dict[str, str]:
    """Return subscripts: a letter each; combinations of other factors have their letters."""
    single = {g.variables for g in groupings}
    indices: dict[str, str] = {}
    for grouping in groupings:
        parts = [(variable,) for variable in grouping.variables]
        if len(parts) == 1 or not all(part in single for part in parts):
            indices[grouping.name] = _letter(INDICES, len(indices))
    by_variables = {g.variables: indices[g.name] for g in groupings if g.name in indices}
    for grouping in groupings:
        if grouping.name not in indices:
            own = [by_variables[(variable,)] for variable in grouping.variables]
            indices[grouping.name] = "".join(sorted(own))
    return indices


def _letter(letters: str, position: int) -> str:
    """Return a letter, with a prime for every time that the alphabet was used up."""
    rounds, place = divmod(position, len(letters))
    return letters[place] + "'" * rounds
