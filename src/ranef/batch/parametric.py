"""Responses of a fitted model, drawn without rows and without levels.

y* = X beta + e, e = Z b + epsilon, enters through its cross-products only, and these have a
distribution of their own. In the coordinates of the structure, for every block,

    G = L L',   c = Z'e = L d,   d ~ N(0, sigma^2 (I + L'Sigma L))
    Q'e = sum X L^-T d + sigma S^1/2 z,     S = I - sum X G^-1 X',  z normal
    e'e = sum d'd + sigma^2 (z'z + chi^2 with n - rank [Z X] degrees of freedom)

For the spare blocks of a class, which have no border, only sum d d' matters: a Wishart matrix,
drawn through its triangular factor (Bartlett 1933). So a replicate costs a few random numbers per
class of blocks, whatever the numbers of rows and levels. Weights are inside Z and X: residuals have
variance sigma^2 / w. Where G or S has less than full rank, L has columns of zeros, and what they
would multiply does not exist. Factors are Cholesky's, without pivoting, because eigenvectors would
depend on the library that computes them, and so would the replicates of a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.reduce import Reduced
from ranef.batch.structure import Family, Structure
from ranef.covariance.chart import Factors
from ranef.typing import BoolArray, FloatArray, IntArray

# Pivots below this, relative to the diagonal, are zero.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """How the responses of one family are drawn.

    Attributes
    ----------
    factor : float64 array (U, K, K)
        Lower triangular, times its transpose the covariance of d / sigma, where d exists.
    image : float64 array (U, K, K)
        L.
    border : float64 array (p, U, K, R)
        X L^-T.
    bordered : bool array (U, 1, R, 1)
        Columns that a class has; the others are padding.
    place : int array (U, K)
        For every element of d, its number among those that exist; these come first.
    rank, spare : int arrays (U,)
        Of G; blocks without a border.
    extra : int
        Columns that stand for the spare blocks.
    """

    factor: FloatArray
    image: FloatArray
    border: FloatArray
    bordered: BoolArray
    place: IntArray
    rank: IntArray
    spare: IntArray
    extra: int

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Return d / sigma, (U, K, R + extra, size)."""
        U, K = self.factor.shape[:2]
        main = rng.standard_normal((U, K, self.bordered.shape[2], size)) * self.bordered
        whole = np.concatenate([main, self._wishart(rng, size)], axis=2)
        d: FloatArray = np.matmul(self.factor, whole.reshape(U, K, -1))
        return d.reshape(whole.shape)

    def _wishart(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Return triangular A with A A' Wishart of ``spare`` degrees of freedom."""
        U, K = self.factor.shape[:2]
        A = np.zeros((U, K, self.extra, size))
        for j in range(self.extra):
            alive = np.flatnonzero(self.spare > j)
            df = (self.spare[alive] - j).astype(float)
            A[alive, j, j] = np.sqrt(rng.chisquare(df[:, None], (len(alive), size)))
            if j + 1 < K:
                A[alive, j + 1 :, j] = rng.standard_normal((len(alive), K - j - 1, size))
        # what has no variance takes no degrees of freedom
        inside: BoolArray = np.asarray(np.arange(K) < self.rank[:, None])
        A *= inside[:, :, None, None] & inside[:, None, : self.extra, None]
        return np.take_along_axis(A, self.place[:, :, None, None], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Draws responses of one model.

    Attributes
    ----------
    structure : Structure
    draws : tuple
        One for every family.
    share : float64 array (p, p)
        S^1/2, with columns of zeros where S has less than full rank.
    df : int
        n - rank [Z X].
    sigma : float
    beta : float64 array (p,)
        Coefficients of the kept columns of X.
    """

    structure: Structure
    draws: tuple[_Draw, ...]
    share: FloatArray
    df: int
    sigma: float
    beta: FloatArray

    def draw(self, rng: np.random.Generator, size: int) -> Reduced:
        """Return ``size`` responses."""
        z = rng.standard_normal((self.share.shape[1], size))
        z[~self.share.any(axis=0)] = 0.0
        q = self.share @ z
        yy = np.einsum("ib,ib->b", z, z)
        if self.df > 0:
            yy += rng.chisquare(self.df, size)
        parts = []
        for draw in self.draws:
            d = draw.sample(rng, size)
            yy += np.einsum("ukrb,ukrb->b", d, d)
            R = draw.border.shape[3]
            main = np.ascontiguousarray(d[:, :, :R]).reshape(-1, size)
            q += draw.border.reshape(len(q), len(main)) @ main
            U, K = d.shape[:2]
            c = np.matmul(self.sigma * draw.image, d.reshape(U, K, -1)).reshape(d.shape)
            parts.append(np.ascontiguousarray(c.transpose(1, 2, 0, 3)))
        estimate = np.repeat(self.beta[:, None], size, axis=1)
        return Reduced(tuple(parts), self.sigma * q, self.sigma**2 * yy, estimate)


def make_sampler(structure: Structure, T: Factors, sigma: float, beta: FloatArray) -> Sampler:
    """Prepare to draw responses of a model.

    Parameters
    ----------
    structure : Structure
    T : tuple of float64 arrays (k_f, k_f)
        Relative covariance factors, in the core's coordinates.
    sigma : float
        Residual standard deviation.
    beta : float64 array (p,)
    """
    draws = tuple(_draw(family, T) for family in structure.families)
    left = np.eye(structure.p)
    rank = 0
    for family, draw in zip(structure.families, draws, strict=True):
        flat = draw.border.reshape(structure.p, draw.border[0].size if structure.p else 0)
        left -= flat @ flat.T
        rank += int(family.multiplicity @ draw.rank)
    share, present = semidefinite_factor(left[None], np.ones((1, structure.p)))
    df = structure.n - rank - int(present.sum())
    return Sampler(structure, draws, share[0], df, sigma, np.asarray(beta, dtype=np.float64))


def _draw(family: Family, T: Factors) -> _Draw:
    K = family.width
    Sigma = np.zeros((K, K))
    for f, t in enumerate(T):
        rows = slice(family.starts[f], family.starts[f] + len(t) * family.counts[f])
        Sigma[rows, rows] = np.kron(t @ t.T, np.eye(family.counts[f]))
    G = family.G.transpose(2, 0, 1)
    image, present = semidefinite_factor(G, np.diagonal(G, axis1=1, axis2=2))
    covariance = np.eye(K) + np.swapaxes(image, 1, 2) @ Sigma @ image
    both = present[:, :, None] & present[:, None]
    factor = np.asarray(np.linalg.cholesky(covariance) * both, dtype=np.float64)
    U, (p, _, R, _) = family.classes, family.X.shape
    right = family.X.transpose(3, 1, 0, 2).reshape(U, K, p * R) * present[:, :, None]
    whole = np.where(both, image, np.eye(K))
    border = np.linalg.solve(whole, right).reshape(U, K, p, R)
    own = np.array([part.shape[1] for part in family.bordered])
    bordered = (np.arange(family.columns) < own[:, None])[:, None, :, None]
    return _Draw(
        factor,
        image,
        np.ascontiguousarray(border.transpose(2, 0, 1, 3)),
        bordered,
        np.argsort(np.argsort(~present, axis=1, kind="stable"), axis=1),
        present.sum(axis=1),
        family.spare,
        family.extra,
    )


def semidefinite_factor(blocks: FloatArray, scale: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return lower triangular L with L L' = block, and which columns are not zero.

    Parameters
    ----------
    blocks : float64 array (U, K, K)
        Positive semi-definite.
    scale : float64 array (U, K)
        What pivots are compared with.

    Returns
    -------
    L : float64 array (U, K, K)
    present : bool array (U, K)
    """
    U, K = blocks.shape[:2]
    L, present = np.zeros((U, K, K)), np.zeros((U, K), dtype=bool)
    for j in range(K):
        done = L[:, j, :j]
        column = blocks[:, j:, j] - np.einsum("uij,uj->ui", L[:, j:, :j], done)
        present[:, j] = column[:, 0] > RANK_TOLERANCE * scale[:, j]
        root = np.sqrt(np.where(present[:, j], column[:, 0], 1.0))
        L[:, j:, j] = np.where(present[:, j, None], column / root[:, None], 0.0)
    return L, present
