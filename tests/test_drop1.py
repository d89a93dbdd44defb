"""Single term deletions: R's likelihood ratios and F tests, and which terms can be left out."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bank
import models
import ranef
from ranef.errors import OptionError, RankDeficiencyWarning
from ranef.formula import parse_formula
from ranef.inference.drop1 import drop1, droppable
from ranef.typing import FloatArray

CASES = {case.id: case for case in bank.cases() if "drop1" in case.results}


@cache
def fit(dataset: str, formula: str, **options: Any) -> ranef.LinearMixedModel:
    """Return a model of reference data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return ranef.fit(formula, bank.load(dataset), **options)


def column(values: list[float | None]) -> FloatArray:
    """Return R's column, with NaN for NA."""
    return np.array([np.nan if value is None else value for value in values])


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_likelihood_ratios_agree_with_r(name: str, reml: bool) -> None:
    """Rows and numbers are those of lme4's drop1, from REML fits, too."""
    case = CASES[name]
    expected = case.results["drop1"]
    model = ranef.fit(case.formula, case.frame(), **case.options() | {"reml": reml})
    table = drop1(model)
    assert list(table.index) == expected["row"]
    np.testing.assert_array_equal(table["npar"], column(expected["npar"]))
    # R's optima are good to 1e-6, where it did not stop early
    np.testing.assert_allclose(table["aic"], column(expected["AIC"]), atol=1e-5)
    np.testing.assert_allclose(table["lrt"], column(expected["LRT"]), atol=2e-5)
    # a change of the statistic by 2e-5 changes a p-value by half of that, relative to it
    np.testing.assert_allclose(table["p_value"], column(expected["Pr(Chi)"]), rtol=2e-5)
    assert table.refitted == reml


# lmerTest 3.1-3: drop1(lmer(...), ddf = ...), optimised by BOBYQA to 1e-9. Columns of R's table:
# Mean Sq, NumDF, DenDF, F value, Pr(>F).
F_TESTS: list[tuple[str, str, str, dict[str, tuple[float, ...]]]] = [
    (
        "sleepstudy",
        "Reaction ~ Days + I(Days^2) + (Days | Subject)",
        "satterthwaite",
        {
            "Days": (4534.53863838, 1, 114.431407802, 6.95511160713, 0.00951962660768),
            "I(Days^2)": (1079.50280354, 1, 142.999998363, 1.65575002830, 0.20025725905071),
        },
    ),
    (
        "sleepstudy",
        "Reaction ~ Days + I(Days^2) + (Days | Subject)",
        "kenward-roger",
        {
            "Days": (4534.53863838, 1, 114.431408639, 6.95511160713, 0.00951962659896),
            "I(Days^2)": (1079.50280354, 1, 143.0, 1.65575002830, 0.20025725902694),
        },
    ),
    (
        "Oats",
        "yield ~ nitroF + Variety + (1 | Block/Variety)",
        "satterthwaite",
        {
            "nitroF": (6673.5, 3, 51.00000054749, 41.05283215733, 1.22770797292e-13),
            "Variety": (241.455157441, 2, 9.99999867699, 1.48534023405, 0.272386892865),
        },
    ),
    (
        "Oats",
        "yield ~ nitroF * Variety + (1 | Block/Variety)",
        "satterthwaite",
        {"nitroF:Variety": (53.625, 6, 44.9999999332, 0.302823528565, 0.932198759428)},
    ),
    (
        "simp_rankdef",
        "y ~ x1 + x2 + f * h + (1 | g)",
        "satterthwaite",
        {
            "x1": (np.nan, 0, np.nan, np.nan, np.nan),
            "x2": (np.nan, 0, np.nan, np.nan, np.nan),
            "f:h": (1.50306545787, 1, 108.533118735, 2.21279708803, 0.13976992613),
        },
    ),
    (
        "simp_rankdef",
        "y ~ x1 + x2 + f + h + (1 | g)",
        "satterthwaite",
        {
            "x1": (np.nan, 0, np.nan, np.nan, np.nan),
            "x2": (np.nan, 0, np.nan, np.nan, np.nan),
            "f": (18.70598421695, 2, 110.046641612, 27.24863696495, 2.43864648622e-10),
            "h": (1.30955205981, 1, 109.495953669, 1.90759856582, 0.170042478889),
        },
    ),
]


