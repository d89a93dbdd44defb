"""Labels of rows and levels are handed out as objects of their own: one is renamed alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef

Model = ranef.LinearMixedModel

OUTPUTS: dict[str, Callable[[Model], Any]] = {
    "augment": lambda m: m.augment(),
    "fitted": lambda m: m.fitted,
    "resid": lambda m: m.resid,
    "residuals": lambda m: m.residuals("pearson"),
    "leverage": lambda m: m.leverage(),
    "cooks_distance": lambda m: m.cooks_distance(),
    "predict": lambda m: m.predict(),
    "simulate": lambda m: m.simulate(1, seed=1),
    "variables": lambda m: m.design.variables.to_frame(),
    "influence": lambda m: m.influence().dfbetas,
    "implied_covariance": lambda m: m.implied_covariance("a"),
    "ranef": lambda m: m.ranef["g"],
    "coef": lambda m: m.coef["g"],
}


def data() -> pd.DataFrame:
    """Return rows with labels."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.standard_normal(30), "g": list("abcdef") * 5})
    return frame.set_axis([f"row {i}" for i in range(30)])


@pytest.mark.parametrize("name", OUTPUTS)
def test_names_of_labels_are_not_shared(name: str) -> None:
    """Neither the model, nor other results, nor the caller's data get the new name."""
    frame = data()
    model = ranef.fit("y ~ 1 + (1 | g)", frame)
    before = {key: output(model).index.name for key, output in OUTPUTS.items()}
    OUTPUTS[name](model).index.name = "changed"
    assert {key: output(model).index.name for key, output in OUTPUTS.items()} == before
    assert model.design.index.name is None
    assert frame.index.name is None


def test_rows_and_columns_of_one_result() -> None:
    """They have the same labels, but are two objects."""
    table = ranef.fit("y ~ 1 + (1 | g)", data()).implied_covariance("a")
    table.index.name = "changed"
    assert table.columns.name is None


def test_results_of_influence() -> None:
    """Tables of one result do not share their labels either."""
    found = ranef.fit("y ~ 1 + (1 | g)", data()).influence("g")
    found.beta.index.name = found.beta.columns.name = "changed"
    assert found.dfbeta.index.name == found.cooks_distance.index.name == "g"
    assert found.dfbeta.columns.name is None


def test_renaming_the_data_later() -> None:
    """The model keeps the name that the labels had."""
    frame = data().rename_axis("first")
    model = ranef.fit("y ~ 1 + (1 | g)", frame)
    frame.index.name = "second"
    assert model.fitted.index.name == "first"
    again = pickle.loads(pickle.dumps(model))
    assert again.fitted.index.name == "first"
    again.fitted.index.name = "third"
    assert again.fitted.index.name == "first"
