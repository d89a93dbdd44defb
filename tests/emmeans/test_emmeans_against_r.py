"""Means, contrasts and trends are those of R's emmeans, for every way of asking.

The numbers of R are in tests/data/emmeans.json.gz, and emmeans.R beside it shows how R was asked.
Every entry of `QUESTIONS` has the name of R's table and asks ranef the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emmeans.reference import NUMBERS, content, difference, fitted, table
from ranef.inference.emmeans import EffectSizes, Estimates, MarginalMeans, emmeans, emtrends
from ranef.inference.wald import t_quantile

# lme4's theta is good to eight digits or so, df have a few less; everything else follows from them.
TOLERANCE = 1e-6
# emmeans gives mvtnorm whole degrees of freedom and asks it for an error of 1e-3.
OF_MVTNORM = 2e-3
# emmeans' root for Dunnett's critical values has a tolerance of 5e-4, and stops better than that.
OF_DUNNETT = 1e-5
# R rounds df to whole numbers before Tukey's p-values where one of them is missing.
OF_ROUNDED_DF = 2e-5
# The two-point quotient of R has an error of about 1e-7 times the curvature.
TOLERANCES = {
    **{f"{kind}mvt": OF_MVTNORM for kind in ("adjust ", "adjust normal ", "test right ")},
    **dict.fromkeys(("consec", "mean_chg"), OF_MVTNORM),
    **dict.fromkeys(("trt.vs.ctrl", "trt.vs.ctrlk", "ref", "refs"), OF_DUNNETT),
    **{f"{kind}dunnettx": OF_DUNNETT for kind in ("adjust ", "adjust normal ")},
    "dunnett": OF_DUNNETT,
    "gap pairs by": OF_ROUNDED_DF,
}

MAIN = "y ~ a * b + c + x + z + (1 | g)"
COERCED = "y ~ factor(k) * b + flag + x + (1 | g)"
LINES = "y ~ a * x + b * x + z + (1 | g)"
LOGARITHM = "y ~ a * log(p) + (1 | g)"
GAP = "y ~ a * c + x + (1 | g)"
NESTED = "y ~ region / site + a + x + (1 | g)"
WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")
FAMILIES = (
    "pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "poly", "consec", "eff", "del.eff",
    "mean_chg",
)  # fmt: skip
ADJUSTMENTS = (
    "none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "scheffe", "dunnettx", "mvt",
)  # fmt: skip
TRANSFORMED = ("log(q)", "log2(q)", "log10(q)", "log1p(q)", "sqrt(q)", "log(q + 1)")


def means(specs: str, formula: str = MAIN, kind: str = "", **options: Any) -> Estimates:
    """Return marginal means of a model for the reference data."""
    return emmeans(fitted(formula, kind), specs, **options)


def compared(result: Estimates) -> Estimates:
    """Return the comparisons that came with means."""
    assert isinstance(result, MarginalMeans)
    assert result.comparisons is not None
    return result.comparisons


def of_response(response: str) -> str:
    """Return the formula of a model with this response."""
    return f"{response} ~ a * b + x + (1 | g)"


Question = Callable[[], Estimates]

MEANS: dict[str, Question] = {
    "a": lambda: means("a"),
    "a kr": lambda: means("a", ddf="kenward-roger"),
    "a normal": lambda: means("a", ddf="normal"),
    "b a": lambda: means("~ b * a"),
    "a by b": lambda: means("a | b"),
    "overall": lambda: means("~ 1"),
    "z": lambda: means("z"),
    "x z": lambda: means("x:z"),
    "weights own": lambda: means("a | b", weights=np.arange(1, 9)),
    "at": lambda: means("~ x * c | b", at={"x": [-1, 2.5], "c": ["top", "lo"], "z": 4}),
    "level": lambda: means("c", level=0.9),
    "sum": lambda: emmeans(
        fitted("y ~ a * b + x + (1 | g)", contrasts=(("a", "sum"), ("b", "sum"))), "b | a"
    ),
    "ordered": lambda: means("c", "y ~ a * c + (1 | g)", "ordered"),
    "no intercept": lambda: means("c", "y ~ 0 + c + x + (1 | g)"),
    "ml": lambda: emmeans(fitted(MAIN, reml=False), "a"),
    "slopes": lambda: means("a", "y ~ a * x + (x | g)", ddf="kenward-roger"),
    "coerced": lambda: means("k", COERCED),
    "coerced at": lambda: means("k | flag", COERCED, at={"k": [1, 5]}),
    "coerced pairs": lambda: means("k", COERCED).pairs(),
    "flag": lambda: means("flag", COERCED),
    "functions": lambda: means(
        "a | p", "y ~ a + log(p) + poly(x, 2) + I(z > 3) + (1 | g)", at={"p": [1, 4]}
    ),
    "offset": lambda: means("a", "y ~ a + x + offset(o) + (1 | g)"),
    "offset function": lambda: means("a", "y ~ a + x + offset(log(p)) + (1 | g)"),
    **{f"weights {w}": lambda w=w: means("a", weights=w) for w in WEIGHTS},
}
CONTRASTS: dict[str, Question] = {
    **{method: lambda method=method: means("c").contrasts(method) for method in FAMILIES},
    "ref": lambda: means("c").contrasts("trt.vs.ctrl", ref="mid"),
    "refs": lambda: means("c").contrasts("trt.vs.ctrl", ref=["lo", "hi"]),
    "own": lambda: means("c").contrasts({"ends": [-1, 0, 0, 1], "mean": [0.25] * 4}),
    **{f"adjust {how}": lambda how=how: means("c").pairs(adjust=how) for how in ADJUSTMENTS},
    **{
        f"adjust normal {how}": lambda how=how: means("c", ddf="normal").pairs(adjust=how)
        for how in ADJUSTMENTS
    },
    "tukey of others": lambda: means("c").contrasts("consec", adjust="tukey"),
    "pairs by": lambda: means("a | b").pairs(),
    "pairs other by": lambda: means("a | b").contrasts(by="a"),
    "pairs of all": lambda: means("a | b").contrasts(by=()),
    "interaction": lambda: means("a * b").contrasts(interaction="pairwise"),
    "interaction mixed": lambda: means("a * c | b").contrasts(interaction=["consec", "poly"]),
    "contrasts of contrasts": lambda: means("a | b").pairs().pairs(by="contrast"),
    "numbers": lambda: means("x", at={"x": [0, 1.5]}).pairs(),
    "combined names": lambda: means("z * b", at={"z": [0, 4]}).pairs(),
    "test": lambda: means("c").test(null=8),
    "test left": lambda: means("c").pairs(adjust="sidak").test(side="<"),
    "test right mvt": lambda: means("c").pairs(adjust="mvt").test(side=">"),
    "test left tukey": lambda: means("c").pairs().test(side="<"),
    "equivalence": lambda: means("c").pairs(adjust="none").test(delta=1),
    "noninferiority": lambda: means("c").pairs(adjust="none").test(delta=0.5, side=">"),
    "nonsuperiority": lambda: means("c").pairs(adjust="none").test(delta=0.5, side="<"),
}
INFERENCES: dict[str, Question] = {
    "comparisons bonferroni": lambda: compared(
        means("pairwise ~ c", adjust="bonferroni", infer=True)
    ),
    "means bonferroni": lambda: means("c", adjust="Bonferroni", infer=True),
    "infer means": lambda: means("c").summary(True, null=8, level=0.9),
    "infer left": lambda: means("c").pairs(adjust="holm").summary(infer=True, side="<"),
    "infer equivalence": lambda: means("c").pairs(adjust="bonf", infer=True).summary(delta=1),
    "infer trends": lambda: emtrends(fitted(LINES), "a", "x", infer=True),
    "log infer": lambda: means("a", of_response("log(q)"), type="response").pairs(infer=True),
    "tukey": lambda: means("c").contrast("tukey", infer=True),
    "dunnett": lambda: means("c").contrasts("Dunnett", infer=(True, True)),
    "simple a": lambda: means("a * b").pairs(simple="a", infer=True),
    "simple b": lambda: means("a | b").pairs(simple=["b"], infer=True),
    "named": lambda: means("a * b").contrasts(
        {
            "d": {("a1", "u"): -1, ("a3", "v"): 1},
            "e": {"a3 v": 0.5, "a3 u": 0.5, "a1 v": -1},
        },
        infer=True,
    ),
}
SIZES: dict[str, Callable[[], EffectSizes]] = {
    "sizes": lambda: means("c").eff_size(edf=30),
    "sizes two": lambda: means("c").eff_size(2, edf=np.inf),
    "sizes by": lambda: means("a | b").eff_size(edf=50, method="consec"),
}
TRENDS: dict[str, Question] = {
    "trend": lambda: emtrends(fitted(LINES), "a | b", "x"),
    "trend pairs": lambda: emtrends(fitted(LINES), "a", "x").pairs(),
    "trend poly": lambda: emtrends(
        fitted("y ~ a * poly(x, 2) + (1 | g)"), "a | x", "x", at={"x": [0, 2]}
    ),
    "trend log": lambda: emtrends(fitted(LOGARITHM), "a", "p"),
    "trend of log": lambda: emtrends(fitted(LOGARITHM), "a", "log(p)"),
    "trend cubic": lambda: emtrends(
        fitted("y ~ a + x + I(x^2) + I(x^3) + (1 | g)"), "x", "x", at={"x": [-1, 0, 2]}
    ),
}
RESPONSES: dict[str, Question] = {
    **{r: lambda r=r: means("a", of_response(r), type="response") for r in TRANSFORMED},
    **{f"{r} link": lambda r=r: means("a", of_response(r)) for r in TRANSFORMED},
    **{
        f"{r} pairs": lambda r=r: means("a", of_response(r)).contrasts(type="response")
        for r in TRANSFORMED
    },
    "log test": lambda: means("a", of_response("log(q)"), type="response").test(null=np.log(2)),
}
INCOMPLETE: dict[str, Question] = {
    "gap": lambda: means("a * c", GAP, "gap"),
    "gap c": lambda: means("c", GAP, "gap"),
    "gap a": lambda: means("a", GAP, "gap"),
    "gap cells": lambda: means("a", GAP, "gap", weights="cells"),
    "gap pairs": lambda: means("a", GAP, "gap").pairs(),
    "gap pairs holm": lambda: means("c | a", GAP, "gap").pairs(adjust="holm"),
    "gap pairs by": lambda: means("a | c", GAP, "gap").pairs(),
    "gap interaction": lambda: means("a * c", GAP, "gap").contrasts(interaction="consec"),
    **{f"nested region {w}": lambda w=w: means("region", NESTED, weights=w) for w in WEIGHTS},
    **{f"nested a {w}": lambda w=w: means("a", NESTED, weights=w) for w in WEIGHTS},
    "nested site": lambda: means("site", NESTED),
    "nested site by": lambda: means("site | region", NESTED),
    "nested site a": lambda: means("site * a", NESTED),
    "nested a by site": lambda: means("a | site", NESTED),
    "nested pairs": lambda: means("site", NESTED).pairs(),
    "nested pairs region": lambda: means("region", NESTED).pairs(),
    "nested revpairwise by": lambda: means("a | region", NESTED).contrasts("revpairwise"),
    "site alone": lambda: means("site", "y ~ site + a + (1 | g)"),
    "by term": lambda: means("a", "y ~ a + a:c + x + (1 | g)"),
    "by term c": lambda: means("c", "y ~ a + a:c + x + (1 | g)"),
    "nested crossed": lambda: means("a | region", "y ~ region * a + region:site + (1 | g)"),
}
QUESTIONS = MEANS | CONTRASTS | INFERENCES | TRENDS | RESPONSES | INCOMPLETE


@pytest.mark.parametrize("name", QUESTIONS)
def test_agrees_with_emmeans(name: str) -> None:
    """Labels and all numbers of a table are R's."""
    want, result = table(name), QUESTIONS[name]()
    got = result.to_frame()
    if "conf_low" in want and "conf_low" not in got:
        ends = result.confint(adjust=result.question.adjust, side=result.question.side)
        got = got.assign(conf_low=ends["conf_low"], conf_high=ends["conf_high"])
    got = got.rename(columns={result.name: "estimate"})
    labels = [column for column in want if column not in ("estimate", *NUMBERS.values())]
    assert set(labels) == set(got.columns[: len(labels)])
    if name == "nested a by site":  # the only one whose groups R has in another order
        want = want.sort_values(["site", "a"], kind="stable")
    for label in labels:
        assert as_text(want[label]) == as_text(got[label])
    found = {
        column: difference(want[column], got[column]) for column in want if column not in labels
    }
    tolerance = TOLERANCES.get(name, TOLERANCE)
    exact = {"estimate", "std_error", "df", "statistic"}
    limits = {column: TOLERANCE if column in exact else tolerance for column in found}
    assert {c: d for c, d in found.items() if d > limits[c]} == {}


