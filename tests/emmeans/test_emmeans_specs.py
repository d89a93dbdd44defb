"""How means may be asked for, and what is said to those who ask wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from emmeans.reference import fitted, frame
from ranef.errors import FormulaError, OptionError, UnknownVariableError
from ranef.inference.emmeans import MarginalMeans, emmeans, emtrends, joint_tests
from ranef.inference.emmeans.specs import Specs, parse_specs

MAIN = "y ~ a * b + c + x + z + (1 | g)"
GAP = "y ~ a * c + x + (1 | g)"

READ = [
    ("A", None, Specs(("A",), ())),
    (["A", "B"], None, Specs(("A", "B"), ())),
    (("A",), "B", Specs(("A",), ("B",))),
    ("A * B", None, Specs(("A", "B"), ())),
    ("A + B", None, Specs(("A", "B"), ())),
    ("A:B", None, Specs(("A", "B"), ())),
    ("A | B", None, Specs(("A",), ("B",))),
    ("~ A | B*C", None, Specs(("A",), ("B", "C"))),
    ("~ A | B", ["C", "B"], Specs(("A",), ("B", "C"))),
    ("pairwise ~ A | B", None, Specs(("A",), ("B",), "pairwise")),
    ("trt.vs.ctrl ~ A", None, Specs(("A",), (), "trt.vs.ctrl")),
    ("~ `my var`", None, Specs(("my var",), ())),
    ("my var", None, Specs(("my var",), ())),
    ("total.fruits*class", None, Specs(("total.fruits", "class"), ())),
    ("1", None, Specs(("1",), ())),
    ("~ 1", None, Specs(("1",), ())),
    ([], None, Specs(("1",), ())),
    ("1 | A", None, Specs(("1",), ("A",))),
    (["A", "B"], "B", Specs(("A",), ("B",))),
    (["A", "A"], None, Specs(("A",), ())),
]


@pytest.mark.parametrize(("specs", "by", "expected"), READ)
def test_reading(specs: Any, by: Any, expected: Specs) -> None:
    """Names and R's formulas say the same; a name that exists is a name."""
    assert parse_specs(specs, by, {"my var"}) == expected


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ("A ~ B ~ C", "one '~' at most"),
        ("A | B | C", "one '|' at most"),
        ("A B", "put '*' between"),
        ("A *", "missing after this"),
        ("~", "need the names"),
        ("A |", "need the names"),
        ("log(A)", "not of functions of them: write A"),
        ("pairwise ~ factor(`my item`) | B", "write my item"),
        ("A | poly(B, 2) * C", "write B"),
        ("A * f(B, C)", "write the variable alone"),
        ("factor(A", "write A"),
        ("* A", "name of a variable stands here"),
        ("pairwise revpairwise ~ A", "one family of contrasts"),
        ("A - B", "put '*' between"),
    ],
)
def test_formulas_that_cannot_be_read(specs: str, words: str) -> None:
    """The message says what is wrong, with the place where there is one."""
    with pytest.raises(FormulaError) as error:
        parse_specs(specs, None, ())
    assert words in str(error.value)


Ask = Callable[[ranef.LinearMixedModel], Any]

