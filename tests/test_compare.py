"""Comparison of models: R's likelihood-ratio tests, what is nested, and what is refused."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bank
import models
import ranef
from ranef.errors import DataError, FitError, MissingDependencyError, OptionError
from ranef.inference import parametric_lrt
from ranef.inference.compare import Comparison, compare
from ranef.inference.parametric_lrt import reference_distribution
from ranef.simulation import draw_responses, refitted

PAIRS = {pair.id: pair for pair in bank.pairs()}
SLEEP = "Reaction ~ Days + (Days | Subject)"


@cache
def sleep(formula: str = SLEEP, reml: bool = True) -> ranef.LinearMixedModel:
    """Return a model of the sleep study."""
    return ranef.fit(formula, bank.load("sleepstudy"), reml=reml)


@cache
def random_model(formula: str) -> ranef.LinearMixedModel:
    """Return a model of random data, by maximum likelihood."""
    return ranef.fit(formula, models.frame(3, 400), reml=False)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("fitted_by_reml", [True, False])
def test_agrees_with_r(name: str, fitted_by_reml: bool) -> None:
    """Criteria and tests are those of R's anova, whether the fits were REML or not."""
    pair, expected = PAIRS[name], PAIRS[name].results
    if pair.reml and not fitted_by_reml:
        pytest.skip("R compared REML fits")
    data = bank.load(pair.dataset)
    fits = [ranef.fit(f, data, reml=fitted_by_reml) for f in (pair.formula, pair.formula_null)]
    table = compare(*fits, refit=not pair.reml, names=["large", "small"])
    assert list(table.index) == ["small", "large"]
    assert table["npar"].tolist() == expected["npar"]
    # R's optima are good to 1e-6 or better in the criterion
    for column, r_name in (("aic", "AIC"), ("bic", "BIC"), ("loglik", "logLik")):
        np.testing.assert_allclose(table[column], expected[r_name], atol=1e-5)
    np.testing.assert_allclose(table["deviance"], expected["deviance"], atol=1e-5)
    row = table.loc["large"]
    assert row["chisq"] == pytest.approx(expected["chisq"], abs=1e-5)
    assert row["df"] == expected["df"]
    # a change of the statistic by 1e-5 changes a p-value by half of that, relative to it
    assert row["p_value"] == pytest.approx(expected["p"], rel=1e-5)
    assert np.isnan(table.loc["small", ["chisq", "df", "p_value"]].to_numpy(dtype=float)).all()
    assert table.reml == pair.reml
    assert table.refitted == (("large", "small") if fitted_by_reml and not pair.reml else ())


def test_prints_like_r() -> None:
    """The table has R's digits; a note says what was fitted again."""
    shown = str(compare(sleep(), sleep("Reaction ~ 1 + (Days | Subject)", False)))
    assert shown.splitlines() == [
        "Likelihood ratios of models fit by maximum likelihood",
        "m2: Reaction ~ 1 + (Days | Subject)",
        "m1: Reaction ~ Days + (Days | Subject)",
        "",
        "   npar    AIC    BIC  logLik -2*log(L)  Chisq Df Pr(>Chisq)",
        "m2    5 1785.5 1801.4 -887.74    1775.5",
        "m1    6 1763.9 1783.1 -875.97    1751.9 23.537  1  1.226e-06",
        "Fitted again by maximum likelihood instead of REML: m1.",
    ]


def test_result_is_a_frozen_table() -> None:
    """The result reads like a data frame; copies do not change it, and it renders everywhere."""
    table = compare(sleep(), sleep("Reaction ~ Days + (1 | Subject)"))
    assert isinstance(table, Comparison)
    frame = table.to_frame()
    frame.loc["m1", "chisq"] = 0.0
    assert table.loc["m1", "chisq"] == pytest.approx(42.1393, abs=1e-4)
    assert table.to_html() and table.to_markdown() and table.to_latex()
    assert table.formulas == ("Reaction ~ Days + (1 | Subject)", SLEEP)


def test_several_models() -> None:
    """Every model is tested against the one before it, fewest parameters first."""
    formulas = [
        SLEEP,
        "Reaction ~ 1 + (1 | Subject)",
        "Reaction ~ Days + (1 | Subject)",
        "Reaction ~ Days + (Days || Subject)",
    ]
    table = compare(*map(sleep, formulas))
    assert table["npar"].tolist() == [3, 4, 5, 6]
    assert table.formulas == tuple(formulas[i] for i in (1, 2, 3, 0))
    two = [compare(sleep(a), sleep(b)) for a, b in itertools.pairwise(table.formulas)]
    np.testing.assert_array_equal(table["chisq"][1:], [t["chisq"].iloc[1] for t in two])


