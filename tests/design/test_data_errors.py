"""Data that cannot be used: every reason has its message, naming the variable and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ranef.design import build_design
from ranef.errors import DataError, FormulaError, OptionError, UnknownVariableError


def the_data() -> pd.DataFrame:
    """Return twelve rows in four groups."""
    return pd.DataFrame(
        {
            "y": [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.5, 3.5, 5.2, 8.0],
            "x": np.arange(12.0),
            "k": [1, 2, 3] * 4,
            "f": list("abc") * 4,
            "flag": [True, False] * 6,
            "g": np.repeat(list("pqrs"), 3),
            "h": list("uvuvuvuvuvuv"),
        }
    )


def change(**columns: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that replaces columns."""
    return lambda frame: frame.assign(**columns)


def put(column: str, rows: list[int], value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that replaces some values."""

    def apply(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object if isinstance(value, str) else None or float)
        frame.loc[rows, column] = value
        return frame

    return apply


def same(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave the data alone."""
    return frame


# what happens to the data, formula, message
WRONG: dict[str, tuple[Callable[[pd.DataFrame], Any], str, str]] = {
    "no rows": (lambda d: d.iloc[:0], "y ~ x + (1 | g)", "no rows"),
    "no columns": (lambda d: pd.DataFrame(), "y ~ x + (1 | g)", "no rows"),
    "all missing": (change(x=np.nan), "y ~ x + (1 | g)", "'x' is missing in every row"),
    "never complete": (
        lambda d: put("y", list(range(6)), np.nan)(put("x", list(range(6, 12)), np.nan)(d)),
        "y ~ x + (1 | g)",
        "'y' 6, 'x' 6",
    ),
    "text response": (same, "f ~ x + (1 | g)", "'f' is text, not numeric"),
    "factor response": (
        lambda d: d.assign(f=d.f.astype("category")),
        "f ~ x + (1 | g)",
        "'f' is a factor, not numeric",
    ),
    "constant response": (change(y=2.0), "y ~ x + (1 | g)", r"'y' is constant \(2\)"),
    "constant where used": (
        lambda d: d.assign(y=[1.0] * 6 + [2.0] * 6, x=[1.0] * 6 + [None] * 6),
        "y ~ x + (1 | g)",
        "constant",
    ),
    "infinite response": (put("y", [4, 7], np.inf), "y ~ x + (1 | g)", "'y' .* rows 4, 7;"),
    "infinite predictor": (put("x", [2], -np.inf), "y ~ x + (1 | g)", "'x' .* row 2;"),
    "many infinite": (put("x", [1, 2, 3, 4], np.inf), "y ~ x + (1 | g)", r"rows 1, 2, 3, \.\.\."),
    "infinite under a function": (put("x", [2], np.inf), "y ~ I(1 / x) + (1 | g)", "'x' is inf"),
    "infinite random": (put("x", [2], np.inf), "y ~ 1 + (0 + x | h)", "'x' is infinite"),
    "log of negative": (same, "y ~ log(x - 3) + (1 | g)", r"'log\(x - 3\)' .* rows 0, 1, 2"),
    "log of zero": (same, "log(x) ~ k + (1 | g)", r"'log\(x\)' is not a finite number in row 0"),
    "overflow": (same, "y ~ exp(x * 1000) + (1 | g)", "not a finite number"),
    "one level": (change(f="a"), "y ~ f + (1 | g)", "'f' has a single level, 'a'"),
    "one level left": (
        lambda d: d.assign(x=d.x.where(d.f == "a")),
        "y ~ x + f + (1 | g)",
        "'f' has a single level",
    ),
    "one truth": (change(flag=True), "y ~ flag + (1 | g)", "'flag' has a single level, 'True'"),
    "one group": (change(g="p"), "y ~ x + (1 | g)", "'g' has a single level"),
    "group per row": (change(g=range(12)), "y ~ x + (1 | g)", "'g' has 12 levels for 12 obs"),
    "combination per row": (same, "y ~ x + (1 | g:k)", "'g:k' has 12 levels"),
    "too many effects": (same, "y ~ x + (f | g)", r"12 effects \(3 for each of 4 levels\)"),
    "zero slope": (change(x=0.0), "y ~ 1 + (x | h)", "column 'x' is all zero"),
    "factor in arithmetic": (same, "y ~ I(f + 1) + (1 | g)", "'f' is a factor"),
    "factor in log": (same, "y ~ log(f) + (1 | g)", "a factor is not numeric"),
    "poly of too high degree": (same, "y ~ poly(k, 3) + (1 | g)", "'degree' must be less"),
    "poly of no degree": (same, "y ~ poly(x, 0) + (1 | g)", "between 1 and 1000"),
    "poly of half a degree": (same, "y ~ poly(x, 1.5) + (1 | g)", "whole number"),
    "scale of a constant": (change(x=1.0), "y ~ scale(x) + (1 | g)", "constant"),
    "text that is no number": (same, "y ~ as.numeric(f) + (1 | g)", "'a' is not a number"),
    "unknown reference": (same, "y ~ C(f, Treatment('z')) + (1 | g)", "'z' does not occur"),
    "position 0": (same, "y ~ relevel(f, ref = 0) + (1 | g)", "position from 1 to 3"),
    "position 4": (same, "y ~ relevel(f, ref = 4) + (1 | g)", "position from 1 to 3.*got 4"),
    "number that is a level": (same, "y ~ relevel(factor(k), ref = 5) + (1 | g)", "1 to 3"),
    "a column named Intercept": (
        lambda d: d.assign(Intercept=d.x),
        "y ~ Intercept + (1 | g)",
        "the intercept and the term 'Intercept' .* rename",
    ),
    "a slope named Intercept": (
        lambda d: d.assign(Intercept=d.x),
        "y ~ x + (0 + Intercept | g)",
        "both have a column called 'Intercept'",
    ),
    "a column named like a level": (
        lambda d: d.assign(**{"f[T.b]": d.x}),
        "y ~ f + `f[T.b]` + (1 | g)",
        r"both have a column called 'f\[T.b\]'",
    ),
    "a column named like a product": (
        lambda d: d.assign(**{"x:k": d.x}),
        "y ~ x:k + (0 + `x:k` | g)",
        "both have a column called 'x:k'",
    ),
    "columns with different indices": (
        lambda d: {"y": d.y, "x": d.x.iloc[::-1], "g": d.g},
        "y ~ x + (1 | g)",
        "'y' and 'x' are pandas Series with different indices",
    ),
    "unknown level": (same, "y ~ relevel(f, ref = 'z') + (1 | g)", "'z' is not a level"),
    "wrong labels": (same, "y ~ factor(f, labels = c('u', 'v')) + (1 | g)", "2 labels for 3"),
    "factor offset": (same, "y ~ offset(f) + (1 | g)", "offset 'f' is not a column of numbers"),
    "twice the same name": (
        lambda d: pd.concat([d, d[["x"]]], axis=1),
        "y ~ x + (1 | g)",
        "2 columns named 'x'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_problem_has_its_message(name: str) -> None:
    """Nothing of this is fitted, and nothing of this is a numpy or pandas error."""
    spoil, formula, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        build_design(formula, spoil(the_data()))


def test_uncorrelated_terms_count_each_column_for_itself() -> None:
    """`(f || g)` has as many effects as `(f | g)`, but lme4 counts them column by column."""
    design = build_design("y ~ x + (f || g)", the_data())
    assert len(design.terms[0].names) * design.terms[0].grouping.size == len(design.y)


UNKNOWN = {
    "y ~ z + (1 | g)": "z",
    "y ~ x + (1 | gg)": "gg",
    "y ~ x + (z | g)": "z",
    "Y ~ x + (1 | g)": "Y",
    "y ~ log(xx) + (1 | g)": "xx",
    "y ~ x.shape + (1 | g)": "x.shape",
    "y ~ offset(n) + (1 | g)": "n",
    "y ~ x + (1 | g/hh)": "hh",
    "y ~ poly(x, degree = d) + (1 | g)": "d",
}


@pytest.mark.parametrize("formula", UNKNOWN)
def test_unknown_columns_are_named_with_their_place(formula: str) -> None:
    """The error points into the formula and lists what there is."""
    with pytest.raises(UnknownVariableError, match="the data have no column") as caught:
        build_design(formula, the_data())
    assert caught.value.span is not None
    assert formula[slice(*caught.value.span)] == UNKNOWN[formula]
    assert "Columns: y, x, k" in str(caught.value)


def test_unknown_columns_come_with_a_guess() -> None:
    """A misspelt name is recognised."""
    frame = the_data().rename(columns={"x": "Days", "g": "Subject"})
    with pytest.raises(UnknownVariableError, match="Did you mean 'Subject'"):
        build_design("y ~ Days + (1 | Subjct)", frame)


def test_unknown_functions_are_named_with_their_place() -> None:
    """The error points at the call, guesses, and tells of `context`."""
    formula = "y ~ lgo(x) + (1 | g)"
    with pytest.raises(FormulaError, match=r"unknown function 'lgo'. Did you mean 'log'") as caught:
        build_design(formula, the_data())
    assert formula[slice(*(caught.value.span or (0, 0)))] == "lgo(x)"
    assert "context={'lgo': function}" in str(caught.value)


WRONG_CALLS = [
    "y ~ log() + (1 | g)",
    "y ~ log(x, 2, 3) + (1 | g)",
    "y ~ poly(x, power = 2) + (1 | g)",
    "y ~ poly(x, 2, _state = 3) + (1 | g)",
    "y ~ I('a') + (1 | g)",
    "y ~ f + log(x, 'a') + (1 | g)",
    "y ~ I(f == g) + (1 | h)",
    "y ~ I(f > 'a') + (1 | g)",
    "y ~ scale(3) + (1 | g)",
    "y ~ factor(3) + (1 | g)",
    "y ~ contr.sum + (1 | g)",
    "y ~ bs(x, df = 2) + (1 | g)",
    "y ~ bs(x, df = 'a') + (1 | g)",
    "y ~ cr(x) + (1 | g)",
    "y ~ C(f, contr.none) + (1 | g)",
]


@pytest.mark.parametrize("formula", WRONG_CALLS)
def test_wrong_calls_are_errors_of_ranef(formula: str) -> None:
    """Wrong arguments never surface as numpy's or Python's own errors."""
    with pytest.raises((FormulaError, DataError)):
        build_design(formula, the_data())


def test_contrasts_must_make_sense() -> None:
    """Unknown contrasts, unknown columns and numeric columns are refused."""
    formula = "y ~ f + x + (1 | g)"
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"f": "none"}, OptionError, "must be one of 'treatment'"),
        ({"f": 3}, OptionError, "must be one of"),
        ({"ff": "sum"}, UnknownVariableError, "Did you mean 'f'"),
        ({"h": "sum"}, OptionError, "not in the fixed part"),
        ({"x": "sum"}, OptionError, "'x', which is not a factor"),
    ]
    for contrasts, error, message in wrong:
        with pytest.raises(error, match=message):
            build_design(formula, the_data(), contrasts=contrasts)


def test_na_action_must_be_known() -> None:
    """Only "drop" and "raise" exist."""
    with pytest.raises(OptionError, match="na_action"):
        build_design("y ~ x + (1 | g)", the_data(), na_action="omit")  # type: ignore[arg-type]


def test_a_formula_without_random_term_is_refused_with_the_data_at_hand() -> None:
    """build_design reads formulas as `parse_formula` does."""
    with pytest.raises(FormulaError, match="ordinary regression"):
        build_design("y ~ x", the_data())
    with pytest.raises(FormulaError, match="a formula is a string"):
        build_design(3, the_data())  # type: ignore[arg-type]