@pytest.mark.parametrize(("dataset", "formula", "ddf", "expected"), F_TESTS)
def test_f_tests_agree_with_r(
    dataset: str, formula: str, ddf: Any, expected: dict[str, tuple[float, ...]]
) -> None:
    """F tests are lmerTest's; what the other terms determine cannot be tested."""
    table = drop1(fit(dataset, formula), test="f", ddf=ddf)
    assert list(table.index) == list(expected)
    found = table[["mean_sq", "num_df", "den_df", "f_value", "p_value"]].to_numpy(dtype=float)
    # R differentiates numerically: its df are good to 1e-6 or so
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-5)
    np.testing.assert_allclose(table["sum_sq"], table["mean_sq"] * table["num_df"])
    assert table.ddf == ddf


def test_normal_f_tests() -> None:
    """With ddf="normal" the denominator has infinitely many degrees of freedom."""
    model = fit("Oats", "yield ~ nitroF + Variety + (1 | Block/Variety)")
    table = drop1(model, "f", "normal")
    assert np.isinf(table["den_df"]).all()
    assert "chi-squared distribution" in str(table)


def test_weights_and_offset() -> None:
    """Weights and the offset stay in the models without a term."""
    model = fit("simp_wtoff", "y ~ x + offset(off) + (x | g)", weights="w")
    # lme4: drop1(lmer(..., weights = w), test = "Chisq"); lmerTest: drop1
    row = drop1(model).loc["x"]
    assert row["aic"] == pytest.approx(712.768587042, abs=1e-5)
    assert row["lrt"] == pytest.approx(37.3440163375, abs=1e-5)
    row = drop1(model, "f").loc["x"]
    assert row["f_value"] == pytest.approx(77.3641219582, rel=1e-5)
    assert row["den_df"] == pytest.approx(217.97465762, rel=1e-4)


@pytest.mark.parametrize(
    ("fixed", "terms"),
    [
        ("x + z", ["x", "z"]),
        ("x * z + f", ["f", "x:z"]),
        ("(x + z + f)^2", ["x:z", "x:f", "z:f"]),
        ("x * z * f", ["x:z:f"]),
        ("0 + f + x", ["f", "x"]),
        ("f / x", ["f:x"]),
        ("log(x) + x", ["log(x)", "x"]),
        ("1", []),
        ("0", []),
    ],
)
def test_marginality(fixed: str, terms: list[str]) -> None:
    """Only terms that no other contains can be left out, as R's drop.scope says."""
    formula = parse_formula(f"y ~ {fixed} + (1 | g)")
    assert [term.label for term in droppable(formula.fixed)] == terms


def test_nothing_to_drop() -> None:
    """Without such terms the table has one row, or none."""
    model = fit("Dyestuff", "Yield ~ 1 + (1 | Batch)")
    assert list(drop1(model).index) == ["<none>"]
    assert len(drop1(model, "f")) == 0
    assert str(drop1(model)) and str(drop1(model, "f"))


@pytest.mark.parametrize(
    ("fixed", "left"), [("0 + f + x", "0 + x"), ("x", "1"), ("f * x", "f + x")]
)
def test_deletions_are_the_models_without_the_term(fixed: str, left: str) -> None:
    """Both tests are about the model that one would fit without the term."""
    data = models.frame(4, 300)
    full = ranef.fit(f"y ~ {fixed} + (1 | a)", data, reml=False)
    small = ranef.fit(f"y ~ {left} + (1 | a)", data, reml=False)
    label = {"0 + x": "f", "1": "x", "f + x": "f:x"}[left]
    row = drop1(full).loc[label]
    # two certified optima
    assert row["lrt"] == pytest.approx(small.objective - full.objective, abs=1e-6)
    assert row["npar"] == full.df - small.df == drop1(full, "f").loc[label, "num_df"]


