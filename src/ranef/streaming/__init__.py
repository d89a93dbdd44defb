"""Data larger than memory, and data on a cluster: two passes over chunks of rows.

The first pass finds what belongs to whole columns (levels, means, what is missing); the second
sums the cross-products. Chunks are worked on alone and their results merged, so it does not matter
where they come from or how large they are. Afterwards the model is fitted as any other.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranef.streaming.facts import Cells, Numbers, RowFacts, quadratic_form
    from ranef.streaming.fitting import stream_problem
    from ranef.streaming.leaving_out import column_coordinates, smaller_spec, submodel
    from ranef.streaming.prints import row_print
    from ranef.streaming.rowless import StreamedBasis, StreamedDesign, is_given
    from ranef.streaming.source import Source, open_source

__all__ = [
    "Cells",
    "Numbers",
    "RowFacts",
    "Source",
    "StreamedBasis",
    "StreamedDesign",
    "column_coordinates",
    "is_given",
    "open_source",
    "quadratic_form",
    "row_print",
    "smaller_spec",
    "stream_problem",
    "submodel",
]

# Loaded where they are first used: most fits are of data in memory, and `import ranef` is quick.
_LATER = {
    "Cells": "facts",
    "Numbers": "facts",
    "RowFacts": "facts",
    "Source": "source",
    "StreamedBasis": "rowless",
    "StreamedDesign": "rowless",
    "column_coordinates": "leaving_out",
    "is_given": "rowless",
    "open_source": "source",
    "quadratic_form": "facts",
    "row_print": "prints",
    "smaller_spec": "leaving_out",
    "stream_problem": "fitting",
    "submodel": "leaving_out",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'ranef.streaming' has no attribute {name!r}")
    found: object = getattr(import_module(f"ranef.streaming.{_LATER[name]}"), name)
    globals()[name] = found
    return found
