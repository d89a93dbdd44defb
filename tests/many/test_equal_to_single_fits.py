"""`fit_many` gives what a loop over `ranef.fit`, or over R's lmer, gives."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranef
from models import SHAPES, formulas, frame
from ranef.errors import RanefWarning
from ranef.many import ManyFits
from ranef.typing import FloatArray

# With the grouping factor among the fixed effects its variance could be anything.
AMBIGUOUS = {
    "a fixed, too": "y ~ a2 + (1 | a) + (x | b)",
    "twice the same": "y ~ (1 | a) + (1 | a2)",
}


def predictors(seed: int) -> pd.DataFrame:
    """Return the columns that all formulas here use."""
    data = frame(seed)
    return data.assign(a2=data["a"].astype("category"))


def responses(data: pd.DataFrame, seed: int, count: int = 8) -> FloatArray:
    """Return responses with anything from no to large random effects, some values missing."""
    rng = np.random.default_rng(seed)
    size = np.linspace(0.0, 1.5, count)
    Y = rng.standard_normal((len(data), count)) + size * rng.standard_normal((12, count))[data["a"]]
    Y += size[::-1] * rng.standard_normal((12, count))[data["a"]] * data[["x"]].to_numpy()
    Y += rng.standard_normal((3, count))[data["c"]]
    Y[3, 2::2] = np.nan
    Y[10:14, 5:6] = np.nan
    return Y


def assert_equal_to_single_fits(
    many: ManyFits, formula: str, Y: FloatArray, **options: object
) -> None:
    """Compare everything with fits one by one."""
    data = options.pop("data")
    for j, (label, verdict) in enumerate(many.fits["verdict"].items()):
        one = ranef.fit(formula, data.assign(y=Y[:, j]), **options)  # type: ignore[attr-defined]
        table = one.coef_table()
        assert verdict == one.convergence.status.value
        assert many.nobs[j] == one.nobs
        # rounding errors of criteria of a few hundred; 1e-7 was asked for
        assert many.objective[j] == pytest.approx(one.objective, abs=1e-9)
        # one Newton step from the same point, or the same step: errors of 1e-14 were seen, and a
        # search that ends one step apart would move estimates by 1e-8 standard errors
        difference = (many.estimate[j] - one.fixef.to_numpy()) / one.std_errors.to_numpy()
        np.testing.assert_allclose(difference, np.where(np.isnan(difference), np.nan, 0), atol=1e-7)
        np.testing.assert_allclose(many.std_error[j], table["std_error"], rtol=1e-7)
        np.testing.assert_allclose(many.df[j], table["df"], rtol=1e-6)
        np.testing.assert_allclose(many.p_value[j], table["p_value"], rtol=1e-5, atol=1e-300)
        ranges = one.tidy(effects="ran_pars")["estimate"].to_numpy()
        assert len(ranges) == len(many.parameters)
        np.testing.assert_allclose(many.estimates.loc[label, "sigma"], one.sigma, rtol=1e-7)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, *AMBIGUOUS])
def test_every_shape_of_model(shape: str, reml: bool) -> None:
    """Single, nested, crossed; singular, ambiguous, aliased; with missing values."""
    formula = {**SHAPES, **AMBIGUOUS}[shape]
    data = predictors(6)
    Y = responses(data, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        many = ranef.fit_many(formula, data, Y, reml=reml, weights="w", offset="o")
        assert many.n_patterns == 3
        assert_equal_to_single_fits(many, formula, Y, data=data, reml=reml, weights="w", offset="o")


@settings(max_examples=15)
@given(formula=formulas(), seed=st.integers(0, 2**16), reml=st.booleans())
def test_any_model(formula: str, seed: int, reml: bool) -> None:
    """Whatever formula is drawn."""
    data = predictors(seed)
    Y = responses(data, seed, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        try:
            single = ranef.fit(formula, data.assign(y=Y[:, 0]), reml=reml)
        except ranef.errors.DataError:
            return
        many = ranef.fit_many(formula, data, Y, reml=reml)
        table = single.coef_table()
    if single.convergence.converged and many.fits["verdict"][0] != "not converged":
        assert many.objective[0] == pytest.approx(single.objective, abs=1e-7)
        np.testing.assert_allclose(many.df[0], table["df"], rtol=1e-4)


def test_variances_and_correlations() -> None:
    """Under the names that intervals have, in their order."""
    data = ranef.datasets.load("sleepstudy")
    one = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    many = ranef.fit_many("~ Days + (Days | Subject)", data, ["Reaction"])
    covariance = np.asarray(one.VarCorr.cov["Subject"])
    sd = np.sqrt(covariance.diagonal())
    wanted = [*sd, covariance[0, 1] / sd[0] / sd[1], one.sigma]
    assert many.parameters == tuple(one.confint("wald").index[:4])
    np.testing.assert_allclose(many.variance[0], wanted, rtol=1e-7)  # two ends of one search


# lmerTest 3.1-3 (lme4 1.1-31, ftol_abs = 1e-14), sleepstudy, ~ Days + (Days | Subject), for
#   a = Reaction; b = log(Reaction); c = a without rows 1-5, 40, 77;
#   d = sqrt(Days) + (1:180 * 179) %% 13, which has no random effects:
# REML criterion; estimate, std. error, df, t of Intercept and Days.
R = {
    "a": (
        1743.62827196,
        [251.405105, 6.82459669, 16.9997263, 36.83808965],
        [10.467286, 1.54578964, 16.9999837, 6.77148149],
    ),
    "b": (
        -298.481171101,
        [5.5300648058, 0.02700837713, 17.0005647, 204.75368733],
        [0.0336680359, 0.00475385181, 16.9997228, 7.08226448],
    ),
    "c": (
        1676.73894549,
        [253.5519109, 7.33158227, 16.2125914, 34.58351847],
        [10.0902341, 1.52256325, 16.4457512, 6.62713624],
    ),
    "d": (
        988.238985683,
        [6.669674081, 0.5195871172, 178.0, 12.83648855],
        [0.291316883, 0.0973275844, 178.0, 2.99315846],
    ),
}


def test_lmertest() -> None:
    """R's numbers, a singular fit and one with missing rows among them."""
    data = ranef.datasets.load("sleepstudy")
    Y = pd.DataFrame({name: data["Reaction"] for name in "abcd"})
    Y["b"] = np.log(Y["b"])
    Y.loc[[0, 1, 2, 3, 4, 39, 76], "c"] = np.nan
    Y["d"] = np.sqrt(data["Days"]) + (np.arange(1, 181) * 179) % 13
    many = ranef.fit_many("~ Days + (Days | Subject)", data, Y)
    assert many.fits["singular"].tolist() == [False, False, False, True]
    for j, (criterion, *rows) in enumerate(R.values()):
        assert many.objective[j] == pytest.approx(criterion, abs=1e-6)
        found = np.stack([many.estimate, many.std_error, many.df, many.statistic], axis=2)[j]
        # lmerTest differentiates numerically: its df have four to five digits
        np.testing.assert_allclose(found, rows, rtol=1e-4)


