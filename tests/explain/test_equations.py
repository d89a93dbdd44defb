"""Equations: what they look like, and that they are the model."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from explain.classes import MODELS, data, fitted
from ranef.errors import OptionError
from ranef.explain import Equations, equations
from ranef.explain.notation import (
    Distribution,
    Equation,
    Product,
    Symbol,
    System,
    Variable,
    show_number,
)
from ranef.explain.system import make_system

TEXTS = {
    "two levels": """
Level 1 (observation i)
  y_ij = beta_0j + beta_1j x_ij + e_ij
  e_ij ~ N(0, sigma^2)

Level 2 (class j)
  beta_0j = gamma_00 + gamma_01 ses_j + gamma_02 [sector = public]_j + u_0j
  beta_1j = gamma_10 + gamma_11 ses_j + u_1j
  (u_0j, u_1j) ~ N(0, [tau_00  tau_01]
                      [tau_10  tau_11])
""",
    "three levels": """
Level 1 (observation i)
  y_ijk = pi_0jk + pi_1jk x_ijk + pi_2jk z_ijk + e_ijk
  e_ijk ~ N(0, sigma^2 / w_ijk)

Level 2 (school:class jk)
  pi_0jk = beta_00k + beta_01k ses_jk + u_0jk
  pi_1jk = beta_10k + beta_11k ses_jk + u_1jk
  pi_2jk = beta_20k
  (u_0jk, u_1jk) ~ N(0, [tau_u00  tau_u01]
                        [tau_u10  tau_u11])

Level 3 (school k)
  beta_00k = gamma_000 + gamma_001 [sector = public]_k + v_00k
  beta_01k = gamma_010 + gamma_011 [sector = public]_k
  beta_10k = gamma_100 + gamma_101 [sector = public]_k + v_10k
  beta_11k = gamma_110 + gamma_111 [sector = public]_k
  beta_20k = gamma_200
  (v_00k, v_10k) ~ N(0, [tau_v00,00  tau_v00,10]
                        [tau_v10,00  tau_v10,10])
""",
    "crossed": """
Level 1 (observation i)
  y_i(jk) = beta_0(jk) + beta_1(jk) x_i(jk) + e_i(jk)
  e_i(jk) ~ N(0, sigma^2)

Level 2 (class j, item k)
  beta_0(jk) = gamma_00 + gamma_01 freq_k + gamma_02 [sector = public]_j + u_0j
               + v_0k
  beta_1(jk) = gamma_10 + gamma_11 freq_k + u_1j + v_1k
  (u_0j, u_1j) ~ N(0, [tau_u00  tau_u01]
                      [tau_u10  tau_u11])
  v_0k ~ N(0, tau_v00)
  v_1k ~ N(0, tau_v11)
""",
    "cells": """
Level 1 (observation i)
  y_i(jk) = beta_0(jk) + beta_1(jk) x_i(jk) + e_i(jk)
  e_i(jk) ~ N(0, sigma^2)

Level 2 (item j, school k, school:item jk)
  beta_0(jk) = gamma_00 + u_0jk + v_0j + r_0k
  beta_1(jk) = gamma_10
  u_0jk ~ N(0, tau_u00)
  v_0j ~ N(0, tau_v00)
  r_0k ~ N(0, tau_r00)
""",
    "offsets": """
Level 1 (observation i)
  y_ij = beta_1j x_ij + log(w)_ij + z_ij + e_ij
  e_ij ~ N(0, sigma^2)

Level 2 (class j)
  beta_1j = gamma_10 + u_1j
  u_1j ~ N(0, tau_11)
""",
    "group-level slope": """
Level 1 (observation i)
  y_ij = beta_0j + beta_1j x_ij + e_ij
  e_ij ~ N(0, sigma^2)

Level 2 (class j)
  beta_0j = gamma_00 + gamma_01 ses_j + u_0j + u_01j ses_j
  beta_1j = gamma_10
  (u_0j, u_01j) ~ N(0, [tau_0,0   tau_0,01 ]
                       [tau_01,0  tau_01,01])
""",
    "aliased": """
Level 1 (observation i)
  y_ij = beta_0j + beta_1j x_ij + beta_2j z_ij + e_ij
  e_ij ~ N(0, sigma^2)

