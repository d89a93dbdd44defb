"""Tests of linear functions of the fixed effects, against lmerTest, pbkrtest and algebra."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from bank import Case, cases
from ranef.errors import FormulaError, OptionError, RanefWarning, UnknownVariableError
from ranef.inference.contest import Contest, contest
from ranef.typing import DdfMethod

METHODS: dict[str, DdfMethod] = {
    "satterthwaite": "satterthwaite",
    "kenward_roger": "kenward-roger",
}
WITH_JOINT = [
    (case, method)
    for case in cases()
    for method in METHODS
    if "joint_all_but_first" in case.results.get(method, {})
]
NAMES = ("Intercept", "A[T.2]", "B[T.2]", "B[T.3]", "A[T.2]:B[T.2]", "A[T.2]:B[T.3]")
# a difference of levels, and a main effect averaged over two of three levels
L = np.array([[0, 0, 1, -1, 0, 0], [0, 1, 0, 0, 0.5, 0]])


@cache
def model(formula: str = "y ~ A * B + (1 | g)") -> ranef.LinearMixedModel:
    """Fit a model of an unbalanced two-way layout in blocks."""
    path = Path(__file__).parent / "data" / "twoway.csv"
    data = pd.read_csv(path, dtype={"A": str, "B": str, "g": str})
    data["x"] = np.arange(len(data)) % 7 - 3.0
    data["x2"] = 2 * data["x"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        return ranef.fit(formula, data)


@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
@pytest.mark.parametrize(
    ("case", "method"), WITH_JOINT, ids=[f"{case.id}-{method}" for case, method in WITH_JOINT]
)
def test_joint_test_of_all_but_the_first_coefficient(case: Case, method: str) -> None:
    """One F test of several coefficients agrees with R's, by both methods."""
    expected = case.results[method]["joint_all_but_first"]
    fitted = ranef.fit(case.formula, case.frame(), **case.options())
    rows = np.eye(len(fitted.problem.basis.kept))[1:]
    table = contest(fitted, rows, ddf=METHODS[method]).iloc[0]

    assert table["num_df"] == first(expected, "NumDF", "ndf")
    # R's optimum is good to 1e-7 in theta; lmerTest's df are numerical, 5e-6 off at worst
    assert table["f_value"] == pytest.approx(first(expected, "F value", "F", "stat"), rel=1e-6)
    assert table["den_df"] == pytest.approx(first(expected, "DenDF", "ddf"), rel=1e-5)


def first(block: dict[str, Any], *names: str) -> float:
    """Return the number with the first of these names that R's table has."""
    value = next(block[name] for name in names if name in block)
    return float(value[0] if isinstance(value, list) else value)


# lmerTest 3.1-3: contest(m, L, rhs, joint, ddf); lmer(y ~ A * B + (1 | g)), tolerances of 1e-13
@pytest.mark.parametrize(
    ("rhs", "ddf", "sum_sq", "den_df", "f_value"),
    [
        ((0.5, -1.0), "satterthwaite", 83.5595812337, 74.1839131376, 46.5146568349),
        ((0.5, -1.0), "kenward-roger", 83.5421991749, 74.1423694894, 46.504977612),
        (0.0, "satterthwaite", 32.8671805108, 74.1839131376, 18.2959943075),
        (0.0, "kenward-roger", 32.8612748334, 74.1423694894, 18.2927055491),
    ],
)
def test_joint_with_right_hand_sides(
    rhs: Any, ddf: DdfMethod, sum_sq: float, den_df: float, f_value: float
) -> None:
    """F tests that functions have given values agree with lmerTest's."""
    row = contest(model(), L, rhs, ddf=ddf).iloc[0]

    assert row["num_df"] == 2
    # lme4's optimum is good to 1e-6 in theta
    assert row["f_value"] == pytest.approx(f_value, rel=1e-6)
    assert row["den_df"] == pytest.approx(den_df, rel=1e-6)
    assert row["sum_sq"] == pytest.approx(sum_sq, rel=1e-6)
    assert row["mean_sq"] == pytest.approx(sum_sq / 2, rel=1e-6)


