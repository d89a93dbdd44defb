"""Deletion at fixed covariance parameters: closed form against dense algebra without the rows."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import fits
import models
import ranef
from diagnostics.brute import Deleted, delete, point, quietly
from ranef.diagnostics import Influence, influence, touched
from ranef.diagnostics.influence import groupings

# Rounding of an 80 x 80 inverse and of what is subtracted from it (measured: 2e-14).
ROUNDING = 1e-11


def check_against_dense(
    model: ranef.LinearMixedModel, by: str | None, step: int = 1, tolerance: float = ROUNDING
) -> None:
    """Compare every ``step``-th case."""
    found = influence(model, by)
    whole = point(model)
    codes = np.arange(model.nobs) if by is None else groupings(model)[by].codes
    cases = range(0, int(codes.max()) + 1, step)
    for i in cases:
        compare(model, found, i, delete(whole, codes != i), tolerance)


def compare(
    model: ranef.LinearMixedModel, found: Influence, i: int, left: Deleted, tolerance: float
) -> None:
    """Compare one case in every number that is reported."""
    beta, se = model.fixef.dropna().to_numpy(), model.std_errors.dropna().to_numpy()
    V, p = model.vcov.to_numpy(), len(beta)
    delta = beta - left.beta
    errors = np.sqrt(np.diagonal(left.covariance))
    ratio = np.linalg.det(left.covariance) / np.linalg.det(V)
    scaled = {
        "beta": (found.beta.iloc[i] - left.beta) / se,
        "dfbeta": (found.dfbeta.iloc[i] - delta) / se,
        "dfbetas": found.dfbetas.iloc[i] - delta / errors,
        "std_errors": found.std_errors.iloc[i] / errors - 1.0,
        "cooks": found.cooks_distance.iloc[i] - delta @ np.linalg.solve(V, delta) / p,
        "covratio": found.covratio.iloc[i] / ratio - 1.0,
        "sigma": found.sigma.iloc[i] ** 2 / left.sigma2 - 1.0,
    }
    for name, error in scaled.items():
        assert np.max(np.abs(error)) < tolerance, (name, i)


FORMULAS = {name: text for name, text in models.SHAPES.items() if name != "no fixed effects"}


@pytest.mark.parametrize("name", FORMULAS)
def test_every_shape_and_group(name: str) -> None:
    """Rows and groups of nested, crossed, weighted, REML and ML models, by every plan."""
    for number, variant in enumerate(models.VARIANTS):
        options: dict[str, Any] = {"reml": number != 1}
        if number != 0:
            options |= {"weights": "w", "offset": "o"}
        with models.through(variant):
            model = quietly(FORMULAS[name], models.frame(3 + number), **options)
            for by in groupings(model):
                check_against_dense(model, by)
            check_against_dense(model, None, step=9)


@pytest.mark.parametrize("seed", range(3))
def test_large_variances(seed: int) -> None:
    """Random effects far larger than residuals, crossed with each other."""
    data = models.frame(seed)
    rng = np.random.default_rng(seed)
    data["y"] += 8 * rng.standard_normal(12)[data["a"]] + 8 * rng.standard_normal(3)[data["c"]]
    for variant in models.VARIANTS:
        with models.through(variant):
            model = ranef.fit("y ~ x + f + (x | a) + (1 | b) + (z | c)", data)
            assert model.theta.max() > 3.0
            for by in ("a", "b", "c"):
                # theta^2 is 1000: three digits fewer
                check_against_dense(model, by, tolerance=1e3 * ROUNDING)


@pytest.mark.parametrize("by", ["a", "b", "c"])
def test_groups_that_touch_too_much(by: str) -> None:
    """Groups that are summed and factorised without their rows give the same numbers."""
    model = ranef.fit("y ~ x + (x | a) + (1 | b) + (1 | c)", models.frame(8), weights="w")
    expected = influence(model, by).to_frame()
    with patch.object(touched, "MOST_EFFECTS", 0):
        found = influence(model, by).to_frame()

    # the other route subtracts numbers as large as the whole
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_theta_goes_by_name() -> None:
    """A group whose deletion changes the order of the terms keeps its own variances."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.tile(np.arange(6), 12), "h": np.repeat(np.arange(6), 12)})
    data["x"] = rng.standard_normal(72)
    data["y"] = 3 * rng.standard_normal(6)[data["g"]] + rng.standard_normal(6)[data["h"]]
    data["y"] += rng.standard_normal(72)
    model = ranef.fit("y ~ x + (1 | g) + (1 | h)", data)
    expected = influence(model, "g").to_frame()
    with patch.object(touched, "MOST_EFFECTS", 0):
        found = influence(model, "g").to_frame()

    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    assert influence(model, "g", exact=True).parameters is not None


