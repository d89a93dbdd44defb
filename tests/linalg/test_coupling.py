"""The kernels that eliminate chain factors, against each other and against dense algebra."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, design_of, through
from oracle import Dense
from ranef.design import build_design
from ranef.estimation import make_problem
from ranef.linalg import coupling, kernels, pattern
from ranef.linalg.plan import Plan
from ranef.typing import FloatArray

CROSSED = [
    "crossed",
    "crossed intercepts",
    "crossed vectors",
    "crossed, diagonal",
    "cells and margins",
    "nested and crossed",
    "nested three deep plus crossed",
]
KERNELS = VARIANTS[1:]


def model(shape: str, variant: Variant, slab: int = 1 << 27) -> tuple[Plan, dict[int, FloatArray]]:
    """Return a plan and B, the cross-products of every chain factor, as (J, k, q_dense)."""
    design = design_of(SHAPES[shape], 5, True)
    with through(variant), patch.object(coupling, "SLAB_BYTES", slab):
        problem = make_problem(design, reml=True)
    plan = problem.objective.plan
    dense = Dense.of_core(problem, design, reml=True)
    Z = np.hstack([dense.Z[g].swapaxes(1, 2).reshape(len(dense.y), -1) for g in plan.dense])
    return plan, {e: np.einsum("njk,nq->jkq", dense.Z[e], Z) for e in plan.chain}


def symmetric(k: int, levels: int) -> FloatArray:
    """Return random symmetric matrices (k, k, J)."""
    half = np.random.default_rng(k).standard_normal((k, k, levels))
    return half + half.swapaxes(0, 1)


def test_kernels() -> None:
    """Every kernel is used by some variant, for factors that come first and for later ones."""
    found = set()
    for kernel in KERNELS:
        plan, _ = model("nested three deep plus crossed", kernel)
        assert len(plan.chain) == 3
        for e in plan.chain:
            part = plan.coupling[e]
            found.add((e == plan.chain[0], type(part.kernel), len(part.head) > 0))
            assert (part.split is not None) == (part.kernel is not None and len(part.head) > 0)
    assert found == {
        (True, coupling.PairMap, False),
        (True, type(None), True),
        (True, coupling.PairMap, True),
        (False, coupling.PairList, False),
        (False, type(None), True),
    }


@pytest.mark.parametrize("shape", CROSSED)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("slab", [1, 1 << 27])
def test_update(shape: str, kernel: Variant, slab: int) -> None:
    """The update subtracts sum_j B_j' K_j B_j, in one slab of levels or in many."""
    plan, cross_products = model(shape, kernel, slab)
    assert set(plan.coupling) == set(plan.chain)
    for e, B in cross_products.items():
        part = plan.coupling[e]
        K = symmetric(B.shape[1], B.shape[0])
        values = plan.start_values.copy()
        with patch.object(coupling, "SLAB_BYTES", slab):
            part.update(plan.block, K, part.B, values)
        expected = plan.block.square(plan.start_values) - np.einsum(
            "jxq,xyj,jyr->qr", B, K, B, optimize=True
        )
        np.testing.assert_allclose(plan.block.square(values), expected, atol=1e-10)


@pytest.mark.parametrize("shape", CROSSED)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("slab", [1, 1 << 27])
def test_adjoint(shape: str, kernel: Variant, slab: int) -> None:
    """The adjoint returns B_j H B_j' for a symmetric H on the pattern; `times` returns B_j H."""
    plan, cross_products = model(shape, kernel, slab)
    weights = np.random.default_rng(9).standard_normal(len(plan.start_values))
    plan.block.complete(weights)
    H = plan.block.square(weights)
    for e, B in cross_products.items():
        part = plan.coupling[e]
        shape_of_K = (B.shape[1], B.shape[1], B.shape[0])
        with patch.object(coupling, "SLAB_BYTES", slab):
            found = part.adjoint(plan.block, weights, part.B, shape_of_K)
        wanted = np.einsum("jxq,qr,jyr->xyj", B, H, B, optimize=True)
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        if e == plan.chain[0]:
            continue
        with patch.object(coupling, "SLAB_BYTES", slab):
            product = part.times(plan.block, weights, part.B)
        np.testing.assert_allclose(product, (B @ H)[part.level, :, part.column].T, atol=1e-9)
        summed = part.sum_entries(product, part.B, B.shape[0])
        np.testing.assert_allclose(summed, wanted, atol=1e-9)


