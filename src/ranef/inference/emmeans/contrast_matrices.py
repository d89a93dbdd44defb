"""Families of contrasts: coefficients, names, and how their p-values are adjusted by default.

The families are those of emmeans, with its names. A family is made from the texts of the levels
that are compared; it knows nothing of models. It may be asked for in any case, and by the names of
Tukey and Dunnett, as in R.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment
from ranef.inference.emmeans.level_names import LevelNames
from ranef.typing import FloatArray, check_choice

ContrastFamily: TypeAlias = Literal[
    "pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "poly", "consec", "eff", "del.eff",
    "mean_chg", "identity",
]  # fmt: skip

ALSO_CALLED = {"tukey": "pairwise", "dunnett": "trt.vs.ctrl", "trt.vs.ctrl1": "trt.vs.ctrl"}
_DEGREES = ("linear", "quadratic", "cubic", "quartic")
MAX_DEGREE = 6
# Coefficients that do not add up to more than this compare; others estimate something else.
ZERO_SUM = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ContrastMatrix:
    """Coefficients of c contrasts of k estimates.

    Attributes
    ----------
    names : tuple of str (c,)
    matrix : float64 array (c, k)
    adjust : str
        The adjustment for their number that suits them.
    kind : {"pairs", "contrast", "prediction"}
        All pairwise differences; other comparisons; or linear functions that compare nothing.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    adjust: Adjustment
    kind: Literal["pairs", "contrast", "prediction"]


def contrast_matrix(
    method: Any, levels: Sequence[str] | LevelNames, ref: Any = None
) -> ContrastMatrix:
    """Return the contrasts of a family, or the caller's own.

    Parameters
    ----------
    method : str, mapping, DataFrame or array
        See `ranef.inference.emmeans.results.MarginalMeans.contrasts`.
    levels : sequence of str (k,) or LevelNames
        What is compared.
    ref : level or sequence of levels, optional
        The control, or several whose average is the control.

    Raises
    ------
    OptionError
        For an unknown family, and coefficients that do not fit the levels.

    Examples
    --------
    >>> contrast_matrix("consec", ["a", "b", "c"]).names
    ('b - a', 'c - b')
    >>> contrast_matrix("poly", ["1", "2", "3"]).matrix
    array([[-1.,  0.,  1.],
           [ 1., -2.,  1.]])
    """
    names = levels if isinstance(levels, LevelNames) else LevelNames.of(levels)
    if not isinstance(method, str):
        if ref is not None:
            raise OptionError("ref belongs to the methods 'trt.vs.ctrl' and 'trt.vs.ctrlk'.")
        return _own(method, names)
    method = family_name(method)
    if method in ("trt.vs.ctrl", "trt.vs.ctrlk"):
        if ref is None:
            control = [0 if method == "trt.vs.ctrl" else len(names.shown) - 1]
        else:
            control = _positions(names, ref)
        return _versus_control(names.shown, control)
    if ref is not None:
        raise OptionError(
            f"ref belongs to the methods 'trt.vs.ctrl' and 'trt.vs.ctrlk', not to {method!r}."
        )
    return _FAMILIES[method](protected(names.shown))


def family_name(method: str) -> str:
    """Return the name of a family, however the caller wrote it.

    Examples
    --------
    >>> family_name("Tukey")
    'pairwise'
    """
    name = ALSO_CALLED.get(method.lower(), method.lower())
    if name not in get_args(ContrastFamily):
        name = method  # so that the error shows what was written
    check_choice("method", name, ContrastFamily)
    return name


def protected(levels: Sequence[str]) -> list[str]:
    """Put levels with an operator in them into parentheses, so that differences stay legible."""
    return [f"({level})" if any(sign in level for sign in "-+/*") else level for level in levels]


def _pairwise(levels: Sequence[str], sign: float = 1.0) -> ContrastMatrix:
    k = len(levels)
    if sign > 0:
        pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    else:
        pairs = [(i, j) for i in range(k) for j in range(i)]
    matrix = np.zeros((len(pairs), k))
    for row, (plus, minus) in enumerate(pairs):
        matrix[row, plus], matrix[row, minus] = 1.0, -1.0
    names = tuple(f"{levels[plus]} - {levels[minus]}" for plus, minus in pairs)
    return ContrastMatrix(names, matrix, "tukey", "pairs")


def _reversed_pairwise(levels: Sequence[str]) -> ContrastMatrix:
    return _pairwise(levels, -1.0)


def _versus_control(levels: Sequence[str], control: list[int]) -> ContrastMatrix:
    shown = protected(levels)
    name = (
        shown[control[0]] if len(control) == 1 else (f"avg({','.join(shown[i] for i in control)})")
    )
    others = [i for i in range(len(levels)) if i not in control]
    matrix = np.zeros((len(others), len(levels)))
    matrix[:, control] = -1.0 / len(control)
    matrix[range(len(others)), others] = 1.0
    names = tuple(f"{shown[i]} - {name}" for i in others)
    return ContrastMatrix(names, matrix, "dunnettx", "contrast")


