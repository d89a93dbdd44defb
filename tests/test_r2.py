"""R^2 and intraclass correlation: R's numbers, the definition by dense matrices, invariances."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import fits
import ranef
from bank import Case, cases
from ranef.errors import OptionError
from ranef.inference.icc import icc
from ranef.inference.r2 import r2
from ranef.inference.variance_decomposition import variance_decomposition

WITH_R2 = [case for case in cases() if case.results.get("r2_nakagawa")]
# Both are smooth functions of theta, which R found to about 1e-7.
CLOSE = 1e-6


@pytest.mark.parametrize("case", WITH_R2, ids=lambda case: case.id)
def test_values_are_those_of_performance(case: Case) -> None:
    """In the reference fits every random slope is a fixed effect too: R's definition is ours."""
    model = ranef.fit(case.formula, case.frame(), **case.options())
    found, correlation = r2(model), icc(model)
    expected, between = case.results["r2_nakagawa"], case.results["icc"]

    assert found.marginal == pytest.approx(expected["marginal"], rel=CLOSE, abs=1e-12)
    assert found.conditional == pytest.approx(expected["conditional"], rel=CLOSE)
    assert correlation.adjusted == pytest.approx(between["adjusted"], rel=CLOSE)
    assert correlation.unadjusted == pytest.approx(between["unadjusted"], rel=CLOSE)


@pytest.mark.parametrize("name", fits.MODELS)
def test_parts_are_average_variances_of_the_rows(name: str) -> None:
    """The diagonal of Z Lambda Lambda'Z' and of sigma^2 / W, with the actual columns of Z."""
    model = fits.fitted(name)
    parts = variance_decomposition(model)
    groups = dict.fromkeys(parts.groups, 0.0)
    Z, start = model.Z.toarray(), 0
    for slot in model.problem.slots:
        term, k = slot.term, len(slot.term.names)
        Sigma = model.VarCorr.cov[term.grouping.name].to_numpy()
        same = [s for s in model.problem.slots if s.term.grouping.name == term.grouping.name]
        at = sum(len(s.term.names) for s in same[: same.index(slot)])
        block = Sigma[at : at + k, at : at + k]
        columns = Z[:, start : start + k * term.grouping.size]
        start += columns.shape[1]
        whole = np.kron(np.eye(term.grouping.size), block)
        groups[term.grouping.name] += np.einsum("ni,ij,nj->", columns, whole, columns) / model.nobs
    weights = model.design.weights
    residual = model.sigma**2 * (1.0 if weights is None else np.mean(1.0 / weights))
    X = np.asarray(model.X.toarray() if hasattr(model.X, "toarray") else model.X)
    mean = X @ model.fixef.fillna(0.0).to_numpy()

    # sums of a few hundred products of ordinary size: only rounding
    assert dict(parts.groups) == pytest.approx(groups, rel=1e-9, abs=1e-12)
    assert parts.residual == pytest.approx(residual, rel=1e-12)
    assert parts.fixed == pytest.approx(np.var(mean, ddof=1), rel=1e-9, abs=1e-12)


def test_offset_belongs_to_no_part() -> None:
    """Moving part of the mean into a known offset takes it out of the fixed effects' variance."""
    data = ranef.datasets.load("sleepstudy")
    plain = r2(ranef.fit("Reaction ~ Days + (1 | Subject)", data)).decomposition
    moved = r2(ranef.fit("Reaction ~ Days + offset(10 * Days) + (1 | Subject)", data)).decomposition
    slope = ranef.fit("Reaction ~ Days + (1 | Subject)", data).fixef["Days"]

    # the same optimum, found to about 1e-9 in deviance
    assert moved.random == pytest.approx(plain.random, rel=1e-5)
    ratio = (slope - 10) ** 2 / slope**2
    assert moved.fixed == pytest.approx(plain.fixed * ratio, rel=1e-6)


