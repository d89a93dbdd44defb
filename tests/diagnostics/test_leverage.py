"""Leverages and Cook's distances of rows: R's numbers, and what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest

import bank
import fits
import models
import ranef
from diagnostics.brute import point, quietly
from ranef.diagnostics import augment, cooks_distance, leverage, residuals

CASES = [case for case in bank.cases() if "hatvalues" in case.results]
# theta of the reference fits is good to about 1e-7, and a leverage moves with it by less; Cook's
# distance divides by (1 - h)^2
OF_R = 1e-7


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_fits(case: bank.Case) -> None:
    """All hat values and Cook's distances that R computed."""
    model = quietly(case.formula, case.frame(), **case.options())
    hat = np.array(case.results["hatvalues"]["values"], dtype=float)
    cooks = np.array(case.results["cooks"]["values"], dtype=float)

    np.testing.assert_allclose(leverage(model), hat, atol=OF_R)
    np.testing.assert_allclose(cooks_distance(model), cooks, atol=OF_R, rtol=10 * OF_R)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", models.SHAPES.values(), ids=list(models.SHAPES))
def test_dense_hat_matrix(formula: str, weighted: bool) -> None:
    """The diagonal of I - P, of which the fit's rows are n x n here, and of every way to it."""
    options = {"weights": "w", "offset": "o"} if weighted else {}
    for variant in models.VARIANTS:
        with models.through(variant):
            model = quietly(formula, models.frame(7), **options)
            # rounding of a 80 x 80 inverse
            np.testing.assert_allclose(
                leverage(model), 1.0 - np.diagonal(point(model).P), atol=1e-12
            )


def test_derivative_of_fitted_values() -> None:
    """A leverage says how much a fitted value follows its observation, theta held fixed."""
    data = models.frame(2)
    model = ranef.fit("y ~ x + (x | a) + (1 | b)", data, weights="w")
    h = leverage(model)
    for row in (0, 17, 60):
        moved = data.assign(y=data["y"] + (np.arange(len(data)) == row))
        again = ranef.fit("y ~ x + (x | a) + (1 | b)", moved, weights="w")
        beta_b = again.problem.objective.state(again.problem.read_theta("theta", model.theta))
        mean = again.X @ again.problem.coefficients(beta_b)
        for group, b in zip(again.problem.groups, again.problem.effects(beta_b), strict=True):
            for column, effects in zip(group.columns, b, strict=True):
                mean += effects[group.codes] * (1.0 if column is None else column)
        # linear in the response: no error of differences, only rounding
        assert mean[row] - model.fitted.iloc[row] == pytest.approx(h.iloc[row], abs=1e-10)


@pytest.mark.parametrize("name", fits.MODELS)
def test_trace_and_range(name: str) -> None:
    """Leverages lie in [0, 1] and add up to the trace that the conditional AIC uses."""
    model = fits.fitted(name)
    h = leverage(model)

    assert h.index.equals(model.design.index)
    assert h.between(0.0, 1.0).all()
    # sums of 600 numbers that are good to 1e-14
    assert h.sum() == pytest.approx(model.caic().hat_trace, abs=1e-9)


def test_result_is_a_copy() -> None:
    """Changing what was returned does not change what is returned next."""
    model = fits.fitted("slopes")
    changed = leverage(model)
    changed.iloc[0] = 9.0

    assert leverage(model).iloc[0] < 1.0


def test_a_row_fitted_exactly_has_no_distance() -> None:
    """Where h is 1 the formula is 0/0: NaN, as R."""
    data = models.frame(1)
    data["only"] = (np.arange(len(data)) == 3).astype(float)
    model = ranef.fit("y ~ x + only + (1 | a)", data)

    assert leverage(model).iloc[3] == pytest.approx(1.0, abs=1e-12)
    for values in (cooks_distance(model), residuals(model, "studentized")):
        assert np.isnan(values.iloc[3])
        assert values.drop(3).notna().all()


def test_no_fixed_effects() -> None:
    """Without fixed effects rows have leverages, and no Cook's distance."""
    model = fits.fitted("no fixed effects")

    assert leverage(model).notna().all()
    assert cooks_distance(model).isna().all()


# broom.mixed's, in its order and in snake case
BROOM = [
    "fitted", "resid", "hat", "cooksd", "fixed", "mu", "offset",
    "sqrt_xwt", "sqrt_rwt", "weights", "wtres",
]  # fmt: skip


@pytest.mark.parametrize("name", fits.MODELS)
def test_augment(name: str) -> None:
    """The variables, then broom.mixed's columns, each what it is by definition."""
    model = fits.fitted(name)
    frame = augment(model)
    weights = np.ones(model.nobs) if model.design.weights is None else model.design.weights
    offset = 0.0 if model.design.offset is None else model.design.offset

    assert list(frame)[-len(BROOM) :] == BROOM
    assert list(frame)[: -len(BROOM)] == list(model.design.variables.to_frame())
    assert frame.index.equals(model.design.index)
    np.testing.assert_array_equal(frame["fitted"], model.fitted)
    np.testing.assert_array_equal(frame["mu"], frame["fitted"])
    np.testing.assert_array_equal(frame["resid"], model.resid)
    np.testing.assert_array_equal(frame["weights"], weights)
    np.testing.assert_array_equal(frame["offset"], offset)
    np.testing.assert_allclose(frame["sqrt_xwt"] ** 2, weights, rtol=1e-15)
    np.testing.assert_allclose(frame["wtres"], frame["sqrt_rwt"] * frame["resid"], rtol=1e-15)
    np.testing.assert_array_equal(frame["hat"], leverage(model))
    np.testing.assert_array_equal(frame["cooksd"], cooks_distance(model))
    # a sum of a few products, in another order
    np.testing.assert_allclose(frame["fixed"], model.predict(random="none"), atol=1e-12)


def test_augment_keeps_variables_of_the_same_name() -> None:
    """A variable of the model keeps its name; the computed column gets a dot."""
    data = models.frame(1).rename(columns={"x": "hat", "w": "weights"})
    frame = augment(ranef.fit("y ~ hat + (1 | a)", data, weights="weights"))

    np.testing.assert_array_equal(frame["hat"], data["hat"])
    assert frame[".hat"].between(0.0, 1.0).all()
    np.testing.assert_array_equal(frame["weights"], frame[".weights"])
