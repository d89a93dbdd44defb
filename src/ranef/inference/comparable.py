"""What models must have in common to be compared, and the errors that say what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranef.errors import OptionError
from ranef.inference.models import check_fitted
from ranef.inference.nesting import Piece, embed_random, outside_fixed
from ranef.inference.same_data import same_fixed

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Names in a message about columns that are not nested.
SHOWN = 3


def check_models(models: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    """Return what the models are called."""
    check_fitted("compare", models)
    if len(models) < 2:
        raise OptionError(f"compare needs at least two models; got {len(models)}.")
    if names is None:
        return [f"m{i + 1}" for i in range(len(models))]
    called = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(called) != len(models) or len(set(called)) != len(called):
        raise OptionError(
            f"names must be {len(models)} different names, one for each model; got {names!r}."
        )
    return called


def check_criteria(fits: Sequence[LinearMixedModel], called: Sequence[str]) -> None:
    """Refuse likelihoods that cannot be compared."""
    reml = [name for model, name in zip(fits, called, strict=True) if model.reml]
    if not reml:
        return
    if len(reml) < len(fits):
        others = [name for name in called if name not in reml]
        raise OptionError(
            f"some models were fitted by REML ({', '.join(reml)}) and some by maximum likelihood "
            f"({', '.join(others)}), which cannot be compared: fit all by the same method, or use "
            "refit=True."
        )
    for model, name in zip(fits[1:], called[1:], strict=True):
        if not same_fixed(fits[0], model):
            raise OptionError(
                f"the fixed effects of {called[0]} and {name} differ, so their REML likelihoods "
                "cannot be compared: use refit=True, or fit with reml=False."
            )


def check_nested(
    small: LinearMixedModel, large: LinearMixedModel, name: str, other: str
) -> tuple[Piece, ...]:
    """Return where the smaller model lies in the larger one; raise OptionError if it does not."""
    outside = outside_fixed(small, large)
    advice = (
        "A likelihood ratio says nothing about such models: compare AIC and BIC with nested=False."
    )
    if outside:
        more = f" and {len(outside) - SHOWN} more" if len(outside) > SHOWN else ""
        raise OptionError(
            f"{name} is not nested in {other}: {', '.join(outside[:SHOWN])}{more} cannot be written"
            f" in terms of the fixed effects of {other}. {advice}"
        )
    pieces = embed_random(small, large)
    if isinstance(pieces, str):
        raise OptionError(
            f"{name} is not nested in {other}: the random effects of {other} do not include "
            f"{pieces}. {advice}"
        )
    return pieces
