"""Many dummy columns stay sparse, and mean the same as dense ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ranef.design import build_design, columns, fixed_columns

N = 4000


def the_data() -> pd.DataFrame:
    """Return rows with a factor of 200 levels."""
    rng = np.random.default_rng(5)
    f = rng.integers(0, 200, N)
    f[:200] = np.arange(200)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(size=N),
            "f": pd.Categorical.from_codes(f, [f"l{i:03}" for i in range(200)]),
            "a": rng.choice(list("uvw"), N),
            "g": rng.integers(0, 30, N),
        }
    )


FORMULAS = [
    "y ~ f + x + (x | g)",
    "y ~ 0 + f + x + (1 | g)",
    "y ~ f * x + (x | g)",
    "y ~ f + a:f + (1 | g)",
    "y ~ poly(x, 2):f + (1 | g)",
    "y ~ f:a:x + (f | g)",
    "y ~ C(f, contr.sum) + x:C(f, contr.sum) + (1 | g)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_sparse_and_dense_columns_are_the_same(
    formula: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the storage differs, also for new data."""
    frame = the_data().iloc[: 400 if "(f" in formula else N]
    formula = formula.replace("(f | g)", "(0 + x | g)")
    found = build_design(formula, the_data())
    assert isinstance(found.X, sparse.csc_array)
    assert found.X.has_canonical_format
    assert found.X.indices.dtype == np.int32
    monkeypatch.setattr(columns, "SPARSE_MIN_COLUMNS", 10**9)
    dense = build_design(formula, the_data())
    assert isinstance(dense.X, np.ndarray)
    assert found.x_names == dense.x_names
    np.testing.assert_allclose(found.X.toarray(), dense.X, rtol=0, atol=1e-14)
    for ours, theirs in zip(found.terms[0].columns, dense.terms[0].columns, strict=True):
        if ours is not None and theirs is not None:
            np.testing.assert_array_equal(ours, theirs)
    monkeypatch.undo()
    again = fixed_columns(found, frame)
    assert isinstance(again, sparse.csc_array)
    np.testing.assert_allclose(again.toarray(), dense.X[: len(frame)], rtol=0, atol=1e-13)


def test_columns_are_dense_unless_sparse_is_much_smaller() -> None:
    """Few columns, or columns without zeros, are dense."""
    assert isinstance(build_design("y ~ x + a + (1 | g)", the_data()).X, np.ndarray)
    assert isinstance(build_design("y ~ poly(x, 60) + (1 | g)", the_data()).X, np.ndarray)
    helmert = build_design("y ~ f + (1 | g)", the_data(), contrasts={"f": "helmert"})
    assert isinstance(helmert.X, np.ndarray)


def test_rows_with_missing_values_are_nan_in_any_product() -> None:
    """A sparse matrix marks such rows by one entry."""
    design = build_design("y ~ 0 + f + x + (1 | g)", the_data())
    new = the_data().iloc[:5].copy()
    new.loc[new.index[2], "x"] = np.nan
    new.loc[new.index[3], "f"] = None
    product = fixed_columns(design, new) @ np.ones(len(design.x_names))
    assert np.isnan(product).tolist() == [False, False, True, True, False]


def test_a_million_rows_of_dummies_fit_into_memory() -> None:
    """500 dummy columns of 300 000 rows would be 1.2 GB as a dense matrix."""
    n = 300_000
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 500, n)
    frame = pd.DataFrame(
        {"y": rng.normal(size=n), "f": pd.Categorical.from_codes(codes, range(500)), "g": codes % 7}
    )
    X = build_design("y ~ f + (1 | g)", frame).X
    assert isinstance(X, sparse.csc_array)
    assert X.nnz <= 2 * n
