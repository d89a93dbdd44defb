"""Mixtures of chi-squared distributions: likelihood ratios where variances may be zero.

When the smaller model lacks a variance, it lies on the boundary of the larger one, and half of the
time or more the best variance is zero. Let the larger model's covariance blocks be
Sigma = [[S11, S12], [S21, S22]], with S22 absent from the smaller one. Near the null hypothesis S11
and S12 may move freely and S22 must stay positive semi-definite, so that the likelihood ratio is,
for large samples, the squared distance that a normal vector z ~ N(0, inv(I)) travels to a cone:
a mixture of chi-squared distributions whose weights are the cone's intrinsic volumes, in the metric
of the information I on S22 given everything else (Self and Liang 1987; Stram and Lee 1994;
Silvapulle and Sen 2005, Constrained Statistical Inference). The weights are known for

* one effect: 1/2 and 1/2, whatever I is;
* single effects of several blocks, an orthant:
  w_j = sum over |S| = j of P(N(0, inv(V_rest)) > 0) P(N(0, V_S given rest = 0) > 0),  V = inv(I);
* two effects of one block, an elliptic cone of 2 x 2 matrices: w_3 and w_0 are the solid angles of
  the cone and of its polar cone, w_1 = 1/2 - w_3 and w_2 = 1/2 - w_0.

Everything that may move freely (covariances, fixed effects) adds its degrees of freedom. With
relative covariances, I_ij = tr(Q V_i Q V_j) - tr(Q V_i) tr(Q V_j) / nu, times 1/2, at the null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ranef.covariance.chart import Factors, lower_chart, lower_factor, pivoted
from ranef.errors import OptionError
from ranef.inference.nesting import Piece
from ranef.linalg.adjoint import trace_gradient
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Up to this many random effects of a crossed model a dense matrix of them is affordable.
LARGEST_DENSE = 2000
# Singular values of the placed effects below this, relative to the largest, are rounding.
RANK = 1e-8
# Rays on the border of an elliptic cone: its solid angle is then good to 1e-6.
RAYS = 4096
# Times that the rays are spread evenly: where estimates are of very different precision, most of
# them would crowd in a corner.
EVEN = 4
# More variances than this have too many subsets; their weights are not computed.
MOST_VARIANCES = 8
# Relative size below which an eigenvalue of the information is only rounding.
FLAT = 1e-10
_FLAT = (
    "the larger model has covariance parameters that the data cannot tell apart at the smaller "
    "one's estimates, so the weights of the mixture are not defined: use method='bootstrap'."
)


@dataclass(frozen=True, slots=True)
class ChiBarSquared:
    """A mixture of chi-squared distributions.

    Attributes
    ----------
    df : tuple of int
        Degrees of freedom of the components; 0 is a point mass at zero.
    weights : tuple of float
        Their probabilities.

    Examples
    --------
    >>> one_variance = ChiBarSquared((0, 1), (0.5, 0.5))
    >>> print(one_variance, round(one_variance.tail(2.7055), 3))
    0.5 chi2(0) + 0.5 chi2(1) 0.05
    """

    df: tuple[int, ...]
    weights: tuple[float, ...]

    def tail(self, statistic: float) -> float:
        """Return the probability of a statistic at least as large."""
        from scipy.special import chdtrc  # slow to import, and not needed for a fit

        if np.isnan(statistic):
            return float("nan")
        if statistic <= 0.0:
            return 1.0
        parts = zip(self.df, self.weights, strict=True)
        return float(sum(w * float(chdtrc(df, statistic)) for df, w in parts if df > 0))

    def __str__(self) -> str:
        parts = zip(self.df, self.weights, strict=True)
        shown = [f"{w:.3g} chi2({df})" for df, w in parts if w > 0.0]
        return " + ".join(shown) if len(shown) > 1 else f"chi2({self.df[0]})"


def null_mixture(
    small: LinearMixedModel | None, large: LinearMixedModel, pieces: Sequence[Piece], df: int
) -> ChiBarSquared:
    """Return the distribution of the likelihood ratio of two nested models under the smaller one.

    Parameters
    ----------
    small : LinearMixedModel or None
        None for the model with the fixed effects only.
    large : LinearMixedModel
    pieces : sequence of Piece
        Where the smaller model lies in the larger one, from `nesting.embed_random`.
    df : int
        Difference of the numbers of parameters, fixed effects included.

    Raises
    ------
    OptionError
        If no formula gives the weights.
    """
    if small is not None and small.is_singular:
        raise OptionError(
            "the smaller model is singular itself, where the theory of chi-squared mixtures ends: "
            "use method='bootstrap'."
        )
    blocks = _blocks(large, pieces)
    missing = [block.missing for block in blocks if block.missing]
    free = df - sum(k * (k + 1) // 2 for k in missing)
    if not missing:
        return ChiBarSquared((df,), (1.0,))
    if missing == [1]:
        return ChiBarSquared((free, free + 1), (0.5, 0.5))
    if len(missing) > MOST_VARIANCES or (max(missing) > 1 and missing != [2]):
        raise OptionError(
            "the weights of the mixture are known for effects of different terms, one of each, and "
            f"for two effects of one term; here the smaller model lacks {missing} of its terms: "
            "use method='bootstrap'."
        )
    V = _variance_of_absent(small, large, pieces, blocks)
    weights = cone_weights(V) if missing == [2] else orthant_weights(V)
    return ChiBarSquared(tuple(range(free, free + len(weights))), tuple(map(float, weights)))


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A covariance block of the larger model, and the part of it that the smaller one has.

    ``basis`` (r, r) is orthogonal, in the core's coordinates; its first ``rank`` columns are
    effects that the smaller model has.
    """

    factor: int
    start: int
    stop: int
    basis: FloatArray
    rank: int

    @property
    def missing(self) -> int:
        """Number of effects that the smaller model lacks."""
        return self.stop - self.start - self.rank


