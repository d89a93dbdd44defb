"""Conditioning: aliased columns, residualised response, whitened random columns."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from scipy import sparse

from ranef.linalg import conditioning, triangular
from ranef.linalg.conditioning import fixed_basis, whitening
from ranef.typing import FloatArray

N = 300
RNG = np.random.default_rng(7)
X_PLAIN = np.column_stack([np.ones(N), RNG.standard_normal((N, 3))])
Y = 3.0 + X_PLAIN @ [1.0, -2.0, 0.5, 0.0] + RNG.standard_normal(N)
WEIGHTS = RNG.uniform(0.2, 3.0, N)

MATRICES = {
    "plain": X_PLAIN,
    "one column": X_PLAIN[:, :1],
    "any units": X_PLAIN * [1.0, 1e6, 1e-6, 1e9],
    "far from the origin": X_PLAIN + np.array([0.0, 1e4, 1e4, -1e4]),
    "aliased": np.column_stack([X_PLAIN, X_PLAIN[:, 1] - X_PLAIN[:, 2], RNG.standard_normal(N)]),
    "zero column": np.column_stack([np.zeros(N), X_PLAIN]),
    "nothing": np.zeros((N, 0)),
}
KEPT = {"aliased": [0, 1, 2, 3, 5], "zero column": [1, 2, 3, 4]}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["dense", "sparse", "wide"])
def test_fixed_basis(name: str, weighted: bool, kind: str) -> None:
    """Kept columns, their factor, the least-squares estimate and residual are numpy's."""
    X = MATRICES[name]
    root = np.sqrt(WEIGHTS) if weighted else None
    with (
        patch.object(triangular, "ROWS_PER_BLOCK", 64),
        patch.object(conditioning, "LARGEST_SPARSE_QR", -1.0 if kind == "wide" else 2e10),
    ):
        basis = fixed_basis(
            np.asfortranarray(X) if kind == "dense" else sparse.csc_array(X), Y, root
        )
    kept = KEPT.get(name, list(range(X.shape[1])))
    assert basis.kept.tolist() == kept
    w = np.ones(N) if root is None else root
    full = w[:, None] * X[:, kept]
    np.testing.assert_allclose(basis.R.T @ basis.R, full.T @ full, rtol=1e-10)
    np.testing.assert_allclose(basis.R @ basis.R_inverse, np.eye(len(kept)), atol=1e-7)
    norms = np.sqrt((full * full).sum(axis=0))
    scaled = full / norms
    estimate = np.linalg.lstsq(scaled, w * Y, rcond=None)[0]
    np.testing.assert_allclose(basis.residual, w * Y - scaled @ estimate, atol=1e-9)
    np.testing.assert_allclose(basis.estimate * norms, estimate, rtol=1e-9, atol=1e-7)
    logdet = float(np.log(np.linalg.svd(scaled, compute_uv=False)).sum() + np.log(norms).sum())
    assert basis.logdet == pytest.approx(logdet, abs=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_wide_sparse_columns_far_from_zero(weighted: bool) -> None:
    """Cross-products of centred columns find rank and factor at a mean of a million deviations."""
    levels = np.arange(N) % 20
    indicators = (levels[:, None] == np.arange(1, 20)).astype(float)
    x = np.round(RNG.standard_normal(N), 6)
    good = np.column_stack([np.ones(N), indicators, x, x**2])
    far = np.column_stack([good[:, :20], 1e6 + x, 2e6 - 3.0 * x, x**2])  # one column is aliased
    root = np.sqrt(WEIGHTS) if weighted else None
    with patch.object(conditioning, "LARGEST_SPARSE_QR", -1.0):
        basis = fixed_basis(sparse.csc_array(far), Y, root)
    assert basis.kept.tolist() == [*range(21), 22]
    w = np.ones(N) if root is None else root
    expected = np.linalg.lstsq(w[:, None] * good, w * Y, rcond=None)[0]
    # coefficients other than the intercept are those of the centred columns
    np.testing.assert_allclose(basis.estimate[1:], expected[1:], rtol=1e-8, atol=1e-9)
    _, triangle = np.linalg.qr(w[:, None] * good)
    logdet = float(np.log(np.abs(triangle.diagonal())).sum())
    assert basis.logdet == pytest.approx(logdet, abs=1e-9)


def test_a_large_mean_costs_no_digits() -> None:
    """The residual of y + 1e8 differs from that of y by the rounding of y + 1e8 itself."""
    shifted = (Y + 1e8) - 1e8  # what is left of y in the sum
    far = fixed_basis(np.asfortranarray(X_PLAIN), Y + 1e8, None)
    near = fixed_basis(np.asfortranarray(X_PLAIN), shifted, None)
    # 1e8 has a spacing of 1.5e-8; a sum of squares that kept the mean would be off by more than 1
    np.testing.assert_allclose(far.residual, near.residual, atol=1e-7)
    assert np.abs(X_PLAIN.T @ far.residual).max() < 1e-4


RANDOM = {
    "intercept": (None,),
    "slope": (None, X_PLAIN[:, 1]),
    "slope far away": (None, X_PLAIN[:, 1] + 1e4),
    "quadratic": (None, X_PLAIN[:, 1] + 20, (X_PLAIN[:, 1] + 20) ** 2),
    "no intercept": (X_PLAIN[:, 1] * 1e6, X_PLAIN[:, 2] * 1e-6),
}


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("weighted", [False, True])
def test_whitening_of_correlated_columns(name: str, weighted: bool) -> None:
    """Whitened columns are orthonormal in the metric 1/n; W is upper triangular."""
    columns = RANDOM[name]
    root = np.sqrt(WEIGHTS) if weighted else None
    W = whitening(columns, N, True, root)
    np.testing.assert_array_equal(W, np.triu(W))
    Z = np.column_stack([np.ones(N) if column is None else column for column in columns])
    white = (Z if root is None else root[:, None] * Z) @ W
    np.testing.assert_allclose(white.T @ white / N, np.eye(len(columns)), atol=1e-7)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("weighted", [False, True])
def test_whitening_of_uncorrelated_columns(name: str, weighted: bool) -> None:
    """Columns of a diagonal term are scaled to mean square one, never mixed."""
    columns = RANDOM[name]
    root = np.sqrt(WEIGHTS) if weighted else None
    W = whitening(columns, N, False, root)
    np.testing.assert_array_equal(W, np.diag(np.diag(W)))
    w2 = np.ones(N) if root is None else root**2
    for column, factor in zip(columns, np.diag(W), strict=True):
        squares = np.ones(N) if column is None else column**2
        assert factor**2 * (w2 * squares).mean() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize(
    "columns",
    [
        (None, X_PLAIN[:, 1], 2 * X_PLAIN[:, 1]),
        (None, np.full(N, 3.0)),
        (np.zeros(N), X_PLAIN[:, 1]),
        (np.zeros(N),),
    ],
    ids=["multiple", "constant", "zero", "only zeros"],
)
def test_whitening_of_dependent_columns(
    columns: tuple[FloatArray | None, ...], correlated: bool
) -> None:
    """Columns that cannot be whitened are scaled, zeros left alone: W stays invertible."""
    W = whitening(columns, N, correlated, None)
    assert np.isfinite(W).all()
    assert (np.diag(W) > 0).all()
