"""Second pass: the cross-products of one chunk, and how those of two chunks add up.

For the work columns of the layout (Q0, y0, Z0, each multiplied by sqrt(w)):

    gram            [Q0 y0]'[Q0 y0]            (p + 1, p + 1)
    levels[f]       products by level          (m_f, J_f), in the order of the factor's products
    borders[f]      Q0'Z0 by level             (p, k_f, J_f), where X is sparse
    pairs[f, g]     Z0_f'Z0_g                  keys (nnz,) and values (k_f, k_g, nnz)

Cost for every row: p^2 + the number of products, each a multiplication and an addition at a random
place in a table of J numbers; that is what takes the time. Memory: twice the sums (those so far and
those of a chunk), and p + a few numbers for every row of the chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from ranef.design.columns import stack
from ranef.design.evaluate import Evaluator
from ranef.design.frame import Frame
from ranef.design.newdata import products_of
from ranef.design.rows import read_numbers
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError
from ranef.formula import Expression
from ranef.linalg.crossproducts import observed_pairs
from ranef.streaming.layout import FactorLayout, Layout
from ranef.streaming.margins import Margins, chunk_margins
from ranef.streaming.prints import frame_print
from ranef.streaming.scan import chunk_rows, evaluate_chunk, open_columns
from ranef.typing import FloatArray, IntArray

Column: TypeAlias = FloatArray | float
Work: TypeAlias = dict[int, FloatArray]  # work columns by number, (n,) each


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """Sums for pairs of levels: keys (nnz,) increasing, values (k_f, k_g, nnz)."""

    keys: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over rows; see the module's docstring for the shapes.

    ``n_total`` counts all rows, ``n`` those that were used, whose checksum is ``print``; ``total``
    is the sum of squares of the weighted response, ``low`` and ``high`` bound the response,
    ``log_weights`` is sum(log w). ``pairs`` holds several parts that are not added yet, the largest
    first.
    """

    n_total: int
    n: int
    print: int
    low: float
    high: float
    total: float
    log_weights: float
    gram: FloatArray
    levels: tuple[FloatArray, ...]
    borders: tuple[FloatArray, ...]
    pairs: Mapping[tuple[int, int], tuple[PairSums, ...]]
    margins: Margins


def sum_chunk(frame: Frame, layout: Layout) -> Sums:
    """Sum one chunk.

    Raises
    ------
    DataError
        If it is not what the first pass has seen.
    """
    plan = layout.plan
    frame = open_columns(frame, plan)
    whole = Evaluator(frame, plan.formula.source, plan.context, _states(layout))
    rows, _ = chunk_rows(frame, plan, whole)
    used = frame if rows.keep is None else frame.take(rows.keep)
    if not rows.size:  # a column without any value may be of another type than it should
        used = layout.nothing.frame()
    evaluator = Evaluator(used, plan.formula.source, plan.context, _states(layout))
    y = _numbers(layout.response, evaluator)
    offset = _offset(layout, evaluator)
    response = y if offset is None else y - offset
    weights = read_numbers("weights", plan.weights, used)
    roots = None if weights is None else np.sqrt(weights.values)
    weighted = response if roots is None else response * roots
    X = stack(products_of(layout.spec, evaluator), used.size, layout.spec.intercept)
    work, Q, gram = _work(layout, X, response, roots)
    for factor in layout.factors:
        _add_own(factor, layout, X, evaluator, roots, work)
    codes = [factor.lookup.codes(used).astype(np.intp) for factor in layout.factors]
    return Sums(
        frame.size,
        used.size,
        frame_print(frame, plan.variables, rows.keep),
        float(y.min(initial=np.inf)),
        float(y.max(initial=-np.inf)),
        float(weighted @ weighted),
        0.0 if weights is None else float(np.log(weights.values).sum()),
        gram,
        tuple(
            _level_sums(factor, layout, own, work)
            for factor, own in zip(layout.factors, codes, strict=True)
        ),
        tuple(
            _border(Q, factor, own, work)
            for factor, own in zip(layout.factors, codes, strict=True)
            if Q is not None
        ),
        {
            (f, g): (_pair_sums(layout.factors[f], codes[f], layout.factors[g], codes[g], work),)
            for g in range(len(codes))
            for f in range(g)
        },
        chunk_margins(
            used, layout, X, work, y, None if weights is None else weights.values, offset
        ),
    )


