"""Elimination in rounds, against LAPACK on the whole matrix."""

from __future__ import annotations

import math
import pickle
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranef
from ranef.design import build_design
from ranef.errors import FitError
from ranef.estimation import make_problem
from ranef.linalg import ordering, plan
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.ordering import make_ordering
from ranef.linalg.root import DenseRoot, DenseScheme, Root
from ranef.linalg.sparse_root import SparseRoot, SparseScheme, make_sparse_scheme
from ranef.typing import FloatArray, IntArray

BORDER = 4  # three fixed effects and the response


def matrix(q: int, density: float, seed: int) -> FloatArray:
    """Return a random sparse symmetric matrix with a dominant diagonal."""
    rng = np.random.default_rng(seed)
    half = np.tril(rng.random((q, q)) < density, -1) * rng.standard_normal((q, q))
    A = half + half.T
    return A + np.diag(np.abs(A).sum(axis=1) + rng.random(q))


def both(q: int, density: float, seed: int, share: float = 1.0) -> tuple[Root, Root]:
    """Return the root by rounds and the dense one; rounds list up to a share of all pairs."""
    A = matrix(q, density, seed)
    row, column = np.nonzero(np.tril(A))
    twice = slice(0, q // 3)  # elements may be given more than once
    row, column = np.append(row, row[twice]), np.append(column, column[twice])
    border = 0.2 * np.random.default_rng(seed).standard_normal((BORDER, q))
    corner = np.eye(BORDER) * (1.0 + 0.1 * q)
    with patch.object(ordering, "ROUND_COST", -1e9):
        found = make_ordering(q, row, column)
        assert found is not None
        found = make_ordering(q, row, column, most=share * found.pairs)
    assert found is not None
    values = A[row, column]
    sparse = make_sparse_scheme(found, BORDER).factorize(values, border, corner)
    dense = DenseScheme(row + column * (q + BORDER)).factorize(values, border, corner)
    assert isinstance(sparse, SparseRoot) and isinstance(dense, DenseRoot)
    return sparse, dense


CASES = [
    *((q, density, 1.0) for q, density in [(1, 0.0), (2, 1.0), (30, 0.0), (40, 0.05), (25, 1.0)]),
    *((q, density, 0.5) for q, density in [(90, 0.02), (60, 0.3), (25, 1.0)]),
]


@pytest.mark.parametrize(("q", "density", "share"), CASES)
def test_the_same_root(q: int, density: float, share: float) -> None:
    """Determinant, border, solves and elements of the inverse agree; with a core and without."""
    sparse, dense = both(q, density, 1, share)
    assert isinstance(sparse, SparseRoot)
    assert (len(sparse.ordering.core) == 0) == (share == 1.0)
    # the matrices are well conditioned: all agree to rounding, some 60 x 1e-16
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(sparse.logdet, dense.logdet, **close)
    np.testing.assert_allclose(sparse.corner, dense.corner, **close)
    right = np.random.default_rng(2).standard_normal((q + BORDER, 3))
    there = sparse.forward(right)
    np.testing.assert_allclose(
        there.T @ there, dense.forward(right).T @ dense.forward(right), **close
    )
    for vector in (right, right[:, 0]):
        shape = (*vector.shape, 1)[:2]
        back = sparse.backward(sparse.forward(vector.reshape(shape)).reshape(vector.shape))
        expected = dense.backward(dense.forward(vector.reshape(shape)).reshape(vector.shape))
        np.testing.assert_allclose(back, expected, **close)
    columns = [np.vstack([root.border.T, np.zeros((BORDER, BORDER))]) for root in (sparse, dense)]
    np.testing.assert_allclose(sparse.backward(columns[0]), dense.backward(columns[1]), **close)
    for fixed in (0, BORDER - 1):
        for ours, theirs in zip(sparse.selected(fixed), dense.selected(fixed), strict=True):
            np.testing.assert_allclose(ours, theirs, **close)


@settings(max_examples=40, deadline=None)
@given(
    q=st.integers(1, 40),
    density=st.floats(0.0, 0.6),
    seed=st.integers(0, 10_000),
)
def test_any_pattern(q: int, density: float, seed: int) -> None:
    """Whatever meets whatever, the elements of the inverse are right."""
    sparse, dense = both(q, density, seed)
    np.testing.assert_allclose(sparse.logdet, dense.logdet, rtol=1e-11, atol=1e-12)
    for ours, theirs in zip(sparse.selected(2), dense.selected(2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def elements(q: int, density: float, seed: int) -> tuple[IntArray, IntArray]:
    """Return a random pattern with its diagonal."""
    row, column = np.nonzero(np.tril(matrix(q, density, seed)))
    return row, column


def test_every_node_once() -> None:
    """Rounds and core share out the nodes; nodes of a round are not neighbours of each other."""
    row, column = elements(300, 0.01, 3)
    with patch.object(ordering, "ROUND_COST", -1e9):
        found = make_ordering(300, row, column, most=1_500)
    assert found is not None and 0 < len(found.core) < 250
    parts = [part.nodes for part in found.rounds]
    np.testing.assert_array_equal(np.sort(np.concatenate([*parts, found.core])), np.arange(300))
    for part in found.rounds:
        assert not np.isin(part.around, part.nodes).any()
        assert (part.upper >= part.lower).all()
        assert len(np.unique(part.target)) == len(part.target)


def test_the_same_order_every_time() -> None:
    """Ties are broken at random, but always alike: fits are deterministic."""
    row, column = elements(200, 0.02, 4)
    with patch.object(ordering, "ROUND_COST", -1e9):
        first, second = (make_ordering(200, row, column) for _ in range(2))
    assert first is not None and second is not None
    for one, two in zip(first.rounds, second.rounds, strict=True):
        np.testing.assert_array_equal(one.nodes, two.nodes)
        np.testing.assert_array_equal(one.target, two.target)


def test_what_does_not_pay_is_not_done() -> None:
    """A matrix in which all meet all is left to LAPACK, and so is a small one."""
    assert make_ordering(500, *elements(500, 1.0, 5)) is None
    assert make_ordering(30, *elements(30, 0.02, 5)) is None


def test_a_limit_on_pairs() -> None:
    """Rounds end before the list of pairs would exceed its limit."""
    row, column = elements(200, 0.02, 6)
    with patch.object(ordering, "ROUND_COST", -1e9):
        whole = make_ordering(200, row, column)
        assert whole is not None
        part = make_ordering(200, row, column, most=whole.pairs // 2)
    assert part is not None and part.pairs <= whole.pairs // 2 and len(part.core) > 0


def test_hopeless_designs_are_given_up_early() -> None:
    """A core that cannot become small enough is not looked for; one that can is found."""
    row, column = elements(400, 0.02, 9)
    with patch.object(ordering, "ROUND_COST", -1e9):
        found = make_ordering(400, row, column, most=20_000)
        assert found is not None and 20 < len(found.core) < 380
        core = len(found.core)
        assert make_ordering(400, row, column, core, 20_000) is not None
        assert make_ordering(400, row, column, core - 1, 20_000) is None
        with patch.object(ordering._Graph, "eliminate", side_effect=AssertionError):
            assert make_ordering(400, *elements(400, 0.1, 9), 10, 20_000) is None


def test_cliques_are_not_given_up() -> None:
    """In a clique every elimination lowers all degrees: d (d + 1) (d + 2) / 6 pairs are enough."""
    cliques, size = 20, 15
    low, high = np.tril_indices(size)[::-1]
    start = size * np.arange(cliques)[:, None]
    row, column = (start + high).ravel(), (start + low).ravel()
    pairs = cliques * sum(d * (d + 1) // 2 for d in range(size))
    with patch.object(ordering, "ROUND_COST", -1e9):
        found = make_ordering(cliques * size, row, column, 10.0, pairs)
    assert found is not None and found.pairs == pairs and len(found.core) == 0


def test_indefinite() -> None:
    """A matrix that is not positive definite has no root, wherever that is found out."""
    A = matrix(50, 0.05, 7)
    row, column = np.nonzero(np.tril(A))
    with patch.object(ordering, "ROUND_COST", -1e9):
        found = make_ordering(50, row, column)
    assert found is not None
    scheme = make_sparse_scheme(found, BORDER)
    border, corner = np.zeros((BORDER, 50)), np.eye(BORDER)
    values = A[row, column]
    assert scheme.factorize(values, border, corner) is not None
    assert scheme.factorize(-3.0 * values - 2.0 * (row == column), border, corner) is None
    assert scheme.factorize(values, border, -corner) is None


def teachers(schools: int = 80, seed: int = 8) -> pd.DataFrame:
    """Return pupils with a teacher a year, most teachers in one school, some of them moving."""
    rng = np.random.default_rng(seed)
    per_school, pupils, waves = 6, 12, 4
    pupil = np.repeat(np.arange(schools * pupils), waves)
    school = pupil // pupils
    year = np.tile(np.arange(waves), schools * pupils) + (pupil % 3)
    teacher = school * per_school + rng.integers(0, per_school, len(pupil))
    moved = rng.random(len(pupil)) < 0.03
    teacher = np.where(moved, (teacher + per_school) % (schools * per_school), teacher)
    x = rng.standard_normal(len(pupil))
    y = 1.0 + 0.3 * x + rng.standard_normal(schools * pupils)[pupil]
    y += 0.5 * rng.standard_normal(schools * per_school)[teacher]
    y += 0.4 * rng.standard_normal(schools)[school] + 0.3 * rng.standard_normal(8)[year]
    y += rng.standard_normal(len(pupil))
    return pd.DataFrame(
        {"y": y, "x": x, "pupil": pupil, "teacher": teacher, "school": school, "year": year}
    )


FORMULA = "y ~ x + (1 | pupil) + (x | teacher) + (1 | school) + (1 | year)"


def test_partly_nested_designs_do_not_fill() -> None:
    """Teachers who mostly stay in a school leave a small core, and the fit is that of LAPACK."""
    data = teachers()
    sparse = ranef.fit(FORMULA, data)
    objective = make_problem(build_design(FORMULA, data), reml=True).objective
    scheme = objective.plan.scheme
    assert isinstance(scheme, SparseScheme)
    assert len(scheme.ordering.core) < 0.4 * objective.plan.q_dense
    with patch.object(plan, "SMALLEST_SPARSE", 10**9):
        dense = ranef.fit(FORMULA, data)
    # both criteria are rounded sums of some 1e4; estimates are as flat as the optimum is
    assert sparse.objective == pytest.approx(dense.objective, abs=1e-7)
    np.testing.assert_allclose(sparse.theta, dense.theta, rtol=1e-5)
    np.testing.assert_allclose(sparse.vcov, dense.vcov, rtol=1e-6)
    at = data.head(40)
    for known in (True, False):
        new = at if known else at.assign(pupil=10**6)
        ours, theirs = (
            model.predict(new, new_levels="population", interval="confidence")
            for model in (sparse, dense)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_another_factor_is_not_eliminated_by_levels_if_that_fills() -> None:
    """Doctors and patients of a hospital: without the hospitals doctors meet few others."""
    rng = np.random.default_rng(3)
    hospitals, doctors, patients = 30, 30, 60
    patient = np.repeat(np.arange(hospitals * patients), 2)
    hospital = patient // patients
    doctor = hospital * doctors + rng.integers(0, doctors, len(patient))
    y = (
        rng.standard_normal(hospitals * patients)[patient]
        + rng.standard_normal(hospitals)[hospital]
    )
    y += rng.standard_normal(hospitals * doctors)[doctor] + rng.standard_normal(len(patient))
    data = {"y": y, "patient": patient, "doctor": doctor, "hospital": hospital}
    formula = "y ~ 1 + (1 | patient) + (1 | doctor) + (1 | hospital)"
    with patch.object(plan, "SMALL_COST", 0.0):
        products = make_problem(build_design(formula, data), reml=True).objective.plan.products
        chosen = plan.make_plan(products, math.inf)
    with patch.object(plan, "SMALL_COST", 1e9):
        first = plan.make_plan(products, math.inf)
    assert len(first.chain) == 2 and len(chosen.chain) == 1
    assert chosen.cost < 0.7 * first.cost
    again = pickle.loads(pickle.dumps(chosen))  # a plan is made again in the same way
    assert again.chain == chosen.chain
    model = ranef.fit(formula, data)
    with patch.object(plan, "SMALL_COST", 0.0):
        assert ranef.fit(formula, data).objective == pytest.approx(model.objective, abs=1e-7)
    # where one chain does not fit into memory, the other is taken
    make = plan._plan

    def refused(products: CrossProducts, chain: tuple[int, ...], limit: float) -> plan.Plan:
        if len(chain) == 2:
            raise FitError("too large")
        return make(products, chain, limit)

    with patch.object(plan, "_plan", refused):
        assert len(plan.make_plan(products, math.inf).chain) == 1
