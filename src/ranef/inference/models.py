"""Whether what a function was given are fitted models, before it asks them anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranef.errors import OptionError
from ranef.model import LinearMixedModel


def check_fitted(function: str, models: Sequence[Any]) -> None:
    """Raise OptionError unless all are models.

    Parameters
    ----------
    function : str
        The public name of the function that was called.
    models : sequence
        What it was given.
    """
    for model in models:
        if not isinstance(model, LinearMixedModel):
            many = isinstance(model, list | tuple)
            hint = f" Give models one by one: {function}(*models)." if many else ""
            raise OptionError(
                f"{function} needs models fitted by ranef.fit; got {type(model).__name__}.{hint}"
            )
