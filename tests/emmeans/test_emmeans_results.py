"""What comes back: tables that print like emmeans, and objects that do not change."""

from __future__ import annotations

import dataclasses
import pickle
from typing import get_args

import numpy as np
import pandas as pd
import pytest

import ranef
from emmeans.reference import fitted, frame
from ranef.errors import RankDeficiencyWarning
from ranef.inference.emmeans import Contrasts, MarginalMeans, emmeans, emtrends, joint_tests
from ranef.inference.emmeans.adjust import Adjustment

MAIN = "y ~ a * b + c + x + z + (1 | g)"


def cake() -> ranef.LinearMixedModel:
    """Return the model of the printed examples."""
    formula = "angle ~ recipe * temperature + (1 | recipe:replicate)"
    return ranef.fit(formula, ranef.datasets.load("cake"))


def test_means_and_contrasts_print_as_in_r() -> None:
    """Groups, digits, annotations: R's output, line by line but for its headings."""
    means = emmeans(cake(), "pairwise ~ recipe | temperature", at={"temperature": ["175", "185"]})
    assert (
        str(means)
        == """\
Marginal means:

temperature = 175:
 recipe emmean   SE   df lower.CL upper.CL
 A        29.1 2.04 77.4     25.1     33.2
 B        26.9 2.04 77.4     22.8     30.9
 C        27.9 2.04 77.4     23.9     32.0

temperature = 185:
 recipe emmean   SE   df lower.CL upper.CL
 A        31.5 2.04 77.4     27.5     35.6
 B        29.4 2.04 77.4     25.3     33.5
 C        28.9 2.04 77.4     24.9     33.0

Degrees-of-freedom method: satterthwaite
Confidence level used: 0.95

Comparisons:

temperature = 175:
 contrast estimate   SE   df t.ratio p.value
 A - B       2.267 2.88 77.4   0.786  0.7125
 A - C       1.200 2.88 77.4   0.416  0.9090
 B - C      -1.067 2.88 77.4  -0.370  0.9274

temperature = 185:
 contrast estimate   SE   df t.ratio p.value
 A - B       2.133 2.88 77.4   0.740  0.7404
 A - C       2.600 2.88 77.4   0.902  0.6406
 B - C       0.467 2.88 77.4   0.162  0.9857

Degrees-of-freedom method: satterthwaite
P value adjustment: tukey method for comparing a family of 3 estimates"""
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m: emmeans(m, "c", ddf="normal"), ["asymp.LCL", "method: asymptotic"]),
        (lambda m: emmeans(m, "c").test(), ["t.ratio", "p.value"]),
        (lambda m: emmeans(m, "c", ddf="normal").test(), ["z.ratio"]),
        (lambda m: emmeans(m, "c").test(null=3), [" null "]),
        (lambda m: emmeans(m, "a"), ["also in a:b", "averaged over the levels of: b, c, z"]),
        (lambda m: emmeans(m, "c").contrasts("consec"), ["mvt method for 3 tests"]),
        (lambda m: emmeans(m, "c").pairs().confint(), ["Conf-level adjustment: tukey"]),
        (lambda m: emmeans(m, "c").pairs().confint(side="<"), ["-Inf", "'sidak' is used"]),
        (lambda m: emmeans(m, "c").contrasts("poly"), ["linear", "quadratic", "cubic"]),
        (lambda m: emmeans(m, "c").pairs(adjust="scheffe"), ["scheffe method with rank 3"]),
        (
            lambda m: emmeans(m, "c").contrasts("eff", adjust="tukey"),
            ["The adjustment 'tukey' is for one set of pairwise", "sidak method for 4 tests"],
        ),
        (lambda m: emmeans(m, "a").pairs().test(delta=1), ["tests of equivalence", "left-tailed"]),
        (lambda m: emtrends(m, "a", "x"), ["trend", "slopes per unit of x"]),
        (joint_tests, ["df1 ", "F.ratio", "a:b"]),
        (lambda m: joint_tests(m, by="b"), ["b = u:", "b = v:"]),
        (lambda m: emmeans(m, "x | b", at={"x": [0.5, 1.25]}), ["0.50", "1.25"]),
    ],
)
def test_what_is_said(make: object, words: list[str]) -> None:
    """Every kind of result says how it was made, in all formats."""
    result = make(fitted(MAIN))  # type: ignore[operator]
    for word in words:
        assert word in str(result)
    for text in (result.to_html(), result.to_markdown(), result.to_latex()):
        assert len(text) > 100


