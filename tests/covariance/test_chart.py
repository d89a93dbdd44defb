"""Charts of covariance factors: reading, writing, lower and pivoted Cholesky factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ranef.covariance.chart import (
    SMALLEST_DIAGONAL,
    identity,
    lower,
    lower_chart,
    lower_factor,
    pivoted,
    varies,
    widen,
)
from ranef.typing import FloatArray

# two factors: one with a block of two and two single columns, one with a block of three
BLOCKS = (((0, 2), (2, 3), (3, 4)), ((0, 3),))

# zeros, tiny and ordinary numbers: the covariance matrices are often singular
entries = st.one_of(
    st.just(0.0),
    st.floats(-3, 3, allow_subnormal=False),
    st.sampled_from([1e-12, -1e-7, 1e6]),
)
squares = st.integers(1, 5).flatmap(lambda k: arrays(float, (k, k), elements=entries))


def random_factors(seed: int) -> tuple[FloatArray, FloatArray]:
    """Return block-diagonal matrices that fit BLOCKS."""
    rng = np.random.default_rng(seed)
    out = []
    for parts in BLOCKS:
        T = np.zeros((parts[-1][1], parts[-1][1]))
        for start, stop in parts:
            T[start:stop, start:stop] = rng.standard_normal((stop - start, stop - start))
        out.append(T)
    return out[0], out[1]


def scale(M: FloatArray) -> float:
    """Return the size of a covariance matrix, for tolerances."""
    return 1e-12 * max(1.0, float(np.abs(M).max()) ** 2)


def test_the_lower_chart_goes_down_the_columns() -> None:
    """Factor by factor, block by block, column by column: the order of the public theta."""
    chart = lower_chart(BLOCKS)
    found = list(zip(chart.factor, chart.row, chart.col, strict=True))
    assert found == [
        (0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3),
        (1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 1, 1), (1, 2, 1), (1, 2, 2),
    ]  # fmt: skip
    assert chart.size == 11


def test_write_and_read() -> None:
    """Writing returns new arrays from which the same numbers are read."""
    chart, T = lower_chart(BLOCKS), identity(BLOCKS)
    x = np.arange(1.0, 12.0)
    written = chart.write(T, x)
    np.testing.assert_array_equal(chart.read(written), x)
    for t, k in zip(T, (4, 3), strict=True):
        np.testing.assert_array_equal(t, np.eye(k))
    np.testing.assert_array_equal(chart.read(T), [1, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1])


@given(squares)
def test_lower_factor(M: FloatArray) -> None:
    """L L' = M M', lower triangular, diagonal not negative; also for singular M."""
    L = lower_factor(M)
    np.testing.assert_array_equal(L, np.tril(L))
    assert (L.diagonal() >= 0).all()
    np.testing.assert_allclose(L @ L.T, M @ M.T, atol=scale(M))


def test_lower_factor_of_wide_and_narrow_matrices() -> None:
    """Any number of columns will do: the result is square."""
    rng = np.random.default_rng(1)
    for columns in (1, 2, 3, 5):
        M = rng.standard_normal((3, columns))
        L = lower_factor(M)
        assert L.shape == (3, 3)
        np.testing.assert_allclose(L @ L.T, M @ M.T, atol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_lower(seed: int) -> None:
    """Each block keeps its covariance matrix; zeros between blocks stay."""
    T = random_factors(seed)
    for t, L, parts in zip(T, lower(T, BLOCKS), BLOCKS, strict=True):
        np.testing.assert_allclose(L @ L.T, t @ t.T, atol=1e-13)
        np.testing.assert_array_equal(L, np.tril(L))
        assert (L.diagonal() >= 0).all()
        for start, stop in parts:
            assert not L[stop:, start:stop].any()


@given(squares)
def test_pivoted_factor(M: FloatArray) -> None:
    """The same covariance matrix; rows in the order of the chart are lower triangular."""
    (L,), chart = pivoted((M,), (((0, len(M)),),))
    # only a vanishing diagonal is moved, by SMALLEST_DIAGONAL
    bound = scale(M) + 4 * SMALLEST_DIAGONAL * max(1.0, float(np.abs(M).max()))
    np.testing.assert_allclose(L @ L.T, M @ M.T, atol=bound)
    assert chart.size == len(M) * (len(M) + 1) // 2
    free = np.zeros_like(L, dtype=bool)
    free[chart.row, chart.col] = True
    assert free.sum() == chart.size
    assert not L[~free].any()
    assert np.linalg.matrix_rank(L, tol=0.0) == len(L)


@given(squares)
def test_pivots_decrease(M: FloatArray) -> None:
    """The largest remaining variance comes first, and no diagonal is zero."""
    k = len(M)
    (L,), chart = pivoted((M,), (((0, k),),))
    diagonal = [L[chart.row[chart.col == b][0], b] for b in range(k)]
    assert min(diagonal) >= SMALLEST_DIAGONAL
    noise = scale(M) + SMALLEST_DIAGONAL
    for b in range(k - 1):
        rest = L[chart.row[chart.col == b], b:]
        assert (rest * rest).sum(axis=1).max() <= diagonal[b] ** 2 * (1 + 1e-9) + noise


def test_small_directions_keep_their_digits() -> None:
    """Variances of 1e-14 next to variances of 1: the factor is never squared."""
    T = np.array([[1.0, 0.0, 0.0], [2.0, 1e-7, 0.0], [-1.0, 3e-7, 2e-7]])
    (L,), _ = pivoted((T,), (((0, 3),),))
    assert abs(np.linalg.det(L)) == pytest.approx(2e-14, rel=1e-7)


@pytest.mark.parametrize("size", [1e-100, 1e-150, 1e-155, 1e-160, 1e-170, 5e-324])
def test_entries_whose_squares_underflow(size: float) -> None:
    """Numbers that vanish when they are squared count as zero, and spoil nothing."""
    T = size * np.array([[1.0, 0.0, 0.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    (L,), _ = pivoted((T,), (((0, 3),),))
    np.testing.assert_allclose(L @ L.T, SMALLEST_DIAGONAL**2 * np.eye(3), atol=1e-30)


@pytest.mark.parametrize("seed", range(5))
def test_pivoting_works_block_by_block(seed: int) -> None:
    """Blocks are not mixed, and the chart lists them one after the other."""
    T = random_factors(seed)
    new, chart = pivoted(T, BLOCKS)
    for t, L in zip(T, new, strict=True):
        np.testing.assert_allclose(L @ L.T, t @ t.T, atol=1e-12)
    assert chart.factor.tolist() == lower_chart(BLOCKS).factor.tolist()
    owner = {(f, c): part for f, parts in enumerate(BLOCKS) for part in parts for c in range(*part)}
    for f, a, b in zip(chart.factor, chart.row, chart.col, strict=True):
        assert owner[int(f), int(a)] == owner[int(f), int(b)]
    for L, parts in zip(new, BLOCKS, strict=True):
        for start, stop in parts:
            outside = np.ones(len(L), dtype=bool)
            outside[start:stop] = False
            assert not L[outside, start:stop].any()


@pytest.mark.parametrize("size", [1e-3, 0.3, 2.0])
def test_widening(size: float) -> None:
    """Widening adds variance size^2 in one direction of one block, and changes nothing else."""
    T = random_factors(3)
    n = np.array([0.6, -0.8])
    wide = widen(T, (0, (0, 2), n), size)
    expected = T[0] @ T[0].T
    expected[:2, :2] += size**2 * np.outer(n, n)
    np.testing.assert_allclose(wide[0] @ wide[0].T, expected, atol=1e-13)
    np.testing.assert_array_equal(wide[1], T[1])


def test_varying_entries() -> None:
    """Entries of columns without variance are left out of the chart of what varies."""
    T = (np.array([[2.0, 0.0], [1.0, 1e-9]]), np.array([[1e-9]]), np.array([[1e-2]]))
    _, chart = pivoted(T, (((0, 2),), ((0, 1),), ((0, 1),)))
    free = chart.part(varies(pivoted(T, (((0, 2),), ((0, 1),), ((0, 1),)))[0], chart))
    found = list(zip(free.factor, free.row, free.col, strict=True))
    assert found == [(0, 0, 0), (0, 1, 0), (2, 0, 0)]


def test_arguments_are_left_alone() -> None:
    """Nothing is changed in place."""
    T = random_factors(1)
    before = [t.copy() for t in T]
    lower(T, BLOCKS)
    pivoted(T, BLOCKS)
    for t, old in zip(T, before, strict=True):
        np.testing.assert_array_equal(t, old)
