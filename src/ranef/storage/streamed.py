"""Models without rows in a file: the sums that they were fitted to.

Beside what every design has (formula, codings, levels) a file holds the cross-products in the
core's coordinates, what leads back from there to the user's, and what is remembered of the rows.
Loading does not sum again, so the numbers of the model are those that were saved, to the last bit.
"""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ranef.design.types import Grouping
from ranef.errors import StorageError
from ranef.estimation import Problem, TermSlot, arrange, assemble
from ranef.formula import ModelFormula
from ranef.linalg.crossproducts import CrossProducts, PairBlocks
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.fields import Fields
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.specs import JSON, Shared, decode_spec, encode_spec
from ranef.storage.streamed_facts import decode_facts, encode_facts
from ranef.storage.values import decode_value, encode_value
from ranef.streaming import StreamedBasis, StreamedDesign, is_given
from ranef.streaming.rowless import (
    StreamedColumns,
    StreamedGrouping,
    StreamedTerm,
    restore,
)
from ranef.typing import FloatArray


def encode_streamed(
    design: StreamedDesign, problem: Problem, arrays: ArrayWriter, indices: IndexWriter
) -> JSON:
    """Return design and sums but for formula, states and context."""
    basis = cast(StreamedBasis, problem.basis)
    products = problem.objective.plan.products
    groupings = {term.grouping.name: term.grouping for term in design.terms}
    return {
        "fixed": encode_spec(design.spec, arrays, indices),
        "groupings": {name: indices.add(g.levels) for name, g in groupings.items()},
        "terms": [{"spec": encode_spec(t.spec, arrays, indices)} for t in design.terms],
        "weighted": is_given(design, "weights"),
        "offset": is_given(design, "offset"),
        "n_total": design.n_total,
        "dropped": dict(design.dropped),
        "contrasts": {
            name: encode_value(wish, arrays, indices) for name, wish in design.contrasts.items()
        },
        "facts": encode_facts(design.facts, arrays, indices),
        "basis": {
            "kept": arrays.add(np.asarray(basis.kept, dtype=np.int64), "kept"),
            "R": arrays.add(basis.R, "r"),
            "R_inverse": arrays.add(basis.R_inverse, "r_inverse"),
            "estimate": arrays.add(basis.estimate, "estimate"),
            "combinations": arrays.add(basis.combinations, "combinations"),
        },
        "factors": [
            {
                "whitening": arrays.add(group.whitening, "whitening"),
                "A": arrays.add(A, f"a_{group.name}"),
                "C": arrays.add(C, f"c_{group.name}"),
            }
            for group, A, C in zip(problem.groups, products.A, products.C, strict=True)
        ],
        "pairs": [
            {
                "rows": arrays.add(pairs.rows, "pair_rows"),
                "cols": arrays.add(pairs.cols, "pair_cols"),
                "values": arrays.add(pairs.values, "pairs"),
            }
            for _, pairs in sorted(products.pairs.items())
        ],
        "numbers": arrays.add(np.array([products.D[-1, -1], products.log_weights]), "numbers"),
        "n": products.n,
    }


def decode_streamed(
    fields: Fields,
    formula: ModelFormula,
    shared: Shared,
    arrays: ArrayReader,
    indices: IndexReader,
    *,
    reml: bool,
) -> tuple[StreamedDesign, Problem]:
    """Return design and problem.

    Raises
    ------
    StorageError
        If their parts do not belong together.
    """
    spec = decode_spec(
        fields.fields("fixed"), formula, formula.fixed, shared, arrays, indices, fixed=True
    )
    terms = _terms(fields, formula, shared, arrays, indices)
    reader = _Numbers(arrays)
    basis = reader.basis(fields.fields("basis"), len(spec.names))
    p = len(basis.kept)
    factors, slots = arrange(terms)
    stored = list(fields.each("factors"))
    if len(stored) != len(factors):
        raise StorageError("there are sums of other grouping factors than those of the formula")
    groups = tuple(reader.columns(part, mine) for part, mine in zip(stored, factors, strict=True))
    A = tuple(
        reader.floats(part, "A", (group.width, group.width, group.size))
        for part, group in zip(stored, groups, strict=True)
    )
    C = tuple(
        reader.floats(part, "C", (p + 1, group.width, group.size))
        for part, group in zip(stored, groups, strict=True)
    )
    keys = list(itertools.combinations(range(len(groups)), 2))
    pairs = list(fields.each("pairs"))
    if len(pairs) != len(keys):
        raise StorageError("there are not the sums of all pairs of grouping factors")
    left, log_weights = reader.floats(fields, "numbers", (2,)).tolist()
    n = fields.integer("n")
    if n <= p or left <= 0.0:
        raise StorageError("nothing is left for residuals")
    D = np.eye(p + 1)
    D[-1, -1] = left
    products = CrossProducts(
        n=n,
        A=A,
        C=C,
        D=D,
        pairs={
            (f, g): reader.pairs(part, groups[f], groups[g])
            for part, (f, g) in zip(pairs, keys, strict=True)
        },
        names=tuple(group.name for group in groups),
        blocks=tuple(group.blocks for group in groups),
        log_weights=log_weights,
        logdet_fixed=basis.logdet,
    )
    wishes, dropped = fields.fields("contrasts").values, fields.fields("dropped")
    values: dict[str, Any] = {
        "formula": formula,
        "response": formula.response.label,
        "x_names": spec.names,
        "terms": terms,
        "n_total": fields.integer("n_total"),
        "dropped": {name: dropped.integer(name) for name in dropped.values},
        "spec": spec,
        "contrasts": {name: decode_value(wish, arrays, indices) for name, wish in wishes.items()},
        "facts": decode_facts(
            fields.fields("facts"), [group.width for group in groups], p, arrays, indices
        ),
    }
    if not fields.flag("weighted"):
        values["weights"] = None
    if not fields.flag("offset"):
        values["offset"] = None
    design = restore(StreamedDesign, values)
    return design, assemble(basis, groups, slots, products, reml=reml)