REFUSED: list[tuple[Ask, type[Exception], str]] = [
    (lambda m: emmeans(m, "aa"), UnknownVariableError, "'aa' is not a variable"),
    (lambda m: emmeans(m, "C"), UnknownVariableError, "Did you mean 'c'"),
    (lambda m: emmeans(m, "a", by="d"), UnknownVariableError, "a, b, c, x, z"),
    (lambda m: emmeans(m, "g"), UnknownVariableError, "'g' is not a variable of the fixed"),
    (lambda m: emmeans(m, 3), OptionError, "specs must be a name"),
    (lambda m: emmeans(m, ["a", 3]), OptionError, "specs must be a name"),
    (lambda m: emmeans(m, "a", by="a"), OptionError, "name the same variables"),
    (lambda m: emmeans(m, "a", at={"q": 1}), UnknownVariableError, "'q' is not a variable"),
    (lambda m: emmeans(m, "a", at={"c": "low"}), OptionError, "Did you mean 'lo'"),
    (lambda m: emmeans(m, "a", at={"c": []}), OptionError, "holds no value"),
    (lambda m: emmeans(m, "a", at={"c": ["lo", "lo"]}), OptionError, "repeats a value"),
    (lambda m: emmeans(m, "a", at={"x": "one"}), OptionError, "must be finite numbers"),
    (lambda m: emmeans(m, "a", at={"x": [1, np.nan]}), OptionError, "must be finite numbers"),
    (lambda m: emmeans(m, "a", weights="cell"), OptionError, "Did you mean 'cells'"),
    (lambda m: emmeans(m, "a", weights=[1, 2]), OptionError, "weights must be 16 non-neg"),
    (lambda m: emmeans(m, "a", weights=[-1.0] * 16), OptionError, r"c \(lo, mid, hi, top\)"),
    (lambda m: emmeans(m, "a", ddf="KR"), OptionError, "ddf must be one of"),
    (lambda m: emmeans(m, "a", level=95), OptionError, "level must be a number between"),
    (lambda m: emmeans(m, "a", type="resp"), OptionError, "Did you mean 'response'"),
    (lambda m: emmeans(m, "pair ~ a"), OptionError, "method must be one of"),
    (lambda m: emmeans(m, "a").contrasts("tuckey"), OptionError, "method must be .*got 'tuckey'"),
    (lambda m: emmeans(m, ["factor(a)"]), UnknownVariableError, "Did you mean 'a'"),
    (lambda m: emmeans(m, "a", by="factor(b)"), UnknownVariableError, "Did you mean 'b'"),
    (lambda m: emmeans(m, "a", adjust="tuckey"), OptionError, "Did you mean 'tukey'"),
    (lambda m: emmeans(m, "a", adjust=3), OptionError, "adjust must be one of"),
    (lambda m: emmeans(m, "a", infer="yes"), OptionError, "infer must be True"),
    (lambda m: emmeans(m, "a").summary((True,)), OptionError, "infer must be True"),
    (lambda m: emmeans(m, "a").summary(adjust="tuckey"), OptionError, "Did you mean 'tukey'"),
    (lambda m: emmeans(m, "a").pairs(simple="b"), OptionError, "simple must be one of 'a'"),
    (lambda m: emmeans(m, "a|b").pairs(simple="a", by="b"), OptionError, "give simple or by"),
    (lambda m: emmeans(m, "a|b").pairs(simple=[]), OptionError, "leaves no variable"),
    (lambda m: emmeans(m, "c").contrasts({"d": {"low": 1}}), OptionError, "mean 'lo'"),
    (lambda m: emmeans(m, "c").contrasts({"d": {"lo": "1x"}}), OptionError, "needs a number"),
    (lambda m: emmeans(m, "c").contrasts({"d": {"lo": np.nan}}), OptionError, "4 numbers each"),
    (lambda m: emmeans(m, "a*b").contrasts({"d": {("a1", "w"): 1}}), OptionError, "'a1 u'"),
    (lambda m: emmeans(m, "c").contrasts({"lo": -1, "hi": 1}), OptionError, "by level"),
    (lambda m: emmeans(m, "a").eff_size(edf=0), OptionError, "edf must be a positive number"),
    (lambda m: emmeans(m, "a").eff_size(-1, edf=9), OptionError, "sigma must be a positive"),
    (lambda m: emmeans(m, "a").eff_size(np.inf, edf=9), OptionError, "sigma must be finite"),
    (lambda m: emmeans(m, "a").contrasts(adjust="holms"), OptionError, "Did you mean 'holm'"),
    (lambda m: emmeans(m, "a").contrasts(by="b"), OptionError, "by must be one of 'a'"),
    (lambda m: emmeans(m, "a").contrasts(by="a"), OptionError, "by leaves no variable"),
    (lambda m: emmeans(m, "1").contrasts(), OptionError, "nothing can be compared"),
    (lambda m: emmeans(m, "a").contrasts(ref="a1"), OptionError, "ref belongs to"),
    (
        lambda m: emmeans(m, "a").contrasts("trt.vs.ctrl", ref="a9"),
        OptionError,
        "ref must be one of",
    ),
    (lambda m: emmeans(m, "a").contrasts({"d": [1, -1]}), OptionError, "need 3 numbers each"),
    (lambda m: emmeans(m, "a").contrasts([[1, "x", 0]]), OptionError, "need 3 numbers each"),
    (lambda m: emmeans(m, "a").contrasts({}), OptionError, "need 3 numbers each"),
    (lambda m: emmeans(m, "a").test(side="left"), OptionError, "side must be one of"),
    (lambda m: emmeans(m, "a").test(delta=-1), OptionError, "not negative"),
    (lambda m: emmeans(m, "a").test(null="1"), OptionError, "null must be a number"),
    (lambda m: emmeans(m, "a").test(joint=True, side="<"), OptionError, "one F test"),
    (lambda m: emmeans(m, "a").confint(1.5), OptionError, "level must be"),
    (lambda m: emtrends(m, "a", "b"), OptionError, "'b' is a factor"),
    (lambda m: emtrends(m, "a", "xx"), UnknownVariableError, "Did you mean 'x'"),
    (lambda m: emtrends(m, "a", "x * z"), OptionError, "function of one variable"),
    (lambda m: emtrends(m, "a", 3), OptionError, "var must be the name"),
    (lambda m: joint_tests(m, by="g"), UnknownVariableError, "'g' is not a variable"),
    (lambda m: joint_tests(m, ddf="z"), OptionError, "ddf must be one of"),
]


