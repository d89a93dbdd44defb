"""Back-substitution: coefficients, conditional modes, and Z' times the residual.

The last row of L holds the forward-substituted response, so

    (u_D, gamma) = L11^-T l,   b_D = T u_D,
    b_e,j = K_j r_j,           t_e,j = r_j - G_j b_j,     r_j = C_y - C_Q gamma - (later factors)

t = Z'e with e = y - X beta - Z b, the conditional residual. It satisfies u = T't and b = Sigma t,
also where Sigma is singular.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.linalg import levels
from ranef.linalg.elimination import Factorization, dense_rows
from ranef.typing import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Estimates at one theta, in the core's coordinates.

    Attributes
    ----------
    gamma : float64 array (p,)
        Coefficients of Q for the residualised response y0.
    b, t : tuple of float64 arrays (k_f, J_f)
        Conditional modes and Z'e.
    """

    gamma: FloatArray
    b: tuple[FloatArray, ...]
    t: tuple[FloatArray, ...]


def solve(f: Factorization) -> Solution:
    """Return the solution of the factorised system."""
    q = f.plan.q_dense
    right = np.zeros(f.plan.size)
    right[-1] = -f.root.corner[-1, -1]  # the solution (u, gamma, -1) of the whole bordered system
    whole = f.root.backward(right)
    b, t = back_substitute(f, -whole[None, q:], whole[None, :q])
    return Solution(whole[q:-1], tuple(x[0] for x in b), tuple(x[0] for x in t))


def fixed_scores(f: Factorization) -> tuple[FloatArray, ...]:
    """Return Q'V0^-1 Z for every factor, (p, k_f, J_f).

    The columns of Q take the place of the response, and nothing is projected out: the same
    back-substitution with the random rows of L alone.
    """
    p = f.plan.products.p
    _, t = back_substitute(f, np.eye(p, p + 1), fixed_effects_on(f))
    return t


def fixed_effects_on(f: Factorization) -> FloatArray:
    """Return the spherical effects of the dense block for every column of Q as response, (p, q)."""
    q, p = f.plan.q_dense, f.plan.products.p
    if not (q and p):
        return np.zeros((p, q))
    right = np.zeros((f.plan.size, p), order="F")
    right[:q] = f.root.border[:p].T
    return f.root.backward(right)[:q].T


def back_substitute(
    f: Factorization, weights: FloatArray, u: FloatArray
) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return b and t for combinations of the border's rows as responses.

    Parameters
    ----------
    weights : float64 array (m, p + 1)
        The responses: weights @ [Q y0]'.
    u : float64 array (m, q_dense)
        Their spherical effects in the dense block.

    Returns
    -------
    b, t : tuples of float64 arrays (m, k_f, J_f)
    """
    plan, m = f.plan, len(weights)
    b: dict[int, FloatArray] = {}
    t: dict[int, FloatArray] = {}
    effects = plan.block.frame.scaled(u, tuple(T.T for T in f.T))
    for g in plan.dense:
        b[g] = effects[:, dense_rows(plan, g)].reshape(m, *plan.products.A[g].shape[1:])
    if plan.dense:
        rest = weights @ f.border - plan.block.times(effects, f.values)
        for g in plan.dense:
            t[g] = rest[:, dense_rows(plan, g)].reshape(b[g].shape)
    for e in reversed(plan.chain):
        part = f.chain[e]
        r = np.tensordot(weights, part.C, axes=1)
        for g, W in part.W.items():
            r -= levels.multiply(b[g][:, :, plan.parents[e, g]], levels.transpose(W))
        if part.B is not None:
            r -= (part.B @ effects.T).T.reshape(r.shape)
        b[e] = levels.multiply(r, part.K)
        t[e] = r - levels.multiply(b[e], part.G)
    count = range(len(f.T))
    return tuple(b[g] for g in count), tuple(t[g] for g in count)