def test_many_groups_in_chunks() -> None:
    """Groups are finished in chunks; their order and number stay."""
    from ranef.diagnostics import deletion

    model = fits.fitted("slopes")
    expected = influence(model, "g").to_frame()
    with patch.object(deletion, "BLOCK", 12):
        pd.testing.assert_frame_equal(influence(model, "g").to_frame(), expected, rtol=1e-12)


def aliasing() -> ranef.LinearMixedModel:
    """Return a model in which one group, and one row, carry a coefficient alone."""
    data = models.frame(5)
    data["treated"] = (data["a"] == 4).astype(float)
    data["single"] = (np.arange(len(data)) == 11).astype(float)
    return ranef.fit("y ~ x + treated + single + (1 | a) + (1 | b)", data)


@pytest.mark.parametrize("exact", [False, True])
def test_cases_that_carry_a_coefficient(exact: bool) -> None:
    """Without them the others do not determine beta: NaN, and a note that says so."""
    model = aliasing()
    found = influence(model, "a", exact=exact)
    carried = model.design.variables.to_frame()["a"].iloc[11]
    missing = found.beta.index[found.beta.isna().any(axis=1)]

    assert set(missing) == {4, carried}
    assert set(found.notes.index) == {4, carried}
    assert found.notes.str.contains("do not determine").all()
    assert found.to_frame().drop(columns="size").loc[4].drop("sigma", errors="ignore").isna().all()
    assert "No values without" in str(found)


def test_rows_that_carry_a_coefficient() -> None:
    """A row with leverage one has NaN, and a note."""
    found = influence(aliasing())

    assert list(found.notes.index) == [11]
    assert found.beta.drop(11).notna().all(axis=None)
    assert found.beta.loc[11].isna().all()


def test_two_groups() -> None:
    """Without one of two groups the variances stay known; to estimate them again is impossible."""
    data = models.frame(1)
    data["half"] = np.arange(len(data)) % 2
    model = ranef.fit("y ~ x + (1 | a) + (0 + x | half)", data)

    check_against_dense(model, "half")
    refitted = influence(model, "half", exact=True)
    assert refitted.notes.str.contains("single level").all()
    assert refitted.beta.isna().all(axis=None)


def test_aliased_columns_are_left_out() -> None:
    """Only estimable coefficients have columns."""
    found = influence(fits.fitted("aliased"), "g")

    assert list(found.beta) == ["Intercept", "x", "z"]


def test_labels_and_sizes() -> None:
    """Cases are called as in the data, rows by the caller's index."""
    model = fits.fitted("crossed")
    groups, rows = influence(model, "h"), influence(model)

    assert list(groups.beta.index) == list("pqrst")
    assert groups.beta.index.name == "h"
    assert groups.size.sum() == model.nobs
    assert rows.beta.index.equals(model.design.index)
    assert list(groups.to_frame()) == [
        "size", "cooks_distance", "covratio", "sigma",
        "dfbetas_Intercept", "dfbetas_x", "dfbetas_z",
    ]  # fmt: skip


def test_frozen() -> None:
    """What is handed out are copies, arrays are read-only."""
    found = influence(fits.fitted("crossed"), "h")
    beta, cooks = found.beta, found.cooks_distance
    beta.iloc[0, 0] = cooks.iloc[0] = 99.0

    assert found.beta.iloc[0, 0] != 99.0
    assert found.cooks_distance.iloc[0] != 99.0
    assert not found.size.flags.writeable
    with pytest.raises(AttributeError):
        found.by = "g"  # type: ignore[misc]


def test_scalings() -> None:
    """The textbooks' distance, or lme4's factor (m - p) / m for m cases."""
    found = influence(fits.fitted("crossed"), "h")

    np.testing.assert_allclose(found.cooks("lme4"), found.cooks_distance * (5 - 3) / 5, rtol=1e-15)


@pytest.mark.parametrize("fmt", ["to_text", "to_html", "to_markdown", "to_latex"])
def test_prints(fmt: str) -> None:
    """The largest distances first, in every format."""
    found = influence(fits.fitted("slopes"), "g")
    text = getattr(found, fmt)()

    assert str(found.cooks_distance.idxmax()) in text
    assert "10 largest of 20" in text


def test_print_of_cases_without_values() -> None:
    """Distances that do not exist are counted, not shown; reasons are whole sentences."""
    data = fits.fitted("slopes").design.variables.to_frame()
    two = data[data["g"].isin(data["g"].unique()[:2])]
    found = influence(ranef.fit("y ~ x + (1 | g)", two), "g", exact=True)
    text = " ".join(str(found).split())
    assert "none of 2 has a Cook's distance" in text
    assert ".;" not in text and ".." not in text
    assert "at least two; no values without" in text


def test_print_of_all_cases() -> None:
    """Few cases are all shown."""
    text = str(influence(fits.fitted("crossed"), "h"))
    assert "(all 5 Cook's distances shown)" in text
