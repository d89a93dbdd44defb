"""Profiles: constrained minima against brute force, curves, boundaries, invariances, options.

`tests/test_confint.py` compares limits with lme4's. Here the deviance at a limit is minimised
again by somebody else: scipy, numerical derivatives, n x n matrices, constraints imposed by
rescaling rows of the factors. Nothing is shared with the profile but the data.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import models
import ranef
from bank import case
from fits import fitted
from models import SHAPES, VARIANTS, Variant, frame, through
from oracle import Dense
from ranef.errors import FitError, MissingDependencyError, OptionError, UnknownVariableError
from ranef.inference import profile_surface
from ranef.inference.confint import confint
from ranef.inference.parameters import VarianceParameter, variance_parameters
from ranef.inference.profile import Profile, profile
from ranef.inference.profile_curve import Curve
from ranef.inference.profile_subject import limits, subject
from ranef.typing import FloatArray

Z = 1.959963984540054
pytestmark = pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")


def sleepstudy(**options: bool) -> ranef.LinearMixedModel:
    """Return lme4's example."""
    data = ranef.datasets.load("sleepstudy")
    return ranef.fit("Reaction ~ Days + (Days | Subject)", data, **options)


# --- the constrained minimum, by brute force ---------------------------------------------------


def deviance(dense: Dense, T: list[FloatArray], log_variance: float) -> float:
    """Return -2 log-likelihood, beta profiled out."""
    point = dense.at(tuple(T))
    n = len(dense.y)
    value = float(np.linalg.slogdet(point.V0)[1]) + point.r2 * math.exp(-log_variance)
    return value + n * (log_variance + math.log(2 * math.pi)) - dense.log_weights


def at_angle(row: FloatArray, other: FloatArray, cosine: float) -> FloatArray:
    """Return a row as long as ``row`` whose correlation with ``other`` is ``cosine``."""
    unit = other / np.sqrt(other @ other)
    rest = row - (row @ unit) * unit
    rest = rest / np.sqrt(rest @ rest)
    return np.sqrt(row @ row) * (cosine * unit + math.sqrt(1 - cosine**2) * rest)


def constrained(
    model: ranef.LinearMixedModel, name: str, value: float
) -> Callable[[FloatArray], float]:
    """Return the deviance of (theta, log sigma^2) after one parameter has been set to a value."""
    dense = Dense.of(model.design, reml=False)
    slots = model.problem.slots
    by_name = {p.name: p for p in variance_parameters(model.problem)}
    parameter: VarianceParameter | None = by_name.get(name)
    if parameter is None:
        j = list(model.design.x_names).index(name)
        root = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)
        column = np.asarray(model.design.X)[:, j] * root
        kept = np.delete(dense.X, j, axis=1)
        dense = replace(dense, y=dense.y - value * column, X=kept)

    def minimised(x: FloatArray) -> float:
        T, s = [t.copy() for t in dense.factors(x[:-1])], float(x[-1])
        if parameter is not None and parameter.kind == "sigma":
            s = 2.0 * math.log(value)
        elif parameter is not None:
            i = next(
                i
                for i, slot in enumerate(slots)
                if slot.factor == parameter.factor and slot.start <= parameter.row < slot.stop
            )
            a, b = parameter.row - slots[i].start, parameter.col - slots[i].start
            if parameter.kind == "sd":
                T[i][a] *= value * math.exp(-0.5 * s) / np.sqrt(T[i][a] @ T[i][a])
            else:
                T[i][a] = at_angle(T[i][a], T[i][b], value)
        return deviance(dense, T, s)

    return minimised


def brute_force(model: ranef.LinearMixedModel, name: str, value: float) -> float:
    """Return the constrained minimum of the deviance, from several starts."""
    function = constrained(model, name, value)
    start = np.append(model.theta_values, 2.0 * math.log(model.sigma))
    rng = np.random.default_rng(1)
    found = []
    for size in (0.01, 0.3):
        moved = start + size * rng.standard_normal(len(start))
        found.append(optimize.minimize(function, moved, method="BFGS").fun)
    return float(min(found))


CHECKED = [
    ("intercepts", 3, False, "sd_Intercept|a"),
    ("slopes", 5, True, "sd_x|a"),
    ("slopes", 4, False, "cor_x.Intercept|a"),
    ("slopes", 0, True, "cor_x.Intercept|a"),
    ("slopes", 4, False, "x"),
    ("diagonal", 1, True, "sd_x|a"),
    ("nested", 2, True, "sigma"),
    ("crossed", 4, False, "cor_x.Intercept|a"),
    ("crossed intercepts", 5, True, "sd_Intercept|b"),
    ("several terms on a factor", 2, False, "sd_x|a"),
    ("crossed", 6, True, "Intercept"),
]


