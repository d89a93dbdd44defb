"""What formulas mean: tables FORMULA -> terms, checked against R's own expansion rules."""

from __future__ import annotations

import pytest

from ranef.formula import parse_formula

FIXED = {
    # intercept
    "1": "1",
    "0": "0",
    "-1": "0",
    "+0": "0",
    "x": "1 + x",
    "1 + x": "1 + x",
    "0 + x": "0 + x",
    "x + 0": "0 + x",
    "x - 1": "0 + x",
    "-1 + x": "0 + x",
    "x + -1": "0 + x",
    "x - 0": "1 + x",
    "x - 1 + 1": "1 + x",
    "1 + x - 1": "0 + x",
    "+x": "1 + x",
    # products
    "a * b": "1 + a + b + a:b",
    "a:b": "1 + a:b",
    "a / b": "1 + a + a:b",
    "a / b / c": "1 + a + a:b + a:b:c",
    "(a + b) / c": "1 + a + b + a:b:c",
    "a / (b + c)": "1 + a + a:b + a:c",
    "a %in% b": "1 + a:b",
    "a + b %in% a": "1 + a + a:b",
    "(a + b)^2": "1 + a + b + a:b",
    "(a + b + c)^2": "1 + a + b + c + a:b + a:c + b:c",
    "(a + b + c)**2": "1 + a + b + c + a:b + a:c + b:c",
    "(a + b + c)^3": "1 + a + b + c + a:b + a:c + b:c + a:b:c",
    "a^3": "1 + a",
    "(a + b)^100": "1 + a + b + a:b",
    "a * b * c": "1 + a + b + c + a:b + a:c + b:c + a:b:c",
    "a * (b + c)": "1 + a + b + c + a:b + a:c",
    "a:(b + c)": "1 + a:b + a:c",
    # removal
    "a * b - a:b": "1 + a + b",
    "a * b - b:a": "1 + a + b",
    "(a + b + c)^3 - a:b": "1 + a + b + c + a:c + b:c + a:b:c",
    "a - b": "1 + a",
    "a + b - a": "1 + b",
    "a + b - (a + b)": "1",
    # order: by degree, then as written; variables inside by first appearance
    "a:b + a + b": "1 + a + b + a:b",
    "b:a + a": "1 + a + b:a",
    "a + b:a": "1 + a + a:b",
    "c + b * a": "1 + c + b + a + b:a",
    # the same term twice
    "a + a": "1 + a",
    "a:a": "1 + a",
    "a:b + b:a": "1 + a:b",
    "I(x^2) + I( x ^ 2 ) + I(x**2)": "1 + I(x^2)",
    # functions and names
    "log(x):a": "1 + log(x):a",
    "poly(x, 2)": "1 + poly(x, 2)",
    "poly( x,2 ,raw = TRUE )": "1 + poly(x, 2, raw=True)",
    "total.fruits + .x + x_1": "1 + total.fruits + .x + x_1",
    "`a b`:`c+d`": "1 + `a b`:`c+d`",
    "class * lambda": "1 + class + lambda + class:lambda",
    "C + I + log + Q": "1 + C + I + log + Q",
    "log(log) + I(class^2) + C(C)": "1 + log(log) + I(class^2) + C(C)",
    "Größe + 年": "1 + Größe + 年",
    'C(f, Treatment("a (1"))': '1 + C(f, Treatment("a (1"))',
    "x +\n   z": "1 + x + z",
    # the response on the right is dropped, as in R
}  # fmt: skip


@pytest.mark.parametrize("text", FIXED)
def test_the_fixed_part_expands_as_in_r(text: str) -> None:
    """Every right-hand side gives R's terms in R's order."""
    formula = parse_formula(f"y ~ {text} + (1 | g)")
    assert str(formula.fixed) == FIXED[text]


RANDOM = {
    "(1|g)": ["(1 | g)"],
    "(x|g)": ["(1 + x | g)"],
    "(1 + x | g)": ["(1 + x | g)"],
    "(0 + x|g)": ["(0 + x | g)"],
    "(x-1|g)": ["(0 + x | g)"],
    "(-1+x|g)": ["(0 + x | g)"],
    "(x + 0|g)": ["(0 + x | g)"],
    "(x||g)": ["(1 + x || g)"],
    "(0 + x + z || g)": ["(0 + x + z || g)"],
    "(f * x|g)": ["(1 + f + x + f:x | g)"],
    "((a + b)^2|g)": ["(1 + a + b + a:b | g)"],
    "(a/b|g)": ["(1 + a + a:b | g)"],
    "(poly(x,2)|g)": ["(1 + poly(x, 2) | g)"],
    "(log(x)|g)": ["(1 + log(x) | g)"],
    "(I(x^2)|g)": ["(1 + I(x^2) | g)"],
    "(1|a/b)": ["(1 | a)", "(1 | a:b)"],
    "(x|a/b/c)": ["(1 + x | a)", "(1 + x | a:b)", "(1 + x | a:b:c)"],
    "(x||a/b)": ["(1 + x || a)", "(1 + x || a:b)"],
    "(1|a:b)": ["(1 | a:b)"],
    "(1|b:a)": ["(1 | b:a)"],
    "(1|a:b:c)": ["(1 | a:b:c)"],
    "(1|a*b)": ["(1 | a)", "(1 | b)", "(1 | a:b)"],
    "(1|(a:b))": ["(1 | a:b)"],
    "(1|(a/b)/c)": ["(1 | a)", "(1 | a:b)", "(1 | a:b:c)"],
    "(1|b %in% a)": ["(1 | b:a)"],
    "(1|factor(g))": ["(1 | factor(g))"],
    "(1|`my group`)": ["(1 | `my group`)"],
    "(lambda|class)": ["(1 + lambda | class)"],
    "(1|g) + (1|h)": ["(1 | g)", "(1 | h)"],
    "(1|g) + (0 + x|g)": ["(1 | g)", "(0 + x | g)"],
    "((1|g))": ["(1 | g)"],
    "(x + (1|g))": ["(1 | g)"],
    "((1|g) + (1|h)) - x": ["(1 | g)", "(1 | h)"],
}  # fmt: skip


