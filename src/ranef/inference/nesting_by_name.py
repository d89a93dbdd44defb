"""Whether one model is a special case of another, told from their terms: models without rows.

Columns of the same name are the same columns, because both models were fitted to the same data. So
the smaller model is a special case if the larger one has all its columns, and blocks of random
effects for the same groups that have all of theirs. Models can be nested without that, as a line
is in a spline: that cannot be told here, and is an error of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ranef.errors import NoRowsError
from ranef.streaming import StreamedDesign
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Names in a message.
SHOWN = 3
# Grouping factor and block of the smaller model, the same of the larger one, and M.
Placed: TypeAlias = tuple[int, tuple[int, int], int, tuple[int, int], FloatArray]


def is_streamed(model: LinearMixedModel) -> bool:
    """Tell whether a model was fitted to streamed data."""
    return isinstance(model.design, StreamedDesign)


def fixed_by_name(small: LinearMixedModel, large: LinearMixedModel) -> tuple[str, ...]:
    """Return nothing, as all columns of the smaller X are found in the larger one.

    Raises
    ------
    NoRowsError
        If some are not.
    """
    names, known = small.design.x_names, set(large.design.x_names)
    missing = [names[j] for j in small.problem.basis.kept if names[j] not in known]
    if missing:
        raise _unknown(", ".join(missing[:SHOWN]), large)
    return ()


def random_by_name(small: LinearMixedModel, large: LinearMixedModel) -> list[Placed]:
    """Place the smaller model's random effects in the larger's.

    Raises
    ------
    NoRowsError
        If some are not found.
    """
    places = _blocks(large)
    found: list[Placed] = []
    for f, block, group, names, label in _blocks(small):
        fitting = [place for place in places if place[2] == group and set(names) <= {*place[3]}]
        if not fitting:
            raise _unknown(label, large)
        into, place, _, others, _ = min(fitting, key=lambda place: len(place[3]))
        M = np.array([[float(mine == other) for mine in names] for other in others])
        found.append((f, block, into, place, M))
    return found


def _unknown(what: str, large: LinearMixedModel) -> NoRowsError:
    return NoRowsError(
        f"{what} is not found by name in {large.formula}, and whether the one model is a special "
        "case of the other cannot be told without rows, which models of streamed data do not "
        "keep: compare AIC and BIC with nested=False."
    )


_Block: TypeAlias = tuple[int, tuple[int, int], tuple[str, ...], tuple[str, ...], str]


def _blocks(model: LinearMixedModel) -> list[_Block]:
    """Return factor, block, variables of the groups, names of the columns and label."""
    return [
        (
            slot.factor,
            block,
            tuple(sorted(slot.term.grouping.variables)),
            slot.term.names[block[0] - slot.start : block[1] - slot.start],
            slot.term.label,
        )
        for slot in sorted(model.problem.slots, key=lambda slot: (slot.factor, slot.start))
        for block in slot.blocks
    ]
