"""How responses, formulas and their rows can be given, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError, FitError, FormulaError, OptionError, UnknownVariableError

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

RNG = np.random.default_rng(5)
DATA = pd.DataFrame(
    {"x": RNG.standard_normal(60), "g": np.arange(60) % 12}, index=[f"row {i}" for i in range(60)]
)
Y = RNG.standard_normal((60, 3)) + RNG.standard_normal((12, 3))[DATA["g"]]
NAMES = ["one", "two", "three"]
WIDE = DATA.assign(**{name: Y[:, j] for j, name in enumerate(NAMES)})
FORMULA = "~ x + (1 | g)"
WANTED = ranef.fit_many(FORMULA, DATA, Y)
FRAME = WIDE[NAMES]


@pytest.mark.parametrize(
    ("data", "responses"),
    [
        (WIDE, NAMES),
        (WIDE, tuple(NAMES)),
        (WIDE, pd.Index(NAMES)),
        (WIDE, np.array(NAMES)),
        (
            WIDE.rename(columns=str.upper).rename(columns={"X": "x", "G": "g"}),
            ["ONE", "TWO", "THREE"],
        ),
        (WIDE[["three", "x", "two", "g", "one"]], NAMES),
        (DATA, FRAME),
        (DATA, FRAME.sample(frac=1.0, random_state=1)),
        (DATA, pd.concat([FRAME, FRAME.set_axis([f"more {i}" for i in range(60)])])),
        (DATA, FRAME.astype("Float64")),
        (DATA, FRAME.astype("float64[pyarrow]")),
        (DATA, Y),
        (DATA, Y.tolist()),
        (DATA, np.asfortranarray(Y)),
        (DATA, pl.from_pandas(FRAME)),
        (DATA, {name: Y[:, j] for j, name in enumerate(NAMES)}),
        (pl.from_pandas(WIDE), NAMES),
        (pa.Table.from_pandas(WIDE), NAMES),
        ({name: WIDE[name].to_numpy() for name in WIDE}, NAMES),
        (pl.from_pandas(DATA), FRAME),
        (DATA.reset_index(drop=True), FRAME.reset_index(drop=True)),
    ],
)
def test_every_way_to_give_responses(data: Any, responses: Any) -> None:
    """The numbers are the same, bit by bit."""
    np.testing.assert_array_equal(
        ranef.fit_many(FORMULA, data, responses).estimate, WANTED.estimate
    )


def test_labels() -> None:
    """Responses keep the names they had; those of an array are numbers."""
    assert ranef.fit_many(FORMULA, WIDE, "two").labels.tolist() == ["two"]
    assert WANTED.labels.tolist() == [0, 1, 2]
    wide = pd.DataFrame(Y, index=DATA.index, columns=[10, 20, 30])
    assert ranef.fit_many(FORMULA, DATA, wide).term("x").index.tolist() == [10, 20, 30]


def test_integers_and_booleans() -> None:
    """Are numbers, too."""
    whole = np.round(3 * Y)
    np.testing.assert_array_equal(
        ranef.fit_many(FORMULA, DATA, whole.astype(np.int16)).estimate,
        ranef.fit_many(FORMULA, DATA, whole).estimate,
    )
    assert ranef.fit_many(FORMULA, DATA, Y > 0).n_failed == 0


@pytest.mark.parametrize(
    "formula",
    [
        "~ x + (1 | g)",
        " ~x+(1|g)",
        "y ~ x + (1 | g)",
        "one ~ x + (1 | g)",
        "`a ~ b` ~ x + (1 | g)",
        "response ~ x + (1 | g)",
        "~ . - g + (1 | g)",
        "y ~ . - g + (1 | g)",
    ],
)
def test_the_left_side_is_a_placeholder(formula: str) -> None:
    """It may be empty or any name, and `.` stands for no response."""
    many = ranef.fit_many(formula, WIDE, NAMES)
    assert many.terms == ("Intercept", "x")
    np.testing.assert_array_equal(many.estimate, WANTED.estimate)


def test_a_predictor_called_response() -> None:
    """The placeholder steps aside."""
    many = ranef.fit_many("~ response + (1 | g)", DATA.rename(columns={"x": "response"}), Y)
    np.testing.assert_array_equal(many.estimate, WANTED.estimate)
    assert many.formula == "response_ ~ response + (1 | g)"


@pytest.mark.parametrize("kind", ["array", "integers", "list"])
def test_masked_arrays(kind: str) -> None:
    """What is masked is missing, whatever stands there."""
    values = np.round(5 * Y) if kind == "integers" else Y
    hidden = np.where(Y > 1, np.nan, values)
    masked: Any = np.ma.masked_array(values.astype(int) if kind == "integers" else values, Y > 1)
    many = ranef.fit_many(FORMULA, DATA, list(masked) if kind == "list" else masked)
    wanted = ranef.fit_many(FORMULA, DATA, hidden)
    assert many.nobs.tolist() == wanted.nobs.tolist() == (Y <= 1).sum(axis=0).tolist()
    np.testing.assert_array_equal(many.estimate, wanted.estimate)


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("~ xx + (1 | g)", "Columns: x, g.\n  ~ xx + (1 | g)\n    ^^"),
        (" ~ x + (1 | `g g`)", "Columns: x, g.\n   ~ x + (1 | `g g`)\n              ^^^^^"),
        ("~ x + nothing(x) + (1 | g)", "\n  ~ x + nothing(x) + (1 | g)\n        ^^^^^^^^^^"),
        ("~ x + (1 | g", "\n  ~ x + (1 | g\n        ^"),
        ("y ~ x + offset(y) + (1 | g)", "cannot be an offset.\n  y ~ x + offset(y) + (1 | g)\n"),
    ],
)
def test_errors_show_the_formula_that_was_given(formula: str, shown: str) -> None:
    """Without the placeholder, and with the carets in their place."""
    with pytest.raises(FormulaError) as caught:
        ranef.fit_many(formula, DATA, Y)
    assert shown in str(caught.value)
    assert "response ~" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"formula": "log(y) ~ x + (1 | g)"}, FormulaError, "transform them"),
        ({"formula": "~ x + (1 | h)"}, UnknownVariableError, "no column 'h'"),
        ({"formula": "~ x"}, FormulaError, "random term"),
        ({"formula": "x ~ x + (1 | g)"}, FormulaError, "also a predictor"),
        ({"formula": 3}, FormulaError, "got int"),
        ({"responses": None}, OptionError, "got NoneType"),
        ({"responses": []}, OptionError, "without elements"),
        ({"responses": ["one", "four"]}, UnknownVariableError, "no column 'four'"),
        ({"responses": ["one", "one"]}, OptionError, "'one' occurs twice"),
        ({"responses": ["one", 2]}, OptionError, "strings only"),
        ({"responses": Y[:, 0]}, DataError, "two axes"),
        ({"responses": Y[:, :0]}, DataError, "two axes"),
        ({"responses": Y[:50]}, DataError, "50 rows; the data have 60"),
        ({"responses": FRAME.iloc[:50]}, DataError, "no row for 10 of the 60"),
        ({"responses": FRAME.iloc[:50].set_axis([0] * 50)}, DataError, "50 rows"),
        ({"responses": FRAME.set_axis([0] * 60)}, DataError, "not unique"),
        ({"responses": Y.astype(complex)}, DataError, "complex"),
        ({"responses": FRAME.assign(two="a")}, DataError, "'two' is not a column of numbers"),
        ({"responses": pl.DataFrame({"u": ["a"] * 60})}, DataError, "'u' is not a column"),
        ({"responses": {"u": np.ones(60), "v": np.ones(5)}}, DataError, "'v' has 5 rows"),
        ({"responses": {"u": FRAME["one"].sort_values()}}, DataError, "other row labels"),
        ({"responses": 7}, OptionError, "got int"),
        ({"responses": object()}, OptionError, "got object"),
        ({"ddf": "kenward-roger"}, OptionError, "ask single models"),
        ({"ddf": "sattertwaite"}, OptionError, "Did you mean 'satterthwaite'"),
        ({"adjust": "tukey"}, OptionError, "adjust must be one of"),
        ({"reml": "yes"}, OptionError, "reml must be True or False"),
        ({"n_jobs": 0}, OptionError, "n_jobs"),
        ({"weights": np.zeros(60)}, DataError, "weights are zero"),
        ({"weights": np.ones(5)}, DataError, "weights has 5 values"),
        ({"formula": "~ factor(1:60) + (1 | g)"}, FormulaError, "."),
        ({"formula": "~ x + (1 | one)"}, DataError, "one observation per group"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each is refused: what was got, what is allowed."""
    given = {"formula": FORMULA, "data": WIDE, "responses": NAMES} | arguments
    with pytest.raises(error, match=message):
        ranef.fit_many(**given)


def test_too_many_predictors() -> None:
    """The design leaves nothing to fit."""
    rng = np.random.default_rng(0)
    data = {f"x{i}": rng.standard_normal(12) for i in range(12)} | {"g": np.arange(12) % 3}
    formula = "~ " + " + ".join(f"x{i}" for i in range(12)) + " + (1 | g)"
    with pytest.raises(FitError, match="12 observations cannot determine"):
        ranef.fit_many(formula, data, rng.standard_normal((12, 2)))
