"""Solves and inverses from a lower Cholesky factor, small and large, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from ranef.linalg.dense import SMALL, gram, inverse_from_factor, product, solve_lower
from ranef.typing import FloatArray

SIZES = [1, 2, 17, SMALL, SMALL + 1, 200]


def factor(size: int) -> FloatArray:
    """Return a lower triangular matrix, column-major, with rubbish above the diagonal."""
    M = np.random.default_rng(size).standard_normal((size, size)) / np.sqrt(size)
    return np.asfortranarray(M + 3 * np.eye(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
@pytest.mark.parametrize("transposed", [False, True])
def test_solve(size: int, shape: tuple[int, ...], transposed: bool) -> None:
    """Triangular solves with vectors and matrices; what stands above the diagonal is not read."""
    L = factor(size)
    right = np.random.default_rng(1).standard_normal((size, *shape))
    expected = np.linalg.solve(np.tril(L).T if transposed else np.tril(L), right)
    before = right.copy()
    np.testing.assert_allclose(
        solve_lower(L, right, transposed=transposed), expected, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(right, before)


@pytest.mark.parametrize("size", SIZES)
def test_inverse(size: int) -> None:
    """The lower triangle of inv(L L'), column-major."""
    L = factor(size)
    expected = np.linalg.inv(np.tril(L) @ np.tril(L).T)
    inverse = inverse_from_factor(L.copy(order="F"))
    assert inverse.flags.f_contiguous
    np.testing.assert_allclose(np.tril(inverse), np.tril(expected), rtol=1e-9, atol=1e-12)


def test_singular_factors() -> None:
    """A zero on the diagonal of a large factor is an error, not a number."""
    L = factor(SMALL + 10)
    L[5, 5] = 0.0
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        inverse_from_factor(L)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 40, 2), (60, 5, 1)])
def test_products(shape: tuple[int, int, int]) -> None:
    """Products of row-major matrices, of their transposes, and with themselves."""
    m, inner, r = shape
    rng = np.random.default_rng(inner)
    left, right = rng.standard_normal((m, inner)), rng.standard_normal((inner, r))
    expected = left @ right
    np.testing.assert_allclose(product(left, right), expected, atol=1e-12)
    np.testing.assert_allclose(product(left.T.copy().T, right), expected, atol=1e-12)
    np.testing.assert_allclose(product(left, right.T.copy().T), expected, atol=1e-12)
    for _ in range(2):  # twice: nothing may be left behind from the first call
        np.testing.assert_allclose(gram(left), left @ left.T, atol=1e-12)
        np.testing.assert_allclose(gram(right.T), right.T @ right, atol=1e-12)
