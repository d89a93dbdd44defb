"""Great Tables, maketables and marginaleffects take the models, where they are installed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import MissingDependencyError, OptionError

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def model() -> ranef.LinearMixedModel:
    """Return a model of the sleepstudy data."""
    return ranef.fit(FORMULA, ranef.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def cake() -> ranef.LinearMixedModel:
    """Return a model with a factor, an interaction and an offset."""
    data = ranef.datasets.load("cake")
    data = data.assign(temp=data["temp"].astype(float), o=np.arange(len(data)) % 5 / 10)
    return ranef.fit("angle ~ recipe * temp + offset(o) + (1 | recipe:replicate)", data)


@pytest.mark.parametrize("name", ["to_markdown", "to_latex", "to_html"])
def test_formats_of_the_summary(model: ranef.LinearMixedModel, name: str) -> None:
    """The shortcuts of the model are those of its summary."""
    for ddf in ("satterthwaite", "normal"):
        assert getattr(model, name)(ddf) == getattr(model.summary(ddf=ddf), name)()
    with pytest.raises(OptionError, match="ddf must be one of"):
        getattr(model, name)("t")


def test_maketables_attributes(model: ranef.LinearMixedModel) -> None:
    """What maketables asks for, without maketables."""
    table: pd.DataFrame = model.__maketables_coef_table__
    expected = model.coef_table()

    assert table.columns.tolist() == ["b", "se", "t", "p", "ci95l", "ci95u"]
    np.testing.assert_array_equal(table["b"], expected["estimate"])
    np.testing.assert_array_equal(table["p"], expected["p_value"])
    assert model.__maketables_depvar__ == "Reaction"
    assert model.__maketables_vcov_info__ == {"vcov_type": "REML"}
    keys = model.__maketables_default_stat_keys__
    values = {key: model.__maketables_stat__(key) for key in keys}
    assert values["N"] == 180
    assert values["groups_Subject"] == 18
    assert values["sd_Days|Subject"] == model.VarCorr.sd["Subject"]["Days"]
    assert values["r2_marginal"] == model.r2().marginal
    assert set(keys) <= set(model.__maketables_stat_labels__)
    assert model.__maketables_stat__("aic") == model.aic
    assert model.__maketables_stat__("adj_r2") is None


def test_maketables(model: ranef.LinearMixedModel) -> None:
    """A table of maketables shows coefficients and standard deviations."""
    maketables = pytest.importorskip("maketables")
    other = ranef.fit("Reaction ~ Days + (1 | Subject)", ranef.datasets.load("sleepstudy"))

    text = maketables.ETable([model, other]).make(type="tex")

    for part in ("Reaction", "10.467", "(1.546)", "24.740", "37.124", "Groups: Subject"):
        assert part in text


def test_great_tables(model: ranef.LinearMixedModel) -> None:
    """Models and tables of models become `GT` objects."""
    great_tables = pytest.importorskip("great_tables")

    one, several = model.to_great_tables("normal"), ranef.table(model, model).to_great_tables()

    assert isinstance(one, great_tables.GT)
    assert isinstance(several, great_tables.GT)
    html = one.as_raw_html()
    for part in ("Fixed effects", "10.467", "z value", "SD (Days | Subject)", "Subject 18"):
        assert part in html
    assert "Standard errors in parentheses." in several.as_raw_html()


@pytest.fixture(scope="module")
def marginal() -> Any:
    """Return marginaleffects; some of its releases cannot be used with some of polars."""
    package = pytest.importorskip("marginaleffects")
    polars = pytest.importorskip("polars")
    try:
        polars.Series([1.0]).is_in([0, 1])
    except polars.exceptions.InvalidOperationError:
        pytest.skip("marginaleffects needs an older polars than this")
    return package


def test_predictions(marginal: Any, cake: ranef.LinearMixedModel) -> None:
    """Predictions and standard errors of the fixed effects are those of `predict`."""
    found = marginal.predictions(cake.to_marginaleffects(), eps_vcov=1e-3)
    ours = cake.predict(random="none", interval="confidence", ddf="normal")

    np.testing.assert_allclose(found["estimate"], ours["prediction"], rtol=1e-12)
    # theirs by differences of predictions that are linear: exact up to rounding over the step
    np.testing.assert_allclose(found["std_error"], ours["std_error"], rtol=1e-8)
    np.testing.assert_allclose(found["conf_low"], ours["lower"], rtol=1e-8)


def test_averages_and_contrasts(marginal: Any, cake: ranef.LinearMixedModel) -> None:
    """Comparisons of a factor are linear functions of the coefficients."""
    adapter = cake.to_marginaleffects()
    found = marginal.avg_comparisons(adapter, variables={"recipe": "pairwise"}, eps_vcov=1e-3)
    temp = float(cake.design.variables.to_frame()["temp"].mean())
    L = pd.DataFrame(
        {
            "recipe[T.B]": [1.0, 0.0, -1.0],
            "recipe[T.C]": [0.0, 1.0, 1.0],
            "recipe[T.B]:temp": [temp, 0.0, -temp],
            "recipe[T.C]:temp": [0.0, temp, temp],
        },
        index=["B - A", "C - A", "C - B"],
    )
    ours = cake.contest(L, joint=False, ddf="normal")

    assert found["contrast"].to_list() == L.index.tolist()
    np.testing.assert_allclose(found["estimate"], ours["estimate"], rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], ours["std_error"], rtol=1e-6)
    kr = marginal.avg_comparisons(
        adapter, variables={"recipe": "pairwise"}, vcov="kenward-roger", eps_vcov=1e-3
    )
    adjusted = cake.contest(L, joint=False, ddf="kenward-roger")
    np.testing.assert_allclose(kr["std_error"], adjusted["std_error"], rtol=1e-6)


def test_slopes(marginal: Any, cake: ranef.LinearMixedModel) -> None:
    """Slopes by recipe, and a hypothesis about coefficients."""
    adapter = cake.to_marginaleffects()
    found = marginal.avg_slopes(adapter, variables="temp", by="recipe", eps_vcov=1e-3)
    ours = cake.contest(
        [{"temp": 1}, {"temp": 1, "recipe[T.B]:temp": 1}, {"temp": 1, "recipe[T.C]:temp": 1}],
        joint=False,
        ddf="normal",
    )

    # their slopes are differences over 1e-4 of the range of temp
    np.testing.assert_allclose(found["estimate"], ours["estimate"], rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], ours["std_error"], rtol=1e-4)
    test = marginal.hypotheses(adapter, hypothesis="b4 = b5", eps_vcov=1e-3)
    single = cake.contest("recipe[T.B]:temp = recipe[T.C]:temp", joint=False, ddf="normal")
    np.testing.assert_allclose(test["std_error"], single["std_error"], rtol=1e-6)
    with_df = marginal.hypotheses(cake.to_marginaleffects(df=42), eps_vcov=1e-3)
    assert (with_df["conf_high"] - with_df["estimate"] > 2.01 * with_df["std_error"]).all()


@pytest.mark.filterwarnings("ignore:fixed effects are rank deficient")
def test_dropped_columns(marginal: Any) -> None:
    """Aliased coefficients do not exist for marginaleffects; rows that need them are NaN."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ Days + I(2 * Days) + (1 | Subject)", data)
    adapter = model.to_marginaleffects()

    assert adapter.get_coefnames().tolist() == ["Intercept", "Days"]
    found = marginal.predictions(adapter, eps_vcov=1e-3)
    np.testing.assert_allclose(found["estimate"], model.predict(random="none"), rtol=1e-12)


