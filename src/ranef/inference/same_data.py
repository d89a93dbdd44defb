"""Whether likelihoods may be compared at all: the same rows, response, weights and offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranef.errors import DataError
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def check_same_data(models: Sequence[LinearMixedModel], names: Sequence[str]) -> None:
    """Raise DataError unless all models were fitted to the same data.

    Parameters
    ----------
    models : sequence of LinearMixedModel
    names : sequence of str
        What the message calls them.
    """
    first = models[0].design
    for model, name in zip(models[1:], names[1:], strict=True):
        other = model.design
        if first.response != other.response:
            raise DataError(
                f"the response of {names[0]} is {first.response} and that of {name} is "
                f"{other.response}: only likelihoods of the same response can be compared."
            )
        if len(first.y) != len(other.y):
            lost = sorted({*first.dropped, *other.dropped})
            missing = f" (missing values in {', '.join(lost)})" if lost else ""
            raise DataError(
                f"{names[0]} was fitted to {len(first.y)} rows and {name} to {len(other.y)}"
                f"{missing}: fit both to the rows that are complete in every variable of both."
            )
        if not np.array_equal(first.y, other.y):
            raise DataError(
                f"{names[0]} and {name} were fitted to different values of {first.response}, or to "
                "the same in another order: fit both to the same data."
            )
        for what, mine, theirs, neutral in (
            ("prior weights", first.weights, other.weights, 1.0),
            ("offsets", first.offset, other.offset, 0.0),
        ):
            if not _equal(mine, theirs, neutral):
                raise DataError(
                    f"{names[0]} and {name} have different {what}: fit both with the same."
                )


def same_fixed(one: LinearMixedModel, other: LinearMixedModel) -> bool:
    """Tell whether the fixed-effects columns are the same, coding included.

    Other columns with the same span would change the REML criterion by a constant.
    """
    R, S = one.problem.basis.R, other.problem.basis.R
    names = [[m.design.x_names[j] for j in m.problem.basis.kept] for m in (one, other)]
    # the triangular factor of the same columns: rounding is 1e-13 of their size
    return names[0] == names[1] and bool(
        np.allclose(R, S, rtol=1e-9, atol=1e-9 * np.abs(R).max(initial=0.0))
    )


def _equal(one: FloatArray | None, other: FloatArray | None, neutral: float) -> bool:
    if one is None or other is None:
        given = other if one is None else one
        return given is None or bool((given == neutral).all())
    return np.array_equal(one, other)