Level 2 (class j)
  beta_0j = gamma_00 + u_0j
  beta_1j = gamma_10
  beta_2j = gamma_20
  u_0j ~ N(0, tau_00)

Left out, because others determine them: I(2 * x)
""",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    """Every level has its equations, predictors stand where they belong."""
    assert str(equations(fitted(name), fmt="text")) == TEXTS[name].strip("\n")


def test_mixed_text() -> None:
    """One equation, with the same symbols."""
    expected = """
y_ij = gamma_00 + gamma_10 x_ij + gamma_01 ses_j + gamma_02 [sector = public]_j
       + gamma_11 x_ij ses_j + u_0j + u_1j x_ij + e_ij
(u_0j, u_1j) ~ N(0, [tau_00  tau_01]
                    [tau_10  tau_11])
e_ij ~ N(0, sigma^2)
"""
    assert equations(fitted("two levels"), "mixed", "text") == expected.strip("\n")


def test_estimates() -> None:
    """Numbers in the place of parameters, with signs where they belong."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    found = equations(model, "mixed", "text", estimates=True, digits=1)
    assert found == (
        "Reaction_ij = 251.4 + 10.5 Days_ij + u_0j + u_1j Days_ij + e_ij\n"
        "(u_0j, u_1j) ~ N(0, [612.1   9.6]\n"
        "                    [  9.6  35.1])\n"
        "e_ij ~ N(0, 654.9)"
    )
    minus = ranef.fit("Reaction ~ I(-Days) + (1 | Subject)", ranef.datasets.load("sleepstudy"))
    shown = equations(minus, "mixed", "text", estimates=True)
    assert "= 251.405 - 10.467 I(-Days)_ij + u_0j" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (251.40512, "251.405"), (0.5, "0.500"), (-0.05, "-0.0500"), (0.00123456, "0.00123"),
        (1.6e-11, "1.60e-11"), (0.0, "0.000"), (1e20, "1.00e+20"), (123456.7891, "123456.789"),
    ],
)  # fmt: skip
def test_numbers(value: float, shown: str) -> None:
    """Three decimals; small numbers get more, so that three digits count."""
    assert show_number(value, 3) == shown


def labels() -> dict[str, np.ndarray]:
    """Return the values of everything that equations call by a name."""
    frame = data()
    found = {name: frame[name].to_numpy() for name in ("x", "z", "ses", "size", "freq")}
    found |= {f"kind = {level}": frame["kind"].to_numpy() == level for level in "abc"}
    found |= {f"many = m{i}": frame["many"].to_numpy() == f"m{i}" for i in range(12)}
    found["sector = public"] = frame["sector"].to_numpy() == "public"
    found["log(w)"] = np.log(frame["w"].to_numpy())
    found["offset"] = np.linspace(-1, 1, len(frame))
    found["I(z > 0) = True"] = frame["z"].to_numpy() > 0
    return found


def mean(model: ranef.LinearMixedModel, system: System) -> np.ndarray:
    """Return what the equations say about every observation, but for its residual."""
    values = labels()
    names = dict(zip(model.design.x_names, np.asarray(model.X).T, strict=True))
    values |= {name: names[name] for name in names if name not in values}
    groups = {term.grouping.name: term.grouping.codes for term in model.design.terms}
    effects: dict[Symbol, np.ndarray] = {}
    symbols = [
        symbol
        for line in make_system(model, "mixed").sections[0].lines
        if isinstance(line, Distribution)
        for symbol in line.effects
        if symbol.name != "e"
    ]
    variances = [p for p in system.parameters if p.kind == "variance"]
    columns: dict[str, int] = {}
    for symbol, parameter in zip(symbols, variances, strict=True):
        table = model.ranef[parameter.group].to_numpy()
        position = columns.setdefault(parameter.group, 0)
        columns[parameter.group] += 1
        effects[symbol] = table[:, position][groups[parameter.group]]
    lines = [line for section in system.sections for line in section.lines]
    by_left = {line.left: line for line in lines if isinstance(line, Equation)}

    def of_product(product: Product) -> Any:
        result: Any = 1.0 if product.symbol is None else of_symbol(product.symbol)
        for variable in product.variables:
            result = result * values[variable.label]
        return result

    def of_symbol(symbol: Symbol) -> Any:
        if symbol.value is not None:
            return symbol.value
        if symbol in effects:
            return effects[symbol]
        if symbol.name == "e":
            return 0.0
        return sum(map(of_product, by_left[symbol].right))

    first = next(line for line in lines if isinstance(line, Equation))
    assert isinstance(first.left, Variable) and first.left.label == model.design.response
    return np.broadcast_to(sum(map(of_product, first.right)), model.nobs)