@pytest.mark.parametrize(("shape", "seed", "weighted", "name"), CHECKED, ids=str)
def test_limits_are_where_the_constrained_minimum_says(
    shape: str, seed: int, weighted: bool, name: str
) -> None:
    """At every limit inside the range the deviance, minimised by others, is higher by z^2."""
    options = {"weights": "w", "offset": "o"} if weighted else {}
    model = ranef.fit(SHAPES[shape], frame(seed), reml=False, **options)
    found = confint(model, parameters=name)
    ends = [end for end in found.loc[name] if name[:2] != "sd" or end > 0]
    ends = [end for end in ends if name[:3] != "cor" or abs(end) < 1]

    assert ends
    for end in ends:
        # BFGS with numerical derivatives stops within about 1e-6
        assert brute_force(model, name, end) - model.objective == pytest.approx(Z * Z, abs=1e-5)


def test_lower_limits_near_zero_are_not_rounded() -> None:
    """orthodont: without its intercepts the deviance rises by 3.8475, just more than 3.8415."""
    model = ranef.fit(case("ortho").formula, case("ortho").frame(), reml=False)
    lower = confint(model, parameters="sd_Intercept|Subject").loc["sd_Intercept|Subject", "lower"]

    assert 0.001 < lower < 0.0015
    smaller = ranef.fit("distance ~ age * Sex + (0 + age | Subject)", case("ortho").frame(),
                        reml=False)  # fmt: skip
    assert smaller.objective - model.objective == pytest.approx(3.84754, abs=1e-5)


def test_a_correlation_may_take_any_value_if_an_effect_may_be_zero() -> None:
    """Orthodont without random slopes is rejected by less than 3.84: so is no correlation."""
    model = ranef.fit(case("ortho").formula, case("ortho").frame(), reml=False)
    smaller = ranef.fit("distance ~ age * Sex + (1 | Subject)", case("ortho").frame(), reml=False)
    found = profile(model, "cor_age.Intercept|Subject")

    assert smaller.objective - model.objective < Z * Z
    assert confint(model).loc["cor_age.Intercept|Subject"].tolist() == [-1.0, 1.0]
    curve = found["cor_age.Intercept|Subject"]
    assert curve.deviance.max() <= smaller.objective + 1e-7
    assert found.confint().loc[curve.name].tolist() == [-1.0, 1.0]


# --- curves ------------------------------------------------------------------------------------


def test_curves_have_exact_slopes() -> None:
    """The multiplier of the constraint is the derivative of the constrained minimum."""
    for curve in profile(sleepstudy()).curves:
        inside = slice(1, -1)
        height, v = curve.zeta[inside], curve.coordinate(curve.value)[inside]
        step = 1e-4 * (v[-1] - v[0])
        fine = confint_at(curve, v, step)

        # error of central differences of an interpolated curve
        np.testing.assert_allclose(curve.slope[inside], fine, rtol=1e-3)
        assert (np.diff(height) > 0).all()


def confint_at(curve: Curve, v: FloatArray, step: float) -> FloatArray:
    """Return numerical slopes of zeta, by pairs of values around those of a curve."""
    high, low = curve.back(v + step), curve.back(v - step)
    return (curve.at(high) - curve.at(low)) / (2 * step)


def test_intervals_read_off_the_curves_are_those_computed() -> None:
    """Interpolation costs less than 1e-5 of the width, at every level."""
    model = sleepstudy()
    found = profile(model)
    for level in (0.5, 0.8, 0.95, 0.99):
        exact = confint(model, level=level)
        width = exact["upper"] - exact["lower"]

        assert (found.confint(level) - exact).div(width, axis=0).abs().max().max() < 1e-5


def test_curves_reach_as_far_as_asked() -> None:
    """The first and the last point are the limits of the level; more is refused."""
    found = profile(sleepstudy(), ["Days", "sigma"], level=0.9)

    for curve in found.curves:
        assert curve.zeta[[0, -1]] == pytest.approx([-1.644853627, 1.644853627], abs=1e-7)
    with pytest.raises(OptionError, match=r"reach to level 0\.9"):
        found.confint(0.95)


