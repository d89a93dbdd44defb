"""Prediction error variances: Var(x'beta_hat + z'b_hat - x'beta - z'b) without any n x n or q x q.

A row asks for known levels with l (z at its levels, else zero), for effects of levels that nobody
has seen with z_new, and for fixed effects with a = R^-T x (coordinates of Q). At given theta,
relative to sigma^2, with E = Q'V0^-1 Z and C = inv(Q'V0^-1 Q),

    rho = l'K l + d'C d + z_new'Sigma z_new,      d = a - E Sigma l.

l'K l is the error of b for known beta, d'C d what estimating beta adds: not a difference of large
numbers, as x'Var(beta_hat)x + 2 z'Cov(..)x + .. would be. This is [z x]'C [z x] with Henderson's
inverse of the mixed-model equations (Henderson 1975, Biometrics 31), and lme4's se.fit. It holds
for singular Sigma. Cost: one factorisation and its selected inverse, then O(p^2 + p k + k^2) for
every row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.covariance.chart import Chart, Factors
from ranef.estimation import Problem
from ranef.linalg.elimination import Factorization, factorize
from ranef.linalg.solution import back_substitute, fixed_effects_on
from ranef.prediction.blocks import level_covariances
from ranef.prediction.rows import Rows
from ranef.typing import FloatArray

# Step of central differences in theta, on parameters of size one: the cube root of rounding.
STEP = 1e-5


def relative_variances(problem: Problem, T: Factors, rows: Rows) -> FloatArray:
    """Return rho (m,): error variances of the predictors at given theta, relative to sigma^2.

    Parameters
    ----------
    problem : Problem
    T : tuple of float64 arrays (k_f, k_f)
        Relative covariance factors in the core's coordinates; may be singular.
    rows : Rows

    Raises
    ------
    numpy.linalg.LinAlgError
        If rounding makes the equations indefinite.
    """
    f = factorize(problem.objective.plan, T)
    if f is None:
        raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
    root, R_inverse = f.fixed_root(), problem.basis.R_inverse
    p = len(root)
    seen = [group for group in rows.groups if group.known.any()]
    absorbed = absorbed_columns(f) if seen else ()
    covariances = level_covariances(f, pairs=len(seen) > 1) if seen else None
    widest = max((len(T[group.factor]) for group in rows.groups), default=1)
    rho = np.zeros(rows.size)
    for block in rows.blocks((p + widest) * widest):
        total = rho[block]
        d = rows.fixed(block) @ R_inverse
        parts = [(group.factor, *group.known_z(block)) for group in seen]
        for i, (g, codes, z) in enumerate(parts):
            assert covariances is not None
            d -= np.einsum("pkm,km->mp", absorbed[g][:, :, codes], z)
            total += np.einsum("am,abm,bm->m", z, covariances.own[g][:, :, codes], z)
            for h, others, z_h in parts[i + 1 :]:
                between = covariances.between(g, h, codes, others)
                total += 2.0 * np.einsum("am,abm,bm->m", z, between, z_h)
        for group in rows.groups:
            new = group.unknown_z(block) @ T[group.factor]
            total += (new * new).sum(axis=1)
        whitened = d @ root.T
        total += (whitened * whitened).sum(axis=1)
    # rounding, where a row's crossed effects are known only together
    result: FloatArray = np.maximum(rho, 0.0)
    return result


def variance_slopes(problem: Problem, T: Factors, chart: Chart, rows: Rows) -> FloatArray:
    """Return d rho / d theta for the free parameters, (m, number of parameters).

    Central differences of the closed form, step `STEP` times max(1, |theta|): nothing is refitted,
    and the error is below 1e-8. Cost: two evaluations of `relative_variances` per parameter.
    """
    out = np.empty((rows.size, chart.size))
    for i, (lower, upper, distance) in enumerate(ends(T, chart)):
        high = relative_variances(problem, upper, rows)
        out[:, i] = (high - relative_variances(problem, lower, rows)) / distance
    return out


def ends(T: Factors, chart: Chart) -> Iterator[tuple[Factors, Factors, float]]:
    """Yield the two points of a central difference, and their distance, for every parameter."""
    x = chart.read(T)
    for i, value in enumerate(x):
        step = np.zeros(len(x))
        step[i] = STEP * max(1.0, abs(float(value)))
        yield chart.write(T, x - step), chart.write(T, x + step), 2.0 * float(step[i])


def absorbed_columns(f: Factorization) -> tuple[FloatArray, ...]:
    """Return Q'Z K = E Sigma for every factor, (p, k_f, J_f).

    The effects that every column of Q would be given as a response, for known beta. E Sigma
    itself would lose digits where Sigma is large: E is what little the effects leave of Q.
    """
    p = f.plan.products.p
    b, _ = back_substitute(f, np.eye(p, p + 1), fixed_effects_on(f))
    return b
