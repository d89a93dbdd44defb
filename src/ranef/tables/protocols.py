"""What the summary reads from a fitted model, written down without importing one.

The printing rooms stay below the model: results and models print themselves through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from ranef.tables.document import Table
from ranef.typing import FloatArray, ResidualKind


class VarianceTable(Protocol):
    """The printable side of ``VarCorr``."""

    def table(self, *, variances: bool = False, digits: int = 5, title: str = "") -> Table:
        """Return the table of standard deviations and correlations."""


class Verdict(Protocol):
    """The verdict about convergence."""

    @property
    def status(self) -> object:
        """An enumeration member, or its value; ``converged`` for an ordinary good fit."""

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""


class DesignFacts(Protocol):
    """What became of the caller's data."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Rows with a missing value, per variable."""

    @property
    def n_total(self) -> int:
        """Rows in the caller's data."""

    @property
    def weights(self) -> FloatArray | None:
        """Prior weights."""

    @property
    def offset(self) -> FloatArray | None:
        """Known part of the mean."""


class SummarizedModel(Protocol):
    """A fitted linear mixed model, as far as its summary needs it."""

    @property
    def formula(self) -> object: ...  # noqa: D102 - these are described at the model itself
    @property
    def reml(self) -> bool: ...  # noqa: D102
    @property
    def nobs(self) -> int: ...  # noqa: D102
    @property
    def ngroups(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def vcov(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def VarCorr(self) -> VarianceTable: ...  # noqa: D102
    @property
    def sigma(self) -> float: ...  # noqa: D102
    @property
    def objective(self) -> float: ...  # noqa: D102
    @property
    def loglik(self) -> float: ...  # noqa: D102
    @property
    def aic(self) -> float: ...  # noqa: D102
    @property
    def bic(self) -> float: ...  # noqa: D102
    @property
    def df(self) -> int: ...  # noqa: D102
    @property
    def df_resid(self) -> int: ...  # noqa: D102
    @property
    def is_singular(self) -> bool: ...  # noqa: D102
    @property
    def convergence(self) -> Verdict: ...  # noqa: D102
    @property
    def dropped_columns(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def design(self) -> DesignFacts: ...  # noqa: D102
    def residuals(self, kind: ResidualKind = ...) -> pd.Series[float]: ...  # noqa: D102
