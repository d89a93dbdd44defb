"""After the passes: from sums in preliminary coordinates to the problem of the core.

With G = Q0'Q0 (nearly a multiple of the identity), R1'R1 = G on the columns that are kept:

    R = R1 T0^-1,   Q = Q0 R1^-1,   gamma = Q'y0,   estimate = beta0 + R^-1 gamma
    y0 <- y0 - Q gamma,   |y0|^2 <- y0'y0 - gamma'gamma
    W = W0 W1,   W1'(Z0'Z0 / n) W1 = I

Nothing cancels: gamma is small because beta0 is the fit of a sample, and G is well conditioned
unless the sample is misleading. `improve` finds out, and gives better coordinates for one more
pass over the data; the exact dependence of columns that the sample shares needs none.
"""

from __future__ import annotations

import numpy as np

from ranef.design.types import Design
from ranef.errors import DataError
from ranef.estimation import Problem, TermSlot, arrange, assemble, check_fixed
from ranef.linalg.crossproducts import CrossProducts, PairBlocks
from ranef.linalg.triangular import (
    RANK_TOLERANCE,
    SAFE_PIVOT,
    gram_factor,
    independent_by_gram,
    invert_upper,
)
from ranef.streaming.facts import RowFacts
from ranef.streaming.layout import FactorLayout, Layout, with_coordinates
from ranef.streaming.margins import row_facts
from ranef.streaming.rowless import (
    StreamedBasis,
    StreamedColumns,
    StreamedDesign,
    StreamedGrouping,
    StreamedTerm,
    restore,
)
from ranef.streaming.scan import Scan
from ranef.streaming.sums import PairSums, Sums, add_pairs, dense_products
from ranef.typing import FloatArray, IntArray

# Squared remainder of a scaled column below which sums of products cannot tell it from zero.
ROUNDING = 1e-12
# Squared remainder of a column as the user has it below which it is aliased, here as in memory.
ALIASED = RANK_TOLERANCE**2


def improve(layout: Layout, sums: Sums) -> Layout | None:
    """Return better coordinates where those of the sample would cost digits, else None."""
    if not isinstance(layout.T, np.ndarray):
        return None
    better, changed = layout.T.copy(), False
    used = layout.used.copy()
    if layout.p:
        gram = sums.gram[:-1, :-1]
        squares, least = _squares(layout, gram)
        kept, R, pivots = _left_to_right(gram, np.maximum(ROUNDING, least))
        dropped = np.setdiff1d(np.arange(layout.p), kept)
        # a column that took part in the coordinates of others, but adds nothing in the whole
        misled = bool(used[dropped].any())
        # columns that may add something, which the sums cannot tell: they are measured
        faint = dropped[pivots[dropped] > least[dropped]] if not misled else dropped[:0]
        changed = misled or len(faint) > 0 or bool((pivots[kept] < SAFE_PIVOT).any())
        if changed:
            better[np.ix_(kept, kept)] = layout.T[np.ix_(kept, kept)] @ invert_upper(R)
            better[np.ix_(kept, dropped)] = 0.0
            for column in dropped:
                better[:, column] = 0.0
                better[column] = 0.0
                better[column, column] = 1.0 / np.sqrt(squares[column] or 1.0)
            for column in faint:
                before = kept[kept < column]
                inverse = invert_upper(R[: len(before), : len(before)])
                rest = layout.T[:, column].copy()
                rest -= layout.T[:, before] @ (inverse @ (inverse.T @ gram[before, column]))
                better[:, column] = rest / np.sqrt(pivots[column] * gram[column, column])
            used[:] = False
            used[kept] = True
    whitenings = []
    for number, factor in enumerate(layout.factors):
        W = factor.whitening.copy()
        gram = _factor_gram(layout, sums, number)
        for start, stop in _rotated(factor):
            block = slice(start, stop)
            if stop - start > 1 and gram_factor(gram[block, block]) is None:
                kept, R, _ = _left_to_right(gram[block, block], np.full(stop - start, ROUNDING))
                if len(kept) == stop - start:
                    W[block, block] = W[block, block] @ invert_upper(R)
                    changed = True
        whitenings.append(W)
    return with_coordinates(layout, better, used, tuple(whitenings)) if changed else None