def _positions(names: LevelNames, ref: Any) -> list[int]:
    one = isinstance(ref, str) or not np.iterable(ref) or names.has(ref)
    positions = [names.position("ref", level) for level in ([ref] if one else ref)]
    if not positions:
        raise OptionError("ref names no level.")
    return positions


def _consecutive(levels: Sequence[str]) -> ContrastMatrix:
    matrix = np.eye(len(levels))[1:] - np.eye(len(levels))[:-1]
    names = tuple(f"{b} - {a}" for a, b in itertools.pairwise(levels))
    return ContrastMatrix(names, matrix, "mvt", "contrast")


def _mean_change(levels: Sequence[str]) -> ContrastMatrix:
    k = len(levels)
    before = np.tri(k - 1, k)
    split = np.arange(1.0, k)[:, None]
    matrix = (1.0 - before) / (k - split) - before / split
    names = tuple(f"{a}|{b}" for a, b in itertools.pairwise(levels))
    return ContrastMatrix(names, matrix, "mvt", "contrast")


def _effects(levels: Sequence[str]) -> ContrastMatrix:
    k = len(levels)
    names = tuple(f"{level} effect" for level in levels)
    used = k if k > 1 else 0  # one level has no others to differ from
    matrix = (np.eye(k) - 1.0 / k)[:used]
    return ContrastMatrix(names[:used], matrix, "fdr", "contrast")


def _deleted_effects(levels: Sequence[str]) -> ContrastMatrix:
    found = _effects(levels)
    k = len(levels)
    return ContrastMatrix(found.names, found.matrix * (k / max(k - 1.0, 1.0)), "fdr", "contrast")


def _identity(levels: Sequence[str]) -> ContrastMatrix:
    return ContrastMatrix(tuple(levels), np.eye(len(levels)), "none", "prediction")


def _polynomial(levels: Sequence[str]) -> ContrastMatrix:
    """Return orthogonal polynomials, as whole numbers where these are near."""
    k = len(levels)
    degree = min(MAX_DEGREE, k - 1)
    x = np.arange(k) - 0.5 * (k - 1.0)
    Q, R = np.linalg.qr(x[:, None] ** np.arange(degree + 1))
    matrix = (Q * np.sign(R.diagonal())).T[1:]
    rows = [_whole(row) for row in matrix]
    names = (*_DEGREES, *(f"degree {d}" for d in range(5, MAX_DEGREE + 1)))[:degree]
    return ContrastMatrix(names, np.array(rows).reshape(degree, k), "none", "contrast")


def _whole(row: FloatArray) -> FloatArray:
    """Scale coefficients until they are (nearly) whole numbers, as emmeans does."""
    row = row / row[row > 0.01].min()
    while (gap := float(np.abs(row - np.round(row)).max())) > 0.05:
        row = row / gap
    return np.round(row) + 0.0


def _own(method: Any, levels: LevelNames) -> ContrastMatrix:
    k = len(levels.shown)
    if isinstance(method, pd.DataFrame):
        method = {str(name): method[name] for name in method.columns}
    given: Any
    if isinstance(method, Mapping):
        names = [str(name) for name in method]
        given = [levels.coefficients(str(name), own) for name, own in method.items()]
    else:
        given = np.atleast_2d(np.asarray(method, dtype=object))
        names = [f"C{row + 1}" for row in range(len(given))]
    try:
        matrix = np.array(given, dtype=np.float64).reshape(len(names), -1)
    except (TypeError, ValueError):
        matrix = np.empty((0, 0))
    if matrix.shape != (len(names), k) or not np.isfinite(matrix).all() or not names:
        raise OptionError(
            f"contrasts need {k} numbers each, for {', '.join(levels.shown)}: give a dict of name "
            "and coefficients, these in the order of the levels or by level ({'name': "
            f"{{{levels.shown[0]!r}: 1, ...}}}}; others are 0), a DataFrame with a column per "
            f"contrast, or an array (contrasts, {k})."
        )
    size = 1e-6 + np.abs(matrix).max(axis=1)
    compares = bool((np.abs(matrix.sum(axis=1) / size) < ZERO_SUM).all())
    return ContrastMatrix(tuple(names), matrix, "none", "contrast" if compares else "prediction")


_FAMILIES: dict[str, Callable[[Sequence[str]], ContrastMatrix]] = {
    "pairwise": _pairwise,
    "revpairwise": _reversed_pairwise,
    "poly": _polynomial,
    "consec": _consecutive,
    "eff": _effects,
    "del.eff": _deleted_effects,
    "mean_chg": _mean_change,
    "identity": _identity,
}
