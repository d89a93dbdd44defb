"""Analysis of variance: the tables are those of lmerTest and pbkrtest.

Oracles: R's tables of the reference fits, and of unbalanced, nested, rank deficient and incomplete
designs of one small data set (data/anova.R made data/anova.json). Where lmerTest 3.1-3 is wrong,
the test says why. What the types mean is tested in inference/test_term_contrasts.py.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from bank import Case, cases
from ranef.errors import OptionError, RanefWarning
from ranef.inference.anova import AnovaTable, anova
from ranef.typing import DdfMethod, FloatArray

FOLDER = Path(__file__).parent / "data"
TYPES = {"I": 1, "II": 2, "III": 3}
METHODS: dict[str, DdfMethod] = {
    "satterthwaite": "satterthwaite",
    "kenward_roger": "kenward-roger",
}
WITH_ANOVA = [
    (case, method)
    for case in cases()
    for method in METHODS
    if "III" in (case.results.get(method, {}).get("anova") or {})
    and case.results["p"] - ("(Intercept)" in case.results["fixef"]["names"]) > 0
]
FITS: list[dict[str, Any]] = json.loads((FOLDER / "anova.json").read_text(encoding="utf-8"))

# lmerTest reads from R's table of factors, where a factor that a term codes by indicators is marked
# by 2, only those marked by 1. So A is not seen in A:B where B has no main effect, and is tested at
# the first level of B; and a term of which nothing is seen counts as contained in all others.
# scale(x) is a matrix in R, which lmerTest does not take for a covariate.
WRONG_IN_R = {
    ("y ~ A * B + A:C + (1 | g)", 2): "A",
    ("y ~ A * B + A:C + (1 | g)", 3): "A",
    ("y ~ A + A:B + (1 | g)", 2): "A",
    ("y ~ A + A:B + (1 | g)", 3): "A",
    ("y ~ A + x:B + (1 | g)", 2): "x:B",
    ("y ~ scale(x) * A + (1 | g)", 2): "A",
}


def twoway(name: str = "all") -> pd.DataFrame:
    """Return the data of anova.R: an unbalanced two-way layout in blocks, and more predictors."""
    d = pd.read_csv(FOLDER / "twoway.csv", dtype={"A": str, "B": str, "g": str})
    i = np.arange(len(d))
    d["C"] = np.array(["u", "v", "w"])[(7 * i + i // 5) % 3]
    d["x"] = ((37 * i) % 87) / 10 - 4
    d["z"] = ((53 * i) % 89) / 8
    d["w"] = 1 + (i % 4) / 2
    d["x2"] = 2 * d["x"] - 1
    d["xs"] = (d["x"] - d["x"].mean()) / d["x"].std()
    empty = (d["A"] == "1") & (d["B"] == "3")
    holes = ((d["B"] == "2") & (d["C"] == "u")) | ((d["B"] == "3") & (d["C"] == "w"))
    return {"all": d, "empty": d[~empty], "holes": d[~holes]}[name]


def quiet_fit(formula: str, data: pd.DataFrame, **options: Any) -> ranef.LinearMixedModel:
    """Fit without ranef's warnings about aliased columns and singular fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        return ranef.fit(formula, data, **options)


@cache
def twoway_fit(formula: str = "y ~ A * B + (1 | g)", name: str = "all") -> ranef.LinearMixedModel:
    """Fit a model of the two-way data once."""
    return quiet_fit(formula, twoway(name))


@cache
def case_fit(case: Case) -> ranef.LinearMixedModel:
    """Fit a reference case once."""
    return quiet_fit(case.formula, case.frame(), **case.options())


def column(block: dict[str, Any], name: str) -> FloatArray:
    """Return a column of R's table; a table of one row holds bare numbers."""
    return np.atleast_1d(np.array(block[name], dtype=float))


