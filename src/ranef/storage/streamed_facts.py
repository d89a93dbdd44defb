"""What is remembered of the rows of streamed data, in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranef.design.column import Column
from ranef.errors import StorageError
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.designs import decode_column, encode_column
from ranef.storage.fields import Fields
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.specs import JSON
from ranef.streaming import Cells, Numbers, RowFacts
from ranef.typing import FloatArray


def encode_facts(facts: RowFacts, arrays: ArrayWriter, indices: IndexWriter) -> JSON:
    """Return the facts as JSON and arrays."""
    numbers = {
        name: {
            "count": known.count,
            "few": known.few,
            "values": arrays.add(np.array([known.mean, known.low, known.high]), "range"),
        }
        for name, known in facts.numbers.items()
    }
    return {
        "prints": list(facts.prints),
        "means": arrays.add(np.array([facts.offset_mean, facts.inverse_weight]), "means"),
        "spread": arrays.add(facts.spread, "spread"),
        "squares": [arrays.add(part, "squares") for part in facts.squares],
        "numbers": numbers,
        "cells": None
        if facts.cells is None
        else {
            "counts": arrays.add(facts.cells.counts, "counts"),
            "columns": {
                name: encode_column(column, arrays, indices)
                for name, column in facts.cells.columns.items()
            },
        },
    }


def decode_facts(
    fields: Fields, widths: Sequence[int], p: int, arrays: ArrayReader, indices: IndexReader
) -> RowFacts:
    """Return the facts.

    Parameters
    ----------
    fields : Fields
    widths : sequence of int
        Random-effects columns of every grouping factor.
    p : int
        Fixed-effects columns that were kept.
    arrays : ArrayReader
    indices : IndexReader

    Raises
    ------
    StorageError
        If these are no facts about such a model.
    """

    def floats(reference: Any, shape: tuple[int, ...]) -> FloatArray:
        values = arrays.get(reference)
        if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
            raise StorageError(f"{fields.where}: these are not {shape} finite numbers")
        return values

    prints = fields.items("prints")
    if len(prints) != 3 or not all(type(part) is int for part in prints):
        raise StorageError(f"{fields.where}: the prints are not three whole numbers")
    squares = fields.items("squares")
    if len(squares) != len(widths):
        raise StorageError(f"{fields.where}: there are not the squares of all grouping factors")
    offset_mean, inverse_weight = floats(fields.get("means"), (2,)).tolist()
    return RowFacts(
        prints=tuple(prints),
        offset_mean=offset_mean,
        inverse_weight=inverse_weight,
        spread=floats(fields.get("spread"), (p, p)),
        squares=tuple(
            floats(part, (width, width)) for part, width in zip(squares, widths, strict=True)
        ),
        numbers={
            name: _numbers(known, floats(known.get("values"), (3,)))
            for name, known in fields.fields("numbers").named()
        },
        cells=None
        if fields.get("cells") is None
        else _cells(fields.fields("cells"), arrays, indices),
    )


def _numbers(fields: Fields, values: FloatArray) -> Numbers:
    mean, low, high = values.tolist()
    return Numbers(fields.integer("count"), mean, low, high, fields.flag("few"))


def _cells(fields: Fields, arrays: ArrayReader, indices: IndexReader) -> Cells:
    counts = arrays.get(fields.get("counts"))
    if counts.ndim != 1 or counts.dtype != np.float64 or not (counts > 0).all():
        raise StorageError(f"{fields.where}: the counts are not positive numbers")
    columns: dict[str, Column] = {
        name: decode_column(column, name, len(counts), arrays, indices)
        for name, column in fields.fields("columns").named()
    }
    return Cells(columns, counts)
