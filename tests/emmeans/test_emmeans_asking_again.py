"""What R's users type first: everything in one table, R's names, levels by name, notes on scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from emmeans.reference import fitted
from ranef.inference.emmeans import MarginalMeans, emmeans, emtrends

MAIN = "y ~ a * b + c + x + z + (1 | g)"
COLUMNS = ["std_error", "df", "conf_low", "conf_high", "statistic", "p_value"]


def same(one: Any, other: Any) -> None:
    """Check that two results are the same table, said in the same words."""
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    assert str(one) == str(other)


def test_intervals_and_tests_in_one_table() -> None:
    """They are those of confint() and test(), with the notes of both."""
    pairs = emmeans(fitted(MAIN), "c").pairs()
    both = pairs.summary(infer=True)
    assert list(both.columns) == ["contrast", "estimate", *COLUMNS]
    for part in (pairs.confint(), pairs.test()):
        frame = part.to_frame()
        pd.testing.assert_frame_equal(both.to_frame()[list(frame.columns)], frame)
        assert {*str(part).splitlines()[7:]} <= {*str(both).splitlines()}
    same(both, emmeans(fitted(MAIN), "c").pairs(infer=True))
    same(both.test(), pairs)
    same(both.summary(), both)
    same(both.summary(infer=(False, True)), pairs)
    assert list(both.summary(infer=False).columns) == ["contrast", "estimate", *COLUMNS[:2]]


def test_means_and_trends_in_one_table() -> None:
    """For them as well, from the start or later; comparisons are asked too."""
    for found in (
        emmeans(fitted(MAIN), "pairwise ~ a", infer=True),
        emtrends(fitted("y ~ a * x + (1 | g)"), "pairwise ~ a", "x", infer=True),
    ):
        assert list(found.columns) == ["a", found.name, *COLUMNS]
        assert found.comparisons is not None
        assert list(found.comparisons.columns) == ["contrast", "estimate", *COLUMNS]
    short = emmeans(fitted(MAIN), "pairwise ~ a")
    same(short.summary(infer=True), emmeans(fitted(MAIN), "pairwise ~ a", infer=True))
    assert short.comparisons is not None
    assert short.confint(0.9).comparisons is not None
    same(short.confint(0.9).comparisons, short.comparisons.confint(0.9))


def test_summary_keeps_what_is_not_given() -> None:
    """Level, adjustment, side, null and scale stay; each of them can be changed."""
    model = fitted("log(q) ~ a * b + x + (1 | g)")
    means = emmeans(model, "a", level=0.9)
    response = means.summary(type="response")
    same(response, emmeans(model, "a", level=0.9, type="response"))
    same(response.summary(level=0.8).summary(level=0.9), response)
    left = means.pairs().summary(side="<", adjust="Sidak", null=1.0)
    assert left.summary(infer=True)["conf_low"].tolist() == [-np.inf] * 3
    assert left.summary(infer=True)["null"].tolist() == [1.0] * 3
    assert left.summary(infer=True)["p_value"].tolist() == left["p_value"].tolist()


def test_adjustment_of_comparisons() -> None:
    """adjust= is for the comparisons; without any, for the means, which keep it."""
    model = fitted(MAIN)
    both = emmeans(model, "pairwise ~ c", adjust="bonferroni")
    assert both.comparisons is not None
    same(both.comparisons, emmeans(model, "c").pairs(adjust="bonferroni"))
    pd.testing.assert_frame_equal(both.to_frame(), emmeans(model, "c").to_frame())
    alone = emmeans(model, "c", adjust="bonferroni")
    same(alone, emmeans(model, "c").confint(adjust="bonferroni"))
    same(alone.confint(0.9), emmeans(model, "c").confint(0.9, adjust="bonferroni"))
    same(alone.pairs(), emmeans(model, "c").pairs())
    slopes = emtrends(model, "pairwise ~ a", "x", adjust="Holm")
    assert slopes.comparisons is not None
    assert "holm method for 3 tests" in str(slopes.comparisons)


@pytest.mark.parametrize(
    ("written", "name"),
    [("Tukey", "tukey"), ("HOLM", "holm"), ("BH", "fdr"), ("bonf", "bonferroni")],
)
def test_adjustments_in_any_case(written: Any, name: Any) -> None:
    """Everywhere where there is one."""
    means = emmeans(fitted(MAIN), "c")
    same(means.pairs(adjust=written), means.pairs(adjust=name))
    same(means.confint(adjust=written), means.confint(adjust=name))
    same(means.test(adjust=written), means.test(adjust=name))
    same(means.summary(adjust=written), means.summary(adjust=name))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("tukey", "pairwise"),
        ("Pairwise", "pairwise"),
        ("dunnett", "trt.vs.ctrl"),
        ("trt.vs.ctrl1", "trt.vs.ctrl"),
        ("Consec", "consec"),
    ],
)
def test_families_by_other_names(written: str, name: str) -> None:
    """In contrasts, in contrast, before the tilde and in interactions."""
    model = fitted(MAIN)
    means = emmeans(model, "c")
    same(means.contrasts(written), means.contrasts(name))
    same(means.contrast(written), means.contrasts(name))
    same(emmeans(model, f"{written} ~ c"), emmeans(model, f"{name} ~ c"))
    both = emmeans(model, "a * b")
    same(both.contrasts(interaction=written), both.contrasts(interaction=name))
    if name == "trt.vs.ctrl":
        same(means.contrasts(written, ref="hi"), means.contrasts(name, ref="hi"))


def test_simple_contrasts() -> None:
    """simple= are the variables that by= leaves out, whatever the groups were."""
    means = emmeans(fitted(MAIN), "a * b | z", at={"z": [0, 10]})
    same(means.pairs(simple="a"), means.pairs(by=["b", "z"]))
    same(means.pairs(simple=["a", "z"]), means.pairs(by="b"))
    same(means.contrasts("consec", simple="z"), means.contrasts("consec", by=["a", "b"]))


NAMED: list[tuple[str, dict[str, Any], Any, list[float]]] = [
    ("c", {}, {"lo": -1, "hi": 1}, [-1, 0, 1, 0]),
    ("c", {}, pd.Series({"top": 1.0, "lo": -1.0}), [-1, 0, 0, 1]),
    ("c", {}, {("mid",): 2}, [0, 2, 0, 0]),
    ("a * b", {}, {"a1 v": 1, ("a3", "u"): -1}, [0, 0, -1, 1, 0, 0]),
    ("z", {}, {0: -1, 10.0: 1}, [-1, 1]),
    ("z", {}, {"0": -1, "z10": 1}, [-1, 1]),
    ("z * b", {}, {"z10 u": 1, "0 v": -1, (0, "u"): 3}, [3, 1, -1, 0]),
    ("x", {"x": [0, 1 / 3]}, {1 / 3: 1, 0: -1}, [-1, 1]),
]


@pytest.mark.parametrize(("specs", "at", "named", "vector"), NAMED)
def test_contrasts_by_level(specs: str, at: dict[str, Any], named: Any, vector: Any) -> None:
    """Levels as they print, as values or as tuples; those that are not named have 0."""
    means = emmeans(fitted(MAIN), specs, at=at)
    same(means.contrasts({"d": named}), means.contrasts({"d": vector}))


def test_contrasts_by_level_in_groups_and_interactions() -> None:
    """Within groups, in interactions, beside vectors, and as the index of a data frame."""
    means = emmeans(fitted(MAIN), "a | b")
    by_name = {"d": {"a1": -1, "a3": 1}, "e": [0, 1, -1]}
    same(means.contrasts(by_name), means.contrasts({"d": [-1, 0, 1], "e": [0, 1, -1]}))
    frame = pd.DataFrame({"d": [1, -1]}, index=["a3", "a1"]).reindex(["a3", "a1"])
    same(means.contrasts(frame), means.contrasts({"d": [-1, 0, 1]}))
    both = emmeans(fitted(MAIN), "a * b")
    named = both.contrasts(interaction={"a": {"d": {"a1": -1, "a3": 1}}, "b": "pairwise"})
    vector = both.contrasts(interaction={"a": {"d": [-1, 0, 1]}, "b": "pairwise"})
    same(named, vector)


def test_level_in_another_case() -> None:
    """Levels are found as they are written, and suggested otherwise."""
    model = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
    means = emmeans(model, "Machine")
    with pytest.raises(ValueError, match="Did you mean 'B'"):
        means.contrasts({"d": {"b": 1}})


def test_one_level_named_twice() -> None:
    """Two names of one level do not add up silently."""
    means = emmeans(fitted(MAIN), "z")
    with pytest.raises(ValueError, match="names one level twice: 0 and 'z0'"):
        means.contrasts({"d": {0: 1, "z0": 2}})


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        ("scale(q)", "scale(q)"),
        ("2 * sqrt(q)", "2 * sqrt(q)"),
        ("I(q / 10)", "q/10"),
        ("sin(q)", "sin(q)"),
        ("sqrt(q)", "sqrt"),
    ],
)
def test_scale_is_said(response: str, shown: str) -> None:
    """A transformed response is named under means, contrasts and trends."""
    model = fitted(f"{response} ~ a * x + (1 | g)")
    means = emmeans(model, "pairwise ~ a")
    words = f"Results are given on the {shown} (not the response) scale.".replace(" ", "")
    assert words in str(means).replace(" ", "")
    if shown != "sqrt":
        assert words in str(means.comparisons).replace(" ", "")
    assert "slopes of " in str(emtrends(model, "a", "x"))
    assert "not the response" not in str(emmeans(fitted(MAIN), "a"))


def test_identity_is_no_transformation() -> None:
    """I(log(q)) is log(q), and I(q) is q."""
    for inner in ("log(q)", "q"):
        wrapped, plain = (fitted(f"{r} ~ a + (1 | g)") for r in (f"I({inner})", inner))
        for scale in ("link", "response"):
            same(emmeans(wrapped, "a", type=scale), emmeans(plain, "a", type=scale))


def test_means_and_comparisons_are_two_frames() -> None:
    """to_frame() has the means; the print says where the others are."""
    both = emmeans(fitted(MAIN), "pairwise ~ a")
    assert isinstance(both, MarginalMeans)
    assert both.comparisons is not None
    assert both.to_frame()["a"].tolist() == ["a1", "a2", "a3"]
    assert both.comparisons.to_frame()["contrast"].tolist() == ["a1 - a2", "a1 - a3", "a2 - a3"]
    assert "\nComparisons:\n" in str(both)