@pytest.mark.parametrize(("ask", "error", "words"), REFUSED)
def test_refusals(ask: Ask, error: type[Exception], words: str) -> None:
    """What is asked wrongly is refused with the right kind of error and what to do."""
    with pytest.raises(error, match=words):
        ask(fitted(MAIN))


def test_kenward_roger_needs_reml() -> None:
    """As everywhere else."""
    with pytest.raises(OptionError, match="reml=True"):
        emmeans(fitted(MAIN, reml=False), "a", ddf="kenward-roger")


def test_nothing_estimable() -> None:
    """If no mean has a value there is an error that says what to do; otherwise NaN."""
    model = fitted(GAP, "gap")
    with pytest.raises(OptionError, match="weights='cells'"):
        emmeans(model, "a | c", at={"a": "a1", "c": "hi"})
    assert np.isnan(emmeans(model, "a")["emmean"].to_numpy()).tolist() == [True, False, False]
    assert "nonEst" in str(emmeans(model, "a"))


def test_function_without_a_value() -> None:
    """log(p) at 0 is refused, with the place."""
    with pytest.raises(ranef.errors.DataError, match=r"no finite value at .*p = 0"):
        emmeans(fitted("y ~ a + log(p) + (1 | g)"), "a", at={"p": 0})


def test_transformations_without_a_way_back() -> None:
    """type='response' is refused for what cannot be undone, and does nothing without one."""
    with pytest.raises(OptionError, match="type='response' is known for log"):
        emmeans(fitted("sin(q) ~ a + (1 | g)"), "a", type="response")
    for response in ("scale(q)", "2 * sqrt(q)", "q / 10"):
        means = emmeans(fitted(f"{response} ~ a + (1 | g)"), "a")
        for again in (means.summary, means.contrasts):
            with pytest.raises(OptionError, match="Use type='link'"):
                again(type="response")
    plain = emmeans(fitted(MAIN), "a", type="response")
    pd.testing.assert_frame_equal(plain.to_frame(), emmeans(fitted(MAIN), "a").to_frame())


def test_variables_named_like_results() -> None:
    """A factor called df would be overwritten by the degrees of freedom: refused."""
    data = frame().rename(columns={"a": "df"})
    with pytest.raises(OptionError, match="rename the variable"):
        emmeans(ranef.fit("y ~ df + (1 | g)", data), "df")


def test_unusual_names() -> None:
    """Names with blanks and dots, names of functions, and keywords."""
    data = frame().rename(columns={"a": "my var", "b": "total.x", "c": "log"})
    model = ranef.fit("y ~ `my var` * total.x + log + (1 | g)", data)
    for specs in ("my var", ["my var", "total.x"], "~ `my var` | total.x * log"):
        assert isinstance(emmeans(model, specs), MarginalMeans)


def test_levels_by_value_or_text() -> None:
    """Numbers that are levels, booleans and strings are all found by what they are or print."""
    model = fitted("y ~ factor(k) * b + flag + x + (1 | g)")
    for k, flag in ((5, True), ("5", "True"), (5.0, np.True_)):
        means = emmeans(model, "k | flag", at={"k": k, "flag": flag})
        assert means["k"].tolist() == [5]
        assert means["flag"].tolist() == [True]
    with pytest.raises(OptionError, match="a level of 'k' must be one of '1', '2', '5'"):
        emmeans(model, "k", at={"k": 3})
