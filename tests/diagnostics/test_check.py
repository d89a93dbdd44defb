"""The report on a model: what it finds where something is wrong, and that it is quiet otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import fits
import models
import ranef
from diagnostics.brute import point
from ranef.diagnostics import Finding, Outcome, check, residuals
from ranef.diagnostics.collinearity import inflation
from ranef.diagnostics.homoscedasticity import across_levels, against_fitted
from ranef.diagnostics.influential import weighted_chi2_tail
from ranef.diagnostics.normality import moments, standardised_effects
from ranef.simulation import draw_responses, refitted

TOPICS = [
    "Convergence", "Singular fit", "Normal residuals", "Normal random effects",
    "Equal residual variance", "Influential groups", "Collinearity", "Scales of predictors",
]  # fmt: skip


def data(
    seed: int = 1,
    noise: Callable[[np.random.Generator, pd.DataFrame], Any] | None = None,
    effects: Callable[[np.random.Generator, int], Any] | None = None,
) -> pd.DataFrame:
    """Return 40 groups of 10 rows of a good model, or of one with other noise or effects."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": np.repeat([f"group {i:02d}" for i in range(40)], 10)})
    frame["x"], frame["z"] = rng.standard_normal((2, 400))
    frame["f"] = pd.Categorical(rng.choice(["a", "b", "c"], 400))
    b = rng.standard_normal(40) if effects is None else effects(rng, 40)
    frame["mean"] = 10 + 2 * frame["x"] + np.repeat(b, 10)
    e = rng.standard_normal(400) if noise is None else noise(rng, frame)
    return frame.assign(y=frame["mean"] + e)


def found(model: ranef.LinearMixedModel, topic: str) -> Finding:
    """Return one finding of the report."""
    return next(f for f in check(model).findings if f.topic == topic)


def test_a_good_model() -> None:
    """Nothing to look at, every check made, in the order that is documented."""
    report = check(ranef.fit("y ~ x + z + f + (1 | g)", data()))

    assert report.ok
    assert report.to_look_at == ()
    assert [f.topic for f in report.findings] == TOPICS
    assert {f.outcome for f in report.findings} == {Outcome.FINE}
    assert all(f.verdict and f.looked_at and not f.advice for f in report.findings)
    assert "nothing to look at" in str(report)