def test_reml_fits_as_they_are() -> None:
    """With the same fixed effects REML likelihoods are compared, and the fits stay REML fits."""
    table = compare(sleep(), sleep("Reaction ~ Days + (1 | Subject)"), refit=False)
    # lmerTest: ranova(lmer(Reaction ~ Days + (Days | Subject), sleepstudy))
    assert table.loc["m1", "chisq"] == pytest.approx(42.83681, abs=1e-5)
    assert table.loc["m1", "p_value"] == pytest.approx(4.99004e-10, rel=1e-5)
    assert table.reml and not table.refitted
    assert "fit by REML" in str(table)


def test_the_same_model_twice() -> None:
    """Without a difference in parameters there is nothing to test."""
    table = compare(sleep(), sleep())
    assert table["chisq"].iloc[1] == table["df"].iloc[1] == 0.0
    assert np.isnan(table["p_value"].iloc[1])


@pytest.mark.parametrize("method", ["chisq", "mixture"])
def test_units_and_origin_do_not_matter(method: Any) -> None:
    """With a full (x | g) an affine change of x and of y leaves the tests as they are."""
    data = models.frame(5, 300)
    pair = ("y ~ x + (x | a)", "y ~ x + (1 | b) + (x | a)")
    plain = compare(*(ranef.fit(f, data) for f in pair), method=method)
    changed = data.assign(x=1e3 * data["x"] - 400.0, y=2.0 - 50.0 * data["y"])
    other = compare(*(ranef.fit(f, changed) for f in pair), method=method)
    # both optima are certified to about 1e-8
    np.testing.assert_allclose(other["chisq"], plain["chisq"], atol=1e-6)
    np.testing.assert_allclose(other["p_value"], plain["p_value"], rtol=1e-5)


INTERCEPTS = "Reaction ~ Days + (1 | Subject)"
NO_SLOPE = "Reaction ~ 1 + (Days | Subject)"
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (compare, OptionError, "at least two models; got 0"),
    (lambda: compare(sleep()), OptionError, "at least two models; got 1"),
    (lambda: compare(sleep(), "m2"), OptionError, "models fitted by ranef.fit; got str"),
    (lambda: compare([sleep(), sleep()]), OptionError, "one by one"),
    (lambda: compare(sleep(), sleep(), method="F"), OptionError, "method must be one of"),
    (lambda: compare(sleep(), sleep(), refit=None), OptionError, "refit must be True or False"),
    (lambda: compare(sleep(), sleep(), nested=1), OptionError, "nested must be True or False"),
    (lambda: compare(sleep(), sleep(), names=["one"]), OptionError, "2 different names"),
    (lambda: compare(sleep(), sleep(), names=["a", "a"]), OptionError, "2 different names"),
    (lambda: compare(sleep(), sleep(), names="ab"), OptionError, "2 different names"),
    (lambda: compare(sleep(), sleep(), n=0), OptionError, "n must be a positive whole number"),
    (lambda: compare(sleep(), sleep(), n=True), OptionError, "n must be a positive whole"),
    (lambda: compare(sleep(), sleep(), seed=-1), OptionError, "seed must be"),
    (lambda: compare(sleep(), sleep(), seed="x"), OptionError, "seed must be"),
    (lambda: compare(sleep(), sleep(), n_jobs=0), OptionError, "n_jobs must be"),
    (lambda: compare(sleep(), sleep(), n_jobs=1.5), OptionError, "n_jobs must be"),
    (
        lambda: compare(sleep(), sleep("log(Reaction) ~ Days + (1 | Subject)")),
        DataError,
        r"the response of m1 is Reaction and that of m2 is log\(Reaction\)",
    ),
    (
        lambda: compare(sleep(), ranef.fit(SLEEP, bank.load("sleepstudy").iloc[1:])),
        DataError,
        "m1 was fitted to 180 rows and m2 to 179",
    ),
    (
        lambda: compare(sleep(), ranef.fit(SLEEP, bank.load("sleepstudy")[::-1])),
        DataError,
        "in another order",
    ),
    (
        lambda: compare(sleep(), ranef.fit(SLEEP, bank.load("sleepstudy"), weights="Reaction")),
        DataError,
        "different prior weights",
    ),
    (
        lambda: compare(sleep(), sleep("Reaction ~ Days + offset(Days) + (1 | Subject)")),
        DataError,
        "different offsets",
    ),
    (
        lambda: compare(sleep(), sleep(NO_SLOPE), refit=False),
        OptionError,
        r"fixed effects of m1 and m2 differ.*refit=True",
    ),
    (
        lambda: compare(sleep(), sleep(reml=False), refit=False),
        OptionError,
        r"REML \(m1\) and some by maximum likelihood \(m2\)",
    ),
    (
        lambda: compare(sleep(NO_SLOPE), sleep(INTERCEPTS)),
        OptionError,
        "m2 is not nested in m1: Days cannot be written",
    ),
    (
        lambda: compare(sleep("Reaction ~ Days + (0 + Days | Subject)"), sleep(INTERCEPTS)),
        OptionError,
        r"m1 is not nested in m2: the random effects of m2 do not include \(0 \+ Days \| Subject\)",
    ),
    (
        lambda: compare(sleep(), sleep(INTERCEPTS), method="exact"),
        OptionError,
        "tests one variance that is not correlated",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number: int) -> None:
    """What cannot be compared is refused, with the reason and what to do."""
    call, error, message = REFUSED[number]
    with pytest.raises(error, match=message):
        call()