def test_one_by_one() -> None:
    """Estimates, standard errors, df, t and intervals of single functions are lmerTest's."""
    table = contest(model(), L, joint=False, level=0.9)

    # to R's printed digits, up to lme4's optimum
    assert table["estimate"].tolist() == pytest.approx([0.416552074087, 1.284277922355], rel=1e-6)
    assert table["std_error"].tolist() == pytest.approx([0.353737993868, 0.251956085213], rel=1e-6)
    assert table["df"].tolist() == pytest.approx([74.2766487555, 74.1378890129], rel=1e-6)
    assert table["statistic"].tolist() == pytest.approx([1.17757233124, 5.09722923053], rel=1e-6)
    assert table["conf_low"].tolist() == pytest.approx([-0.172643919028, 0.864602830257], rel=1e-5)
    assert table["conf_high"].tolist() == pytest.approx([1.0057480672, 1.70395301445], rel=1e-6)
    assert table["p_value"].tolist() == pytest.approx([0.242726555757, 2.55066521137e-6], rel=1e-5)
    assert list(table.index) == ["B[T.2] - B[T.3]", "A[T.2] + 0.5*A[T.2]:B[T.2]"]


@pytest.mark.parametrize(
    ("ddf", "std_error", "df", "t", "p"),
    [
        ("satterthwaite", 0.353737993868, 74.2766487555, -0.235903203387, 0.814157049751),
        ("kenward-roger", 0.353910863915, 74.2354417229, -0.235787974944, 0.814246493702),
    ],
)
def test_one_with_a_right_hand_side(
    ddf: DdfMethod, std_error: float, df: float, t: float, p: float
) -> None:
    """The statistic compares with the right-hand side; the interval is for the function."""
    row = contest(model(), "B[T.2] - B[T.3] = 0.5", joint=False, ddf=ddf).iloc[0]

    # as above; t is a difference of nearly equal numbers
    assert row["estimate"] == pytest.approx(0.416552074087, rel=1e-6)
    assert row["std_error"] == pytest.approx(std_error, rel=1e-6)
    assert row["df"] == pytest.approx(df, rel=1e-6)
    assert row["statistic"] == pytest.approx(t, rel=1e-5)
    assert row["p_value"] == pytest.approx(p, rel=1e-5)


def test_single_function_has_the_same_test_either_way() -> None:
    """F is the square of t, with the same degrees of freedom and p-value."""
    for ddf in ("satterthwaite", "kenward-roger", "normal"):
        joint = contest(model(), L[0], 0.3, ddf=ddf).iloc[0]
        single = contest(model(), L[0], 0.3, joint=False, ddf=ddf).iloc[0]

        # the same formulas in another order
        assert joint["f_value"] == pytest.approx(single["statistic"] ** 2, rel=1e-10)
        assert joint["den_df"] == pytest.approx(single["df"], rel=1e-10)
        assert joint["p_value"] == pytest.approx(single["p_value"], rel=1e-8)


def test_coefficients_are_those_of_the_table() -> None:
    """Each coefficient as a hypothesis gives the table of coefficients."""
    for ddf in ("satterthwaite", "kenward-roger", "normal"):
        table = contest(model(), list(NAMES), joint=False, ddf=ddf).to_frame()

        pd.testing.assert_frame_equal(table, model().coef_table(ddf=ddf), rtol=1e-12)


# --- ways to say the same ------------------------------------------------------------------------

SAME = [
    L,
    L.tolist(),
    [L[0], L[1]],
    pd.DataFrame(L, columns=NAMES),
    pd.DataFrame({"B[T.2]": [1, 0], "B[T.3]": [-1, 0], "A[T.2]": [0, 1], NAMES[4]: [0, 0.5]}),
    [{"B[T.2]": 1, "B[T.3]": -1}, {"A[T.2]": 1, "A[T.2]:B[T.2]": 0.5}],
    [pd.Series({"B[T.2]": 1, "B[T.3]": -1}), "A[T.2] + A[T.2]:B[T.2]/2"],
    ("B[T.2] = B[T.3]", "2*A[T.2]/2 = -1/2 * A[T.2]:B[T.2]"),
    pd.DataFrame(L),
]


@pytest.mark.parametrize("same", SAME, ids=range(len(SAME)))
def test_forms_of_the_same_hypotheses(same: Any) -> None:
    """Arrays, frames, dicts, series and text give the same test."""
    expected = contest(model(), L).iloc[0]
    found = contest(model(), same).iloc[0]

    # weights such as 2/2 are rounded at most once
    np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=1e-12)


def test_label_of_a_term() -> None:
    """The label of a term tests all its coefficients; here, the interaction of types I to III."""
    found = contest(model(), "A:B").iloc[0]

    assert found["num_df"] == 2
    assert found["f_value"] == pytest.approx(1.37091, abs=6e-6)  # R's printed digits


