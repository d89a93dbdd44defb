"""Responses in the coordinates of a structure, and back.

Rotating the blocks of a class is an orthogonal transformation of c (K, members): what has a border
is kept as it is, the rest, c1, only through c1 c1', whose triangular factor takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.responses import Responses
from ranef.batch.structure import Family, Structure
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Responses of a structure.

    Attributes
    ----------
    c : tuple of float64 arrays (K, R + extra, U, B)
        One for every family: columns with a border first.
    Q, estimate : float64 arrays (p, B)
    yy : float64 array (B,)
        As in `Responses`.
    """

    c: tuple[FloatArray, ...]
    Q: FloatArray
    yy: FloatArray
    estimate: FloatArray

    @property
    def size(self) -> int:
        """Number of responses, B."""
        return len(self.yy)

    def part(self, chosen: IntArray | slice) -> Reduced:
        """Return some of the responses."""
        return Reduced(
            tuple(c[..., chosen] for c in self.c),
            self.Q[:, chosen],
            self.yy[chosen],
            self.estimate[:, chosen],
        )


def reduce(structure: Structure, responses: Responses) -> Reduced:
    """Rotate responses into the coordinates of the structure."""
    rotations = structure.rotations
    C = responses.C if rotations is None else rotations.apply(responses.C)
    return Reduced(
        tuple(_rotated(family, C) for family in structure.families),
        responses.Q,
        responses.yy,
        responses.estimate,
    )


def _rotated(family: Family, C: tuple[FloatArray, ...]) -> FloatArray:
    size = C[0].shape[2]
    parts = []
    for values, table in zip(C, family.levels, strict=True):
        by_block = values[:, table].transpose(0, 2, 1, 3)  # (k, count, blocks, B)
        parts.append(by_block.reshape(len(values) * table.shape[1], len(table), size))
    whole = np.concatenate(parts)  # (K, blocks, B)
    R = family.columns
    out = np.zeros((family.width, R + family.extra, family.classes, size))
    if all(len(members) == 1 for members in family.members):
        out[:, 0] = whole[:, np.concatenate(family.members)]
        return out
    for u, (members, bordered) in enumerate(zip(family.members, family.bordered, strict=True)):
        mine = whole[:, members]
        main = np.einsum("mr,kmb->krb", bordered, mine, optimize=True)
        out[:, : bordered.shape[1], u] = main
        if family.spare[u]:
            rest = mine - np.einsum("mr,krb->kmb", bordered, main, optimize=True)
            triangle = np.asarray(np.linalg.qr(rest.transpose(2, 1, 0), mode="r"))  # (B, kept, K)
            out[:, R : R + triangle.shape[1], u] = triangle.transpose(2, 1, 0)
    return out


def expand(structure: Structure, reduced: Reduced, b: int) -> Responses:
    """Return one response, as cross-products with levels, that has the same criterion."""
    C = tuple(np.zeros((k, J, 1)) for k, J in zip(structure.widths, structure.sizes, strict=True))
    for family, c in zip(structure.families, reduced.c, strict=True):
        R = family.columns
        whole = np.zeros((family.width, len(family.levels[0])))
        mine = np.concatenate(family.members)
        for u, (members, bordered, others) in enumerate(
            zip(family.members, family.bordered, family.others, strict=True)
        ):
            whole[:, members] = c[:, : bordered.shape[1], u, b] @ bordered.T
            whole[:, members] += c[:, R : R + others.shape[1], u, b] @ others.T
        for f, (k, count) in enumerate(zip(structure.widths, family.counts, strict=True)):
            rows = slice(family.starts[f], family.starts[f] + k * count)
            values = whole[rows].reshape(k, count, whole.shape[1]).transpose(0, 2, 1)
            C[f][:, family.levels[f][mine], 0] = values[:, mine]
    if structure.rotations is not None:
        C = structure.rotations.undo(C)
    one = slice(b, b + 1)
    return Responses(C, reduced.Q[:, one], reduced.yy[one], reduced.estimate[:, one])