def _terms(
    fields: Fields,
    formula: ModelFormula,
    shared: Shared,
    arrays: ArrayReader,
    indices: IndexReader,
) -> tuple[StreamedTerm, ...]:
    stored = fields.fields("groupings")
    parts = list(fields.each("terms"))
    if len(parts) != len(formula.random):
        raise StorageError("the model has other random terms than the formula")
    groupings: dict[str, Grouping] = {}
    terms = []
    for part, term in zip(parts, formula.random, strict=True):
        own = decode_spec(
            part.fields("spec"), formula, term.effects, shared, arrays, indices, fixed=False
        )
        name = term.group_name
        if name not in groupings:
            known = {
                "name": name,
                "variables": tuple(variable.names[0] for variable in term.group),
                "levels": indices.get(stored.get(name)),
            }
            groupings[name] = restore(StreamedGrouping, known)
        values = {
            "label": term.label,
            "grouping": groupings[name],
            "names": own.names,
            "correlated": term.correlated,
            "spec": own,
        }
        terms.append(restore(StreamedTerm, values))
    return tuple(terms)


class _Numbers:
    """Reads sums, and checks their shapes."""

    def __init__(self, arrays: ArrayReader) -> None:
        self.arrays = arrays

    def floats(self, fields: Fields, key: str, shape: tuple[int, ...]) -> FloatArray:
        values = self.arrays.get(fields.get(key))
        if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
            raise StorageError(f"{fields.where}: {key!r} does not hold {shape} finite numbers")
        return values

    def positions(self, fields: Fields, key: str, size: int) -> NDArray[Any]:
        values = self.arrays.get(fields.get(key))
        if values.ndim != 1 or values.dtype.kind != "i":
            raise StorageError(f"{fields.where}: {key!r} does not hold whole numbers")
        if values.min(initial=0) < 0 or values.max(initial=-1) >= size:
            raise StorageError(f"{fields.where}: {key!r} points at what is not there")
        return values

    def basis(self, fields: Fields, width: int) -> StreamedBasis:
        kept = self.positions(fields, "kept", width).astype(np.intp)
        if (np.diff(kept) <= 0).any():
            raise StorageError(f"{fields.where}: columns are not in their order")
        p = len(kept)
        values = {
            "kept": kept,
            "R": self.floats(fields, "R", (p, p)),
            "R_inverse": self.floats(fields, "R_inverse", (p, p)),
            "estimate": self.floats(fields, "estimate", (p,)),
            "combinations": self.floats(fields, "combinations", (p, width - p)),
        }
        if not values["R"].diagonal().all():
            raise StorageError(f"{fields.where}: the factor of X is singular")
        return restore(StreamedBasis, values)

    def columns(self, fields: Fields, slots: tuple[TermSlot, ...]) -> StreamedColumns:
        width = slots[-1].stop
        grouping = slots[0].term.grouping
        whitening = self.floats(fields, "whitening", (width, width))
        if not np.linalg.matrix_rank(whitening / np.abs(whitening).max(axis=0)) == width:
            raise StorageError(f"{fields.where}: the coordinates are singular")
        values = {
            "name": grouping.name,
            "size": grouping.size,
            "blocks": tuple(block for slot in slots for block in slot.blocks),
            "whitening": whitening,
        }
        return restore(StreamedColumns, values)

    def pairs(self, fields: Fields, one: StreamedColumns, other: StreamedColumns) -> PairBlocks:
        rows = self.positions(fields, "rows", one.size)
        cols = self.positions(fields, "cols", other.size)
        keys = rows.astype(np.int64) * other.size + cols if len(rows) == len(cols) else rows[:0]
        if len(keys) != len(rows) or not len(keys) or (np.diff(keys) <= 0).any():
            raise StorageError(f"{fields.where}: these are not pairs of levels")
        values = self.floats(fields, "values", (one.width, other.width, len(rows)))
        return PairBlocks(rows.astype(np.int32), cols.astype(np.int32), values)