def test_rows_that_are_combinations_of_others() -> None:
    """A redundant row changes nothing that matters; df as lmerTest has them for three rows."""
    three = np.vstack([L, L[0] + 2 * L[1]])
    row = contest(model(), three).iloc[0]

    assert row["num_df"] == 2
    assert row["f_value"] == pytest.approx(contest(model(), L).iloc[0]["f_value"], rel=1e-9)
    assert row["den_df"] == pytest.approx(74.1839816979, rel=1e-6)  # lmerTest 3.1-3
    fitting = contest(model(), three, rhs=[0.5, -1.0, -1.5]).iloc[0]
    assert fitting["f_value"] == pytest.approx(46.5146568349, rel=1e-6)


def test_contradictions_are_refused() -> None:
    """Redundant rows need right-hand sides that fit."""
    with pytest.raises(OptionError, match=re.escape("contradict each other: B[T.2] = 1; B[T.2]=2")):
        contest(model(), ["A[T.2] = 0", "B[T.2] = 1", "B[T.2]=2"])
    with pytest.raises(OptionError, match="contradict"):
        contest(model(), np.vstack([L, L[0] + 2 * L[1]]), rhs=[0.5, -1.0, -1.4])


def test_collinear_estimates_are_no_contradiction() -> None:
    """Estimates for a year and its square are nearly collinear; any values may be asked of them."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"year": np.tile(np.arange(2018, 2023), 30), "g": np.arange(150) // 5})
    data["y"] = rng.normal(size=150) + rng.normal(size=30)[data["g"]]
    fitted = ranef.fit("y ~ year + I(year^2) + (1 | g)", data)

    assert len(contest(fitted, ["year = 0.1", "I(year^2) = 0.2"])) == 1


# --- rank deficiency -----------------------------------------------------------------------------


def test_aliased_coefficients() -> None:
    """With x2 = 2 x, only x + 2 x2 can be estimated; it is the coefficient of x alone."""
    deficient = model("y ~ x + x2 + (1 | g)")
    alone = model("y ~ x + (1 | g)").coef_table().loc["x"]
    both = contest(deficient, "x + 2*x2", joint=False).iloc[0]

    # the same model fitted twice
    np.testing.assert_allclose(both.to_numpy(float), alone.to_numpy(float), rtol=1e-6)
    for hopeless in ("x", "x2", {"x": 1, "x2": 1}, [0, 0, 1]):
        with pytest.raises(OptionError, match="cannot be estimated"):
            contest(deficient, hopeless)


def test_weights_of_kept_coefficients_only() -> None:
    """Rows may leave out aliased coefficients: they are then those of the model without them."""
    deficient, plain = model("y ~ x + x2 + (1 | g)"), model("y ~ x + (1 | g)")
    for row in ([1, 0], [0, 1], np.eye(2)):
        np.testing.assert_allclose(
            contest(deficient, row).to_frame(), contest(plain, row).to_frame(), rtol=1e-6
        )


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1, 2], r"shape \(2,\).*each of the 6 coefficients \(Intercept, A\[T.2\]"),
        (np.eye(5), r"shape \(5, 5\)"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros(6), "zero whatever"),
        ("A[T.2] - A[T.2]", "zero whatever"),
        (np.zeros((0, 6)), "no rows"),
        ([], r"shape \(0,\)"),
        ([np.nan] * 6, "finite"),
        ({"A[T.2]": "one"}, "finite"),
        ({"A[T.2]": "1"}, "weights, which are finite numbers .* got '1'"),
        ({"A[T.2]": 1j}, "finite numbers .* got 1j"),
        ({"A[T.2]": np.datetime64("2020")}, "finite numbers"),
        ({"A[T.2]": np.inf}, "finite numbers .* got inf"),
        ({"A[T.2]": 1e101}, r"up to 1e\+100; got"),
        ({"A[T.2]": 10**400}, "finite numbers"),
        (np.array(list("010000")), "finite numbers"),
        (np.eye(6) * 1j, "finite numbers"),
        (object(), "must be text"),
        (None, "must be text"),
    ],
)
def test_bad_hypotheses(bad: Any, message: str) -> None:
    """Errors say what was got and what is allowed."""
    with pytest.raises(OptionError, match=message):
        contest(model(), bad)


def test_unknown_names() -> None:
    """Unknown coefficients are named, in text, dicts and frames, with similar ones."""
    for bad in ("A[T.3] = 1", {"A[T.3]": 1}, pd.DataFrame({"A[T.3]": [1]})):
        with pytest.raises(UnknownVariableError, match=r"mean .*'A\[T.2\]'.*\? Coefficients: "):
            contest(model(), bad)
    with pytest.raises(FormulaError, match=re.escape("A[T.2] = = 1\n           ^")):
        contest(model(), "A[T.2] = = 1")


@pytest.mark.parametrize(
    ("text", "carets"),
    [
        ("A[T.2] = 1e400", "         ^^^^^"),
        ("1e400*A[T.2] = 1", "^^^^^"),
        ("A[T.2] = 1e101", "         ^^^^^"),
        ("A = 1e400", "    ^^^^^"),
        ("1e90*1e90*A[T.2]", "^^^^^^^^^^^^^^^^"),
        ("A[T.2]/1e-320 = 0", "^^^^^^^^^^^^^^^^^"),
        ("A = 1/1e-320", "^^^^^^^^^^^^"),
    ],
)
def test_numbers_that_are_too_large(text: str, carets: str) -> None:
    """What cannot be squared is no hypothesis, and the message shows where it stands."""
    with pytest.raises(FormulaError, match=r"larger than 1e\+100") as caught:
        contest(model(), text)
    assert str(caught.value).splitlines()[-1] == f"  {carets}"


@pytest.mark.parametrize(
    "rhs", [[1, 2, 3], np.nan, "x", None, [[1, 2]], "1", ["1", "2"], np.inf, 1e101, 1j, 10**400]
)
def test_bad_right_hand_sides(rhs: Any) -> None:
    """A right-hand side is one finite number, or one for each row."""
    with pytest.raises(OptionError, match="rhs must be a finite number, or one for each of the 2"):
        contest(model(), L, rhs)


def test_right_hand_sides_are_given_once() -> None:
    """An equation and rhs together are ambiguous; an expression and rhs are not."""
    with pytest.raises(OptionError, match="either in the text"):
        contest(model(), "A[T.2] = 1", rhs=2)
    expression = contest(model(), "A[T.2]", rhs=2)
    np.testing.assert_array_equal(expression.to_frame(), contest(model(), "A[T.2] = 2").to_frame())
    assert list(expression.index) == ["A[T.2] = 2"]


def test_bad_options() -> None:
    """level, joint and ddf are checked, and Kenward-Roger needs REML."""
    for options in ({"level": 95}, {"joint": "yes"}, {"ddf": "wald"}):
        with pytest.raises(OptionError, match=next(iter(options))):
            contest(model(), L, **options)
    sleep = ranef.datasets.load("sleepstudy")
    by_ml = ranef.fit("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    with pytest.raises(OptionError, match="REML"):
        contest(by_ml, "Days", ddf="kenward-roger")


# --- print ---------------------------------------------------------------------------------------

JOINT = """\
F test of linear functions with Satterthwaite's method

      Sum Sq Mean Sq NumDF  DenDF F value    Pr(>F)
