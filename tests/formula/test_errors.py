"""Formulas that cannot be read: each mistake has one message, and carets under its place."""

from __future__ import annotations

import pickle

import pytest

from ranef.errors import FormulaError, RanefError
from ranef.formula import parse_formula

# formula -> (part of the message, what the carets mark)
MISTAKES = {
    "": ("needs a '~'", ""),
    "y": ("needs a '~'", "y"),
    "y + (1 | g)": ("needs a '~'", "y + (1 | g)"),
    "~ x + (1 | g)": ("no response", "~"),
    "y ~": ("nothing after '~'", "~"),
    "y ~ x ~ z + (1 | g)": ("one '~'", "~"),
    "y ~ x": ("ordinary regression", "x"),
    "y ~ x + z": ("no random term", "x + z"),
    "y ~ x + y + (1 | g)": ("also a predictor", "y"),
    "y ~ x - (1 | g)": ("leave it out instead", "(1 | g)"),
    "y ~ x + (x | g) - (1 | g)": ("can only be added with '+'", "(1 | g)"),
    "y ~ (x | g) - (x + (z | g))": ("can only be added with '+'", "(z | g)"),
    "y ~ -(1 | g) + (1 | h)": ("leave it out instead", "(1 | g)"),
    "y ~ (y | g)": ("also a predictor", "y"),
    "log(y) ~ x + (1 + x + log( y ) || g)": ("also a predictor", "log( y )"),
    "y ~ x | g": ("put a random term in parentheses", "|"),
    "y ~ x || g": ("put a random term in parentheses", "||"),
    "y ~ (1 |)": ("no group after the bar", "(1 |)"),
    "y ~ (1 | ())": ("nothing in these parentheses", "()"),
    "y ~ (| g)": ("nothing before the bar", "(| g)"),
    "y ~ (0 | g)": ("no effects", "(0 | g)"),
    "y ~ (x - x - 1 | g)": ("no effects", "(x - x - 1 | g)"),
    "y ~ (x | g | h)": ("one bar", "|"),
    "y ~ ((1 | g) | h)": ("cannot hold another", "((1 | g) | h)"),
    "y ~ (1 | (x | g))": ("cannot hold another", "(x | g)"),
    "y ~ ((x + (1 | g)) | h)": ("cannot hold another", "((x + (1 | g)) | h)"),
    "y ~ x:(1 | g)": ("cannot be part of an interaction", "(1 | g)"),
    "y ~ x * (1 | g)": ("cannot be part of an interaction", "(1 | g)"),
    "y ~ (x + (1 | g))^2": ("cannot be part of an interaction", "(1 | g)"),
    "y ~ (1 | g) / x": ("cannot be part of an interaction", "(1 | g)"),
    "(1 | g) ~ x": ("stands to the right", "|"),
    "y ~ (1 | 3)": ("'3' cannot be a group", "3"),
    "y ~ (1 | 'g')": ("string", "'g'"),
    "y ~ (1 | .)": ("'.' stands for the columns", "."),
    "y ~ (1 | a + b)": ("(x | a) + (x | b)", "+"),
    "y ~ (1 | a - b)": ("cannot be used in a group", "-"),
    "y ~ (1 | a^2)": ("cannot be used in a group", "^"),
    "y ~ (1 | I(x > 2))": ("compute others in the data", "I(x > 2)"),
    "y ~ (1 | factor(x, 2))": ("compute others in the data", "factor(x, 2)"),
    "y ~ (1 | g:)": ("missing", ":"),
    "y ~ (1 | g) + (1 | g)": ("occurs twice", "(1 | g)"),
    "y ~ (1 | a/b) + (1 | a)": ("occurs twice", "(1 | a)"),
    "y ~ (1 | g": ("never closed", "("),
    "y ~ 1 | g)": ("closes nothing", ")"),
    "y ~ log(x + (1 | g)": ("never closed", "("),
    "y ~ I(x] + (1 | g)": ("expected ')'", "]"),
    "y ~ `x + (1 | g)": ("quote is never closed", "`"),
    "y ~ `` + (1 | g)": ("no name in these backquotes", "``"),
    "y ~ x (1 | g)": ("operator such as '+' is missing", "(1 | g)"),
    "y ~ x z + (1 | g)": ("operator such as '+' is missing", "z"),
    "y ~ body mass + (1 | g)": ("'body mass' is one name, write it in backquotes", "mass"),
    "y ~ x + (1 | my group)": ("'my group' is one name", "group"),
    "y ~ log(body mass) + (1 | g)": ("'body mass' is one name", "mass"),
    "body mass ~ x + (1 | g)": ("'body mass' is one name", "mass"),
    "y ~ x + * z + (1 | g)": ("nothing before this '*'", "*"),
    "y ~ * x + (1 | g)": ("nothing before this '*'", "*"),
    "y ~ x + (1 | g) +": ("missing after this", "+"),
    "y ~ x + () + (1 | g)": ("missing here", "("),
    "y ~ (x + ) + (1 | g)": ("missing here", "+"),
    "y ~ 2 * x + (1 | g)": ("the number 2 is not a term", "2"),
    "y ~ x + 3 + (1 | g)": ("the number 3 is not a term", "3"),
    "y ~ 'a' + (1 | g)": ("a string is not a term", "'a'"),
    "y ~ 2x + (1 | g)": ("neither a number nor a name", "2x"),
    "y ~ 1.2.3 + (1 | g)": ("neither a number nor a name", "1.2.3"),
    "y ~ x^z + (1 | g)": ("positive whole number", "z"),
    "y ~ x^0.5 + (1 | g)": ("positive whole number", "0.5"),
    "y ~ x^(1 + 1) + (1 | g)": ("positive whole number", "1 + 1"),
    "y ~ x + 2L + (1 | g)": ("the number 2 is not a term", "2L"),
    "None ~ x + (1 | g)": ("goes into backquotes", "None"),
    "y ~ (1 | TRUE)": ("goes into backquotes", "TRUE"),
    "y ~ x^2:z^-1 + (1 | g)": ("nothing before", "-"),
    "y ~ x == 3 + (1 | g)": ("cannot stand between terms", "=="),
    "y ~ x & z + (1 | g)": ("cannot stand between terms", "&"),
    "y ~ x %% 2 + (1 | g)": ("cannot stand between terms", "%%"),
    "y = x + (1 | g)": ("needs a '~'", "="),
    "factor(y, levels=2) = x": ("needs a '~'", "="),
    "y ~ x; z + (1 | g)": ("';' cannot be used", ";"),
    "y ~ x, z + (1 | g)": ("cannot stand between terms", ","),
    "y ~ x = z + (1 | g)": ("cannot stand between terms", "="),
    "y ~ x$a + (1 | g)": ("'$' cannot be used", "$"),
    "y ~ x@a + (1 | g)": ("'@' cannot be used", "@"),
    "y ~ {x} + (1 | g)": ("Python blocks", "{"),
    "y ~ x[1] + (1 | g)": ("subscripts", "["),
    "y ~ [x] + (1 | g)": ("subscripts", "["),
    "y ~ . + (1 | g)": ("pass columns=", "."),
    ". ~ x + (1 | g)": ("cannot be the response", "."),
    "1 ~ x + (1 | g)": ("names no variable", "1"),
    "cbind(a, b) ~ x + (1 | g)": ("cbind() cannot be used", "cbind(a, b)"),
    "y z ~ x + (1 | g)": ("cannot stand here", "z"),
    "y + ~ x + (1 | g)": ("missing", "+"),
    "y ~ offset(x, z) + (1 | g)": ("takes one argument", "offset(x, z)"),
    "y ~ offset(x):z + (1 | g)": ("cannot be part of an interaction", "offset(x)"),
    "y ~ (offset(x) | g)": ("belongs to the fixed part", "offset(x)"),
    "y ~ us(x | g)": ("covariance structure us", "us(x | g)"),
    "y ~ ar1(0 + t | g)": ("covariance structure ar1", "ar1(0 + t | g)"),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_every_mistake_has_its_message_and_place(text: str) -> None:
    """The error says what is wrong, and its carets stand under what is wrong."""
    fragment, marked = MISTAKES[text]
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    error = caught.value
    assert fragment in error.message
    assert error.span is not None
    assert text[slice(*error.span)] == marked
    assert "^" in str(error).splitlines()[-1]


@pytest.mark.parametrize("formula", [None, 3, b"y ~ (1 | g)", ["y ~ (1 | g)"], ("y", "x")])
def test_a_formula_is_a_string(formula: object) -> None:
    """Anything else is refused by its type."""
    with pytest.raises(FormulaError, match="a formula is a string"):
        parse_formula(formula)  # type: ignore[arg-type]


def test_errors_in_formulas_of_several_lines_point_into_one_line() -> None:
    """Line breaks are shown as spaces, so that the carets fit."""
    with pytest.raises(FormulaError) as caught:
        parse_formula("y ~ x +\n  (1 | 3)")
    line, carets = str(caught.value).splitlines()[-2:]
    assert line[carets.index("^")] == "3"


def test_errors_survive_pickling() -> None:
    """Errors cross process borders with formula and place."""
    with pytest.raises(FormulaError) as caught:
        parse_formula("y ~ x | g")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.span) == (str(caught.value), caught.value.span)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ (" + "+".join("abcdefghijklmnop") + ")^16 + (1 | g)",
        "y ~ " + "*".join(f"x{i}" for i in range(20)) + " + (1 | g)",
        "y ~ I(" + "(" * 5000 + "x" + ")" * 5000 + ") + (1 | g)",
        "y ~ I(" + "-" * 5000 + "x) + (1 | g)",
        "y ~ I(" + "x^" * 5000 + "x) + (1 | g)",
        "y ~ " + "x + " * 60000 + "(1 | g)",
    ],
    ids=["power", "product", "parentheses", "signs", "powers", "length"],
)
def test_a_short_string_cannot_exhaust_the_machine(text: str) -> None:
    """Formulas that explode are refused at once."""
    with pytest.raises(RanefError):
        parse_formula(text)


def test_deep_but_harmless_nesting_is_read() -> None:
    """Parentheses around terms may be as deep as one likes."""
    formula = parse_formula("y ~ " + "(" * 2000 + "x" + ")" * 2000 + " + (1 | g)")
    assert formula.fixed.labels == ("1", "x")


def test_long_sums_take_linear_time() -> None:
    """Thousands of terms are read in about a second."""
    formula = parse_formula("y ~ " + " + ".join(f"x{i}" for i in range(5000)) + " + (1 | g)")
    assert len(formula.fixed.terms) == 5000
