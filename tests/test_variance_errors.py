"""Standard errors of variance parameters: lmerTest's, textbook formulas, honest gaps.

lmerTest reports the covariance matrix of (theta, sigma) by numerical differentiation; here it is
carried over to standard deviations and correlations by a numerical Jacobian of the definitions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ranef
from bank import Case, case, cases
from ranef.inference.variance_errors import variance_errors
from ranef.typing import FloatArray

COMPARED = [
    case
    for case in cases()
    if "vcov_varpar" in case.results.get("satterthwaite", {})
    and not case.results["singular"]
    and case.id != "mach_facuncorr"  # not determined: see test_undetermined_parameters
]

pytestmark = pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")


def sds_and_correlations(terms: list[int], theta: FloatArray, sigma: float) -> FloatArray:
    """Return sds and correlations of terms of these sizes, and sigma, by their definitions."""
    out, rest = [], list(theta)
    for k in terms:
        L = np.zeros((k, k))
        for b in range(k):
            for a in range(b, k):
                L[a, b] = rest.pop(0)
        cov = sigma**2 * L @ L.T
        sd = np.sqrt(np.diag(cov))
        out += [*sd, *[cov[a, b] / sd[a] / sd[b] for b in range(k) for a in range(b + 1, k)]]
    return np.array([*out, sigma])


def jacobian(terms: list[int], point: FloatArray) -> FloatArray:
    """Return central differences of `sds_and_correlations` by (theta, sigma)."""
    columns = []
    for i, x in enumerate(point):
        step = np.zeros(len(point))
        step[i] = 1e-6 * max(1.0, abs(x))
        ends = [point + step, point - step]
        high, low = (sds_and_correlations(terms, p[:-1], p[-1]) for p in ends)
        columns.append((high - low) / (2 * step[i]))
    return np.column_stack(columns)


@pytest.mark.parametrize("case", COMPARED, ids=str)
def test_covariance_is_that_of_lmertest(case: Case) -> None:
    """All variances and correlations of the estimates agree."""
    model = ranef.fit(case.formula, case.frame(), **case.options())
    terms = [len(term["columns"]) for term in case.results["terms_order"]]
    point = np.array([*case.results["theta"]["values"], case.results["sigma"]])
    J = jacobian(terms, point)
    expected = J @ np.array(case.results["satterthwaite"]["vcov_varpar"]) @ J.T
    found = variance_errors(model).vcov.to_numpy()

    scale = np.sqrt(np.diag(expected))
    # lmerTest's numerical Hessian: measured, at most 2e-6
    np.testing.assert_allclose(found / np.outer(scale, scale), expected / np.outer(scale, scale),
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("reml", [True, False])
def test_balanced_one_way_layout(reml: bool) -> None:
    """Mean squares are independent multiples of chi-squares: their variances are known.

    MSA estimates sigma^2 + n sd^2 with a - 1 degrees of freedom (a, for maximum likelihood), MSE
    estimates sigma^2; observed and expected information agree at the estimates.
    """
    data = ranef.datasets.load("dyestuff")
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", data, reml=reml)
    means = data.groupby("Batch", observed=True)["Yield"].mean()
    a, n = len(means), 5
    df = a - 1 if reml else a
    msa = n * ((means - means.mean()) ** 2).sum() / df
    mse = float(model.sigma) ** 2
    var_msa, var_mse = 2 * msa**2 / df, 2 * mse**2 / (a * (n - 1))
    found = variance_errors(model)

    # the optimum is found to 1e-9 or better
    assert found.variances["std_error"].tolist() == pytest.approx(
        [np.sqrt(var_msa + var_mse) / n, np.sqrt(var_mse)], rel=1e-6
    )
    assert found.std_errors["sigma"] == pytest.approx(np.sqrt(var_mse) / 2 / model.sigma, rel=1e-6)


def test_a_standard_deviation_of_zero_has_no_standard_error() -> None:
    """That of sigma is the one without the random effect."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))
    found = variance_errors(model)

    assert found.estimates[0] == 0.0
    assert np.isnan(found.std_errors["sd_Intercept|Batch"])
    assert found.std_errors["sigma"] == pytest.approx(model.sigma / np.sqrt(2 * 29), rel=1e-8)
    assert found.variances["std_error"].isna().tolist() == [True, False]


def test_a_correlation_of_one_has_no_standard_error() -> None:
    """The standard deviations have one, with the correlation held at one."""
    indometh = case("indometh")
    model = ranef.fit(indometh.formula, indometh.frame(), **indometh.options())
    errors = variance_errors(model).std_errors

    assert np.isnan(errors["cor_time.Intercept|Subject"])
    assert errors.drop("cor_time.Intercept|Subject").notna().all()


def test_undetermined_parameters_have_no_standard_error() -> None:
    """Two terms for one thing: their parameters can be exchanged, sigma cannot."""
    over = case("mach_facuncorr")
    model = ranef.fit(over.formula, over.frame(), **over.options())
    found = variance_errors(model)

    assert found.std_errors.drop("sigma").isna().all()
    same = ranef.fit("score ~ Machine + (0 + Machine | Worker)", over.frame(), **over.options())
    # the criterion is flat only up to rounding
    assert found.std_errors["sigma"] == pytest.approx(
        variance_errors(same).std_errors["sigma"], rel=1e-5
    )


def test_units_do_not_matter() -> None:
    """Standard errors of standard deviations scale with the response and the predictor."""
    data = ranef.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    plain = variance_errors(ranef.fit(formula, data)).std_errors
    scaled = data.assign(Reaction=1000 * data["Reaction"], Days=data["Days"] / 60)
    other = variance_errors(ranef.fit(formula, scaled)).std_errors

    # both optima are known to about 1e-9 in deviance: 1e-5 in curvature
    np.testing.assert_allclose(other / plain, [1000, 60000, 1, 1000], rtol=1e-5)


def test_the_result() -> None:
    """Frames are fresh copies, arrays are locked, print shows a table."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    found = variance_errors(model)

    assert found.to_frame().columns.tolist() == ["estimate", "std_error"]
    assert found.to_frame()["estimate"]["sigma"] == pytest.approx(model.sigma, rel=1e-12)
    for frame in (found.vcov, found.variances, found.to_frame()):
        frame.iloc[:, -1] = -1.0
    assert (found.to_frame()["std_error"] > 0).all()
    assert found.vcov.loc["sigma", "sigma"] > 0
    assert (found.variances["std_error"] > 0).all()
    pd.testing.assert_frame_equal(
        found.variances.drop(columns="std_error"),
        model.VarCorr.to_frame().drop(columns="sdcor"),
    )
    with pytest.raises(ValueError, match="read-only"):
        found.covariance[0, 0] = 1.0
    assert "Std. Error" in str(found)