def test_a_point_of_a_curve_is_a_constrained_fit() -> None:
    """With Days held at 8, the deviance is that of a model with 8 Days as its offset."""
    data = ranef.datasets.load("sleepstudy")
    curve = profile(sleepstudy(), "Days")["Days"]
    for value, height in zip(curve.value[::4], curve.deviance[::4], strict=True):
        held = ranef.fit("Reaction ~ 1 + (Days | Subject)", data, reml=False,
                         offset=value * data["Days"].to_numpy(float))  # fmt: skip

        # both minima are found to about 1e-9
        assert height == pytest.approx(held.objective, abs=1e-7)


def test_a_fit_by_reml_is_profiled_by_maximum_likelihood() -> None:
    """The result says so, and is that of the fit by maximum likelihood."""
    reml, ml = profile(sleepstudy()), profile(sleepstudy(reml=False))

    assert reml.refitted
    assert not ml.refitted
    assert "maximum likelihood" in str(reml)
    assert "maximum likelihood" not in str(ml)
    # two searches for one optimum
    np.testing.assert_allclose(reml.confint(), ml.confint(), rtol=1e-6)


# --- boundaries --------------------------------------------------------------------------------


def one_way(sd: float, data: pd.DataFrame) -> float:
    """Return the deviance of dyestuff2 at a standard deviation of batches, over all sigma."""
    groups = data.groupby("Batch", observed=True)["Yield"]
    a, n = groups.ngroups, 5
    between = n * float(((groups.mean() - groups.mean().mean()) ** 2).sum())
    within = float(groups.var().sum()) * (n - 1)

    def at(s: float) -> float:
        total = math.exp(s) + n * sd * sd
        value = a * math.log(total) + a * (n - 1) * s + within * math.exp(-s) + between / total
        return value + a * n * math.log(2 * math.pi)

    return float(optimize.minimize_scalar(at, bounds=(0.0, 6.0), options={"xatol": 1e-10}).fun)


def test_a_variance_of_zero_has_an_upper_limit() -> None:
    """dyestuff2: lower limit 0, upper limit by the closed form of the balanced one-way layout."""
    data = ranef.datasets.load("dyestuff2")
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", data, reml=False)
    lower, upper = confint(model).loc["sd_Intercept|Batch"]

    assert model.is_singular
    assert model.objective == pytest.approx(one_way(0.0, data), abs=1e-9)
    assert lower == 0.0
    assert one_way(upper, data) - model.objective == pytest.approx(Z * Z, abs=1e-7)
    curve = profile(model, "theta_")["sd_Intercept|Batch"]
    assert curve.value[0] == 0.0
    assert curve.zeta[0] == 0.0
    assert curve.limits(Z) == pytest.approx((0.0, upper), rel=1e-5)


def test_an_undefined_correlation_may_be_anything() -> None:
    """Without variance of an effect the data say nothing about its correlations."""
    data = ranef.datasets.load("dyestuff2").assign(x=lambda d: np.tile([-2, -1, 0, 1, 2], 6))
    data["Yield"] -= data.groupby("Batch", observed=True)["Yield"].transform("mean")
    model = ranef.fit("Yield ~ 1 + (x | Batch)", data, reml=False)
    found = confint(model, parameters="theta_")
    profiled = profile(model)

    assert model.VarCorr.sd["Batch"]["Intercept"] == 0.0
    assert found.loc["cor_x.Intercept|Batch"].tolist() == [-1.0, 1.0]
    assert found.loc["sd_Intercept|Batch", "lower"] == 0.0
    assert np.isfinite(found.loc["sd_Intercept|Batch", "upper"])
    assert profiled.confint().loc["cor_x.Intercept|Batch"].tolist() == [-1.0, 1.0]
    assert "cor_x.Intercept|Batch" in str(profiled)


@pytest.mark.parametrize("name", ["indometh", "p_w_ml"])
def test_a_correlation_of_one_has_an_interval(name: str) -> None:
    """One end is the estimate; the other is where the likelihood says, here the other end."""
    model = ranef.fit(case(name).formula, case(name).frame(), **case(name).options())
    found = confint(model, parameters="theta_")
    correlation = found[found.index.str.startswith("cor")].to_numpy()

    assert model.is_singular
    assert correlation.tolist() == [[-1.0, 1.0]]
    assert found.notna().all().all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [7, 8])