joint 32.867  16.434     2 74.184  18.296 3.475e-07
Tested together: B[T.2] = B[T.3]; A[T.2] + A[T.2]:B[T.2]/2"""
SINGLE = """\
Tests of linear functions with Kenward-Roger's method

                      Estimate Std. Error      df t value   lower  upper Pr(>|t|)
B[T.2] - B[T.3] = 0.5   0.4166     0.3539 74.2354  -0.236 -0.2886 1.1217    0.814"""


def test_printed() -> None:
    """Tables have the formats of the analysis of variance and of the coefficients."""
    joint = contest(model(), ["B[T.2] = B[T.3]", "A[T.2] + A[T.2]:B[T.2]/2"])
    single = contest(model(), "B[T.2] - B[T.3] = 0.5", joint=False, ddf="kenward-roger")

    assert isinstance(joint, Contest)
    assert str(joint) == JOINT
    assert str(single) == SINGLE
    for table in (joint, single):
        assert "<table" in table.to_html() and "tabular" in table.to_latex()


def test_singular_fits_are_mentioned() -> None:
    """Where a variance is zero, the note says what that means for Satterthwaite's df."""
    fitted = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))

    assert "Singular fit" in str(contest(fitted, "Intercept = 5"))
    assert "Singular fit" not in str(contest(fitted, "Intercept = 5", ddf="kenward-roger"))
