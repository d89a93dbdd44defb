"""`tidy`: rows for every kind of estimate, with the numbers of the methods behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import OptionError
from ranef.inference.variance_errors import variance_errors

FORMULAS = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "diagonal": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin"),
    "two terms": ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy"),
}


@pytest.fixture(scope="module", params=FORMULAS)
def model(request: pytest.FixtureRequest) -> ranef.LinearMixedModel:
    """Return a fitted model."""
    formula, data = FORMULAS[request.param]
    return ranef.fit(formula, ranef.datasets.load(data))


def test_modes(model: ranef.LinearMixedModel) -> None:
    """Conditional modes and SDs are those of `ranef`, with normal intervals."""
    table, long = model.tidy(effects="ran_vals"), model.ranef.to_frame()

    assert table["level"].tolist() == long["grp"].tolist()
    assert table["group"].tolist() == long["grpvar"].tolist()
    np.testing.assert_array_equal(table["estimate"], long["condval"])
    np.testing.assert_array_equal(table["std_error"], long["condsd"])
    np.testing.assert_allclose(
        table["conf_high"] - table["conf_low"], 2 * 1.959963984540054 * table["std_error"]
    )


def test_modes_of_lme4() -> None:
    """lme4 1.1-31: as.data.frame(ranef(m))[1, ] and coef(m)$Subject["308", ]."""
    model = ranef.fit(FORMULAS["slopes"][0], ranef.datasets.load("sleepstudy"))

    modes = model.tidy(effects="ran_vals")
    coefficients = model.tidy(effects=["ran_coefs"]).set_index(["level", "term"])["estimate"]

    # lme4's theta has about five digits
    assert modes.loc[0, ["estimate", "std_error"]].tolist() == pytest.approx(
        [2.2585509, 12.070857], rel=2e-4
    )
    assert coefficients["308", "Days"] == pytest.approx(19.6662617, rel=2e-4)


def test_coefficients_per_level(model: ranef.LinearMixedModel) -> None:
    """Every cell of `coef` is a row."""
    table = model.tidy(effects="ran_coefs")

    assert len(table) == sum(frame.size for frame in model.coef.values())
    for row in table.itertuples():
        assert model.coef[row.group].loc[row.level, row.term] == row.estimate


@pytest.mark.parametrize("method", ["wald", "profile"])
def test_variance_parameters(model: ranef.LinearMixedModel, method: Any) -> None:
    """On request they have standard errors and the intervals of `confint`."""
    table = model.tidy(conf_method=method, level=0.9)
    random = table[table["effect"] == "ran_pars"]
    limits = model.confint(method, 0.9, "theta_")

    np.testing.assert_array_equal(random["estimate"], model.VarCorr.to_frame()["sdcor"])
    np.testing.assert_array_equal(random["std_error"], variance_errors(model).std_errors)
    np.testing.assert_array_equal(random[["conf_low", "conf_high"]], limits)
    expected = model.coef_table(level=0.9)[["conf_low", "conf_high"]].to_numpy()
    if method == "profile":
        expected = model.confint(method, 0.9, "beta_").to_numpy()
    np.testing.assert_array_equal(
        table.loc[: len(expected) - 1, ["conf_low", "conf_high"]], expected
    )
    pd.testing.assert_frame_equal(
        table.drop(columns=["std_error", "conf_low", "conf_high"]),
        model.tidy().drop(columns=["std_error", "conf_low", "conf_high"]),
    )


def test_columns(model: ranef.LinearMixedModel) -> None:
    """Kinds can be combined in any order; intervals can be left out."""
    everything = model.tidy(effects=["ran_vals", "fixed", "ran_coefs", "ran_pars"], conf_int=False)

    assert everything["effect"].drop_duplicates().tolist() == [
        "ran_vals", "fixed", "ran_coefs", "ran_pars"
    ]  # fmt: skip
    assert not {"conf_low", "conf_high"} & set(everything)
    assert everything["level"].notna().equals(everything["effect"].isin(["ran_vals", "ran_coefs"]))
    pd.testing.assert_frame_equal(
        model.tidy(effects=("fixed", "fixed", "ran_pars")), model.tidy(), check_dtype=True
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effects": "random"}, "effects must be one of 'fixed', 'ran_pars'"),
        ({"effects": ()}, "effects must be one of"),
        ({"effects": ("fixed", 3)}, "effects must be one of"),
        ({"conf_method": "boot"}, "conf_method must be one of 'wald', 'profile'"),
        ({"ddf": "none"}, "ddf must be one of"),
        ({"level": 95}, "level must be a number between 0 and 1"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    """Errors list what is allowed."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    with pytest.raises(OptionError) as caught:
        model.tidy(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effects": 3}, "effects must be one of .* got 3"),
        ({"effects": ["fixed", 3]}, "effects must be one of .* got 3"),
        ({"conf_int": "no"}, "conf_int must be True or False; got 'no'"),
    ],
)
def test_arguments_of_other_types(
    model: ranef.LinearMixedModel, arguments: dict[str, Any], message: str
) -> None:
    """They are refused as what they are, and not by an accident later."""
    with pytest.raises(OptionError, match=message):
        model.tidy(**arguments)
