"""The largest of correlated t statistics: against R, Tukey's exact values and symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emmeans.reference import content
from ranef.inference.emmeans.max_t import max_t_quantile, max_t_tail
from ranef.inference.emmeans.studentized_range import tukey_quantile, tukey_tail
from ranef.inference.wald import t_tail
from ranef.typing import FloatArray


def consecutive(k: int) -> FloatArray:
    """Return the correlations of differences of neighbours, with the variances of emmeans.R."""
    C = np.diff(np.eye(k), axis=0)
    covariance = C @ np.diag(np.linspace(1.0, 2.0, k)) @ C.T
    sd = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sd, sd)


def all_pairs(k: int) -> FloatArray:
    """Return the correlations of all differences of equally precise means."""
    C = np.array([np.eye(k)[i] - np.eye(k)[j] for i, j in itertools.combinations(range(k), 2)])
    return C @ C.T / 2.0


def test_agrees_with_mvtnorm() -> None:
    """Two-sided and one-sided, also beyond the wrong side; mvtnorm's own error is 1e-6 to 4e-5."""
    for row in content()["largest"]:
        R, df = consecutive(row["k"]), np.array([row["df"] or np.inf])
        t = np.array([float(row["t"])])
        found = (
            max_t_tail(t, df, R)[0],
            max_t_tail(t, df, R, one_sided=True)[0],
            max_t_tail(-t / 4, df, R, one_sided=True)[0],
        )
        assert found == pytest.approx((row["both"], row["right"], row["negative"]), abs=1e-4)


@pytest.mark.parametrize(("k", "error"), [(3, 1e-6), (5, 1e-5), (10, 2e-4)])
def test_all_pairs_are_tukeys(k: int, error: float) -> None:
    """With equal variances the exact answer is known; the matrix has rank k - 1 only."""
    t, df = np.array([1.0, 2.0, 3.0, 5.0]), np.full(4, 20.5)
    exact = tukey_tail(np.sqrt(2.0) * t, k, df)
    assert max_t_tail(t, df, all_pairs(k)) == pytest.approx(exact, abs=error)
    value = max_t_quantile(0.95, df[:1], all_pairs(k))
    # the density at the critical value is about 0.1
    assert value == pytest.approx(tukey_quantile(0.95, k, df[:1]) / np.sqrt(2.0), abs=20 * error)


def test_independent_statistics_without_df() -> None:
    """For independent normals it is the product of probabilities."""
    t = np.array([0.5, 1.5, 2.5])
    single = 2.0 * t_tail(np.full(3, np.inf), t)
    found = max_t_tail(t, np.full(3, np.inf), np.eye(4))
    assert found == pytest.approx(1.0 - (1.0 - single) ** 4, abs=1e-4)


def test_bounds_and_repetition() -> None:
    """Between unadjusted and Bonferroni far out in the tail; the same question, the same answer."""
    t, df = np.array([30.0]), np.array([40.0])
    p = max_t_tail(t, df, consecutive(5))
    one = 2.0 * t_tail(df, t)
    assert one <= p <= 4.0 * one
    assert p == max_t_tail(t, df, consecutive(5))


def test_one_statistic_is_exact() -> None:
    """A family of one needs no approximation."""
    t, df = np.array([2.2]), np.array([7.3])
    assert max_t_tail(t, df, np.eye(1)) == 2.0 * t_tail(df, t)
    assert t_tail(df, max_t_quantile(0.9, df, np.eye(1))) == pytest.approx(0.05)
