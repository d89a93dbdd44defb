"""What leaving out rows does to the fixed effects, at given covariance parameters, without refits.

Rows are multiplied by sqrt(w), columns of X are those of Q (X = Q R), and numbers are relative to
sigma^2. For the rows S of a case, with e = P y the conditional residuals,

    A = Q'V0^-1 on S (p, s),   V = the block S, S of V0^-1,   C = inv(Q'V0^-1 Q) = root'root,
    L = root A V^-1 A'root',   u = root A V^-1 e_S,   loss = e_S'V^-1 e_S.

Deleting S is adding one indicator column per row of it to X (Christensen, Pearson, Johnson 1992,
Technometrics 34), and the inverse of a matrix with more columns gives, with M = I - L,

    beta - beta_(S)      = R^-1 root' M^-1 u
    Cov(beta_(S))        = R^-1 root' M^-1 root R^-T,        determinant relative to before: 1 / |M|
    r^2 - r^2_(S)        = loss + u'M^-1 u.

M is singular exactly where the other rows do not determine all coefficients. Under the model
M^-1 u has covariance sigma^2 L M^-1: how much a case may be expected to matter.

Three ways to L, u and loss: single rows from leverages; groups that are independent of all other
rows, where V^-1 is the inverse of nothing larger than a level's effects, from sums over their
rows; and any other groups from small matrices, in `ranef.diagnostics.touched`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ranef.diagnostics.leverage import hat_values, own_rows, root_weights
from ranef.model import LinearMixedModel
from ranef.prediction import Rows, absorbed_columns
from ranef.typing import BoolArray, FloatArray, IntArray

# Squared part of the columns of X that must be left without a case, relative to before; less and
# the other rows do not determine the coefficients (the cross-products' own limit in the fit).
SMALLEST_LEFT = 1e-10
# Numbers in the largest array at a time.
BLOCK = 1 << 22

Share: TypeAlias = tuple[FloatArray, FloatArray, float]
"""L (p, p), u (p,) and loss of one case."""


@dataclass(frozen=True, slots=True, eq=False)
class Removal:
    """What the deletions of m cases do, at given covariance parameters.

    Attributes
    ----------
    change : float64 array (m, p)
        beta - beta_(S); NaN where the other rows do not determine beta.
    variance : float64 array (m, p)
        Var(beta_(S)) / sigma^2.
    distance : float64 array (m,)
        change' (X'V0^-1 X) change.
    logdet : float64 array (m,)
        log of |Cov(beta_(S))| / |Cov(beta)| for the same sigma^2.
    loss : float64 array (m,)
        By how much the penalised residual sum of squares falls.
    expected : float64 array (m, p), or (m, 1) for single rows
        Eigenvalues of Cov(M^-1 u) / sigma^2 that may differ from zero: under the model,
        distance / sigma^2 is distributed as the sum of these multiples of independent
        chi-squared variables.
    size : int array (m,)
        Rows deleted.
    """

    change: FloatArray
    variance: FloatArray
    distance: FloatArray
    logdet: FloatArray
    loss: FloatArray
    expected: FloatArray
    size: IntArray

    @property
    def undetermined(self) -> BoolArray:
        """Cases without which beta is not determined, (m,)."""
        found: BoolArray = np.isnan(self.logdet)
        return found


class Rowwise:
    """Quantities of every row that deletions are made of, in blocks of rows.

    Parameters
    ----------
    model : LinearMixedModel
    """

    def __init__(self, model: LinearMixedModel) -> None:
        self.model = model
        self.rows: Rows = own_rows(model)
        self.root_weights = root_weights(model)
        self.R_inverse = model.problem.basis.R_inverse
        self.root = model.state.factorization.fixed_root()
        self.p = len(self.root)

    @cached_property
    def absorbed(self) -> tuple[FloatArray, ...]:
        """Q'Z K for every factor, (p, k_f, J_f)."""
        return absorbed_columns(self.model.state.factorization)

    @cached_property
    def residual(self) -> FloatArray:
        """P y = sqrt(w) (y - X beta - Z b), (n,)."""
        e: FloatArray = self.root_weights * self.model.resid.to_numpy()
        return e

    @cached_property
    def marginal(self) -> FloatArray:
        """sqrt(w) (y - X beta), (n,); the offset is part of X beta."""
        return self.root_weights * marginal_residuals(self.model)

    def fixed(self, rows: slice | IntArray) -> FloatArray:
        """Return rows of Q, (m, p)."""
        X = self.rows.X[rows]
        full: FloatArray = X if isinstance(X, np.ndarray) else X.toarray()
        return (full * self.root_weights[rows, None]) @ self.R_inverse

    def random(self, factor: int, rows: slice | IntArray) -> FloatArray:
        """Return the random-effects columns of a factor in the core's coordinates, (m, k)."""
        z: FloatArray = self.rows.groups[factor].z[rows] * self.root_weights[rows, None]
        return z

    def projected(self, rows: slice | IntArray) -> FloatArray:
        """Return rows of V0^-1 Q, (m, p)."""
        out = self.fixed(rows)
        for factor, group in enumerate(self.rows.groups):
            at = self.absorbed[factor][:, :, group.codes[rows]]
            out -= np.einsum("pkm,mk->mp", at, self.random(factor, rows))
        return out

    def blocks(self, width: int) -> Iterator[slice]:
        """Yield slices of rows, ``width`` numbers each."""
        step = max(1, BLOCK // max(1, width))
        for start in range(0, len(self.root_weights), step):
            yield slice(start, start + step)


def marginal_residuals(model: LinearMixedModel) -> FloatArray:
    """Return y - X beta - offset, (n,)."""
    basis, offset = model.problem.basis, model.design.offset
    mean: FloatArray = basis.columns @ model.problem.coefficients(model.state)
    return model.design.y - mean - (0.0 if offset is None else offset)


def delete_rows(model: LinearMixedModel) -> Removal:
    """Return the deletion of every single row: L has rank one, and M^-1 is written down."""
    at = Rowwise(model)
    n, p = model.nobs, at.p
    P = 1.0 - hat_values(model)  # V = P + |root A|^2, without cancellation
    e, half = at.residual, at.R_inverse @ at.root.T
    own = (half * half).sum(axis=1)  # Var(beta) / sigma^2
    change, variance = np.empty((n, p)), np.empty((n, p))
    expected = np.empty((n, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        for block in at.blocks(3 * p + max(map(len, model.state.factorization.T), default=1) * p):
            whitened = at.projected(block) @ at.root.T
            along = whitened @ half.T
            change[block] = along * (e[block] / P[block])[:, None]
            variance[block] = own + along * along / P[block, None]
            expected[block, 0] = (whitened * whitened).sum(axis=1) / P[block]
        logdet = np.log1p(expected[:, 0])
        loss = e * e / P
        distance = expected[:, 0] * loss
    removal = Removal(change, variance, distance, logdet, loss, expected, np.ones(n, dtype=np.intp))
    # 1 / |M| = V / P
    return _blanked(removal, ~(logdet < -np.log(SMALLEST_LEFT)))


def delete_independent(model: LinearMixedModel, codes: IntArray, count: int) -> Removal:
    """Return the deletion of groups of rows that share no random effect with other rows.

    Then V^-1 is the covariance matrix of the group's rows, and sums over its rows are enough:
    A V^-1 A' = Q_S' (V0^-1 Q)_S, A V^-1 e_S = Q_S'e_S, e_S'V^-1 e_S = r_S'e_S.

    Parameters
    ----------
    model : LinearMixedModel
    codes : int array (n,)
        The group of every row.
    count : int
        Number of groups.
    """
    at = Rowwise(model)
    product = at.marginal * at.residual

    def one(rows: IntArray) -> Share:
        Q = at.fixed(rows) @ at.root.T
        L = Q.T @ (at.projected(rows) @ at.root.T)
        return L, at.residual[rows] @ Q, float(product[rows].sum())

    return delete_each(at, codes, count, one)


def delete_each(
    at: Rowwise, codes: IntArray, count: int, one: Callable[[IntArray], Share]
) -> Removal:
    """Return the deletions of groups from their L, u and loss.

    Parameters
    ----------
    at : Rowwise
    codes : int array (n,)
        The group of every row.
    count : int
        Number of groups.
    one : callable
        From the rows of a group to its L (p, p), u (p,) and loss.
    """
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes, minlength=count)
    ends = np.cumsum(size)
    step = max(1, BLOCK // (at.p * at.p))
    parts = []
    for first in range(0, count, step):
        chunk = slice(first, first + step)
        bounds = zip((ends - size)[chunk], ends[chunk], strict=True)
        shares = [one(order[start:stop]) for start, stop in bounds]
        L, u, loss = (np.array([share[i] for share in shares]) for i in range(3))
        parts.append(_finish(at, 0.5 * (L + L.swapaxes(1, 2)), u, loss, size[chunk]))
    return Removal(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Removal))
    )


def _finish(at: Rowwise, L: FloatArray, u: FloatArray, loss: FloatArray, size: IntArray) -> Removal:
    """Return the deletions of m cases from L (m, p, p), u (m, p), loss (m,) and size (m,)."""
    values, vectors = np.linalg.eigh(L)
    values = np.clip(values, 0.0, None)  # rounding
    left = 1.0 - values  # eigenvalues of M
    with np.errstate(divide="ignore", invalid="ignore"):
        half = (at.R_inverse @ at.root.T) @ vectors  # (m, p, p)
        inside = np.einsum("mij,mi->mj", vectors, u)
        change = np.einsum("mij,mj->mi", half, inside / left)
        variance = np.einsum("mij,mj->mi", half * half, 1.0 / left)
        distance = ((inside / left) ** 2).sum(axis=1)
        removal = Removal(
            change,
            variance,
            distance,
            -np.log(left).sum(axis=1),
            loss + (inside * inside / left).sum(axis=1),
            values / left,
            size,
        )
    return _blanked(removal, ~(left > SMALLEST_LEFT).all(axis=1))


def _blanked(removal: Removal, undetermined: BoolArray) -> Removal:
    """Set everything to NaN where the coefficients are not determined."""
    for name in ("change", "variance", "distance", "logdet", "loss", "expected"):
        getattr(removal, name)[undetermined] = np.nan
    return removal
