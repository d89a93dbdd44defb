"""The design of a model: arrays, groups, variables, row labels. Everything is checked on reading.

`check_arrays` makes sure that what later code takes for granted holds: shapes agree, numbers are
finite, codes point at levels. So a file that was put together by somebody else gives an error here,
not a crash later.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from ranef.design.checks import check_design
from ranef.design.column import Column, Kind
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.design.variables import Variables
from ranef.errors import DataError, StorageError
from ranef.formula import ModelFormula
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.fields import Fields
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.specs import JSON, Shared, decode_spec, encode_spec
from ranef.storage.values import decode_value, encode_value
from ranef.typing import FloatArray


def encode_design(design: Design, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    """Return the design but for formula, states and context."""
    X = design.X
    groupings = {term.grouping.name: term.grouping for term in design.terms}
    return {
        "y": arrays.add(design.y, "y"),
        "X": arrays.add(X, "x", columns=True) if isinstance(X, np.ndarray) else _sparse(X, arrays),
        "fixed": encode_spec(design.spec, arrays, indices),
        "groupings": {name: _grouping(g, arrays, indices) for name, g in groupings.items()},
        "terms": [_term(term, arrays, indices) for term in design.terms],
        "weights": _optional(design.weights, arrays, "weights"),
        "offset": _optional(design.offset, arrays, "offset"),
        "index": indices.add(design.index),
        "n_total": design.n_total,
        "dropped": dict(design.dropped),
        "variables": {
            name: encode_column(column, arrays, indices)
            for name, column in design.variables.columns.items()
        },
        "contrasts": {
            name: encode_value(wish, arrays, indices) for name, wish in design.contrasts.items()
        },
    }


def decode_design(
    fields: Fields,
    formula: ModelFormula,
    shared: Shared,
    rows: int,
    arrays: ArrayReader,
    indices: IndexReader,
) -> Design:
    """Return the design.

    Raises
    ------
    StorageError
        If its parts do not belong together.
    """
    spec = decode_spec(
        fields.fields("fixed"), formula, formula.fixed, shared, arrays, indices, fixed=True
    )
    reader = _Rows(rows, arrays, indices)
    index = reader.labels(fields, "index")
    stored = fields.fields("groupings")
    groupings: dict[str, Grouping] = {}
    parts = list(fields.each("terms"))
    if len(parts) != len(formula.random):
        raise StorageError("the model has other random terms than the formula")
    terms = []
    for part, term in zip(parts, formula.random, strict=True):
        own = decode_spec(
            part.fields("spec"), formula, term.effects, shared, arrays, indices, fixed=False
        )
        name = term.group_name
        if name not in groupings:
            variables = tuple(variable.names[0] for variable in term.group)
            groupings[name] = reader.grouping(stored.fields(name), name, variables)
        columns = tuple(reader.column(item) for item in part.items("columns"))
        if len(columns) != len(own.names):
            raise StorageError(f"{part.where}: columns and names differ in number")
        terms.append(
            RandomTerm(term.label, groupings[name], own.names, columns, term.correlated, own)
        )
    columns_of_data = {
        name: reader.variable(variable, name)
        for name, variable in fields.fields("variables").named()
    }
    dropped = fields.fields("dropped")
    wishes = fields.fields("contrasts").values
    design = Design(
        formula=formula,
        response=formula.response.label,
        y=reader.floats(fields.get("y"), "y"),
        X=reader.matrix(fields.get("X"), len(spec.names)),
        x_names=spec.names,
        terms=tuple(terms),
        weights=reader.optional(fields, "weights"),
        offset=reader.optional(fields, "offset"),
        index=index,
        n_total=fields.integer("n_total"),
        dropped={name: dropped.integer(name) for name in dropped.values},
        spec=spec,
        variables=Variables(columns_of_data, index),
        contrasts={name: decode_value(wish, arrays, indices) for name, wish in wishes.items()},
    )
    try:
        check_design(design)
    except DataError as error:
        raise StorageError(f"the data in the file cannot be those of a model: {error}") from None
    return design


def _sparse(X: sparse.csc_array, arrays: ArrayWriter) -> JSON:
    parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr}
    return {"sparse": {name: arrays.add(part, f"x_{name}") for name, part in parts.items()}}


def _optional(values: FloatArray | None, arrays: ArrayWriter, name: str) -> JSON | None:
    return None if values is None else arrays.add(values, name)


def _grouping(grouping: Grouping, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    return {
        "codes": arrays.add(grouping.codes, f"codes_{grouping.name}"),
        "levels": indices.add(grouping.levels),
    }


def _term(term: RandomTerm, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    columns = zip(term.names, term.columns, strict=True)
    return {
        "columns": [_optional(column, arrays, f"z_{name}") for name, column in columns],
        "spec": encode_spec(term.spec, arrays, indices),
    }


def encode_column(column: Column, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    """Return a column of the data."""
    return {
        "kind": column.kind,
        "values": arrays.add(column.values, f"variable_{column.name}"),
        "levels": None if column.levels is None else indices.add(column.levels),
        "ordered": column.ordered,
        "text": column.text,
    }


def decode_column(
    fields: Fields, name: str, rows: int, arrays: ArrayReader, indices: IndexReader
) -> Column:
    """Return a column of the data, which must have this many rows."""
    return _Rows(rows, arrays, indices).variable(fields, name)


class _Rows:
    """Reads what has one value per row, and checks that it has."""

    def __init__(self, rows: int, arrays: ArrayReader, indices: IndexReader) -> None:
        self.rows = rows
        self.arrays = arrays
        self.indices = indices

    def labels(self, fields: Fields, key: str) -> pd.Index:
        index = self.indices.get(fields.get(key))
        if len(index) != self.rows:
            raise StorageError(f"there are {len(index)} row labels for {self.rows} rows")
        return index

    def values(self, reference: Any, where: str) -> NDArray[Any]:
        values = self.arrays.get(reference)
        if values.shape != (self.rows,):
            raise StorageError(f"{where} has the shape {values.shape}, not ({self.rows},)")
        return values

    def floats(self, reference: Any, where: str) -> FloatArray:
        values = self.values(reference, where)
        if values.dtype != np.float64 or not np.isfinite(values).all():
            raise StorageError(f"{where} does not hold finite numbers")
        return values

    def column(self, reference: Any) -> FloatArray | None:
        return None if reference is None else self.floats(reference, "a random-effects column")

    def optional(self, fields: Fields, key: str) -> FloatArray | None:
        return None if fields.get(key) is None else self.floats(fields.get(key), key)

    def matrix(self, stored: Any, width: int) -> FloatArray | sparse.csc_array:
        if not isinstance(stored, dict) or "sparse" not in stored:
            X = self.arrays.get(stored)
            if X.shape != (self.rows, width) or X.dtype != np.float64 or not np.isfinite(X).all():
                raise StorageError(f"X is not a matrix of {self.rows} x {width} finite numbers")
            return X
        fields = Fields(stored["sparse"], "X")
        data, indices, indptr = (
            self.arrays.get(fields.get(key)) for key in ("data", "indices", "indptr")
        )
        try:
            if data.dtype != np.float64 or not np.isfinite(data).all():
                raise ValueError("not finite")
            sparse_X = sparse.csc_array((data, indices, indptr), shape=(self.rows, width))
            sparse_X.check_format(full_check=True)
        except (ValueError, TypeError, IndexError) as error:
            raise StorageError(f"X is not a sparse matrix: {error!s:.80}") from None
        return sparse_X

    def codes(self, reference: Any, size: int, where: str) -> NDArray[Any]:
        codes = self.values(reference, where)
        if codes.dtype.kind != "i" or codes.min(initial=0) < 0 or codes.max(initial=-1) >= size:
            raise StorageError(f"{where} does not point at levels")
        return codes

    def grouping(self, fields: Fields, name: str, variables: tuple[str, ...]) -> Grouping:
        levels = self.indices.get(fields.get("levels"))
        codes = self.codes(fields.get("codes"), len(levels), f"the group {name!r}")
        if codes.dtype != np.int32 or np.count_nonzero(np.bincount(codes)) != len(levels):
            raise StorageError(f"the group {name!r} has levels without rows")
        return Grouping(name, variables, codes, levels)

    def variable(self, fields: Fields, name: str) -> Column:
        kind: Any = fields.text("kind")
        if kind not in get_args(Kind):
            raise StorageError(f"{fields.where}: {kind!r:.20} is not a kind of column")
        ordered, text = fields.flag("ordered"), fields.flag("text")
        if fields.get("levels") is None:
            values = self.values(fields.get("values"), fields.where)
            if (kind == "boolean") != (values.dtype.kind == "b") or kind in ("factor", "labels"):
                raise StorageError(f"{fields.where}: these are not the values of a {kind} column")
            return Column(name, kind, values, None, ordered, text)
        levels = self.indices.get(fields.get("levels"))
        codes = self.codes(fields.get("values"), len(levels), fields.where)
        return Column(name, kind, codes, levels, ordered, text)
