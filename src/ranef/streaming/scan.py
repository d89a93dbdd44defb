"""First pass: what must be known of all rows before anything can be summed.

`scan_chunk` looks at one chunk, `merge_scans` puts two results together; the order and the size of
the chunks do not matter, so the same two functions serve a loop over a file and a tree over the
workers of a cluster. A `Scan` holds

* counts: rows, used rows, missing values by variable;
* witnesses: for every level of every factor, and every combination of grouping variables, one
  used row in which it occurs; and a thin sample of all used rows. A design built from these rows
  has the levels, the codings and the names of the whole data;
* what calls such as ``scale(x)`` and ``poly(x, 2)`` learn from;
* mean and range of the numbers among the predictors;
* a checksum of the used rows, by which the next pass knows that they are the same.

Memory: the witnesses (one row per level), and 8 bytes per row for ``poly``, ``bs``, ``ns`` and the
like. Cost: a few operations per row and factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ranef.design.checks import check_weights
from ranef.design.evaluate import Evaluator, Result
from ranef.design.frame import Frame
from ranef.design.grouping import group_column
from ranef.design.rows import UsedRows, read_numbers, usable_rows
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError
from ranef.formula import Expression
from ranef.formula.nodes import Call
from ranef.streaming.facts import Numbers
from ranef.streaming.moments import Moments, moments_of
from ranef.streaming.plan import ScanPlan
from ranef.streaming.prints import frame_print
from ranef.streaming.table import (
    Nature,
    Table,
    join,
    nature_of,
    neutral,
    size_of,
    table_frame,
    take,
    take_table,
)
from ranef.typing import FloatArray, IntArray

# Rows of the thin sample: enough to find good coordinates, whatever the data.
SAMPLE = 8192
# Witnesses are sorted out when this many have gathered beyond those that are known to be needed.
PENDING = 500_000
# Rows on which the caller's functions are tried on parts.
TRIAL = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What the first pass knows of some chunks.

    Attributes
    ----------
    n_total, n_used : int
    print : int
        Of the used rows, all columns of the model.
    dropped : mapping variable -> int
        Rows with a missing value.
    natures : mapping variable -> Nature
    witnesses : tuple of Table
        The first one holds no row too many; the others are not sorted out yet.
    sample : Table
    stride : int
        The sample holds about every ``stride``-th used row.
    moments : mapping text -> Moments
    numbers : mapping variable -> Numbers
        Numeric predictors; none where no row is used.
    kept : mapping variable -> tuple of float64 arrays
        Columns in pieces, all rows.
    """

    n_total: int
    n_used: int
    print: int
    dropped: Mapping[str, int]
    natures: Mapping[str, Nature]
    witnesses: tuple[Table, ...]
    sample: Table
    stride: int
    moments: Mapping[str, Moments]
    numbers: Mapping[str, Numbers]
    kept: Mapping[str, tuple[FloatArray, ...]]


