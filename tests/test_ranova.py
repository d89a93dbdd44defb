"""Tests of random effects: lmerTest's ranova, which terms are reduced to what, and mixtures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

import bank
import models
import ranef
from ranef.errors import OptionError
from ranef.inference.compare import compare
from ranef.inference.nesting import embed_random
from ranef.inference.ranova import deletions, ranova
from ranef.typing import FloatArray

CASES = {case.id: case for case in bank.cases() if "ranova" in case.results}
# R writes the factor of the second term of a/b the other way round.
RENAMED = {
    "(1 | Machine:Worker)": "(1 | Worker:Machine)",
    "(1 | Variety:Block)": "(1 | Block:Variety)",
    "(1 | cask:batch)": "(1 | batch:cask)",
}


@cache
def fit(dataset: str, formula: str, **options: Any) -> ranef.LinearMixedModel:
    """Return a model of reference data."""
    return ranef.fit(formula, bank.load(dataset), **options)


def column(values: list[float | None]) -> FloatArray:
    """Return R's column, with NaN for NA."""
    return np.array([np.nan if value is None else value for value in values])


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_r(name: str) -> None:
    """Rows and numbers are those of lmerTest."""
    case = CASES[name]
    expected = case.results["ranova"]
    table = ranova(ranef.fit(case.formula, case.frame(), **case.options()))
    rows = [RENAMED.get(row, row) for row in expected["row"]]
    assert sorted(table.index) == sorted(rows)
    frame = table.to_frame().loc[rows]
    np.testing.assert_array_equal(frame["npar"], expected["npar"])
    np.testing.assert_array_equal(frame["df"], column(expected["Df"]))
    # ranova refits with lme4's default optimiser, which is good to 1e-5 here
    np.testing.assert_allclose(frame["loglik"], expected["logLik"], atol=1e-5)
    np.testing.assert_allclose(frame["aic"], expected["AIC"], atol=2e-5)
    np.testing.assert_allclose(frame["lrt"], column(expected["LRT"]), atol=2e-5)
    # a change of the statistic by 2e-5 changes a p-value by half of that, relative to it
    np.testing.assert_allclose(frame["p_value"], column(expected["Pr(>Chisq)"]), rtol=3e-5)


SLEEP = "Reaction ~ Days + (Days | Subject)"
# lmerTest 3.1-3: ranova(lmer(...)), optimised by BOBYQA to 1e-9: npar, logLik, LRT
MORE: list[tuple[str, str, bool, dict[str, tuple[int, float, float]]]] = [
    ("sleepstudy", SLEEP, False, {"(Days | Subject)": (3, -946.831831736, 150.035391514)}),
    (
        "Machines",
        "score ~ Machine + (Machine | Worker)",
        True,
        {"Machine in (Machine | Worker)": (5, -143.439100989, 78.5669836613)},
    ),
    (
        "Machines",
        "score ~ Machine + (Machine | Worker)",
        False,
        {"(Machine | Worker)": (4, -166.144311295, 123.977404274)},
    ),
    (
        "Machines",
        "score ~ Machine + (0 + Machine | Worker)",
        True,
        {"Machine in (0 + Machine | Worker)": (5, -143.439100989, 78.5669836613)},
    ),
    (
        "Exam",
        "normexam ~ standLRT + (standLRT + sex | school)",
        True,
        {
            "standLRT in (standLRT + sex | school)": (6, -4682.49440945, 42.0516086762),
            "sex in (standLRT + sex | school)": (6, -4663.80017256, 4.66313490794),
        },
    ),
    (
        "Exam",
        "normexam ~ standLRT + (standLRT || school)",
        True,
        {
            "(1 | school)": (4, -4850.3229958, 364.938362901),
            "standLRT in (0 + standLRT | school)": (4, -4684.38264366, 33.0576586379),
        },
    ),
    (
        "Exam",
        "normexam ~ standLRT + (standLRT || school)",
        False,
        {
            "(1 | school)": (4, -4850.3229958, 364.938362901),
            "(0 + standLRT | school)": (4, -4684.38264366, 33.0576586379),
        },
    ),
]


@pytest.mark.parametrize(("dataset", "formula", "reduce_terms", "expected"), MORE)
def test_more_terms_agree_with_r(
    dataset: str, formula: str, reduce_terms: bool, expected: dict[str, tuple[int, float, float]]
) -> None:
    """Factors, several slopes, || and whole terms, as lmerTest has them."""
    table = ranova(fit(dataset, formula), reduce_terms)
    assert list(table.index) == ["<none>", *expected]
    for row, (npar, loglik, lrt) in expected.items():
        assert table.loc[row, "npar"] == npar
        # R's optima are good to 1e-6, its default optimiser's to 1e-5
        assert table.loc[row, "loglik"] == pytest.approx(loglik, abs=1e-5)
        assert table.loc[row, "lrt"] == pytest.approx(lrt, abs=2e-5)