def _blocks(large: LinearMixedModel, pieces: Sequence[Piece]) -> list[_Block]:
    out = []
    for f, group in enumerate(large.problem.groups):
        for start, stop in group.blocks:
            placed = [p.M for p in pieces if (p.into, p.place) == (f, (start, stop))]
            basis, rank = np.eye(stop - start), 0
            if placed:
                W = group.whitening[start:stop, start:stop]
                left, values, _ = np.linalg.svd(np.linalg.solve(W, np.hstack(placed)))
                basis, rank = left, int((values > RANK * values[0]).sum())
            out.append(_Block(f, start, stop, basis, rank))
    return out


def _null_factors(
    small: LinearMixedModel | None, large: LinearMixedModel, pieces: Sequence[Piece]
) -> Factors:
    """Return the smaller model's estimates as factors of the larger one."""
    out = tuple(np.zeros((group.width, group.width)) for group in large.problem.groups)
    if small is None:
        return out
    T = [
        group.whitening @ factor
        for group, factor in zip(small.problem.groups, small.state.factorization.T, strict=True)
    ]
    for f, group in enumerate(large.problem.groups):
        for start, stop in group.blocks:
            halves = [
                p.M @ T[p.factor][slice(*p.block), slice(*p.block)]
                for p in pieces
                if (p.into, p.place) == (f, (start, stop))
            ]
            if halves:
                W = group.whitening[start:stop, start:stop]
                out[f][start:stop, start:stop] = lower_factor(
                    np.asarray(np.linalg.solve(W, np.hstack(halves)), dtype=np.float64)
                )
    return out


def _variance_of_absent(
    small: LinearMixedModel | None,
    large: LinearMixedModel,
    pieces: Sequence[Piece],
    blocks: Sequence[_Block],
) -> FloatArray:
    """Return the covariance matrix of the estimates of the absent variances, up to a factor.

    In the order of the blocks; for two effects of one block: variance, covariance, variance.
    """
    objective = large.problem.objective
    chart = lower_chart(objective.blocks)
    T, _ = pivoted(_null_factors(small, large, pieces), objective.blocks)
    traces = objective.linear_traces(T, chart, LARGEST_DENSE)
    if traces is None:
        raise OptionError(
            "the weights of the mixture need a dense matrix of all random effects, which are too "
            "many here: use method='bootstrap'."
        )
    slopes = trace_gradient(objective.state(T).factorization, objective.reml)
    objective.forget()
    slope = chart.read(tuple(2.0 * F for F in slopes))
    information = traces - np.outer(slope, slope) / objective.nu
    absent, directions = [], []
    for block in blocks:
        width = block.stop - block.start
        for b in range(width):
            for a in range(b, width):
                change = np.outer(block.basis[:, a], block.basis[:, b])
                if a != b:
                    change = change + change.T
                # V_i is Z (e_a e_b' + e_b e_a') Z', which has 2 on the diagonal
                np.fill_diagonal(change, 0.5 * change.diagonal())
                D = tuple(np.zeros_like(t) for t in T)
                D[block.factor][block.start : block.stop, block.start : block.stop] = change
                directions.append(chart.read(D))
                absent.append(b >= block.rank)
    J = np.array(directions)
    rotated = J @ information @ J.T
    size = np.sqrt(rotated.diagonal())
    keep = np.flatnonzero(absent)
    if not (size > 0.0).all():
        raise OptionError(_FLAT)
    values, vectors = np.linalg.eigh(rotated / np.outer(size, size))
    if values[0] < FLAT:
        raise OptionError(_FLAT)
    inverse = (vectors / values) @ vectors.T / np.outer(size, size)
    V: FloatArray = inverse[np.ix_(keep, keep)]
    return V


