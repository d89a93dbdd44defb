"""The sparse Cholesky factorisation of the mixed-model equations, for one theta.

With b_f,j = T_f u_f,j and Sigma_f = T_f T_f' (relative to sigma^2), level j of a chain factor is
eliminated by

    K_j = (Sigma^-1 + G_j)^-1 = T (I + T'G_j T)^-1 T'        (T is never inverted)
    H  <- H - B_j K_j B_j'                                    (everything it touches)
    logdet += log|I + T'G_j T|

where G_j is Z_j'Z_j less what earlier eliminations took away, and so is B_j. The dense block and
the border [Q y0] remain:

    S = T'H T + I (identity on random rows only) = L L',      `ranef.linalg.root`.

From the diagonal of L: log-determinants of the random and the fixed part, and the penalised
residual sum of squares r^2 = (last L_ii)^2. Cost per theta: nothing in n; O(sum J k^3) for the
chain, the kernel of `ranef.linalg.coupling`, and the root, at most q_dense^3 / 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg import levels
from ranef.linalg.plan import Plan
from ranef.linalg.root import Root
from ranef.typing import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Eliminated:
    """One chain factor after its elimination.

    Attributes
    ----------
    G, K : float64 arrays (k, k, J)
        Its diagonal blocks when its turn came, and (Sigma^-1 + G)^-1.
    C, CK : float64 arrays (p + 1, k, J)
        Its border at that time, and C K.
    W, KW : dict later chain factor -> float64 array (k, k', J)
        Its coupling with the level of a later chain factor it belongs to, and K W.
    B : sparse (k J, q_dense) or None
        Its coupling with the dense block at that time, row a * J + level.
    """

    G: FloatArray
    K: FloatArray
    C: FloatArray
    CK: FloatArray
    W: dict[int, FloatArray]
    KW: dict[int, FloatArray]
    B: sparse.csr_array | None

    def residual(self) -> FloatArray:
        """Return N_j = I - K_j G_j, (k, k, J): what elimination leaves of a level's effects."""
        N = -levels.multiply(self.K, self.G)
        for a in range(len(N)):
            N[a, a] += 1.0
        return N


@dataclass(frozen=True, slots=True, eq=False)
class Factorization:
    """The factorised system.

    Attributes
    ----------
    plan : Plan
    T : tuple of float64 arrays (k_f, k_f)
    chain : dict factor -> Eliminated
    values : float64 array
        The dense block H after the chain, as `Plan.block` stores it.
    left : tuple of float64 arrays
        T_g'H, as far as the block keeps it.
    border : float64 array (p + 1, q_dense)
        Border of the dense block after the chain.
    corner : float64 array (p + 1, p + 1)
    root : Root
        Triangular root of S.
    logdet_random, logdet_fixed, r2 : float
    """

    plan: Plan
    T: tuple[FloatArray, ...]
    chain: dict[int, Eliminated]
    values: FloatArray
    left: tuple[FloatArray, ...]
    border: FloatArray
    corner: FloatArray
    root: Root
    logdet_random: float
    logdet_fixed: float
    r2: float

    def fixed_root(self) -> FloatArray:
        """Return inv(L) of the fixed rows, (p, p): its cross-product is inv(Q'V0^-1 Q)."""
        if self.plan.products.p == 0:
            return np.zeros((0, 0))
        return np.asarray(np.linalg.inv(self.root.corner[:-1, :-1]), dtype=np.float64)


def factorize(plan: Plan, T: tuple[FloatArray, ...]) -> Factorization | None:
    """Factorise for relative covariance factors T; None if rounding made S indefinite.

    Parameters
    ----------
    plan : Plan
    T : tuple of float64 arrays (k_f, k_f)
        In the order of the cross-products; any square matrices, singular ones included.
    """
    products = plan.products
    corner = products.D.copy()
    values, border = plan.start_values, plan.border
    chain: dict[int, Eliminated] = {}
    logdet = 0.0
    G = {e: products.A[e] for e in plan.chain}
    C = {e: products.C[e] for e in plan.chain}
    W = dict(plan.couplings)
    B = {e: coupling.B for e, coupling in plan.coupling.items()}
    if B:
        values = values.copy()
    for i, e in enumerate(plan.chain):
        M = levels.multiply_right(levels.multiply_left(T[e].T, G[e]), T[e])
        for a in range(M.shape[0]):
            M[a, a] += 1.0
        with np.errstate(all="ignore"):  # rounding can make huge matrices indefinite
            inner, logdet_e = levels.inverse_factor(M)
        if not math.isfinite(logdet_e):
            return None
        logdet += logdet_e
        inner = levels.multiply_left(T[e], inner)  # K = inner inner'
        K = levels.multiply(inner, levels.transpose(inner))
        half = levels.multiply(C[e], inner)
        CK = levels.multiply(half, levels.transpose(inner))
        corner -= levels.sum_products(half, half)  # not CK C': that would cancel digits
        later = plan.chain[i + 1 :]
        KW = {g: levels.multiply(K, W[e, g]) for g in later}
        for j, g in enumerate(later):
            parent, count = plan.parents[e, g], products.A[g].shape[2]
            Wt = levels.transpose(W[e, g])
            G[g] = G[g] - levels.add_by_level(parent, levels.multiply(Wt, KW[g]), count)
            C[g] = C[g] - levels.add_by_level(parent, levels.multiply(C[e], KW[g]), count)
            for h in later[j + 1 :]:
                W[g, h] = W[g, h] - levels.add_by_level(parent, levels.multiply(Wt, KW[h]), count)
        if e in B:
            plan.coupling[e].update(plan.block, K, B[e], values)
            border = border - CK.reshape(CK.shape[0], -1) @ B[e]
            for g in later:
                B[g] = _hand_on(plan, e, g, B[e], B[g], KW[g])
        chain[e] = Eliminated(G[e], K, C[e], CK, {g: W[e, g] for g in later}, KW, B.get(e))
    left = plan.block.left(values, T)
    scaled = plan.block.congruent(values, T, left)
    root = plan.scheme.factorize(scaled, plan.block.frame.scaled(border, T), corner)
    if root is None:
        return None
    fixed = root.corner.diagonal()
    return Factorization(
        plan,
        T,
        chain,
        values,
        left,
        border,
        corner,
        root,
        logdet_random=logdet + root.logdet,
        logdet_fixed=2.0 * float(np.log(fixed[:-1]).sum()),
        r2=float(fixed[-1]) ** 2,
    )


def _hand_on(
    plan: Plan,
    e: int,
    g: int,
    B_e: sparse.csr_array,
    B_g: sparse.csr_array,
    KW: FloatArray,
) -> sparse.csr_array:
    """Return B_g less the sum of W_j'K_j B_j over the levels j of e that belong to each level."""
    own, above = plan.coupling[e], plan.coupling[g]
    entries = above.values(B_g)
    taken = levels.multiply(levels.transpose(KW)[:, :, own.level], own.values(B_e)[:, None])
    return above.with_values(
        entries - levels.add_by_level(own.lift[g], taken, entries.shape[1])[:, 0]
    )


def dense_rows(plan: Plan, g: int) -> slice:
    """Return the rows of a dense factor in the dense block."""
    k, _, J = plan.products.A[g].shape
    return slice(plan.offset[g], plan.offset[g] + k * J)