@pytest.mark.parametrize("name", SIZES)
def test_effect_sizes_agree_with_emmeans(name: str) -> None:
    """Sizes and their errors are R's; the df of intervals are those of the same contrasts."""
    want, result = table(name), SIZES[name]()
    got = result.to_frame()
    assert as_text(want["contrast"]) == as_text(got["contrast"])
    assert difference(want["estimate"], got["effect_size"]) < TOLERANCE
    assert difference(want["std_error"], got["std_error"]) < TOLERANCE
    method, specs = ("consec", "a | b") if result.by else ("pairwise", "c")
    assert got["df"].tolist() == means(specs).contrasts(method)["df"].tolist()
    half = (got["conf_high"] - got["effect_size"]) / got["std_error"]
    assert half.to_numpy() == pytest.approx(t_quantile(got["df"].to_numpy(), 0.975))
    assert "Sigma used for effect sizes" in str(result)


def test_every_table_is_asked_for() -> None:
    """No table of R's is left out."""
    assert {*QUESTIONS, *SIZES} == set(content()["results"])


def as_text(labels: pd.Series) -> list[str]:
    """Return labels as comparable text; R writes TRUE, and means with other digits."""
    try:
        return [f"{float(label):.10g}" for label in labels]
    except ValueError:
        return [{"TRUE": "True", "FALSE": "False"}.get(str(label), str(label)) for label in labels]
