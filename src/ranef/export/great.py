"""Tables for the package Great Tables: a `GT` object that its users style further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ranef.errors import MissingDependencyError
from ranef.inference.wald import coefficient_frame
from ranef.tables.coefficients import coefficient_table
from ranef.tables.format import format_common
from ranef.typing import DdfMethod

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def to_great_tables(model: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> Any:
    """Return coefficients, variance parameters and numbers of groups as a ``great_tables.GT``.

    Use it for publication-ready HTML; every method of Great Tables can be applied to the result.

    Parameters
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    great_tables.GT

    Raises
    ------
    OptionError
        For another ddf.
    MissingDependencyError
        If great_tables is not installed.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> html = m.to_great_tables().as_raw_html()  # doctest: +SKIP
    """
    fixed = coefficient_table(coefficient_frame(model, ddf, 0.95), ddf)
    headers = [column.header for column in fixed.columns[1:]]
    rows = [("Fixed effects", *row) for row in fixed.rows]
    random = model.VarCorr.to_frame()
    rows += [
        ("Random effects", heading, cell, *[""] * (len(headers) - 1))
        for heading, cell in zip(
            variance_headings(random), format_common(random["sdcor"], 4), strict=True
        )
    ]
    groups = ", ".join(f"{name} {size}" for name, size in model.ngroups.items())
    method = "REML" if model.reml else "maximum likelihood"
    notes = (f"{model.nobs} observations; groups: {groups}. Fitted by {method}.",)
    return grouped_table(rows, headers, title=str(model.formula), notes=notes)


def grouped_table(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    *,
    title: str = "",
    notes: Sequence[str] = (),
) -> Any:
    """Return a ``GT`` of formatted cells.

    Parameters
    ----------
    rows : sequence of (group, label, cells...)
    headers : sequence of str
        One per cell of a row.
    title : str
    notes : sequence of str

    Raises
    ------
    MissingDependencyError
        If great_tables is not installed.
    """
    try:
        from great_tables import GT  # optional
    except ImportError as error:
        raise MissingDependencyError.from_extra("great_tables", "tables") from error
    keys = [f"column_{j}" for j in range(len(headers))]
    frame = pd.DataFrame([list(row) for row in rows], columns=["group", "label", *keys])
    out = GT(frame, rowname_col="label", groupname_col="group")
    out = out.cols_label(dict(zip(keys, headers, strict=True))).cols_align("right", keys)
    if title:
        out = out.tab_header(title=title)
    for note in notes:
        out = out.tab_source_note(note)
    return out


def variance_headings(random: pd.DataFrame) -> list[str]:
    """Return what the rows of ``VarCorr.to_frame()`` are called in print."""
    out = []
    for group, one, two in zip(random["grp"], random["var1"], random["var2"], strict=True):
        if pd.isna(one):
            out.append("SD (Residual)")
        elif pd.isna(two):
            out.append(f"SD ({one} | {group})")
        else:
            out.append(f"Cor ({two}, {one} | {group})")
    return out
