"""Pupils in classes in schools who solve items: data with predictors of every level."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import ranef

# name: formula, options of `fit`
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "two levels": ("y ~ x * ses + sector + (x | class)", {}),
    "three levels": ("y ~ x * ses * sector + z + (x | school / class)", {"weights": "w"}),
    "four levels": ("y ~ x * size + (1 | town / school / class)", {"reml": False}),
    "crossed": ("y ~ x * freq + sector + (x | class) + (1 + x || item)", {}),
    "cells": ("y ~ x + (1 | school) + (1 | item) + (1 | school:item)", {}),
    "offsets": ("y ~ 0 + x + offset(log(w)) + (0 + x | class)", {"offset": "z"}),
    "offset as numbers": ("y ~ x + offset(z) + (1 | class)", {"offset": "numbers"}),
    "no fixed effects": ("y ~ 0 + (1 | class)", {"reml": False}),
    "slope without its mean": ("y ~ ses + (x | class)", {}),
    "factors": ("y ~ kind * x + (0 + kind | class)", {}),
    "other contrasts": ("y ~ kind + (kind || school)", {"contrasts": {"kind": "sum"}}),
    "group-level slope": ("y ~ x + ses + (1 + ses | class)", {}),
    "same effect twice": ("y ~ x + (1 | class) + (1 + x | class) + (1 | item)", {}),
    "interaction alone": ("y ~ x:ses + (1 | class)", {}),
    "aliased": ("y ~ x + I(2 * x) + z + (1 | class)", {}),
    "functions": ("log(w) ~ poly(x, 2) + scale(ses) + I(z > 0) + (1 | class)", {}),
    "many": ("y ~ many + (1 | class)", {}),
}


@cache
def data() -> pd.DataFrame:
    """Return the data; nothing changes them."""
    rng = np.random.default_rng(3)
    n = 900
    school = rng.integers(0, 12, n)
    classes = school * 5 + rng.integers(0, 5, n)
    item = rng.integers(0, 30, n)
    x, z = rng.standard_normal((2, n))
    u, v = rng.standard_normal(12), rng.standard_normal((60, 2))
    frame = pd.DataFrame(
        {
            "y": x + u[school] + v[classes] @ [0.7, 0.0] + 0.5 * v[classes, 1] * x,
            "x": x, "z": z, "item": item, "class": classes, "school": school, "town": school // 3,
            "ses": rng.standard_normal(60)[classes], "size": rng.uniform(1, 9, 12)[school],
            "freq": rng.standard_normal(30)[item], "w": rng.uniform(1, 2, n),
            "sector": np.array(["private", "public"])[school % 2],
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], n)),
            "many": pd.Categorical([f"m{i % 12}" for i in range(n)]),
        }
    )  # fmt: skip
    frame["y"] += rng.standard_normal(30)[item] + rng.standard_normal(n)
    return frame


@cache
def fitted(name: str) -> ranef.LinearMixedModel:
    """Fit a model, without warnings about what it is meant to have."""
    import warnings

    formula, given = MODELS[name]
    options = dict(given)
    if options.get("offset") == "numbers":
        options["offset"] = np.linspace(-1, 1, len(data()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranef.fit(formula, data(), **options)
