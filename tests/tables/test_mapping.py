"""Views of results by grouping factor: quick to read, and like those of any mapping."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ranef.effects import FrozenFrames, RandomEffects
from ranef.variance import VarCorr, VarianceComponent

MODES = {
    "Subject": pd.DataFrame({"Intercept": np.arange(40.0)}),
    "item": pd.DataFrame({"Intercept": np.arange(30.0)}),
}
EFFECTS = RandomEffects(MODES, {g: np.ones((len(m), 1, 1)) for g, m in MODES.items()})
VARIANCES = VarCorr(
    tuple(VarianceComponent(group, ("Intercept",), np.eye(1)) for group in MODES), 1.0
)
MAPPINGS = {
    "ranef": EFFECTS,
    "ranef.sd": EFFECTS.sd,
    "ranef.cov": EFFECTS.cov,
    "coef": FrozenFrames(MODES),
    "VarCorr.sd": VARIANCES.sd,
    "VarCorr.cov": VARIANCES.cov,
    "VarCorr.corr": VARIANCES.corr,
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_views_print_names_only(name):
    """The views show the grouping factors, not their tables."""
    mapping = MAPPINGS[name]
    assert repr(mapping.keys()) == "KeysView(['Subject', 'item'])"
    assert repr(mapping.values()) == "<ValuesView of Subject, item>"
    assert repr(mapping.items()) == "<ItemsView of Subject, item>"


@pytest.mark.parametrize("name", MAPPINGS)
def test_views_are_those_of_a_mapping(name):
    """Keys compare like sets; values and items come in the order of the grouping factors."""
    mapping = MAPPINGS[name]
    assert mapping.keys() == {"Subject", "item"} and "item" in mapping.keys()  # noqa: SIM118
    assert [len(mapping.keys()), len(mapping.values()), len(mapping.items())] == [2, 2, 2]
    shapes = [np.shape(mapping[group]) for group in mapping]
    assert [np.shape(value) for value in mapping.values()] == shapes
    assert [(group, np.shape(value)) for group, value in mapping.items()] == list(
        zip(mapping, shapes, strict=True)
    )
    assert mapping.keys() & {"item"} == {"item"}


def test_mappings_with_views_survive_pickling():
    """A stored result has the same groups."""
    assert pickle.loads(pickle.dumps(EFFECTS)).keys() == EFFECTS.keys()
