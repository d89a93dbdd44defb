"""Pooling, against R's regressions per group and the algebra that connects the three estimates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fits
import ranef
from ranef.errors import OptionError, UnknownVariableError
from ranef.explain import Pooling, pooling

R = json.loads((Path(__file__).parent / "r_reference.json").read_text())
# R's numbers have 15 digits; both solve the same small least-squares problems
CLOSE = 1e-9
# both optimisers stop where the criterion is flat; coefficients are 2 to 300 ms
OPTIMUM = 1e-3


def unbalanced() -> pd.DataFrame:
    """Return sleepstudy with the rows that R used, and weights."""
    data = ranef.datasets.load("sleepstudy").iloc[R["rows"]]
    return data.assign(w=R["w"])


def groups() -> list[tuple[str, str]]:
    """Return every grouping factor of every model of `fits`."""
    return [(name, group) for name in fits.MODELS for group in fits.fitted(name).ngroups]


@pytest.mark.parametrize(
    ("name", "formula", "weights"),
    [
        ("slopes", "Reaction ~ Days + (Days | Subject)", None),
        ("weighted", "Reaction ~ Days + (Days | Subject)", "w"),
    ],
)
def test_matches_r(name: str, formula: str, weights: str | None) -> None:
    """No pooling is lmList, complete pooling is lm, partial pooling is coef of lmer."""
    model = ranef.fit(formula, unbalanced(), weights=weights)
    found = pooling(model)
    np.testing.assert_allclose(found.no_pooling, R["lists"][name], rtol=CLOSE)
    np.testing.assert_allclose(found.complete_pooling, R["complete"][name], rtol=CLOSE)
    np.testing.assert_allclose(found.partial_pooling, R["partial"][name], atol=OPTIMUM)
    np.testing.assert_array_equal(found.n, unbalanced().groupby("Subject").size())


def test_random_intercepts() -> None:
    """Shrinkage is the reliability tau / (tau + sigma^2 / n_j), and no pooling the group's mean."""
    model = ranef.fit("Reaction ~ 1 + (1 | Subject)", unbalanced())
    found = pooling(model)
    np.testing.assert_allclose(found.no_pooling, R["lists"]["intercepts"], rtol=CLOSE)
    tau = model.VarCorr.cov["Subject"].iloc[0, 0]
    expected = tau / (tau + model.sigma**2 / found.n)
    np.testing.assert_allclose(found.shrinkage[:, 0, 0], expected, rtol=CLOSE)


@pytest.mark.parametrize(("name", "group"), groups())
def test_partial_pooling_is_a_weighted_mean(name: str, group: str) -> None:
    """Partial = alpha no + (I - alpha) beta, whatever else is in the model; partial is `coef`."""
    model = fits.fitted(name)
    found = pooling(model, group)
    beta = np.nan_to_num([model.fixef.get(term, 0.0) for term in found.names])
    difference = np.einsum("jab,jb->ja", found.shrinkage, found.no_pooling - beta)
    # rounding of the per-level systems
    np.testing.assert_allclose(found.partial_pooling, beta + difference, atol=1e-10)
    assert list(found.levels) == list(model.ranef[group].index)
    expected = model.ranef[group].to_numpy() + beta
    np.testing.assert_allclose(found.partial_pooling, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "group"), groups())
def test_shrinkage_matrices(name: str, group: str) -> None:
    """Alpha = Sigma (Sigma + sigma^2 inv(Z'WZ))^-1, with dense matrices level by level."""
    model = fits.fitted(name)
    found = pooling(model, group)
    slots = [slot for slot in model.problem.slots if slot.term.grouping.name == group]
    columns = [column for slot in slots for column in slot.term.columns]
    codes = slots[0].term.grouping.codes
    Z = np.column_stack([np.ones(len(codes)) if c is None else c for c in columns])
    w = model.design.weights if model.design.weights is not None else np.ones(len(codes))
    Sigma = model.VarCorr.cov[group].to_numpy()
    for level in range(len(found.levels)):
        z = Z[codes == level]
        A = z.T @ (w[codes == level, None] * z)
        expected = Sigma @ np.linalg.inv(Sigma + model.sigma**2 * np.linalg.inv(A))
        np.testing.assert_allclose(found.shrinkage[level], expected, atol=1e-8)  # inverses of A


def test_coefficients_that_a_group_does_not_determine() -> None:
    """One row gives no slope; equal predictors give none either, unless they are all zero."""
    data = ranef.datasets.load("sleepstudy")
    subject = data["Subject"].astype(str)
    keep = ~subject.isin(["308", "309", "310"])
    keep |= (subject == "308") & (data["Days"] == 4)
    keep |= (subject == "309") & (data["Days"] == 0)
    twice = data[(subject == "310") & (data["Days"] == 3)]
    data = pd.concat([data[keep], twice, twice], ignore_index=True)
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    found = pooling(model)
    table = found.to_frame().pivot(index="level", columns="term", values="no_pooling")
    lost = table[table.isna().any(axis=1)]
    assert sorted(map(str, lost.index)) == ["308", "309", "310"]
    assert lost["Days"].isna().all()
    # the first day is the intercept, even alone
    intercept = data.loc[data["Subject"].astype(str) == "309", "Reaction"].iloc[0]
    assert table.loc["309", "Intercept"] == pytest.approx(intercept)
    assert np.isnan(table.loc["308", "Intercept"]) and np.isnan(table.loc["310", "Intercept"])
    assert np.isfinite(found.partial_pooling).all() and np.isfinite(found.shrinkage).all()


def test_predictors_far_from_zero() -> None:
    """Years lose no digits: the slopes are those of centered years."""
    data = unbalanced()
    near = pooling(ranef.fit("Reaction ~ Days + (Days | Subject)", data))
    data["Days"] += 2000
    far = pooling(ranef.fit("Reaction ~ Days + (Days | Subject)", data))
    # cross-products of years have about 6 digits less
    np.testing.assert_allclose(far.no_pooling[:, 1], near.no_pooling[:, 1], rtol=1e-8)


def test_frame_and_print() -> None:
    """One row per level and coefficient; print shows the first and says how many are left."""
    found = pooling(ranef.fit("Reaction ~ Days + (Days | Subject)", unbalanced()))
    frame = found.to_frame()
    assert list(frame) == [
        "level", "term", "n", "complete_pooling", "no_pooling", "partial_pooling", "shrinkage",
    ]  # fmt: skip
    assert len(frame) == 36
    assert "Pooling by Subject" in str(found) and "... and 16 more rows" in str(found)
    assert "<table" in found.to_html() and "tabular" in found.to_latex()
    assert isinstance(found, Pooling)
    with pytest.raises(ValueError, match="read-only"):
        found.no_pooling[0] = 0.0


def test_which_group() -> None:
    """Several grouping factors need a name; wrong names are answered with the right ones."""
    model = fits.fitted("crossed")
    with pytest.raises(OptionError, match=r"several grouping factors.*group='g'"):
        pooling(model)
    with pytest.raises(UnknownVariableError, match=r"no grouping factor 'G'.*g, h"):
        pooling(model, "G")
    assert pooling(model, "h").group == "h"


@pytest.mark.parametrize("model", [3, None, "y ~ x + (1 | g)"])
def test_only_models(model: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(OptionError, match=r"pooling needs models fitted by ranef\.fit; got"):
        pooling(model)
