"""Model columns taken apart: ``recipe[T.B]:Days`` is the product of an indicator and of Days.

A part knows how it is shown and which variables it is made of. An indicator is shown as what it
indicates, ``[recipe = B]``; so the column of a level is recognised whether the factor is coded by
treatment contrasts (in the fixed part) or in full (in a random term).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from ranef.design.spec import ColumnSpec, TermColumns
from ranef.formula import Expression


@dataclass(frozen=True, slots=True)
class Part:
    """A factor of a product of columns.

    Attributes
    ----------
    label : str
        ``Days``, ``poly(x, 2)[1]``, or ``recipe = B`` for an indicator.
    indicator : bool
    variables : tuple of str
        What the expression is made of.
    """

    label: str
    indicator: bool = False
    variables: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """A column of X or of a random term.

    Attributes
    ----------
    name : str
    parts : tuple of Part
        Empty for the intercept.
    """

    name: str
    parts: tuple[Part, ...]


def model_columns(spec: ColumnSpec) -> list[ModelColumn]:
    """Return the columns of a sum of terms, in their order."""
    parts: list[tuple[Part, ...]] = [()] if spec.intercept else []
    for block in spec.terms:
        each = [
            _parts(factor, full, spec)
            for factor, full in zip(block.term.factors, block.full, strict=True)
        ]
        # the first factor runs fastest
        parts += [combo[::-1] for combo in itertools.product(*each[::-1])]
        assert len(parts) == block.stop, _mismatch(block)
    return [ModelColumn(name, own) for name, own in zip(spec.names, parts, strict=True)]


def _mismatch(block: TermColumns) -> str:
    return f"the columns of {block.label} are not those of its factors"


def _parts(factor: Expression, full: bool, spec: ColumnSpec) -> list[Part]:
    """Return the columns of one expression."""
    coding = spec.codings.get(factor.text)
    if coding is None:
        suffixes = spec.suffixes.get(factor.text, ("",))
        return [Part(factor.label + suffix, False, factor.names) for suffix in suffixes]
    levels = coding.full_names
    if not full and coding.base is None:  # contrasts that are no indicators keep their names
        return [Part(f"{factor.label}[{name}]", False, factor.names) for name in coding.names]
    kept = [level for position, level in enumerate(levels) if full or position != coding.base]
    return [Part(f"{factor.label} = {level}", True, factor.names) for level in kept]
