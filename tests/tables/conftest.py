"""R's numbers and R's printed lines, and a stand-in for a fitted model that holds such numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ranef.variance import VarCorr, VarianceComponent

HERE = Path(__file__).parent


class Status(Enum):
    """Verdicts, as a fitted model has them."""

    CONVERGED = "converged"
    SINGULAR = "singular"


@dataclass(frozen=True)
class Verdict:
    """Verdict about convergence."""

    status: object = Status.CONVERGED
    message: str = "The optimizer converged."


@dataclass(frozen=True)
class DesignFacts:
    """What became of the data."""

    n_total: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    weights: object = None
    offset: object = None


@dataclass(frozen=True)
class StandIn:
    """The attributes of a fitted model that its summary reads."""

    formula: str
    reml: bool
    nobs: int
    ngroups: Mapping[str, int]
    vcov: pd.DataFrame
    VarCorr: VarCorr
    sigma: float
    objective: float
    loglik: float
    aic: float
    bic: float
    df: int
    df_resid: int
    is_singular: bool
    convergence: Verdict
    dropped_columns: tuple[str, ...]
    design: DesignFacts
    scaled: tuple[float, ...]

    def residuals(self, kind: str = "response") -> pd.Series:
        """Return the Pearson residuals: what lme4's summary scales by sigma."""
        assert kind == "pearson"
        return pd.Series(self.scaled) * self.sigma


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """Everything in r_reference.json."""
    return json.loads((HERE / "r_reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def snapshot() -> Callable[[str], str]:
    """Return the text of a file in snapshots/."""
    return lambda name: (HERE / "snapshots" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def fitted(reference: dict[str, Any]) -> Callable[..., StandIn]:
    """Return a function that makes the stand-in for a case, under other names if asked."""

    def make(name: str, rename: Callable[[str], str] = str, **changes: Any) -> StandIn:
        case = reference["cases"][name]
        names = [rename(label) for label in case["names"]]
        singular = case["singular"]
        values = {
            "formula": case["formula"],
            "reml": case["reml"],
            "nobs": case["nobs"],
            "ngroups": case["ngroups"],
            "vcov": pd.DataFrame(case["vcov"], index=names, columns=names),
            "VarCorr": VarCorr(tuple(_components(case, name, rename)), case["sigma"]),
            "is_singular": singular,
            "convergence": Verdict(Status.SINGULAR, "The fit is singular: Batch is 0.")
            if singular
            else Verdict(),
            "dropped_columns": tuple(case["dropped_columns"]),
            "design": DesignFacts(case["nobs"]),
            "scaled": tuple(case["residuals"]),
        }
        same = ("sigma", "objective", "loglik", "aic", "bic", "df", "df_resid")
        return StandIn(**{**values, **{key: case[key] for key in same}, **changes})

    return make


@pytest.fixture(scope="session")
def coefficients(reference: dict[str, Any]) -> Callable[..., pd.DataFrame]:
    """Return a function that gives R's coefficient table in ranef's columns."""

    def make(name: str, ddf: str = "t", rename: Callable[[str], str] = str) -> pd.DataFrame:
        case = reference["cases"][name]
        t_columns = ["estimate", "std_error", "df", "statistic", "p_value"]
        z_columns = ["estimate", "std_error", "statistic", "p_value"]
        values, columns = (
            (case["z"], z_columns) if ddf == "normal" else (case["coefficients"], t_columns)
        )
        index = [rename(label) for label in case["names"]]
        return pd.DataFrame(values, index=index, columns=columns).assign(
            **({"df": np.inf} if ddf == "normal" else {}), conf_low=np.nan, conf_high=np.nan
        )[[*t_columns, "conf_low", "conf_high"]]

    return make


def _components(
    case: dict[str, Any], name: str, rename: Callable[[str], str]
) -> list[VarianceComponent]:
    """Undo lme4's names: terms of one factor share its name, and ``||`` is one term."""
    parts = case["varcorr"]
    if name == "uncorrelated":
        names = tuple(rename(part["names"][0]) for part in parts)
        cov = np.diag([part["cov"][0][0] for part in parts])
        return [VarianceComponent("Subject", names, cov, correlated=False)]
    return [
        VarianceComponent(
            part["group"].split(".")[0], tuple(map(rename, part["names"])), np.array(part["cov"])
        )
        for part in parts
    ]
