"""Data for the tests of streamed fits, and what it means that two fits agree."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from ranef.model import LinearMixedModel

# The criterion is minimised to a decrement of 1e-8, and one step more: at the optimum rounding
# errors of the sums move theta by less than this, relative to the largest entry of each estimate.
AGREEMENT = 1e-10


def make_data(n: int = 600, seed: int = 1) -> pd.DataFrame:
    """Return rows with crossed and nested groups, a large mean, and some missing values."""
    rng = np.random.default_rng(seed)
    g, h, s = rng.integers(0, 25, n), rng.integers(0, 12, n), rng.integers(0, 4, n)
    data = pd.DataFrame(
        {
            "g": g,
            "h": np.array([f"item{k}" for k in h]),
            "s": s,
            "x": rng.normal(5.0, 2.0, n),
            "z": rng.exponential(1.0, n) + 0.1,
            "f": rng.choice(["low", "mid", "high"], n, p=[0.6, 0.35, 0.05]),
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    b0, b1 = rng.normal(size=25), 0.5 * rng.normal(size=25)
    data["y"] = (
        100.0
        + 0.7 * data.x
        - 0.4 * data.z
        + 1.0 * (data.f == "high")
        + b0[g]
        + b1[g] * data.x
        + 0.8 * rng.normal(size=12)[h]
        + 0.6 * rng.normal(size=(25, 4))[g, s]
        + rng.normal(size=n)
    )
    data.loc[rng.choice(n, n // 40, replace=False), "z"] = np.nan
    data.loc[rng.choice(n, 3, replace=False), "f"] = None
    data.loc[rng.choice(n, 2, replace=False), "o"] = np.nan
    return data


def cut(data: pd.DataFrame, at: list[int]) -> list[pd.DataFrame]:
    """Return the data in chunks that start at these rows."""
    edges = [0, *sorted(at), len(data)]
    return [data.iloc[a:b] for a, b in pairwise(edges)]


def assert_agree(
    one: LinearMixedModel, other: LinearMixedModel, tolerance: float = AGREEMENT
) -> None:
    """Compare everything two fits report that does not need rows."""
    assert one.nobs == other.nobs
    assert one.ngroups == other.ngroups
    assert one.design.n_total == other.design.n_total
    assert dict(one.design.dropped) == dict(other.design.dropped)
    assert one.dropped_columns == other.dropped_columns
    assert one.convergence.status == other.convergence.status
    pairs = {
        "objective": (one.objective, other.objective),
        "fixef": (one.fixef, other.fixef),
        "std_errors": (one.std_errors, other.std_errors),
        "vcov": (one.vcov, other.vcov),
        "theta": (one.theta, other.theta),
        "sigma": (one.sigma, other.sigma),
    }
    for group in one.ngroups:
        assert one.ranef[group].index.equals(other.ranef[group].index)
        assert list(one.ranef[group].columns) == list(other.ranef[group].columns)
        pairs[f"ranef {group}"] = (one.ranef[group], other.ranef[group])
        pairs[f"sd {group}"] = (one.ranef.sd[group], other.ranef.sd[group])
        pairs[f"coef {group}"] = (one.coef[group], other.coef[group])
    for name, (left, right) in pairs.items():
        if isinstance(left, pd.Series | pd.DataFrame):
            assert list(left.index) == list(right.index), name
        a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
        scale = np.nanmax(np.abs(a), initial=1e-300)
        np.testing.assert_allclose(b / scale, a / scale, rtol=0, atol=tolerance, err_msg=name)
