"""Symbols for random effects: which equation each adds to, and how they are distributed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ranef.estimation import TermSlot
from ranef.explain.columns import ModelColumn
from ranef.explain.hierarchy import Factor, Hierarchy
from ranef.explain.notation import Distribution, Parameter, Symbol
from ranef.explain.paths import Key, Numbers, Path
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True)
class Effect:
    """A random effect.

    Attributes
    ----------
    path : Path
        The coefficient in whose equation it is added.
    rest : Key
        Predictors of its own level or higher that multiply it; rarely any.
    symbol : Symbol
    """

    path: Path
    rest: Key
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class RandomPart:
    """The effects of one random term.

    Attributes
    ----------
    factor : Factor
    effects : tuple of Effect (k,)
    distributions : tuple of Distribution
        One, or one for every effect where they are independent.
    variances : tuple of Parameter
        Lower triangles, column by column.
    """

    factor: Factor
    effects: tuple[Effect, ...]
    distributions: tuple[Distribution, ...]
    variances: tuple[Parameter, ...]


def random_parts(
    model: LinearMixedModel,
    hierarchy: Hierarchy,
    numbers: Numbers,
    path: Callable[[ModelColumn], Path],
    terms: list[list[ModelColumn]],
) -> list[RandomPart]:
    """Give symbols to all random effects.

    Parameters
    ----------
    model : LinearMixedModel
    hierarchy : Hierarchy
    numbers : Numbers
    path : callable
        Where a column leads.
    terms : list of list of ModelColumn
        Columns of the terms, in the order of the problem's slots.
    """
    factors = {factor.name: factor for factor in hierarchy.factors}
    taken: set[tuple[str, str]] = set()
    parts = []
    for slot, columns, component in zip(
        model.problem.slots, terms, model.VarCorr.components, strict=True
    ):
        factor = factors[slot.term.grouping.name]
        effects = [_effect(path(column), factor, numbers, taken) for column in columns]
        name = max((effect.symbol.name for effect in effects), key=len)  # with its primes
        prefix = name if len(factors) > 1 or name != factor.effect else ""
        tau = _covariance([effect.symbol.number for effect in effects], prefix, component.cov)
        blocks = [range(start - slot.start, stop - slot.start) for start, stop in slot.blocks]
        distributions = [
            Distribution(
                tuple(effects[a].symbol for a in block),
                tuple(tuple(tau[a][b] for b in block) for a in block),
            )
            for block in blocks
        ]
        variances = [
            _parameter(slot, tau[a][b], a, b)
            for block in blocks
            for b in block
            for a in block
            if a >= b
        ]
        parts.append(RandomPart(factor, tuple(effects), tuple(distributions), tuple(variances)))
    return parts


def _effect(whole: Path, factor: Factor, numbers: Numbers, taken: set[tuple[str, str]]) -> Effect:
    below = factor.level - 1
    path, rest = whole[:below], tuple(part for key in whole[below:] for part in key)
    # a predictor of the groups themselves multiplies the effect and is counted, too
    number = numbers.text(whole[: factor.level] if rest else path)
    name = factor.effect
    while (name, number) in taken:  # the same effect in another term
        name += "'"
    taken.add((name, number))
    return Effect(path, rest, Symbol(name, number, factor.index))


def _covariance(numbers: list[str], prefix: str, cov: FloatArray) -> list[list[Symbol]]:
    """Return symbols for the elements of a covariance matrix."""
    comma = "," if any(len(number) > 1 for number in numbers) else ""
    return [
        [
            Symbol("tau", prefix + first + comma + second, value=float(value))
            for second, value in zip(numbers, row, strict=True)
        ]
        for first, row in zip(numbers, cov, strict=True)
    ]


def _parameter(slot: TermSlot, symbol: Symbol, a: int, b: int) -> Parameter:
    names, group = slot.term.names, slot.term.grouping.name
    if a == b:
        return Parameter(symbol, "variance", group, names[a])
    return Parameter(symbol, "covariance", group, f"{names[a]}.{names[b]}")
