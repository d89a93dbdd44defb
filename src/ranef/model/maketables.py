"""Attributes that the package maketables looks for; the work is done in `ranef.export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from ranef.model.fitted import LinearMixedModel


def coefficients(self: LinearMixedModel) -> pd.DataFrame:
    """Return the coefficients with their tests."""
    from ranef.export.maketables import coefficients

    return coefficients(self)


def statistic(self: LinearMixedModel, key: str) -> float | int | None:
    """Return a statistic of the fit by its key."""
    from ranef.export.maketables import statistic

    return statistic(self, key)


def response(self: LinearMixedModel) -> str:
    """Return the response as written in the formula."""
    return self.design.response


def labels(self: LinearMixedModel) -> dict[str, str]:
    """Return what statistics are called in print."""
    from ranef.export.maketables import labels

    return labels(self)


def default_statistics(self: LinearMixedModel) -> list[str]:
    """Return the keys of the statistics that are shown by default."""
    from ranef.export.maketables import default_statistics

    return default_statistics(self)


def covariance(self: LinearMixedModel) -> dict[str, str]:
    """Return where standard errors come from."""
    return {"vcov_type": "REML" if self.reml else "ML"}