@pytest.mark.parametrize("shape", CROSSED)
def test_kernels_agree(shape: str) -> None:
    """All kernels are ways to the same matrix."""
    results = []
    for kernel in KERNELS:
        plan, cross_products = model(shape, kernel)
        values = plan.start_values.copy()
        for e, B in cross_products.items():
            part = plan.coupling[e]
            part.update(plan.block, symmetric(B.shape[1], B.shape[0]), part.B, values)
        results.append(plan.block.square(values))
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, atol=1e-10)


@pytest.mark.parametrize("shape", CROSSED)
def test_sparse_rows(shape: str) -> None:
    """B is stored with row a * J + level and the columns of the dense block."""
    plan, cross_products = model(shape, KERNELS[0])
    for e, B in cross_products.items():
        expected = B.transpose(1, 0, 2).reshape(-1, plan.q_dense)
        np.testing.assert_allclose(plan.coupling[e].B.toarray(), expected, atol=1e-11)


@pytest.mark.parametrize("shape", CROSSED)
def test_lift(shape: str) -> None:
    """An entry is handed on to the level that its level belongs to, in the same column."""
    plan, _ = model(shape, KERNELS[0])
    for e, part in plan.coupling.items():
        for g, at in part.lift.items():
            above = plan.coupling[g]
            np.testing.assert_array_equal(above.column[at], part.column)
            np.testing.assert_array_equal(above.level[at], plan.parents[e, g][part.level])


def test_the_cheaper_kernel_is_chosen() -> None:
    """Where every level meets every other, matrix products; where few meet, the map of pairs."""
    rng = np.random.default_rng(1)

    def chosen(n: int, first: int, second: int) -> coupling.Coupling:
        data = {
            "y": rng.standard_normal(n),
            "g": rng.integers(0, first, n),
            "h": rng.integers(0, second, n),
        }
        design = build_design("y ~ 1 + (1 | g) + (1 | h)", data)
        (found,) = make_problem(design, reml=True).objective.plan.coupling.values()
        return found

    assert chosen(20_000, 600, 30).kernel is None
    assert chosen(4_000, 1_500, 900).kernel is not None
    with patch.object(kernels, "MOST_PAIRS", 1_000), patch.object(kernels, "PAIRS_PER_CELL", 0):
        assert chosen(4_000, 1_500, 900).kernel is None


def test_columns_that_most_levels_touch_are_multiplied_in_full() -> None:
    """Popular levels of the dense factor are the head; the pairs of all others are listed."""
    rng = np.random.default_rng(2)
    n = 60_000
    h = np.where(rng.random(n) < 0.7, rng.integers(0, 60, n), rng.integers(60, 600, n))
    data = {"y": rng.standard_normal(n), "g": rng.integers(0, 2_000, n), "h": h}
    design = build_design("y ~ 1 + (1 | g) + (1 | h)", data)
    with patch.object(kernels, "SEARCH_COST", 0.0), patch.object(kernels, "CELL_COST", 0.0):
        (found,) = make_problem(design, reml=True).objective.plan.coupling.values()
    assert isinstance(found.kernel, coupling.PairMap)
    assert 40 <= len(found.head) <= 120
    assert (np.isin(np.arange(60), found.head)).mean() > 0.6


def test_pairs_come_in_slabs() -> None:
    """Cut into slabs of levels, the pairs are the same, in the same order."""
    plan, _ = model("nested three deep plus crossed", KERNELS[0])
    frame = pattern.make_frame(plan.products, plan.dense)
    entries = pattern.make_entries(plan.products, plan.chain[0], frame)
    ((place, upper, lower),) = pattern.pair_slabs(entries)
    assert place == slice(0, len(upper)) and len(upper) == pattern.pair_count(entries.touched)
    with patch.object(pattern, "PAIRS_PER_SLAB", 7):
        parts = list(pattern.pair_slabs(entries))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), upper)
    np.testing.assert_array_equal(np.concatenate([part[2] for part in parts]), lower)
    assert [part[0].start for part in parts[1:]] == [part[0].stop for part in parts[:-1]]
    assert (entries.level[upper] == entries.level[lower]).all() and (upper >= lower).all()
