"""From a design to the core's problem, and from the core's coordinates back to the user's.

The core sees grouping factors, each with the columns of all its random terms side by side, ordered
by their number of random effects, in whitened coordinates. Users see terms, ordered by decreasing
number of levels, in the units of their data. This module is the only place that knows both.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ranef.covariance.chart import Factors, lower_factor
from ranef.design.types import Design, RandomTerm
from ranef.errors import FitError, OptionError
from ranef.linalg.conditioning import FixedBasis, fixed_basis, whitening
from ranef.linalg.crossproducts import CrossProducts, GroupedColumns, cross_products
from ranef.linalg.plan import make_plan
from ranef.names import make_unique
from ranef.objective import Objective, State
from ranef.typing import FloatArray

# Random effects of models whose dense block needs no look at the memory (about 130 MB).
SMALL_ENOUGH = 1000
# The residual sum of squares must exceed this, relative to the response, to be more than rounding.
SMALLEST_RESIDUAL = 4e-15


@dataclass(frozen=True, slots=True, eq=False)
class TermSlot:
    """Where a random term lives in the core: columns start:stop of a factor."""

    term: RandomTerm
    factor: int
    start: int
    stop: int

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Independent covariance blocks of the term, as columns of its factor."""
        if self.term.correlated:
            return [(self.start, self.stop)]
        return [(column, column + 1) for column in range(self.start, self.stop)]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A model ready to be optimised.

    Attributes
    ----------
    basis : FixedBasis
    groups : tuple of GroupedColumns
        Grouping factors in the core's order.
    slots : tuple of TermSlot
        Random terms in the public order: decreasing number of levels, then as written.
    objective : Objective
    """

    basis: FixedBasis
    groups: tuple[GroupedColumns, ...]
    slots: tuple[TermSlot, ...]
    objective: Objective

    def theta_entries(self) -> list[tuple[TermSlot, int, int]]:
        """Return (term, row, column) of every element of theta, columns of the factor."""
        return [
            (slot, a, b)
            for slot in self.slots
            for start, stop in slot.blocks
            for b in range(start, stop)
            for a in range(b, stop)
        ]

    def theta_names(self) -> list[str]:
        """Return names like ``Subject.Intercept`` and ``Subject.Days.Intercept``."""
        names = []
        for slot, a, b in self.theta_entries():
            row, col = (slot.term.names[i - slot.start] for i in (a, b))
            group = slot.term.grouping.name
            names.append(f"{group}.{row}" if a == b else f"{group}.{row}.{col}")
        return list(make_unique(names))

    def read_theta(self, argument: str, values: object) -> Factors:
        """Return the core's factors for parameters that a user gave.

        Raises
        ------
        OptionError
            If they are not as many finite numbers as the model has parameters; names ``argument``.
        """
        names = self.theta_names()
        if isinstance(values, pd.Series) and sorted(map(str, values.index)) == sorted(names):
            values = values.reindex(names)  # named values are taken by name, in any order
        try:
            theta: FloatArray = np.asarray(values, dtype=float)
        except (TypeError, ValueError):
            theta = np.full(0, np.nan)
        if theta.shape != (len(names),) or not np.isfinite(theta).all():
            raise OptionError(
                f"{argument} must be {len(names)} finite numbers ({', '.join(names)}); "
                f"got {values!r}."
            )
        return self.to_core(theta)

    def to_core(self, theta: FloatArray) -> Factors:
        """Return the core's factors for public parameters: T~ = W^-1 T."""
        return tuple(
            np.asarray(np.linalg.solve(group.whitening, t), dtype=np.float64)
            for group, t in zip(self.groups, self.raw_factors(theta), strict=True)
        )

    def raw_factors(self, theta: FloatArray) -> Factors:
        """Return the factors T in the user's units, one for every grouping factor."""
        T = tuple(np.zeros((group.width, group.width)) for group in self.groups)
        for (slot, a, b), value in zip(self.theta_entries(), theta, strict=True):
            T[slot.factor][a, b] = value
        return T

    def to_public(self, T: Factors) -> FloatArray:
        """Return public parameters: the lower Cholesky factors of W T~ T~' W'."""
        lower: list[FloatArray] = []
        for group, t in zip(self.groups, T, strict=True):
            L = np.zeros_like(t)
            raw = group.whitening @ t
            for start, stop in group.blocks:
                L[start:stop, start:stop] = lower_factor(raw[start:stop, start:stop])
            lower.append(L)
        return np.array([lower[slot.factor][a, b] for slot, a, b in self.theta_entries()])

    def coefficients(self, state: State) -> FloatArray:
        """Return the fixed-effects coefficients of the kept columns, (p,)."""
        return self.basis.estimate + self.basis.R_inverse @ state.solution.gamma

    def covariance(self, state: State) -> FloatArray:
        """Return the covariance matrix of the coefficients, sigma^2 (X'V0^-1 X)^-1, (p, p)."""
        half = self.basis.R_inverse @ state.factorization.fixed_root().T
        result: FloatArray = state.sigma2 * (half @ half.T)
        return result

    def effects(self, state: State) -> list[FloatArray]:
        """Return the conditional modes of every factor, (k, J), in the user's coordinates."""
        return [group.whitening @ b for group, b in zip(self.groups, state.solution.b, strict=True)]