BAD: dict[str, tuple[str, str, Callable[[], pd.DataFrame], str]] = {
    "heavy tails": (
        "Normal residuals", "y ~ x + (1 | g)",
        lambda: data(noise=lambda rng, d: rng.standard_t(2, 400)), "heavier tails",
    ),
    "skewed": (
        "Normal residuals", "y ~ x + (1 | g)",
        lambda: data(noise=lambda rng, d: rng.lognormal(0, 1, 400)), "",
    ),
    "two kinds of groups": (
        "Normal random effects", "y ~ x + (1 | g)",
        lambda: data(effects=lambda rng, J: 6.0 * rng.integers(0, 2, J) + rng.normal(0, 0.3, J)),
        "Intercept|g: lighter tails",
    ),
    "variance by group": (
        "Equal residual variance", "y ~ x + (1 | g)",
        lambda: data(
            noise=lambda rng, d: rng.standard_normal(400) * np.repeat(np.linspace(0.3, 3, 40), 10)
        ),
        "levels of g",
    ),
    "variance by treatment": (
        "Equal residual variance", "y ~ x + f + (1 | g)",
        lambda: data(noise=lambda rng, d: rng.standard_normal(400) * d["f"].map(
            {"a": 0.5, "b": 1.0, "c": 2.0}).astype(float)),
        "levels of f",
    ),
    "variance by mean": (
        "Equal residual variance", "y ~ x + (1 | g)",
        lambda: data(noise=lambda rng, d: rng.standard_normal(400) * np.exp(0.4 * d["x"])),
        "grows with the fitted values",
    ),
    "an influential group": (
        "Influential groups", "y ~ x + (1 | g)",
        lambda: data(noise=lambda rng, d: rng.standard_normal(400)
                     - 4 * d["x"] * (d["g"] == "group 07")),
        "g group 07",
    ),
    "collinear": (
        "Collinearity", "y ~ x + z2 + (1 | g)",
        lambda: data().assign(z2=lambda d: d["x"] + 0.1 * d["z"]), "z2",
    ),
    "units": (
        "Scales of predictors", "y ~ x + big + (1 | g)",
        lambda: data().assign(big=lambda d: 1e7 * d["z"]), "big is 1e+07 times as large as x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_found(name: str) -> None:
    """Each violation is named, with its number, in words, and with what to do."""
    topic, formula, make, words = BAD[name]
    finding = found(ranef.fit(formula, make()), topic)

    assert finding.outcome is Outcome.LOOK
    assert words in finding.verdict
    assert finding.advice
    assert np.isfinite(finding.value)
    report = check(ranef.fit(formula, make()))
    assert not report.ok
    assert finding.verdict.split(" (")[0] in str(report).replace("\n", " ")
    assert finding.advice.split(",")[0][:30] in str(report).replace("\n", " ")


def test_only_the_influential_group_is_named() -> None:
    """The other groups are not."""
    finding = found(ranef.fit("y ~ x + (1 | g)", BAD["an influential group"][2]()), TOPICS[5])

    assert finding.verdict.count("group ") == 1


def test_singular_fits_name_the_direction() -> None:
    """The sentence of the convergence verdict, and the number of directions."""
    finding = found(fits.fitted("singular"), "Singular fit")

    assert finding.outcome is Outcome.LOOK
    assert finding.verdict == "the variance of Intercept by nothing is zero"
    assert finding.value == 1.0


def test_a_search_that_was_cut_short() -> None:
    """A fit that did not converge is the first thing to look at."""
    with pytest.warns(ranef.errors.ConvergenceWarning):
        model = ranef.fit("y ~ x + (x | g)", data(), control=ranef.Control(max_evaluations=1))
    report = check(model)

    assert report.to_look_at[0].topic == "Convergence"
    assert report.to_look_at[0].verdict == model.convergence.message


@pytest.mark.parametrize("name", fits.MODELS)
def test_every_kind_of_model(name: str) -> None:
    """A report for every kind of model; what cannot be checked says why."""
    report = check(fits.fitted(name))
    frame = report.to_frame()

    assert list(frame["topic"]) == TOPICS
    assert list(frame) == ["topic", "outcome", "value", "looked_at", "verdict", "advice"]
    assert (frame["verdict"] != "").all()
    assert (frame["advice"] != "").eq(frame["outcome"] == "look").all()
    for fmt in ("to_text", "to_html", "to_markdown", "to_latex"):
        assert "Normal residuals" in getattr(report, fmt)()


def test_few_rows() -> None:
    """Tiny data: what says nothing is not checked."""
    tiny = pd.DataFrame({"g": [0, 0, 1, 1, 2, 2], "y": [1.0, 2.0, 2.5, 1.5, 4.0, 3.0]})
    report = check(ranef.fit("y ~ 1 + (1 | g)", tiny))
    outcome = dict(zip(TOPICS, (f.outcome for f in report.findings), strict=True))

    assert outcome["Normal residuals"] is Outcome.NOT_CHECKED
    assert outcome["Normal random effects"] is Outcome.NOT_CHECKED
    assert outcome["Influential groups"] is Outcome.NOT_CHECKED


FALSE_ALARMS = {
    "slopes": "y ~ x + z + f + (x | g)",
    "few rows per group": "y ~ x + (1 | s)",
}


@pytest.mark.parametrize("name", FALSE_ALARMS)
def test_false_alarms(name: str) -> None:
    """Of good models, about 1 to 5 % are called into doubt."""
    frame = data(3).assign(s=np.arange(400) // 4)
    model = ranef.fit(FALSE_ALARMS[name], frame)
    draws = draw_responses(model, np.random.default_rng(2))
    alarms = 0
    for _ in range(200):
        again = refitted(model, next(draws))
        alarms += any(f.topic != "Singular fit" for f in check(again).to_look_at)

    # 5 % of 200, and 2.6 standard errors
    assert alarms / 200 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 200)


def test_standardised_effects() -> None:
    """Modes are divided by sqrt(Var(b_hat)) = sqrt(Sigma Z'P Z Sigma), by dense algebra."""
    model = ranef.fit("y ~ x + (x | a) + (1 | b)", models.frame(12), weights="w")
    whole = point(model)
    values = standardised_effects(model)
    names = [("a", ["Intercept", "x"]), ("b", ["Intercept"])]
    for (group, effects), Z, T in zip(names, whole.model.Z, whole.T, strict=True):
        Sigma = T @ T.T
        inner = np.einsum("mja,mn,njb->jab", Z, whole.P, Z, optimize=True)
        spread = model.sigma**2 * np.einsum("ab,jbc,cd->jad", Sigma, inner, Sigma)
        for i, effect in enumerate(effects):
            if T[i].any():
                expected = model.ranef[group].iloc[:, i] / np.sqrt(spread[:, i, i])
                # differences of variances that agree to two digits
                np.testing.assert_allclose(values[f"{effect}|{group}"], expected, rtol=1e-8)


def test_inflation_of_single_columns() -> None:
    """1 / (1 - R^2) of every column on the others, rows made independent by V^-1/2."""
    frame = models.frame(3)
    frame["x2"] = frame["x"] + 0.5 * frame["z"]
    model = ranef.fit("y ~ x + z + x2 + f + (1 | a)", frame.assign(x2=frame["x2"] + frame["w"]))
    root = np.linalg.inv(np.linalg.cholesky(point(model).V0))
    X = root @ model.X
    constant = X[:, 0]
    factors = inflation(model)
    for j, name in enumerate(model.fixef.index):
        if name not in factors.index:
            continue
        others = np.delete(X, j, axis=1)
        rest = X[:, j] - others @ np.linalg.lstsq(others, X[:, j], rcond=None)[0]
        alone = X[:, j] - constant * (constant @ X[:, j]) / (constant @ constant)
        assert factors.loc[name, "gvif"] == pytest.approx(alone @ alone / (rest @ rest), rel=1e-9)
        assert factors.loc[name, "df"] == 1
    assert factors.loc["f", "df"] == 2


def test_inflation_does_not_depend_on_coding() -> None:
    """The generalised factor of a term of several columns is the same for every coding."""
    frame = data(4).assign(u=lambda d: d["z"] + (d["f"] == "a"))
    first = inflation(ranef.fit("y ~ f + u + (1 | g)", frame))
    second = inflation(ranef.fit("y ~ f + u + (1 | g)", frame, contrasts={"f": "helmert"}))

    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_interactions_and_powers_are_no_collinearity() -> None:
    """Terms that share a variable are taken together: they are collinear by construction."""
    frame = data().assign(age=lambda d: 50 + d["z"])
    model = ranef.fit("y ~ x + age * f + I(age ** 2) + (1 | g)", frame)

    assert check(model).inflation["vif"].max() > 100
    assert found(model, "Collinearity").outcome is Outcome.FINE


def test_koenkers_statistic() -> None:
    """N R^2 of squared residuals on fitted values, by least squares."""
    model = ranef.fit("y ~ x + (1 | g)", data(5))
    e, fitted = residuals(model, "studentized").to_numpy(), model.fitted.to_numpy()
    r2 = np.corrcoef(e**2, fitted)[0, 1] ** 2

    assert against_fitted(e, fitted)[0] == pytest.approx(stats.chi2.sf(400 * r2, 1), rel=1e-9)


def test_levenes_statistic() -> None:
    """Without leverage, the F test of the square roots of absolute residuals between levels."""
    rng = np.random.default_rng(1)
    e, codes = rng.standard_normal(60), np.repeat(np.arange(5), 12)
    expected = stats.f_oneway(*(np.sqrt(np.abs(e[codes == j])) for j in range(5))).pvalue

    assert across_levels(e, np.zeros(60), codes)[0] == pytest.approx(expected, rel=1e-9)


def test_tails_of_weighted_sums() -> None:
    """Exact for equal weights, and within a fifth of an integral for unequal ones."""
    q = np.array([0.5, 5.0, 20.0])
    equal = weighted_chi2_tail(2 * q, np.full((3, 4), 2.0))
    np.testing.assert_allclose(equal, stats.chi2.sf(q, 4), rtol=1e-12)

    weights = np.tile([1.0, 0.4], (3, 1))
    values = np.array([4.0, 8.0, 14.0])

    def tail(v: float) -> float:
        def inner(x: float) -> float:
            return float(stats.chi2.pdf(x, 1) * stats.chi2.sf((v - x) / 0.4, 1))

        return float(integrate.quad(inner, 0, v)[0] + stats.chi2.sf(v, 1))

    exact = [tail(v) for v in values]
    # three moments do not make a tail of 0.0002 exact, and need not
    np.testing.assert_allclose(weighted_chi2_tail(values, weights), exact, rtol=0.2)


def test_moments() -> None:
    """Skewness and excess kurtosis as scipy computes them."""
    values = np.random.default_rng(3).gamma(2.0, size=50)

    assert moments(values) == pytest.approx((stats.skew(values), stats.kurtosis(values)))
