"""The intercept: what 0, 1 and their signs do to it wherever they stand, as R says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ranef.design import build_design
from ranef.errors import FormulaError
from ranef.formula import parse_formula

# right-hand side -> attr(terms(), "intercept") and "term.labels" of R 4.2.2
OF_R = {
    "((0 + x))": "0 + x",
    "(x + (-1))": "0 + x",
    "((x - 1))": "0 + x",
    "x - (1)": "0 + x",
    "x + (0)": "0 + x",
    "+(-1) + x": "0 + x",
    "(x + 0) + z": "0 + x + z",
    "z + (-1)": "0 + z",
    "z - (-1)": "1 + z",
    # inside products and powers
    "(z - 1) * f": "0 + z + f + z:f",
    "(z + 0):f": "0 + z:f",
    "f:(z - 1)": "0 + f:z",
    "(z + f - 1)^2": "0 + z + f + z:f",
    "(a + 1)^2": "1 + a",
    "(a + 0)^2": "0 + a",
    "a / (b - 1)": "0 + a + a:b",
    "(a - 1) / b": "0 + a + a:b",
    "b %in% (a - 1)": "0 + b:a",
    "a:(1 + b)": "1 + a:b",
    "(a + 1) * (b + 1)": "1 + a + b + a:b",
    # behind a minus everything turns round
    "x - (z - 1)": "1 + x",
    "x - (z + 0)": "1 + x",
    "x - (z * f - 1)": "1 + x",
    "x - (1 - 0)": "0 + x",
    "x - (-(0))": "0 + x",
    "x - -1": "1 + x",
    "x - 1 - 0": "1 + x",
    "x + (z - (a - 1))": "1 + x + z",
    "x - (z - (a - 1))": "0 + x",
    "(x + z) - (1 + z)": "0 + x",
    "(x + z) - (0 + z)": "1 + x",
    # the last one decides
    "x - 1 + 1": "1 + x",
    "(x - 1) + 1": "1 + x",
    "1 + (x - 1)": "0 + x",
    "0 + (1 + x)": "1 + x",
    "(0 + x) + 1": "1 + x",
    "x + (1 - 1)": "0 + x",
    # spellings of the numbers
    "x + 0L": "0 + x",
    "x - 1L": "0 + x",
    "x + 0.0": "0 + x",
    "x + 1.0": "1 + x",
    "x + +0": "0 + x",
    # signs alone
    "-z + x": "1 + x",
    "x + (-x)": "1 + x",
    "x - (-z)": "1 + x",
    "- -1 + x": "1 + x",
}


@pytest.mark.parametrize("text", OF_R)
def test_the_fixed_intercept_is_that_of_r(text: str) -> None:
    """The intercept and the terms of the fixed part."""
    assert str(parse_formula(f"y ~ {text} + (1 | g)").fixed) == OF_R[text]
    assert str(parse_formula(f"y ~ (1 | g) + ({text})").fixed) == OF_R[text]


@pytest.mark.parametrize("bar", ["|", "||"])
@pytest.mark.parametrize("text", OF_R)
def test_the_random_intercept_is_that_of_r(text: str, bar: str) -> None:
    """The intercept and the terms in front of a bar; those of the fixed part are not touched."""
    formula = parse_formula(f"y ~ x + ({text} {bar} g)")
    assert str(formula.random[0].effects) == OF_R[text]
    assert formula.fixed.intercept


# fixed and random terms -> their columns in lme4 1.1-31
COLUMNS = [
    ("z + ((0 + x) | g)", ["Intercept", "z"], ["x"]),
    ("z + (x + (-1) | g)", ["Intercept", "z"], ["x"]),
    ("z + ((x - 1) | g)", ["Intercept", "z"], ["x"]),
    ("z + ((x - 1) || g)", ["Intercept", "z"], ["x"]),
    ("x + (x - (z - 1) | g)", ["Intercept", "x"], ["Intercept", "x"]),
    ("(z + 0) + (1 | g)", ["z"], ["Intercept"]),
    ("z + (-1) + (1 | g)", ["z"], ["Intercept"]),
    ("(x - 1) + (1 | g)", ["x"], ["Intercept"]),
    (
        "(z - 1) * f + (1 | g)",
        ["z", "f[a]", "f[b]", "f[c]", "z:f[T.b]", "z:f[T.c]"],
        ["Intercept"],
    ),
    ("(z + (0 + x | g))", ["Intercept", "z"], ["x"]),
]


@pytest.mark.parametrize(("text", "fixed", "random"), COLUMNS, ids=[case[0] for case in COLUMNS])
def test_the_columns_are_those_of_lme4(text: str, fixed: list[str], random: list[str]) -> None:
    """A removed intercept is in neither model matrix."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.normal(size=(24, 3)), columns=["y", "x", "z"])
    data = data.assign(f=list("abc") * 8, g=np.repeat(list("pqrs"), 6))
    design = build_design(f"y ~ {text}", data)
    assert list(design.x_names) == fixed
    assert [name for term in design.terms for name in term.names] == random


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("z * 0", "0"),
        ("z:0", "0"),
        ("1:z", "1"),
        ("z / 1", "1"),
        ("z %in% 1", "1"),
        ("x + z * (1 - 1)", "1 - 1"),
        ("exp(1) * 0", "0"),
        ("z:(x - x)", "x - x"),
    ],
)
def test_a_product_needs_variables(text: str, marked: str) -> None:
    """R drops the term in silence; here the carets stand under the number that was written."""
    source = f"y ~ {text} + (1 | g)"
    with pytest.raises(FormulaError, match="no variable here") as caught:
        parse_formula(source)
    assert caught.value.span is not None
    assert source[slice(*caught.value.span)] == marked


@pytest.mark.parametrize("text", ["z + -z", "x - -z", "--x", "(x + -(z - 1) | g)"])
def test_two_signs_in_front_of_a_variable_are_refused(text: str) -> None:
    """R's `x - -z` neither adds nor removes z, which is never what was meant."""
    with pytest.raises(FormulaError, match="write one sign"):
        parse_formula(f"y ~ {text} + (1 | g)")
