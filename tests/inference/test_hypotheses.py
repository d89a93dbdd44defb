"""Hypotheses as text: what is read, and what errors point at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranef.errors import FormulaError, UnknownVariableError
from ranef.inference.hypotheses import Vocabulary, parse_hypothesis

NAMES = (
    "Intercept",
    "x",
    "xy",
    "x2",
    "log(x)",
    "poly(x, 2)[1]",
    "I(x^2)",
    "f[T.b]",
    "f[T.New York (USA)]",
    "f[T.-1]",
    "f[T.b]:x",
    "f[T.b]:f2[T.a = b]:x",
    "total.fruits",
    "C(h, contr.sum)[S.u]",
    "größe",
    "my var",
)
KNOWN = Vocabulary(NAMES, {"x": (1,), "f": (7, 8, 9), "poly(x, 2)": (5,), "gone": (), "f:x": (10,)})


def weights(text: str) -> tuple[dict[str, float], float]:
    """Return the weights of the coefficients that occur, and the right-hand side."""
    read = parse_hypothesis(text, KNOWN)
    assert read.rows.shape == (1, len(NAMES))
    used = {name: value for name, value in zip(NAMES, read.rows[0], strict=True) if value}
    return used, float(read.rhs[0])


@pytest.mark.parametrize(
    ("text", "expected", "rhs"),
    [
        ("x", {"x": 1}, 0),
        ("x = 3", {"x": 1}, 3),
        ("x == 3", {"x": 1}, 3),
        ("3 = x", {"x": -1}, -3),
        ("x - 3", {"x": 1}, 3),
        ("-x", {"x": -1}, 0),
        ("--x - -3", {"x": 1}, -3),
        ("2*x - Intercept = 3", {"x": 2, "Intercept": -1}, 3),
        ("(x + xy)/2 = x2", {"x": 0.5, "xy": 0.5, "x2": -1}, 0),
        ("x*2 + 1.5e-1 * (xy - 2)", {"x": 2, "xy": 0.15}, 0.3),
        ("x + x - 2*x + xy", {"xy": 1}, 0),
        ("log(x) - poly(x, 2)[1]", {"log(x)": 1, "poly(x, 2)[1]": -1}, 0),
        ("poly(x,2)[1]", {"poly(x, 2)[1]": 1}, 0),
        ("poly( x , 2 ) [1]", {"poly(x, 2)[1]": 1}, 0),
        ("I(x ^ 2)", {"I(x^2)": 1}, 0),
        ("f[T.New York (USA)] - f[T.-1] = f[T.b]", {NAMES[8]: 1, NAMES[9]: -1, NAMES[7]: -1}, 0),
        ("f[T.b]:x + f[T.b]", {"f[T.b]:x": 1, "f[T.b]": 1}, 0),
        ("f[T.b] : x", {"f[T.b]:x": 1}, 0),
        ("f[T.b]:f2[T.a = b]:x = 1", {"f[T.b]:f2[T.a = b]:x": 1}, 1),
        ("total.fruits/4", {"total.fruits": 0.25}, 0),
        ("C(h, contr.sum)[S.u]", {"C(h, contr.sum)[S.u]": 1}, 0),
        ("größe = 1", {"größe": 1}, 1),
        ("my var - `my var`*3", {"my var": -2}, 0),
        ("`f[T.b]:x` + `x`", {"f[T.b]:x": 1, "x": 1}, 0),
        ("(Intercept)", {"Intercept": 1}, 0),
        ("x\n= 3", {"x": 1}, 3),
        (".5*x", {"x": 0.5}, 0),
        ("f:x", {"f[T.b]:x": 1}, 0),
    ],
)
def test_reads(text: str, expected: dict[str, float], rhs: float) -> None:
    """Names are found whatever they contain, and the arithmetic is that of numbers."""
    used, value = weights(text)

    assert used == pytest.approx(expected, rel=1e-15)
    assert value == pytest.approx(rhs, rel=1e-15)


@pytest.mark.parametrize(("text", "value"), [("f", 0.0), (" f ", 0.0), ("f = 2 - 4", -2.0)])
def test_label_of_a_term_is_all_its_coefficients(text: str, value: float) -> None:
    """The label of a term with several coefficients stands for a row of each."""
    read = parse_hypothesis(text, KNOWN)

    np.testing.assert_array_equal(read.rows, np.eye(len(NAMES))[[7, 8, 9]])
    np.testing.assert_array_equal(read.rhs, [value] * 3)
    assert read.labels[0].startswith("f[T.b]")


def test_label_that_is_also_a_coefficient_is_the_coefficient() -> None:
    """A numeric term of one column is called like its coefficient, and can be computed with."""
    assert weights("2*x")[0] == {"x": 2.0}


@pytest.mark.parametrize(
    ("text", "marked", "message"),
    [
        ("", "", "empty"),
        ("   ", "", "empty"),
        ("x +", "", "missing"),
        ("(x", "", "missing"),
        ("x)", ")", "cannot stand here"),
        ("x = 1 = 2", "=", "as a list"),
        ("x, xy", ",", "as a list"),
        ("x < 2", "<", "equations"),
        ("x^2", "^", "linear"),
        ("x*xy", "xy", "not linear"),
        ("1/x", "x", "not linear"),
        ("x/(2 - 2)", "(2 - 2)", "division by zero"),
        ("2 x", "x", "write a product"),
        ("f + 1", "f", "3 coefficients"),
        ("x - f", "f", "3 coefficients"),
        ("f = x", "x", "compared with a number"),
        ("gone", "gone", "can be estimated"),
        ("x : xy", ":", "no such interaction"),
        ("x & xy", "&", "cannot stand here"),
        ("'x'", "'", "cannot stand here"),
    ],
)
def test_errors_point_into_the_text(text: str, marked: str, message: str) -> None:
    """What is not a linear equation is shown with carets under the culprit."""
    with pytest.raises(FormulaError, match=message) as caught:
        parse_hypothesis(text, KNOWN)

    assert caught.value.span is not None
    start, end = caught.value.span
    assert text[start:end] == marked


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("X = 1", "X", "'x'"),
        ("f[T.c] - x", "f[T.c]", "'f[T.b]'"),
        ("f[T.b]:z", "f[T.b]:z", "'f[T.b]:x'"),
        ("2*days", "days", None),
        ("x3", "x3", "'x'"),
        ("log(y) = 2", "log(y)", "'log(x)'"),
        ("`my vat` = 1", "my vat", "'my var'"),
        ("xy(2)", "xy(2)", None),
    ],
)
def test_unknown_names(text: str, name: str, hint: str | None) -> None:
    """An unknown name is shown whole, with similar ones if there are any."""
    with pytest.raises(UnknownVariableError) as caught:
        parse_hypothesis(text, KNOWN)

    assert f"no coefficient is called {name!r}" in caught.value.message
    assert ("Did you mean" in caught.value.message) == (hint is not None)
    assert hint is None or hint in caught.value.message
    assert isinstance(caught.value, KeyError)


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(-40, 40).filter(bool)), min_size=1, max_size=6
    ),
    st.integers(-9, 9),
    st.booleans(),
)
def test_what_is_written_is_read(parts: list[tuple[str, int]], constant: int, quoted: bool) -> None:
    """A linear combination of any names, written down, gives its weights back."""
    text = " + ".join(
        f"{weight / 8} * " + (f"`{name}`" if quoted else name) for name, weight in parts
    )
    read = parse_hypothesis(f"{text} = {constant}", KNOWN)
    expected = np.zeros(len(NAMES))
    for name, weight in parts:
        expected[NAMES.index(name)] += weight / 8

    np.testing.assert_array_equal(read.rows[0], expected)
    assert read.rhs[0] == constant
