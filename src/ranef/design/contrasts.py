"""How the levels of a factor become columns: R's contrast matrices.

A factor with L levels is coded by L - 1 columns where the model already spans its mean, and by L
indicator columns where it does not. The numbers are those of R's ``contr.*``; the names of the
columns are formulaic's (``f[T.b]``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import poly

from ranef.design.values import FactorValue
from ranef.errors import DataError, OptionError
from ranef.typing import FloatArray

CONTRAST_NAMES = {
    "contr.treatment": "treatment", "contr.sum": "sum", "contr.helmert": "helmert",
    "contr.poly": "poly", "contr.SAS": "sas",
    "Treatment": "treatment", "Sum": "sum", "Helmert": "helmert", "Poly": "poly",
}  # fmt: skip
"""Names a formula may use inside ``C()``, and what they mean."""

_ORDERS = {1: ".L", 2: ".Q", 3: ".C"}
MAX_POLY_LEVELS = 95  # R's own limit: beyond it the polynomials are numerically meaningless


@dataclass(frozen=True, slots=True)
class ContrastRequest:
    """A contrast as a formula names it: ``contr.treatment``, ``Treatment("b")``.

    Attributes
    ----------
    name : str
    reference : object
        The level (or, with ``base``, its number) that treatment contrasts compare with.
    """

    name: str
    reference: Any = None
    base: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class FactorCoding:
    """How one factor is coded.

    Attributes
    ----------
    levels : pandas.Index (L,)
        The levels of the training data.
    contrast : str
    matrix : float64 array (L, L - 1)
        Row per level.
    names : tuple of str (L - 1,)
        What stands in brackets after the name of the factor: ``T.b``.
    base : int or None
        For treatment contrasts, the level whose column is left out: column k is then simply
        the indicator of a level.
    """

    levels: pd.Index
    contrast: str
    matrix: FloatArray
    names: tuple[str, ...]
    base: int | None

    @property
    def full_names(self) -> tuple[str, ...]:
        """What stands in brackets if every level has its column."""
        return level_names(self.levels)


def code_factor(factor: FactorValue, levels: pd.Index, requested: Any) -> FactorCoding:
    """Choose the coding of a factor.

    Parameters
    ----------
    factor : FactorValue
        Its own wish (``C(x, contr.sum)``) comes first.
    levels : pandas.Index
        The levels that occur.
    requested : str or None
        From the argument ``contrasts``; None for R's default, ``treatment`` or, for ordered
        factors, ``poly``.
    """
    wish = factor.contrast if factor.contrast is not None else requested
    request = as_request(wish) if wish is not None else None
    if request is None:
        request = ContrastRequest("poly" if factor.ordered else "treatment")
    base = _base(request, levels)
    names = level_names(levels)
    count = len(levels)
    if request.name in ("treatment", "sas"):
        kept = [level for level in range(count) if level != base]
        matrix = np.eye(count)[:, kept]
        labels = tuple(f"T.{names[level]}" for level in kept)
        return FactorCoding(levels, request.name, matrix, labels, base)
    if request.name == "sum":
        matrix = np.vstack([np.eye(count - 1), -np.ones(count - 1)])
        labels = tuple(f"S.{name}" for name in names[:-1])
    elif request.name == "helmert":
        matrix = helmert(count)
        labels = tuple(f"H.{name}" for name in names[1:])
    else:
        if count > MAX_POLY_LEVELS:
            raise DataError(
                f"polynomial contrasts need at most {MAX_POLY_LEVELS} levels, there are {count}; "
                "use an unordered factor or the number itself."
            )
        matrix = np.asarray(poly(np.arange(float(count)), degree=count - 1))
        labels = tuple(_ORDERS.get(degree, f"^{degree}") for degree in range(1, count))
    return FactorCoding(levels, request.name, matrix, labels, None)


def as_request(wish: Any) -> ContrastRequest:
    """Return a contrast given as an object, a name or R's name.

    Raises
    ------
    OptionError
        If there is no such contrast.
    """
    if isinstance(wish, ContrastRequest):
        return wish
    allowed = ("treatment", "sum", "helmert", "poly")
    if isinstance(wish, str):
        name = CONTRAST_NAMES.get(wish, wish)
        if name in (*allowed, "sas"):
            return ContrastRequest(name)
    raise OptionError.from_choice("contrasts", wish, allowed)


def helmert(count: int) -> FloatArray:
    """Return R's ``contr.helmert``: column k compares level k + 1 with the mean of those before.

    Returns
    -------
    float64 array (count, count - 1)
    """
    matrix = np.zeros((count, count - 1))
    for column in range(count - 1):
        matrix[: column + 1, column] = -1.0
        matrix[column + 1, column] = column + 1.0
    return matrix


def level_names(levels: pd.Index) -> tuple[str, ...]:
    """Return levels as text; whole numbers without a decimal point, as in R."""
    return tuple(level_text(level) for level in levels)


def level_text(level: Any) -> str:
    """Return one level as text."""
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)


def _base(request: ContrastRequest, levels: pd.Index) -> int:
    last = len(levels) - 1
    if request.base is not None:
        number = int(request.base)
        if not 1 <= number <= last + 1:
            raise DataError(f"base={number} is not the number of a level (1 to {last + 1}).")
        return number - 1
    if request.reference is None:
        return last if request.name == "sas" else 0
    for position, level in enumerate(levels):
        if level == request.reference or str(level) == request.reference:
            return position
    raise DataError(f"the reference level {request.reference!r} does not occur.")
