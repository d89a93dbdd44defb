"""The random effects that the chain leaves: how their cross-products H are stored.

Rows of the block: offset[g] + a * J_g + level, a = 0 .. k_g - 1, for its factors g. The values of H
are one vector, in one of two layouts with the same operations:

* `ranef.linalg.pattern_block`: only pairs of levels that can be non-zero.
* `ranef.linalg.full_block`: all of the symmetric matrix, where most of it is not zero.

T stands for one matrix (k_g, k_g) per factor, applied to every level.
"""

from __future__ import annotations

from typing import Protocol

from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.pattern import Frame
from ranef.typing import FloatArray, IntArray

Factors = tuple[FloatArray, ...]


class Block(Protocol):
    """What can be done with values of H, or of another symmetric matrix like it."""

    @property
    def frame(self) -> Frame:
        """The factors of the block."""
        ...

    @property
    def q(self) -> int:
        """Rows."""
        ...

    @property
    def diagonal(self) -> IntArray:
        """Places of the diagonal elements in the vector of values, (q,)."""
        ...

    @property
    def position(self) -> IntArray | None:
        """Places of the values in the lower triangle of S, column-major; None for all of it."""
        ...

    def start(self, products: CrossProducts) -> FloatArray:
        """Return the cross-products of the data."""
        ...

    def left(self, values: FloatArray, T: Factors) -> Factors:
        """Return T'H, as far as it is worth keeping."""
        ...

    def congruent(self, values: FloatArray, T: Factors, left: Factors = ()) -> FloatArray:
        """Return T'H T; ``left`` is T'H if that is known."""
        ...

    def traces(
        self, values: FloatArray, T: Factors, left: Factors, inverse: FloatArray
    ) -> dict[int, FloatArray]:
        """Return the sum over levels of [H T V]_ll for every factor, (k_g, k_g)."""
        ...

    def diagonal_blocks(self, values: FloatArray) -> dict[int, FloatArray]:
        """Return the blocks of every level with itself, (k_g, k_g, J_g)."""
        ...

    def times(self, vectors: FloatArray, values: FloatArray) -> FloatArray:
        """Return vectors (m, q) H."""
        ...

    def square(self, values: FloatArray) -> FloatArray:
        """Return H as a matrix (q, q); perhaps as a view."""
        ...

    def complete(self, values: FloatArray) -> None:
        """Copy the lower triangle, where sums were put, to the upper one, if that is kept."""
        ...
