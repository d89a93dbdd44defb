"""Curvature: cross-products of derivative directions, and the exact trace term.

A direction i of factor f is a q-vector c_i (zero outside f); a_i = Z c_i. The average information
needs a_i'P a_j, i.e. the a_i as further response columns: their cross-products with everything
follow from the blocks (Z'a_i = A c_i, Q'a_i = C c_i), and the same elimination and triangular
solve that the response went through leave a_i'P a_j behind. Cost: a few products per direction.

The exact Hessian also needs tr(Q_ V_i Q_ V_j) = tr(W D_i W D_j) with W = Z'Q_ Z. With W_lm the
(k, k) blocks of level pairs, it depends on W only through the moments

    M[x, y, z, w] = sum_lm W_lm[x, y] W_lm[z, w],

which cost one matrix product per pair of factors from a dense W, or, for a single factor,
J small products plus a rank-p correction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranef.linalg import levels
from ranef.linalg.dense import gram, solve_lower, times
from ranef.linalg.elimination import Factorization, dense_rows
from ranef.linalg.levels import add_by_level, scale_columns
from ranef.linalg.plan import Plan
from ranef.typing import FloatArray, IntArray

Moments = dict[tuple[int, int], FloatArray]


def projected_products(
    f: Factorization, factor: Sequence[int], directions: Sequence[FloatArray]
) -> FloatArray:
    """Return a_i'P a_j for a_i = Z c_i, (m, m).

    Parameters
    ----------
    f : Factorization
    factor : m ints
        Which factor each direction belongs to.
    directions : m float64 arrays (k_f, J_f)
    """
    plan = f.plan
    products = plan.products
    p, m = products.p, len(directions)
    X = responses(plan, factor, directions)
    total = np.empty((m, m))
    corner = np.zeros((m, p))
    for f_i in set(factor):
        mine = [i for i in range(m) if factor[i] == f_i]
        stack = np.stack([directions[i] for i in mine]).reshape(len(mine), -1)
        total[:, mine] = times(X[f_i].reshape(m, -1), stack.T)
        corner[mine] = times(stack, products.C[f_i][:p].reshape(p, stack.shape[1]).T)
    for i, e in enumerate(plan.chain):
        part = f.chain[e]
        XK = levels.multiply(X[e], part.K)
        flat = XK.reshape(m, -1)
        total -= times(flat, X[e].reshape(m, -1).T)
        corner -= times(flat, part.C[:p].reshape(p, flat.shape[1]).T)
        for g in plan.chain[i + 1 :]:
            count = products.A[g].shape[2]
            X[g] = X[g] - add_by_level(plan.parents[e, g], levels.multiply(X[e], part.KW[g]), count)
        if part.B is not None:
            fill = flat @ part.B
            for g in plan.dense:
                X[g] = X[g] - fill[:, dense_rows(plan, g)].reshape(X[g].shape)
    right = np.zeros((plan.size, m), order="F")  # the response's row stays zero, and is left out
    for g in plan.dense:
        right[dense_rows(plan, g)] = scale_columns(X[g].reshape(m, -1), f.T[g]).T
    right[plan.q_dense : -1] = corner.T
    forward = f.root.forward(right)[:-1]
    total -= times(forward.T, forward)
    result: FloatArray = 0.5 * (total + total.T)
    return result


def direction(column: FloatArray, row: int, response: FloatArray) -> FloatArray:
    """Return c = (e_a t' + t e_a') x for every level, (k, J): dSigma/dT[a, b] x, t = T[:, b].

    Parameters
    ----------
    column : float64 array (k,)
        t.
    row : int
        a.
    response : float64 array (k, J)
        x, one k-vector per level.
    """
    c = np.outer(column, response[row])
    c[row] += column @ response
    return c


def responses(
    plan: Plan, factor: Sequence[int], directions: Sequence[FloatArray]
) -> dict[int, FloatArray]:
    """Return Z_g'a_i for every factor g, (m, k_g, J_g)."""
    products = plan.products
    m = len(directions)
    out = {g: np.zeros((m, *A.shape[1:])) for g, A in enumerate(products.A)}
    for f in set(factor):
        mine = [i for i in range(m) if factor[i] == f]
        stack = np.stack([directions[i] for i in mine])
        for g, A in enumerate(products.A):
            if f == g:
                out[g][mine] = levels.multiply(stack, A)
                continue
            pair = products.pairs[min(f, g), max(f, g)]
            here, there = (pair.rows, pair.cols) if f < g else (pair.cols, pair.rows)
            values = pair.values if f < g else pair.values.swapaxes(0, 1)
            spread = levels.multiply(stack[:, :, here], values)
            out[g][mine] = add_by_level(there, spread, A.shape[2])
    return out


