"""Tests of linear functions of the fixed effects, whatever the degrees of freedom.

Everything that tests fixed effects (coefficient tables, ANOVA, contrasts, marginal means) asks a
`FixedTests` for three things: the covariance matrix of the coefficients, the degrees of freedom of
one row l'beta, and the F test of several rows. Satterthwaite and Kenward-Roger differ in all three,
and the normal distribution is the limit of both.

With P'(L Phi L')P = diag(d) and t_m = (P'L beta)_m / sqrt(d_m), Satterthwaite's F is the mean of
t_m^2, its denominator df follows from the df nu_m of the rows of P'L (Fai and Cornelius 1996,
Journal of Statistical Computation and Simulation 54): with E = sum nu_m / (nu_m - 2), 2E / (E - q).
Rows are used as they are given: the d_m, and so the df, depend on how L is written (F does not).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ranef.errors import OptionError
from ranef.inference.kenward_roger import KenwardRogerMoments, kenward_roger_moments
from ranef.inference.satterthwaite import VarianceUncertainty, variance_uncertainty
from ranef.model import LinearMixedModel, prepared
from ranef.typing import DdfMethod, FloatArray, check_choice

# A row counts as a combination of others if what is left of it is smaller than this (relative).
DEPENDENT = 1e-8
# Rows whose standard errors differ more than this are brought to one scale first: their directions
# could not be computed otherwise.
LARGEST_RATIO = 1e-5
# Degrees of freedom of the rows that differ less than this count as equal, as in lmerTest.
EQUAL_DF = 1e-8


@dataclass(frozen=True, slots=True)
class JointTest:
    """An F test of one or several linear functions.

    Attributes
    ----------
    f_value : float
        NaN if no row is left to test.
    num_df : int
        Independent rows.
    den_df : float
        Infinite for the normal distribution.
    scale : float
        What F was multiplied by; 1 but for Kenward-Roger.
    """

    f_value: float
    num_df: int
    den_df: float
    scale: float = 1.0

    @property
    def p_value(self) -> float:
        """Probability of a larger F."""
        return float(f_tail(self.f_value, self.num_df, self.den_df))


@dataclass(frozen=True, slots=True, eq=False)
class FixedTests(ABC):
    """What tests of the estimable coefficients need.

    Attributes
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    beta : float64 array (p,)
        Estimable coefficients.
    vcov : float64 array (p, p)
        Their covariance matrix (adjusted, for Kenward-Roger).
    """

    ddf: DdfMethod
    beta: FloatArray
    vcov: FloatArray

    @abstractmethod
    def row_df(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row of L (m, p); NaN for a row of zeros."""

    @abstractmethod
    def joint(self, L: FloatArray, distance: FloatArray) -> JointTest:
        """Return the F test of L beta = rhs, given L (m, p) and ``distance`` L beta - rhs (m,)."""

    def row_errors(self, L: FloatArray) -> FloatArray:
        """Return the standard error of every row of L (m, p)."""
        variance = np.einsum("mp,pq,mq->m", L, self.vcov, L)
        errors: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        return errors