def test_balanced_one_way_layout() -> None:
    """The mean of J groups has J - 1 degrees of freedom, if its fit is not singular."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(9), 5)
    Y = rng.standard_normal((45, 50)) + 2.0 * rng.standard_normal((9, 50))[g]
    many = ranef.fit_many("~ 1 + (1 | g)", {"g": g}, Y)
    assert many.n_singular == 0
    # an identity at the minimum; the search ends where the criterion is flat to 1e-8
    np.testing.assert_allclose(many.df, 8.0, rtol=1e-6)


@pytest.mark.parametrize("formula", ["~ x + (x | a)", "~ x + (1 | a) + (1 | b)"])
def test_units_do_not_matter(formula: str) -> None:
    """Estimates scale with the response, tests stay."""
    data = predictors(2)
    Y = responses(data, 1)
    small = ranef.fit_many(formula, data, Y)
    large = ranef.fit_many(formula, data, 1e6 * Y)
    # the criteria are flat to 1e-8 at their minima, estimates to its square root at worst
    np.testing.assert_allclose(large.estimate, 1e6 * small.estimate, rtol=1e-6)
    np.testing.assert_allclose(large.df, small.df, rtol=1e-5)


def test_normal_distribution() -> None:
    """With ddf="normal" degrees of freedom are infinite."""
    data = ranef.datasets.load("sleepstudy")
    many = ranef.fit_many("~ Days + (Days | Subject)", data, ["Reaction"], ddf="normal")
    table = ranef.fit("Reaction ~ Days + (Days | Subject)", data).coef_table(ddf="normal")
    assert np.isinf(many.df).all()
    np.testing.assert_allclose(many.p_value[0], table["p_value"], rtol=1e-6)  # as p_values above