def test_sparse_columns() -> None:
    """A factor with many levels gives a sparse X, and is tested like any other."""
    data = models.frame(3, 3000)
    data["many"] = pd.Categorical([f"m{i:03d}" for i in np.arange(len(data)) % 150])
    table = drop1(ranef.fit("y ~ x + many + (1 | a)", data), "f", "normal")
    assert table["num_df"].tolist() == [1, 149]
    dense = drop1(ranef.fit("y ~ x + (1 | a)", data), "f", "normal")
    # the factor is noise, so x is tested as it is without, to a few per cent
    assert table.loc["x", "f_value"] == pytest.approx(dense.loc["x", "f_value"], rel=0.1)


def test_prints_like_r() -> None:
    """The table has R's digits and rows."""
    model = fit("Oats", "yield ~ nitroF + Variety + (1 | Block/Variety)")
    assert str(drop1(model, "f")).splitlines() == [
        "Single term deletions using Satterthwaite's method",
        "Model: yield ~ nitroF + Variety + (1 | Block/Variety)",
        "",
        "          Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)",
        "nitroF  20020.50 6673.50     3    51 41.0528 1.228e-13",
        "Variety   482.91  241.46     2    10  1.4853    0.2724",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": "F"}, "test must be one of.*Did you mean 'f'"),
        ({"test": None}, "test must be one of"),
        ({"ddf": "KR"}, "ddf must be one of"),
        ({"test": "f", "ddf": "kenward-roger"}, "REML"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    """Unknown tests, and Kenward-Roger for a fit by maximum likelihood, are refused."""
    with pytest.raises(OptionError, match=message):
        drop1(fit("sleepstudy", "Reaction ~ Days + (1 | Subject)", reml=False), **options)


def recoding() -> ranef.LinearMixedModel:
    """Return a model whose A:B is coded in full, with more columns, once B:x is gone."""
    rng = np.random.default_rng(5)
    n = 120
    data = pd.DataFrame(
        {
            "A": rng.choice(list("abc"), n),
            "B": rng.choice(["hi", "lo"], n),
            "x": rng.standard_normal(n),
            "g": rng.integers(0, 12, n),
        }
    )
    data["y"] = data["x"] * (data["B"] == "lo") + rng.standard_normal(12)[data["g"]]
    data["y"] += rng.standard_normal(n)
    return ranef.fit("y ~ A + B:x + A:B + (1 | g)", data)


def test_a_term_whose_absence_recodes_others() -> None:
    """The F test is that of the term's coefficients, as lmerTest's; likelihoods say nothing.

    Oracle: the joint test of the coefficients, and `compare`, which refuses the pair.
    """
    model = recoding()
    own = [name for name in model.fixef.index if name.startswith("B[") and name.endswith(":x")]

    f = model.drop1("f").loc["B:x"]
    joint = model.contest(own).iloc[0]
    assert f["num_df"] == len(own) == 2
    assert f["f_value"] == pytest.approx(joint["f_value"], rel=1e-10)
    assert f["den_df"] == pytest.approx(joint["den_df"], rel=1e-10)
    chisq = model.drop1()
    assert np.isnan(chisq.loc["B:x", "lrt"]) and np.isnan(chisq.loc["B:x", "p_value"])
    assert "B:x" in chisq.notes[0]
    smaller = ranef.fit("y ~ A + A:B + (1 | g)", model.design.variables.to_frame())
    with pytest.raises(OptionError, match="nested"):
        ranef.compare(model, smaller)


def test_degrees_of_freedom_are_those_of_the_coefficients() -> None:
    """An F test of a factor is the joint test of its coefficients, in lmerTest's basis."""
    model = ranef.fit("score ~ Machine + (Machine | Worker)", ranef.datasets.load("machines"))
    data = model.design.variables.to_frame().drop(index=[0, 1, 5, 20, 33])
    model = ranef.fit("score ~ Machine + (Machine | Worker)", data)

    found = model.drop1("f").loc["Machine"]
    joint = model.contest("Machine").iloc[0]
    assert found["den_df"] == pytest.approx(joint["den_df"], rel=1e-10)
    assert found["f_value"] == pytest.approx(joint["f_value"], rel=1e-10)
