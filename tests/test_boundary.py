"""Mixtures of chi-squared distributions: their weights, and that likelihood ratios follow them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

import bank
import models
import ranef
from oracle import Dense
from ranef.errors import OptionError
from ranef.inference.boundary import (
    ChiBarSquared,
    cone_weights,
    null_mixture,
    orthant_probability,
    orthant_weights,
)
from ranef.inference.compare import compare
from ranef.inference.nesting import embed_random
from ranef.inference.parametric_lrt import reference_distribution
from ranef.typing import FloatArray


def covariance(size: int, seed: int) -> FloatArray:
    """Return a random covariance matrix."""
    half = np.random.default_rng(seed).standard_normal((size, size + 1))
    return half @ half.T


def mixture(small: str, large: str, *, reml: bool = False, seed: int = 3) -> ChiBarSquared:
    """Return the mixture for two models of random data."""
    data = models.frame(seed, 400)
    one, other = (ranef.fit(f"y ~ {f}", data, reml=reml) for f in (small, large))
    pieces = embed_random(one, other)
    assert not isinstance(pieces, str)
    return null_mixture(one, other, pieces, other.df - one.df)


def test_tail() -> None:
    """Tails are weighted sums of chi-squared tails; a statistic of zero has p-value 1."""
    found = ChiBarSquared((0, 1, 2), (0.25, 0.5, 0.25))
    expected = 0.5 * stats.chi2.sf(3.0, 1) + 0.25 * stats.chi2.sf(3.0, 2)
    assert found.tail(3.0) == pytest.approx(expected, rel=1e-12)
    assert found.tail(0.0) == 1.0
    assert np.isnan(found.tail(float("nan")))
    assert str(found) == "0.25 chi2(0) + 0.5 chi2(1) + 0.25 chi2(2)"
    assert str(ChiBarSquared((3,), (1.0,))) == "chi2(3)"


# What the smaller and the larger model are, and the degrees of freedom of the mixture's parts.
PARTS = [
    ("x + (1 | b)", "x + (1 | b) + (1 | a)", (0, 1)),
    ("x + (1 | a)", "x + (x | a)", (1, 2)),
    ("x + (1 | a)", "x + (x || a)", (0, 1)),
    ("x + (x | a)", "x + (x + z | a)", (2, 3)),
    ("x + (x || a)", "x + (x | a)", (1,)),
    ("1 + (1 | a)", "x + f + (1 | a)", (3,)),
    ("1 + (1 | a)", "x + (x | a)", (2, 3)),
    ("x + (1 | a)", "x + (x + z || a)", (0, 1, 2)),
    ("x + (x | a)", "x + (x | a) + (z || b)", (0, 1, 2)),
    ("x + (x | a)", "x + (x + z | a) + (1 | b)", (2, 3, 4)),
    ("x + (1 | a)", "x + (x + z | a)", (2, 3, 4, 5)),
    ("x + (1 | a)", "x + (1 | a) + (x | b)", (0, 1, 2, 3)),
    ("f + (x || a)", "f + (x + z | a)", (3, 4)),
]


@pytest.mark.filterwarnings("ignore::ranef.errors.IdentifiabilityWarning")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("small", "large", "df"), PARTS)
def test_parts(small: str, large: str, df: tuple[int, ...], reml: bool) -> None:
    """The parts are those that theory says; weights of even and of odd parts add up to 1/2."""
    found = mixture(small, large, reml=reml)
    assert found.df == df
    assert sum(found.weights) == pytest.approx(1.0, abs=1e-9)
    assert min(found.weights) > 0.0
    if len(df) > 1:
        # a property of every cone that is no linear space (Gauss-Bonnet); RAYS leave 1e-6
        assert sum(found.weights[::2]) == pytest.approx(0.5, abs=1e-6)
    if len(df) == 2:
        assert found.weights == (0.5, 0.5)


@pytest.mark.parametrize(
    ("formula", "absent"),
    [
        ("y ~ x + (x + z | a)", ((0, 1, 1), (0, 2, 1), (0, 2, 2))),
        ("y ~ x + (1 | a) + (1 | b) + (0 + x | b)", ((1, 0, 0), (2, 0, 0))),
    ],
)
@pytest.mark.parametrize("reml", [False, True])
def test_weights_follow_from_dense_information(
    formula: str, absent: tuple[tuple[int, int, int], ...], reml: bool
) -> None:
    """The information, computed here from n x n matrices in the user's units, gives the weights.

    ``absent`` are elements (term, row, column) of the covariance matrices that the model with
    (1 | a) only does not have.
    """
    data = models.frame(11, 120)
    small, large = (ranef.fit(f, data, reml=reml) for f in ("y ~ x + (1 | a)", formula))
    dense = Dense.of(large.design, reml=reml)
    factors = [np.zeros((Z.shape[2], Z.shape[2])) for Z in dense.Z]
    factors[0][0, 0] = small.theta.iloc[0]
    Q = dense.at(tuple(factors)).Q_
    names, G = [], []
    for i, Z in enumerate(dense.Z):
        for a, b in itertools.combinations_with_replacement(range(Z.shape[2]), 2):
            half = Z[:, :, b] @ Z[:, :, a].T
            names.append((i, b, a))
            G.append(half if a == b else half + half.T)
    QG = [Q @ g for g in G]
    traces = np.array([np.trace(g) for g in QG])
    nu = dense.at(tuple(factors)).nu
    information = np.array([[(g * h.T).sum() for g in QG] for h in QG])
    V = np.linalg.inv(information - np.outer(traces, traces) / nu)
    chosen = [names.index(element) for element in ((i, b, a) for i, b, a in absent)]
    V = V[np.ix_(chosen, chosen)]
    expected = cone_weights(V) if len(absent) == 3 else orthant_weights(V)
    pieces = embed_random(small, large)
    assert not isinstance(pieces, str)
    found = null_mixture(small, large, pieces, large.df - small.df)
    # the solid angles are numerical integrals, good to 1e-6 in any coordinates
    np.testing.assert_allclose(found.weights, expected, atol=3e-6)


@pytest.mark.parametrize("seed", range(3))
def test_cone_weights_by_simulation(seed: int) -> None:
    """The outer weights are probabilities that a normal vector lies in the cone or its polar."""
    V = covariance(3, seed)
    z = np.random.default_rng(seed).standard_normal((200_000, 3)) @ np.linalg.cholesky(V).T
    y = -z @ np.linalg.inv(V)
    inside = (z[:, 0] > 0) & (z[:, 0] * z[:, 2] > z[:, 1] ** 2)
    polar = (y[:, 0] > 0) & (y[:, 0] * y[:, 2] > y[:, 1] ** 2 / 4)
    weights = cone_weights(V)
    # standard error of a share of 200 000 draws: at most 0.0011
    assert weights[3] == pytest.approx(inside.mean(), abs=0.0045)
    assert weights[0] == pytest.approx(polar.mean(), abs=0.0045)


@given(st.integers(0, 1000))
def test_cone_weights_do_not_depend_on_the_basis(seed: int) -> None:
    """Other coordinates of the two effects, S -> B S B', leave the weights as they are."""
    V = covariance(3, seed) + 0.2 * np.eye(3)
    B = np.random.default_rng(seed).standard_normal((2, 2)) + 2.0 * np.eye(2)
    assume(np.linalg.cond(B) < 100.0)  # the core's coordinates are whitened
    (a, b), (c, d) = B
    move = np.array(
        [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    )
    # numerical integrals with 4096 rays, which are spread evenly in any coordinates
    np.testing.assert_allclose(cone_weights(move @ V @ move.T), cone_weights(V), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_orthant_weights_by_simulation(size: int) -> None:
    """Weights are how often so many components of the projection on the orthant are positive."""
    V = covariance(size, size)
    draws = np.random.default_rng(size).standard_normal((1500, size)) @ np.linalg.cholesky(V).T
    precision = np.linalg.inv(V)
    counts = np.zeros(size + 1)
    for z in draws:
        counts[int((_projection(z, precision) > 0).sum())] += 1
    # standard error of a share of 1500 draws: at most 0.013
    np.testing.assert_allclose(orthant_weights(V), counts / len(draws), atol=0.05)


def _projection(z: FloatArray, precision: FloatArray) -> FloatArray:
    """Return the point of the orthant next to z, by trying all faces."""
    best, nearest = np.inf, np.zeros_like(z)
    for pattern in itertools.product([False, True], repeat=len(z)):
        free = np.array(pattern)
        x = np.zeros_like(z)
        if free.any():
            x[free] = np.linalg.solve(precision[np.ix_(free, free)], (precision @ z)[free])
        distance = (z - x) @ precision @ (z - x)
        if (x >= 0).all() and distance < best:
            best, nearest = distance, x
    return nearest


def test_independent_variances_have_binomial_weights() -> None:
    """With uncorrelated estimates every variance is zero with probability one half."""
    for size in (1, 2, 3, 4):
        expected = stats.binom.pmf(np.arange(size + 1), size, 0.5)
        # of more than three variances, scipy's integral is good to 1e-5
        np.testing.assert_allclose(orthant_weights(np.diag(np.arange(1.0, size + 1))), expected,
                                   atol=1e-5 if size > 3 else 1e-12)  # fmt: skip


def test_orthant_probabilities() -> None:
    """Equal correlations 1/2: one in m + 1, as all of m + 1 independent numbers may be least."""
    for size in range(6):
        matrix = 0.5 * np.eye(size) + 0.5
        assert orthant_probability(matrix) == pytest.approx(1.0 / (size + 1), abs=1e-5)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("(1 | a)", "(x | a)"),
        ("(1 | a)", "(x + z | a)"),
        ("(1 | a)", "(x + z || a)"),
    ],
)
def test_likelihood_ratios_follow_the_mixture(small: str, large: str) -> None:
    """With 150 groups, simulated likelihood ratios exceed the mixture's quantiles as often."""
    rng = np.random.default_rng(2)
    a = np.repeat(np.arange(150), 5)
    x, z = rng.standard_normal((2, 750))
    y = rng.standard_normal(150)[a] + rng.standard_normal(750)
    data = {"a": a, "x": x, "z": z, "y": y}
    one, other = (ranef.fit(f"y ~ z + {random}", data, reml=False) for random in (small, large))
    pieces = embed_random(one, other)
    assert not isinstance(pieces, str)
    expected = null_mixture(one, other, pieces, other.df - one.df)
    size = 800
    found = reference_distribution(one, other, size, np.random.default_rng(1), 1)
    p_values = np.array([expected.tail(value) for value in found.values])
    for level in (0.05, 0.2, 0.4):
        # four standard errors of the share
        share = 4.0 * np.sqrt(level * (1.0 - level) / size)
        assert (p_values <= level).mean() == pytest.approx(level, abs=share)


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        ("x + (1 | a)", "x + (x + z + f | a)", "the smaller model lacks"),
        ("x + (1 | b)", "x + (1 | b) + (x + z | a)", "the smaller model lacks"),
        ("x + (1 | a)", "x + (1 | a) + (x | b) + (1 | c)", "the smaller model lacks"),
    ],
)
@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
def test_unknown_weights_are_refused(small: str, large: str, message: str) -> None:
    """Where no formula gives the weights, the error says what to do."""
    with pytest.raises(OptionError, match=f"{message}.*method='bootstrap'"):
        mixture(small, large)


