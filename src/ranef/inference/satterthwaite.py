"""Satterthwaite's degrees of freedom for linear functions of the fixed effects, in closed form.

For one row l, with phi = l'Phi l the variance of l'beta as a function of the covariance parameters
gamma, and A the covariance matrix of their estimates,

    df = 2 phi^2 / (g'A g),    g = d phi / d gamma,    A = 2 inv(Hessian of the deviance).

The result does not depend on how gamma is chosen, so the core's own parameters serve: the free
entries x of the factors T, and sigma^2. With E_f = Q'V0^-1 Z_f and w = inv(Q'V0^-1 Q) l,

    d phi / d sigma^2 = phi / sigma^2
    d phi / d T_f     = 2 sigma^2 [ sum_j (E_f,j'w)(E_f,j'w)' ] T_f

and the Hessian in (x, sigma^2) follows from the profiled one: with d_s = d r^2/dx,

    H_xx = H_profiled + d_s d_s' / (nu sigma^4),   H_xs = -d_s / sigma^4,   H_ss = nu / sigma^4.

Directions without variance are left out: on the boundary the criterion has no Hessian in them.
lmerTest (Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13)) computes
the same by numerical differentiation. Cost: one evaluation of the criterion with its Hessian, and
O(q) for every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.covariance.chart import Chart, Factors, pivoted, varies
from ranef.estimation import Problem
from ranef.linalg.solution import fixed_scores
from ranef.objective import State
from ranef.typing import FloatArray

# Relative size below which an eigenvalue of the Hessian, per relative change of the parameters,
# is only rounding: that direction is flat, the data say nothing about it, and it takes no part.
FLAT = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class VarianceUncertainty:
    """How precisely the covariance parameters are known, and what the fixed effects make of it.

    Attributes
    ----------
    T : tuple of float64 arrays (k_f, k_f)
    free : Chart
        Parameters that take part: those of directions with variance.
    precision_inverse : float64 array (m + 1, m + 1)
        Inverse Hessian of the deviance in (free parameters, sigma^2): half their covariance.
    C : float64 array (p, p)
        inv(Q'V0^-1 Q).
    E : tuple of float64 arrays (p, k_f, J_f)
        Q'V0^-1 Z_f.
    sigma2 : float
    """

    T: Factors
    free: Chart
    precision_inverse: FloatArray
    C: FloatArray
    E: tuple[FloatArray, ...]
    sigma2: float

    def degrees_of_freedom(self, l: FloatArray) -> float:  # noqa: E741 - the papers' name
        """Return the degrees of freedom of l'gamma, l (p,) in the coordinates of Q."""
        w = self.C @ l
        phi = self.sigma2 * float(l @ w)
        slopes = []
        for E, T in zip(self.E, self.T, strict=True):
            e = np.tensordot(w, E, axes=1)
            slopes.append(2.0 * self.sigma2 * (e @ e.T) @ T)
        g = np.append(self.free.read(tuple(slopes)), phi / self.sigma2)
        return phi * phi / float(g @ self.precision_inverse @ g)


def variance_uncertainty(problem: Problem, state: State) -> VarianceUncertainty:
    """Prepare degrees of freedom: the inverse Hessian and the fixed effects' scores.

    Raises
    ------
    numpy.linalg.LinAlgError
        If rounding makes the equations indefinite.
    """
    objective = problem.objective
    T, chart = pivoted(state.factorization.T, objective.blocks)
    here = objective.state(T)
    half = here.factorization.fixed_root()
    free = chart.part(varies(T, chart))
    uncertainty = VarianceUncertainty(
        T,
        free,
        _inverse(
            objective.hessian(T, free),
            np.maximum(1.0, np.abs(free.read(T))),
            objective.score(here, free),
            here.sigma2,
            objective.nu,
        ),
        half.T @ half,
        fixed_scores(here.factorization),
        here.sigma2,
    )
    objective.forget()
    return uncertainty


def determined_inverse(matrix: FloatArray, size: FloatArray) -> FloatArray:
    """Return the inverse of a curvature matrix (m, m), flat directions left out.

    A large parameter has little curvature (like 1 / theta^2) and is well determined all the same:
    flatness is judged per change of the parameters by their ``size`` (m,).
    """
    values, vectors = np.linalg.eigh(matrix * np.outer(size, size))
    keep = values > FLAT * float(values.max(initial=0.0))
    vectors = size[:, None] * vectors[:, keep]
    inverse: FloatArray = (vectors / values[keep]) @ vectors.T
    return inverse


def _inverse(
    profiled: FloatArray, size: FloatArray, slope: FloatArray, sigma2: float, nu: int
) -> FloatArray:
    """Return the inverse Hessian in (x, sigma^2), flat directions left out."""
    m = len(slope)
    inverse = determined_inverse(profiled, size)
    out = np.empty((m + 1, m + 1))
    # inverse of [[H_p + s s'/(nu sigma^4), -s/sigma^4], [., nu/sigma^4]] by blocks
    out[:m, :m] = inverse
    out[:m, m] = out[m, :m] = inverse @ slope / nu
    out[m, m] = sigma2 * sigma2 / nu + slope @ inverse @ slope / (nu * nu)
    return out
