"""Random small models of every shape, and the ways they can take through the core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from oracle import Dense, Point
from ranef.covariance.chart import Factors, lower
from ranef.design import build_design
from ranef.design.types import Design
from ranef.estimation import Problem, make_problem
from ranef.linalg import kernels, levels, ordering, plan
from ranef.typing import FloatArray

ROWS = 80

# One formula for every way in which terms and grouping factors can meet. `a` has 12 levels, `b` 5,
# `c` 3; `low` is nested in `mid`, `mid` in `top`.
SHAPES = {
    "intercepts": "y ~ x + (1 | a)",
    "slopes": "y ~ x + z + (x + z | a)",
    "diagonal": "y ~ x + (x + z || a)",
    "factor": "y ~ f + (f | a)",
    "factor without intercept": "y ~ x * f + (0 + f | a)",
    "several terms on a factor": "y ~ x + (1 | a) + (0 + x | a) + (0 + z + f | a)",
    "nested": "y ~ x + (x | top / low)",
    "nested three deep": "y ~ x + (1 | top) + (x | top:mid) + (z || top:mid:low)",
    "crossed": "y ~ x + z + (x | a) + (z | b)",
    "crossed intercepts": "y ~ 1 + (1 | a) + (1 | b) + (1 | c)",
    "crossed vectors": "y ~ x + (x + z | a) + (0 + f | b) + (1 | c)",
    "crossed, diagonal": "y ~ x + (x || b) + (1 | a) + (x || c)",
    "cells and margins": "y ~ x + (1 | a) + (1 | b) + (1 | a:b)",
    "nested and crossed": "y ~ x + (x | top / mid) + (1 | a) + (z | c)",
    "nested three deep plus crossed": (
        "y ~ x + (1 | top) + (x | top:mid) + (z || top:mid:low) + (x | b) + (1 | c)"
    ),
    "no fixed effects": "y ~ 0 + (x | a) + (1 | b)",
    "aliased columns": "y ~ x + I(2 * x) + z + I(x - z) + (x | a) + (1 | b)",
}


@dataclass(frozen=True)
class Variant:
    """A way through the core: which plan, which kernel, store and root, which loops over levels."""

    name: str
    chain: bool
    full: bool = False
    later_full: bool = False
    split: bool = False
    sparse: bool = False
    stored: bool = False
    looped: bool = False

    def __str__(self) -> str:
        return self.name


VARIANTS = (
    Variant("one dense block", chain=False),
    Variant("chain, pair map", chain=True),
    Variant("chain, full product, loops", chain=True, full=True, later_full=True, looped=True),
    Variant("chain, pair map, all stored", chain=True, stored=True),
    Variant("chain, then eliminated in rounds", chain=True, sparse=True),
    Variant("chain, head and pairs, then full product", chain=True, split=True, later_full=True),
)


@contextmanager
def through(variant: Variant) -> Iterator[None]:
    """Force the core to take one of its ways; plans made inside keep to it."""
    with ExitStack() as stack:
        change = [
            (plan, "SMALL_MODEL", 0 if variant.chain else 10**9),
            (plan, "CHAIN_FLOPS", -1e18),
            (kernels, "PAIR_COST", 1.0 if variant.full or variant.split else 0.0),
            (kernels, "CELL_COST", -1e9 if variant.split else 0.0),
            (kernels, "SEARCH_COST", -1.0 if variant.split else 1e9),
            (kernels, "SMALLEST_HEAD", 1),
            (kernels, "CHANGING_PAIR_COST", 1.0 if variant.later_full else 0.0),
            (kernels, "FLOP_COST", 1e-9),
            (kernels, "FULL_FROM", 0.0 if variant.stored else 2.0),
            (plan, "SMALLEST_SPARSE", 0 if variant.sparse else 10**9),
            (plan, "LARGEST_DENSITY", 1e9),
            (ordering, "ROUND_COST", -1e9),
            (levels, "FEWEST_LOOPED", 0 if variant.looped else levels.FEWEST_LOOPED),
        ]
        for module, name, value in change:
            stack.enter_context(patch.object(module, name, value))
        yield


def frame(seed: int, n: int = ROWS) -> pd.DataFrame:
    """Return random data with every column that the formulas here use."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 16, n)
    data = pd.DataFrame(
        {
            "x": rng.standard_normal(n),
            "z": rng.standard_normal(n) + 0.5,
            "f": pd.Categorical(rng.choice(["u", "v", "w"], n)),
            "a": rng.integers(0, 12, n),
            "b": rng.choice(list("pqrst"), n),
            "c": rng.integers(0, 3, n),
            "low": low,
            "mid": low // 3,
            "top": low // 6,
            "w": rng.uniform(0.4, 2.5, n),
            "o": rng.standard_normal(n),
        }
    )
    effects = rng.standard_normal((12, 2))
    slope = effects[data["a"], 1] * data["x"]
    data["y"] = 3 + data["x"] + effects[data["a"], 0] + slope + rng.standard_normal(n)
    return data


def design_of(formula: str, seed: int, weighted: bool) -> Design:
    """Return the design of a formula for random data, with weights and offset or without."""
    weights, offset = ("w", "o") if weighted else (None, None)
    return build_design(formula, frame(seed), weights=weights, offset=offset)


def random_theta(design: Design, seed: int, *, singular: bool = False) -> FloatArray:
    """Return parameters of ordinary size; with ``singular`` some are exactly zero."""
    rng = np.random.default_rng(seed)
    size = sum(
        len(term.names) * (len(term.names) + 1) // 2 if term.correlated else len(term.names)
        for term in design.terms
    )
    theta = rng.normal(0.0, 0.8, size)
    if singular:
        theta *= rng.random(size) > 0.4
    return theta


@st.composite
def formulas(draw: st.DrawFn) -> str:
    """Draw a formula with one to three random terms that are not listed in `SHAPES`."""
    columns = st.sampled_from(["1", "x", "0 + x", "x + z", "0 + z", "f", "0 + f"])
    groups = st.sampled_from(["a", "b", "c", "top", "top:mid", "top:mid:low", "b:c"])
    bars = st.sampled_from(["|", "|", "||"])
    fixed = draw(st.sampled_from(["1", "x", "x + f", "0 + f", "x * z", "0"]))
    terms = draw(st.lists(st.tuples(columns, bars, groups), min_size=1, max_size=3, unique=True))
    random = " + ".join(f"({column} {bar} {group})" for column, bar, group in terms)
    return f"y ~ {fixed} + {random}"


def core_point(
    formula: str, seed: int, *, reml: bool, weighted: bool
) -> tuple[Problem, Factors, Point]:
    """Return a random model, random lower-triangular factors, and the oracle at them."""
    design = design_of(formula, seed, weighted)
    problem = make_problem(design, reml=reml)
    theta = random_theta(design, seed + 1)
    T = lower(problem.to_core(theta), problem.objective.blocks)
    return problem, T, Dense.of_core(problem, design, reml=reml).at(T)