def test_singular_null_is_refused() -> None:
    """If the smaller model is on the boundary itself, there is no mixture."""
    data = bank.load("Dyestuff2")
    data["half"] = np.arange(len(data)) % 5
    fits = [ranef.fit(f"Yield ~ 1 + (1 | Batch){more}", data) for more in ("", " + (1 | half)")]
    assert fits[0].is_singular
    with pytest.raises(OptionError, match=r"singular itself.*method='bootstrap'"):
        compare(*fits, method="mixture")


@pytest.mark.filterwarnings("ignore::ranef.errors.IdentifiabilityWarning")
def test_confounded_variances_are_refused() -> None:
    """Variances that the data cannot tell apart have no weights."""
    data = bank.load("Machines")
    data["again"] = data["Worker"].astype(str)
    data["other"] = np.arange(54) % 7
    small, large = (
        ranef.fit(f"score ~ Machine + (1 | Worker){more}", data, reml=False)
        for more in ("", " + (1 | again) + (1 | other)")
    )
    with pytest.raises(OptionError, match="cannot tell apart"):
        compare(small, large, method="mixture")


def test_mixture_in_the_table() -> None:
    """The table names the mixture, and its p-value is half of chi2(1) for one variance."""
    data = bank.load("Pastes")
    small, large = (
        ranef.fit(f"strength ~ 1 + {r}", data) for r in ("(1 | batch:cask)", "(1 | batch/cask)")
    )
    table = compare(small, large, method="mixture")
    assert table.loc["m2", "distribution"] == "0.5 chi2(0) + 0.5 chi2(1)"
    # the p-value of R's anova is 0.523376796461217
    assert table.loc["m2", "p_value"] == pytest.approx(0.523376796461217 / 2, rel=1e-5)
    assert "Pr(>mixture)" in str(table) and "0.5 chi2(0)" in str(table)
