"""Operations on one small matrix per level, against numpy's batches."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from ranef.linalg import levels
from ranef.typing import FloatArray

# Each width with few and many levels, so that both the loops and LAPACK's batches are used.
WIDTHS = [1, 2, 3, 5, 8, 9, 12]
COUNTS = [1, 3, 100]


def blocks(*shape: int) -> FloatArray:
    """Return random matrices, level axis last."""
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def positive(k: int, count: int) -> FloatArray:
    """Return random symmetric positive definite matrices, level axis last."""
    half = blocks(k, k, count)
    return np.einsum("abj,cbj->acj", half, half) + 0.1 * np.eye(k)[:, :, None]


@pytest.mark.parametrize("k", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("looped", [False, True])
def test_multiply(k: int, count: int, looped: bool) -> None:
    """Level by level, also with matrices that are not square, in loops and in batches."""
    for left, right in [((k, k), (k, k)), ((4, k), (k, 2)), ((1, k), (k, 1)), ((k, 1), (1, k))]:
        a, b = blocks(*left, count), blocks(*right, count)
        with patch.object(levels, "FEWEST_LOOPED", 0 if looped else 10**6):
            product = levels.multiply(a, b)
        np.testing.assert_allclose(product, np.einsum("abj,bcj->acj", a, b), atol=1e-12)
        assert product.flags.c_contiguous


@pytest.mark.parametrize("k", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
def test_products_with_one_matrix(k: int, count: int) -> None:
    """One matrix times the matrices of all levels, from the left and from the right."""
    a, m = blocks(k, 4, count), blocks(3, k)
    np.testing.assert_allclose(
        levels.multiply_left(m, a), np.einsum("ab,bcj->acj", m, a), atol=1e-12
    )
    a = blocks(4, k, count)
    np.testing.assert_allclose(
        levels.multiply_right(a, m.T), np.einsum("abj,cb->acj", a, m), atol=1e-12
    )


@pytest.mark.parametrize("k", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
def test_sum_of_products(k: int, count: int) -> None:
    """Products with a transpose, summed over the levels."""
    a, b = blocks(k, 3, count), blocks(2, 3, count)
    np.testing.assert_allclose(
        levels.sum_products(a, b), np.einsum("amj,bmj->ab", a, b), atol=1e-11
    )
    a, b = blocks(1, k, count), blocks(1, k, count)
    np.testing.assert_allclose(levels.sum_products(a, b), [[np.vdot(a, b)]], atol=1e-11)


def test_operations_accept_views() -> None:
    """Transposes and slices are views: the results do not depend on the memory layout."""
    a, b = blocks(3, 2, 100), blocks(3, 4, 200)[:, :, ::2]
    flipped = levels.transpose(a)
    assert np.shares_memory(flipped, a)
    expected = np.einsum("baj,bcj->acj", a, b)
    np.testing.assert_allclose(levels.multiply(flipped, b), expected, atol=1e-12)
    wide = b.swapaxes(0, 1)
    np.testing.assert_allclose(
        levels.sum_products(flipped, wide), np.einsum("amj,bmj->ab", flipped, wide), atol=1e-11
    )
    np.testing.assert_allclose(
        levels.multiply_left(np.ones((1, 4)), wide), wide.sum(axis=0, keepdims=True), atol=1e-12
    )


@pytest.mark.parametrize("k", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("looped", [False, True])
def test_inverse_factor_and_log_determinant(k: int, count: int, looped: bool) -> None:
    """R is upper triangular, R R' is numpy's inverse; the argument is left alone."""
    a = positive(k, count)
    before = a.copy()
    with patch.object(levels, "FEWEST_LOOPED", 0 if looped else 10**6):
        R, logdet = levels.inverse_factor(a)
    assert all(not R[i, :i].any() for i in range(k))
    inverse = np.einsum("abj,cbj->acj", R, R)
    batches = a.transpose(2, 0, 1)
    expected = np.linalg.inv(batches).transpose(1, 2, 0)
    np.testing.assert_allclose(inverse, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    assert logdet == pytest.approx(np.linalg.slogdet(batches)[1].sum(), rel=1e-11, abs=1e-10)
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_inverse_factor_of_unequal_sizes(k: int) -> None:
    """Rows of very different size cost no digits: elimination does not care about scale."""
    a = positive(k, 100)
    scale = np.geomspace(1e-6, 1e6, k)
    scaled = a * np.outer(scale, scale)[:, :, None]
    R, logdet = levels.inverse_factor(scaled)
    expected, plain = levels.inverse_factor(a)
    np.testing.assert_allclose(R * scale[:, None, None], expected, rtol=1e-9, atol=1e-9)
    assert logdet == pytest.approx(plain + 200 * np.log(scale).sum(), abs=1e-8)
