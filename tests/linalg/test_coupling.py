"""The two kernels that eliminate the first factor, against each other and against dense algebra."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, design_of, through
from oracle import Dense
from ranef.design import build_design
from ranef.estimation import make_problem
from ranef.linalg import coupling
from ranef.linalg.plan import Plan
from ranef.typing import FloatArray

CROSSED = [
    "crossed",
    "crossed intercepts",
    "crossed vectors",
    "crossed, diagonal",
    "cells and margins",
    "nested and crossed",
]
KERNELS = VARIANTS[1:]


def model(shape: str, variant: Variant, slab: int = 1 << 27) -> tuple[Plan, FloatArray]:
    """Return a plan and B, the cross-products of the first factor, as (J, k, q_dense)."""
    design = design_of(SHAPES[shape], 5, True)
    with through(variant), patch.object(coupling, "SLAB_BYTES", slab):
        problem = make_problem(design, reml=True)
    plan = problem.objective.plan
    dense = Dense.of_core(problem, design, reml=True)
    Z = np.hstack([dense.Z[g].swapaxes(1, 2).reshape(len(dense.y), -1) for g in plan.dense])
    return plan, np.einsum("njk,nq->jkq", dense.Z[plan.chain[0]], Z)


def symmetric(k: int, levels: int) -> FloatArray:
    """Return random symmetric matrices (k, k, J)."""
    half = np.random.default_rng(k).standard_normal((k, k, levels))
    return half + half.swapaxes(0, 1)


def scatter(plan: Plan, values: FloatArray) -> FloatArray:
    """Return the symmetric dense block whose lower triangle the values are."""
    flat = np.zeros(plan.size**2)
    flat[plan.position] = values
    full = np.tril(flat.reshape(plan.size, plan.size, order="F")[: plan.q_dense, : plan.q_dense])
    return full + np.tril(full, -1).T


@pytest.mark.parametrize("shape", CROSSED)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("slab", [1, 1 << 27])
def test_update(shape: str, kernel: Variant, slab: int) -> None:
    """The update subtracts sum_j B_j' K_j B_j, in one slab of levels or in many."""
    plan, B = model(shape, kernel, slab)
    assert plan.coupling is not None
    assert (plan.coupling.pair_map is None) == kernel.full
    K = symmetric(B.shape[1], B.shape[0])
    values = plan.start_values.copy()
    with patch.object(coupling, "SLAB_BYTES", slab):
        plan.coupling.update(plan, K, values)
    expected = scatter(plan, plan.start_values) - np.einsum(
        "jxq,xyj,jyr->qr", B, K, B, optimize=True
    )
    np.testing.assert_allclose(scatter(plan, values), expected, atol=1e-10)


@pytest.mark.parametrize("shape", CROSSED)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("slab", [1, 1 << 27])
def test_adjoint(shape: str, kernel: Variant, slab: int) -> None:
    """The adjoint returns B_j H B_j' for a symmetric H on the pattern."""
    plan, B = model(shape, kernel, slab)
    assert plan.coupling is not None
    # both triangles of a diagonal block are stored, so they must be given alike
    flat = np.random.default_rng(9).standard_normal(plan.size**2)
    weights = flat[plan.position]
    shape_of_K = (B.shape[1], B.shape[1], B.shape[0])
    with patch.object(coupling, "SLAB_BYTES", slab):
        found = plan.coupling.adjoint(plan, weights, shape_of_K)
    H = scatter(plan, weights)
    np.testing.assert_allclose(
        found, np.einsum("jxq,qr,jyr->xyj", B, H, B, optimize=True), atol=1e-9
    )


@pytest.mark.parametrize("shape", CROSSED)
def test_kernels_agree(shape: str) -> None:
    """Pair map and full product are two ways to the same matrix."""
    results = []
    for kernel in KERNELS:
        plan, B = model(shape, kernel)
        values = plan.start_values.copy()
        plan.coupling.update(plan, symmetric(B.shape[1], B.shape[0]), values)
        results.append(scatter(plan, values))
    np.testing.assert_allclose(*results, atol=1e-10)


@pytest.mark.parametrize("shape", CROSSED)
def test_sparse_rows(shape: str) -> None:
    """B is stored with row a * J + level and the columns of the dense block."""
    plan, B = model(shape, KERNELS[0])
    assert plan.coupling is not None
    expected = B.transpose(1, 0, 2).reshape(-1, plan.q_dense)
    np.testing.assert_allclose(plan.coupling.B.toarray(), expected, atol=1e-11)


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
        found = make_problem(design, reml=True).objective.plan.coupling
        assert found is not None
        return found

    assert chosen(20_000, 600, 30).pair_map is None
    assert chosen(4_000, 1_500, 900).pair_map is not None
    with patch.object(coupling, "MOST_PAIRS", 1_000):
        assert chosen(4_000, 1_500, 900).pair_map is None
