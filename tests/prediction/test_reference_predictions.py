"""Predictions and standard errors that R computed."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef
from bank import Case, cases
from ranef.prediction import predict

CASES = list(cases())
# Both fits stand at the same optimum up to 1e-8 deviance units, so predictions differ by the square
# root of that, in standard errors; relative to the range of the response it is less.
SAME_OPTIMUM = 1e-6


def fit(case: Case) -> ranef.LinearMixedModel:
    """Fit a reference case without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranef.fit(case.formula, case.frame(), **case.options())


def new_data(case: Case) -> pd.DataFrame:
    """Return the rows that R predicted; the levels of factors and groups as text."""
    old, block = case.frame(), case.results["predict"]
    columns = {}
    for name, values in block["newdata"].items():
        text = isinstance(old[name].dtype, pd.CategoricalDtype) or name in block["grouping"]
        columns[name] = pd.Series(values, dtype=object if text else None)
    if case.offset:
        columns[case.offset] = 0.0  # lme4 adds no offset to new data if it was an argument
    return pd.DataFrame(columns)


def partial_groups(case: Case, formula: str) -> list[str] | None:
    """Return the groups of lme4's ``re.form``; None where it takes some of a group's terms."""
    written = Counter(case.group(name) for name in re.findall(r"\|\s*([\w:.]+)", formula))
    terms = Counter(case.group(term["group"]) for term in case.results["terms_order"])
    return list(written) if all(terms[name] == written[name] for name in written) else None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_new_data(case: Case) -> None:
    """All random effects, none and some of them; new levels count as zero."""
    model, new, block = fit(case), new_data(case), case.results["predict"]
    asked = {"re_all_new_levels_ok": "all", "re_none": "none"}
    groups = partial_groups(case, block.get("re_partial_formula") or "")
    if block.get("re_partial") is not None and groups is not None:
        asked["re_partial"] = groups
    for name, random in asked.items():
        got = predict(model, new, random, new_levels="population")
        want = np.array(block[name], dtype=float)
        np.testing.assert_allclose(got, want, rtol=0, atol=SAME_OPTIMUM * np.ptp(model.y))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fitted_values(case: Case) -> None:
    """Predictions for the rows of the fit are the fitted values, from the fit and from the data."""
    model = fit(case)
    tolerance = {"rtol": 0, "atol": 1e-9 * np.abs(model.y).max()}  # rounding
    np.testing.assert_allclose(predict(model), model.fitted, **tolerance)
    used = case.frame()
    used = used.loc[model.fitted.index]
    np.testing.assert_allclose(predict(model, used), model.fitted, **tolerance)
    first = case.results["fitted"]["first"]
    got = predict(model).iloc[: len(first)]
    np.testing.assert_allclose(got, first, rtol=0, atol=SAME_OPTIMUM * np.ptp(model.y))


def test_standard_errors_of_lme4() -> None:
    """lme4's own tests of predict(se.fit = TRUE): the first row of R's iris data."""
    iris = pd.read_csv(Path(__file__).with_name("iris.csv"))
    model = ranef.fit("Petal_Width ~ Sepal_Length + (1 | Species)", iris)
    options = {"interval": "confidence", "theta_uncertainty": False}
    known = predict(model, iris.iloc[:1], **options)
    alone = predict(model, iris.iloc[:1], "none", **options)
    # lme4's optimum is 1e-5 off in theta
    assert known["std_error"].item() == pytest.approx(0.0271816400250223, rel=1e-8)
    assert alone["std_error"].item() == pytest.approx(0.451147865048879, rel=1e-7)


def test_sleepstudy_of_lme4() -> None:
    """The table in lme4's tests of predict: two subjects on two days, with and without effects."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    new = {"Days": [0, 9, 0, 9], "Subject": ["308", "308", "309", "309"]}
    whole = [253.663652396798, 430.66001930835, 211.006415533628, 227.634788908917]
    fixed = [251.405104848485, 345.610678484848, 251.405104848485, 345.610678484848]
    # the tolerance there is 5e-7 on average: the optimum that lme4 stored is not exact
    np.testing.assert_allclose(predict(model, new), whole, rtol=1e-6)
    np.testing.assert_allclose(predict(model, new, "none"), fixed, rtol=1e-6)
