"""Conditional covariances among the effects that a group of rows touches, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, core_point, through
from ranef.diagnostics.touched import conditional_covariance
from ranef.linalg.elimination import factorize
from ranef.prediction import level_covariances
from ranef.typing import FloatArray


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_touched_effects(shape: str, variant: Variant) -> None:
    """Var(b | y) at known beta, T inv(I + T'Z'ZT) T', for the levels of some rows."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 17, reml=True, weighted=True)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    rows = np.arange(0, 80, 7)
    touched = [np.unique(group.codes[rows]) for group in problem.groups]
    found = conditional_covariance(level_covariances(f, pairs=True), touched)
    Z = np.hstack([Z.swapaxes(1, 2).reshape(len(Z), -1) for Z in dense.model.Z])
    factor = np.zeros((Z.shape[1], Z.shape[1]))
    place, start = [], 0
    for part, own, at in zip(T, dense.model.Z, touched, strict=True):
        k, count = len(part), own.shape[1]
        own_rows = slice(start, start + k * count)
        factor[own_rows, own_rows] = np.kron(part, np.eye(count))
        place.append((start + np.arange(k)[:, None] * count + at).ravel())
        start += k * count
    ZT = Z @ factor
    whole: FloatArray = factor @ np.linalg.inv(np.eye(start) + ZT.T @ ZT) @ factor.T
    chosen = np.concatenate(place)
    np.testing.assert_allclose(found, whole[np.ix_(chosen, chosen)], atol=1e-12)  # rounding: 1e-14
