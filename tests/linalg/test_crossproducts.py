"""Cross-products of the conditioned model, against dense matrices."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models import SHAPES, design_of
from oracle import Dense
from ranef.estimation import Problem, make_problem
from ranef.linalg import crossproducts
from ranef.linalg.conditioning import fixed_basis
from ranef.linalg.crossproducts import CrossProducts, cross_products, observed_pairs


def products_of(shape: str, weighted: bool) -> tuple[CrossProducts, Dense, Problem]:
    """Return the cross-products of a random model and its dense matrices."""
    design = design_of(SHAPES[shape], 3, weighted)
    problem = make_problem(design, reml=True)
    dense = Dense.of_core(problem, design, reml=True)
    return problem.objective.plan.products, dense, problem


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums(shape: str, weighted: bool) -> None:
    """A, B, C and D are Z'Z, Z'[Q y0] and [Q y0]'[Q y0], level by level."""
    products, dense, problem = products_of(shape, weighted)
    Q = dense.X @ problem.basis.R_inverse
    y0 = dense.y - Q @ (Q.T @ dense.y)
    border = np.column_stack([Q, y0])
    for Z, A, C in zip(dense.Z, products.A, products.C, strict=True):
        np.testing.assert_allclose(A, np.einsum("nja,njb->abj", Z, Z), atol=1e-11)
        np.testing.assert_allclose(C, np.einsum("nc,nja->caj", border, Z), atol=1e-11)
    np.testing.assert_allclose(products.D, border.T @ border, atol=1e-10)
    for (f, g), pair in products.pairs.items():
        assert f < g
        full = np.einsum("nja,nlb->jlab", dense.Z[f], dense.Z[g])
        found = np.zeros_like(full)
        found[pair.rows, pair.cols] = pair.values.transpose(2, 0, 1)
        np.testing.assert_allclose(found, full, atol=1e-11)
        order = np.lexsort((pair.cols, pair.rows))
        np.testing.assert_array_equal(order, np.arange(len(order)))


def test_constants() -> None:
    """The parts of the criterion that do not depend on theta are remembered."""
    products, dense, _ = products_of("crossed", True)
    assert products.log_weights == pytest.approx(dense.log_weights)
    logdet = 0.5 * np.linalg.slogdet(dense.X.T @ dense.X)[1]
    assert products.logdet_fixed == pytest.approx(logdet)
    assert products.n == len(dense.y) and products.p == dense.X.shape[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_fixed_effects(weighted: bool) -> None:
    """A sparse X gives the same sums as a dense one."""
    design = design_of(SHAPES["nested and crossed"], 4, weighted)
    problem = make_problem(design, reml=True)
    root = None if design.weights is None else np.sqrt(design.weights)
    response = design.y if design.offset is None else design.y - design.offset
    basis = fixed_basis(sparse.csc_array(design.X), response, root)
    again = cross_products(basis, problem.groups, root)
    products = problem.objective.plan.products
    np.testing.assert_allclose(again.D, products.D, atol=1e-10)
    for found, wanted in zip(again.C, products.C, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-11)


@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=40),
    lookup=st.booleans(),
)
def test_observed_pairs(rows: list[tuple[int, int]], lookup: bool) -> None:
    """Distinct pairs in order, by a table of all pairs or, where that is large, by sorting."""
    first, second = np.array(rows, dtype=np.int32).T
    # a table is used up to 4 cells a row; codes far apart make even that too small
    stretch = 1 if lookup else 100
    with patch.object(crossproducts, "DENSE_LOOKUP_CELLS", 1 << 23 if lookup else 0):
        found_rows, found_cols, position = observed_pairs(
            first * stretch, 7 * stretch, second * stretch, 5 * stretch
        )
    expected = sorted(set(rows))
    pairs = list(zip(found_rows // stretch, found_cols // stretch, strict=True))
    assert pairs == expected
    assert [expected[i] for i in position] == rows


def test_observed_pairs_beyond_int32() -> None:
    """Two factors with a hundred thousand levels each: the keys do not overflow."""
    first = np.array([99_999, 0, 99_999, 5], dtype=np.int32)
    second = np.array([99_999, 7, 99_998, 99_999], dtype=np.int32)
    rows, cols, position = observed_pairs(first, 100_000, second, 100_000)
    assert list(zip(rows, cols, strict=True)) == [
        (0, 7),
        (5, 99_999),
        (99_999, 99_998),
        (99_999, 99_999),
    ]
    assert position.tolist() == [3, 0, 2, 1]
