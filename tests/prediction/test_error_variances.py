"""Variances of prediction errors, against the definition on n x n matrices.

The predictor is a linear function c'y of the data. For any c the variance of c'y - x'beta - z'b is
(Z'c - l)'Sigma(Z'c - l) + c'c; with the c of the best predictor this shares nothing with the
elimination or with Henderson's inverse.
"""

from __future__ import annotations

import warnings
from functools import cache
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import ranef
from models import SHAPES, VARIANTS, Variant, frame, random_theta, through
from oracle import Dense
from ranef.covariance.chart import Factors, lower, lower_chart
from ranef.prediction import blocks, predict, rows
from ranef.prediction.rows import Rows, fitted_rows, new_rows
from ranef.prediction.variances import relative_variances, variance_slopes
from ranef.typing import FloatArray

# Two ways through double precision to numbers of size one, with matrices of condition 1e3.
ROUNDING = 1e-9


@cache
def model_of(shape: str, variant: Variant, weighted: bool) -> ranef.LinearMixedModel:
    """Fit a formula to random data along one way through the core."""
    columns = {"weights": "w", "offset": "o"} if weighted else {}
    with through(variant), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranef.fit(SHAPES[shape], frame(3), **columns)


def unseen() -> pd.DataFrame:
    """Return data with pairs of levels that never met, misplaced nested levels and new ones."""
    new = frame(77, 24)
    new.loc[:4, "a"] = 99
    new.loc[3:8, "mid"] = 98
    return new


def factors(model: ranef.LinearMixedModel, *, singular: bool) -> Factors:
    """Return parameters other than the estimates, some of them zero on request."""
    problem = model.problem
    theta = random_theta(model.design, 5, singular=singular)
    return lower(problem.to_core(theta), problem.objective.blocks)


def by_definition(model: ranef.LinearMixedModel, T: Factors, wanted: Rows) -> FloatArray:
    """Return the variances of the prediction errors, relative to sigma^2."""
    point = Dense.of_core(model.problem, model.design, reml=True).at(T)
    root = np.ones(model.nobs) if model.design.weights is None else np.sqrt(model.design.weights)
    X = root[:, None] * np.asarray(model.problem.basis.columns)
    half = point.V_inverse @ X
    information = X.T @ half
    P = point.V_inverse - half @ np.linalg.solve(information, half.T)
    x = wanted.fixed(slice(None))
    out = np.zeros(wanted.size)
    for i in range(wanted.size):
        c = half @ np.linalg.solve(information, x[i])
        targets = [np.zeros((Z.shape[2], Z.shape[1])) for Z in point.model.Z]
        for group in wanted.groups:
            if group.codes[i] >= 0:
                targets[group.factor][:, group.codes[i]] = group.z[i]
            else:
                out[i] += ((group.z[i] @ T[group.factor]) ** 2).sum()
        for Z, t, target in zip(point.model.Z, T, targets, strict=True):
            c += P @ np.einsum("njk,kj->n", Z, t @ t.T @ target)
        out[i] += c @ c
        for Z, t, target in zip(point.model.Z, T, targets, strict=True):
            out[i] += ((t.T @ (np.einsum("njk,n->kj", Z, c) - target)) ** 2).sum()
    return out


def all_factors(model: ranef.LinearMixedModel) -> set[int]:
    """Return the grouping factors."""
    return set(range(len(model.problem.groups)))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", SHAPES)
def test_definition(shape: str, weighted: bool, variant: Variant) -> None:
    """New data of every kind, ordinary and singular parameters, all ways through the core."""
    model = model_of(shape, variant, weighted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = new_rows(model, unseen(), all_factors(model), False, "population")
    for singular in (False, True):
        T = factors(model, singular=singular)
        got = relative_variances(model.problem, T, wanted)
        np.testing.assert_allclose(got, by_definition(model, T, wanted), rtol=ROUNDING, atol=1e-14)


@pytest.mark.parametrize("shape", ["nested three deep", "crossed vectors", "cells and margins"])
def test_some_of_the_groups(shape: str) -> None:
    """Leaving groups out, or counting them as unknown, is no special case."""
    model = model_of(shape, VARIANTS[1], True)
    T = factors(model, singular=False)
    for asked in ({0}, {1}, {2}, {0, 2}, set()):
        for rest in (False, True):
            wanted = new_rows(model, unseen(), asked, rest, "population")
            got = relative_variances(model.problem, T, wanted)
            want = by_definition(model, T, wanted)
            np.testing.assert_allclose(got, want, rtol=ROUNDING)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_the_fit(shape: str) -> None:
    """The rows of the fit have the same variances as the same rows given as new data."""
    model = model_of(shape, VARIANTS[1], False)
    asked = all_factors(model)
    T = factors(model, singular=False)
    own = relative_variances(model.problem, T, fitted_rows(model, asked, False))
    new = relative_variances(model.problem, T, new_rows(model, frame(3), asked, False, "error"))
    # columns of the fit and of new data are computed alike up to rounding
    np.testing.assert_allclose(own, new, rtol=1e-11)


def test_blocks_of_rows_do_not_matter() -> None:
    """Many rows are worked on in blocks, and their levels in slabs: the numbers stay the same."""
    model = model_of("crossed vectors", VARIANTS[1], True)
    whole = predict(model, frame(8, 200), interval="prediction")
    with patch.object(rows, "BLOCK", 100), patch.object(blocks, "SLAB_BYTES", 1000):
        parts = predict(model, frame(8, 200), interval="prediction")
    # sums in another order; degrees of freedom magnify rounding by 1e5, the inverse of a step
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-9)


@pytest.mark.parametrize("shape", ["slopes", "nested", "crossed vectors"])
def test_derivatives(shape: str) -> None:
    """Derivatives by theta agree with those of the definition, by another difference formula."""
    model = model_of(shape, VARIANTS[1], False)
    T, chart = factors(model, singular=False), lower_chart(model.problem.objective.blocks)
    wanted = new_rows(model, unseen().iloc[:6], all_factors(model), False, "population")
    got = variance_slopes(model.problem, T, chart, wanted)
    x, h = chart.read(T), 1e-3
    for i in range(chart.size):
        step = h * (np.arange(chart.size) == i)
        far_left, left, right, far_right = (
            by_definition(model, chart.write(T, x + s * step), wanted) for s in (-2, -1, 1, 2)
        )
        want = (far_left - 8 * left + 8 * right - far_right) / (12 * h)
        # fourth-order differences: h^4 / 30 times a fifth derivative of size 100
        np.testing.assert_allclose(got[:, i], want, rtol=1e-6, atol=1e-8)


def test_large_ratio() -> None:
    """Groups that differ 1e5 times more than their members: a known mean is as good as its rows."""
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 25)
    data = pd.DataFrame({"g": g, "y": 1e5 * rng.standard_normal(12)[g] + rng.standard_normal(300)})
    model = ranef.fit("y ~ 1 + (1 | g)", data)
    found = predict(model, data, interval="confidence")
    # nothing is shrunk at this ratio: the prediction is the group's mean, up to 1e-10
    np.testing.assert_allclose(found["std_error"], model.sigma / 5, rtol=1e-8)
    # those of sigma; theta is 1e5 times its natural size, and its curvature keeps 5 digits
    np.testing.assert_allclose(found["df"], 300 - 12, rtol=1e-4)
