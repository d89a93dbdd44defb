"""Z'P a for directions a = Z c: what a change of the data along a does to every random effect.

The directions become further columns of the border, beside Q and before the response: [Q a y0].
One elimination then leaves Z'V0^-1 Q, Z'V0^-1 a and, in its triangular factor, Q'V0^-1 a, so that

    Z'P a = Z'V0^-1 a - (Z'V0^-1 Q) inv(Q'V0^-1 Q) Q'V0^-1 a.

The cross-products of the directions with themselves play no part; in their place stands a
well-conditioned matrix, so that collinear directions do no harm. Cost: one elimination with m more
columns, and its plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ranef.linalg.elimination import Factorization, factorize
from ranef.linalg.information import responses
from ranef.linalg.plan import plan_like
from ranef.linalg.solution import fixed_scores
from ranef.typing import FloatArray


def direction_scores(
    f: Factorization, factor: Sequence[int], directions: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Return Z_g'P a_i for a_i = Z c_i and every factor g, (m, k_g, J_g).

    Parameters
    ----------
    f : Factorization
    factor : m ints
        Which factor each direction belongs to; m > 0.
    directions : m float64 arrays (k_f, J_f)

    Raises
    ------
    numpy.linalg.LinAlgError
        If rounding makes the equations indefinite.
    """
    products = f.plan.products
    p, m = products.p, len(directions)
    Za = responses(f.plan, factor, directions)
    along = enumerate(zip(factor, directions, strict=True))
    size = np.array([(c * Za[g][i]).sum() for i, (g, c) in along])
    size = np.sqrt(np.where(size > 0.0, size, 1.0))
    Za = {g: z / size[:, None, None] for g, z in Za.items()}
    D = np.zeros((p + m + 1, p + m + 1))
    D[:p, :p] = products.D[:p, :p]
    D[-1, -1] = products.D[-1, -1]
    for i, (g, c) in enumerate(zip(factor, directions, strict=True)):
        at = p + i
        D[at, :p] = D[:p, at] = np.tensordot(products.C[g][:p], c, axes=2) / size[i]
        D[at, p : p + m] = Za[g].reshape(m, -1) @ c.ravel() / size[i]
    # a'a + I instead of a'a: positive definite whatever the directions are
    D[p : p + m, p : p + m] += np.eye(m)
    wider = replace(
        products,
        C=tuple(
            np.concatenate([C[:p], Za[g], np.zeros((1, *C.shape[1:]))])
            for g, C in enumerate(products.C)
        ),
        D=D,
    )
    solved = factorize(plan_like(f.plan, wider), f.T)
    if solved is None:
        raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
    L = solved.root.corner[: p + m, :p]
    projection = np.linalg.solve(L[:p].T, L[p:].T).T  # a'V0^-1 Q inv(Q'V0^-1 Q), (m, p)
    out = []
    for scores in fixed_scores(solved):
        fixed = np.tensordot(projection, scores[:p], axes=1)
        out.append(size[:, None, None] * (scores[p:] - fixed))
    return tuple(out)
