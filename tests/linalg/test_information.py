"""Products a_i'P a_j and traces tr(Q_ V_i Q_ V_j), against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, core_point, through
from ranef.covariance.chart import lower_chart, pivoted
from ranef.linalg.elimination import factorize
from ranef.linalg.information import (
    projected_products,
    single_moments,
    trace_products,
    whole_moments,
)

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_variant
@every_shape
def test_projected_products(shape: str, variant: Variant) -> None:
    """Any directions of any factors, in any order: a = Z c, a_i'P a_j."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 23, reml=True, weighted=True)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    rng = np.random.default_rng(1)
    factor = [int(g) for g in rng.permutation(np.repeat(np.arange(len(T)), 2))]
    c = [
        rng.standard_normal((dense.model.Z[g].shape[2], dense.model.Z[g].shape[1])) for g in factor
    ]
    a = np.array(
        [np.einsum("njk,kj->n", dense.model.Z[g], d) for g, d in zip(factor, c, strict=True)]
    )
    found = projected_products(f, factor, c)
    np.testing.assert_allclose(found, a @ dense.P @ a.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_of_a_dense_block(shape: str, reml: bool) -> None:
    """M[x, y, z, w] = sum over level pairs of W_lm[x, y] W_lm[z, w], W = Z'Q_ Z."""
    with through(VARIANTS[0]):
        problem, T, dense = core_point(SHAPES[shape], 23, reml=reml, weighted=True)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    moments = whole_moments(f, reml)
    for (g, h), M in moments.items():
        Z, Y = dense.model.Z[g], dense.model.Z[h]
        W = np.einsum("mla,mn,nkb->lkab", Z, dense.Q_, Y, optimize=True)
        np.testing.assert_allclose(M, np.einsum("lkab,lkcd->abcd", W, W), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("shape", ["intercepts", "slopes", "diagonal", "several terms on a factor"])
def test_moments_of_one_factor(shape: str, reml: bool) -> None:
    """One factor, eliminated level by level, needs no dense W."""
    with through(VARIANTS[1]):
        problem, T, dense = core_point(SHAPES[shape], 23, reml=reml, weighted=True)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    (M,) = single_moments(f, reml).values()
    Z = dense.model.Z[0]
    W = np.einsum("mla,mn,nkb->lkab", Z, dense.Q_, Z, optimize=True)
    np.testing.assert_allclose(M, np.einsum("lkab,lkcd->abcd", W, W), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_traces(shape: str, reml: bool) -> None:
    """Traces from the moments are those of products of n x n matrices, in any chart."""
    with through(VARIANTS[0]):
        problem, T, dense = core_point(SHAPES[shape], 29, reml=reml, weighted=False)
    blocks = problem.objective.blocks
    for point, chart in [(T, lower_chart(blocks)), pivoted(T, blocks)]:
        f = factorize(problem.objective.plan, point)
        assert f is not None
        found = trace_products(point, whole_moments(f, reml), chart.factor, chart.row, chart.col)
        there = dense.model.at(point)
        exact = there.hessian(chart, average=False)
        average = there.hessian(chart, average=True)
        directions = []
        for g, a, b in zip(chart.factor, chart.row, chart.col, strict=True):
            t = there.t[g]
            c = np.outer(point[g][:, b], t[a])
            c[a] += point[g][:, b] @ t
            directions.append(np.einsum("njk,kj->n", dense.model.Z[g], c))
        quadratic = np.array(directions) @ there.P @ np.array(directions).T
        wanted = average - exact + there.nu / there.r2 * quadratic
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)
