"""Triangular factors and ranks: from cross-products where that is safe, from the rows elsewhere."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from ranef.linalg import triangular
from ranef.linalg.triangular import (
    gram_factor,
    independent_columns,
    invert_upper,
    row_blocks,
    stacked_factor,
)
from ranef.typing import FloatArray

FAR = np.array([0, 1e4, 1e4, 1e4])


def columns(n: int = 200, p: int = 4, seed: int = 0) -> FloatArray:
    """Return a random matrix with a column of ones."""
    M = np.random.default_rng(seed).standard_normal((n, p))
    M[:, 0] = 1.0
    return M


def factor_of(M: FloatArray) -> FloatArray:
    """Return the factor by Householder QR of blocks of rows."""
    return stacked_factor(row_blocks(len(M), lambda rows: M[rows], M.shape[1]), M.shape[1])


def kept(M: FloatArray) -> list[int]:
    """Return the columns that count as independent."""
    return independent_columns(factor_of(M))[0].tolist()


def test_gram_factor() -> None:
    """R'R is the matrix, R is upper triangular."""
    M = columns() * [1.0, 1e6, 1e-6, 1.0]
    R = gram_factor(M.T @ M)
    assert R is not None
    np.testing.assert_allclose(R.T @ R, M.T @ M, rtol=1e-13)
    np.testing.assert_array_equal(R, np.triu(R))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda M: np.column_stack([M, M[:, 1] + 1e4]),
        lambda M: np.column_stack([M, M[:, 1] - 2 * M[:, 2]]),
        lambda M: np.column_stack([M, np.zeros(len(M))]),
    ],
    ids=["far from the origin", "dependent", "zero"],
)
def test_gram_factor_refuses_where_it_would_lose_digits(spoil: object) -> None:
    """Nearly dependent columns are left to the rows themselves."""
    M = spoil(columns())  # type: ignore[operator]
    assert gram_factor(M.T @ M) is None


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_stacked_factor(step: int) -> None:
    """The factor does not depend on how the rows are cut into blocks."""
    M = columns()
    with patch.object(triangular, "ROWS_PER_BLOCK", step):
        R = factor_of(M)
    np.testing.assert_allclose(R.T @ R, M.T @ M, rtol=1e-12)
    np.testing.assert_array_equal(R, np.triu(R))
    np.testing.assert_allclose(np.abs(R), np.abs(np.linalg.qr(M, mode="r")), rtol=1e-10, atol=1e-12)


def test_stacked_factor_of_few_rows() -> None:
    """With fewer rows than columns the factor is still square."""
    M = columns(n=2, p=4)
    R = factor_of(M)
    assert R.shape == (4, 4)
    np.testing.assert_allclose(R.T @ R, M.T @ M, atol=1e-14)


def test_row_blocks_cover_every_row_once() -> None:
    """Consecutive slices, the last one shorter."""
    with patch.object(triangular, "ROWS_PER_BLOCK", 16):
        blocks = list(row_blocks(50, lambda rows: np.arange(50)[rows], 1))
    np.testing.assert_array_equal(np.concatenate(blocks), np.arange(50))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda M: M, [0, 1, 2, 3]),
        (lambda M: np.column_stack([M, 2 * M[:, 1]]), [0, 1, 2, 3]),
        (lambda M: np.column_stack([M[:, :2], 2 * M[:, 1], M[:, 2:]]), [0, 1, 3, 4]),
        (lambda M: np.column_stack([M, M[:, 1] - M[:, 3], M[:, 2] + 1]), [0, 1, 2, 3]),
        (lambda M: np.column_stack([M[:, 1:], M[:, 1:].sum(axis=1), M[:, 0]]), [0, 1, 2, 4]),
        (lambda M: np.column_stack([np.zeros(len(M)), M]), [1, 2, 3, 4]),
        (lambda M: np.column_stack([M, np.zeros(len(M)), M[:, 1] ** 2]), [0, 1, 2, 3, 5]),
        (lambda M: np.column_stack([M, M[:, 1] + 1e4]), [0, 1, 2, 3]),
        (lambda M: M + FAR, [0, 1, 2, 3]),
        (lambda M: (M + FAR) * [1, 1e9, 1e-9, 1], [0, 1, 2, 3]),
        (lambda M: np.column_stack([M, M[:, 1] * (1 + 1e-12)]), [0, 1, 2, 3]),
        (lambda M: np.column_stack([M, M[:, 1] + 1e-5 * M[:, 2] ** 2]), [0, 1, 2, 3, 4]),
        (lambda M: M[:, :0], []),
    ],
    ids=[
        "all independent",
        "a multiple at the end",
        "a multiple in the middle",
        "two combinations",
        "the later of the combination goes",
        "zeros first",
        "zeros in the middle",
        "shifted copy beside the intercept",
        "far from the origin",
        "far from the origin, any units",
        "equal but for rounding",
        "nearly equal",
        "no columns",
    ],
)
def test_independent_columns(change: object, expected: list[int]) -> None:
    """A column that those to its left determine is dropped, whatever its scale and origin."""
    assert kept(change(columns())) == expected  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(20))
def test_rank_agrees_with_numpy(seed: int) -> None:
    """As many columns are kept as numpy's rank says, and they span the rest."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 7)) * np.geomspace(1e-3, 1e3, 7)
    M[:, rng.integers(7)] = 0.0
    index, R = independent_columns(factor_of(M))
    scaled = M / np.maximum(np.linalg.norm(M, axis=0), 1e-300)
    assert len(index) == np.linalg.matrix_rank(scaled, tol=1e-10)
    np.testing.assert_allclose(R.T @ R, M[:, index].T @ M[:, index], rtol=1e-9)
    outside = scaled - M[:, index] @ np.linalg.lstsq(M[:, index], scaled, rcond=None)[0]
    assert np.abs(outside).max() < 1e-9


def test_invert_upper() -> None:
    """The inverse of an upper triangular matrix, also of none and of a singular one."""
    R = np.triu(columns(5, 5)) + 3 * np.eye(5)
    np.testing.assert_allclose(invert_upper(R) @ R, np.eye(5), atol=1e-13)
    assert invert_upper(np.zeros((0, 0))).shape == (0, 0)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        invert_upper(np.diag([1.0, 0.0]))