def test_response_scale_says_so() -> None:
    """Back-transformed means, ratios, and the scale of tests and intervals."""
    model = fitted("log(q) ~ a * b + x + (1 | g)")
    link, response = emmeans(model, "a"), emmeans(model, "a", type="response")
    assert "given on the log (not the response) scale" in str(link)
    assert list(response.columns)[1] == "response"
    assert response["response"].to_numpy() == pytest.approx(np.exp(link["emmean"].to_numpy()))
    assert "Intervals are back-transformed from the log scale" in str(response)
    ratios = response.pairs()
    assert ratios["contrast"].tolist() == ["a1 / a2", "a1 / a3", "a2 / a3"]
    assert ratios.name == "ratio"
    assert "Tests are performed on the log scale" in str(ratios)
    differences = emmeans(fitted("sqrt(q) ~ a * b + x + (1 | g)"), "a", type="response").pairs()
    assert "Contrasts are still on the sqrt scale" in str(differences)


def test_columns() -> None:
    """The names of columns, which people rely on."""
    model = fitted(MAIN)
    numbers = ["std_error", "df", "conf_low", "conf_high"]
    tests = ["std_error", "df", "statistic", "p_value"]
    means = emmeans(model, "a | b")
    assert list(means.columns) == ["a", "b", "emmean", *numbers]
    assert list(means.pairs().columns) == ["contrast", "b", "estimate", *tests]
    assert list(means.pairs().confint().columns) == ["contrast", "b", "estimate", *numbers]
    assert list(means.test().columns) == ["a", "b", "emmean", *tests]
    assert list(means.test(null=1).columns) == [
        "a", "b", "emmean", "std_error", "df", "null", "statistic", "p_value"
    ]  # fmt: skip
    assert list(emtrends(model, "a", "x").columns) == ["a", "trend", *numbers]
    joint = ["num_df", "den_df", "f_value", "p_value", "note"]
    assert list(joint_tests(model).columns) == joint
    assert list(means.test(joint=True).columns) == ["b", *joint]
    assert joint_tests(model).index.name == "term"


def test_estimates_are_linear_functions() -> None:
    """Rows of linfct times fixef are estimates, and vcov has the squares of their errors."""
    model = fitted(MAIN)
    for result in (emmeans(model, "a | b"), emmeans(model, "c").pairs()):
        L = result.linfct
        assert L.columns.tolist() == model.fixef.index.tolist()
        assert (L @ model.fixef).to_numpy() == pytest.approx(result.estimates.to_numpy())
        expected = np.sqrt(np.diag(L @ model.vcov @ L.T))
        assert result.std_errors.to_numpy() == pytest.approx(expected)
        assert np.sqrt(np.diag(result.vcov)) == pytest.approx(expected)


def test_results_do_not_change() -> None:
    """Fields cannot be set, and what is handed out are copies."""
    means = emmeans(fitted(MAIN), "a")
    before = means.to_frame()
    for view in (means.to_frame(), means.linfct, means.vcov):
        view.iloc[:, -1] = 0.0
    series = means.estimates
    series[:] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        means.name = "other"  # type: ignore[misc]
    pd.testing.assert_frame_equal(means.to_frame(), before)


