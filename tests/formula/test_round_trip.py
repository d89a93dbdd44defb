"""A formula that is written out reads back to the same terms, whatever was in it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ranef.errors import FormulaError
from ranef.formula import parse_expression, parse_formula

NAMES = st.sampled_from(["x", "z", "a.b", "class", "log", "C", "`odd name`", "`1`", "`a:b`"])
NUMBERS = st.sampled_from(["1", "2.5", "1e-3", "10"])


def _combined(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(
        children, st.sampled_from(["+", "-", "*", "/", "^", "%%", ">", "=="]), children
    )
    return st.one_of(
        binary.map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"),
        binary.map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}"),
        children.map(lambda text: f"-{text}"),
        children.map(lambda text: f"log({text})"),
        st.tuples(children, NUMBERS).map(lambda parts: f"f({parts[0]}, k = {parts[1]})"),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, NUMBERS), _combined, max_leaves=8)
FACTORS = st.one_of(NAMES, EXPRESSIONS.map(lambda text: f"I({text})"))


def _sums(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([" + ", ":", " * ", " / ", " - ", " %in% "])
    return st.one_of(
        st.tuples(children, operators, children).map("".join),
        children.map(lambda text: f"({text})"),
        children.map(lambda text: f"({text})^2"),
    )


SUMS = st.recursive(st.one_of(FACTORS, st.sampled_from(["0", "1"])), _sums, max_leaves=5)
GROUPS = st.sampled_from(["g", "g/h", "g:h", "`odd group`", "g*h"])
BARS = st.sampled_from(["|", "||", " | "])


@given(EXPRESSIONS)
@settings(max_examples=300)
def test_the_text_of_an_expression_reads_back(text: str) -> None:
    """Writing is a fixed point of reading, and the tree stays the same."""
    try:
        expression = parse_expression(text)
    except FormulaError:  # chained comparisons
        return
    again = parse_expression(expression.text)
    assert again.text == expression.text
    assert again.node == expression.node


@given(SUMS, SUMS, BARS, GROUPS)
@settings(max_examples=300)
def test_a_formula_reads_back(fixed: str, effects: str, bar: str, group: str) -> None:
    """Both `str()` and the expanded form mean the same as the original."""
    try:
        formula = parse_formula(f"y ~ {fixed} + ({effects} {bar} {group})")
    except FormulaError:  # no effects left, numbers as terms
        return
    assert parse_formula(str(formula)) == formula
    assert parse_formula(formula.expanded) == formula
    assert parse_formula(formula.expanded).expanded == formula.expanded or any(
        len(term.factors) > 1 for term in formula.fixed.terms + formula.random[0].effects.terms
    )


@given(st.text(alphabet="xyg01 +-*/:^|~()[]{}`'\".,%=<>!&\\\n\té", max_size=40))
@settings(max_examples=500)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the characters, the outcome is a formula or a FormulaError."""
    for formula in (text, f"y ~ {text} + (1 | g)", f"y ~ x + ({text} | g)", f"y ~ (1 | {text})"):
        try:
            parse_formula(formula)
        except FormulaError as error:
            assert error.span is None or 0 <= error.span[0] < max(1, error.span[1])