def test_small_data_give_honest_limits(shape: str, seed: int) -> None:
    """80 rows and up to 12 covariance parameters: mostly singular, and no surprise."""
    model = ranef.fit(SHAPES[shape], frame(seed))
    try:
        base = subject(model)
        pairs = [limits(base, target, Z) for target in base.targets]
    except FitError as error:
        # the fit stopped at a minimum that is not the lowest: the message brings a better start
        start = [float(x) for x in str(error).partition("start=[")[2].rstrip("].").split(",")]
        ml = ranef.fit(SHAPES[shape], frame(seed), reml=False)
        better = ranef.fit(SHAPES[shape], frame(seed), reml=False, start=start)
        assert better.objective < ml.objective - 1e-5
        return
    for target, (low, high) in zip(base.targets, pairs, strict=True):
        estimate = target.estimate
        assert math.isfinite(low)
        assert math.isfinite(high)
        assert low < high
        assert math.isnan(estimate) or low <= estimate <= high
        if target.kind == "sd":
            assert low >= 0
        if target.kind == "cor":
            assert low >= -1
            assert high <= 1


def test_undetermined_parameters_do_not_stop_a_profile() -> None:
    """Where two terms can be exchanged, what both could explain has wide intervals."""
    over = case("mach_facuncorr")
    model = ranef.fit(over.formula, over.frame(), reml=False)
    exact = ranef.fit("score ~ Machine + (0 + Machine | Worker)", over.frame(), reml=False)
    found, less = confint(model), confint(exact)

    assert found.loc["sd_Intercept|Worker", "lower"] == 0.0
    # the same model, hence the same intervals of what they share
    shared = ["sigma", "Intercept", "Machine[T.B]", "Machine[T.C]"]
    np.testing.assert_allclose(found.loc[shared], less.loc[shared], rtol=1e-5)
    same = "sd_Machine[B]|Worker"
    assert found.loc[same, "lower"] < less.loc[same, "lower"]
    assert found.loc[same, "upper"] == pytest.approx(less.loc[same, "upper"], rel=1e-4)


# --- the same answer whatever the way ----------------------------------------------------------


@given(st.floats(-3, 3), st.floats(0.01, 100), st.floats(-50, 50), st.sampled_from([-1, 1]))
@settings(max_examples=10)
def test_units_and_signs_do_not_matter(
    shift: float, scale: float, origin: float, sign: int
) -> None:
    """Limits are equivariant: affine responses, rescaled and reflected predictors."""
    data = ranef.datasets.load("sleepstudy")
    plain = confint(sleepstudy())
    moved = data.assign(
        Reaction=scale * data["Reaction"] + origin, Days=sign * data["Days"] * (0.1 + abs(shift))
    )
    found = confint(ranef.fit("Reaction ~ Days + (Days | Subject)", moved))
    unit = scale * sign / (0.1 + abs(shift))
    expected = plain.copy()
    expected.loc[["sd_Intercept|Subject", "sigma"]] *= scale
    expected.loc["Intercept"] = scale * plain.loc["Intercept"] + origin
    expected.loc["sd_Days|Subject"] *= abs(unit)
    for name, factor in (("Days", unit), ("cor_Days.Intercept|Subject", sign)):
        expected.loc[name] = sorted(factor * plain.loc[name])

    # optima are found to about 1e-9 in deviance; that of limits is better
    width = expected["upper"] - expected["lower"]
    assert (found - expected).div(width, axis=0).abs().max().max() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", ["slopes", "nested three deep", "crossed", "aliased columns"])
def test_every_way_through_the_core(shape: str, variant: Variant) -> None:
    """Chains, dense blocks and both kernels give the same limits."""
    data = frame(4)
    plain = confint(ranef.fit(SHAPES[shape], data, reml=False))
    with through(variant):
        found = confint(ranef.fit(SHAPES[shape], data, reml=False))

    width = plain["upper"] - plain["lower"]
    # rounding, multiplied by how flat the deviance is
    assert (found - plain).div(width, axis=0).abs().max().max() < 1e-6