def merge_sums(left: Sums, right: Sums) -> Sums:
    """Return the sums over the rows of both."""
    return Sums(
        left.n_total + right.n_total,
        left.n + right.n,
        (left.print + right.print) % 2**64,
        min(left.low, right.low),
        max(left.high, right.high),
        left.total + right.total,
        left.log_weights + right.log_weights,
        left.gram + right.gram,
        _add(left.levels, right.levels),
        _add(left.borders, right.borders),
        {key: _gather((*parts, *right.pairs[key])) for key, parts in left.pairs.items()},
        left.margins.merge(right.margins),
    )


def add_pairs(parts: Sequence[PairSums]) -> PairSums:
    """Add parts that share some of their pairs."""
    if len(parts) == 1:
        return parts[0]
    keys = np.concatenate([part.keys for part in parts])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else order
    values = np.concatenate([part.values for part in parts], axis=2)[:, :, order]
    if len(keys):
        values = np.add.reduceat(values, starts, axis=2)
    return PairSums(keys[starts], values)


def _gather(parts: tuple[PairSums, ...]) -> tuple[PairSums, ...]:
    """Add parts only when they are as large as what they are added to: each moves seldom."""
    if sum(len(part.keys) for part in parts[1:]) < len(parts[0].keys) and len(parts) < 64:
        return parts
    return (add_pairs(parts),)