def test_missing_rows_are_named() -> None:
    """Where rows are missing in one model, the message says which variables are to blame."""
    data = bank.load("sleepstudy").assign(extra=np.r_[np.nan, np.arange(179.0)])
    with pytest.raises(DataError, match=r"180 rows and m2 to 179 \(missing values in extra\)"):
        compare(sleep(), ranef.fit("Reaction ~ Days + extra + (Days | Subject)", data))


def test_neutral_weights_and_offsets_are_none() -> None:
    """Weights of one and offsets of zero are the same as none."""
    data = bank.load("sleepstudy")
    neutral = ranef.fit(
        "Reaction ~ Days + (1 | Subject)", data, weights=np.ones(180), offset=np.zeros(180)
    )
    assert compare(sleep(), neutral).loc["m1", "df"] == 2


def test_criteria_of_models_that_are_not_nested() -> None:
    """With nested=False there are criteria and no tests."""
    table = compare(
        sleep("Reaction ~ Days + (0 + Days | Subject)"),
        sleep("Reaction ~ Days + (1 | Subject)"),
        nested=False,
    )
    assert table[["chisq", "df", "p_value"]].isna().all(axis=None)
    # the models have as many parameters, so the difference of AIC is that of the deviance
    assert np.diff(table["aic"]) == pytest.approx(np.diff(table["deviance"]), abs=1e-9)
    assert "Not tested" in str(table)


def test_coding_does_not_matter_for_maximum_likelihood() -> None:
    """Models with other contrasts are the same model; their REML fits cannot be compared."""
    data = bank.load("Machines")
    treatment = ranef.fit("score ~ Machine + (1 | Worker)", data)
    sums = ranef.fit("score ~ Machine + (Machine | Worker)", data, contrasts={"Machine": "sum"})
    same = ranef.fit("score ~ Machine + (Machine | Worker)", data)
    np.testing.assert_allclose(
        compare(treatment, sums)["chisq"], compare(treatment, same)["chisq"], atol=1e-6
    )
    with pytest.raises(OptionError, match="fixed effects of m1 and m2 differ"):
        compare(treatment, sums, refit=False)


def test_bootstrap_is_what_refits_give() -> None:
    """The reference distribution is that of responses drawn one by one and fitted one by one."""
    small, large = random_model("y ~ x + (1 | a)"), random_model("y ~ x + z + (x | a)")
    found = reference_distribution(small, large, 12, np.random.default_rng(5), 1)
    stream = int(np.random.default_rng(5).integers(2**63))
    draws = draw_responses(small, np.random.default_rng(stream))
    values = []
    for _ in range(12):
        y = next(draws)
        values.append(refitted(small, y).objective - refitted(large, y).objective)
    # both are certified minima
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    assert found.failed == 0 and found.values.min() >= 0.0


def test_bootstrap_of_weighted_models() -> None:
    """With weights and an offset, too, replicates follow the smaller model."""
    data = models.frame(8, 200)
    small, large = (
        ranef.fit(f"y ~ {f} + (1 | a)", data, weights="w", offset="o", reml=False)
        for f in ("x", "x + z")
    )
    found = reference_distribution(small, large, 2000, np.random.default_rng(1), 1)
    # 12 groups and 200 rows: chi-squared but for little; 2000 draws leave 0.05 +- 0.005 (1 s.e.)
    assert (found.values > stats.chi2.isf(0.05, 1)).mean() == pytest.approx(0.05, abs=0.02)


