"""The forms in which linear hypotheses can be given, all read as rows over the columns of X."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.design.spec import ColumnSpec
from ranef.errors import OptionError, UnknownVariableError
from ranef.inference.hypotheses import (
    LARGEST_NUMBER,
    Hypotheses,
    Vocabulary,
    parse_hypothesis,
    unknown_coefficient,
)
from ranef.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Rows of weights with more coefficients than this are numbered instead of written out.
_WRITTEN = 4


@dataclass(frozen=True, slots=True, eq=False)
class LinearFunctions:
    """Functions of the coefficients that are tested.

    Attributes
    ----------
    rows : float64 array (m, P)
        Over all columns of X.
    rhs : float64 array (m,)
    labels : tuple of str (m,)
    basic : bool array (m,)
        Functions of the coefficients of the model without its aliased columns.
    """

    rows: FloatArray
    rhs: FloatArray
    labels: tuple[str, ...]
    basic: BoolArray


def read_hypotheses(model: LinearMixedModel, L: Any, rhs: Any) -> LinearFunctions:
    """Return the rows, right-hand sides and labels of hypotheses about a model's coefficients.

    Parameters
    ----------
    model : LinearMixedModel
    L : str, mapping, Series, array, DataFrame, or a list of these
        See `contest`.
    rhs : float or array (m,)

    Raises
    ------
    FormulaError, UnknownVariableError, OptionError
        If they cannot be read.
    """
    known = vocabulary(model)
    kept = model.problem.basis.kept
    parts = [_read(part, known, kept) for part in (L if _is_list_of_parts(L) else [L])]
    rows = np.concatenate([part.rows for part in parts])
    if len(rows) == 0:
        raise OptionError("L has no rows: there is nothing to test.")
    given = _right_hand_sides(rhs, len(rows))
    if given.any() and any(part.equation for part in parts):
        raise OptionError(
            f"give right-hand sides either in the text, as '... = 3', or by rhs; got rhs={rhs!r}."
        )
    labels = (label for part in parts for label in part.labels)
    numbered = (label or f"L{i + 1}" for i, label in enumerate(labels))
    shown = tuple(
        f"{label} = {value:g}" if value != 0.0 else label
        for label, value in zip(numbered, given, strict=True)
    )
    rhs_of_parts = np.concatenate([part.rhs for part in parts])
    basic = np.repeat([part.basic for part in parts], [len(part.rows) for part in parts])
    return LinearFunctions(rows, rhs_of_parts + given, shown, basic)


def vocabulary(model: LinearMixedModel) -> Vocabulary:
    """Return the names that hypotheses about a model may use."""
    spec: ColumnSpec = model.design.spec
    kept = model.problem.basis.kept
    terms = {
        block.label: tuple(int(k) for k in kept[(kept >= block.start) & (kept < block.stop)])
        for block in spec.terms
    }
    return Vocabulary(tuple(model.design.x_names), terms)


def _is_list_of_parts(L: Any) -> bool:
    if not isinstance(L, list | tuple):
        return False
    return not all(isinstance(part, int | float | np.number) for part in L)


def _read(part: Any, known: Vocabulary, kept: IntArray) -> Hypotheses:
    """Return the rows of one string, mapping, array or frame; the label of a row may be empty."""
    if isinstance(part, str):
        return parse_hypothesis(part, known)
    if isinstance(part, Mapping):
        part = pd.Series(dict(part), dtype=object)
    basic = False
    if isinstance(part, pd.Series) and _are_names(part.index):
        rows = _by_name(part.to_frame().T, known)
    elif isinstance(part, pd.DataFrame) and _are_names(part.columns):
        rows = _by_name(part, known)
    else:
        rows, basic = _by_position(part, known, kept)
    if isinstance(part, pd.DataFrame) and _are_names(part.index):
        labels = tuple(map(str, part.index))
    else:
        labels = tuple(_written(row, known.names) for row in rows)
    return Hypotheses(rows, np.zeros(len(rows)), labels, basic=basic)


def _are_names(index: pd.Index) -> bool:
    return len(index) > 0 and all(isinstance(name, str) for name in index)


def _by_name(frame: pd.DataFrame, known: Vocabulary) -> FloatArray:
    rows = np.zeros((len(frame), len(known.names)))
    position = {name: i for i, name in enumerate(known.names)}
    for name in frame.columns:
        if name not in position:
            raise UnknownVariableError(unknown_coefficient(name, known))
        if list(frame.columns).count(name) > 1:
            raise OptionError(f"L names the coefficient {name!r} twice.")
        rows[:, position[name]] = _numbers(frame[name])
    return rows


def _by_position(part: Any, known: Vocabulary, kept: IntArray) -> tuple[FloatArray, bool]:
    """Return the rows, and whether they leave out the aliased columns."""
    values = np.atleast_2d(_numbers(part))
    count = len(known.names)
    if values.ndim == 2 and values.shape[1] == count:
        return values, False
    if values.ndim == 2 and values.shape[1] == len(kept):
        rows = np.zeros((len(values), count))
        rows[:, kept] = values
        return rows, True
    without = f" or the {len(kept)} that are not aliased" if len(kept) < count else ""
    raise OptionError(
        f"L has the shape {np.shape(part)}; a row needs one weight for each of the {count} "
        f"coefficients{without} ({', '.join(known.names[:20])}{', ...' if count > 20 else ''})."
    )


def _numbers(values: Any) -> FloatArray:
    found = _usable(values)
    if found is None:
        raise OptionError(
            "L must be text such as 'a = b', a dict from coefficients to weights, or an array of "
            f"weights, which are finite numbers up to {LARGEST_NUMBER:g}; got {_shown(values)}."
        )
    return found


def _usable(values: Any) -> FloatArray | None:
    """Return values as an array; None unless all are finite numbers, not too large to square."""
    try:
        given = np.asarray(values)
        # numpy would read the number in a text, take dates for numbers, and halve complex ones
        numeric = given.dtype.kind in "biuf" or (
            given.dtype.kind == "O" and all(isinstance(value, Real) for value in given.flat)
        )
        found: FloatArray | None = given.astype(np.float64) if numeric else None
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found is not None and (np.abs(found) <= LARGEST_NUMBER).all() else None


def _shown(values: Any) -> str:
    """Return what an error says that it got."""
    if isinstance(values, pd.Series):
        values = values.tolist()
    return repr(values[0] if isinstance(values, list) and len(values) == 1 else values)


def _right_hand_sides(rhs: Any, count: int) -> FloatArray:
    values = _usable(rhs)
    if values is None or values.ndim > 1 or values.size not in (1, count):
        raise OptionError(
            f"rhs must be a finite number, or one for each of the {count} rows of L, up to "
            f"{LARGEST_NUMBER:g}; got {rhs!r}."
        )
    return np.broadcast_to(values, count).astype(np.float64)


def _written(row: FloatArray, names: Sequence[str]) -> str:
    """Return a row as an expression, empty if it is long."""
    used = np.flatnonzero(row).tolist()
    if not 0 < len(used) <= _WRITTEN:
        return ""
    text = ""
    for position in used:
        weight = abs(row[position])
        sign = "-" if row[position] < 0 else "+"
        factor = "" if weight == 1.0 else f"{weight:g}*"
        text += f" {sign} {factor}{names[position]}"
    return f"-{text[3:]}" if text.startswith(" -") else text[3:]
