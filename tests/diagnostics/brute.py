"""Deletion of rows by dense algebra: the model without them, at the same covariance parameters."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ranef
from oracle import Dense, Point
from ranef.errors import IdentifiabilityWarning, RankDeficiencyWarning
from ranef.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Deleted:
    """What is left of a model without some rows."""

    beta: FloatArray
    covariance: FloatArray
    sigma2: float


def quietly(formula: str, data: Any, **options: Any) -> ranef.LinearMixedModel:
    """Fit a model without the warnings about columns and parameters that are not determined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        warnings.simplefilter("ignore", IdentifiabilityWarning)
        return ranef.fit(formula, data, **options)


def point(model: ranef.LinearMixedModel) -> Point:
    """Return the whole model by dense algebra, at its estimates."""
    dense = Dense.of(model.design, reml=model.reml)
    return dense.at(dense.factors(model.theta_values))


def delete(whole: Point, keep: BoolArray) -> Deleted:
    """Return estimates from the rows ``keep``: V is inverted anew, n x n."""
    dense = whole.model
    part = replace(dense, y=dense.y[keep], X=dense.X[keep], Z=tuple(Z[keep] for Z in dense.Z)).at(
        whole.T
    )
    return Deleted(part.beta, part.sigma2 * np.linalg.inv(part.information), part.sigma2)
