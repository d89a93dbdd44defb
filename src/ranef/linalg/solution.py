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
from ranef.linalg.dense import solve_lower
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
    plan = f.plan
    products = plan.products
    q, p = plan.q_dense, products.p
    right = np.zeros(plan.size)
    right[-1] = -f.L[-1, -1]  # the solution (u, gamma, -1) of the whole bordered system
    last = solve_lower(f.L, right, transposed=True)[:-1]
    gamma = last[q:]
    b: dict[int, FloatArray] = {}
    t: dict[int, FloatArray] = {}
    if q:
        effects = np.empty(q)
        for g in plan.dense:
            k = f.T[g].shape[0]
            b[g] = f.T[g] @ last[dense_rows(plan, g)].reshape(k, -1)
            effects[dense_rows(plan, g)] = b[g].ravel()
        rest = f.border[p] - gamma @ f.border[:p] - _times_dense(f, effects)
        for g in plan.dense:
            t[g] = rest[dense_rows(plan, g)].reshape(f.T[g].shape[0], -1)
    for e in reversed(plan.chain):
        part = f.chain[e]
        r = part.C[p] - np.tensordot(gamma, part.C[:p], axes=1)
        for g, W in part.W.items():
            r -= (W * b[g][None, :, plan.parents[e, g]]).sum(axis=1)
        if plan.coupling is not None:
            r -= (plan.coupling.B @ effects).reshape(r.shape)
        b[e] = _apply(part.K, r)
        t[e] = r - _apply(part.G, b[e])
    count = range(len(f.T))
    return Solution(gamma, tuple(b[g] for g in count), tuple(t[g] for g in count))


def _apply(blocks: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return blocks_j vector_j: (k, l, J), (l, J) -> (k, J)."""
    product: FloatArray = levels.multiply(blocks, vectors[:, None, :])[:, 0]
    return product


def _times_dense(f: Factorization, vector: FloatArray) -> FloatArray:
    """Return H times a vector, for the dense block H on its pattern."""
    plan = f.plan
    out = np.zeros_like(vector)
    for pair in plan.pairs:
        block = pair.view(f.values)
        k_g, k_h, _ = pair.shape
        left, right = dense_rows(plan, pair.g), dense_rows(plan, pair.h)
        x_h = vector[right].reshape(k_h, -1)
        y_g = out[left].reshape(k_g, -1)
        if pair.diagonal:
            y_g += (block * x_h[None]).sum(axis=1)
            continue
        x_g = vector[left].reshape(k_g, -1)
        y_h = out[right].reshape(k_h, -1)
        gathered = (block * x_h[None][:, :, pair.cols]).sum(axis=1)
        scattered = (block * x_g[:, None][:, :, pair.rows]).sum(axis=0)
        for a in range(k_g):
            y_g[a] += np.bincount(pair.rows, weights=gathered[a], minlength=y_g.shape[1])
        for b in range(k_h):
            y_h[b] += np.bincount(pair.cols, weights=scattered[b], minlength=y_h.shape[1])
    return out
