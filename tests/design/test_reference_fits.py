"""The designs of all reference fits have the sizes and names that R's have."""

from __future__ import annotations

import numpy as np
import pytest

import bank
from ranef.design import Design, build_design

CASES = list(bank.cases())


def design_of(case: bank.Case) -> Design:
    """Build the design of a reference fit."""
    return build_design(
        case.formula,
        case.frame(),
        weights=case.weights,
        offset=case.offset,
        contrasts=case.contrasts,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sizes_agree_with_r(case: bank.Case) -> None:
    """n, p, dropped rows, levels and number of random effects are R's."""
    design = design_of(case)
    results = case.results
    aliased = results.get("dropped_columns") or []
    assert len(design.y) == results["n"]
    assert design.X.shape == (results["n"], results["p"] + len(aliased))
    assert design.n_total - len(design.y) == case.na_rows_dropped
    assert sum(term.grouping.size * len(term.names) for term in design.terms) == results["q"]
    sizes = {case.group(name): size for name, size in results["ngrps"].items()}
    assert {term.grouping.name: term.grouping.size for term in design.terms} == sizes


@pytest.mark.parametrize("case", CASES, ids=str)
def test_columns_have_their_names(case: bank.Case) -> None:
    """Fixed-effect columns are those of R, in R's order, under formulaic's names."""
    results = case.results
    aliased = results.get("dropped_columns") or []
    if aliased:
        names = case.columns([*results["fixef"]["names"], *aliased])
        assert sorted(design_of(case).x_names) == sorted(names)
    else:
        assert list(design_of(case).x_names) == case.columns(results["fixef"]["names"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_levels_come_in_the_order_of_r(case: bank.Case) -> None:
    """Grouping levels are numbered as lme4 numbers them."""
    levels = {term.grouping.name: term.grouping.levels for term in design_of(case).terms}
    for effects in case.results["ranef"]:
        group = case.group(effects["group"])
        if group != effects["group"]:
            continue  # lme4 writes a/b as b:a, and sorts by b first
        known = case.group_levels(effects["group"], effects["levels"])
        assert [str(level) for level in levels[group][: len(known)]] == known


# Where columns are aliased, or the formula is another one in R, coefficients do not belong to our
# columns one to one.
SAME_COLUMNS = [
    case
    for case in CASES
    if not case.results.get("dropped_columns") and case.formula == case.r_formula
]


@pytest.mark.parametrize("case", SAME_COLUMNS, ids=str)
def test_the_columns_give_the_fitted_values_of_r(case: bank.Case) -> None:
    """R's coefficients and conditional modes, on our columns and codes, are R's fitted values."""
    results = case.results
    design = design_of(case)
    expected = np.array(results["fitted"]["first"])
    rows = slice(0, len(expected))
    values = np.asarray(design.X[rows] @ np.array(results["fixef"]["values"], dtype=float))
    if design.offset is not None:
        values = values + design.offset[rows]
    known = np.ones(len(expected), dtype=bool)  # the reference has the first 20 levels only
    for effects in results["ranef"]:
        group = case.group(effects["group"])
        names = case.group_levels(effects["group"], effects["levels"])
        modes = dict(zip(names, effects["values"], strict=True))
        terms = [term for term in design.terms if term.grouping.name == group]
        columns = [column for term in terms for column in term.columns]
        labels = terms[0].grouping.levels[terms[0].grouping.codes[rows]].astype(str)
        for row, label in enumerate(labels):
            known[row] &= label in modes
            for column, mode in zip(columns, modes.get(label, [0.0] * len(columns)), strict=True):
                values[row] += mode * (1.0 if column is None else column[row])
    assert known.any()
    np.testing.assert_allclose(values[known], expected[known], rtol=1e-6)
