"""Data and formula become arrays with names: the design of a model."""

from ranef.design.build import build_design, rebuild_design, redesign
from ranef.design.newdata import (
    GroupCodes,
    fixed_columns,
    fixed_offset,
    group_codes,
    new_weights,
    offset_is_unknown,
    random_columns,
    row_index,
    weights_column,
)
from ranef.design.response import outdated_variables, with_response
from ranef.design.spec import ColumnSpec, TermColumns
from ranef.design.types import Design, Grouping, RandomTerm
from ranef.design.variables import Variables

__all__ = [
    "ColumnSpec",
    "Design",
    "GroupCodes",
    "Grouping",
    "RandomTerm",
    "TermColumns",
    "Variables",
    "build_design",
    "fixed_columns",
    "fixed_offset",
    "group_codes",
    "new_weights",
    "offset_is_unknown",
    "outdated_variables",
    "random_columns",
    "rebuild_design",
    "redesign",
    "row_index",
    "weights_column",
    "with_response",
]
