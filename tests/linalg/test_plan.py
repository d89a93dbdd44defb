"""The plan: which factors are eliminated level by level, and when memory is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, design_of, through
from oracle import Dense
from ranef.errors import FitError
from ranef.estimation import make_problem
from ranef.linalg.plan import Plan, make_plan

CHAIN = VARIANTS[1]


def plan_of(shape: str, variant: Variant = CHAIN) -> Plan:
    """Return the plan of a random model."""
    with through(variant):
        return make_problem(design_of(SHAPES[shape], 1, False), reml=True).objective.plan


@pytest.mark.parametrize(
    ("shape", "chain", "dense"),
    [
        ("intercepts", ["a"], []),
        ("slopes", ["a"], []),
        ("several terms on a factor", ["a"], []),
        ("nested", ["top:low", "top"], []),
        ("nested three deep", ["top:mid:low", "top:mid", "top"], []),
        ("crossed intercepts", ["a"], ["b", "c"]),
        ("crossed vectors", ["a"], ["b", "c"]),
        ("cells and margins", ["a:b", "a"], ["b"]),
        ("nested and crossed", ["top:mid", "top"], ["a", "c"]),
        ("nested three deep plus crossed", ["top:mid:low", "top:mid", "top"], ["b", "c"]),
    ],
)
def test_chains(shape: str, chain: list[str], dense: list[str]) -> None:
    """One factor, or factors nested in each other, form the chain; the rest is dense."""
    plan = plan_of(shape)
    names = plan.products.names
    assert [names[f] for f in plan.chain] == chain
    assert [names[f] for f in plan.dense] == dense


def test_small_models_have_no_chain() -> None:
    """Few random effects go to LAPACK in one piece."""
    plan = plan_of("nested", VARIANTS[0])
    assert plan.chain == () and plan.coupling == {} and len(plan.dense) == 2


def test_factors_come_by_number_of_effects() -> None:
    """The factor with the most effects is first, so it is the one eliminated level by level."""
    for shape in SHAPES:
        sizes = [A.shape[0] * A.shape[2] for A in plan_of(shape).products.A]
        assert sizes == sorted(sizes, reverse=True)


def test_parents() -> None:
    """Every level of a nested factor knows the level that it belongs to."""
    design = design_of(SHAPES["nested three deep"], 1, False)
    with through(CHAIN):
        problem = make_problem(design, reml=True)
    plan = problem.objective.plan
    for (e, g), parents in plan.parents.items():
        inner, outer = problem.groups[e].codes, problem.groups[g].codes
        np.testing.assert_array_equal(parents[inner], outer)


@pytest.mark.parametrize("shape", SHAPES)
def test_start_values_are_the_cross_products(shape: str) -> None:
    """Whatever the layout, the start values are Z'Z."""
    design = design_of(SHAPES[shape], 2, True)
    for variant in VARIANTS:
        with through(variant):
            problem = make_problem(design, reml=True)
        plan = problem.objective.plan
        if not plan.dense:
            assert plan.q_dense == 0 and len(plan.start_values) == 0
            continue
        dense = Dense.of_core(problem, design, reml=True)
        Z = np.hstack([dense.Z[g].swapaxes(1, 2).reshape(len(dense.y), -1) for g in plan.dense])
        np.testing.assert_allclose(plan.block.square(plan.start_values), Z.T @ Z, atol=1e-11)


def test_memory() -> None:
    """A dense block that does not fit is refused, with the factors and the bytes in the message."""
    products = plan_of("crossed vectors").products
    with through(CHAIN):
        assert make_plan(products, 1e9).chain == (0,)
        with pytest.raises(FitError) as caught:
            make_plan(products, 1000.0)
    message = str(caught.value)
    assert "b (15 effects)" in message and "c (3 effects)" in message and "GB" in message


def test_memory_of_a_chain_is_not_counted() -> None:
    """Nested factors have no dense block, only their border: a limit below it is enough."""
    products = plan_of("nested three deep").products
    with through(CHAIN):
        assert len(make_plan(products, 3e4).chain) == 3
        whole = make_plan(products, math.inf, whole=True)
        with pytest.raises(FitError, match="dense block"):
            make_plan(products, 3e4, whole=True)
    assert whole.chain == () and len(whole.dense) == 3