def finish(
    layout: Layout, sums: Sums, scan: Scan, prototype: Design, *, reml: bool
) -> tuple[StreamedDesign, Problem]:
    """Make the design without rows, and the problem.

    Raises
    ------
    DataError, FitError
        If the model is not identified.
    """
    if not sums.low < sums.high:
        raise DataError(
            f"the response {prototype.response!r} is constant ({sums.low:g}); there is nothing to "
            "explain."
        )
    kept, R1 = _independent(layout, sums)
    inverse1 = invert_upper(R1)
    T = layout.T if isinstance(layout.T, np.ndarray) else layout.T.toarray()
    R_inverse = T[np.ix_(kept, kept)] @ inverse1
    gamma = inverse1.T @ sums.gram[-1, kept]
    left = max(float(sums.gram[-1, -1] - gamma @ gamma), 0.0)
    check_fixed(
        prototype.response, sums.n, len(kept), total=float(np.sqrt(sums.total)), left=left**0.5
    )
    basis = restore(
        StreamedBasis,
        {
            "kept": kept,
            "R": invert_upper(R_inverse),
            "R_inverse": R_inverse,
            "estimate": layout.beta[kept] + R_inverse @ gamma,
            "combinations": _combinations(T, sums.gram[:-1, :-1], kept, R_inverse, inverse1),
        },
    )
    terms = _rowless_terms(prototype)
    factors, slots = arrange(terms)
    groups, A, C, W1s = [], [], [], []
    for number, (factor, mine) in enumerate(zip(layout.factors, factors, strict=True)):
        blocks = tuple(block for slot in mine for block in slot.blocks)
        W1 = _last_whitening(layout, sums, number, mine)
        W1s.append(W1)
        raw_A, raw_C = _unpack(layout, sums, number)
        A.append(np.einsum("ai,abj,bk->ikj", W1, raw_A, W1, optimize=True))
        C.append(_border(raw_C, kept, inverse1, gamma, W1))
        _check_columns(A[-1], mine)
        groups.append(
            restore(
                StreamedColumns,
                {
                    "name": factor.lookup.name,
                    "size": factor.size,
                    "blocks": blocks,
                    "whitening": factor.whitening @ W1,
                },
            )
        )
    facts = row_facts(
        layout,
        sums.margins,
        scan.numbers,
        sums.gram[np.ix_(kept, kept)],
        [_factor_gram(layout, sums, number) for number in range(len(groups))],
        kept,
        inverse1,
        W1s,
    )
    D = np.eye(len(kept) + 1)
    D[-1, -1] = left
    products = CrossProducts(
        n=sums.n,
        A=tuple(A),
        C=tuple(C),
        D=D,
        pairs={
            (f, g): _pair_blocks(add_pairs(parts), layout.factors[g].size, W1s[f], W1s[g])
            for (f, g), parts in sums.pairs.items()
        },
        names=tuple(group.name for group in groups),
        blocks=tuple(group.blocks for group in groups),
        log_weights=sums.log_weights,
        logdet_fixed=basis.logdet,
    )
    design = _rowless_design(prototype, scan, terms, facts)
    return design, assemble(basis, tuple(groups), slots, products, reml=reml)


def _rotated(factor: FactorLayout) -> list[tuple[int, int]]:
    """Return the columns of a factor that may be rotated into each other: its correlated terms."""
    out, start = [], 0
    for term in factor.terms:
        stop = start + len(term.spec.names)
        if term.correlated:
            out.append((start, stop))
        start = stop
    return out


