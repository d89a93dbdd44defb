"""The design taken apart: independent blocks of random effects, equal ones sharing their work.

Random effects whose columns share a row belong together. The connected components are blocks of
K effects each (a level of a single grouping factor; a top level with all that is nested in it;
everything, where factors are crossed), with cross-products

    G (K, K) = Z'Z        X (p, K) = Q'Z        c (K,) = Z'y       per block.

Blocks of equal shape form a *family*; those with equal G form a *class*, and share the
factorisation for every theta. The criterion sees the blocks of a class only through sums over
them, so they may be rotated into each other by any orthogonal matrix O: c O is as good as c. The
rotation here leaves borders X on as few blocks as possible (their rank, R at most), and of the
others, whose border is zero, only c c' is needed: K columns have the same. A balanced design of
a million levels becomes a handful of blocks. Two crossed factors in balance are taken apart by
rotations of their own first, see `ranef.batch.balance`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ranef.batch.balance import Rotations, balanced
from ranef.batch.small import LARGEST_LOOPED
from ranef.linalg.crossproducts import CrossProducts
from ranef.typing import FloatArray, IntArray

# Blocks are equal if their cross-products agree to this, relative to the largest: sums of the same
# numbers in another order.
EQUAL = 2.0**-40
# Borders that rotate to less than this, relative to the largest, are zero.
SMALLEST_BORDER = 1e-12
# Above this many floating-point operations looking for a rotation is not worth while.
LARGEST_ROTATION = 2e9
# Borders padded with zeros cost less than families of their own up to this factor; for few, always.
MOST_PADDING, SMALL = 2, 50
# Largest total of K^3 over blocks too large for loops, and of K^2: beyond that one fit after the
# other, with sparse elimination, is faster (measured: one block of about 85 effects).
LARGEST_CUBES, LARGEST_SQUARES = 6e5, 2e7


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Classes of blocks of the same shape.

    Effects of a block are ordered by factor, column, level: row ``starts[f] + a * counts[f] + s``
    belongs to column a of the s-th level of factor f in the block.

    Attributes
    ----------
    counts, starts : tuples of int
        Levels of every factor in a block, and the first row of the factor.
    G : float64 array (K, K, U)
        One matrix for each of the U classes.
    multiplicity : float64 array (U,)
        Blocks in the class.
    X : float64 array (p, K, R, U)
        Borders after rotation; zero for classes that need fewer than R.
    spare : int array (U,)
        Blocks of the class that have no border after rotation; their c is kept as
        min(K, spare) columns with the same c c'.
    levels : tuple of int arrays (blocks, counts[f])
        Levels of every factor in each block of the family.
    members : tuple (U,) of int arrays
        The blocks of every class.
    bordered, others : tuples (U,) of float64 arrays (members, R_u), (members, min(K, spare))
        Orthonormal columns of the rotation: first those with a border, then some without.
    """

    counts: tuple[int, ...]
    starts: tuple[int, ...]
    G: FloatArray
    multiplicity: FloatArray
    X: FloatArray
    spare: IntArray
    levels: tuple[IntArray, ...]
    members: tuple[IntArray, ...]
    bordered: tuple[FloatArray, ...]
    others: tuple[FloatArray, ...]

    @property
    def width(self) -> int:
        """Number of effects in a block, K."""
        return int(self.G.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes, U."""
        return int(self.G.shape[2])

    @property
    def columns(self) -> int:
        """Number of columns of c with a border, R."""
        return int(self.X.shape[2])

    @property
    def extra(self) -> int:
        """Number of columns of c without a border."""
        return int(np.minimum(self.spare, self.width).max(initial=0))


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """All families of a design.

    Attributes
    ----------
    families : tuple of Family
    widths, sizes : tuples of int
        Columns and levels of every factor.
    blocks : per factor, tuple of (start, stop)
        Columns that share an unstructured covariance matrix.
    n, p : int
        Rows, fixed-effects columns.
    rotations : Rotations or None
        By which the levels of two balanced factors were rotated before.
    """

    families: tuple[Family, ...]
    widths: tuple[int, ...]
    sizes: tuple[int, ...]
    blocks: tuple[tuple[tuple[int, int], ...], ...]
    n: int
    p: int
    rotations: Rotations | None

    @property
    def footprint(self) -> int:
        """Numbers that one replicate occupies in the largest arrays of an evaluation."""
        return sum(
            f.classes * f.width * (f.width + (f.columns + f.extra) + self.p * f.columns)
            for f in self.families
        )


def make_structure(products: CrossProducts) -> Structure | None:
    """Take the design apart; None where its blocks are too large to be worth it."""
    widths = tuple(A.shape[0] for A in products.A)
    sizes = tuple(A.shape[2] for A in products.A)
    rotations = None
    turned = balanced(products)
    if turned is not None:
        products, rotations = turned
    label, count = components(products)
    held = np.stack([np.bincount(part, minlength=count) for part in label], axis=1)
    shapes, shape_of = np.unique(held, axis=0, return_inverse=True)
    shape_of = shape_of.ravel()
    K = shapes @ np.array(widths)
    blocks = np.bincount(shape_of)
    if (K * K * blocks).sum() > LARGEST_SQUARES and K.max() > LARGEST_LOOPED:
        return None
    families: list[Family] = []
    for i, shape in enumerate(shapes):
        families += _families(products, tuple(map(int, shape)), label, shape_of == i)
    large = [f for f in families if f.width > LARGEST_LOOPED]
    if sum(f.classes * f.width**3 for f in large) > LARGEST_CUBES:
        return None
    return Structure(
        tuple(families), widths, sizes, products.blocks, products.n, products.p, rotations
    )


def components(products: CrossProducts) -> tuple[list[IntArray], int]:
    """Return the connected component of every level of every factor, and how many there are."""
    sizes = [A.shape[2] for A in products.A]
    if len(sizes) == 1:
        return [np.arange(sizes[0])], sizes[0]
    first = np.cumsum([0, *sizes])
    rows = np.concatenate([first[f] + pair.rows for (f, _), pair in products.pairs.items()])
    cols = np.concatenate([first[g] + pair.cols for (_, g), pair in products.pairs.items()])
    graph = sparse.coo_array((np.ones(len(rows)), (rows, cols)), shape=(first[-1], first[-1]))
    count, label = csgraph.connected_components(graph, directed=False)
    return [label[first[f] : first[f + 1]] for f in range(len(sizes))], int(count)


def _families(
    products: CrossProducts, counts: tuple[int, ...], label: list[IntArray], chosen: IntArray
) -> list[Family]:
    """Return the families of the chosen components, which hold ``counts`` levels each."""
    blocks = np.flatnonzero(chosen)
    position = np.full(len(chosen), -1)
    position[blocks] = np.arange(len(blocks))
    levels, slot = [], []
    for A, part in zip(products.A, label, strict=True):
        mine = np.flatnonzero(chosen[part])
        # like levels get like places, so that like blocks have like matrices
        keys = [np.round(entry / np.abs(A).max() / EQUAL) for row in A[:, :, mine] for entry in row]
        order = mine[np.lexsort((*keys, part[mine]))]
        table = order.reshape(len(blocks), -1)
        place = np.full(len(part), -1)
        place[table] = np.arange(table.shape[1])
        levels.append(table)
        slot.append(place)
    starts = np.cumsum([0, *(A.shape[0] * c for A, c in zip(products.A, counts, strict=True))])
    G, X = _gather(products, counts, starts, levels, slot, [position[part] for part in label])
    class_of = _classes(G)
    found = [(members, *_rotation(X[:, :, members])) for members in _split(class_of)]
    families = []
    for group in _alike(found):
        widest = max(bordered.shape[1] for _, bordered, _, _ in group)
        borders = np.zeros((*X.shape[:2], widest, len(group)))
        for u, (members, bordered, _, _) in enumerate(group):
            borders[:, :, : bordered.shape[1], u] = X[:, :, members] @ bordered
        families.append(
            Family(
                counts=counts,
                starts=tuple(int(start) for start in starts[:-1]),
                G=np.stack([G[:, :, members].mean(axis=2) for members, *_ in group], axis=2),
                multiplicity=np.array([float(len(members)) for members, *_ in group]),
                X=borders,
                spare=np.array([spare for *_, spare in group]),
                levels=tuple(levels),
                members=tuple(members for members, *_ in group),
                bordered=tuple(bordered for _, bordered, _, _ in group),
                others=tuple(others for _, _, others, _ in group),
            )
        )
    return families


_Class = tuple[IntArray, FloatArray, FloatArray, int]


def _alike(found: list[_Class]) -> list[list[_Class]]:
    """Put classes with like numbers of borders together, where the others would carry zeros."""
    R = [bordered.shape[1] for _, bordered, _, _ in found]
    if len(found) * max(R) <= MOST_PADDING * (sum(R) + SMALL):
        return [found]
    groups = defaultdict(list)
    for one, width in zip(found, R, strict=True):
        groups[int(width - 1).bit_length() if width else -1].append(one)
    return list(groups.values())


def _gather(
    products: CrossProducts,
    counts: tuple[int, ...],
    starts: IntArray,
    levels: list[IntArray],
    slot: list[IntArray],
    block: list[IntArray],
) -> tuple[FloatArray, FloatArray]:
    """Return G (K, K, blocks) and X (p, K, blocks)."""
    number, K = len(levels[0]), int(starts[-1])
    G = np.zeros((K, K, number))
    X = np.zeros((products.p, K, number))

    def rows(f: int) -> IntArray:
        k = products.A[f].shape[0]
        at: IntArray = starts[f] + np.arange(k)[:, None] * counts[f] + np.arange(counts[f])
        return at

    for f, (A, C, table) in enumerate(zip(products.A, products.C, levels, strict=True)):
        at = rows(f)
        for s in range(counts[f]):
            G[at[:, s, None], at[None, :, s]] = A[:, :, table[:, s]]
            X[:, at[:, s]] = C[:-1][:, :, table[:, s]]
    for (f, g), pair in products.pairs.items():
        inside = block[f][pair.rows] >= 0
        left, right, where = pair.rows[inside], pair.cols[inside], block[f][pair.rows[inside]]
        row = rows(f)[:, None, slot[f][left]]
        col = rows(g)[None, :, slot[g][right]]
        G[row, col, where] = pair.values[:, :, inside]
        G[col, row, where] = pair.values[:, :, inside]
    return G, X


def _classes(G: FloatArray) -> IntArray:
    """Return the class of every block: equal numbers for equal G."""
    number = G.shape[2]
    if number == 1:
        return np.zeros(1, dtype=np.intp)
    low = np.tril_indices(len(G))
    keys = np.round(G[low].T / (np.abs(G).max() * EQUAL)).astype(np.int64)
    _, found = np.unique(keys, axis=0, return_inverse=True)
    return np.asarray(found, dtype=np.intp).ravel()


def _split(class_of: IntArray) -> list[IntArray]:
    """Return the members of every class."""
    order = np.argsort(class_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(class_of))[:-1])


def _rotation(X: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """Return orthonormal columns that carry the borders X (p, K, m), others, and the spare blocks.

    The others are as many as columns of c are kept for the spare blocks.
    """
    p, K, m = X.shape
    eye = np.eye(m)
    flat = X.reshape(-1, m)
    if m == 1 or float(m) * len(flat) * min(m, len(flat)) > LARGEST_ROTATION:
        return eye, eye[:, :0], 0
    if p == 0:
        kept = min(K, m)
        return eye[:, :0], eye[:, :kept], m
    bordered = _row_basis(flat)
    rank = bordered.shape[1]
    kept = min(K, m - rank)
    if rank + kept >= m:
        return eye, eye[:, :0], 0
    others = np.random.default_rng(0).standard_normal((m, kept))  # anything linearly independent
    for _ in range(2):
        others = np.linalg.qr(others - bordered @ (bordered.T @ others))[0]
    return bordered, others, m - rank


def _row_basis(rows: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the span of rows (r, m), as columns.

    Rows are taken in their order: singular vectors would depend on the library that computes them.
    """
    limit = SMALLEST_BORDER * float(np.sqrt((rows * rows).sum(axis=1).max(initial=0.0)))
    basis = np.zeros((rows.shape[1], 0))
    for row in rows:
        rest = row
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        size = float(np.sqrt(rest @ rest))
        if size > limit:
            basis = np.column_stack([basis, rest / size])
        if basis.shape[1] == len(basis):
            break
    return basis