@dataclass(frozen=True, slots=True, eq=False)
class NormalTests(FixedTests):
    """Tests by the normal and chi-squared distributions."""

    def row_df(self, L: FloatArray) -> FloatArray:
        """Return infinity for every row."""
        return np.where((L != 0).any(axis=1), np.inf, np.nan)

    def joint(self, L: FloatArray, distance: FloatArray) -> JointTest:
        """Return chi-squared / q as an F with infinite denominator."""
        _, squares = orthogonal_rows(L, self.vcov, distance)
        return _joint(squares, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class SatterthwaiteTests(FixedTests):
    """Tests by Satterthwaite's approximation, as lmerTest's."""

    uncertainty: VarianceUncertainty
    R_inverse: FloatArray

    def row_df(self, L: FloatArray) -> FloatArray:
        """Return 2 phi^2 / (g'A g) for every row."""
        zero = ~(L != 0).any(axis=1)
        return np.array(
            [
                np.nan if empty else self.uncertainty.degrees_of_freedom(row)
                for row, empty in zip(L @ self.R_inverse, zero, strict=True)
            ]
        )

    def joint(self, L: FloatArray, distance: FloatArray) -> JointTest:
        """Return the F test with Fai and Cornelius' denominator."""
        rows, squares = orthogonal_rows(L, self.vcov, distance)
        return _joint(squares, fai_cornelius(self.row_df(rows)))


@dataclass(frozen=True, slots=True, eq=False)
class KenwardRogerTests(FixedTests):
    """Tests by Kenward and Roger's adjusted covariance and scaled F, as pbkrtest's."""

    moments: KenwardRogerMoments
    R_inverse: FloatArray

    def row_df(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row on its own."""
        zero = ~(L != 0).any(axis=1)
        return np.array(
            [
                np.nan if empty else self.moments.scaled(row[None])[1]
                for row, empty in zip(L @ self.R_inverse, zero, strict=True)
            ]
        )

    def joint(self, L: FloatArray, distance: FloatArray) -> JointTest:
        """Return the scaled F test."""
        rows, squares = orthogonal_rows(L, self.vcov, distance)
        if len(rows) == 0:
            return _joint(squares, np.nan)
        scale, den_df = self.moments.scaled(rows @ self.R_inverse)
        return _joint(squares, den_df, scale)


def fixed_tests(model: LinearMixedModel, ddf: DdfMethod) -> FixedTests:
    """Return the tests of a model's fixed effects; prepared once, and kept with the model.

    Parameters
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Raises
    ------
    OptionError
        For another ddf, and for Kenward-Roger with a model fitted by maximum likelihood.
    """
    check_choice("ddf", ddf, DdfMethod)
    return prepared(model, ddf, lambda: _prepare(model, ddf))


def _prepare(model: LinearMixedModel, ddf: DdfMethod) -> FixedTests:
    problem, state = model.problem, model.state
    beta, vcov = problem.coefficients(state), problem.covariance(state)
    R_inverse = problem.basis.R_inverse
    if ddf == "kenward-roger":
        if not model.reml and len(beta):
            raise OptionError(
                "ddf='kenward-roger' is defined for REML fits; this model was fitted by maximum "
                "likelihood. Fit it with reml=True, or use ddf='satterthwaite'."
            )
        moments = kenward_roger_moments(problem, state)
        adjusted = R_inverse @ moments.adjusted @ R_inverse.T
        return KenwardRogerTests(ddf, beta, adjusted, moments, R_inverse)
    if ddf == "satterthwaite":
        return SatterthwaiteTests(ddf, beta, vcov, variance_uncertainty(problem, state), R_inverse)
    return NormalTests(ddf, beta, vcov)


def fai_cornelius(nu: FloatArray) -> float:
    """Return the denominator df of an F test whose orthogonal rows have df ``nu`` (q,)."""
    q = len(nu)
    if q == 0:
        return float("nan")
    if q == 1 or float(np.ptp(nu)) < EQUAL_DF:
        return float(nu.mean())
    if float(nu.min()) <= 2.0:
        return 2.0
    E = float((nu / (nu - 2.0)).sum())
    return 2.0 * E / (E - q)


def f_tail(f_value: float, num_df: float, den_df: float) -> float:
    """Return P(F > f); chi-squared / q where den_df is infinite."""
    from scipy.special import chdtrc, fdtrc  # slow to import, and not needed for a fit

    if not np.isfinite(f_value) or num_df == 0:
        return float("nan")
    if np.isinf(den_df):
        return float(chdtrc(num_df, f_value * num_df))
    return float(fdtrc(num_df, den_df, f_value))


def orthogonal_rows(
    L: FloatArray, vcov: FloatArray, distance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return uncorrelated combinations of the rows of L, and their squared t statistics.

    Parameters
    ----------
    L : float64 array (m, p)
    vcov : float64 array (p, p)
    distance : float64 array (m,)
        L beta - rhs.

    Returns
    -------
    rows : float64 array (q, p)
        P'L for the q directions that are not combinations of others.
    squares : float64 array (q,)
    """
    used = (L != 0).any(axis=1)
    L, distance = L[used], distance[used]
    if len(L) == 0:
        return L, distance
    # whether rows depend on each other is a question about the weights, each in units of its
    # coefficient: estimates may be almost perfectly correlated and still be different questions
    weights = L * np.sqrt(vcov.diagonal())
    weights /= np.linalg.norm(weights, axis=1)[:, None]
    q = int((np.linalg.svd(weights, compute_uv=False) > DEPENDENT).sum())
    half = L @ np.linalg.cholesky(vcov)
    size = np.linalg.norm(half, axis=1)
    if float(size.min()) < LARGEST_RATIO * float(size.max()):
        L, half, distance = L / size[:, None], half / size[:, None], distance / size
    P, root, _ = np.linalg.svd(half, full_matrices=False)  # not of its square, for the digits
    P, root = P[:, :q], root[:q]
    squares: FloatArray = (P.T @ distance / root) ** 2
    return P.T @ L, squares


def _joint(squares: FloatArray, den_df: float, scale: float = 1.0) -> JointTest:
    q = len(squares)
    if q == 0:
        return JointTest(float("nan"), 0, float("nan"))
    return JointTest(scale * float(squares.sum()) / q, q, den_df, scale)