def test_unbalanced_machines() -> None:
    """Published numbers: Machines without eight rows, by REML."""
    gone = [row - 1 for row in (2, 3, 6, 20, 21, 22, 33, 47)]
    data = bank.load("Machines").drop(index=gone)
    table = ranova(ranef.fit("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data))
    # lmerTest: 5.48656797838 and 58.51936353815
    assert table.loc["(1 | Worker)", "lrt"] == pytest.approx(5.486568, abs=1e-5)
    assert table.loc["(1 | Worker:Machine)", "lrt"] == pytest.approx(58.519364, abs=1e-5)


def test_weights_and_offset() -> None:
    """Weights and the offset stay in the models without a term."""
    model = fit("simp_wtoff", "y ~ x + offset(off) + (x | g)", weights="w")
    row = ranova(model).loc["x in (x | g)"]
    # lmerTest: ranova(lmer(..., weights = w))
    assert row["loglik"] == pytest.approx(-335.123636686, abs=1e-5)
    assert row["lrt"] == pytest.approx(0.00755488490302, abs=1e-5)
    alone = fit("simp_wtoff", "y ~ x + offset(off) + (1 | g)", weights="w")
    data = bank.load("simp_wtoff")
    X = np.column_stack([np.ones(len(data)), data["x"]])
    W, y = data["w"].to_numpy(), (data["y"] - data["off"]).to_numpy()
    information = X.T @ (W[:, None] * X)
    residual = y - X @ np.linalg.solve(information, X.T @ (W * y))
    nu, rss = len(y) - 2, residual @ (W * residual)
    # the REML criterion of a weighted regression
    criterion = nu * (1 + np.log(2 * np.pi * rss / nu)) - np.log(W).sum()
    criterion += np.linalg.slogdet(information)[1]
    row = ranova(alone).loc["(1 | g)"]
    assert row["loglik"] == pytest.approx(-0.5 * criterion, abs=1e-8)
    assert (row["npar"], row["df"]) == (3, 1)


# random part; rows, and the random parts that are left, with reduce_terms=True
REDUCED = [
    ("(1 | a)", {"(1 | a)": ""}),
    ("(x | a)", {"x in (x | a)": "(1 | a)"}),
    ("(x + z | a)", {"x in (x + z | a)": "(z | a)", "z in (x + z | a)": "(x | a)"}),
    ("(x * z | a)", {"x:z in (x + z + x:z | a)": "(x + z | a)"}),
    ("(0 + x | a)", {"x in (0 + x | a)": ""}),
    ("(0 + x + z | a)", {"x in (0 + x + z | a)": "(0 + z | a)",
                         "z in (0 + x + z | a)": "(0 + x | a)"}),
    ("(f | a)", {"f in (f | a)": "(1 | a)"}),
    ("(0 + f | a)", {"f in (0 + f | a)": "(1 | a)"}),
    ("(0 + f + x | a)", {"f in (0 + f + x | a)": "(0 + x | a)",
                         "x in (0 + f + x | a)": "(0 + f | a)"}),
    ("(1 | a) + (0 + f | a)", {"(1 | a)": "(0 + f | a)", "f in (0 + f | a)": "(1 | a)"}),
    ("(x || a)", {"(1 | a)": "(0 + x | a)", "x in (0 + x | a)": "(1 | a)"}),
    ("(x + z || a)", {"(1 | a)": "(0 + x + z || a)", "x in (0 + x | a)": "(z || a)",
                      "z in (0 + z | a)": "(x || a)"}),
    ("(0 + x + z || a)", {"x in (0 + x | a)": "(0 + z | a)", "z in (0 + z | a)": "(0 + x | a)"}),
    ("(0 + x || a)", {"x in (0 + x | a)": ""}),
    ("(1 || a)", {"(1 | a)": ""}),
    ("(f || a)", {"f in (f || a)": "(1 | a)"}),
    ("(0 + f || a)", {"(0 + f || a)": ""}),
    ("(1 | top / low)", {"(1 | top)": "(1 | top:low)", "(1 | top:low)": "(1 | top)"}),
    ("(x | a) + (1 | b)", {"x in (x | a)": "(1 | a) + (1 | b)", "(1 | b)": "(x | a)"}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::ranef.errors.IdentifiabilityWarning")
@pytest.mark.parametrize(("random", "expected"), REDUCED)
def test_reductions(random: str, expected: dict[str, str]) -> None:
    """Every row leaves a model that is nested, and the same as the one written out."""
    data = models.frame(2, 400)
    model = ranef.fit(f"y ~ x * f + z + {random}", data)
    found = dict(deletions(model, True))
    assert list(found) == list(expected)
    table = ranova(model)
    for row, left in expected.items():
        if not left:
            assert found[row] == ()
            continue
        small = ranef.fit(f"y ~ x * f + z + {left}", data)
        assert isinstance(embed_random(small, model), tuple)
        # the REML criteria of two certified optima
        assert table.loc[row, "loglik"] == pytest.approx(small.loglik, abs=1e-6)
        assert table.loc[row, "npar"] == small.df


def test_whole_terms() -> None:
    """With reduce_terms=False every term goes as a whole; only || is taken apart."""
    data = models.frame(2, 400)
    model = ranef.fit("y ~ x + (x + z | a) + (x || b) + (0 + f || c)", data)
    rows = ["(x + z | a)", "(1 | b)", "(0 + x | b)", "(0 + f || c)"]
    assert [label for label, _ in deletions(model, False)] == rows


def test_maximum_likelihood_fits_stay() -> None:
    """A fit by maximum likelihood is tested by maximum likelihood."""
    table = ranova(fit("sleepstudy", SLEEP, reml=False))
    # R: anova(m0, m1) of ML fits gives 42.139298542028
    assert table.loc["Days in (Days | Subject)", "lrt"] == pytest.approx(42.1392985, abs=1e-5)
    assert "by maximum likelihood" in str(table)


def test_mixtures() -> None:
    """With mixture=True there are p-values for the boundary, beside R's."""
    table = ranova(fit("sleepstudy", SLEEP), mixture=True)
    row = table.loc["Days in (Days | Subject)"]
    assert row["distribution"] == "0.5 chi2(1) + 0.5 chi2(2)"
    expected = 0.5 * stats.chi2.sf(row["lrt"], 1) + 0.5 * stats.chi2.sf(row["lrt"], 2)
    assert row["p_mixture"] == pytest.approx(expected, rel=1e-9)
    assert row["p_value"] == pytest.approx(4.99004142696074e-10, rel=1e-5)
    single = ranova(fit("Dyestuff", "Yield ~ 1 + (1 | Batch)"), mixture=True).loc["(1 | Batch)"]
    assert single["p_mixture"] == pytest.approx(0.0116133944354536 / 2, rel=1e-5)
    whole = ranova(fit("sleepstudy", SLEEP), False, True).loc["(Days | Subject)"]
    assert str(whole["distribution"]).count("chi2") == 4
    assert whole["p_mixture"] < whole["p_value"]


def test_mixtures_agree_with_compare() -> None:
    """The mixture is the one that compare finds for the two models written out."""
    model = fit("Pixel", "pixel ~ day + I(day^2) + (day | Dog) + (1 | Dog:Side)")
    small = fit("Pixel", "pixel ~ day + I(day^2) + (1 | Dog) + (1 | Dog:Side)")
    row = ranova(model, mixture=True).loc["day in (day | Dog)"]
    other = compare(small, model, refit=False, method="mixture").loc["m2"]
    assert row["p_mixture"] == pytest.approx(other["p_value"], rel=1e-6)
    assert row["distribution"] == other["distribution"]


def test_unknown_mixtures_are_missing() -> None:
    """Where the weights are not known, or the null is singular, there is no p_mixture."""
    table = ranova(fit("Machines", "score ~ Machine + (Machine | Worker)"), False, True)
    assert np.isnan(table.loc["(Machine | Worker)", "p_mixture"])
    assert table.loc["(Machine | Worker)", "p_value"] < 1e-20


def test_prints_like_r() -> None:
    """The table has R's digits and rows."""
    assert str(ranova(fit("sleepstudy", SLEEP))).splitlines() == [
        "Tests of random effects by REML: single term deletions",
        "Model: Reaction ~ Days + (Days | Subject)",
        "",
        "                         npar  logLik    AIC    LRT Df Pr(>Chisq)",
        "<none>                      6 -871.81 1755.6",
        "Days in (Days | Subject)    4 -893.23 1794.5 42.837  2   4.99e-10",
    ]


@pytest.mark.parametrize("name", ["reduce_terms", "mixture"])
def test_refused(name: str) -> None:
    """Flags are True or False."""
    options: dict[str, Any] = {name: "yes"}
    with pytest.raises(OptionError, match=f"{name} must be True or False; got 'yes'"):
        ranova(fit("sleepstudy", SLEEP), **options)
