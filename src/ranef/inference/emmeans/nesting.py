"""Factors within factors: schools of one district are not to be averaged over all districts.

B is nested in A if every level of B occurs with only one level of A, or if the formula says so, by
a term A:B without B. Combinations that do not occur are then left out, not shown as impossible;
averages over B are taken within each level of A first, over the levels that occur there, and only
then over A. The rules are those of emmeans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from ranef.design.coding import full_codings
from ranef.formula import TermSum
from ranef.formula.nodes import Name
from ranef.inference.emmeans.grid import Grid, Weighting
from ranef.inference.emmeans.specs import Specs

NO_NESTING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def find_nesting(
    grid: Grid, fixed: TermSum, coerced: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return for every nested variable those that it is nested in.

    Parameters
    ----------
    grid : Grid
        The reference grid.
    fixed : TermSum
        The fixed part of the formula.
    coerced : mapping of str to str
        For expressions that make a factor of one variable, the text and that variable.
    """
    names = [
        name for name, size in zip(grid.names, grid.sizes(grid.names), strict=True) if size > 1
    ]
    if len(names) < 2:
        return {}
    found: dict[str, list[str]] = {}
    occurring = grid.rows(grid.counts > 0)
    for name in names:
        for other in names:
            if other != name and name not in found.get(other, ()):
                pairs = np.unique(occurring.cells((name, other)))
                _, partners = np.unique(pairs % grid.sizes((name,))[0], return_counts=True)
                if partners.max(initial=0) == 1:
                    found.setdefault(name, []).append(other)
    for name, outer in _nested_in_terms(fixed, names, coerced).items():
        found[name] = [*dict.fromkeys([*found.get(name, ()), *outer])]
    closed = {
        name: tuple(dict.fromkeys([*(o for x in outer for o in found.get(x, ())), *outer]))
        for name, outer in found.items()
    }
    return {name: outer for name, outer in closed.items() if name not in outer}


def nested_margin(
    grid: Grid,
    specs: Specs,
    nesting: Mapping[str, tuple[str, ...]],
    weights: Weighting | ArrayLike = "equal",
) -> tuple[Grid, Specs, tuple[str, ...]]:
    """Return averages that respect nesting, what they are for, and over what they were taken.

    What nested variables are nested in joins what is asked for. Without nesting these are
    ordinary averages.
    """
    wanted = specs.all
    nested = [name for name in wanted if name in nesting]
    outer = [o for name in nested for o in nesting[name]]
    by = tuple(dict.fromkeys([*(o for n in specs.by for o in nesting.get(n, ())), *specs.by]))
    keep = tuple(dict.fromkeys([*nested, *outer, *wanted]))
    keep = (*(name for name in keep if name not in by), *by)
    over: list[str] = []
    while inner := [n for n in grid.names if n in nesting and n not in keep]:
        # the innermost first: it is nested in the most
        name = max(reversed(inner), key=lambda n: len(nesting[n]))
        groups = tuple(dict.fromkeys([*nesting[name], *(n for n in inner if n != name)]))
        kept = tuple(dict.fromkeys([*keep, *groups]))
        over += grid.averaged(kept)
        grid = _by_groups(_existing(grid, name, groups), groups, kept, weights)
    over += grid.averaged(keep)
    averaged = grid.margin(keep, weights)
    if nested:
        averaged = _occurring(averaged, nested, nesting)
    variables = tuple(name for name in keep if name not in by)
    return averaged, Specs(variables, by, specs.contrast), tuple(over)


def describe(nesting: Mapping[str, Sequence[str]]) -> str:
    """Return ``site %in% region``."""
    return ", ".join(
        f"{name} %in% " + (outer[0] if len(outer) == 1 else f"({'*'.join(outer)})")
        for name, outer in nesting.items()
    )


def _by_groups(
    grid: Grid, groups: Sequence[str], keep: Sequence[str], weights: Weighting | ArrayLike
) -> Grid:
    """Average within each combination of groups, with the weights that hold there."""
    cells = grid.cells(groups)
    parts = [grid.rows(cells == cell).margin(keep, weights) for cell in np.unique(cells)]
    return replace(
        parts[0],
        codes=np.concatenate([part.codes for part in parts]),
        L=np.concatenate([part.L for part in parts]),
        offset=np.concatenate([part.offset for part in parts]),
        counts=np.concatenate([part.counts for part in parts]),
    )


def _existing(grid: Grid, name: str, groups: Sequence[str]) -> Grid:
    """Keep the levels of a variable that occur in each combination of groups."""
    cells = grid.cells((*groups, name))
    counts = np.bincount(cells, grid.counts)
    return grid.rows(counts[cells] > 0)


def _occurring(grid: Grid, nested: Sequence[str], nesting: Mapping[str, tuple[str, ...]]) -> Grid:
    """Leave out combinations of nested variables with their own that have no observations."""
    keep = np.ones(len(grid.counts), dtype=bool)
    for name in nested:
        cells = grid.cells((name, *nesting[name]))
        keep &= np.bincount(cells, grid.counts)[cells] > 0
    return grid.rows(keep)


def _nested_in_terms(
    fixed: TermSum, names: Sequence[str], coerced: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return what the formula says: A:B without B nests B in A."""
    variables = {
        factor.text: coerced.get(factor.text, factor.label)
        for term in fixed.terms
        for factor in term.factors
        if isinstance(factor.node, Name) or factor.text in coerced
    }
    rows: list[dict[str, bool]] = []  # per term, whether each variable is coded in full
    full = full_codings(
        fixed.terms, {factor.text for term in fixed.terms for factor in term.factors}, True
    )
    for term, codings in zip(fixed.terms, full, strict=True):
        found = zip(term.factors, codings, strict=True)
        rows.append({variables[f.text]: c for f, c in found if variables.get(f.text) in names})
    main = {
        variables[term.factors[0].text]
        for term in fixed.terms
        if len(term.factors) == 1 and term.factors[0].text in variables
    }
    result: dict[str, list[str]] = {}
    for name in names:
        if name in main or not any(name in row for row in rows):
            continue
        own = [row for row in rows if row.get(name) is False]
        if not own:
            own = [{**row, name: False} for row in rows if row.get(name)]
        outer = [frozenset(n for n, coded in row.items() if coded) for row in own]
        smallest = frozenset().union(*(s for s in outer if not any(o < s for o in outer)))
        if smallest:
            result[name] = [n for n in names if n in smallest]
    return result
