"""What inference prepares once for a model and asks for again: kept with it, never pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from ranef.model.fitted import LinearMixedModel

T = TypeVar("T")


def prepared(model: LinearMixedModel, key: str, make: Callable[[], T]) -> T:
    """Return what ``make`` returned when it was first called for this model and key.

    A model does not change, so nothing that is computed from it alone can become outdated.
    """
    kept: dict[str, Any] = model._prepared
    if key not in kept:
        kept[key] = make()
    return cast(T, kept[key])