def make_problem(design: Design, *, reml: bool) -> Problem:
    """Condition the design, sum its cross-products and plan the elimination.

    Raises
    ------
    FitError
        If the fixed effects leave nothing to explain, or the crossed factors do not fit into
        memory.
    """
    root_weights = None if design.weights is None else np.sqrt(design.weights)
    response = design.y if design.offset is None else design.y - design.offset
    basis = fixed_basis(design.X, response, root_weights)
    weighted = response if root_weights is None else response * root_weights
    check_fixed(
        design.response,
        len(response),
        len(basis.kept),
        total=float(np.sqrt(weighted @ weighted)),
        left=float(np.sqrt(basis.residual @ basis.residual)),
    )
    groups, slots = _group(design, root_weights)
    return assemble(basis, groups, slots, cross_products(basis, groups, root_weights), reml=reml)


def assemble(
    basis: FixedBasis,
    groups: tuple[GroupedColumns, ...],
    slots: tuple[TermSlot, ...],
    products: CrossProducts,
    *,
    reml: bool,
) -> Problem:
    """Plan the elimination of cross-products, wherever they were summed.

    Raises
    ------
    FitError
        If the crossed factors do not fit into memory.
    """
    effects = sum(group.width * group.size for group in groups)
    # asking the system costs more than planning a small model, which fits anywhere
    limit = available_memory() if effects > SMALL_ENOUGH else math.inf
    plan = make_plan(products, limit)
    return Problem(basis, groups, slots, Objective(plan, reml=reml and len(basis.kept) > 0))


def check_fixed(response: str, n: int, p: int, *, total: float, left: float) -> None:
    """Raise FitError unless the fixed effects leave something to explain.

    Parameters
    ----------
    response : str
    n, p : int
        Rows, and independent fixed-effects columns.
    total, left : float
        Norms of the weighted response and of its least-squares residual.
    """
    if n <= p:
        raise FitError(
            f"{n} observations cannot determine {p} fixed effects and a residual variance: use "
            "fewer fixed effects or more data."
        )
    if not 1e-60 < total < 1e60:
        raise FitError(
            f"the values of {response} (weighted) are too "
            f"{'small' if total < 1 else 'large'}: change its units, or those of the weights."
        )
    if left <= SMALLEST_RESIDUAL * total:
        raise FitError(
            f"the fixed effects explain {response} exactly: nothing is left for random "
            "effects and residuals. Is the response among the predictors?"
        )


def _group(
    design: Design, root_weights: FloatArray | None
) -> tuple[tuple[GroupedColumns, ...], tuple[TermSlot, ...]]:
    n = len(design.y)
    groups = []
    factors, slots = arrange(design.terms)
    for mine in factors:
        terms = [slot.term for slot in mine]
        width = mine[-1].stop
        W = np.zeros((width, width))
        for slot in mine:
            W[slot.start : slot.stop, slot.start : slot.stop] = whitening(
                slot.term.columns, n, slot.term.correlated, root_weights
            )
        grouping = terms[0].grouping
        groups.append(
            GroupedColumns(
                name=grouping.name,
                codes=grouping.codes,
                size=grouping.size,
                columns=tuple(column for term in terms for column in term.columns),
                blocks=tuple(block for slot in mine for block in slot.blocks),
                whitening=W,
            )
        )
    return tuple(groups), slots


def arrange(
    terms: Sequence[RandomTerm],
) -> tuple[tuple[tuple[TermSlot, ...], ...], tuple[TermSlot, ...]]:
    """Merge the terms of each grouping factor; order the factors by their number of effects.

    Returns
    -------
    factors : tuple of tuple of TermSlot
        The terms of every factor in the core's order.
    slots : tuple of TermSlot
        The same terms in the public order.
    """
    members: dict[str, list[RandomTerm]] = {}
    for term in terms:
        members.setdefault(term.grouping.name, []).append(term)
    order = sorted(
        members.values(),
        key=lambda mine: -mine[0].grouping.size * sum(len(term.names) for term in mine),
    )
    factors = []
    for factor, mine in enumerate(order):
        start, slots = 0, []
        for term in mine:
            slots.append(TermSlot(term, factor, start, start + len(term.names)))
            start += len(term.names)
        factors.append(tuple(slots))
    position = {id(term): i for i, term in enumerate(terms)}
    public = sorted(
        (slot for mine in factors for slot in mine),
        key=lambda slot: (-slot.term.grouping.size, position[id(slot.term)]),
    )
    return tuple(factors), tuple(public)


def available_memory() -> float:
    """Return the bytes that a fit may use: most of the memory that can be had now."""
    try:
        size = os.sysconf("SC_PAGE_SIZE")
        # caches count as used but can be given back: at least half of all memory is assumed free
        free = size * max(os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PHYS_PAGES") // 2)
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        free = 8_000_000_000
    with contextlib.suppress(OSError, ValueError):  # a container's limit; or none, or "max"
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return 0.9 * free
