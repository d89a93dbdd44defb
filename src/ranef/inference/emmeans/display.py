"""How estimates print: like emmeans, one table per group, then what has to be said.

Digits follow emmeans: as many as the estimate that needs most, given its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ranef.inference.emmeans.axes import level_texts
from ranef.tables.document import Block, Column, Document, Fact, Facts, Paragraph, Table
from ranef.tables.format import format_common, format_fixed, zap_small
from ranef.typing import FloatArray

_HEADERS = {
    "std_error": "SE",
    "df": "df",
    "conf_low": "lower.CL",
    "conf_high": "upper.CL",
    "null": "null",
    "statistic": "t.ratio",
    "p_value": "p.value",
}
_ASYMPTOTIC = {"conf_low": "asymp.LCL", "conf_high": "asymp.UCL", "statistic": "z.ratio"}
_ESTIMATES = {"effect_size": "effect.size"}
NOT_ESTIMABLE = "nonEst"


def estimate_document(
    frame: pd.DataFrame,
    estimate: str,
    by: Sequence[str],
    groups: Sequence[Any],
    facts: Sequence[Fact],
    remarks: Sequence[str],
    title: str = "",
) -> Document:
    """Return the document of a table of estimates.

    Parameters
    ----------
    frame : DataFrame (m, ...)
        As of `ranef.inference.emmeans.summaries.Summary`.
    estimate : str
        The name of the column of estimates.
    by : sequence of str
        Columns that are the same in a group.
    groups : sequence of int array
        Rows of every group.
    facts, remarks : sequence
    title : str
    """
    cells = _cells(frame, estimate, by)
    blocks: list[Block] = []
    for rows in groups:
        heading = ", ".join(
            f"{name} = {level_texts([frame[name].iloc[rows[0]]])[0]}" for name in by
        )
        columns = tuple(
            Column(header, tuple(texts[row] for row in rows), kind)  # type: ignore[arg-type]
            for header, texts, kind in cells
        )
        blocks.append(Table(heading, columns, indent=1))
    blocks += notes(facts, remarks)
    return Document(title, tuple(blocks))


def notes(facts: Sequence[Fact], remarks: Sequence[str]) -> Iterator[Block]:
    """Return facts and remarks as blocks."""
    if facts:
        yield Facts(tuple(dict.fromkeys(facts)))
    for remark in dict.fromkeys(remarks):
        yield Paragraph(remark)


def joint_document(frame: pd.DataFrame, by: Sequence[str], notes_below: Sequence[str]) -> Document:
    """Return the document of a table of F tests, the index being the terms.

    Parameters
    ----------
    frame : DataFrame (m, ...)
        Columns of ``by``, num_df, den_df, f_value, p_value, note.
    by : sequence of str
    notes_below : sequence of str
    """
    flags = frame["note"].to_numpy()
    columns: list[tuple[str, tuple[str, ...], str]] = []
    if frame.index.name is not None:
        columns.append((str(frame.index.name), tuple(map(str, frame.index)), "label"))
    columns += [
        ("df1", format_fixed(frame["num_df"], 0), "number"),
        ("df2", _degrees(frame["den_df"].to_numpy(dtype=np.float64)), "number"),
        ("F.ratio", _fixed(frame["f_value"], 3), "number"),
        ("p.value", _p_values(frame["p_value"]), "number"),
    ]
    if any(flags):
        columns.append(("note", tuple(flags), "label"))
    keys = [tuple(row) for row in frame[list(by)].itertuples(index=False)]
    blocks: list[Block] = []
    for key in dict.fromkeys(keys):
        rows = [i for i, own in enumerate(keys) if own == key]
        heading = ", ".join(
            f"{name} = {level_texts([value])[0]}" for name, value in zip(by, key, strict=True)
        )
        shown = tuple(
            Column(header, tuple(texts[row] for row in rows), kind)  # type: ignore[arg-type]
            for header, texts, kind in columns
        )
        blocks.append(Table(heading, shown, indent=1))
    blocks += [Paragraph(note) for note in notes_below]
    return Document("", tuple(blocks))


def _cells(
    frame: pd.DataFrame, estimate: str, by: Sequence[str]
) -> list[tuple[str, tuple[str, ...], str]]:
    digits = _digits(frame[estimate].to_numpy(), frame["std_error"].to_numpy())
    at = list(frame.columns).index(estimate)
    asymptotic = bool(np.isinf(frame["df"].dropna()).all())
    headers = {
        **_HEADERS,
        **(_ASYMPTOTIC if asymptotic else {}),
        estimate: _ESTIMATES.get(estimate, estimate),
    }
    cells: list[tuple[str, tuple[str, ...], str]] = []
    for name in frame.columns[:at]:
        if name not in by:
            kind = "number" if pd.api.types.is_float_dtype(frame[name]) else "label"
            cells.append((str(name), _levels(frame[name], digits), kind))
    for name in frame.columns[at:]:
        values = frame[name].to_numpy(dtype=np.float64)
        if name == "p_value":
            texts = _p_values(values)
        elif name == "statistic":
            texts = _fixed(values, 3)
        elif name == "df":
            texts = _degrees(values)
        else:
            texts = _common(values, digits)
        if name == estimate:
            texts = tuple(
                NOT_ESTIMABLE if math.isnan(value) else text
                for value, text in zip(values, texts, strict=True)
            )
        cells.append((headers[str(name)], texts, "number"))
    return cells


def _levels(levels: pd.Series[Any], digits: int) -> tuple[str, ...]:
    if pd.api.types.is_float_dtype(levels):
        return format_common(levels, max(digits, 4))
    return level_texts(list(levels))


def _digits(estimate: FloatArray, error: FloatArray) -> int:
    """Return the significant digits that tell estimates from each other at their precision."""
    needed = 3
    for value, se in zip(estimate.tolist(), error.tolist(), strict=True):
        if math.isfinite(value) and math.isfinite(se) and se > 0:
            ends = np.array([value - 2 * se, value, value + 2 * se])
            share = 4.0 * se / float(np.abs(ends).max())
            needed = max(needed, round(1.51 - math.log10(share)) if share > 1e-8 else 3)
    return needed


def _common(values: FloatArray, digits: int) -> tuple[str, ...]:
    return _blank_nan(values, format_common(zap_small(values, 7), digits))


def _degrees(values: FloatArray) -> tuple[str, ...]:
    rounded = np.round(values, 2)
    return _blank_nan(values, format_common(rounded, 3))


def _fixed(values: Any, decimals: int) -> tuple[str, ...]:
    array = np.asarray(values, dtype=np.float64)
    return _blank_nan(array, format_fixed(array, decimals))


def _p_values(values: Any) -> tuple[str, ...]:
    array = np.asarray(values, dtype=np.float64)
    texts = ["<.0001" if value < 5e-5 else f"{value:.4f}" for value in array]
    return _blank_nan(array, texts)


def _blank_nan(values: FloatArray, texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        "NA" if math.isnan(value) else text for value, text in zip(values, texts, strict=True)
    )
