"""The packages that are compared: one adapter each, and what all of them answer.

An adapter is a module with four functions.

``cannot(model, data)``
    Why the package has no way to say this model, or None. Nothing is fitted instead of it.
``prepare(model, data)``
    The data in the form that the package likes best. Not timed.
``fit(model, prepared)``
    The fit with default settings, as a user would write it. Timed.
``read(model, fitted)``
    `Estimates`. Not timed.

lme4 is not in Python: its adapter is ``worker.R``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from packages.parts import Model

# Name of the package -> name of its distribution, which is also how its version is asked for.
DISTRIBUTIONS = {
    "ranef": "ranef",
    "lme4": "",
    "statsmodels": "statsmodels",
    "mixedlm": "mixedlm",
    "mixedlm-rs": "mixedlm-rs",
    "lme_python": "lme_python",
    "gpboost": "gpboost",
}
NAMES = tuple(DISTRIBUTIONS)


@dataclass(frozen=True)
class Estimates:
    """What a package found, in numbers that mean the same everywhere.

    Attributes
    ----------
    sigma2 : float
        Residual variance.
    covariance : dict
        For every grouping factor the covariance matrix of all its random effects, in the order
        of the formula; zeros between effects of different terms.
    evaluations : int or None
        How often the criterion was evaluated, or iterations where only these are told.
    converged : bool or None
        What the package says about itself.
    """

    sigma2: float
    covariance: dict[str, list[list[float]]]
    evaluations: int | None
    converged: bool | None


class Adapter(Protocol):
    """The functions of an adapter; see the top of this file."""

    def cannot(self, model: Model, data: pd.DataFrame) -> str | None: ...  # noqa: D102
    def prepare(self, model: Model, data: pd.DataFrame) -> Any: ...  # noqa: D102
    def fit(self, model: Model, prepared: Any) -> Any: ...  # noqa: D102
    def read(self, model: Model, fitted: Any) -> Estimates: ...  # noqa: D102


def version(name: str) -> str | None:
    """Return the version of a package; None where it is not installed (lme4: where R is not)."""
    if name == "lme4":
        return "R" if shutil.which("Rscript") else None
    try:
        return importlib.metadata.version(DISTRIBUTIONS[name])
    except importlib.metadata.PackageNotFoundError:
        return None


def adapter(name: str) -> Adapter:
    """Return the adapter of a package in Python."""
    module: Any = importlib.import_module(f"packages.{name.replace('-', '_')}")
    return module  # type: ignore[no-any-return]


def assemble(parts: Iterable[tuple[str, Any]]) -> dict[str, list[list[float]]]:
    """Put the covariance matrices of terms together, by grouping factor, in the order given."""
    found: dict[str, np.ndarray] = {}
    for group, matrix in parts:
        old, new = found.get(group, np.zeros((0, 0))), np.atleast_2d(np.asarray(matrix, float))
        size = len(old)
        both = np.zeros((size + len(new), size + len(new)))
        both[:size, :size], both[size:, size:] = old, new
        found[group] = both
    return {group: matrix.tolist() for group, matrix in found.items()}
