"""What may stand inside functions, how it is written back, and what is not an expression."""

from __future__ import annotations

import pytest

from ranef.errors import FormulaError
from ranef.formula import parse_expression

CANONICAL = {
    "x": "x",
    "`x`": "x",
    "`a b`": "`a b`",
    "`TRUE`": "`TRUE`",
    "log(x)": "log(x)",
    " log( x ) ": "log(x)",
    "I(x^2)": "I(x^2)",
    "I(x**2)": "I(x^2)",
    "I( age-11 )": "I(age - 11)",
    "x/10+2*y%%3- -a^2*(b+c)": "x/10 + 2 * y%%3 - -a^2 * (b + c)",
    "(x)": "x",
    "((x + y))": "x + y",
    "(x + y) * z": "(x + y) * z",
    "x - (y - z)": "x - (y - z)",
    "(x - y) - z": "x - y - z",
    "x / (y * z)": "x/(y * z)",
    "2^3^4": "2^3^4",
    "(2^3)^4": "(2^3)^4",
    "-x^2": "-x^2",
    "(-x)^2": "(-x)^2",
    "(-2)^2": "(-2)^2",
    "-2^2": "-2^2",
    "2^-1": "2^(-1)",
    "x %/% 2": "x%/%2",
    "x > 3": "x > 3",
    "x>3&!flag|z==1": "x > 3 & !flag | z == 1",
    "(x > 3) == flag": "(x > 3) == flag",
    "f == 'a'": 'f == "a"',
    'f == "it\\"s"': 'f == "it\\"s"',
    "poly(x,2,raw=TRUE)": "poly(x, 2, raw=True)",
    "bs(x, knots = c(1, 2.5), Boundary.knots=[0,-1])": (
        "bs(x, knots=c(1, 2.5), Boundary.knots=c(0, -1))"
    ),
    "f(x, NULL, (1, 2))": "f(x, None, c(1, 2))",
    "1e3 + 1E-3 + .5 + 2L": "1000.0 + 0.001 + 0.5 + 2",
    "scale(log(x + 1), center = FALSE)": "scale(log(x + 1), center=False)",
    "total.fruits + .x": "total.fruits + .x",
    "`my fun`(x)": "`my fun`(x)",
}


@pytest.mark.parametrize("text", CANONICAL)
def test_expressions_are_written_as_r_writes_them(text: str) -> None:
    """Spacing and redundant parentheses make no difference; the text reads back to itself."""
    expression = parse_expression(text)
    assert expression.text == CANONICAL[text]
    assert parse_expression(expression.text) == expression


def test_names_do_not_include_functions_or_keywords() -> None:
    """Only what stands for a value is a name."""
    expression = parse_expression("log(log) + poly(x, degree = d) + x")
    assert expression.names == ("log", "x", "d")


REFUSED = [
    "lambda: 0",
    "lambda x: x",
    "(x := 3)",
    "f'{x}'",
    "f(*x)",
    "f(**x)",
    "[i for i in x]",
    "{i for i in x}",
    "x if x else y",
    "x[0]",
    "x[0:3]",
    "f(x)[0]",
    "f(x)(x)",
    "f(x).shape",
    "(x).shape",
    "'a'.join(x)",
    "().__class__",
    "await x",
    "yield x",
    "not x",
    "x and y",
    "x is y",
    "x in y",
    "x @ y",
    "x // y",
    "x << 2",
    "~x",
    "x; y",
    "x = 3",
    "import os",
    "x < y < z",
    "x == y == z",
    "f(x, x = 1, x = 2)",
    "f(a = 1, 2)",
    "c(x, 1)",
    "[x]",
    "(x, 1)",
    "f(x,, y)",
    "f(,)",
    "x +",
    "",
    "f(.)",
    "f(x ~ y)",
    "a:b",
    "x || y",
    "b'a'",
    "0x10",
    "1_000",
    "1j",
]


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_else_is_an_expression(text: str) -> None:
    """Whatever is not arithmetic, a comparison, a call or a constant is refused."""
    with pytest.raises(FormulaError):
        parse_expression(text)


def test_dots_belong_to_names() -> None:
    """`x.shape` is R's name for a column, not an attribute of x."""
    assert parse_expression("x.shape").names == ("x.shape",)
    assert parse_expression("os.system('ls')").node.function == "os.system"  # type: ignore[union-attr]
