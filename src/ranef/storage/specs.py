"""How columns are made from new data: codings, transforms' states, the caller's constants.

The formula itself is kept as its text and read again. What belongs to all parts of the model
(states, context) is written once; a `ColumnSpec` adds which columns belong to which term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ranef.design.contrasts import FactorCoding
from ranef.design.spec import ColumnSpec, TermColumns
from ranef.errors import FormulaError, StorageError
from ranef.formula import ModelFormula, TermSum, parse_formula
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.fields import Fields
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.values import decode_value, encode_value

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all `ColumnSpec` of a model have in common."""

    states: dict[str, dict[str, Any]]
    context: dict[str, Any]


def encode_formula(formula: ModelFormula) -> JSON:
    """Return the formula as the text it was read from."""
    return {
        "source": formula.source,
        "text": formula.text,
        "labels": [term.label for term in formula.random],
    }


def decode_formula(fields: Fields) -> ModelFormula:
    """Read the formula again.

    Raises
    ------
    StorageError
        If it does not say what it said when the model was saved.
    """
    try:
        formula = parse_formula(fields.text("source"))
    except FormulaError as error:
        raise StorageError(f"the formula cannot be read: {error.message:.200}") from None
    labels = fields.texts("labels")
    if len(labels) != len(formula.random):
        raise StorageError("the formula has other random terms than the model")
    random = tuple(
        replace(term, label=label) for term, label in zip(formula.random, labels, strict=True)
    )
    return replace(formula, random=random, text=fields.text("text"))


def encode_shared(
    spec: ColumnSpec, omitted: Mapping[str, Any], arrays: ArrayWriter, indices: IndexWriter
) -> JSON:
    """Return states and context, but for what is omitted."""
    kept = {name: value for name, value in spec.context.items() if name not in omitted}
    return {
        "states": {
            text: encode_value(dict(state), arrays, indices) for text, state in spec.states.items()
        },
        "context": {name: encode_value(value, arrays, indices) for name, value in kept.items()},
        "omitted": sorted(omitted),
    }


def decode_shared(
    fields: Fields, given: Mapping[str, Any], arrays: ArrayReader, indices: IndexReader
) -> Shared:
    """Return states and context; what was omitted comes from the caller.

    Raises
    ------
    StorageError
        If the caller did not give it.
    """
    states = {
        text: decode_value(state, arrays, indices)
        for text, state in fields.fields("states").values.items()
    }
    if not all(isinstance(state, dict) for state in states.values()):
        raise StorageError("what a transform learned is not a dict")
    stored = fields.fields("context").values.items()
    context = {name: decode_value(value, arrays, indices) for name, value in stored}
    missing = [name for name in fields.texts("omitted") if name not in given]
    if missing:
        wanted = ", ".join(f"{name!r}: {name}" for name in missing)
        raise StorageError(
            f"the formula uses {', '.join(map(repr, missing))} of your own, which files do not "
            f"hold: pass the same as when the model was fitted, context={{{wanted}}}."
        )
    context |= {name: given[name] for name in fields.texts("omitted")}
    return Shared(states, context)


def encode_spec(spec: ColumnSpec, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    """Return what one part of the model has of its own."""
    return {
        "terms": [
            {"full": list(part.full), "start": part.start, "stop": part.stop} for part in spec.terms
        ],
        "names": list(spec.names),
        "suffixes": {text: list(names) for text, names in spec.suffixes.items()},
        "codings": {
            text: {
                "levels": indices.add(coding.levels),
                "contrast": coding.contrast,
                "matrix": arrays.add(coding.matrix, "contrasts"),
                "names": list(coding.names),
                "base": coding.base,
            }
            for text, coding in spec.codings.items()
        },
        "offset_column": spec.offset_column,
        "weights_column": spec.weights_column,
    }


def decode_spec(
    fields: Fields,
    formula: ModelFormula,
    total: TermSum,
    shared: Shared,
    arrays: ArrayReader,
    indices: IndexReader,
    *,
    fixed: bool,
) -> ColumnSpec:
    """Return how to make the columns of a sum of terms of the formula.

    Raises
    ------
    StorageError
        If terms and columns do not belong together.
    """
    names, parts = fields.texts("names"), list(fields.each("terms"))
    if len(parts) != len(total.terms):
        raise StorageError(f"{fields.where}: these are not the terms of the formula")
    columns, start = [], int(total.intercept)
    for term, part in zip(total.terms, parts, strict=True):
        full = part.items("full")
        stop = part.integer("stop")
        flags = len(full) == len(term.factors) and all(type(flag) is bool for flag in full)
        if not flags or part.integer("start") != start or stop < start:
            raise StorageError(f"{part.where}: these are not the columns of {term.label}")
        columns.append(TermColumns(term, tuple(full), start, stop))
        start = stop
    if len(names) != start:
        raise StorageError(f"{fields.where}: there are {len(names)} names for {start} columns")
    offset = _column_name(fields, "offset_column")
    # files from before weights were known by name do not have it
    weights = _column_name(fields, "weights_column") if "weights_column" in fields else None
    suffixes = fields.fields("suffixes")
    return ColumnSpec(
        formula.source,
        total,
        tuple(columns),
        names,
        {text: suffixes.texts(text) for text in suffixes.values},
        {
            text: _coding(coding, arrays, indices)
            for text, coding in fields.fields("codings").named()
        },
        shared.states,
        shared.context,
        formula.offsets if fixed else (),
        offset,
        weights,
    )


def _column_name(fields: Fields, key: str) -> str | None:
    return None if fields.get(key) is None else fields.text(key)


def _coding(fields: Fields, arrays: ArrayReader, indices: IndexReader) -> FactorCoding:
    levels = indices.get(fields.get("levels"))
    matrix, names = arrays.get(fields.get("matrix")), fields.texts("names")
    base = fields.get("base")
    if base is not None and (type(base) is not int or not 0 <= base < len(levels)):
        raise StorageError(f"{fields.where}: {base!r:.20} is not the position of a level")
    if matrix.dtype.kind != "f" or matrix.shape != (len(levels), len(names)):
        raise StorageError(f"{fields.where}: the contrasts do not belong to the levels")
    return FactorCoding(levels, fields.text("contrast"), matrix, names, base)
