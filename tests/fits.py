"""Models of every kind fitted to one data frame, for tests of what a fitted model says."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import ranef
from ranef.errors import RankDeficiencyWarning

# name: formula, keyword arguments of `fit`
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "slopes": ("y ~ x + (x | g)", {}),
    "crossed": ("y ~ x + z + (x | g) + (1 | h)", {"reml": False}),
    "weights and offset": ("y ~ x + (1 | g) + (0 + x | g)", {"weights": "w", "offset": "o"}),
    "nested": ("y ~ 1 + (z || h / s)", {"reml": False}),
    "factors": ("y ~ f * x + (0 + f | h)", {"contrasts": {"f": "sum"}}),
    "aliased": ("y ~ x + I(2 * x) + z + (1 | g)", {}),
    "missing": ("y ~ m + (1 | g)", {"weights": "w"}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}),
    "one column": ("y ~ 0 + x + (1 | h)", {"reml": False}),
    "sparse": ("y ~ x + many + (1 | g)", {}),
    "singular": ("y ~ x + (1 | nothing)", {}),
}


def data() -> pd.DataFrame:
    """Return data with row labels of their own, missing values and several kinds of columns."""
    rng = np.random.default_rng(4)
    n = 600
    g, h, x, z = rng.integers(0, 20, n), rng.choice(list("pqrst"), n), *rng.standard_normal((2, n))
    w, o = rng.uniform(0.5, 2, n), rng.standard_normal(n)
    u, v = rng.standard_normal((20, 2)), dict(zip("pqrst", rng.standard_normal(5), strict=True))
    y = 1 + x + u[g, 0] + 0.7 * u[g, 1] * x + [v[level] for level in h] + rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "y": y, "x": x, "z": z, "w": w, "o": o, "g": g, "h": h, "s": g % 4,
            "f": pd.Categorical(rng.choice(["a", "b", "c"], n)),
            "many": pd.Categorical([f"m{i:03d}" for i in np.arange(n) % 120]),
            "m": np.where(rng.random(n) < 0.1, np.nan, z),
            "nothing": np.arange(n) // 2 % 30,
        },
        index=[f"row {i}" for i in rng.permutation(n)],
    )  # fmt: skip
    # the mean of every level of `nothing` is the same: its variance is zero
    frame["y"] -= frame.groupby("nothing")["y"].transform("mean") * 0.5
    return frame


def fit(name: str, frame: Any = None) -> ranef.LinearMixedModel:
    """Fit one of the models, without the warning about aliased columns."""
    formula, options = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return ranef.fit(formula, data() if frame is None else frame, **options)


@cache
def fitted(name: str) -> ranef.LinearMixedModel:
    """Return a model that no test changes."""
    return fit(name)
