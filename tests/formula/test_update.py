"""Formulas made from formulas: what R's `update` makes of them, and what it lets pass."""

from __future__ import annotations

import pytest

from ranef.errors import FormulaError
from ranef.formula import parse_formula, update_formula

# R 4.2.2: deparse1(update(as.formula(old), as.formula(template)))
R = [
    ("y ~ x + (x|g)", ". ~ . + z", "y ~ x + (x | g) + z"),
    ("y ~ x + (x|g)", ". ~ . - (x|g) + (1|g)", "y ~ x + (1 | g)"),
    ("y ~ x + (x|g)", "log(.) ~ .", "log(y) ~ x + (x | g)"),
    ("y ~ x + (x|g)", ". ~ 0 + .", "y ~ x + (x | g) - 1"),
    ("y ~ x + (x|g)", "~ . - x", "y ~ (x | g)"),
    ("y ~ 0 + x + (x|g)", ". ~ . + 1", "y ~ x + (x | g)"),
    ("y ~ a*b + (1|g)", ". ~ . - a:b", "y ~ a + b + (1 | g)"),
    ("y ~ x + offset(w) + (1|g)", ". ~ . - offset(w)", "y ~ x + (1 | g) + offset(w)"),
    ("y ~ x + (1|g)", "z ~ . + (1|h)", "z ~ x + (1 | g) + (1 | h)"),
    ("sqrt(y) ~ x + (1|g)", "I(.^2) ~ .", "I(sqrt(y)^2) ~ x + (1 | g)"),
    ("y ~ x + z + (1|g)", ". ~ . - x - z", "y ~ (1 | g)"),
    ("y ~ x + (1|g)", ". ~ . - 1", "y ~ x + (1 | g) - 1"),
]


@pytest.mark.parametrize(("old", "template", "new"), R)
def test_as_r(old: str, template: str, new: str) -> None:
    """The terms are those of R's result."""
    if template == ". ~ . - offset(w)":
        new = "y ~ x + (1 | g)"  # R keeps an offset that is subtracted
    assert update_formula(parse_formula(old), template) == parse_formula(new)


@pytest.mark.parametrize(
    ("template", "new"),
    [
        (". ~ .", "y ~ 0 + a * b + offset(log(w)) + (a | g/h) + (0 + x || k)"),
        (". ~ . - (a | g/h)", "y ~ 0 + a * b + offset(log(w)) + (0 + x || k)"),
        (
            ". ~ . - (1 + a | g:h)",
            "y ~ 0 + a * b + offset(log(w)) + (a | g) + (0 + x || k)",
        ),
        (
            ". ~ . - (x - 1 || k) + (1 | k)",
            "y ~ 0 + a * b + offset(log(w)) + (a | g/h) + (1 | k)",
        ),
        (". ~ . - b:a - offset(log(w))", "y ~ 0 + a + b + (a | g/h) + (0 + x || k)"),
        (". ~ . + (a | g) + a", "y ~ 0 + a * b + offset(log(w)) + (a | g/h) + (0 + x || k)"),
        (". ~ a - . + (1 | g)", "y ~ 1 + (1 | g)"),
        ("y2 ~ x + (1 | g)", "y2 ~ x + (1 | g)"),
    ],
)
def test_random_terms(template: str, new: str) -> None:
    """Random terms are added and subtracted by what they mean, however they are written."""
    old = parse_formula("y ~ 0 + a*b + offset(log(w)) + (a | g/h) + (0 + x || k)")

    assert update_formula(old, template) == parse_formula(new)


def test_unusual_names() -> None:
    """Names in backquotes survive, and a dot inside of one is not a dot."""
    old = parse_formula("`the y` ~ `a.b` + total.x + (1 | `g h`)")

    new = update_formula(old, ". ~ . + `.`")

    assert new == parse_formula("`the y` ~ `a.b` + total.x + `.` + (1 | `g h`)")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (". ~ . - z", "no such term to subtract"),
        (". ~ . - (1 | g)", "no such term to subtract"),
        (". ~ . - offset(x)", "no such term to subtract"),
        (". ~ . - (x | g)", "no random term"),
        (". ~ . * z", "a random term can only be added"),
        (". ~ log(.)", "'.' cannot be used inside a function"),
        (". ~ (. | g)", "a random term cannot hold another one"),
        (". ~ . + y", "the response 'y' is also a predictor"),
        (". ~", "there is nothing after '~'"),
        ("x", "a formula needs a '~'"),
        ("", "a formula needs a '~'"),
        (". ~ . ~ .", "a formula has one '~'"),
        (". ~ . + (x", "never closed"),
        (3, "a formula is a string such as '. ~ . "),
    ],
)
def test_bad_templates(template: str, message: str) -> None:
    """What makes no formula, and what would silently change nothing, is an error."""
    with pytest.raises(FormulaError) as caught:
        update_formula(parse_formula("y ~ x + (x | g)"), template)
    assert message in str(caught.value)
