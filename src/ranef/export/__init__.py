"""Estimates for papers and for other packages: tables of several models, and adapters."""

from ranef.export.formats import to_html, to_latex, to_markdown
from ranef.export.great import to_great_tables
from ranef.export.marginal import to_marginaleffects
from ranef.export.side_by_side import ModelTable, table

__all__ = [
    "ModelTable",
    "table",
    "to_great_tables",
    "to_html",
    "to_latex",
    "to_marginaleffects",
    "to_markdown",
]