def test_bootstrap_p_value() -> None:
    """P-values count replicates at least as large; with a statistic of zero all are."""
    found = parametric_lrt.ReferenceDistribution(np.array([0.0, 0.0, 1.0, 3.0]), failed=2)
    assert found.p_value(2.0) == 2 / 5
    assert found.p_value(3.0) == 2 / 5
    assert found.p_value(0.0) == found.p_value(1e-9) == 1.0


def test_bootstrap_table() -> None:
    """The p-value is near that of the mixture, and the same for the same seed."""
    pair = (random_model("y ~ x + (1 | a)"), random_model("y ~ x + (x | a)"))
    tables = [compare(*pair, method="bootstrap", n=300, seed=3) for _ in range(2)]
    pd.testing.assert_frame_equal(tables[0].to_frame(), tables[1].to_frame())
    p, mixture = (t.loc["m2", "p_value"] for t in (tables[0], compare(*pair, method="mixture")))
    # twelve groups are few for the mixture, 300 draws leave 0.03
    assert p == pytest.approx(mixture, abs=0.1)
    assert "300 responses drawn" in str(tables[0])


class PicklingJoblib:
    """Does what joblib does with its jobs: they are pickled, and done in any order."""

    @staticmethod
    def delayed(function: Any) -> Any:
        """Return a function that keeps its arguments for later."""
        return lambda *arguments: pickle.dumps((function, arguments))

    class parallel:  # noqa: N801 - a module of joblib
        """Knows the backend, which gives one result after the other."""

        @staticmethod
        def get_active_backend() -> tuple[Any, int]:
            """Return a backend and its number of workers."""
            return SimpleNamespace(supports_return_generator=True), 1

    class Parallel:
        """Does jobs, last first."""

        def __init__(self, n_jobs: int, return_as: str) -> None:
            assert n_jobs == 3
            assert return_as == "generator"

        def __call__(self, jobs: Iterable[bytes]) -> list[Any]:
            """Return the results in the order of the jobs."""
            done = [
                function(*arguments) for function, arguments in map(pickle.loads, [*jobs][::-1])
            ]
            return done[::-1]


def test_bootstrap_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of processes does not change the result: models travel, and chunks are seeded."""
    monkeypatch.setattr(parametric_lrt, "MOST_AT_ONCE", 20)
    pair = (sleep("Reaction ~ Days + (1 | Subject)"), sleep("Reaction ~ Days + (Days || Subject)"))
    one = reference_distribution(*pair, 50, np.random.default_rng(2), 1)
    monkeypatch.setitem(sys.modules, "joblib", PicklingJoblib)
    several = reference_distribution(*pair, 50, np.random.default_rng(2), 3)
    np.testing.assert_array_equal(one.values, several.values)


def test_bootstrap_counts_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicates that cannot be fitted do not count, and the table says how many."""
    ordinary = parametric_lrt.refit_responses

    def fails(engine: Any, responses: Any, start: Any) -> Any:
        fit = ordinary(engine, responses, start)
        fit.failed[::4] = True
        return fit

    pair = (sleep("Reaction ~ Days + (1 | Subject)"), sleep())
    monkeypatch.setattr(parametric_lrt, "refit_responses", fails)
    table = compare(*pair, method="bootstrap", n=40, seed=1)
    assert "10 of them could not be fitted" in str(table)
    assert table.loc["m2", "p_value"] == pytest.approx(1 / 31)
    monkeypatch.setattr(parametric_lrt, "refit_responses", lambda *a: _all_failed(ordinary(*a)))
    with pytest.raises(FitError, match="none of the bootstrap replicates"):
        compare(*pair, method="bootstrap", n=4)


def _all_failed(fit: Any) -> Any:
    fit.failed[:] = True
    return fit


def test_several_processes_need_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without joblib, n_jobs > 1 is an error that names the extra."""
    monkeypatch.setitem(sys.modules, "joblib", None)
    pair = (sleep("Reaction ~ Days + (1 | Subject)"), sleep())
    with pytest.raises(MissingDependencyError, match="parallel"):
        compare(*pair, method="bootstrap", n=4, n_jobs=2)


def test_exact_method() -> None:
    """One more variance: the exact test of the fits as they are, without refitting them."""
    pair = (sleep("Reaction ~ Days + (1 | Subject)"), sleep("Reaction ~ Days + (Days || Subject)"))
    table = compare(*pair, method="exact", n=200, seed=1)
    assert table.reml and not table.refitted
    assert table.loc["m2", "p_value"] == pytest.approx(1 / 201)
    assert "treated as known" in str(table)
