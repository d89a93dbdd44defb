"""Satterthwaite degrees of freedom: lmerTest's numbers, balanced designs, bad options.

lmerTest differentiates numerically: its own error bounds the agreement where the optimum is
interior. It is about 1e-7 relative on most data, and 4e-6 on the gasoline models, whose predictors
are far from centred. On the boundary lmerTest's
rules are fragile and only the order of magnitude is asked for.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import ranef
from bank import Case, cases
from ranef.errors import OptionError

WITH_DF = [case for case in cases() if "coef" in case.results.get("satterthwaite", {})]


def fit(case: Case) -> ranef.LinearMixedModel:
    """Fit a reference case, whatever it warns about."""
    return ranef.fit(case.formula, case.frame(), **case.options())


@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
@pytest.mark.parametrize("case", WITH_DF, ids=lambda case: case.id)
def test_coefficients_are_those_of_lmertest(case: Case) -> None:
    """Degrees of freedom, t statistics and p-values agree."""
    expected = case.results["satterthwaite"]["coef"]
    table = fit(case).coef_table().dropna()
    tolerance = 0.1 if case.results["singular"] else 1e-5

    np.testing.assert_allclose(table["df"], expected["df"], rtol=tolerance)
    np.testing.assert_allclose(table["statistic"], expected["t"], rtol=1e-4, atol=1e-6)
    if not case.results["singular"]:
        # p-values of 1e-100 multiply the error of t by 100 and more: compare their logarithms
        p = np.array(expected["p"], dtype=float)
        shown = p > 1e-250
        np.testing.assert_allclose(
            np.log(table["p_value"][shown]), np.log(p[shown]), rtol=1e-4, atol=1e-5
        )


def test_balanced_design_has_the_degrees_of_freedom_of_anova() -> None:
    """ergostool: 9 subjects on each of 4 stools; contrasts of stools have 8 x 3 = 24."""
    model = ranef.fit("effort ~ Type + (1 | Subject)", ranef.datasets.load("ergostool"))

    # closed form; the optimum is found to about 1e-8
    assert model.coef_table()["df"].iloc[1:].to_numpy() == pytest.approx([24.0] * 3, rel=1e-7)


def test_degrees_of_freedom_do_not_depend_on_scale() -> None:
    """Units and origin of a predictor change nothing in the test of its slope."""
    data = ranef.datasets.load("sleepstudy").iloc[:-7]
    plain = ranef.fit("Reaction ~ Days + (Days | Subject)", data).coef_table()
    moved = ranef.fit(
        "Reaction ~ I(1000*Days - 30000) + (I(1000*Days - 30000) | Subject)", data
    ).coef_table()

    # the same optimum to 1e-9 in deviance, hence about 1e-5 in curvature
    assert moved["df"].iloc[1] == pytest.approx(plain["df"].iloc[1], rel=1e-5)
    assert moved["p_value"].iloc[1] == pytest.approx(plain["p_value"].iloc[1], rel=1e-4)


def test_intervals_use_quantiles_of_t() -> None:
    """conf_low and conf_high are estimate -+ t quantile times standard error."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    table = model.coef_table(level=0.9)
    half = stats.t.ppf(0.95, table["df"]) * table["std_error"]

    np.testing.assert_allclose(table["conf_low"], table["estimate"] - half, rtol=1e-12)
    np.testing.assert_allclose(table["conf_high"], table["estimate"] + half, rtol=1e-12)


def test_a_zero_variance_leaves_the_residual_degrees_of_freedom() -> None:
    """dyestuff2 fits best without batches: one mean of 30 observations has 29."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))

    assert model.is_singular
    assert model.coef_table()["df"].iloc[0] == pytest.approx(29.0, rel=1e-12)


def test_normal_and_unknown_methods() -> None:
    """Normal gives z tests; anything else is refused with the choices."""
    model = ranef.fit("Reaction ~ Days + (1 | Subject)", ranef.datasets.load("sleepstudy"))

    assert np.isinf(model.coef_table(ddf="normal")["df"]).all()
    with pytest.raises(OptionError, match="'satterthwaite', 'kenward-roger', 'normal'"):
        model.coef_table(ddf="wald")  # type: ignore[arg-type]


def test_large_crossed_model() -> None:
    """InstEval, from differences of gradients, against lmerTest 3.1-3 run on the same data."""
    model = ranef.fit(
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)", ranef.datasets.load("insteval")
    )

    # lmerTest's own numerical Hessian of a flat criterion is good to about 1e-6
    assert model.coef_table()["df"].tolist() == pytest.approx([15.35947508, 37613.96594], rel=1e-5)