def test_bad_input(marginal: Any, model: ranef.LinearMixedModel) -> None:
    """Options that mean nothing for a mixed model are refused."""
    with pytest.raises(OptionError, match="df must be a positive number"):
        model.to_marginaleffects(df=0)
    with pytest.raises(OptionError, match="vcov must be True, False, 'kenward-roger'"):
        marginal.predictions(model.to_marginaleffects(), vcov="HC3")


@pytest.mark.parametrize(
    ("package", "call", "extra"),
    [
        ("great_tables", lambda m: m.to_great_tables(), "tables"),
        ("great_tables", lambda m: ranef.table(m).to_great_tables(), "tables"),
        ("marginaleffects", lambda m: m.to_marginaleffects(), "marginaleffects"),
    ],
)
def test_missing_packages(
    monkeypatch: pytest.MonkeyPatch,
    model: ranef.LinearMixedModel,
    package: str,
    call: Any,
    extra: str,
) -> None:
    """Without the package, the error names the extra that brings it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"ranef\[{extra}\]"):
        call(model)


def test_offsets_given_as_arrays() -> None:
    """The package asks for rows of its own, for which nobody knows the offset."""
    data = ranef.datasets.load("sleepstudy").assign(o=1.0)
    model = ranef.fit(FORMULA, data, offset=np.arange(180.0))
    with pytest.raises(OptionError, match="offset of the fit was given as an array"):
        model.to_marginaleffects()