def scan_chunk(frame: Frame, plan: ScanPlan) -> Scan:
    """Look at one chunk.

    Raises
    ------
    DataError
        If it cannot be used for the model.
    """
    frame = open_columns(frame, plan)
    evaluator = Evaluator(frame, plan.formula.source, plan.context)
    for expression in () if _lacks_values(frame, plan) else plan.makers:
        evaluate_chunk(expression, evaluator)  # its error says more than that of the next line
    rows, dropped = chunk_rows(frame, plan, evaluator)
    if rows.size:
        _check_own(frame, plan)
    natures = {name: nature_of(frame.column(name)) for name in plan.variables}
    used = np.arange(frame.size) if rows.keep is None else rows.keep
    stride = 1 << max(0, (len(used) // SAMPLE).bit_length() - 1)
    return Scan(
        frame.size,
        rows.size,
        frame_print(frame, plan.variables, rows.keep),
        dropped,
        natures,
        (take_table(frame, plan.variables, _first_rows(frame, rows, plan, evaluator)),),
        take_table(frame, plan.variables, used[::stride]),
        stride,
        {call.text: moments_of(call, evaluator) for call in plan.moments},
        _numbers(frame, rows, plan),
        {name: (_kept(frame, name),) for name in plan.kept},
    )


def open_columns(frame: Frame, plan: ScanPlan) -> Frame:
    """Return a chunk whose columns are fit for use.

    Raises
    ------
    DataError
        If it does not have the columns of the first one.
    """
    absent = [name for name in plan.variables if name not in frame]
    if absent:
        raise DataError(
            f"the column {absent[0]!r} is missing; the first chunk had it. Columns: "
            f"{', '.join(frame.names[:20])}."
        )
    return neutral(frame)


def chunk_rows(
    frame: Frame, plan: ScanPlan, evaluator: Evaluator
) -> tuple[UsedRows, dict[str, int]]:
    """Return the used rows of a chunk, and how many values are missing by variable.

    Raises
    ------
    DataError
        If values are infinite or weights not positive.
    """
    weights = read_numbers("weights", plan.weights, frame)
    offset = read_numbers("offset", plan.offset, frame)
    if _lacks_values(frame, plan):
        return UsedRows(np.zeros(0, dtype=np.intp), 0, frame.index[:0], {}), _missing(frame, plan)
    rows, masks = usable_rows(plan.formula, evaluator, (weights, offset))
    if weights is not None and rows.size:
        check_weights(rows.subset(weights.values))
    return rows, {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}


def _lacks_values(frame: Frame, plan: ScanPlan) -> bool:
    """Tell whether a column has no value at all: no row can be used, and its type is not known."""
    return frame.size in _missing(frame, plan).values()


def _missing(frame: Frame, plan: ScanPlan) -> dict[str, int]:
    """Return how many values the columns lack, of those that lack any."""
    masks = {name: frame.column(name).missing for name in plan.variables}
    return {name: int(np.count_nonzero(m)) for name, m in masks.items() if m is not None}


def merge_scans(left: Scan, right: Scan, plan: ScanPlan) -> Scan:
    """Return what is known of the chunks of both.

    Raises
    ------
    DataError
        If they contradict each other.
    """
    natures = {name: left.natures[name].merge(right.natures[name], name) for name in plan.variables}
    sample, stride = _merge_samples(left, right)
    merged = Scan(
        left.n_total + right.n_total,
        left.n_used + right.n_used,
        (left.print + right.print) % 2**64,
        {
            name: left.dropped.get(name, 0) + right.dropped.get(name, 0)
            for name in (*left.dropped, *right.dropped)
        },
        natures,
        left.witnesses + right.witnesses,
        sample,
        stride,
        {text: part.merge(right.moments[text]) for text, part in left.moments.items()},
        _merge_numbers(left.numbers, right.numbers),
        {name: pieces + right.kept[name] for name, pieces in left.kept.items()},
    )
    pending = sum(map(size_of, merged.witnesses[1:]))
    if pending > PENDING + size_of(merged.witnesses[0]) or len(merged.witnesses) > 64:
        return sort_out(merged, plan)
    return merged


def sort_out(scan: Scan, plan: ScanPlan) -> Scan:
    """Keep one witness for every level and combination."""
    table = join(scan.witnesses)
    frame = table_frame(table, scan.natures)
    evaluator = Evaluator(frame, plan.formula.source, plan.context)
    rows = UsedRows(None, frame.size, frame.index, {})
    found = _first_rows(frame, rows, plan, evaluator) if frame.size else np.zeros(0, dtype=np.intp)
    return replace(scan, witnesses=(take(table, found),))


def _merge_samples(left: Scan, right: Scan) -> tuple[Table, int]:
    stride = max(left.stride, right.stride)
    parts = [take(scan.sample, slice(None, None, stride // scan.stride)) for scan in (left, right)]
    sample = join([part for part in parts if size_of(part)] or parts[:1])
    while size_of(sample) > 2 * SAMPLE:
        sample, stride = take(sample, slice(None, None, 2)), 2 * stride
    return sample, stride


def _first_rows(frame: Frame, rows: UsedRows, plan: ScanPlan, evaluator: Evaluator) -> IntArray:
    """Return positions of rows that together show every level."""
    if rows.size == 0:
        return np.zeros(0, dtype=np.intp)
    marked = np.zeros(rows.size, dtype=bool)
    grouped: dict[str, tuple[IntArray, int]] = {}
    for name in dict.fromkeys(name for group in plan.groups for name in group):
        codes, levels = group_column(frame.column(name), rows.keep)
        grouped[name] = codes, len(levels)
    for group in plan.groups:
        codes, size = grouped[group[0]]
        if len(group) == 1:
            marked[_first_of_codes(codes, size)] = True
            continue
        key = codes.astype(np.int64)
        for name in group[1:]:
            more, width = grouped[name]
            key = pd.factorize(key * width + more)[0]
        marked[_first_of_codes(key, int(key.max()) + 1)] = True
    single = {group[0] for group in plan.groups if len(group) == 1}
    for name in plan.named:
        column = frame.column(name)
        if column.kind != "numeric" and name not in single:
            values = rows.subset(column.values)
            size = 2 if column.levels is None else len(column.levels)
            marked[_first_of_codes(values.astype(np.intp), size)] = True
    for expression in plan.levels:
        marked[_first_of_value(expression, evaluator, rows, plan)] = True
    found = np.flatnonzero(marked)
    return found if rows.keep is None else rows.keep[found]


def _first_of_value(
    expression: Expression, evaluator: Evaluator, rows: UsedRows, plan: ScanPlan
) -> IntArray:
    value = evaluate_chunk(expression, evaluator)
    if isinstance(value, FactorValue):
        return _first_of_codes(rows.subset(value.codes), len(value.levels))
    if not isinstance(value, np.ndarray):
        return np.zeros(0, dtype=np.intp)
    node = expression.node
    own = isinstance(node, Call) and node.function in plan.context
    if own and value.dtype.kind != "b":
        return np.zeros(0, dtype=np.intp)  # numbers, not levels
    codes, levels = pd.factorize(rows.subset(value))
    return _first_of_codes(codes, len(levels))


def evaluate_chunk(expression: Expression, evaluator: Evaluator) -> Result:
    """Evaluate an expression on a part of the data.

    Raises
    ------
    DataError
        If it cannot be known from a part.
    """
    try:
        return evaluator.evaluate(expression)
    except DataError as error:
        raise DataError(
            f"{error} (the data are streamed, and this chunk may not have all levels: make "
            f"{expression.text} a column of the data.)"
        ) from error


def _first_of_codes(codes: IntArray, size: int) -> IntArray:
    """Return the first position of every code that occurs."""
    first = np.full(size + 1, -1, dtype=np.intp)  # the last one is for -1, what is missing
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    found: IntArray = first[:size][first[:size] >= 0]
    return found


def _numbers(frame: Frame, rows: UsedRows, plan: ScanPlan) -> dict[str, Numbers]:
    found = {}
    for name in plan.predictors:
        column = frame.column(name)
        if column.kind == "numeric":
            found[name] = Numbers.of(rows.subset(column.values))
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def _merge_numbers(left: Mapping[str, Numbers], right: Mapping[str, Numbers]) -> dict[str, Numbers]:
    merged = {**left, **right}
    for name in left.keys() & right.keys():
        merged[name] = left[name].merge(right[name])
    return merged


def _kept(frame: Frame, name: str) -> FloatArray:
    column = frame.column(name)
    if column.kind not in ("numeric", "boolean"):
        raise DataError(
            f"the column {name!r} is not numeric, but a function that learns from the whole "
            "column uses it, which cannot be streamed; make the result a column of the data."
        )
    values = np.array(column.values, dtype=np.float64)
    if column.missing is not None:
        values[column.missing] = np.nan
    return values


def _check_own(frame: Frame, plan: ScanPlan) -> None:
    """Raise DataError if one of the caller's functions gives other values on a part of the rows."""
    size = min(frame.size, TRIAL)
    if size < 2:
        return
    for expression in plan.own:
        whole, part = (
            Evaluator(frame.take(slice(0, stop)), plan.formula.source, plan.context).evaluate(
                expression
            )
            for stop in (size, size // 2)
        )
        if not all(
            np.array_equal(np.asarray(a)[: size // 2], b, equal_nan=np.asarray(b).dtype.kind == "f")
            for a, b in zip(_columns(whole), _columns(part), strict=True)
        ):
            raise DataError(
                f"{expression.text} gives other values for a part of the rows than for all of "
                "them, so it cannot be streamed; make its result a column of the data."
            )


def _columns(value: Any) -> list[Any]:
    if isinstance(value, Matrix):
        return list(value.columns)
    if isinstance(value, FactorValue):
        return [np.array([*value.levels, None], dtype=object)[value.codes]]
    return [value]
