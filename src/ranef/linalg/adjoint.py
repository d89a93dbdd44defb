"""Derivatives of the criterion by the adjoint of the elimination.

Let Q_ be P (REML) or V0^-1 (ML). For every factor f the derivative with respect to its relative
covariance matrix Sigma_f is

    F_f = sum_j [Z'Q_ Z]_jj - (nu / r^2) sum_j t_j t_j',        df/dT_f = 2 F_f T_f.

The trace part needs inv(S) on random rows (ML) or random and fixed rows (REML), and only where
the pattern of H is non-zero (a selected inverse; the response's row is left out, t carries it):

    dense factor g:       sum of blocks of H T inv(S), times inv(T_g)
    eliminated factor e:  sum_j G_j N_j - N_j'(B_j'H_ B_j) N_j,   N_j = I - K_j G_j,
                          H_ = T inv(S) T' on the pattern, passed down the chain by
                          H_Rj = -H_RR B_j K_j and H_jj = K_j + K_j B_j'H_RR B_j K_j.

T_g must be invertible here; the caller keeps its diagonal away from exact zero, which changes the
criterion by less than rounding and leaves the quotient accurate, because inv(S) carries T as a
factor. Cost: elements of inv(S) from its root (a dense one: 2/3 q_dense^3), otherwise like the
elimination.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.linalg import levels
from ranef.linalg.coupling import Coupling
from ranef.linalg.elimination import Eliminated, Factorization, dense_rows
from ranef.typing import FloatArray


def trace_gradient(f: Factorization, reml: bool) -> tuple[FloatArray, ...]:
    """Return sum_j [Z'Q_ Z]_jj for every factor, symmetric (k_f, k_f)."""
    fixed = f.plan.products.p if reml else 0
    corner, border, values = f.root.selected(fixed)
    out = {g: _divide_right(Y, f.T[g]) for g, Y in _dense_products(f, values, border).items()}
    traces, _ = _chain(f, corner, values, border)
    out.update(traces)
    return tuple(out[g] for g in range(len(f.T)))


def conditional_blocks(f: Factorization, *, fixed: bool = False) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of T inv(S) T' for every factor, (k_f, k_f, J_f).

    Times sigma^2 they are Var(b | y) at given beta (``fixed=False``, what conditional standard
    deviations of random effects show), or the prediction error variance of b (``fixed=True``).
    """
    corner, border, values = f.root.selected(f.plan.products.p if fixed else 0)
    out = f.plan.block.diagonal_blocks(_scaled(f, values))
    _, diagonal = _chain(f, corner, values, border)
    out.update(diagonal)
    return tuple(out[g] for g in range(len(f.T)))


def _chain(
    f: Factorization, corner: FloatArray, values: FloatArray, border: FloatArray
) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
    """Return traces and diagonal blocks for the chain factors, from inv(S)."""
    plan = f.plan
    if not plan.chain:
        return {}, {}
    if plan.dense:
        values = _scaled(f, values)
        border = plan.block.frame.scaled(border, tuple(T.T for T in f.T))
    return _chain_gradient(f, values, border, corner)


def _divide_right(Y: FloatArray, T: FloatArray) -> FloatArray:
    """Return the symmetric F with F T = Y; columns of T may be of very different size."""
    scale = np.sqrt((T * T).sum(axis=0))
    F = np.linalg.solve((T / scale).T, (Y / scale).T)
    return 0.5 * (F + F.T)


def _dense_products(
    f: Factorization, values: FloatArray, border: FloatArray
) -> dict[int, FloatArray]:
    """Return Y_g = sum over levels of [H T inv(S)]_ll for dense factors, (k_g, k_g).

    ``values`` are entries of inv(S) on the pattern, ``border`` those of its fixed rows.
    """
    plan = f.plan
    fixed = border.shape[0]
    Y = plan.block.traces(f.values, f.T, f.left, values)
    for g in plan.dense:
        if fixed:
            k, rows = f.T[g].shape[0], dense_rows(plan, g)
            Y[g] += levels.sum_products(
                f.border[:fixed, rows].reshape(fixed, k, -1).swapaxes(0, 1),
                border[:, rows].reshape(fixed, k, -1).swapaxes(0, 1),
            )
    return Y


def _scaled(f: Factorization, values: FloatArray) -> FloatArray:
    """Return T inv(S) T' from the elements of inv(S) on the pattern."""
    return f.plan.block.congruent(values, tuple(T.T for T in f.T))


def _chain_gradient(
    f: Factorization, values: FloatArray, border: FloatArray, corner: FloatArray
) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
    """Pass the selected inverse down the chain, from its last factor to its first."""
    plan, fixed = f.plan, len(corner)
    out: dict[int, FloatArray] = {}
    known = _Known({}, {}, {}, {})
    for e in reversed(plan.chain):
        part = f.chain[e]
        C = part.C[:fixed]
        touched = np.zeros(part.G.shape)
        from_border = levels.multiply_left(corner, C) if fixed else np.zeros_like(C)
        if part.B is not None:
            coupled = (part.B @ border.T).T.reshape(C.shape) if fixed else np.zeros_like(C)
            from_border = from_border + coupled
            touched += _from_dense(f, e, values, border, coupled, known)
        from_parent: dict[int, FloatArray] = {}
        for g, W in part.W.items():
            parent = plan.parents[e, g]
            Wt = levels.transpose(W)
            rows = known.border[g][:, :, parent]
            if fixed:
                from_border = from_border + levels.multiply(rows, Wt)
            V = levels.multiply(known.diagonal[g][:, :, parent], Wt)
            if fixed:
                V = V + levels.multiply(levels.transpose(rows), C)
            if part.B is not None:
                coupling = plan.coupling[e]
                there = known.dense[g][:, coupling.lift[g]]
                V = V + coupling.sum_entries(there, part.B, V.shape[2])
            for h, W_h in part.W.items():
                if h == g:
                    continue
                link = known.between(g, h)
                at_parent = parent if (g, h) in known.nested else plan.parents[e, h]
                V = V + levels.multiply(link[:, :, at_parent], levels.transpose(W_h))
            from_parent[g] = V
            touched += levels.multiply(W, V)
        if fixed:
            touched += levels.multiply(levels.transpose(C), from_border)
        N = part.residual()
        GN = levels.multiply(part.G, N)
        F = GN.sum(axis=2) - levels.sum_products(
            levels.transpose(N), levels.transpose(levels.multiply(touched, N))
        )
        out[e] = 0.5 * (F + F.T)
        _pass_down(e, part, touched, from_border, from_parent, known)
    return out, known.diagonal


def _from_dense(
    f: Factorization,
    e: int,
    values: FloatArray,
    border: FloatArray,
    coupled: FloatArray,
    known: _Known,
) -> FloatArray:
    """Return B_j times the dense columns of H_B_j', all of them, for every level, (k, k, J).

    ``coupled`` is B_j times the border's rows. Stores what factors before e will ask for; the
    first in the chain takes a shorter way.
    """
    plan, part = f.plan, f.chain[e]
    coupling, C = plan.coupling[e], part.C[: len(border)]
    assert part.B is not None
    shape = part.G.shape
    if e != plan.chain[0]:
        rows = coupling.times(plan.block, values, part.B) + known.above(coupling, part)
        rows += (C[:, :, coupling.level] * border[:, None, coupling.column]).sum(axis=0)
        K = part.K[:, :, coupling.level]
        known.dense[e] = -levels.multiply(K, rows[:, None])[:, 0]
        return levels.transpose(coupling.sum_entries(rows, part.B, shape[2]))
    out = coupling.adjoint(plan.block, values, part.B, shape)
    if len(border):
        out += levels.multiply(levels.transpose(coupled), C)
    if part.W:
        above = coupling.sum_entries(known.above(coupling, part), part.B, shape[2])
        out += levels.transpose(above)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """H_ where factors earlier in the chain will ask for it.

    ``diagonal[e]`` (k, k, J), ``border[e]`` (fixed, k, J), ``nested[e, g]`` (k, k', J) between a
    level and the one it belongs to, ``dense[e]`` (k, N) at the entries of the coupling.
    """

    diagonal: dict[int, FloatArray]
    border: dict[int, FloatArray]
    nested: dict[tuple[int, int], FloatArray]
    dense: dict[int, FloatArray]

    def between(self, g: int, h: int) -> FloatArray:
        """Return H_ between levels of g and h, of which one belongs to the other."""
        return self.nested[g, h] if (g, h) in self.nested else self.nested[h, g].swapaxes(0, 1)

    def above(self, coupling: Coupling, part: Eliminated) -> FloatArray:
        """Return the sum of W H_ over the later factors g, at the coupling's entries, (k, N)."""
        out = np.zeros((len(part.G), len(coupling.level)))
        for g, W in part.W.items():
            there = self.dense[g][:, coupling.lift[g]]
            out += levels.multiply(W[:, :, coupling.level], there[:, None])[:, 0]
        return out


def _pass_down(
    e: int,
    part: Eliminated,
    touched: FloatArray,
    from_border: FloatArray,
    from_parent: dict[int, FloatArray],
    known: _Known,
) -> None:
    """Store the rows of the selected inverse that factors earlier in the chain will ask for."""
    known.diagonal[e] = part.K + levels.multiply(levels.multiply(part.K, touched), part.K)
    known.border[e] = -levels.multiply(from_border, part.K)
    for g, V in from_parent.items():
        known.nested[e, g] = -levels.transpose(levels.multiply(V, part.K))
