"""The covariance matrix of one group, against nlme and against dense matrices."""

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
from ranef.explain import implied_covariance

R = json.loads((Path(__file__).parent / "r_reference.json").read_text())
# nlme stops earlier than ranef: its variances have about four digits
NLME = 2e-4


@pytest.mark.parametrize(
    ("name", "formula", "weights"),
    [
        ("slopes", "Reaction ~ Days + (Days | Subject)", None),
        ("weighted", "Reaction ~ Days + (1 | Subject)", "w"),
    ],
)
def test_matches_nlme(name: str, formula: str, weights: str | None) -> None:
    """The marginal covariance matrix of a subject, as getVarCov gives it."""
    data = ranef.datasets.load("sleepstudy").iloc[R["rows"]].assign(w=R["w"])
    V = implied_covariance(ranef.fit(formula, data, weights=weights), "350")
    np.testing.assert_allclose(V, R["marginal"][name], rtol=NLME)
    assert list(V.index) == list(data.index[data["Subject"].astype(str) == "350"])
    assert list(V.columns) == list(V.index)


def test_compound_symmetry() -> None:
    """A random intercept makes all observations of a group equally alike."""
    model = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    V = implied_covariance(model, 1)
    np.testing.assert_allclose(V, R["marginal"]["intercept"], rtol=NLME)
    tau = model.VarCorr.cov["Rail"].iloc[0, 0]
    np.testing.assert_allclose(V, tau + model.sigma**2 * np.eye(3), rtol=1e-12)  # rounding
    correlation = implied_covariance(model, 1, correlation=True).to_numpy()
    icc = tau / (tau + model.sigma**2)
    np.testing.assert_allclose(correlation[np.triu_indices(3, 1)], icc, rtol=1e-12)
    assert (correlation.diagonal() == 1.0).all()


@pytest.mark.parametrize("name", fits.MODELS)
def test_is_a_block_of_the_whole_matrix(name: str) -> None:
    """For every grouping factor the rows and columns of the dense V, crossed terms included."""
    model = fits.fitted(name)
    n = model.nobs
    V = np.diag(np.ones(n) if model.design.weights is None else 1 / model.design.weights)
    V *= model.sigma**2
    for slot, component in zip(model.problem.slots, model.VarCorr.components, strict=True):
        columns = [np.ones(n) if c is None else c for c in slot.term.columns]
        Z = np.column_stack(columns)
        codes = slot.term.grouping.codes
        V += (Z @ component.cov @ Z.T) * (codes[:, None] == codes)
    for group in model.ngroups:
        grouping = next(
            slot.term.grouping for slot in model.problem.slots if slot.term.grouping.name == group
        )
        for level in (0, grouping.size - 1):
            rows = np.flatnonzero(grouping.codes == level)
            found = implied_covariance(model, grouping.levels[level], group)
            # the same products in another order
            np.testing.assert_allclose(found, V[np.ix_(rows, rows)], rtol=1e-10, atol=1e-12)
            assert list(found.index) == list(model.fitted.index[rows])


@pytest.mark.parametrize("level", ["308", 308, np.int64(308)])
def test_levels_are_found_as_values_or_as_text(level: object) -> None:
    """Numbers given as text and text given as numbers mean the same level."""
    data = ranef.datasets.load("sleepstudy")
    for kind in (str, int):
        frame = data.assign(Subject=data["Subject"].astype(str).astype(kind))
        model = ranef.fit("Reaction ~ Days + (Days | Subject)", frame)
        assert implied_covariance(model, level).shape == (10, 10)


def test_combined_and_dated_levels() -> None:
    """Levels of nested factors are written a:b; dates are found as dates and as text."""
    pastes = ranef.fit("strength ~ 1 + (1 | batch/cask)", ranef.datasets.load("pastes"))
    assert implied_covariance(pastes, "A:a", "batch:cask").shape == (2, 2)
    frame = ranef.datasets.load("sleepstudy")
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(frame["Days"], unit="D")
    model = ranef.fit("Reaction ~ 1 + (1 | day)", frame.assign(day=days))
    for level in (pd.Timestamp("2024-01-03"), "2024-01-03 00:00:00"):
        assert implied_covariance(model, level).shape == (18, 18)


@pytest.mark.parametrize("level", [3080, "38", None, 1.5, [308], {}, float("nan"), object()])
def test_levels_that_are_none(level: object) -> None:
    """The error names the factor and some levels, and suggests what looks alike."""
    model = ranef.fit("Reaction ~ Days + (1 | Subject)", ranef.datasets.load("sleepstudy"))
    with pytest.raises(OptionError, match=r"is not a level of Subject.* Levels: 308, 309.*\.\.\."):
        implied_covariance(model, level)
    with pytest.raises(OptionError, match=r"Did you mean .*'308'"):
        implied_covariance(model, 3080)


def test_groups_and_sizes() -> None:
    """Several factors need a name, and large groups are refused unless they are asked for."""
    model = fits.fitted("crossed")
    with pytest.raises(OptionError, match="several grouping factors"):
        implied_covariance(model, "p")
    with pytest.raises(UnknownVariableError, match="no grouping factor 'k'"):
        implied_covariance(model, "p", "k")
    rows = int((model.design.variables.to_frame()["h"] == "p").sum())
    with pytest.raises(OptionError, match=f"has {rows} rows.*limit=None"):
        implied_covariance(model, "p", "h", limit=rows - 1)
    for limit in (rows, None):
        assert implied_covariance(model, "p", "h", limit=limit).shape == (rows, rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": "x"}, "limit must be a positive whole number or None; got 'x'"),
        ({"limit": -1}, "limit must be a positive whole number or None; got -1"),
        ({"limit": 2.5}, "limit must be a positive whole number or None; got 2.5"),
        ({"correlation": "no"}, "correlation must be True or False; got 'no'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Errors say what is allowed."""
    with pytest.raises(OptionError, match=message):
        implied_covariance(fits.fitted("slopes"), 1, **options)
