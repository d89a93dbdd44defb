"""The studentized range: against R, closed forms, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emmeans.reference import content
from ranef.inference.emmeans.studentized_range import range_tail, tukey_quantile, tukey_tail
from ranef.inference.wald import t_tail

DF = [1.0, 1.5, 2.0, 3.7, 10.0, 77.3, 1e4, 1e7, np.inf]


def test_agrees_with_r() -> None:
    """Probabilities are ptukey's, where that is accurate: at moderate df."""
    for row in content()["tukey"]:
        df = float(row["df"] or np.inf)
        found = tukey_tail(np.array([row["q"]]), row["k"], np.array([df]))[0]
        # the error of ptukey, most of all with few df and many means: scipy and the closed forms
        # below are met much more closely
        assert abs(found - row["tail"]) < (1e-5 if df < 40 else 1e-6)


@pytest.mark.parametrize("df", DF)
def test_two_means_are_a_t_test(df: float) -> None:
    """For two means the range is |difference|: also far out in the tail, to twelve digits."""
    q = np.array([0.01, 0.5, 2.0, 5.0, 12.0, 40.0])
    expected = 2.0 * t_tail(np.full(6, df), q / np.sqrt(2.0))
    assert tukey_tail(q, 2, np.full(6, df)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("k", [2.56, 4, 20])
def test_integrals_have_converged(k: float) -> None:
    """Halving the steps of both integrals changes nothing."""
    from ranef.inference.emmeans import studentized_range as module

    q, df = (grid.ravel() for grid in np.meshgrid([0.5, 3.0, 8.0, 30.0], DF))
    coarse = tukey_tail(q, k, df)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "INNER", 128)
        patch.setattr(module, "STEPS", 8.0)
        patch.setattr(module, "LARGEST_OUTER", 4000)
        assert coarse == pytest.approx(tukey_tail(q, k, df), rel=1e-9)


@pytest.mark.parametrize(("k", "df"), [(3, 5.0), (6, 20.0), (30, 40.0)])
def test_agrees_with_scipy(k: int, df: float) -> None:
    """Another implementation, by adaptive integration."""
    from scipy.stats import studentized_range

    q = np.array([1.0, 3.0, 5.0])
    expected = studentized_range.sf(q, k, df)
    assert tukey_tail(q, k, np.full(3, df)) == pytest.approx(expected, abs=1e-9)


def test_range_of_many_normals_by_simulation() -> None:
    """The range of thirty normals, from 200 000 draws: within four standard errors."""
    draws = np.ptp(np.random.default_rng(5).standard_normal((200_000, 30)), axis=1)
    w = np.array([3.0, 4.0, 5.0])
    share = (draws[:, None] > w).mean(axis=0)
    assert range_tail(w, 30) == pytest.approx(share, abs=4 * 0.5 / np.sqrt(200_000))


@given(
    st.floats(0.02, 0.999),
    st.integers(2, 30),
    st.lists(st.sampled_from([*DF[1:], 45.0]), min_size=1, max_size=4),
)
def test_quantiles_invert_tails(probability: float, k: int, df: list[float]) -> None:
    """The tail of the quantile is what was asked for."""
    q = tukey_quantile(probability, k, np.array(df))
    tail = tukey_tail(q, k, np.array(df))
    assert tail == pytest.approx(np.full(len(df), 1.0 - probability), rel=1e-9)


def test_what_is_missing_stays_missing() -> None:
    """NaN for NaN; a range of nothing is always exceeded."""
    found = tukey_tail(np.array([np.nan, 1.0, 0.0]), 3, np.array([5.0, np.nan, 5.0]))
    assert np.isnan(found[:2]).all()
    assert found[2] == 1.0
