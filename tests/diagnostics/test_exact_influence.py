"""Exact deletion: real refits, by ranef and by lme4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fits
import ranef
from diagnostics.brute import quietly
from ranef.diagnostics import influence

R = json.loads((Path(__file__).parent / "r_reference.json").read_text(encoding="utf-8"))
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}),
    "dyestuff_rows": ("Yield ~ 1 + (1 | Batch)", "dyestuff", {}),
    "pastes_batch": ("strength ~ 1 + (1 | batch/cask)", "pastes", {"reml": False}),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", {}),
}
# lme4's criterion is flat where it stops, so theta is good to 1e-6 and what depends on it to first
# order too (measured: 2e-7 and less)
OF_LME4 = 2e-6


@pytest.mark.parametrize("name", MODELS)
def test_lme4(name: str) -> None:
    """Estimates, dfbetas, Cook's distances and sigma of lme4's refits (its sign and factor)."""
    formula, data, options = MODELS[name]
    theirs = R[name]
    model = ranef.fit(formula, ranef.datasets.load(data), **options)
    found = influence(model, theirs["by"], exact=True)
    se = model.std_errors.to_numpy()

    if theirs["by"] is not None:
        assert list(map(str, found.beta.index)) == theirs["cases"]
    np.testing.assert_allclose((found.beta - np.array(theirs["beta"])) / se, 0.0, atol=OF_LME4)
    np.testing.assert_allclose(found.dfbetas, -np.array(theirs["dfbetas"]), atol=OF_LME4)
    np.testing.assert_allclose(found.cooks("lme4"), theirs["cooks"], atol=OF_LME4)
    np.testing.assert_allclose(found.sigma, theirs["sigma"], rtol=OF_LME4)


def test_lme4_itself() -> None:
    """The numbers that lme4's influence() prints for sleepstudy."""
    model = ranef.fit(*MODELS["sleepstudy"][:1], ranef.datasets.load("sleepstudy"))
    found = influence(model, "Subject", exact=True)

    # its refits stop earlier
    np.testing.assert_allclose(found.cooks("lme4"), R["lme4"]["cooks"], atol=1e-4)
    np.testing.assert_allclose(found.dfbetas, -np.array(R["lme4"]["dfbetas"]), atol=2e-3)


def test_refits_of_the_same_rows() -> None:
    """Every number is that of `ranef.fit` without the group, variance parameters included."""
    data, formula = fits.data(), "y ~ x + z + (x | g) + (1 | h)"
    model = ranef.fit(formula, data, reml=False, weights="w")
    found = influence(model, "h", exact=True)
    assert found.parameters is not None
    for level in found.beta.index:
        alone = ranef.fit(formula, data[data["h"] != level], reml=False, weights="w")
        ratio = np.linalg.det(alone.vcov) / np.linalg.det(model.vcov)
        # both searches end within 1e-8 of the criterion's minimum, theta within 1e-6
        np.testing.assert_allclose(found.beta.loc[level], alone.fixef, rtol=1e-6)
        np.testing.assert_allclose(found.std_errors.loc[level], alone.std_errors, rtol=1e-5)
        assert found.covratio[level] == pytest.approx(ratio, rel=1e-5)
        row = found.parameters.loc[level]
        assert row["sigma"] == pytest.approx(alone.sigma, rel=1e-6)
        assert row["sd_x|g"] == pytest.approx(alone.VarCorr.sd["g"]["x"], rel=1e-5)
        assert row["cor_x.Intercept|g"] == pytest.approx(
            alone.VarCorr.corr["g"].iloc[1, 0], abs=1e-5
        )


def test_closed_form_is_near() -> None:
    """In balanced data fixed effects do not depend on theta: both routes move them alike."""
    model = ranef.fit(*MODELS["sleepstudy"][:1], ranef.datasets.load("sleepstudy"))
    closed, exact = influence(model, "Subject"), influence(model, "Subject", exact=True)

    np.testing.assert_allclose(closed.beta, exact.beta, rtol=1e-9)
    np.testing.assert_allclose(closed.cooks_distance, exact.cooks_distance, rtol=1e-6)
    assert closed.parameters is None


def test_workers_do_not_matter() -> None:
    """Two processes return what one returns."""
    pytest.importorskip("joblib")
    model = ranef.fit(*MODELS["sleepstudy"][:1], ranef.datasets.load("sleepstudy"))
    one = influence(model, "Subject", exact=True)
    two = influence(model, "Subject", exact=True, n_jobs=2)

    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame(), rtol=1e-12)


def test_failed_refits_are_noted() -> None:
    """A model that cannot be fitted without a case says why, and the others go on."""
    data = pd.DataFrame({"g": [0, 0, 1, 2, 3], "x": [0.0, 1.0, 0.5, 0.2, 0.9]})
    data["y"] = [0.0, 1.5, 3.0, 1.0, 2.0]
    model = quietly("y ~ x + (1 | g)", data)
    found = influence(model, "g", exact=True)

    # without group 0 every group has one row
    assert list(found.notes.index) == [0]
    assert "one observation per group" in found.notes[0]
    assert found.beta.loc[0].isna().all()
    assert found.beta.drop(0).notna().all(axis=None)
