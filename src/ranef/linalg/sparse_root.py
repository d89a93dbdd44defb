"""The root of S where random effects that meet few others are eliminated first.

For the nodes I of a round (see `ranef.linalg.ordering`), with pivots d, elements F of their rows
and c of their columns in the border,

    S  <- S - F' diag(1/d) F,      border <- border - c diag(1/d) F,      corner <- corner - ..,

and what remains after all rounds, the core with the border, goes to LAPACK. Elements of inv(S) on
the pattern follow backwards (Takahashi, Fagan and Chin 1973): with H = inv(S) of what was left
when the round ended,

    H_RI = -H_RR [F c]' / d,       H_II = (1 - [F c] H_RI) / d,

which needs H_RR only between neighbours of a node: elements that S has too.

Cost of each: 2 to 4 operations for every pair of neighbours, and the core's cube.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg.ordering import Ordering, Round
from ranef.linalg.root import DenseRoot, Root, Selected, dense_root
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class SparseScheme:
    """Elimination of nodes in rounds, then LAPACK on the core.

    Attributes
    ----------
    ordering : Ordering
    position : int array
        Flat places of the core's elements in its lower triangle with the border, column-major.
    """

    ordering: Ordering
    position: IntArray

    def factorize(self, values: FloatArray, border: FloatArray, corner: FloatArray) -> Root | None:
        """See `ranef.linalg.root.Scheme`."""
        order = self.ordering
        left = np.zeros(order.slots)
        left[order.place] = values
        left[: order.q] += 1.0
        border, corner = border.copy(), corner.copy()
        steps = []
        for part in order.rounds:
            pivots, F = left[part.nodes], left[part.slot]
            if not (pivots > 0.0).all():
                return None
            step = make_step(part, pivots, F, border[:, part.nodes])
            products = F[part.upper] * (F / pivots[part.level])[part.lower]
            left[part.target] -= np.add.reduceat(products, part.start)
            weighted = step.border / pivots
            border[:, part.around] -= (step.matrix.T @ weighted.T).T
            corner -= weighted @ step.border.T
            steps.append(step)
        core = dense_root(left[order.core_slot], self.position, border[:, order.core], corner)
        return None if core is None else SparseRoot(order, tuple(steps), core)


def make_sparse_scheme(ordering: Ordering, border: int) -> SparseScheme:
    """Return the scheme of an ordering for a border of so many rows."""
    size = len(ordering.core) + border
    return SparseScheme(ordering, ordering.core_row + ordering.core_column * size)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One round, done: pivots d (m,), elements F (N,) and columns c of the border (p + 1, m).

    ``matrix`` is F as nodes by neighbours, (m, r).
    """

    part: Round
    pivots: FloatArray
    F: FloatArray
    border: FloatArray
    matrix: sparse.csr_array


def make_step(part: Round, pivots: FloatArray, F: FloatArray, border: FloatArray) -> Step:
    """Return the step of a round; see `Step`."""
    shape = (len(part.nodes), len(part.around))
    matrix = sparse.csr_array((F, part.column, part.pointer), shape=shape)
    return Step(part, pivots, F, border, matrix)


@dataclass(frozen=True, slots=True, eq=False)
class SparseRoot:
    """The rounds, done, and the root of the core with the border."""

    ordering: Ordering
    steps: tuple[Step, ...]
    core: DenseRoot

    @property
    def logdet(self) -> float:
        """Log determinant of the random effects' part of S."""
        return self.core.logdet + sum(float(np.log(step.pivots).sum()) for step in self.steps)

    @property
    def corner(self) -> FloatArray:
        """L of the border, lower triangle (p + 1, p + 1)."""
        return self.core.corner

    @property
    def border(self) -> FloatArray:
        """Rows of L of the border, (p + 1, q)."""
        out = np.empty((len(self.core.corner), self.ordering.q))
        out[:, self.ordering.core] = self.core.border
        for step in self.steps:
            out[:, step.part.nodes] = step.border / np.sqrt(step.pivots)
        return out

    def forward(self, right: FloatArray) -> FloatArray:
        """Return inv(L) right."""
        q = self.ordering.q
        out = np.array(right, order="C")
        for step in self.steps:
            part, root = step.part, np.sqrt(step.pivots)[:, None]
            own = out[part.nodes] / root
            out[part.nodes] = own
            own = own / root
            out[part.around] -= step.matrix.T @ own
            out[q:] -= step.border @ own
        rest = self._rest()
        out[rest] = self.core.forward(np.asfortranarray(out[rest]))
        return out

    def backward(self, right: FloatArray) -> FloatArray:
        """Return inv(L') right."""
        q = self.ordering.q
        out = np.array(right if right.ndim == 2 else right[:, None], order="C")
        rest = self._rest()
        out[rest] = self.core.backward(np.asfortranarray(out[rest]))
        for step in reversed(self.steps):
            part, root = step.part, np.sqrt(step.pivots)[:, None]
            known = step.matrix @ out[part.around] + step.border.T @ out[q:]
            out[part.nodes] = (out[part.nodes] - known / root) / root
        return out.reshape(right.shape)

    def _rest(self) -> IntArray:
        """Return the rows of the core and of the border."""
        border = self.ordering.q + np.arange(len(self.core.corner))
        return np.concatenate([self.ordering.core, border])

    def selected(self, fixed: int) -> Selected:
        """See `ranef.linalg.root.Root`."""
        order = self.ordering
        core = self.core.selected(fixed)
        H = np.empty(order.slots)
        H[order.core_slot] = core.values
        border = np.empty((fixed, order.q))
        border[:, order.core] = core.border
        for step in reversed(self.steps):
            part, F, c = step.part, step.F, step.border[:fixed]
            counts = np.diff(part.start, append=len(part.upper))
            among = H[part.target]
            met = np.repeat(among, counts) * F[part.lower]
            row = _sums(part.upper, met, len(F))
            among[part.target < order.q] = 0.0  # an element with itself: counted once
            met = np.repeat(among, counts) * F[part.upper]
            row += _sums(part.lower, met, len(F))
            if fixed:
                beside = border[:, part.around]
                row += (c[:, part.level] * beside[:, part.column]).sum(axis=0)
                own = -(step.matrix @ beside.T + c.T @ core.corner).T / step.pivots
                border[:, part.nodes] = own
            row = -row / step.pivots[part.level]
            H[part.slot] = row
            inner = 1.0 - _sums(part.level, F * row, len(part.nodes))
            if fixed:
                inner -= (c * own).sum(axis=0)
            H[part.nodes] = inner / step.pivots
        return Selected(core.corner, border, H[order.place])


def _sums(place: IntArray, weights: FloatArray, size: int) -> FloatArray:
    """Return the sums of weights that share a place, (size,); floats also where there are none."""
    return np.bincount(place, weights=weights, minlength=size).astype(np.float64, copy=False)