def _left_to_right(gram: FloatArray, least: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return independent columns, their factor, and the squared remainder of every scaled column.

    A remainder that is not above ``least`` (p,) counts as none.
    """
    p = len(gram)
    scale = np.sqrt(gram.diagonal())
    scale[scale == 0] = 1.0
    scaled = gram / np.outer(scale, scale)
    R = np.zeros((p, p))
    pivots = np.zeros(p)
    kept: list[int] = []
    for j in range(p):
        row = scaled[j] - R[: len(kept), j] @ R[: len(kept)]
        pivots[j] = row[j]
        if row[j] > least[j]:
            R[len(kept)] = row / np.sqrt(row[j])
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    return index, np.triu(R[: len(kept)][:, index]) * scale[index], pivots


def _squares(layout: Layout, gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted squares of the columns of X, and what they have to add, both (p,).

    The latter are squared remainders of scaled work columns.
    """
    assert isinstance(layout.T, np.ndarray)
    back = invert_upper(layout.T)
    squares = np.einsum("ij,ik,kj->j", back, gram, back)
    own = gram.diagonal() / layout.T.diagonal() ** 2
    return squares, ALIASED * np.divide(squares, own, out=np.ones_like(own), where=own > 0)


def _independent(layout: Layout, sums: Sums) -> tuple[IntArray, FloatArray]:
    gram = sums.gram[:-1, :-1]
    if not len(gram):
        return np.zeros(0, dtype=np.intp), np.zeros((0, 0))
    factor = gram_factor(gram)
    if not isinstance(layout.T, np.ndarray):
        everything = np.arange(len(gram))
        return independent_by_gram(gram) if factor is None else (everything, factor)
    _, least = _squares(layout, gram)
    if factor is not None and (factor.diagonal() ** 2 > least * gram.diagonal()).all():
        return np.arange(len(gram)), factor
    kept, R, _ = _left_to_right(gram, np.maximum(ROUNDING, least))
    return kept, R


def _combinations(
    T: FloatArray, gram: FloatArray, kept: IntArray, R_inverse: FloatArray, inverse1: FloatArray
) -> FloatArray:
    """Return R^-1 Q'X for the columns of X that were dropped, (p, d)."""
    dropped = np.setdiff1d(np.arange(len(T)), kept)
    return R_inverse @ (inverse1.T @ (gram[kept] @ invert_upper(T)[:, dropped]))


def _unpack(layout: Layout, sums: Sums, number: int) -> tuple[FloatArray, FloatArray]:
    """Return Z0'Z0 (k, k, J) and [Q0 y0]'Z0 (p + 1, k, J) by level."""
    factor = layout.factors[number]
    where = {pair: row for row, pair in enumerate(dense_products(factor, layout))}
    table = sums.levels[number]

    def row(a: int, b: int) -> FloatArray:
        found: FloatArray = table[where[min(a, b), max(a, b)]]
        return found

    work, p = factor.work, layout.p
    A = np.array([[row(a, b) for b in work] for a in work])
    last = np.array([[row(p, a) for a in work]])
    if sums.borders:
        return A, np.concatenate([sums.borders[number], last])
    first = np.array([[row(c, a) for a in work] for c in range(p)])
    return A, np.concatenate([first.reshape(p, *last.shape[1:]), last])


def _factor_gram(layout: Layout, sums: Sums, number: int) -> FloatArray:
    """Return Z0'Z0 / n, (k, k)."""
    return np.asarray(_unpack(layout, sums, number)[0].sum(axis=2) / max(sums.n, 1))


def _last_whitening(
    layout: Layout, sums: Sums, number: int, slots: tuple[TermSlot, ...]
) -> FloatArray:
    """Return W1; columns that are collinear are only scaled, as for data in memory."""
    gram = _factor_gram(layout, sums, number)
    W0 = layout.factors[number].whitening
    W1 = np.eye(len(gram))
    for slot in slots:
        block = slice(slot.start, slot.stop)
        inner = gram[block, block]
        factor = gram_factor(inner) if slot.term.correlated else None
        if factor is not None:
            W1[block, block] = invert_upper(factor)
            continue
        # back to the user's columns, scaled: W0 W1 is diagonal
        back = invert_upper(W0[block, block])
        squares = np.einsum("ij,ik,kj->j", back, inner, back)
        squares[squares == 0] = 1.0
        W1[block, block] = back / np.sqrt(squares)
    return W1


def _border(
    raw: FloatArray, kept: IntArray, inverse1: FloatArray, gamma: FloatArray, W1: FloatArray
) -> FloatArray:
    """Return [Q y0]'Z by level, (p + 1, k, J)."""
    whitened = np.einsum("cbj,bk->ckj", raw[np.append(kept, len(raw) - 1)], W1, optimize=True)
    p = len(kept)
    out: FloatArray = np.empty_like(whitened)
    out[:p] = np.tensordot(inverse1.T, whitened[:p], axes=1)
    out[p] = whitened[p] - np.tensordot(gamma, out[:p], axes=1)
    return out


def _pair_blocks(pairs: PairSums, size: int, left: FloatArray, right: FloatArray) -> PairBlocks:
    values = np.einsum("ai,abj,bk->ikj", left, pairs.values, right, optimize=True)
    return PairBlocks(
        (pairs.keys // size).astype(np.int32),
        (pairs.keys % size).astype(np.int32),
        np.ascontiguousarray(values),
    )


def _check_columns(A: FloatArray, slots: tuple[TermSlot, ...]) -> None:
    for slot in slots:
        for name, column in zip(slot.term.names, range(slot.start, slot.stop), strict=True):
            if not A[column, column].any():
                raise DataError(
                    f"in the random term {slot.term.label} the column {name!r} is all zero."
                )


def _rowless_terms(prototype: Design) -> tuple[StreamedTerm, ...]:
    groupings: dict[int, StreamedGrouping] = {}
    terms = []
    for term in prototype.terms:
        grouping = term.grouping
        if id(grouping) not in groupings:
            groupings[id(grouping)] = restore(
                StreamedGrouping,
                {
                    "name": grouping.name,
                    "variables": grouping.variables,
                    "levels": grouping.levels,
                },
            )
        terms.append(
            restore(
                StreamedTerm,
                {
                    "label": term.label,
                    "grouping": groupings[id(grouping)],
                    "names": term.names,
                    "correlated": term.correlated,
                    "spec": term.spec,
                },
            )
        )
    return tuple(terms)


def _rowless_design(
    prototype: Design, scan: Scan, terms: tuple[StreamedTerm, ...], facts: RowFacts
) -> StreamedDesign:
    """Return the design without rows, which has no weights or offset only if the model has none."""
    values = {
        "formula": prototype.formula,
        "response": prototype.response,
        "x_names": prototype.x_names,
        "terms": terms,
        "n_total": scan.n_total,
        "dropped": dict(scan.dropped),
        "spec": prototype.spec,
        "contrasts": dict(prototype.contrasts),
        "facts": facts,
    }
    if prototype.weights is None:
        values["weights"] = None
    if prototype.offset is None:
        values["offset"] = None
    return restore(StreamedDesign, values)
