"""Data and formula become arrays with names: the design of a model."""

from ranef.design.build import build_design
from ranef.design.types import Design, Grouping, RandomTerm

__all__ = ["Design", "Grouping", "RandomTerm", "build_design"]
