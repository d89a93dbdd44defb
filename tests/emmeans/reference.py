"""What R's emmeans says: tests/data/emmeans.json.gz, made by tests/data/emmeans.R."""

from __future__ import annotations

import gzip
import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ranef
from ranef.errors import RankDeficiencyWarning

FILE = Path(__file__).parents[1] / "data" / "emmeans.json.gz"

# R's columns, and ranef's
NUMBERS = {
    "SE": "std_error",
    "df": "df",
    "lower.CL": "conf_low",
    "upper.CL": "conf_high",
    "asymp.LCL": "conf_low",
    "asymp.UCL": "conf_high",
    "null": "null",
    "t.ratio": "statistic",
    "z.ratio": "statistic",
    "p.value": "p_value",
}
ESTIMATES = {
    "emmean",
    "estimate",
    "response",
    "ratio",
    "x.trend",
    "p.trend",
    "log(p).trend",
    "effect.size",
}


@cache
def content() -> dict[str, Any]:
    """Return the file."""
    with gzip.open(FILE, "rt", encoding="utf-8") as text:
        return json.load(text)


@cache
def _frame() -> pd.DataFrame:
    frame = pd.DataFrame(content()["data"])
    frame["c"] = pd.Categorical(frame["c"], ["lo", "mid", "hi", "top"])
    return frame


def frame(kind: str = "") -> pd.DataFrame:
    """Return the data; ``ordered``: c has polynomial contrasts; ``gap``: a cell is missing."""
    data = _frame().copy()
    if kind == "ordered":
        data["c"] = data["c"].cat.as_ordered()
    if kind == "gap":
        data = data[~((data["a"] == "a1") & (data["c"] == "hi"))]
    return data


@cache
def fitted(formula: str, kind: str = "", **options: Any) -> ranef.LinearMixedModel:
    """Fit a model to the data; ``options`` are tuples of pairs where `ranef.fit` takes dicts."""
    options = {k: dict(v) if isinstance(v, tuple) else v for k, v in options.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return ranef.fit(formula, frame(kind), **options)


def table(name: str) -> pd.DataFrame:
    """Return a table of R's with ranef's names of columns; the estimates are ``estimate``."""
    return renamed(content()["results"][name])


def renamed(columns: dict[str, Any]) -> pd.DataFrame:
    """Translate the columns of a table of R's."""
    out: dict[str, Any] = {}
    for name, given in columns.items():
        values = given if isinstance(given, list) else [given]
        if name in ESTIMATES:
            out["estimate"] = np.array(values, dtype=np.float64)
        elif name in NUMBERS:
            known = [float(v) if isinstance(v, str) else v for v in values]  # "Inf"
            out[NUMBERS[name]] = np.array(known, dtype=np.float64)
        else:
            out[name] = values
    return pd.DataFrame(out)


def difference(want: Any, got: Any) -> float:
    """Return the largest difference, relative for numbers beyond one; NaN agrees with NaN."""
    a, b = np.asarray(want, dtype=np.float64), np.asarray(got, dtype=np.float64)
    assert a.shape == b.shape
    assert (np.isnan(a) == np.isnan(b)).all()
    apart = (a != b) & ~np.isnan(a)
    if not apart.any():
        return 0.0
    return float((np.abs(a - b)[apart] / np.maximum(1.0, np.abs(a[apart]))).max())