@pytest.mark.parametrize(
    ("case", "method"), WITH_ANOVA, ids=[f"{case.id}-{method}" for case, method in WITH_ANOVA]
)
def test_tables_are_those_of_lmertest(case: Case, method: str) -> None:
    """F, degrees of freedom and sums of squares of all terms and types agree."""
    tables = case.results[method]["anova"]
    # lmerTest's df come from numerical derivatives, 5e-6 off on the worst scaled data
    df_tolerance = 1e-5 if method == "satterthwaite" else 1e-6
    for type_ in TYPES:
        expected = tables[type_]
        rows = [expected["row"]] if isinstance(expected["row"], str) else expected["row"]
        ours = anova(case_fit(case), type_, METHODS[method])
        table = ours.loc[rows]
        tested = np.isfinite(column(expected, "F value"))

        assert sorted(ours.index) == sorted(rows)
        assert (table["num_df"][~tested] == 0).all() and table["f_value"][~tested].isna().all()
        num_df = column(expected, "NumDF")
        np.testing.assert_array_equal(table["num_df"][tested], num_df[tested])
        # R's optimum is good to 1e-7 in theta
        for name, ours_name in (("F value", "f_value"), ("Sum Sq", "sum_sq")):
            np.testing.assert_allclose(table[ours_name], column(expected, name), rtol=1e-6)
        np.testing.assert_allclose(table["den_df"], column(expected, "DenDF"), rtol=df_tolerance)
        np.testing.assert_allclose(
            np.log(table["p_value"]), np.log(column(expected, "Pr(>F)")), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("type_", [1, 2, 3])
@pytest.mark.parametrize("fit", FITS, ids=lambda fit: f"{fit['data']}-{fit['formula']}")
def test_difficult_designs(fit: dict[str, Any], type_: int) -> None:
    """Unbalanced, nested, rank deficient and incomplete designs, with and without intercept."""
    contrasts = {k: v.removeprefix("contr.") for k, v in (fit["contrasts"] or {}).items()}
    weights = "w" if fit["weighted"] else None
    model = quiet_fit(
        fit["formula"], twoway(fit["data"]), contrasts=contrasts or None, weights=weights
    )
    for method in METHODS.values():
        if not fit[method]:  # pbkrtest ignores weights
            continue
        ours = anova(model, type_, method)
        for row in fit[method][type_ - 1]:
            term = row["term"]
            if WRONG_IN_R.get((fit["formula"], type_)) == term:
                continue
            if row.get("f_value") is None:
                assert ours.loc[term, "num_df"] == 0
                continue
            assert ours.loc[term, "num_df"] == row["num_df"]
            # lme4's optimum is good to about 1e-6 in theta
            assert ours.loc[term, "f_value"] == pytest.approx(row["f_value"], rel=2e-6)
            assert ours.loc[term, "sum_sq"] == pytest.approx(row["sum_sq"], rel=2e-6)
            assert ours.loc[term, "den_df"] == pytest.approx(row["den_df"], rel=2e-6)


def test_twoway_layout() -> None:
    """Types I, II and III of one unbalanced two-way layout differ, as in R."""
    tables = [anova(twoway_fit(), type_)["f_value"] for type_ in (1, 2, 3)]

    # R's numbers to their printed digits
    assert [t["A"] for t in tables] == pytest.approx([43.30469, 44.62474, 44.08404], abs=6e-6)
    assert [t["B"] for t in tables] == pytest.approx([15.80472, 15.80472, 15.24301], abs=6e-6)
    assert [t["A:B"] for t in tables] == pytest.approx([1.37091] * 3, abs=6e-6)


def test_unbalanced_machines() -> None:
    """Machines without eight rows, against lmerTest 3.1-3 and pbkrtest 0.5.2."""
    missing = [row - 1 for row in (2, 3, 6, 20, 21, 22, 33, 47)]
    data = ranef.datasets.load("machines").drop(index=missing)
    model = ranef.fit("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data)
    satterthwaite, kenward_roger = anova(model), anova(model, ddf="kenward-roger")

    # lme4's optimum is good to about 1e-6 here
    assert satterthwaite.loc["Machine", "f_value"] == pytest.approx(20.40225648, rel=1e-6)
    assert satterthwaite.loc["Machine", "den_df"] == pytest.approx(10.11263935, rel=1e-6)
    assert kenward_roger.loc["Machine", "f_value"] == pytest.approx(20.40100271, rel=1e-6)
    assert kenward_roger.loc["Machine", "den_df"] == pytest.approx(9.997887302, rel=1e-6)
    scale = kenward_roger["f_value"] * model.sigma**2 / kenward_roger["mean_sq"]
    assert scale["Machine"] == pytest.approx(0.999999105, abs=1e-9)


# --- where lmerTest is wrong ---------------------------------------------------------------------


def test_nested_factor_is_averaged_over_what_is_nested_in_it() -> None:
    """A in A + A:B spans what A * B spans: type III of A is the same hypothesis.

    lmerTest 3.1-3 gives 6.029 here, the difference between the levels of A at the first of B.
    """
    nested, crossed = twoway_fit("y ~ A + A:B + (1 | g)"), twoway_fit()

    # the same model, fitted twice
    assert anova(nested).loc["A", "f_value"] == pytest.approx(
        anova(crossed).loc["A", "f_value"], rel=1e-6
    )
    assert anova(nested, 2).loc["A", "f_value"] == pytest.approx(
        anova(crossed, 1).loc["A", "f_value"], rel=1e-6
    )


def test_missing_main_effect_of_one_factor() -> None:
    """A in A * B + A:C is averaged over the levels of B and of C, as coding by sums shows."""
    formula = "y ~ A * B + A:C + (1 | g)"
    data = twoway()
    model = quiet_fit(formula, data, contrasts={"A": "sum", "B": "sum", "C": "sum"})
    t = model.coef_table().loc["A[S.1]", "statistic"]

    assert anova(twoway_fit(formula)).loc["A", "f_value"] == pytest.approx(t**2, rel=1e-6)


def test_term_that_nothing_contains() -> None:
    """x:B is in no other term of A + x:B: types II and III both test its coefficients."""
    model = twoway_fit("y ~ A + x:B + (1 | g)")
    by_r = next(fit for fit in FITS if fit["formula"] == "y ~ A + x:B + (1 | g)")["satterthwaite"]

    assert by_r[2][1]["term"] == "x:B"
    for type_ in (2, 3):
        found = anova(model, type_).loc["x:B", "f_value"]
        assert found == pytest.approx(by_r[2][1]["f_value"], rel=2e-6)  # as above


def test_scaled_covariate_is_a_covariate() -> None:
    """scale(x) in the formula gives what a scaled column gives."""
    computed, given_ = twoway_fit("y ~ scale(x) * A + (1 | g)"), twoway_fit("y ~ xs * A + (1 | g)")
    for type_ in (1, 2, 3):
        np.testing.assert_allclose(
            anova(computed, type_).to_frame(), anova(given_, type_).to_frame(), rtol=1e-7
        )


def test_reference_level_does_not_matter() -> None:
    """Type III is the same whichever level is the reference; the coefficients are not."""
    plain = twoway_fit("y ~ B * C + x + (1 | g)", "holes")
    other = twoway_fit("y ~ C(B, contr.treatment(base=3)) * C(C, contr.SAS) + x + (1 | g)", "holes")
    np.testing.assert_allclose(anova(other).to_frame(), anova(plain).to_frame(), rtol=1e-6)


# --- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ 1 + (1 | g)", "y ~ 0 + (1 | g)"])
@pytest.mark.parametrize("type_", [1, 2, 3])
def test_nothing_to_test(formula: str, type_: int) -> None:
    """Without terms there is an empty table, which prints."""
    table = anova(twoway_fit(formula), type_)

    assert len(table) == 0
    assert list(table.columns) == ["sum_sq", "mean_sq", "num_df", "den_df", "f_value", "p_value"]
    assert "Sum Sq" in table.to_text()


def test_aliased_terms_are_not_tested() -> None:
    """A term whose columns others determine has no degrees of freedom, and a note says so."""
    table = anova(twoway_fit("y ~ x + x2 + A * B + (1 | g)"))

    assert table.loc["x2", "num_df"] == 0
    assert table.loc["x2", ["sum_sq", "mean_sq", "den_df", "f_value", "p_value"]].isna().all()
    assert "other columns determine theirs: x2" in table.to_text()
    assert "NaN" not in table.to_text()


def test_empty_cells_are_mentioned() -> None:
    """Type III of an incomplete layout depends on which cells are empty: a note says so."""
    incomplete = twoway_fit("y ~ A * B + (1 | g)", "empty")

    assert any("do not occur: A:B" in note for note in anova(incomplete).notes)
    assert anova(incomplete, 2).notes == ()
    assert anova(twoway_fit()).notes == ()


def test_singular_fits_are_mentioned() -> None:
    """Where a variance is zero, Satterthwaite's df leave its direction out; the table says so."""
    data = twoway().assign(h=lambda d: np.arange(len(d)) % 7)
    model = ranef.fit("y ~ A + (1 | h)", data)

    assert model.is_singular
    assert any("Singular fit" in note for note in anova(model).notes)
    assert anova(model, ddf="kenward-roger").notes == ()


def test_normal_is_chi_squared() -> None:
    """ddf="normal" gives Wald's chi-squared divided by its degrees of freedom."""
    from scipy import stats

    model = twoway_fit()
    table = anova(model, 3, "normal")
    b = model.fixef.filter(like=":").to_numpy()
    V = model.vcov.filter(like=":").filter(like=":", axis=0).to_numpy()
    chi2 = float(b @ np.linalg.solve(V, b))

    assert np.isinf(table["den_df"]).all()
    assert table.loc["A:B", "f_value"] == pytest.approx(chi2 / 2, rel=1e-9)
    assert table.loc["A:B", "p_value"] == pytest.approx(stats.chi2.sf(chi2, 2), rel=1e-9)


@pytest.mark.parametrize("names", [(1, "1", "I", "i", np.int64(1)), (3, "3", "III")])
def test_names_of_types(names: tuple[Any, ...]) -> None:
    """Types are numbers or Roman numerals."""
    tables = [anova(twoway_fit(), name).to_text() for name in names]

    assert len(set(tables)) == 1


@pytest.mark.parametrize("type_", [0, 4, "IV", "", True, 1.5, 2.0, None, [3]])
def test_other_types_are_refused(type_: Any) -> None:
    """Anything else is an error that says what is allowed."""
    with pytest.raises(OptionError, match="type must be 1, 2 or 3"):
        anova(twoway_fit(), type_)


def test_kenward_roger_needs_reml() -> None:
    """A fit by maximum likelihood has no Kenward-Roger table."""
    model = ranef.fit("y ~ A + (1 | g)", twoway(), reml=False)

    with pytest.raises(OptionError, match="REML"):
        anova(model, ddf="kenward-roger")


PRINTED = """\
Type III Analysis of Variance Table with Satterthwaite's method

    Sum Sq Mean Sq NumDF  DenDF F value    Pr(>F)
A   39.597  39.597     1 74.148 44.0840 4.550e-09
B   27.383  13.691     2 74.281 15.2430 2.839e-06
A:B  2.463   1.231     2 74.159  1.3709    0.2602"""


def test_printed_as_in_r() -> None:
    """The numbers are formatted as R formats them; only the blank line after the title is ours."""
    table = anova(twoway_fit())

    assert isinstance(table, AnovaTable)
    assert str(table) == PRINTED
    assert "Kenward-Roger's method" in str(anova(twoway_fit(), ddf="kenward-roger"))
    for shown in (table.to_html(), table.to_markdown(), table.to_latex()):
        assert "44.0840" in shown


@pytest.mark.filterwarnings("ignore")  # pandas may say itself that such an assignment is lost
def test_the_table_is_not_changed_through_its_parts() -> None:
    """What is handed out are copies."""
    table = anova(twoway_fit())
    before, copy, cells = table.to_frame(), table.to_frame(), table.loc
    copy.loc["A", "f_value"] = 0.0
    cells["A", "f_value"] = 0.0

    pd.testing.assert_frame_equal(table.to_frame(), before)


def test_wide_sparse_design() -> None:
    """Hundreds of sparse columns with empty cells: the same F as dropping columns coded by sums."""
    rng = np.random.default_rng(3)
    n = 3000
    data = pd.DataFrame({"f": rng.integers(0, 60, n).astype(str), "h": rng.choice(["a", "b"], n)})
    data["g"] = rng.integers(0, 30, n)
    data["y"] = rng.normal(size=n) + rng.normal(size=30)[data["g"]]
    model = ranef.fit("y ~ f * h + (1 | g)", data)
    by_sums = ranef.fit("y ~ f * h + (1 | g)", data, contrasts={"f": "sum", "h": "sum"})
    t = by_sums.coef_table().loc["h[S.a]", "statistic"]

    assert not isinstance(model.X, np.ndarray)
    assert anova(model).loc["h", "f_value"] == pytest.approx(t**2, rel=1e-6)
    assert anova(model)["num_df"].tolist() == [59, 1, 59]
