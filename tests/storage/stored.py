"""Models of every kind that is worth saving, and what must be the same after loading."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import fits
import ranef
from ranef.design.newdata import fixed_columns, fixed_offset, group_codes, random_columns
from ranef.errors import RanefWarning

# beyond those of `fits`: whatever a formula can learn from data. name: formula, options of `fit`
FORMULAS: dict[str, tuple[str, dict[str, Any]]] = {
    "poly": ("y ~ poly(x, 2) * f + (1 | g)", {}),
    "raw poly": ("y ~ poly(x, 2, raw = TRUE) + (1 | g)", {"reml": False}),
    "bs": ("y ~ bs(x, df = 4) + (1 | g)", {}),
    "ns": ("y ~ ns(x, 3) + (1 + scale(z) | g)", {}),
    "cr": ("y ~ cr(x, df = 4) + (1 | g)", {}),
    "scale and center": ("y ~ scale(x) + center(z) + (0 + scale(x) | g)", {}),
    "ordered": ("y ~ o * x + (1 | g)", {}),
    "relevel": ("y ~ relevel(h, 'r') + (1 | g)", {}),
    "contrast in the formula": (
        "y ~ C(h, contr.sum) + C(f, contr.treatment(base = 2)) + (1 | g)", {}
    ),
    "contrast outside": ("log(w) ~ f * o + (1 | g)", {"contrasts": {"f": "helmert", "o": "sum"}}),
    "factor of numbers": ("y ~ factor(s) + as.numeric(o) + dummy(o, 'mid') + (1 | g)", {}),
    "labels": ("y ~ factor(h, labels = c('a','b','c','d','e')) + (1 | g)", {}),
    "dates as levels": ("y ~ x + (1 | day) + (1 | h:day)", {}),
    "dates as a factor": ("y ~ factor(h) + factor(day) + (1 | g)", {}),
    "booleans": ("y ~ flag * I(x > 0) + (flag | g)", {}),
    "offsets": ("y ~ x + offset(log(w)) + (1 | g)", {"offset": "o1", "weights": "w"}),
    "two terms on a factor": ("y ~ x + (1 | g) + (0 + x + f || g)", {}),
    "dot": ("y ~ . + (1 | g)", {"only": ["y", "x", "f", "g"]}),
    "odd names": ("`the y` ~ `100%` + (`100%` | `class`)", {}),
    "constants": ("y ~ I(x / unit) + shift + (1 | g)", {"context": "constants"}),
    "not converged": ("y ~ x + (x | g)", {"control": ranef.Control(max_evaluations=1)}),
}  # fmt: skip
NAMES = [*fits.MODELS, *FORMULAS]


@cache
def frame() -> pd.DataFrame:
    """Return the data of `fits` with columns of more kinds."""
    rng = np.random.default_rng(11)
    data = fits.data()
    n = len(data)
    order = ["lo", "mid", "hi"]
    data["o"] = pd.Categorical(rng.choice(order, n), order, ordered=True)
    data["o1"] = rng.standard_normal(n)
    data["flag"] = rng.random(n) < 0.5
    data["day"] = pd.Timestamp("2024-02-26") + pd.to_timedelta(rng.integers(0, 9, n), unit="D")
    data["the y"], data["100%"], data["class"] = data["y"], data["x"], data["g"]
    return data


def make(name: str) -> ranef.LinearMixedModel:
    """Fit a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        if name in fits.MODELS:
            return fits.fit(name)
        formula, given = FORMULAS[name]
        options = dict(given)
        data = frame()[options.pop("only", list(frame().columns))]
        if options.get("context") == "constants":
            options["context"] = {"unit": 2.5, "shift": np.arange(len(data)) % 7, "unused": print}
        return ranef.fit(formula, data, **options)


def new_data(name: str) -> pd.DataFrame:
    """Return rows to make columns for; one has a missing value."""
    data = (fits.data() if name in fits.MODELS else frame()).iloc[:40].copy()
    data.loc[data.index[3], "x"] = np.nan
    return data


def facts(model: ranef.LinearMixedModel, name: str) -> dict[str, Any]:
    """Return everything that must survive, as text and exact numbers."""
    found: dict[str, Any] = {
        "formula": str(model.formula),
        "summary": str(model.summary(ddf="normal")),
        "tests": model.coef_table().to_csv(),
        "verdict": repr(model.convergence),
        "objective": model.objective.hex(),
        "theta": model.theta.to_csv(),
        "vcov": model.vcov.to_csv(),
        "VarCorr": model.VarCorr.to_frame().to_csv(),
        "coef": {group: table.to_csv() for group, table in model.coef.items()},
        "ranef": {group: table.to_csv() for group, table in model.ranef.items()},
        "sd": {group: table.to_csv() for group, table in model.ranef.sd.items()},
        "fitted": model.fitted.to_csv(),
        "pearson": model.residuals("pearson").to_csv(),
        "variables": model.design.variables.to_frame().to_csv(),
        "dropped": [model.design.n_total, dict(model.design.dropped), model.dropped_columns],
    }
    if name != "constants":  # a constant with a value for every row of the training data
        newdata = new_data(name)
        X = fixed_columns(model.design, newdata)
        offset = fixed_offset(model.design, newdata)
        found["new X"] = pd.DataFrame(X if isinstance(X, np.ndarray) else X.toarray()).to_csv()
        found["new offset"] = None if offset is None else offset.tolist()
        found["new Z"] = [
            [
                None if column is None else list(map(float.hex, column.tolist()))
                for column in columns
            ]
            for columns in (random_columns(term, newdata) for term in model.design.terms)
        ]
        found["new groups"] = [
            group_codes(term.grouping, newdata).codes.tolist() for term in model.design.terms
        ]
    return found