@pytest.mark.parametrize("text", RANDOM)
def test_random_terms_expand_as_in_lme4(text: str) -> None:
    """Every random term gives its effects, one group at a time."""
    formula = parse_formula(f"y ~ x + {text}")
    assert [str(term) for term in formula.random] == RANDOM[text]


def test_labels_are_what_the_user_wrote() -> None:
    """The label keeps the user's way of writing the effects."""
    formula = parse_formula("y ~ (Days|Subject) + (0+x | a/b) + ( f ||g)")
    labels = [term.label for term in formula.random]
    assert labels == ["(Days | Subject)", "(0+x | a)", "(0+x | a:b)", "(f || g)"]


def test_spans_point_at_the_random_terms() -> None:
    """The span of a term cuts the term out of the formula."""
    source = "y ~ x + (x | a/b) + (1|g)"
    formula = parse_formula(source)
    cut = [source[slice(*term.span)] for term in formula.random]
    assert cut == ["(x | a/b)", "(x | a/b)", "(1|g)"]


def test_a_double_bar_is_not_correlated() -> None:
    """`||` is the only thing that makes a term uncorrelated."""
    formula = parse_formula("y ~ (x | g) + (x || h)")
    assert [term.correlated for term in formula.random] == [True, False]


RESPONSES = {
    "y": ("y", ("y",)),
    "log(y)": ("log(y)", ("y",)),
    "log( y+1 )": ("log(y + 1)", ("y",)),
    "sqrt(total.fruits)": ("sqrt(total.fruits)", ("total.fruits",)),
    "I(a/b)": ("I(a/b)", ("a", "b")),
    "a - b": ("a - b", ("a", "b")),
    "100 * y": ("100 * y", ("y",)),
    "`my y`": ("my y", ("my y",)),
    "class": ("class", ("class",)),
    "scale(y)": ("scale(y)", ("y",)),
}


@pytest.mark.parametrize("text", RESPONSES)
def test_the_response_is_an_expression(text: str) -> None:
    """The left-hand side is read like the inside of a function, as in R."""
    response = parse_formula(f"{text} ~ x + (1 | g)").response
    assert (response.label, response.names) == RESPONSES[text]


def test_offsets_are_taken_out_of_the_fixed_part() -> None:
    """`offset()` is not a term; its argument is kept."""
    formula = parse_formula("y ~ offset(log(n)) + x + offset(z) + (1 | g)")
    assert formula.fixed.labels == ("1", "x")
    assert [str(offset) for offset in formula.offsets] == ["log(n)", "z"]


def test_a_dot_stands_for_all_columns_but_the_response() -> None:
    """As in R, the grouping factor is among them unless it is removed."""
    columns = ["y", "x", "a b", "g"]
    everything = parse_formula("log(y) ~ . + (1 | g)", columns)
    assert everything.fixed.labels == ("1", "x", "`a b`", "g")
    others = parse_formula("y ~ . - g + (1 | g)", columns)
    assert others.fixed.labels == ("1", "x", "`a b`")
    squared = parse_formula("y ~ (. - g)^2 + (1 | g)", columns)
    assert squared.fixed.labels == ("1", "x", "`a b`", "x:`a b`")
    random = parse_formula("y ~ x + (. - g | g)", columns)
    assert random.random[0].effects.labels == ("1", "x", "`a b`")


def test_terms_can_be_exchanged() -> None:
    """`with_terms` writes the new formula out, ready to be read again."""
    formula = parse_formula("y ~ a * b + offset(n) + (x | g) + (1 | h)")
    smaller = formula.with_terms(random=formula.random[1:])
    assert str(smaller) == "y ~ 1 + a + b + a:b + offset(n) + (1 | h)"
    assert parse_formula(str(smaller)) == smaller


def test_names_are_listed_once_in_order() -> None:
    """`names` is what the formula needs from the data."""
    formula = parse_formula("log(y) ~ a * I(x^2) + offset(n) + (x | g/h)")
    assert formula.names == ("y", "n", "a", "x", "g", "h")
    assert formula.functions == ("log", "I")


def test_formulas_are_remembered() -> None:
    """Reading the same formula again costs nothing."""
    text = "y ~ x + (x | g)"
    assert parse_formula(text) is parse_formula(text)
    assert parse_formula(text, ["y", "x", "g"]) is parse_formula(text)