def test_pickles() -> None:
    """A result comes back whole, and can still be asked."""
    means = emmeans(fitted(MAIN), "pairwise ~ a | b")
    back = pickle.loads(pickle.dumps(means))
    assert isinstance(back, MarginalMeans)
    assert isinstance(back.comparisons, Contrasts)
    assert str(back) == str(means)
    pd.testing.assert_frame_equal(back.pairs().to_frame(), means.pairs().to_frame())


def test_asking_again_gives_the_same() -> None:
    """confint() with the level of the means are the means; test() and confint() come back."""
    means = emmeans(fitted(MAIN), "a", level=0.9)
    pd.testing.assert_frame_equal(means.confint(0.9).to_frame(), means.to_frame())
    pairs = means.pairs()
    pd.testing.assert_frame_equal(pairs.confint().test().to_frame(), pairs.to_frame())
    assert isinstance(pairs.confint(), Contrasts)


def test_intervals_and_tests_agree() -> None:
    """An interval excludes zero if and only if p is below 1 - level, adjustment by adjustment."""
    means = emmeans(fitted(MAIN), "c")
    for adjust in ("none", "tukey", "sidak", "bonferroni", "scheffe", "dunnettx", "mvt"):
        pairs = means.pairs(adjust=adjust)
        for row, p in enumerate(pairs["p_value"]):
            if 1e-6 < p < 0.9:  # levels near 1 cost digits of 1 - p
                ends = pairs.confint(1.0 - p).to_frame().loc[row]
                nearest = min(abs(ends["conf_low"]), abs(ends["conf_high"]))
                assert nearest / ends["std_error"] < 1e-6


@pytest.mark.parametrize("adjust", get_args(Adjustment))
def test_groups_without_estimates(adjust: Adjustment) -> None:
    """A group in which nothing is estimable is NaN, and does not disturb the others."""
    data = frame("gap")
    data = data[~((data["a"] != "a2") & (data["c"] == "mid"))]
    with pytest.warns(RankDeficiencyWarning):
        model = ranef.fit("y ~ a * c + (1 | g)", data)
    pairs = emmeans(model, "a | c").pairs(adjust=adjust)
    numbers = [pairs["p_value"], pairs.confint()["conf_low"], pairs.confint()["conf_high"]]
    for values in numbers:
        assert np.isnan(values).tolist() == [c == "mid" for c in pairs["c"][:6]] + [
            True, True, False, False, False, False,
        ]  # fmt: skip


def test_adjusted_p_are_ordered() -> None:
    """No adjustment is smaller than none; Holm between Sidak-like and Bonferroni; all below 1."""
    pairs = {
        how: emmeans(fitted(MAIN), "c").pairs(adjust=how)["p_value"].to_numpy()
        for how in ("none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "mvt")
    }
    for p in pairs.values():
        assert (p >= pairs["none"] - 1e-15).all()
        assert (p <= pairs["bonferroni"] + 1e-15).all()
    assert (pairs["hochberg"] <= pairs["holm"]).all()
    assert (pairs["fdr"] <= pairs["hochberg"]).all()
    assert (pairs["tukey"] <= pairs["sidak"]).all()
    # unequal variances: Tukey and Kramer's p are a little too large
    assert np.abs(pairs["tukey"] - pairs["mvt"]).max() < 0.01


def test_levels_with_operators_are_bracketed() -> None:
    """x-1 - x+1 would be hard to read."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"f": rng.choice(["x-1", "x+1", "y"], 60), "g": np.arange(60) % 6})
    data["y"] = rng.normal(size=60) + data["g"] / 3
    names = emmeans(ranef.fit("y ~ f + (1 | g)", data), "f").pairs()["contrast"].tolist()
    assert names == ["(x+1) - (x-1)", "(x+1) - y", "(x-1) - y"]


def test_averages_over() -> None:
    """The result knows what was averaged over."""
    assert emmeans(fitted(MAIN), "a").averaged_over == ("b", "c", "z")
    nested = emmeans(fitted("y ~ region / site + a + x + (1 | g)"), "a")
    assert set(nested.averaged_over) == {"region", "site"}
    assert "site %in% region" in str(nested)
