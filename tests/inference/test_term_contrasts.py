"""The hypotheses of types I, II and III mean what they are said to mean.

Oracles: differences of residual sums of squares of nested least-squares models, which share nothing
with contrast matrices, and that type III does not see how factors are coded.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranef
from ranef.errors import RanefWarning
from ranef.inference.anova import anova
from ranef.inference.term_contrasts import term_contrasts
from ranef.typing import FloatArray


def quiet_fit(formula: str, data: pd.DataFrame, **options: Any) -> ranef.LinearMixedModel:
    """Fit without ranef's warnings about aliased columns and singular fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        return ranef.fit(formula, data, **options)


FORMULAS = (
    "A * B + C",
    "A * B * C",
    "A * x + B",
    "B * (x + z)",
    "A + B:C",
    "A * C + poly(x, 2)",
    "A + A:B + z",
    "x * z + B:x",
)


def random_data(seed: int, n: int = 70, *, holes: bool = False) -> pd.DataFrame:
    """Return an unbalanced design in which every combination of levels occurs, or not."""
    rng = np.random.default_rng(seed)
    cells = [(a, b, c) for a in "ab" for b in "pqr" for c in "uvw"]
    more = [cells[i] for i in rng.integers(0, len(cells), n - len(cells))]
    data = pd.DataFrame([*cells, *more], columns=["A", "B", "C"])
    data["x"], data["z"] = rng.normal(size=n) + (data["A"] == "b"), rng.normal(size=n) + 2
    data["g"] = rng.integers(0, 8, n)
    data["y"] = rng.normal(size=n) + rng.normal(size=8)[data["g"]]
    if holes:
        gone = [cells[i] for i in rng.choice(len(cells), 4, replace=False)]
        keep = [cell not in gone for cell in zip(data["A"], data["B"], data["C"], strict=True)]
        data = data[keep]
    return data


def least_squares_sum(model: ranef.LinearMixedModel, L: FloatArray) -> float:
    """Return b'L'(L (X'X)^-1 L')^-1 L b with least-squares estimates b: what a hypothesis costs."""
    X = np.asarray(model.design.X)[:, model.problem.basis.kept]
    b = np.linalg.lstsq(X, model.design.y, rcond=None)[0]
    middle = L @ np.linalg.inv(X.T @ X) @ L.T
    return float((L @ b) @ np.linalg.solve(middle, L @ b))


def residual_sum(model: ranef.LinearMixedModel, columns: list[int]) -> float:
    """Return the residual sum of squares of least squares on some columns of X."""
    X, y = np.asarray(model.design.X)[:, columns], model.design.y
    rest = y - X @ np.linalg.lstsq(X, y, rcond=None)[0] if columns else y
    return float(rest @ rest)


def columns_of(model: ranef.LinearMixedModel, *without: str) -> list[int]:
    """Return the columns of X that do not belong to the terms ``without``."""
    dropped = {
        column
        for block in model.design.spec.terms
        if block.label in without
        for column in range(block.start, block.stop)
    }
    return [column for column in range(model.design.X.shape[1]) if column not in dropped]


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), formula=st.sampled_from(FORMULAS))
def test_type_one_is_sequential(seed: int, formula: str) -> None:
    """In least squares, type I is the drop of the residual sum by each term after those before."""
    model = quiet_fit(f"y ~ {formula} + (1 | g)", random_data(seed))
    labels = [block.label for block in model.design.spec.terms]
    found = term_contrasts(model, 1)
    total = 0.0
    for i, (label, L) in enumerate(zip(found.labels, found.rows, strict=True)):
        drop = residual_sum(model, columns_of(model, *labels[i:])) - residual_sum(
            model, columns_of(model, *labels[i + 1 :])
        )
        assert label == labels[i]
        assert least_squares_sum(model, L) == pytest.approx(drop, rel=1e-7, abs=1e-9)
        total += drop
    explained = residual_sum(model, columns_of(model, *labels)) - residual_sum(
        model, columns_of(model)
    )
    assert total == pytest.approx(explained, rel=1e-9)


CONTAINING = {
    "A * B + C": {"A": ["A:B"], "B": ["A:B"]},
    "A * B * C": {
        "A": ["A:B", "A:C", "A:B:C"],
        "B": ["A:B", "B:C", "A:B:C"],
        "C": ["A:C", "B:C", "A:B:C"],
        "A:B": ["A:B:C"],
        "A:C": ["A:B:C"],
        "B:C": ["A:B:C"],
    },
    "A * x + B": {"x": ["A:x"]},
    "B * (x + z)": {"x": ["B:x"], "z": ["B:z"]},
    "A * C + poly(x, 2)": {"A": ["A:C"], "C": ["A:C"]},
    "A + A:B + z": {"A": ["A:B"]},
    "x * z + B:x": {"x": ["x:B"]},
}


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), formula=st.sampled_from(sorted(CONTAINING)))
def test_type_two_adjusts_for_terms_that_do_not_contain_it(seed: int, formula: str) -> None:
    """In least squares, type II is the drop of the residual sum without the containing terms."""
    model = quiet_fit(f"y ~ {formula} + (1 | g)", random_data(seed))
    found = term_contrasts(model, 2)
    for label, L in zip(found.labels, found.rows, strict=True):
        later = CONTAINING[formula].get(label, [])
        drop = residual_sum(model, columns_of(model, label, *later)) - residual_sum(
            model, columns_of(model, *later)
        )
        assert least_squares_sum(model, L) == pytest.approx(drop, rel=1e-7, abs=1e-9)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), formula=st.sampled_from(["A * B + C", "A * B * C", "A * x + B"]))
def test_type_three_drops_columns_coded_by_sums(seed: int, formula: str) -> None:
    """With all cells filled, type III is the drop by the term's columns if factors sum to zero.

    A covariate is tested averaged over groups, a factor at zero of the covariate.
    """
    data = random_data(seed)
    factors = {name: "sum" for name in "ABC" if name in formula}
    by_sums = quiet_fit(f"y ~ {formula} + (1 | g)", data, contrasts=factors)
    model = quiet_fit(f"y ~ {formula} + (1 | g)", data)
    found = term_contrasts(model, 3)
    for label, L in zip(found.labels, found.rows, strict=True):
        drop = residual_sum(by_sums, columns_of(by_sums, label)) - residual_sum(
            by_sums, columns_of(by_sums)
        )
        assert least_squares_sum(model, L) == pytest.approx(drop, rel=1e-7, abs=1e-9)


CODINGS = st.sampled_from(["treatment", "sum", "helmert", "poly"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    formula=st.sampled_from([*FORMULAS, "0 + A * B + x", "0 + x:B + A", "B", "B * C * A + x"]),
    holes=st.booleans(),
    codings=st.fixed_dictionaries({"A": CODINGS, "B": CODINGS, "C": CODINGS}),
)
def test_type_three_does_not_see_the_coding(
    seed: int, formula: str, holes: bool, codings: dict[str, str]
) -> None:
    """The hypotheses of type III, and all that follows from them, are the same for every coding."""
    data = random_data(seed, holes=holes)
    used = {name: coding for name, coding in codings.items() if name in formula}
    plain = quiet_fit(f"y ~ {formula} + (1 | g)", data)
    coded = quiet_fit(f"y ~ {formula} + (1 | g)", data, contrasts=used)
    expected, found = anova(plain).to_frame(), anova(coded).to_frame()

    # the same model fitted twice: the optimum is good to 1e-8
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-9)
