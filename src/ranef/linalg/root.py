"""The triangular root of what the chain of eliminations leaves: S = L L'.

S is the block of the remaining random effects, T'H T + I, bordered by the columns [Q y0]. Its root
is all that the rest of the core needs: log determinants, triangular solves, and the elements of
inv(S) where H can be non-zero. Two kinds share this interface:

* `DenseRoot`: one LAPACK factorisation of the whole block, size^3 / 3 operations.
* `ranef.linalg.sparse_root`: random effects that meet few others are eliminated first.

Rows of the random effects may stand in any order inside a root, but they come out as they went in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import lapack

from ranef.linalg.dense import complete, inverse_from_factor, solve_lower
from ranef.typing import FloatArray, IntArray


class Selected(NamedTuple):
    """Elements of inv(S): those of its fixed rows, (m, m), and (m, q), and those on the pattern."""

    corner: FloatArray
    border: FloatArray
    values: FloatArray


class Root(Protocol):
    """What is known about S = L L'."""

    @property
    def logdet(self) -> float:
        """Log determinant of the random effects' part of S."""
        ...

    @property
    def corner(self) -> FloatArray:
        """L of the border, lower triangle (p + 1, p + 1)."""
        ...

    @property
    def border(self) -> FloatArray:
        """Rows of L of the border, in the columns of the random effects, (p + 1, q)."""
        ...

    def forward(self, right: FloatArray) -> FloatArray:
        """Return inv(L) right for ``right`` (size, m)."""
        ...

    def backward(self, right: FloatArray) -> FloatArray:
        """Return inv(L') right for ``right`` (size,) or (size, m)."""
        ...

    def selected(self, fixed: int) -> Selected:
        """Return inv(S) of the random effects and the first ``fixed`` rows of the border."""
        ...


class Scheme(Protocol):
    """How S is factorised: everything that does not depend on its values."""

    def factorize(self, values: FloatArray, border: FloatArray, corner: FloatArray) -> Root | None:
        """Return the root, or None where rounding made S indefinite.

        Parameters
        ----------
        values : float64 array
            T'H T as the block stores it (see `ranef.linalg.block`), without the identity.
        border : float64 array (p + 1, q)
        corner : float64 array (p + 1, p + 1)
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DenseScheme:
    """LAPACK on the whole of S.

    Attributes
    ----------
    position : int array or None
        Flat places of the pattern in the lower triangle of S, column-major; None where the values
        are all of the matrix (q, q).
    """

    position: IntArray | None

    def factorize(self, values: FloatArray, border: FloatArray, corner: FloatArray) -> Root | None:
        """See `Scheme`."""
        return dense_root(values, self.position, border, corner, 1.0)


def dense_root(
    values: FloatArray,
    position: IntArray | None,
    border: FloatArray,
    corner: FloatArray,
    ridge: float = 0.0,
) -> DenseRoot | None:
    """Return the root of the bordered matrix with ``values`` at ``position``, plus a ridge.

    See `DenseScheme`. None where rounding made it indefinite. The ridge is for the random effects
    alone.
    """
    q = border.shape[1]
    size = q + len(corner)
    flat = np.zeros(size * size)
    S: FloatArray = flat.reshape(size, size, order="F")
    if position is None:
        S[:q, :q] = values.reshape(q, q).T  # symmetric, and so in the order of S
    else:
        flat[position] = values
    flat[: q * (size + 1) : size + 1] += ridge
    S[q:, :q] = border
    S[q:, q:] = corner
    L, info = lapack.dpotrf(S, lower=1, clean=0, overwrite_a=1)
    return DenseRoot(L, q, position) if info == 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class DenseRoot:
    """The lower Cholesky factor L (size, size), column-major; its upper triangle is undefined."""

    L: FloatArray
    q: int
    position: IntArray | None

    @property
    def logdet(self) -> float:
        """Log determinant of the random effects' part of S."""
        return 2.0 * float(np.log(self.L.diagonal()[: self.q]).sum())

    @property
    def corner(self) -> FloatArray:
        """L of the border, lower triangle (p + 1, p + 1)."""
        return np.tril(self.L[self.q :, self.q :])

    @property
    def border(self) -> FloatArray:
        """Rows of L of the border, (p + 1, q)."""
        return self.L[self.q :, : self.q]

    def forward(self, right: FloatArray) -> FloatArray:
        """Return inv(L) right."""
        return solve_lower(self.L, right)

    def backward(self, right: FloatArray) -> FloatArray:
        """Return inv(L') right."""
        return solve_lower(self.L, right, transposed=True)

    def selected(self, fixed: int) -> Selected:
        """See `Root`. The rows of the border that are not wanted become those of the identity."""
        q, size = self.q, self.q + fixed
        if self.position is None:
            inverse = inverse_from_factor(np.array(self.L[:size, :size], order="F"))
            values = np.array(inverse[:q, :q].T, order="C")  # the lower triangle is now the upper
            complete(values.T)
            values = values.ravel()
        else:
            L = self.L.copy(order="F")  # all of it, because of the positions
            L[size:, :] = 0.0
            rest = np.arange(size, len(L))
            L[rest, rest] = 1.0
            inverse = inverse_from_factor(L)
            values = inverse.ravel(order="K")[self.position]
        return Selected(symmetric(inverse[q:size, q:size]), inverse[q:size, :q].copy(), values)


def symmetric(half: FloatArray) -> FloatArray:
    """Return the symmetric matrix of a lower triangle."""
    both: FloatArray = np.tril(half) + np.tril(half, -1).T
    return both
