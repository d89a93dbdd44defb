"""The parameters that users ask intervals for: standard deviations, correlations and sigma.

theta is how the core sees the covariance matrices. People read standard deviations and
correlations: for every term its standard deviations, then its correlations (column by column of
the lower triangle), and the residual standard deviation last. All are functions of the covariance
matrices Sigma_f of the factors and of sigma, and are computed here for one fit or for many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ranef.covariance.chart import Factors
from ranef.estimation import Problem
from ranef.names import make_unique
from ranef.typing import FloatArray


@dataclass(frozen=True, slots=True)
class VarianceParameter:
    """One standard deviation or correlation.

    Attributes
    ----------
    kind : {"sd", "cor", "sigma"}
    name : str
        ``sd_Days|Subject``, ``cor_Days.Intercept|Subject``, ``sigma``; unique in a model.
    group : str
        Grouping factor; ``Residual`` for sigma.
    factor, row, col : int
        The element of that factor's covariance matrix (the core's order of factors); -1 for sigma.
        ``row == col`` for a standard deviation.
    """

    kind: Literal["sd", "cor", "sigma"]
    name: str
    group: str
    factor: int
    row: int
    col: int


def variance_parameters(problem: Problem) -> tuple[VarianceParameter, ...]:
    """Return the variance parameters of a model, in the order in which they are reported."""
    found: list[tuple[Literal["sd", "cor", "sigma"], str, str, int, int, int]] = []
    for slot in problem.slots:
        group, names = slot.term.grouping.name, slot.term.names
        for i, name in enumerate(names):
            at = slot.start + i
            found.append(("sd", f"sd_{name}|{group}", group, slot.factor, at, at))
        for start, stop in slot.blocks:
            for b in range(start, stop):
                for a in range(b + 1, stop):
                    row, col = names[a - slot.start], names[b - slot.start]
                    found.append(("cor", f"cor_{row}.{col}|{group}", group, slot.factor, a, b))
    found.append(("sigma", "sigma", "Residual", -1, -1, -1))
    unique = make_unique(name for _, name, *_ in found)
    return tuple(
        VarianceParameter(kind, name, group, factor, row, col)
        for (kind, _, group, factor, row, col), name in zip(found, unique, strict=True)
    )


def covariance_matrices(problem: Problem, T: Factors) -> Factors:
    """Return the covariance matrices W T T' W' of every factor, relative to sigma^2.

    Parameters
    ----------
    problem : Problem
    T : tuple of float64 arrays (..., k_f, k_f)
        The core's factors; leading axes (replicates) are kept.
    """
    out = []
    for group, t in zip(problem.groups, T, strict=True):
        raw = group.whitening @ t
        out.append(raw @ np.swapaxes(raw, -1, -2))
    return tuple(out)


def parameter_values(
    parameters: Sequence[VarianceParameter],
    covariances: Factors,
    sigma: FloatArray | float,
) -> FloatArray:
    """Return the values of variance parameters, (..., m).

    Parameters
    ----------
    parameters : sequence of m VarianceParameter
    covariances : tuple of float64 arrays (..., k_f, k_f)
        Relative to sigma^2, from `covariance_matrices`.
    sigma : float64 array (...)

    Returns
    -------
    float64 array (..., m)
        A correlation with an effect that has no variance is NaN.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    out = np.empty((*sigma.shape, len(parameters)))
    for i, parameter in enumerate(parameters):
        if parameter.kind == "sigma":
            out[..., i] = sigma
            continue
        cov, a, b = covariances[parameter.factor], parameter.row, parameter.col
        if parameter.kind == "sd":
            out[..., i] = sigma * np.sqrt(cov[..., a, a])
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            cor = cov[..., a, b] / np.sqrt(cov[..., a, a] * cov[..., b, b])
        out[..., i] = np.clip(cor, -1.0, 1.0)
    return out
