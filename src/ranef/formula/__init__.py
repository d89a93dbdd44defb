"""The formula language: what the user writes, and what it means."""

from ranef.formula.expression import Expression, parse_expression
from ranef.formula.parser import parse_formula
from ranef.formula.terms import GroupTerm, ModelFormula, Term, TermSum
from ranef.formula.update import update_formula

__all__ = [
    "Expression",
    "GroupTerm",
    "ModelFormula",
    "Term",
    "TermSum",
    "parse_expression",
    "parse_formula",
    "update_formula",
]
