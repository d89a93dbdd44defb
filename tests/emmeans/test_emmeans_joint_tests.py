"""Joint tests: F and df are those of lmerTest and pbkrtest for emmeans' contrasts."""

from __future__ import annotations

import numpy as np
import pytest

from emmeans.reference import content, fitted
from ranef.errors import OptionError
from ranef.inference.emmeans import emmeans, joint_tests
from ranef.typing import DdfMethod

MAIN = "y ~ a * b + c + x + z + (1 | g)"
GAP = "y ~ a * c + x + (1 | g)"
NESTED = "y ~ region / site + a + x + (1 | g)"
FORMULAS = ("a * b + c + x + z", "a * x")
# as the table of means: eight digits of lme4's theta
TOLERANCE = 1e-6


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_terms_against_r(formula: str, ddf: DdfMethod) -> None:
    """F, both df and p of every term; Kenward-Roger's F is scaled."""
    joint = content()["joint"]
    found = joint_tests(fitted(f"y ~ {formula} + (1 | g)"), ddf=ddf)
    assert found.index.tolist() == joint[f"{formula} | terms"]
    for term, row in found.to_frame().iterrows():
        want = joint[f"{formula} | {term}"]
        names = (
            ("f_value", "satterthwaite", "p_value")
            if ddf == "satterthwaite"
            else ("kr_f", "kr_df", "kr_p")
        )
        expected = [want[name] for name in ("num_df", *names)]
        got = [row[name] for name in ("num_df", "f_value", "den_df", "p_value")]
        assert got == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "formula", "kind", "options"),
    [
        ("by", MAIN, "", {"by": "b"}),
        ("gap", GAP, "gap", {}),
        ("nested", NESTED, "", {}),
        ("ordered", "y ~ a * c + (1 | g)", "ordered", {}),
        ("proportional", MAIN, "", {"weights": "proportional"}),
    ],
)
def test_tables_against_emmeans(
    name: str, formula: str, kind: str, options: dict[str, str]
) -> None:
    """Terms, numerator df and F, which emmeans rounds to three decimals."""
    want = content()["joint"][name]
    found = joint_tests(fitted(formula, kind), **options).to_frame()
    rows = range(len(want["df1"]))
    if "b" in want:
        rows = sorted(rows, key=lambda i: want["b"][i])  # stable
        assert found["b"].tolist() == [want["b"][i] for i in rows]
    assert found.index.tolist() == [want["model term"][i] for i in rows]
    assert found["num_df"].tolist() == [want["df1"][i] for i in rows]
    # the confounded F is made of rounded ones
    expected = [want["F.ratio"][i] for i in rows]
    assert np.abs(found["f_value"] - expected).max() < 0.0011


def test_joint_test_of_contrasts_and_means() -> None:
    """The method test(joint=True), with dependent rows and with independent ones."""
    joint = content()["joint"]
    model = fitted(MAIN)
    pairs = emmeans(model, "c | b").pairs().test(joint=True)
    assert pairs["num_df"].tolist() == joint["test"]["df1"]
    assert pairs["note"].tolist() == ["d", "d"]
    assert pairs["f_value"].round(3).tolist() == joint["test"]["F.ratio"]
    means = emmeans(model, "a").test(joint=True)
    assert means["num_df"].tolist() == [joint["test_means"]["df1"]]
    assert means["f_value"].round(3).tolist() == [joint["test_means"]["F.ratio"]]


def test_a_single_contrast_is_its_t_test() -> None:
    """F of one row is t squared, with its df, for every method."""
    for ddf in ("satterthwaite", "kenward-roger", "normal"):
        means = emmeans(fitted(MAIN), "b", ddf=ddf)
        t, F = means.pairs().to_frame().iloc[0], means.pairs().test(joint=True).to_frame().iloc[0]
        assert F["f_value"] == pytest.approx(t["statistic"] ** 2, rel=1e-10)
        assert F["den_df"] == pytest.approx(t["df"], rel=1e-10)
        assert F["p_value"] == pytest.approx(t["p_value"], rel=1e-8)


def test_terms_do_not_depend_on_coding() -> None:
    """The tests are about means: sum and treatment contrasts give the same."""
    coded = fitted("y ~ a * b + c + x + z + (1 | g)", contrasts=(("a", "sum"), ("c", "helmert")))
    want, got = joint_tests(fitted(MAIN)).to_frame(), joint_tests(coded).to_frame()
    names = ["num_df", "den_df", "f_value"]
    # two optima of one criterion, each good to eight digits or so
    assert got[names].to_numpy() == pytest.approx(want[names].to_numpy(), rel=1e-6)


def test_type_three_anova_of_balanced_factors() -> None:
    """Without numbers and with equal weights these are the tests of a type III ANOVA."""
    import ranef

    model = ranef.fit(
        "angle ~ recipe * temperature + (1 | recipe:replicate)", ranef.datasets.load("cake")
    )
    found = joint_tests(model).to_frame()
    assert found["f_value"].round(5).tolist() == [0.24879, 20.51986, 1.00620]
    assert found["den_df"].round(4).tolist() == [42.0, 210.0, 210.0]


def test_null_of_a_joint_test() -> None:
    """Testing the estimates themselves gives F = 0."""
    means = emmeans(fitted(MAIN), "1")
    found = means.test(float(means["emmean"].iloc[0]), joint=True)
    assert found["f_value"].iloc[0] == pytest.approx(0.0, abs=1e-20)


def test_nothing_to_test() -> None:
    """A model of nothing but an intercept has no terms."""
    with pytest.raises(OptionError, match="no variable with several levels"):
        joint_tests(fitted("y ~ 1 + (1 | g)"))
