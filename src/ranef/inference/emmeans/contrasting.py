"""Comparisons of linear functions, group by group: contrasts, and contrasts of contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.axes import level_texts
from ranef.inference.emmeans.contrast_matrices import (
    ContrastMatrix,
    contrast_matrix,
    family_name,
)
from ranef.inference.emmeans.functions import LinearFunctions, RowIndex, group_rows
from ranef.inference.emmeans.grid import without_noise
from ranef.inference.emmeans.level_names import LevelNames
from ranef.inference.emmeans.specs import names_of


def contrasts_of(
    functions: LinearFunctions,
    method: Any,
    by: str | Sequence[str] | None,
    ref: Any = None,
    interaction: Any = None,
    simple: str | Sequence[str] | None = None,
) -> LinearFunctions:
    """Return contrasts of linear functions, group by group.

    Parameters
    ----------
    functions : LinearFunctions
    method : str, mapping, DataFrame or array
        A family or own coefficients, see `contrast_matrix`.
    by : str, sequence of str or None
        Columns that form the groups; None for those of ``functions``, () for one group.
    ref : str or sequence of str, optional
    interaction : bool, str, sequence or mapping, optional
        Contrasts of contrasts: a method for each of the variables.
    simple : str or sequence of str, optional
        Instead of ``by``: the columns that form no groups.
    """
    columns = [str(column) for column in functions.labels.columns]
    groups = _groups(functions, columns, by, simple)
    texts = {name: _texts(functions, name) for name in columns if name not in groups}
    if not texts:
        raise OptionError("by leaves no variable whose levels could be compared.")
    # numbers say little without the name of their variable
    numeric = frozenset(name for name, own in texts.items() if all(map(_is_number, own)))
    every = np.arange(len(functions))
    parts: list[Part] = []
    for rows in group_rows(functions.labels[list(groups)]) if groups else (every,):
        levels = {name: [own[row] for row in rows] for name, own in texts.items()}
        if interaction is None or interaction is False:
            found, names = _simple(levels, numeric, groups, method, ref)
        else:
            found, names = _interaction(levels, method if interaction is True else interaction)
        parts.append(Part(rows, found, names))
    return _collected(functions, groups, parts)


def _groups(
    functions: LinearFunctions,
    columns: Sequence[str],
    by: str | Sequence[str] | None,
    simple: str | Sequence[str] | None,
) -> tuple[str, ...]:
    """Return the columns that form groups."""
    argument, wanted = ("by", by) if simple is None else ("simple", simple)
    if simple is not None and by is not None:
        raise OptionError("give simple or by: simple compares levels by all other variables.")
    names = functions.by if wanted is None else names_of(argument, wanted)
    for name in names:
        if name not in columns:
            raise OptionError.from_choice(argument, name, columns)
    return names if simple is None else tuple(name for name in columns if name not in names)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The contrasts of one group: which rows are compared, how, and what that is called."""

    rows: RowIndex
    matrix: ContrastMatrix
    names: dict[str, list[str]]


def _texts(functions: LinearFunctions, name: str) -> list[str]:
    """Return the levels of a column as text."""
    codes, unique = pd.factorize(functions.labels[name])
    texts = level_texts(list(unique))
    return [texts[code] for code in codes]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _simple(
    levels: dict[str, list[str]],
    numeric: frozenset[str],
    groups: Sequence[str],
    method: Any,
    ref: Any,
) -> tuple[ContrastMatrix, dict[str, list[str]]]:
    """Compare combinations of levels, which are called by all their texts."""
    plain = tuple(zip(*levels.values(), strict=True))
    named = [
        [f"{name}{text}" if name in numeric else text for text in own]
        for name, own in levels.items()
    ]
    shown = tuple(" ".join(parts) for parts in zip(*named, strict=True))
    found = contrast_matrix(method, LevelNames(shown, plain), ref)
    column = "contrast"
    while column in groups:
        column += "1"
    return found, {column: list(found.names)}


def _interaction(
    levels: dict[str, list[str]], methods: Any
) -> tuple[ContrastMatrix, dict[str, list[str]]]:
    """Compare comparisons: the Kronecker product of contrasts of every variable."""
    unique = {name: list(dict.fromkeys(texts)) for name, texts in levels.items()}
    sizes = tuple(len(texts) for texts in unique.values())
    codes = [[unique[name].index(text) for text in texts] for name, texts in levels.items()]
    cells = np.ravel_multi_index(tuple(np.array(code) for code in codes), sizes, order="F")
    if len(cells) != int(np.prod(sizes)):
        raise OptionError(
            f"interaction contrasts need all combinations of {', '.join(levels)}; some are missing."
        )
    product = np.ones((1, 1), dtype=np.float64)
    combined: list[list[str]] = [[]]
    columns: list[str] = []
    for name, method in _per_variable(methods, list(levels)).items():
        found = contrast_matrix(method, unique[name])
        product = np.asarray(np.kron(found.matrix, product), dtype=np.float64)
        combined = [[*own, new] for new in found.names for own in combined]
        columns.append(f"{name}_{family_name(method) if isinstance(method, str) else 'custom'}")
    names = {column: [own[i] for own in combined] for i, column in enumerate(columns)}
    return ContrastMatrix((), product[:, cells], "none", "contrast"), names


def _per_variable(methods: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return a method for every variable: one for all, in order, or by name."""
    if isinstance(methods, Mapping) and set(methods) <= set(names):
        return {name: methods.get(name, "consec") for name in names}
    listed = [methods] if isinstance(methods, str | Mapping) else list(methods)
    return {name: listed[i % len(listed)] for i, name in enumerate(names)}


def _collected(
    functions: LinearFunctions, groups: tuple[str, ...], parts: Sequence[Part]
) -> LinearFunctions:
    unknown = np.asarray(np.isnan(functions.L).any(axis=1))
    L = np.where(unknown[:, None], 0.0, functions.L)
    rows, offsets, frames = [], [], []
    for part in parts:
        matrix = part.matrix.matrix
        size = np.abs(matrix) @ np.abs(L[part.rows])
        own = without_noise(matrix @ L[part.rows], size)
        own[(matrix[:, unknown[part.rows]] != 0).any(axis=1)] = np.nan
        rows.append(own)
        offsets.append(matrix @ functions.offset[part.rows])
        first = np.full(len(own), part.rows[0])
        group = functions.labels[list(groups)].iloc[first].reset_index(drop=True)
        names = pd.DataFrame(part.names, index=pd.RangeIndex(len(own)), dtype=object)
        frames.append(pd.concat([names, group], axis=1))
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    kind = parts[0].matrix.kind
    link, remarks = functions.link, functions.remarks
    if link is not None:
        if kind != "prediction" and link.is_log:
            link = link.of_ratios()
        else:
            remarks = (*remarks, f"Contrasts are still on the {link.name} scale.")
            link = None
    return replace(
        functions,
        labels=pd.concat(filled, ignore_index=True),
        by=groups,
        L=np.concatenate(rows),
        offset=np.concatenate(offsets),
        name="estimate",
        kind=kind,
        adjust=parts[0].matrix.adjust,
        link=link,
        remarks=remarks,
    )
