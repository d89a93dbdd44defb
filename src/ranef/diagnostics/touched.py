"""Deleting groups of rows that share random effects with other rows: nested and crossed designs.

A group touches some levels of every grouping factor. With Z its rows of the random-effects columns
of those levels and K the conditional covariance matrix of their effects (given the whole data and
beta, relative to sigma^2), see `ranef.diagnostics.deletion` for the rest,

    V = I - Z K Z',      A = Q' - (Q'Z K of the fit) Z'.

Groups with more rows than columns (touched effects and p) are compressed first: the triangular
factor of [Z Q e] has the same cross-products, and those are all that counts. Groups that touch so
much that this costs more than a factorisation are summed and factorised without their rows instead.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from ranef.diagnostics.deletion import Removal, Rowwise, Share, delete_each
from ranef.errors import FitError
from ranef.estimation import make_problem
from ranef.inference.jackknife import without
from ranef.linalg.elimination import dense_rows
from ranef.model import LinearMixedModel
from ranef.prediction import LevelCovariances, level_covariances
from ranef.typing import FloatArray, IntArray

# Touched effects of a group, and numbers in their columns, beyond which it is factorised anew.
MOST_EFFECTS, MOST_NUMBERS = 1500, 10_000_000


def delete_groups(model: LinearMixedModel, codes: IntArray, count: int) -> Removal:
    """Return the deletion of any groups of rows.

    Parameters
    ----------
    model : LinearMixedModel
    codes : int array (n,)
        The group of every row.
    count : int
        Number of groups.
    """
    at = Rowwise(model)
    f = model.state.factorization
    several = len(f.T) > 1 or bool(f.plan.dense)
    covariances = level_covariances(f, pairs=several)

    def one(rows: IntArray) -> Share:
        touched = [np.unique(group.codes[rows]) for group in at.rows.groups]
        effects = sum(len(t) * len(T) for t, T in zip(touched, f.T, strict=True))
        if effects > MOST_EFFECTS or effects * len(rows) > MOST_NUMBERS:
            return _factorised_without(at, rows)
        return _dense(at, covariances, rows, touched)

    return delete_each(at, codes, count, one)


def _dense(
    at: Rowwise, covariances: LevelCovariances, rows: IntArray, touched: list[IntArray]
) -> Share:
    """Return L, u and loss of one group of rows."""
    Z, absorbed = _columns(at, rows, touched)
    q, p = Z.shape[1], at.p
    whole = np.column_stack([Z, at.fixed(rows), at.residual[rows]])
    if len(whole) > whole.shape[1]:
        whole = np.asarray(np.linalg.qr(whole, mode="r"))
    Z, Q, e = whole[:, :q], whole[:, q : q + p], whole[:, -1]
    V = np.eye(len(whole)) - Z @ conditional_covariance(covariances, touched) @ Z.T
    try:
        root = np.linalg.cholesky(V)
    except np.linalg.LinAlgError as error:
        raise FitError(
            "variances of random effects are so much larger than the residual variance that "
            "rounding hides what a group contributes: use exact=True."
        ) from error
    A = (Q - Z @ absorbed.T) @ at.root.T
    B = solve_triangular(root, A, lower=True)
    v = solve_triangular(root, e, lower=True)
    return B.T @ B, B.T @ v, float(v @ v)


def _columns(at: Rowwise, rows: IntArray, touched: list[IntArray]) -> tuple[FloatArray, FloatArray]:
    """Return the rows' random-effects columns (m, q_S), and Q'Z K for the same effects (p, q_S).

    Factor by factor; within a factor column by column, then level by level.
    """
    Z, absorbed = [], []
    for factor, levels in enumerate(touched):
        z = at.random(factor, rows)
        place = np.searchsorted(levels, at.rows.groups[factor].codes[rows])
        out = np.zeros((len(rows), z.shape[1], len(levels)))
        out[np.arange(len(rows)), :, place] = z
        Z.append(out.reshape(len(rows), -1))
        absorbed.append(at.absorbed[factor][:, :, levels].reshape(at.p, -1))
    return np.concatenate(Z, axis=1), np.concatenate(absorbed, axis=1)


def conditional_covariance(covariances: LevelCovariances, touched: list[IntArray]) -> FloatArray:
    """Return K among the effects of some levels, (q_S, q_S), ordered as in `_columns`.

    Parameters
    ----------
    covariances : LevelCovariances
    touched : list of int arrays
        Levels of every factor, increasing.
    """
    plan = covariances.f.plan
    if plan.chain and plan.dense:
        return _chain_and_dense(covariances, touched)
    widths = [len(own) for own in covariances.own]
    starts = np.cumsum([0, *(k * len(t) for k, t in zip(widths, touched, strict=True))])
    K = np.empty((starts[-1], starts[-1]))
    if plan.dense:
        assert covariances.dense is not None
        where = _dense_places(covariances, touched)
        return covariances.dense.square(where)
    for g, levels in enumerate(touched):
        for h in range(g + 1):
            pairs = np.repeat(levels, len(touched[h])), np.tile(touched[h], len(levels))
            shape = (widths[g], widths[h], len(levels), len(touched[h]))
            blocks = covariances.between(g, h, *pairs).reshape(shape)
            part = blocks.swapaxes(1, 2).reshape(starts[g + 1] - starts[g], -1)
            K[starts[g] : starts[g + 1], starts[h] : starts[h + 1]] = part
            K[starts[h] : starts[h + 1], starts[g] : starts[g + 1]] = part.T
    return K


def _dense_places(covariances: LevelCovariances, touched: list[IntArray]) -> IntArray:
    """Return where the touched effects of dense factors stand in the dense block."""
    plan = covariances.f.plan
    places = []
    for g in plan.dense:
        k, _, count = covariances.own[g].shape
        places.append(
            (dense_rows(plan, g).start + np.arange(k)[:, None] * count + touched[g]).ravel()
        )
    return np.concatenate(places)


def _chain_and_dense(covariances: LevelCovariances, touched: list[IntArray]) -> FloatArray:
    """Return K where a chain of factors was eliminated before a dense block of all others.

    Backwards: with S what comes after factor e, and N = K_e [W B] its coupling with S times K_e,
    K_eS = -N K_SS and K_ee = K_e + N K_SS N'. A row that touches a level of e also touches the
    levels of the chain that it belongs to, so S needs only touched levels and the dense block.
    """
    f, dense = covariances.f, covariances.dense
    plan = f.plan
    assert dense is not None
    inside, across = np.zeros((0, 0)), np.zeros((0, plan.q_dense))
    for i in reversed(range(len(plan.chain))):
        e, later = plan.chain[i], plan.chain[i + 1 :]
        part, levels = f.chain[e], touched[e]
        assert part.B is not None
        k, count, at = len(part.K), len(levels), np.arange(len(levels))
        rows = (np.arange(k)[:, None] * part.K.shape[2] + levels).ravel()
        to_later = [np.zeros((k, count, 0))]
        for g in later:
            W = np.zeros((k, count, part.W[g].shape[1], len(touched[g])))
            parents = np.searchsorted(touched[g], plan.parents[e, g][levels])
            W[:, at, :, parents] = part.W[g][:, :, levels].transpose(2, 0, 1)
            to_later.append(W.reshape(k, count, -1))
        K = part.K[:, :, levels]
        C = _times(K, np.concatenate(to_later, axis=2))
        D = _times(K, part.B[rows].toarray().reshape(k, count, -1))
        beside = C @ inside + D @ across.T
        half = C @ across + dense.times(D)
        own = beside @ C.T + half @ D.T
        own.reshape(k, count, k, count)[:, at, :, at] += K.transpose(2, 0, 1)
        inside = np.block([[own, -beside], [-beside.T, inside]])
        across = np.concatenate([-half, across])
    where = _dense_places(covariances, touched)
    across = across[:, where]
    whole = np.block([[inside, across], [across.T, dense.square(where)]])
    widths = [len(own) * len(levels) for own, levels in zip(covariances.own, touched, strict=True)]
    found = (*plan.chain, *plan.dense)
    starts = dict(zip(found, np.cumsum([0, *(widths[g] for g in found)]), strict=False))
    order = np.concatenate([starts[g] + np.arange(width) for g, width in enumerate(widths)])
    return np.asarray(whole[np.ix_(order, order)])


def _times(K: FloatArray, blocks: FloatArray) -> FloatArray:
    """Return K_j times the rows of every level: (k, k, J), (k, J, q) -> (k J, q)."""
    product: FloatArray = np.einsum("abl,blq->alq", K, blocks)
    return product.reshape(blocks.shape[0] * blocks.shape[1], -1)


def _factorised_without(at: Rowwise, rows: IntArray) -> Share:
    """Return L, u and loss from the fit without the rows at the same theta.

    With beta_(S), C_(S) and r^2_(S) of that: M^-1 = root^-T C_(S) root^-1 in the coordinates of Q,
    u = M root^-T (gamma - gamma_(S)), loss = r^2 - r^2_(S) - u'M^-1 u.
    """
    model = at.model
    keep = np.ones(model.nobs, dtype=bool)
    keep[rows] = False
    p = at.p
    nothing = np.eye(p), np.full(p, np.nan), np.nan  # L = I: nothing is left
    try:
        problem = make_problem(without(model.design, keep), reml=model.reml)
    except FitError:
        return nothing
    if not np.array_equal(problem.basis.kept, model.problem.basis.kept):
        return nothing
    T = problem.read_theta("theta", model.theta)
    state = problem.objective.state(T)
    R = model.problem.basis.R
    change = R @ (model.problem.coefficients(model.state) - problem.coefficients(state))
    spread = R @ problem.covariance(state) @ R.T / state.sigma2
    upper = np.linalg.inv(at.root)
    M = np.linalg.inv(upper.T @ spread @ upper)
    moved = upper.T @ change
    u = M @ moved
    loss = model.state.factorization.r2 - state.factorization.r2 - float(u @ moved)
    return np.eye(p) - M, u, loss