def orthant_weights(V: FloatArray) -> FloatArray:
    """Return the weights of chi2(0), ..., chi2(m) for variances whose estimates have covariance V.

    Parameters
    ----------
    V : float64 array (m, m)
        Up to a factor.
    """
    m = len(V)
    weights = np.zeros(m + 1)
    for j in range(m + 1):
        for chosen in combinations(range(m), j):
            S = np.array(chosen, dtype=np.intp)
            rest = np.setdiff1d(np.arange(m), S)
            outer: FloatArray = np.asarray(np.linalg.inv(V[np.ix_(rest, rest)]), dtype=float)
            cross = V[np.ix_(S, rest)]
            inner = V[np.ix_(S, S)] - cross @ outer @ cross.T
            weights[j] += orthant_probability(outer) * orthant_probability(inner)
    total = float(weights.sum())  # of more than three variances the integrals are numerical
    return np.asarray(weights / total, dtype=float)


def orthant_probability(covariance: FloatArray) -> float:
    """Return P(all components of N(0, covariance) are positive)."""
    m = len(covariance)
    size = np.sqrt(covariance.diagonal())
    correlations = np.clip(covariance / np.outer(size, size), -1.0, 1.0)
    angles = float(np.arcsin(correlations[np.tril_indices(m, -1)]).sum())
    if m <= 3:  # 1, 1/2, 1/4 + asin(r) / 2 pi, 1/8 + sum of asin(r) / 4 pi
        return 0.5**m + angles / (2.0**m * np.pi / 2.0) if m > 1 else 0.5**m
    from scipy.stats import multivariate_normal  # slow to import

    normal = multivariate_normal(np.zeros(m), correlations, allow_singular=True, seed=0)
    return float(normal.cdf(np.zeros(m)))


def cone_weights(V: FloatArray) -> FloatArray:
    """Return the weights of chi2(0), ..., chi2(3) for two effects of one block, (4,).

    Parameters
    ----------
    V : float64 array (3, 3)
        Covariance matrix of the estimates of (variance, covariance, variance), up to a factor.
    """
    R = np.linalg.cholesky(np.linalg.inv(V)).T
    inside = _solid_angle(lambda c, s: R @ np.stack([c * c, c * s, s * s]))
    # the polar cone is spanned by minus the quadratic forms that are not negative on the cone
    polar = _solid_angle(lambda c, s: np.linalg.solve(R.T, np.stack([c * c, 2.0 * c * s, s * s])))
    return np.array([polar, 0.5 - inside, 0.5 - polar, inside])


def _solid_angle(border: Callable[[FloatArray, FloatArray], FloatArray]) -> float:
    """Return the solid angle of a convex cone, as a share of the sphere's.

    Parameters
    ----------
    border : callable
        From cosines and sines (m,) of angles between 0 and pi to rays (3, m) around the cone.
    """
    angle = np.linspace(0.0, np.pi, RAYS + 1)
    for _ in range(EVEN):
        u = _directions(border(np.cos(angle), np.sin(angle)))
        steps = np.sqrt(((u[:, 1:] - u[:, :-1]) ** 2).sum(axis=0))
        way = np.concatenate([[0.0], steps.cumsum()])
        angle = np.interp(np.linspace(0.0, way[-1], RAYS + 1), way, angle)
    u = _directions(border(np.cos(angle), np.sin(angle)))
    axis = _directions(u[:, :-1].sum(axis=1))
    volume = np.abs(axis @ np.cross(u[:, :-1], u[:, 1:], axis=0))
    below = 1.0 + axis @ u[:, :-1] + (u[:, :-1] * u[:, 1:]).sum(axis=0) + axis @ u[:, 1:]
    return float(2.0 * np.arctan2(volume, below).sum()) / (4.0 * np.pi)


def _directions(rays: FloatArray) -> FloatArray:
    lengths: FloatArray = np.sqrt((rays * rays).sum(axis=0))
    return rays / lengths
