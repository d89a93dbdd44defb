"""The printed table of standard deviations and correlations of the random effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ranef.tables.document import Column, Table, labels, numbers
from ranef.tables.format import format_common, format_fixed
from ranef.typing import FloatArray


@dataclass(frozen=True, eq=False)
class VarianceRows:
    """The lines of one independent block of random effects.

    Attributes
    ----------
    group : str
        Printed on the first line only.
    names : tuple of str (k,)
    sd : float array (k,)
    corr : float array (k, k)
    """

    group: str
    names: tuple[str, ...]
    sd: FloatArray
    corr: FloatArray


def variance_table(
    blocks: Sequence[VarianceRows],
    sigma: float,
    *,
    variances: bool = False,
    digits: int = 5,
    title: str = "",
) -> Table:
    """Return the table with one line per random effect and one for the residual.

    Parameters
    ----------
    blocks : sequence of VarianceRows
    sigma : float
        Residual standard deviation.
    variances : bool
        Show variances beside the standard deviations.
    digits : int
        Significant digits of the smallest number; correlations have two decimals less.
    title : str
        Heading of the table.

    Returns
    -------
    Table
        Correlations fill as many columns as needed; only the first of them has a header.
    """
    groups = [block.group if i == 0 else "" for block in blocks for i in range(len(block.names))]
    names = [name for block in blocks for name in block.names]
    sd = [*(float(value) for block in blocks for value in block.sd), float(sigma)]
    columns = [labels("Groups", [*groups, "Residual"]), Column("Name", (*names, ""), "text")]
    if variances:
        shown = format_common((value * value for value in sd), digits)
        columns.append(numbers("Variance", shown, header_left=True))
    columns.append(numbers("Std.Dev.", format_common(sd, digits), header_left=True))
    lines = [line for block in blocks for line in _lower_triangle(block.corr, max(2, digits - 2))]
    for j in range(max(map(len, lines), default=0)):
        cells = [line[j] if j < len(line) else "" for line in lines]
        columns.append(numbers("Corr" if j == 0 else "", [*cells, ""], header_left=True))
    return Table(title, tuple(columns), indent=1)


def _lower_triangle(corr: FloatArray, decimals: int) -> list[tuple[str, ...]]:
    """Return the correlations below the diagonal, line by line; the first line is empty."""
    return [format_fixed(corr[i, :i], decimals) for i in range(len(corr))]
