"""Which models are special cases of others, against the span of dense covariance matrices."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest

import models
import ranef
from ranef.inference.nesting import embed_random, outside_fixed
from ranef.typing import FloatArray


@cache
def random_model(formula: str) -> ranef.LinearMixedModel:
    """Return a model of random data, by maximum likelihood."""
    return ranef.fit(formula, models.frame(3, 400), reml=False)


# Nested or not: random terms of the smaller and of the larger model, fixed part y ~ x * f.
RANDOM = [
    ("(1 | a)", "(x | a)", True),
    ("(1 | a)", "(1 | a) + (1 | a:b)", True),
    ("(1 | a:b)", "(1 | a) + (1 | a:b)", True),
    ("(1 | a:b)", "(1 | b:a) + (1 | c)", True),
    ("(x || a)", "(x | a)", True),
    ("(1 | a) + (0 + x | a)", "(x || a)", True),
    ("(1 | a)", "(0 + f | a)", True),
    ("(f | a)", "(0 + f | a)", True),
    ("(I(2 * x + 3) | a)", "(x + z | a)", True),
    ("(1 | a) + (1 | a:f)", "(0 + f | a)", True),
    ("(x | a:f)", "(f * x | a)", True),
    ("(1 | a:f)", "(0 + f || a)", True),
    ("(1 | a:f) + (1 | b)", "(1 | b) + (0 + f | a) + (x || c)", True),
    ("(1 | top)", "(1 | mid)", False),
    ("(1 | mid)", "(1 | top)", False),
    ("(1 | a)", "(0 + x | a)", False),
    ("(x | a)", "(x || a) + (1 | b)", False),
    ("(1 | a)", "(0 + f || a)", False),
    ("(1 | a:b)", "(1 | a) + (1 | b)", False),
    ("(1 | a:f)", "(x | a)", False),
    ("(1 | a:f)", "(x + f | b)", False),
    ("(x | a:f)", "(0 + f | a) + (x | b)", False),
    ("(I(2 * x + 3) | a)", "(z | a)", False),
]  # fmt: skip


@pytest.mark.parametrize(("small", "large", "nested"), RANDOM)
def test_nested_random_effects(small: str, large: str, nested: bool) -> None:
    """The answer agrees with the span of all covariance matrices, computed from dense ones."""
    one, other = (random_model(f"y ~ x * f + {random}") for random in (small, large))
    assert isinstance(embed_random(one, other), tuple) == nested
    spans = _derivatives(other)
    outside = [_outside(matrix, spans) for matrix in _derivatives(one).T]
    # columns of length 1: what is inside the span leaves rounding only
    assert (max(outside) < 1e-9) == nested
    if nested:
        assert other.objective <= one.objective + 1e-6


def _derivatives(model: ranef.LinearMixedModel) -> FloatArray:
    """Return dV / d(element of a covariance matrix), one in each column, all of length 1."""
    columns = []
    for group in model.problem.groups:
        n = len(group.codes)
        same = group.codes[:, None] == group.codes
        Z = np.stack([np.ones(n) if c is None else c for c in group.columns], axis=1)
        for start, stop in group.blocks:
            for a, b in itertools.combinations_with_replacement(range(start, stop), 2):
                G = np.outer(Z[:, a], Z[:, b]) * same
                columns.append((G + G.T).ravel())
    matrix = np.array(columns).T
    return matrix / np.linalg.norm(matrix, axis=0)


def _outside(vector: FloatArray, spans: FloatArray) -> float:
    return float(np.linalg.norm(vector - spans @ np.linalg.lstsq(spans, vector)[0]))


@pytest.mark.parametrize(
    ("small", "large", "outside"),
    [
        ("1", "x", ()),
        ("x", "1 + f", ("x",)),
        ("x + z", "x * z", ()),
        ("0 + f", "f", ()),
        ("f", "0 + f", ()),
        ("I(x - z)", "x + z", ()),
        ("x + I(2 * x) + z", "z + x", ()),
        ("x:f", "x + f", ("x:f[u]", "x:f[v]", "x:f[w]")),
        ("0 + x", "1 + z", ("x",)),
        ("I(x * 1e6 + 3)", "x", ()),
        ("poly(x, 2)", "poly(x, 3)", ()),
    ],
)
@pytest.mark.filterwarnings("ignore::ranef.errors.RankDeficiencyWarning")
@pytest.mark.parametrize("weights", [None, "w"])
def test_nested_fixed_effects(
    small: str, large: str, outside: tuple[str, ...], weights: str | None
) -> None:
    """Columns of X are compared by what they span, not by their names."""
    data = models.frame(3, 400)
    one, other = (ranef.fit(f"y ~ {f} + (1 | a)", data, weights=weights) for f in (small, large))
    assert outside_fixed(one, other) == outside


def test_sparse_columns_are_nested_too() -> None:
    """A factor with many levels gives a sparse X; nesting is seen there as well."""
    data = models.frame(3, 3000)
    data["many"] = pd.Categorical([f"m{i:03d}" for i in np.arange(len(data)) % 150])
    small, large = (ranef.fit(f"y ~ {f} + (1 | a)", data) for f in ("x + many", "x * z + many"))
    assert outside_fixed(small, large) == ()
    assert outside_fixed(large, small) == ("z", "x:z")
