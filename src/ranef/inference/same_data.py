"""Whether likelihoods may be compared at all: the same rows, response, weights and offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranef.design.types import Design
from ranef.errors import DataError
from ranef.streaming import StreamedDesign, row_print
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
        if models[0].nobs != model.nobs:
            lost = sorted({*first.dropped, *other.dropped})
            missing = f" (missing values in {', '.join(lost)})" if lost else ""
            raise DataError(
                f"{names[0]} was fitted to {models[0].nobs} rows and {name} to {model.nobs}"
                f"{missing}: fit both to the rows that are complete in every variable of both."
            )
        same_y, same_weights, same_offset = _same_rows(first, other)
        if not same_y or (same_weights and same_offset and not _same_sums(models[0], model)):
            raise DataError(
                f"{names[0]} and {name} were fitted to different values of {first.response}, or to "
                "the same in another order: fit both to the same data."
            )
        for what, same in (("prior weights", same_weights), ("offsets", same_offset)):
            if not same:
                raise DataError(
                    f"{names[0]} and {name} have different {what}: fit both with the same."
                )


def _same_rows(one: Design, other: Design) -> tuple[bool, ...]:
    """Tell whether response, weights and offset are the same.

    Of streamed data only prints are left: sums of hashes, which do not depend on the order of rows.
    """
    if isinstance(one, StreamedDesign) or isinstance(other, StreamedDesign):
        return tuple(a == b for a, b in zip(_prints(one), _prints(other), strict=True))
    return (
        np.array_equal(one.y, other.y),
        _equal(one.weights, other.weights, 1.0),
        _equal(one.offset, other.offset, 0.0),
    )


def _same_sums(one: LinearMixedModel, other: LinearMixedModel) -> bool:
    """Tell whether the columns of X that both have, have the same products with the response.

    Prints do not see in which order the rows are; these products do.
    """
    if not any(isinstance(model.design, StreamedDesign) for model in (one, other)):
        return True
    names = [[m.design.x_names[j] for j in m.problem.basis.kept] for m in (one, other)]
    shared = [name for name in names[0] if name in names[1]]
    found = []
    for model, own in zip((one, other), names, strict=True):
        basis, at = model.problem.basis, [own.index(name) for name in shared]
        columns, fit = basis.R[:, at], basis.R @ basis.estimate
        left = float(model.problem.objective.plan.products.D[-1, -1])
        sizes = np.sqrt((columns * columns).sum(axis=0))
        found.append((columns.T @ fit, sizes * np.sqrt(fit @ fit + left)))
    # sums over many rows; data that differ do so by much more
    return bool((np.abs(found[0][0] - found[1][0]) <= 1e-9 * found[0][1]).all())


def _positive(R: FloatArray) -> FloatArray:
    """Return a triangular factor with the signs that make it unique."""
    return np.asarray(np.where(R.diagonal() < 0.0, -1.0, 1.0)[:, None] * R)


def _prints(design: Design) -> tuple[int, ...]:
    if isinstance(design, StreamedDesign):
        return design.facts.prints
    n = len(design.y)
    return (
        row_print(design.y, n),
        row_print(design.weights, n, neutral=1.0),
        row_print(design.offset, n),
    )


def same_fixed(one: LinearMixedModel, other: LinearMixedModel) -> bool:
    """Tell whether the fixed-effects columns are the same, coding included.

    Other columns with the same span would change the REML criterion by a constant.
    """
    R, S = (_positive(m.problem.basis.R) for m in (one, other))
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