def _add(left: Sequence[FloatArray], right: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _states(layout: Layout) -> dict[str, dict[str, object]]:
    return {text: dict(state) for text, state in layout.spec.states.items()}


def _numbers(expression: Expression, evaluator: Evaluator) -> FloatArray:
    """Return a finite column of numbers: the response or an offset."""
    value = evaluate_chunk(expression, evaluator)
    if isinstance(value, FactorValue | Matrix) or not isinstance(value, np.ndarray):
        raise DataError(f"{expression.label!r} is not one column of numbers.")
    numbers = np.asarray(value, dtype=np.float64)
    _check_finite(expression.label, numbers, evaluator.frame)
    return numbers


def _check_finite(label: str, numbers: FloatArray, frame: Frame) -> None:
    if not np.isfinite(numbers).all():
        row = frame.index[int(np.argmin(np.isfinite(numbers)))]
        raise DataError(
            f"{label!r} is not a finite number in row {row} although its variables are there; "
            "make the rows missing, or change the transformation."
        )


def _offset(layout: Layout, evaluator: Evaluator) -> FloatArray | None:
    """Return the sum of all offsets."""
    given = read_numbers("offset", layout.plan.offset, evaluator.frame)
    parts = [] if given is None else [given.values]
    parts += [_numbers(expression, evaluator) for expression in layout.plan.formula.offsets]
    return sum(parts[1:], parts[0]) if parts else None


def _work(
    layout: Layout,
    X: FloatArray | sparse.csc_array,
    response: FloatArray,
    roots: FloatArray | None,
) -> tuple[Work, sparse.csc_array | None, FloatArray]:
    """Return the work columns Q0 and y0 and their Gram matrix; Q0 as a matrix if it is sparse."""
    p = layout.p
    residual = response - X @ layout.beta if p else response.copy()
    if roots is not None:
        residual *= roots
    work: Work = {p: residual}
    thin: sparse.csc_array | None = None
    gram = np.zeros((p + 1, p + 1))
    if isinstance(layout.T, np.ndarray):
        dense = X if isinstance(X, np.ndarray) else X.toarray(order="F")
        Q = layout.T.T @ dense.T  # (p, n): columns of Q0 lie contiguously
        if roots is not None:
            Q *= roots
        work.update((j, Q[j]) for j in range(p))
        gram[:p, :p] = Q @ Q.T
        gram[p, :p] = Q @ residual
    else:
        thin = sparse.csc_array(X) @ layout.T
        thin = thin if roots is None else thin.multiply(roots[:, None]).tocsc()
        gram[:p, :p] = (thin.T @ thin).toarray()
        gram[p, :p] = thin.T @ residual
    gram[:p, p] = gram[p, :p]
    gram[p, p] = residual @ residual
    # a sum is not finite exactly if some entry is not (or overflows, which is as bad)
    if not np.isfinite(gram).all():
        raise DataError(
            "a fixed-effects column is not finite although its variables are there; make the rows "
            "missing, or change the transformation."
        )
    return work, thin, gram


def _add_own(
    factor: FactorLayout,
    layout: Layout,
    X: FloatArray | sparse.csc_array,
    evaluator: Evaluator,
    roots: FloatArray | None,
    work: Work,
) -> None:
    """Add the whitened columns of a factor that are not work columns of X."""
    if all(number <= layout.p for number in factor.work):
        return
    raw: list[FloatArray | None] = []
    for term in factor.terms:
        if term.shared is not None and isinstance(X, np.ndarray):
            raw += [X[:, j] for j in term.shared]
            continue
        raw += [None] if term.spec.intercept else []
        for product in products_of(term.spec, evaluator):
            raw += [np.asarray(column, dtype=np.float64) for column in product.columns()]
    for j, number in enumerate(factor.work):
        if number <= layout.p:
            continue
        total: Column = 0.0
        for i in range(j + 1):  # W0 is upper triangular
            entry = factor.whitening[i, j]
            column = raw[i]
            if entry != 0.0:
                total = total + (entry if column is None else column * entry)
        filled = np.broadcast_to(np.asarray(total, dtype=np.float64), evaluator.frame.size)
        work[number] = filled if roots is None else filled * roots


def _level_sums(factor: FactorLayout, layout: Layout, codes: IntArray, work: Work) -> FloatArray:
    products = dense_products(factor, layout)
    out = np.empty((len(products), factor.size))
    buffer = np.empty(len(codes))
    for row, (a, b) in enumerate(products):
        np.multiply(work[a], work[b], out=buffer)
        out[row] = np.bincount(codes, weights=buffer, minlength=factor.size)
    return out


def dense_products(factor: FactorLayout, layout: Layout) -> tuple[tuple[int, int], ...]:
    """Return the products that are summed by level: all of them, if X is dense."""
    if isinstance(layout.T, np.ndarray):
        return factor.products
    return tuple(pair for pair in factor.products if min(pair) >= layout.p)


def _border(Q: sparse.csc_array, factor: FactorLayout, codes: IntArray, work: Work) -> FloatArray:
    """Return Q0'Z0 by level, (p, k, J), for sparse Q0."""
    n = len(codes)
    out = np.empty((Q.shape[1], len(factor.work), factor.size))
    for i, number in enumerate(factor.work):
        indicator = sparse.csr_array(
            (np.ascontiguousarray(work[number]), codes, np.arange(n + 1)), shape=(n, factor.size)
        )
        out[:, i] = (Q.T @ indicator).toarray()
    return out


def _pair_sums(
    first: FactorLayout,
    first_codes: IntArray,
    second: FactorLayout,
    second_codes: IntArray,
    work: Work,
) -> PairSums:
    rows, cols, position = observed_pairs(first_codes, first.size, second_codes, second.size)
    values = np.empty((len(first.work), len(second.work), len(rows)))
    for i, a in enumerate(first.work):
        for j, b in enumerate(second.work):
            values[i, j] = np.bincount(position, weights=work[a] * work[b], minlength=len(rows))
    return PairSums(rows.astype(np.int64) * second.size + cols, values)
