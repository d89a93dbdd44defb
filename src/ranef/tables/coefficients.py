"""The two tables about fixed effects: coefficients with their tests, and correlations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ranef.tables.coefficient_names import abbreviate_coefficients
from ranef.tables.document import Table, labels, numbers
from ranef.tables.format import (
    format_estimates,
    format_fixed,
    format_p_values,
    format_statistics,
)
from ranef.typing import DdfMethod

CORRELATION_LIMIT = 12
"""Correlations of more coefficients than this are not printed: nobody reads 66 numbers."""


def coefficient_table(
    coefficients: pd.DataFrame,
    ddf: DdfMethod,
    *,
    title: str = "",
    notes: tuple[str, ...] = (),
    digits: int = 4,
) -> Table:
    """Return the printed table of fixed effects.

    Parameters
    ----------
    coefficients : DataFrame (p, ...)
        Columns ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``; others are not
        shown. Rows of coefficients that cannot be estimated hold NaN.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        With ``"normal"`` there are z statistics and no degrees of freedom.
    title : str
        Heading of the table.
    notes : tuple of str
        Sentences under the table.
    digits : int
        Significant digits of the smallest number.

    Returns
    -------
    Table

    Examples
    --------
    >>> from ranef.tables.document import Document
    >>> from ranef.tables.text import render_text
    >>> coefficients = pd.DataFrame(
    ...     {"estimate": [10.46729], "std_error": [1.54579], "df": [17.0],
    ...      "statistic": [6.77148], "p_value": [3.264e-06]}, index=["Days"])
    >>> table = coefficient_table(coefficients, "satterthwaite")
    >>> print(render_text(Document("", (table,))))
         Estimate Std. Error     df t value Pr(>|t|)
    Days   10.467      1.546 17.000   6.771 3.26e-06
    """
    letter, joint = ("z", 2) if ddf == "normal" else ("t", 3)
    headers = ("Estimate", "Std. Error", "df")[:joint]
    measured = coefficients[["estimate", "std_error", "df"][:joint]].to_numpy(dtype=np.float64)
    columns = [labels("", map(str, coefficients.index))]
    columns += map(numbers, headers, format_estimates(measured, digits))
    columns.append(numbers(f"{letter} value", format_statistics(coefficients["statistic"], digits)))
    columns.append(numbers(f"Pr(>|{letter}|)", format_p_values(coefficients["p_value"])))
    return Table(title, tuple(columns), notes)


def correlation_table(correlation: pd.DataFrame, *, title: str = "") -> Table:
    """Return the lower triangle of correlations; in plain text its names are abbreviated.

    Parameters
    ----------
    correlation : DataFrame (p, p)
        Symmetric, with ones on the diagonal; p is at least 2.
    title : str
        Heading of the table.

    Returns
    -------
    Table
        p - 1 rows and columns.
    """
    names = [str(name) for name in correlation.columns]
    values = correlation.to_numpy(dtype=np.float64)
    rows = labels("", names[1:])
    brief = labels("", abbreviate_coefficients(names, 11)[1:])
    columns = [replace(rows, in_text=brief)]
    for j, short in enumerate(abbreviate_coefficients(names, 6)[:-1]):
        below = ("",) * j + format_fixed(values[j + 1 :, j], 3)
        column = numbers(names[j], below, header_left=True)
        columns.append(replace(column, in_text=replace(column, header=short)))
    return Table(title, tuple(columns), foldable=True)
