"""What a fitted model reports, computed from the optimum: pure functions of problem and state.

The core's coordinates end here: everything returned is in the user's units and names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ranef.effects import FrozenFrames, RandomEffects
from ranef.estimation import Problem
from ranef.linalg.adjoint import conditional_blocks
from ranef.names import make_unique
from ranef.objective import State
from ranef.typing import FloatArray
from ranef.variance import VarCorr, VarianceComponent


def group_sizes(problem: Problem) -> dict[str, int]:
    """Return the number of levels of every grouping factor, in the order of the terms."""
    return {slot.term.grouping.name: slot.term.grouping.size for slot in problem.slots}


def variance_components(problem: Problem, theta: FloatArray, sigma2: float) -> VarCorr:
    """Return the covariance matrices sigma^2 T T' of every random term."""
    T = problem.raw_factors(theta)
    components = []
    for slot in problem.slots:
        block = T[slot.factor][slot.start : slot.stop, slot.start : slot.stop]
        term = slot.term
        components.append(
            VarianceComponent(
                term.grouping.name, term.names, sigma2 * (block @ block.T), term.correlated
            )
        )
    return VarCorr(tuple(components), float(np.sqrt(sigma2)))


def random_effects(problem: Problem, state: State) -> RandomEffects:
    """Return the conditional modes b, with conditional covariances computed on demand."""
    modes = {}
    for factor, b in enumerate(problem.effects(state)):
        group, names = _labels(problem, factor)
        levels = next(slot for slot in problem.slots if slot.factor == factor).term.grouping.levels
        modes[group] = pd.DataFrame(b.T, index=levels.rename(group), columns=list(names))
    ordered = {group: modes[group] for group in group_sizes(problem)}
    return RandomEffects(ordered, ConditionalCovariances(problem, state))


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalCovariances:
    """Function without arguments: Var(b | y) at given theta and beta, (J, k, k) per factor."""

    problem: Problem
    state: State

    def __call__(self) -> Mapping[str, FloatArray]:
        """Return sigma^2 W [T inv(T'Z'ZT + I) T']_jj W' for every level."""
        out = {}
        blocks = conditional_blocks(self.state.factorization)
        for factor, (block, group) in enumerate(zip(blocks, self.problem.groups, strict=True)):
            W = group.whitening
            raw = np.einsum("ab,bcj,dc->jad", W, block, W, optimize=True)
            out[_labels(self.problem, factor)[0]] = self.state.sigma2 * raw
        return {group: out[group] for group in group_sizes(self.problem)}


def _labels(problem: Problem, factor: int) -> tuple[str, tuple[str, ...]]:
    """Return the name of a grouping factor and those of its effects, in the core's order."""
    slots = sorted(
        (slot for slot in problem.slots if slot.factor == factor), key=lambda slot: slot.start
    )
    names = make_unique(name for slot in slots for name in slot.term.names)
    return slots[0].term.grouping.name, names


def level_coefficients(problem: Problem, state: State, fixed: pd.Series[float]) -> FrozenFrames:
    """Return fixed effects plus conditional modes for every level of every factor.

    An effect that stands in several terms of a factor adds all its modes.
    """
    out = {}
    modes = problem.effects(state)
    for slot in problem.slots:
        grouping = slot.term.grouping
        if grouping.name not in out:
            index = grouping.levels.rename(grouping.name)
            start = {name: np.full(grouping.size, value) for name, value in fixed.items()}
            out[grouping.name] = pd.DataFrame(start, index=index)
        table = out[grouping.name]
        for name, column in zip(slot.term.names, range(slot.start, slot.stop), strict=True):
            table[name] = table.get(name, 0.0) + modes[slot.factor][column]
    return FrozenFrames(out)


def fitted_values(problem: Problem, state: State, offset: FloatArray | None) -> FloatArray:
    """Return X beta + offset + Z b, (n,)."""
    mu: FloatArray = problem.basis.columns @ problem.coefficients(state)
    if offset is not None:
        mu = mu + offset
    for group, b in zip(problem.groups, problem.effects(state), strict=True):
        for column, effects in zip(group.columns, b, strict=True):
            part = effects[group.codes]
            if column is not None:
                part *= column
            mu += part
    return mu