def test_average_information_leads_to_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large crossed models do without the exact Hessian."""
    model = ranef.fit("y ~ x + (x | a) + (1 | b)", frame(1), reml=False)
    exact = confint(model)
    monkeypatch.setattr(profile_surface, "LARGEST_WHOLE", -1)
    found = confint(model)

    width = exact["upper"] - exact["lower"]
    assert (found - exact).div(width, axis=0).abs().max().max() < 1e-6


def test_several_processes_give_the_same() -> None:
    """Parameters are divided among them."""
    pytest.importorskip("joblib")
    model = sleepstudy()
    alone, together = profile(model, "theta_"), profile(model, "theta_", n_jobs=2)

    pd.testing.assert_frame_equal(alone.to_frame(), together.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(confint(model), confint(model, n_jobs=2), check_exact=True)


# --- options and results -----------------------------------------------------------------------


def test_several_processes_need_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MissingDependencyError, match=r"ranef\[parallel\]"):
        profile(sleepstudy(), n_jobs=2)


def test_a_lower_deviance_is_reported() -> None:
    """A fit that is not the minimum is an error, with a better start."""
    base = subject(sleepstudy())
    pretended = replace(base, deviance=base.deviance + 0.5)
    with pytest.raises(FitError, match=r"lower by 0\.5.*start=\["):
        limits(pretended, base.targets[0], Z)


def test_a_fit_that_has_not_converged_is_refused() -> None:
    """There is no maximum to start from."""
    model = fitted("slopes")
    data = ranef.datasets.load("sleepstudy")
    stopped = ranef.fit("Reaction ~ Days + (Days | Subject)", data, reml=False,
                        control=ranef.Control(max_evaluations=1))  # fmt: skip
    assert model.convergence.converged
    with pytest.raises(FitError, match="not converged"):
        profile(stopped)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"which": "sd_Day|Subject"}, UnknownVariableError, "Did you mean 'sd_Days|Subject'"),
        ({"which": 3}, OptionError, "which must be the name of a parameter.*got 3"),
        ({"level": 1.0}, OptionError, "between 0 and 1"),
        ({"n_jobs": "all"}, OptionError, "n_jobs must be"),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception], message: str) -> None:
    """Refused, with what is allowed."""
    with pytest.raises(error, match=message.replace("|", r"\|")):
        profile(sleepstudy(), **options)  # type: ignore[arg-type]


def test_aliased_coefficients_have_no_profile() -> None:
    """They are left out, and refused if nothing else is asked for."""
    model = fitted("aliased")

    assert [curve.name for curve in profile(model, "beta_").curves] == ["Intercept", "x", "z"]
    with pytest.raises(OptionError, match="nothing to profile"):
        profile(model, "I(2 * x)")


def test_the_frame() -> None:
    """One row per point, parameters in the order of the model."""
    found = profile(sleepstudy(), ["Days", "sigma"])
    table = found.to_frame()

    assert table.columns.tolist() == ["parameter", "value", "zeta", "deviance"]
    assert table["parameter"].unique().tolist() == ["sigma", "Days"]
    assert (table["deviance"] - found.deviance).to_numpy() == pytest.approx(table["zeta"] ** 2)
    zero = table[table["zeta"] == 0].set_index("parameter")["value"]
    model = sleepstudy(reml=False)
    # the center of a curve is the estimate itself
    assert zero["sigma"] == pytest.approx(model.sigma, rel=1e-6)
    assert zero["Days"] == pytest.approx(model.fixef["Days"], rel=1e-6)


def test_results_are_frozen() -> None:
    """Arrays are locked, also after a pickle."""
    found = profile(sleepstudy(), "sigma")
    again: Profile = pickle.loads(pickle.dumps(found))
    for one in (found, again):
        with pytest.raises(ValueError, match="read-only"):
            one["sigma"].zeta[0] = 0.0
    with pytest.raises(UnknownVariableError, match="Parameters: sigma"):
        found["Days"]


def test_print() -> None:
    """Estimates with their intervals; the rows decide their decimals."""
    expected = """\
Profile likelihood intervals
Profile of: the fit by maximum likelihood, for a model fitted by REML
-2 log-likelihood: 1751.9

                           Estimate  2.5 % 97.5 %
sd_Intercept|Subject          23.78  14.38  37.72
sd_Days|Subject               5.717  3.801  8.753
cor_Days.Intercept|Subject    0.081 -0.481  0.685
sigma                        25.592 22.898 28.858
Intercept                    251.41 237.68 265.13
Days                         10.467  7.359 13.576"""
    assert str(profile(sleepstudy())).rstrip() == expected


# --- pictures ----------------------------------------------------------------------------------


def test_pictures() -> None:
    """A panel per parameter, for both pictures; given axes are used."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    from ranef.plots.profile import density, zeta

    found = profile(sleepstudy(), "theta_")
    for draw in (zeta, density):
        figure = draw(found)
        assert [axis.get_title() for axis in figure.axes] == [c.name for c in found.curves]
        pyplot.close(figure)
    figure, axes = pyplot.subplots(2, 2)
    assert found.plot(axes) is figure
    assert all(axis.lines for axis in figure.axes)
    with pytest.raises(OptionError, match="4 parameters, and there are 1 axes"):
        zeta(found, axes[0, 0])
    pyplot.close(figure)


def test_pictures_need_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"ranef\[plots\]"):
        profile(sleepstudy(), "sigma").plot()


def test_the_helpers_cover_every_shape() -> None:
    """The brute force above is about models of `tests/models.py`."""
    assert {shape for shape, *_ in CHECKED} <= models.SHAPES.keys()
