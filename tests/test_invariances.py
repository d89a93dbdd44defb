"""What must not matter: units, origin, order of rows and levels, names, ways to write a model.

Tolerances follow from rounding: a response y + c carries an error of c times 1e-16, and an optimum
is known to 1e-8 in the criterion, so estimates agree to about 1e-5 of their standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import bank
import ranef
from ranef.typing import FloatArray

# in the criterion: the tolerance of the optimizer; in units of standard errors: its square root
CRITERION = 1e-6
ESTIMATE = 1e-4


@dataclass(frozen=True)
class Example:
    """A model and its data: response ``y``, covariates ``x`` and ``z``, groups ``g`` and ``h``."""

    formula: str
    reml: bool = True
    weights: str | None = None


EXAMPLES = {
    "slopes": Example("y ~ x + (x | g)"),
    "slopes ML": Example("y ~ x + (x | g)", reml=False),
    "diagonal": Example("y ~ x + z + (x || g)"),
    "crossed": Example("y ~ x + z + (x | g) + (1 | h)"),
    "weighted": Example("y ~ x + (x | g) + (z | h)", weights="w"),
    "nested": Example("y ~ x + (1 | h / g)", reml=False, weights="w"),
    "intercept": Example("y ~ 1 + (1 | g)"),
}
every_example = pytest.mark.parametrize("name", EXAMPLES)


def data() -> pd.DataFrame:
    """Return unbalanced data in which nothing is singular."""
    rng = np.random.default_rng(8)
    n = 300
    g, h = rng.integers(0, 25, n), rng.integers(0, 8, n)
    x, z = rng.normal(1.0, 2.0, n), rng.standard_normal(n)
    u, v = rng.standard_normal((25, 2)) @ [[1.0, 0.3], [0.0, 0.8]], rng.standard_normal((8, 2))
    y = 2 + 0.5 * x - z + u[g, 0] + u[g, 1] * x + v[h, 0] + 0.7 * v[h, 1] * z
    w = rng.uniform(0.5, 2.0, n)
    y += rng.standard_normal(n) / np.sqrt(w)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g, "h": h, "s": g % 4, "w": w})


def fit(name: str, frame: pd.DataFrame, formula: str | None = None) -> ranef.LinearMixedModel:
    """Fit an example to data that were changed, perhaps with another formula."""
    example = EXAMPLES[name]
    model = ranef.fit(formula or example.formula, frame, reml=example.reml, weights=example.weights)
    assert model.convergence.converged
    return model


def close(found: object, wanted: object, scale: object = 1.0, tolerance: float = ESTIMATE) -> None:
    """Assert that numbers agree relative to ``scale``."""
    found, wanted, scale = (np.asarray(value, dtype=float) for value in (found, wanted, scale))
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=tolerance)


def same_fit(one: ranef.LinearMixedModel, other: ranef.LinearMixedModel) -> None:
    """Assert that two fits are the same model of the same data."""
    assert other.objective == pytest.approx(one.objective, abs=CRITERION)
    assert other.sigma == pytest.approx(one.sigma, rel=ESTIMATE)
    close(other.fixef, one.fixef, one.std_errors)
    close(other.std_errors / one.std_errors, 1.0)
    close(np.sort(other.fitted), np.sort(one.fitted), one.sigma)


@every_example
def test_a_large_mean(name: str) -> None:
    """A response of y + 1e8 moves the intercept by 1e8 and nothing else."""
    frame = data()
    one = fit(name, frame)
    # the sum rounds y to multiples of 1.5e-8, which is 1e-8 standard deviations
    other = fit(name, frame.assign(y=frame["y"] + 1e8))
    assert other.objective == pytest.approx(one.objective, abs=1e-4)
    shift = np.where(one.fixef.index == "Intercept", 1e8, 0.0)
    close(other.fixef - shift, one.fixef, one.std_errors)
    close(other.std_errors / one.std_errors, 1.0)
    close(other.theta, one.theta)
    close(other.fitted - 1e8, one.fitted, one.sigma)


@every_example
@pytest.mark.parametrize("factor", [1e6, 1e-6, -1.0, -3e4])
def test_units_of_a_covariate(name: str, factor: float) -> None:
    """With x in other units, or with the other sign: fitted values, sigma and likelihood stay."""
    frame = data()
    one, other = fit(name, frame), fit(name, frame.assign(x=frame["x"] * factor))
    scale = np.where(one.fixef.index == "x", factor, 1.0)
    close(other.fixef * scale, one.fixef, one.std_errors)
    close(other.std_errors * np.abs(scale), one.std_errors, one.std_errors)
    close(other.fitted, one.fitted, one.sigma)
    # X enters the REML criterion through log|X'X|, the likelihood not at all
    moved = 2 * np.log(abs(factor)) if one.reml and "x" in one.fixef else 0.0
    assert other.objective == pytest.approx(one.objective + moved, abs=CRITERION)
    assert other.convergence.n_evaluations == one.convergence.n_evaluations
    for group, modes in one.ranef.items():
        units = [factor if column == "x" else 1.0 for column in modes.columns]
        close(other.ranef[group] * units, modes, one.sigma)


@every_example
@pytest.mark.parametrize("shift", [1e4, -50.0])
def test_origin_of_a_covariate(name: str, shift: float) -> None:
    """With x + c the intercept means something else; a correlated slope takes it along."""
    if "||" in EXAMPLES[name].formula:
        return  # without the correlation it is another model, as it should be
    frame = data()
    one, other = fit(name, frame), fit(name, frame.assign(x=frame["x"] + shift))
    # 1e4 costs four digits of x itself
    assert other.objective == pytest.approx(one.objective, abs=1e-5)
    close(other.fitted, one.fitted, one.sigma)
    if "x" in one.fixef:
        close(other.fixef["x"], one.fixef["x"], one.std_errors["x"])
        close(other.std_errors["x"], one.std_errors["x"], one.std_errors["x"])
        moved = other.fixef["Intercept"] + shift * other.fixef["x"]
        close(moved, one.fixef["Intercept"], one.std_errors["Intercept"], 1e-3)


def test_the_diagonal_model_does_depend_on_the_origin() -> None:
    """The exception: (x || g) says that intercept and slope are independent at x = 0."""
    frame = data()
    one, other = fit("diagonal", frame), fit("diagonal", frame.assign(x=frame["x"] + 5))
    assert abs(one.objective - other.objective) > 1.0


@every_example
@pytest.mark.parametrize("factor", [1e6, 1e-6, -2.5])
def test_units_of_the_response(name: str, factor: float) -> None:
    """For c y the criterion moves by 2 nu log|c|, estimates by c, theta not at all."""
    frame = data()
    one, other = fit(name, frame), fit(name, frame.assign(y=frame["y"] * factor))
    nu = one.nobs - (len(one.fixef) if one.reml else 0)
    moved = 2 * nu * np.log(abs(factor))
    assert other.objective - moved == pytest.approx(one.objective, abs=CRITERION)
    assert other.sigma == pytest.approx(one.sigma * abs(factor), rel=ESTIMATE)
    close(other.theta, one.theta)
    close(other.fixef / factor, one.fixef, one.std_errors)
    close(other.std_errors / abs(factor), one.std_errors, one.std_errors)
    close(other.fitted / factor, one.fitted, one.sigma)


@every_example
@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows(name: str, seed: int) -> None:
    """Rows in any order: the same fit, each row with its label."""
    frame = data()
    one = fit(name, frame)
    other = fit(name, frame.sample(frac=1, random_state=seed))
    same_fit(one, other)
    assert other.fitted.index.tolist() != one.fitted.index.tolist()
    close(other.fitted.sort_index(), one.fitted, one.sigma)
    for group, modes in one.ranef.items():
        assert other.ranef[group].index.tolist() == modes.index.tolist()
        close(other.ranef[group], modes, one.sigma)


@every_example
def test_names_of_levels(name: str) -> None:
    """Levels called and ordered otherwise: modes move with their levels."""
    frame = data()
    one = fit(name, frame)
    names = {level: f"level {(7 * level + 3) % 25:02d}" for level in range(25)}
    other = fit(name, frame.assign(g=frame["g"].map(names)))
    same_fit(one, other)
    close(other.fitted, one.fitted, one.sigma)
    if "g" in one.ranef:
        found = other.ranef["g"].loc[[names[level] for level in one.ranef["g"].index]]
        close(found, one.ranef["g"], one.sigma)


def test_kinds_of_levels() -> None:
    """Integers, floats, strings, categories and booleans group alike."""
    frame = data()
    plain = fit("slopes", frame)
    backwards = pd.CategoricalDtype(list(range(30, -1, -1)))  # with levels that do not occur
    for kind in (str, float, "category", backwards, object):
        same_fit(plain, fit("slopes", frame.assign(g=frame["g"].astype(kind))))
    two = frame.assign(g=frame["g"] > 12)
    same_fit(fit("slopes", two), fit("slopes", two.assign(g=two["g"].astype(int))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("y ~ x + (1 | h / g)", "y ~ x + (1 | h) + (1 | h:g)"),
        ("y ~ x + (x | h / s)", "y ~ x + (x | h:s) + (x | h)"),
        ("y ~ x + (x || g)", "y ~ x + (1 | g) + (0 + x | g)"),
        ("y ~ x + (x + z || g)", "y ~ x + (0 + z | g) + (1 | g) + (x - 1 | g)"),
        ("y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | h) + (x | g)"),
        ("y ~ x + (x | g)", "y ~ 1 + x + (1 + x | g)"),
        ("y ~ x + z + (1 | g)", "y ~ z + x + (1 | g)"),
        ("y ~ x * z + (1 | g)", "y ~ x + z + x:z + (1 | g)"),
        ("y ~ x + (1 | g:h)", "y ~ x + (1 | h:g)"),
        ("y ~ x + z + (x + z | g)", "y ~ x + z + (z + x | g)"),
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_ways_to_write_a_model(one: str, other: str, reml: bool) -> None:
    """Formulas that mean the same give the same fit."""
    first, second = (ranef.fit(formula, data(), reml=reml) for formula in (one, other))
    assert second.objective == pytest.approx(first.objective, abs=CRITERION)
    close(second.fixef[first.fixef.index], first.fixef, first.std_errors)
    close(second.fitted, first.fitted, first.sigma)
    assert second.sigma == pytest.approx(first.sigma, rel=ESTIMATE)


@every_example
@pytest.mark.parametrize("weight", [1.0, 4.0, 1e-6, 1e6])
def test_constant_weights(name: str, weight: float) -> None:
    """Equal weights c only rescale sigma^2 by c: likelihood and everything else stay."""
    frame = data()
    example = EXAMPLES[name]
    one = ranef.fit(example.formula, frame, reml=example.reml)
    other = ranef.fit(example.formula, frame, reml=example.reml, weights=np.full(300, weight))
    # sum(log w) cancels against the residual variance, REML's log|X'WX| against its p
    assert other.objective == pytest.approx(one.objective, abs=CRITERION)
    assert other.sigma == pytest.approx(one.sigma * np.sqrt(weight), rel=ESTIMATE)
    close(other.fixef, one.fixef, one.std_errors)
    close(other.std_errors, one.std_errors, one.std_errors)
    close(other.fitted, one.fitted, one.sigma)
    close(other.theta * np.sqrt(weight), one.theta)
    close(other.residuals("pearson") / np.sqrt(weight), one.residuals("pearson"), one.sigma)


@every_example
def test_weights_in_other_units(name: str) -> None:
    """Weights twice as large describe the same precision relative to each other."""
    frame = data()
    example = EXAMPLES[name]
    one = ranef.fit(example.formula, frame, reml=example.reml, weights="w")
    other = ranef.fit(example.formula, frame, reml=example.reml, weights=2 * frame["w"])
    assert other.objective == pytest.approx(one.objective, abs=CRITERION)
    close(other.fixef, one.fixef, one.std_errors)
    close(other.fitted, one.fitted, one.sigma)


@every_example
def test_an_offset_is_subtracted_from_the_response(name: str) -> None:
    """offset=o with response y is response y - o, apart from the fitted values."""
    frame = data()
    frame["o"] = 100.0 + 3.0 * frame["z"]
    example = EXAMPLES[name]
    options = {"reml": example.reml, "weights": example.weights}
    one = ranef.fit(example.formula, frame.assign(y=frame["y"] - frame["o"]), **options)
    other = ranef.fit(example.formula, frame, offset="o", **options)
    same = ranef.fit(example.formula + " + offset(o)", frame, **options)
    for model in (other, same):
        assert model.objective == pytest.approx(one.objective, abs=CRITERION)
        close(model.fixef, one.fixef, one.std_errors)
        close(model.fitted - frame["o"], one.fitted, one.sigma)
        close(model.resid, one.resid, one.sigma)


@every_example
def test_coding_of_a_factor(name: str) -> None:
    """Contrasts change coefficients, not the likelihood, the fitted values or the variances."""
    frame = data()
    frame["f"] = pd.Categorical(np.resize(["a", "b", "c"], len(frame)))
    formula = EXAMPLES[name].formula.replace("~ ", "~ f + ")
    fits: list[FloatArray] = []
    criteria = []
    for coding in ("treatment", "sum", "helmert", "poly"):
        model = ranef.fit(formula, frame, reml=False, contrasts={"f": coding})
        fits.append(model.fitted.to_numpy())
        criteria.append(model.objective)
    for fitted, criterion in zip(fits, criteria, strict=True):
        assert criterion == pytest.approx(criteria[0], abs=CRITERION)
        close(fitted, fits[0])


@pytest.mark.parametrize(
    "name", ["sleep_slope", "chick", "oxboys_quad_ml", "pixel", "gaspanel3_ml", "p_wtoff"]
)
def test_real_data_in_other_units(name: str) -> None:
    """Reference models with a response in thousandths, a million away from zero."""
    case = bank.case(name)
    options = case.options()
    one = ranef.fit(case.formula, case.frame(), **options)
    frame = case.frame()
    response, offset = case.formula.split("~")[0].strip(), options.pop("offset")
    frame[response] = 1e3 * (frame[response] - (frame[offset] if offset else 0.0)) + 1e6
    other = ranef.fit(case.formula, frame, **options)
    nu = one.nobs - (len(one.fixef) if one.reml else 0)
    assert other.objective - 2 * nu * np.log(1e3) == pytest.approx(one.objective, abs=1e-5)
    close(other.theta, one.theta, max(1.0, one.theta.abs().max()))
    close(other.resid / 1e3, one.resid, one.sigma)


def test_repeated_rows_are_not_weights() -> None:
    """Every row twice is more data; weight two is not: the two are told apart."""
    frame = data()
    twice = ranef.fit("y ~ x + (x | g)", pd.concat([frame, frame], ignore_index=True), reml=False)
    heavy = ranef.fit("y ~ x + (x | g)", frame, reml=False, weights=np.full(300, 2.0))
    assert twice.nobs == 600 and heavy.nobs == 300
    assert abs(twice.objective - heavy.objective) > 10
