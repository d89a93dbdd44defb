"""What it costs a prediction that the covariance parameters are estimates.

The predictor eta = x'beta_hat + z'b_hat depends on theta. To first order, estimating theta adds

    (d eta / d theta)' A (d eta / d theta)

to its error variance, A the covariance matrix of the parameters (Kackar and Harville 1984, Journal
of the American Statistical Association 79; Prasad and Rao 1990, same journal 85). sigma^2 has no
part in it: eta does not depend on it. All estimates are differentiated at once, and a row combines
the derivatives as it combines the estimates.

Degrees of freedom are Satterthwaite's, for v = sigma^2 (rho + 1/w) as a function of theta and
sigma^2: df = 2 v^2 / (g'A g). As in Kenward and Roger's method, they are those of the variance
without the addition above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.inference.satterthwaite import VarianceUncertainty, variance_uncertainty
from ranef.model import LinearMixedModel, prepared
from ranef.prediction.rows import Rows
from ranef.prediction.variances import ends, variance_slopes
from ranef.typing import FloatArray

# No estimate of a variance has less: chi-squared variables with one degree of freedom or more,
# added with positive weights, have one or more. The delta method does not know that near zero.
FEWEST = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class EffectSlopes:
    """How estimates move with the free covariance parameters.

    Attributes
    ----------
    gamma : float64 array (p, r)
        Fixed effects, in the coordinates of Q.
    b : tuple of float64 arrays (r, k_g, J_g)
        Random effects.
    """

    gamma: FloatArray
    b: tuple[FloatArray, ...]


def parameter_uncertainty(model: LinearMixedModel) -> VarianceUncertainty:
    """Return how precisely the covariance parameters of a model are known; prepared once."""
    return prepared(
        model, "variance uncertainty", lambda: variance_uncertainty(model.problem, model.state)
    )


def effect_slopes(model: LinearMixedModel, uncertainty: VarianceUncertainty) -> EffectSlopes:
    """Return the derivatives of all estimates with respect to the free parameters.

    Central differences of the solution at other theta, as in `variance_slopes`; prepared once.
    Cost: two factorisations per parameter.
    """
    return prepared(model, "effect slopes", lambda: _effect_slopes(model, uncertainty))


def _effect_slopes(model: LinearMixedModel, uncertainty: VarianceUncertainty) -> EffectSlopes:
    objective = model.problem.objective
    gamma, b = [], []
    for lower, upper, distance in ends(uncertainty.T, uncertainty.free):
        low, high = objective.state(lower).solution, objective.state(upper).solution
        gamma.append((high.gamma - low.gamma) / distance)
        b.append([(y - x) / distance for x, y in zip(low.b, high.b, strict=True)])
    objective.forget()
    return EffectSlopes(np.array(gamma).T, tuple(np.stack(parts) for parts in zip(*b, strict=True)))


def theta_variances(model: LinearMixedModel, rows: Rows) -> FloatArray:
    """Return what not knowing theta adds to the variances, (m,); in squared units of the response.

    Directions without variance in a singular fit take no part.
    """
    uncertainty = parameter_uncertainty(model)
    r = uncertainty.free.size
    if r == 0:
        return np.zeros(rows.size)
    slopes = effect_slopes(model, uncertainty)
    A = 2.0 * uncertainty.precision_inverse[:r, :r]
    fixed = model.problem.basis.R_inverse @ slopes.gamma
    out = np.empty(rows.size)
    for block in rows.blocks(fixed.shape[0] + r):
        moved = rows.fixed(block) @ fixed
        for group in rows.groups:
            codes, z = group.known_z(block)
            for a, column in enumerate(z):
                moved += (slopes.b[group.factor][:, a, codes] * column).T
        out[block] = ((moved @ A) * moved).sum(axis=1)
    return out


def degrees_of_freedom(
    model: LinearMixedModel, rows: Rows, relative: FloatArray, *, least: float
) -> FloatArray:
    """Return Satterthwaite's degrees of freedom, (m,); NaN where the variance is zero.

    Parameters
    ----------
    model : LinearMixedModel
    rows : Rows
    relative : float64 array (m,)
        v / sigma^2: error variances, with 1/w for an observation.
    least : float
        The smallest that is possible.
    """
    uncertainty = parameter_uncertainty(model)
    sigma2 = uncertainty.sigma2
    slopes = variance_slopes(model.problem, uncertainty.T, uncertainty.free, rows)
    gradient = np.column_stack([sigma2 * slopes, relative])
    spread = ((gradient @ uncertainty.precision_inverse) * gradient).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (sigma2 * relative) ** 2 / spread
    result: FloatArray = np.where(relative > 0.0, np.maximum(df, least), np.nan)
    return result
