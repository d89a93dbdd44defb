"""The reference fits can be read, and R's names become ranef's."""

from __future__ import annotations

import pandas as pd
import pytest

import bank

CASES = list(bank.cases())


def test_all_cases_are_read() -> None:
    """Every reference fit is there, under an id of its own."""
    assert len(CASES) == len({case.id for case in CASES}) == 61
    assert {case.dataset for case in CASES} == set(bank._frames())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_translated_names_fit_the_numbers(case: bank.Case) -> None:
    """Names are as many as the numbers they belong to, all different, and no longer R's."""
    results = case.results
    columns = case.columns(results["fixef"]["names"])
    assert len(set(columns)) == len(results["fixef"]["values"]) == results["p"]
    assert len(set(case.theta_names())) == results["ntheta"]
    assert not any("(Intercept)" in name for name in columns + case.theta_names())
    for block in results["ranef"]:
        levels = case.group_levels(block["group"], block["levels"])
        assert len(set(levels)) == len(block["levels"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_data_have_the_rows_that_r_used(case: bank.Case) -> None:
    """The frame has as many rows as R used and dropped, and the named columns."""
    frame = case.frame()
    assert len(frame) == case.results["n"] + case.na_rows_dropped
    assert {case.weights, case.offset} - {None} <= set(frame.columns)


@pytest.mark.parametrize(
    ("name", "r_names", "ranef_names"),
    [
        ("sleep_slope", ["(Intercept)", "Days"], ["Intercept", "Days"]),
        ("cake", ["recipeB", "temperature.L"], ["recipe[T.B]", "temperature[.L]"]),
        ("cake", ["recipeC:temperature^4"], ["recipe[T.C]:temperature[^4]"]),
        ("cake_sum_ml", ["recipe1", "recipe2:temp"], ["recipe[S.A]", "recipe[S.B]:temp"]),
        ("ergo_helm", ["Type1", "Type3"], ["Type[H.T2]", "Type[H.T4]"]),
        ("npk", ["N1:P1:K1"], ["N[S.0]:P[S.0]:K[S.0]"]),
        ("p_na", ["flagTRUE", "k"], ["flag[T.True]", "k"]),
        ("co2", ["log(conc):TypeMississippi"], ["log(conc):Type[T.Mississippi]"]),
        ("exam_ml", ["intakemid 50%"], ["intake[T.mid 50%]"]),
        ("exam_uncorr", ["typeMxd", "typeSngl"], ["type[Mxd]", "type[Sngl]"]),
        ("mach_fac0_ml", ["MachineA", "MachineB", "MachineC"], [f"Machine[{x}]" for x in "ABC"]),
        ("oats_fac", ["nitroF0.2"], ["nitroF[T.0.2]"]),
    ],
)
def test_column_names(name: str, r_names: list[str], ranef_names: list[str]) -> None:
    """Column names of R become those of ranef, for every coding."""
    assert bank.case(name).columns(r_names) == ranef_names


@pytest.mark.parametrize(
    ("name", "r_name", "ranef_name"),
    [
        ("pastes", "cask:batch", "batch:cask"),
        ("pastes", "batch", "batch"),
        ("pastes_inter", "batch:cask", "batch:cask"),
        ("mach_nested", "Machine:Worker", "Worker:Machine"),
        ("pixel_ml", "Side:Dog", "Side:Dog"),
        ("sleep_uncorr", "Subject.1", "Subject.1"),
    ],
)
def test_group_names(name: str, r_name: str, ranef_name: str) -> None:
    """Nested factors are named in the order of the formula, everything else as written."""
    assert bank.case(name).group(r_name) == ranef_name


def test_group_levels() -> None:
    """Labels of nested levels are turned around together with the name of the factor."""
    assert bank.case("pastes").group_levels("cask:batch", ["a:A", "b:J"]) == ["A:a", "J:b"]
    assert bank.case("pastes_inter").group_levels("batch:cask", ["A:a"]) == ["A:a"]


def test_theta_names() -> None:
    """Theta runs down the columns of the lower triangle of each term."""
    assert bank.case("sleep_slope").theta_names() == [
        "Subject.Intercept",
        "Subject.Days.Intercept",
        "Subject.Days",
    ]


def test_frames_have_the_types_of_r() -> None:
    """Factors, ordered factors, logicals, integers and missing values arrive as such."""
    cake, missing = bank.load("cake"), bank.load("simp_na")
    assert list(cake["temperature"].cat.categories) == ["175", "185", "195", "205", "215", "225"]
    assert cake["temperature"].cat.ordered and not cake["recipe"].cat.ordered
    assert cake["angle"].dtype == "int64" and cake["temp"].dtype == "float64"
    assert missing["flag"].dtype == "boolean" and missing["k"].dtype == "int64"
    assert missing.isna().sum().to_dict() == {"g": 1, "x": 2, "flag": 1, "k": 0, "y": 3}


def test_frames_are_fresh() -> None:
    """Changing a frame does not change the next one."""
    frame = bank.load("Rail")
    frame.loc[0, "travel"] = -1.0
    pd.testing.assert_series_equal(
        bank.load("Rail")["travel"].head(2), pd.Series([55.0, 53.0], name="travel")
    )