def test_slopes_that_are_not_fixed_effects_count() -> None:
    """Without Days among the fixed effects its random slopes still vary between the rows."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ 1 + (Days | Subject)", data)
    Sigma = model.VarCorr.cov["Subject"].to_numpy()
    z = np.column_stack([np.ones(180), data["Days"]])
    expected = np.einsum("ni,ij,nj->n", z, Sigma, z).mean()

    assert variance_decomposition(model).groups["Subject"] == pytest.approx(expected, rel=1e-12)
    assert icc(model).adjusted == pytest.approx(expected / (expected + model.sigma**2), rel=1e-12)


def test_units_of_weights_do_not_matter() -> None:
    """Weights ten times as large give the same shares."""
    data = ranef.datasets.load("sleepstudy")
    weights = 1.0 + data["Days"]
    one, ten = (
        r2(ranef.fit("Reaction ~ Days + (Days | Subject)", data, weights=c * weights))
        for c in (1.0, 10.0)
    )

    # two searches for one optimum, found to 1e-9 in deviance: parameters agree to about 1e-5
    assert ten.conditional == pytest.approx(one.conditional, rel=1e-5)
    assert ten.marginal == pytest.approx(one.marginal, rel=1e-5)


def test_origin_and_units_of_a_slope_do_not_matter() -> None:
    """Correlated slopes have the same average variance wherever the predictor has its zero."""
    data = ranef.datasets.load("sleepstudy").assign(late=lambda d: 24 * d["Days"] + 1e4)
    plain = icc(ranef.fit("Reaction ~ Days + (Days | Subject)", data))
    moved = icc(ranef.fit("Reaction ~ late + (late | Subject)", data))

    assert moved.adjusted == pytest.approx(plain.adjusted, rel=1e-6)  # the same optimum


def test_a_zero_variance_counts_as_zero() -> None:
    """Singular fits have an R^2, too: what has no variance explains nothing."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))

    assert model.is_singular
    assert r2(model).conditional == pytest.approx(0.0, abs=1e-12)
    assert icc(model).adjusted == pytest.approx(0.0, abs=1e-12)


def test_by_group_compares_with_the_model_without_predictors() -> None:
    """1 - variance / variance without predictors, at every level (random intercepts)."""
    data = ranef.datasets.load("oats")
    model = ranef.fit("yield ~ nitro + Variety + (1 | Block/Variety)", data)
    null = ranef.fit("yield ~ 1 + (1 | Block/Variety)", data)
    levels = r2(model, by_group=True).by_group

    assert levels is not None
    assert levels.index.tolist() == ["Block:Variety", "Block", "Residual"]
    for group in ("Block:Variety", "Block"):
        ratio = (model.VarCorr.sd[group].item() / null.VarCorr.sd[group].item()) ** 2
        assert levels[group] == pytest.approx(1 - ratio, rel=1e-9)
    assert levels["Residual"] == pytest.approx(1 - (model.sigma / null.sigma) ** 2, rel=1e-9)
    assert r2(model).by_group is None


def test_icc_by_group_adds_up() -> None:
    """The shares of the grouping factors add up to that of all together."""
    model = fits.fitted("crossed")
    found = icc(model, by_group=True)

    assert found.by_group.index.tolist() == list(model.ngroups)
    pd.testing.assert_series_equal(
        found.by_group.sum(), found.to_frame().loc["all"], check_names=False
    )


def test_what_is_printed() -> None:
    """The two values, then the variances they are made of; the same in every format."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))

    assert str(r2(model)) == (
        "Marginal R2: 0.279\n"
        "Conditional R2: 0.799\n"
        "\n"
        "Average variance of an observation:\n"
        "              Variance Share\n"
        "Fixed effects   908.95 0.279\n"
        "Subject        1698.07 0.521\n"
        "Residual        654.94 0.201"
    )
    assert str(icc(model)) == "Adjusted ICC: 0.722\nUnadjusted ICC: 0.521"
    assert "<table" in r2(model, by_group=True).to_html()


@pytest.mark.parametrize("function", [r2, icc])
@pytest.mark.parametrize("value", ["no", None, 1, "x"])
def test_flags_are_true_or_false(function: Callable[..., object], value: object) -> None:
    """Anything else would count as one of them, and "no" as the wrong one."""
    with pytest.raises(OptionError, match=f"by_group must be True or False; got {value!r}"):
        function(fits.fitted("crossed"), by_group=value)


def test_results_are_frozen_and_can_be_pickled() -> None:
    """What is handed out are copies; the variances cannot be changed."""
    found = r2(fits.fitted("crossed"), by_group=True)
    frame = found.to_frame()
    frame.loc["marginal", "r2"] = 2.0

    assert found.to_frame().loc["marginal"].item() == found.marginal
    with pytest.raises(TypeError):
        found.decomposition.groups["g"] = 0.0  # type: ignore[index]
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(found)).to_frame(), found.to_frame())