def whole_moments(f: Factorization, reml: bool) -> Moments:
    """Return the moments M of W = Z'Q_ Z for every pair of factors, from the dense W.

    Parameters
    ----------
    f : Factorization
        Without chain: of a plan made with ``whole=True``, or of a small model.
    """
    whole, T = f.plan, f.T
    q, fixed = whole.q_dense, whole.products.p if reml else 0
    H = whole.block.square(f.values)
    right = np.zeros((whole.size, q), order="F")
    right[:q] = whole.block.frame.scaled(H, T).T
    right[q : q + fixed] = f.border[:fixed]
    forward = f.root.forward(right)[: q + fixed]
    W = H - gram(forward.T)
    moments: Moments = {}
    for g in whole.dense:
        for h in whole.dense:
            if h < g:
                continue
            k_g, k_h = T[g].shape[0], T[h].shape[0]
            part = W[dense_rows(whole, g), dense_rows(whole, h)]
            blocks = part.reshape(k_g, -1, k_h, part.shape[1] // k_h).transpose(0, 2, 1, 3)
            flat = blocks.reshape(k_g * k_h, -1)
            moments[g, h] = gram(flat).reshape(k_g, k_h, k_g, k_h)
    return moments


def single_moments(f: Factorization, reml: bool) -> Moments:
    """Return the moments M for a model with one grouping factor, eliminated level by level.

    W_lm = delta_lm (G_l - G_l K_l G_l) - E_l'E_m, E_l = (fixed, k): REML only, through
    inv(S) of the fixed part.
    """
    (e,) = f.plan.chain
    part = f.chain[e]
    k = part.G.shape[0]
    N = part.residual()
    V = levels.multiply(part.G, N).reshape(k * k, -1)
    M = times(V, V.T)
    p = f.plan.products.p
    if reml and p:
        CN = levels.multiply(part.C[:p], N).reshape(p, -1)
        E = solve_lower(f.root.corner[:p, :p], CN)
        E = E.reshape(p, k, -1)
        EE = levels.multiply(levels.transpose(E), E).reshape(k * k, -1)
        flat = E.reshape(p * k, -1)
        U = times(flat, flat.T).reshape(p, k, p, k)
        mixed = times(V, EE.T)
        M = M - mixed - mixed.T
        M = M.reshape(k, k, k, k) + np.einsum("rxsz,rysw->xyzw", U, U)
    return {(e, e): M.reshape(k, k, k, k)}


def trace_products(
    T: tuple[FloatArray, ...], moments: Moments, factor: IntArray, row: IntArray, col: IntArray
) -> FloatArray:
    """Return tr(Q_ V_i Q_ V_j) for theta_i = T_f[a, b], (m, m).

    With D_i = e_a t_b' + t_b e_a' in every level, t_b = T[:, b]:
    tr(W D_i W D_j) = 2 sum_lm (t_b'W_lm e_c)(e_a'W_lm t_d) + (t_b'W_lm t_d)(e_a'W_lm e_c).
    """
    m = len(factor)
    out = np.empty((m, m))
    for (f, g), M in moments.items():
        left = np.tensordot(T[f].T, M, axes=1)
        first = left @ T[g]  # b c a d
        second = np.matmul(left.transpose(0, 2, 3, 1), T[g]).transpose(0, 2, 1, 3)  # b a c d
        total = 2.0 * (first + second)
        i, j = np.flatnonzero(factor == f), np.flatnonzero(factor == g)
        part = total[col[i][:, None], row[j], row[i][:, None], col[j]]
        out[i[:, None], j] = part
        out[j[:, None], i] = part.T
    return out