@pytest.mark.parametrize("style", ["levels", "mixed"])
@pytest.mark.parametrize("name", MODELS)
def test_the_equations_are_the_model(name: str, style: str) -> None:
    """Put in the estimates and the random effects, and the fitted values come out."""
    model = fitted(name)
    found = mean(model, make_system(model, style))
    np.testing.assert_allclose(found, model.fitted, atol=1e-10)  # the same sums in another order


@pytest.mark.parametrize("name", MODELS)
def test_predictors_stand_in_the_highest_level_where_they_are_constant(name: str) -> None:
    """Subscripts say over which units a variable varies, and the data agree."""
    model, values = fitted(name), labels()
    codes = {"j": None, "k": None}
    system = make_system(model, "levels")
    for section in system.sections[1:]:
        for unit, index in section.units:
            grouping = next(t.grouping for t in model.design.terms if t.grouping.name == unit)
            codes[index] = grouping.codes
    for line in (line for section in system.sections for line in section.lines):
        if not isinstance(line, Equation):
            continue
        for variable in (v for product in line.right for v in product.variables):
            if variable.label in values and variable.index in codes:
                table = pd.Series(values[variable.label]).groupby(codes[variable.index]).nunique()
                assert (table == 1).all()


@pytest.mark.parametrize("name", MODELS)
def test_symbols_are_explained(name: str) -> None:
    """`to_frame` has every parameter once, with the estimates of the model."""
    model = fitted(name)
    frame = equations(model).to_frame()
    fixed = frame[frame["kind"] == "fixed"].set_index("name")["estimate"]
    assert fixed.to_dict() == model.fixef.dropna().to_dict()
    parts = model.VarCorr.to_frame()
    expected = parts.loc[parts["var2"].isna(), "vcov"]
    shown = frame[frame["kind"].isin(["variance", "residual variance"])]
    np.testing.assert_allclose(shown["estimate"], expected, rtol=1e-12)  # sigma is squared again
    covariances = frame.loc[frame["kind"] == "covariance", "estimate"]
    np.testing.assert_array_equal(covariances, parts.loc[parts["var2"].notna(), "vcov"])
    for column in ("symbol", "latex"):
        assert frame[column].is_unique
    text = str(equations(model, fmt="text"))
    assert all(symbol in text for symbol in frame["symbol"])
    latex = str(equations(model, "mixed", "latex"))
    assert all(symbol in latex for symbol in frame["latex"])


def test_is_a_string_that_knows_other_formats() -> None:
    """It prints as text, is typeset in notebooks, and cannot be changed."""
    model = fitted("two levels")
    latex, text = equations(model), equations(model, fmt="text")
    assert isinstance(latex, str) and isinstance(latex, Equations)
    assert latex.startswith("\\begin{align*}") and latex.endswith("\\end{align*}")
    assert latex.to_text() == text and text.to_latex() == latex
    assert latex._repr_latex_() == latex._repr_markdown_() == latex.to_markdown()
    assert latex.to_markdown().startswith("$$\n\\begin{aligned}\n")
    assert text._repr_latex_() is None and f"\n{text}\n" in str(text._repr_markdown_())
    assert repr(text) == str(text)
    for attribute in ("style", "_system"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(latex, attribute, 1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del latex._system
    for again in (pickle.loads(pickle.dumps(latex)), copy.deepcopy(latex)):
        assert again == latex and again.to_text() == text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style": "level"}, "style must be one of 'levels', 'mixed'"),
        ({"fmt": "html"}, "fmt must be one of 'latex', 'text'"),
        ({"digits": -1}, "digits must be a whole number"),
        ({"digits": 2.0}, "digits must be a whole number"),
        ({"digits": True}, "digits must be a whole number"),
    ],
)
def test_options(options: dict[str, Any], said: str) -> None:
    """Wrong options are answered with the right ones."""
    with pytest.raises(OptionError, match=said):
        equations(fitted("two levels"), **options)
