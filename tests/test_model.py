"""The fitted model: complete, consistent with itself, and impossible to change."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import ranef
from ranef.convergence import Status
from ranef.errors import ConvergenceWarning, OptionError, RankDeficiencyWarning

# name: formula, keyword arguments of `fit`
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "slopes": ("y ~ x + (x | g)", {}),
    "crossed": ("y ~ x + z + (x | g) + (1 | h)", {"reml": False}),
    "weights and offset": ("y ~ x + (1 | g) + (0 + x | g)", {"weights": "w", "offset": "o"}),
    "nested": ("y ~ 1 + (z || h / s)", {"reml": False}),
    "factors": ("y ~ f * x + (0 + f | h)", {"contrasts": {"f": "sum"}}),
    "aliased": ("y ~ x + I(2 * x) + z + (1 | g)", {}),
    "missing": ("y ~ m + (1 | g)", {"weights": "w"}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}),
    "one column": ("y ~ 0 + x + (1 | h)", {"reml": False}),
    "sparse": ("y ~ x + many + (1 | g)", {}),
    "singular": ("y ~ x + (1 | nothing)", {}),
}
every_model = pytest.mark.parametrize("name", MODELS)


def data() -> pd.DataFrame:
    """Return data with row labels of their own, missing values and several kinds of columns."""
    rng = np.random.default_rng(4)
    n = 600
    g, h, x, z = rng.integers(0, 20, n), rng.choice(list("pqrst"), n), *rng.standard_normal((2, n))
    w, o = rng.uniform(0.5, 2, n), rng.standard_normal(n)
    u, v = rng.standard_normal((20, 2)), dict(zip("pqrst", rng.standard_normal(5), strict=True))
    y = 1 + x + u[g, 0] + 0.7 * u[g, 1] * x + [v[level] for level in h] + rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "y": y, "x": x, "z": z, "w": w, "o": o, "g": g, "h": h, "s": g % 4,
            "f": pd.Categorical(rng.choice(["a", "b", "c"], n)),
            "many": pd.Categorical([f"m{i:03d}" for i in np.arange(n) % 120]),
            "m": np.where(rng.random(n) < 0.1, np.nan, z),
            "nothing": np.arange(n) // 2 % 30,
        },
        index=[f"row {i}" for i in rng.permutation(n)],
    )  # fmt: skip
    # the mean of every level of `nothing` is the same: its variance is zero
    frame["y"] -= frame.groupby("nothing")["y"].transform("mean") * 0.5
    return frame


def fit(name: str, frame: Any = None) -> ranef.LinearMixedModel:
    """Fit one of the models, without the warning about aliased columns."""
    formula, options = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return ranef.fit(formula, data() if frame is None else frame, **options)


@cache
def fitted(name: str) -> ranef.LinearMixedModel:
    """Return a model that no test changes."""
    return fit(name)


# What the model hands out: every property and method without side effects.
HANDED_OUT: dict[str, Callable[[ranef.LinearMixedModel], Any]] = {
    "theta": lambda m: m.theta,
    "fixef": lambda m: m.fixef,
    "std_errors": lambda m: m.std_errors,
    "vcov": lambda m: m.vcov,
    "ranef": lambda m: dict(m.ranef),
    "ranef.sd": lambda m: dict(m.ranef.sd),
    "ranef.cov": lambda m: dict(m.ranef.cov),
    "ranef.to_frame": lambda m: m.ranef.to_frame(),
    "coef": lambda m: m.coef,
    "VarCorr.cov": lambda m: dict(m.VarCorr.cov),
    "VarCorr.sd": lambda m: dict(m.VarCorr.sd),
    "VarCorr.corr": lambda m: dict(m.VarCorr.corr),
    "VarCorr.to_frame": lambda m: m.VarCorr.to_frame(),
    "ngroups": lambda m: m.ngroups,
    "fitted": lambda m: m.fitted,
    "resid": lambda m: m.resid,
    "pearson": lambda m: m.residuals("pearson"),
    "scaled": lambda m: m.residuals("scaled"),
    "X": lambda m: m.X,
    "Z": lambda m: m.Z,
    "y": lambda m: m.y,
    "coef_table": lambda m: m.coef_table(ddf="normal"),
    "tidy": lambda m: m.tidy(),
    "glance": lambda m: m.glance(),
    "design.weights": lambda m: m.design.weights,
    "design.codes": lambda m: [term.grouping.codes for term in m.design.terms],
    "design.columns": lambda m: [c for term in m.design.terms for c in term.columns],
    "design.dropped": lambda m: m.design.dropped,
}


def numbers(value: Any) -> Iterator[np.ndarray]:
    """Yield copies of all arrays in something handed out; labels as text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield np.array([str(key)])
            yield from numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers(item)
    elif sparse.issparse(value):
        yield value.toarray()
    elif isinstance(value, pd.DataFrame):
        yield np.array([str(label) for label in value.columns])
        for _, column in value.items():
            yield from numbers(column)
    elif isinstance(value, pd.Series):
        yield np.array([str(label) for label in value.index])
        yield value.to_numpy(copy=True) if value.dtype.kind in "fib" else np.array(
            [str(item) for item in value]
        )
    elif value is not None:
        yield np.array(value, copy=True)


def snapshot(model: ranef.LinearMixedModel) -> dict[str, list[np.ndarray]]:
    """Return everything a model says, as copies."""
    out = {name: list(numbers(get(model))) for name, get in HANDED_OUT.items()}
    out["criterion"] = [np.array([model.objective, model.objective_at(model.theta), model.sigma])]
    out["text"] = [np.array([str(model), repr(model), str(model.VarCorr), str(model.formula)])]
    return out


def assert_same(one: dict[str, list[np.ndarray]], other: dict[str, list[np.ndarray]]) -> None:
    """Assert that two snapshots agree bit by bit."""
    for name, arrays in one.items():
        assert len(arrays) == len(other[name]), name
        for first, second in zip(arrays, other[name], strict=True):
            np.testing.assert_array_equal(first, second, err_msg=name)


def spoil(value: Any) -> None:
    """Overwrite something handed out, as far as it lets one."""
    if isinstance(value, Mapping):
        for item in value.values():
            spoil(item)
        with suppress(TypeError, AttributeError):
            value.clear()  # type: ignore[attr-defined]
    elif isinstance(value, list | tuple):
        for item in value:
            spoil(item)
    elif isinstance(value, pd.Series | pd.DataFrame):
        with suppress(ValueError):
            value.to_numpy(copy=False)[:] = 0
        if isinstance(value, pd.Series):
            value.iloc[:] = 0
        else:
            for column in range(value.shape[1]):
                value.isetitem(column, 0)
    elif sparse.issparse(value):
        for part in (value.data, value.indices, value.indptr):
            with suppress(ValueError):
                part[:] = 0
    elif isinstance(value, np.ndarray):
        with suppress(ValueError):
            value[:] = 0


# --- immutability ----------------------------------------------------------------------------------


@every_model
def test_attributes_cannot_be_assigned(name: str) -> None:
    """Neither fields nor properties nor new names; nor can anything be deleted."""
    model = fitted(name)
    for attribute in ("theta_values", "objective", "reml", "fixef", "theta", "sigma", "new"):
        with pytest.raises(AttributeError):
            setattr(model, attribute, 0.0)
    for attribute in ("objective", "fixef"):
        with pytest.raises(AttributeError):
            delattr(model, attribute)
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.convergence.status = Status.CONVERGED  # type: ignore[misc]


@pytest.mark.parametrize("part", HANDED_OUT)
@pytest.mark.parametrize("name", ["slopes", "weights and offset", "missing", "sparse", "aliased"])
def test_what_is_handed_out_cannot_change_the_model(name: str, part: str) -> None:
    """Arrays are read-only or copies; series, frames and dictionaries are copies."""
    model = fit(name)
    before = snapshot(model)
    spoil(HANDED_OUT[part](model))
    assert_same(before, snapshot(model))


@every_model
def test_a_new_model_cannot_be_changed_either(name: str) -> None:
    """The same for what is computed at first use: it is spoilt before anything else was asked."""
    model = fit(name)
    for get in HANDED_OUT.values():
        spoil(get(model))
    assert_same(snapshot(fitted(name)), snapshot(model))


@pytest.mark.parametrize("name", ["slopes", "weights and offset", "missing", "sparse"])
def test_unpickled_models_are_protected_as_well(name: str) -> None:
    """Pickling loses the read-only flags of arrays; loading sets them again."""
    model = pickle.loads(pickle.dumps(fitted(name)))
    for get in HANDED_OUT.values():
        spoil(get(model))
    assert_same(snapshot(fitted(name)), snapshot(model))


@pytest.mark.parametrize("name", ["slopes", "weights and offset", "factors", "missing"])
def test_the_callers_frame_is_neither_changed_nor_kept(name: str) -> None:
    """Fitting leaves the data alone, and changing the data later leaves the model alone."""
    frame = data()
    model = fit(name, frame)
    pd.testing.assert_frame_equal(frame, data())
    before = snapshot(model)
    for column in frame.columns:
        with suppress(ValueError):
            frame[column].to_numpy(copy=False)[:] = 7
        frame[column] = 7
    frame.index = range(len(frame))
    assert_same(before, snapshot(model))


def test_the_callers_arrays_are_neither_changed_nor_kept() -> None:
    """Arrays in a dictionary, weights, offset and start values are copied where they are used."""
    columns = {name: data()[name].to_numpy(copy=True) for name in ("y", "x", "g")}
    weights, offset = (data()[name].to_numpy(copy=True) for name in ("w", "o"))
    start = np.array([1.0, 0.1, 0.5])
    given = {**columns, "weights": weights, "offset": offset, "start": start}
    copies = {name: array.copy() for name, array in given.items()}
    model = ranef.fit("y ~ x + (x | g)", columns, weights=weights, offset=offset, start=start)
    for name, array in given.items():
        np.testing.assert_array_equal(array, copies[name])
        assert array.flags.writeable
    before = snapshot(model)
    for array in given.values():
        array[:] = 3
    assert_same(before, snapshot(model))


@every_model
@pytest.mark.parametrize("used", [False, True])
def test_pickles_and_copies(name: str, used: bool) -> None:
    """Pickled, copied and deep-copied models say the same, whatever had been computed before."""
    model = fit(name)
    if used:
        snapshot(model)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert_same(snapshot(fitted(name)), snapshot(again))
        assert again.convergence == model.convergence


@every_model
@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
def test_fits_are_deterministic(name: str, optimizer: str) -> None:
    """Two fits of the same model agree bit by bit."""
    formula, options = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (
            ranef.fit(formula, data(), optimizer=optimizer, **options) for _ in range(2)
        )
    assert_same(snapshot(one), snapshot(other))


def test_models_compare_by_identity() -> None:
    """A model can be a key; comparing does not compare arrays."""
    one, other = fitted("slopes"), fit("slopes")
    assert one == one and one != other  # noqa: PLR0124
    assert len({one, other}) == 2


# --- consistency -----------------------------------------------------------------------------------


@every_model
def test_matrices_reproduce_the_fitted_values(name: str) -> None:
    """X b + Z u + offset are the fitted values; aliased columns count as zero."""
    model = fitted(name)
    if name == "sparse":
        assert isinstance(model.X, sparse.csc_array)
    terms = sorted(model.design.terms, key=lambda term: -term.grouping.size)
    modes = [model.ranef[term.grouping.name][list(term.names)].to_numpy() for term in terms]
    u = np.concatenate([block.ravel() for block in modes])
    assert isinstance(model.Z, sparse.csr_array) and model.Z.shape == (model.nobs, len(u))
    offset = 0.0 if model.design.offset is None else model.design.offset
    mu = model.X @ model.fixef.fillna(0.0).to_numpy() + model.Z @ u + offset
    np.testing.assert_allclose(model.fitted, mu, atol=1e-9)
    np.testing.assert_allclose(model.fitted + model.resid, model.y, atol=1e-12)


@every_model
def test_rows_keep_their_labels(name: str) -> None:
    """Fitted values and residuals align with the caller's rows; dropped rows are absent."""
    model, frame = fitted(name), data()
    kept = frame[frame["m"].notna()] if name == "missing" else frame
    for series in (model.fitted, model.resid, model.residuals("pearson")):
        assert series.index.tolist() == kept.index.tolist()
    np.testing.assert_allclose(model.fitted + model.resid, kept["y"], atol=1e-12)
    assert model.nobs == len(kept) == len(model.y)
    assert model.design.n_total == len(frame)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(1000, 1600),
        pd.Index(["same"] * 600),
        pd.date_range("2020-01-01", periods=600),
        pd.MultiIndex.from_product([range(20), range(30)], names=["a", "b"]),
    ],
    ids=["range", "duplicates", "dates", "two levels"],
)
def test_any_index_will_do(index: pd.Index) -> None:
    """The index is carried along, whatever it is, and never used to look anything up."""
    model = fit("slopes", data().set_axis(index))
    pd.testing.assert_index_equal(model.fitted.index, index)
    np.testing.assert_array_equal(model.fitted, fitted("slopes").fitted)


@every_model
def test_residuals(name: str) -> None:
    """Pearson residuals are multiplied by the root of the weight, scaled ones divided by sigma."""
    model = fitted(name)
    root = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)
    np.testing.assert_allclose(model.residuals("pearson"), model.resid * root, rtol=1e-13)
    np.testing.assert_allclose(model.residuals("scaled"), model.resid / model.sigma, rtol=1e-13)
    pd.testing.assert_series_equal(model.residuals(), model.resid)


def test_unknown_residuals() -> None:
    """Other kinds are refused with the list of those there are."""
    with pytest.raises(OptionError, match="'response', 'pearson', 'scaled'.*Did you mean 'scaled'"):
        fitted("slopes").residuals("scale")  # type: ignore[arg-type]


@every_model
def test_likelihood(name: str) -> None:
    """Criterion, log-likelihood, AIC and BIC hang together; parameters are counted as lme4 does."""
    model = fitted(name)
    parameters = int(model.fixef.notna().sum()) + len(model.theta) + 1
    assert (model.df, model.df_resid) == (parameters, model.nobs - parameters)
    assert model.loglik == -model.objective / 2
    assert model.aic == pytest.approx(model.objective + 2 * parameters)
    assert model.bic == pytest.approx(model.objective + np.log(model.nobs) * parameters)
    assert model.objective_at(model.theta) == pytest.approx(model.objective, abs=1e-9)
    assert model.objective_at(model.theta.tolist()) == model.objective_at(model.theta)


@every_model
def test_variances(name: str) -> None:
    """VarCorr is sigma^2 T T' term by term, with theta the lower triangles of T."""
    model = fitted(name)
    rest = list(model.theta)
    names = list(model.theta.index)
    for term in sorted(model.design.terms, key=lambda term: -term.grouping.size):
        k, group = len(term.names), term.grouping.name
        T = np.zeros((k, k))
        for b in range(k):
            for a in range(b, k if term.correlated else b + 1):
                T[a, b] = rest.pop(0)
                label = [term.names[a]] if a == b else [term.names[a], term.names[b]]
                assert names.pop(0) == ".".join([group, *label])
        cov = model.VarCorr.cov[group].loc[list(term.names), list(term.names)]
        np.testing.assert_allclose(cov, model.sigma**2 * T @ T.T, rtol=1e-10, atol=1e-12)
        assert (T.diagonal() >= 0).all()
    assert not rest
    assert model.VarCorr.sigma == model.sigma


@every_model
def test_covariances_of_the_estimates(name: str) -> None:
    """Standard errors are roots of the diagonal; aliased columns have none."""
    model = fitted(name)
    kept = model.fixef.dropna().index.tolist()
    assert model.vcov.index.tolist() == model.vcov.columns.tolist() == kept
    np.testing.assert_allclose(model.std_errors[kept], np.sqrt(np.diag(model.vcov)))
    np.testing.assert_allclose(model.vcov, model.vcov.T, rtol=1e-12, atol=1e-15)
    assert model.std_errors.isna().tolist() == model.fixef.isna().tolist()
    expected = ("I(2 * x)",) if name == "aliased" else ()
    assert model.dropped_columns == expected
    assert model.fixef.index[model.fixef.isna()].tolist() == list(expected)


@every_model
def test_groups(name: str) -> None:
    """Levels are counted, and are the index of the modes and of their standard deviations."""
    model, frame = fitted(name), data()
    for group, size in model.ngroups.items():
        variables = group.split(":")
        assert size == len(frame[variables].drop_duplicates())
        modes, deviations = model.ranef[group], model.ranef.sd[group]
        assert len(modes) == size and modes.index.name == group
        assert modes.index.equals(deviations.index) and list(modes) == list(deviations)
        cov = model.ranef.cov[group]
        np.testing.assert_allclose(np.square(deviations), np.diagonal(cov, axis1=1, axis2=2))
    assert list(model.ranef) == list(model.ngroups) == list(model.coef)
    sizes = list(model.ngroups.values())
    assert sizes == sorted(sizes, reverse=True)


@every_model
def test_coefficients_of_levels(name: str) -> None:
    """coef is fixef plus ranef; an effect without a fixed counterpart is added to zero."""
    model = fitted(name)
    for group, table in model.coef.items():
        modes = model.ranef[group]
        assert table.columns.tolist()[: len(model.fixef)] == model.fixef.index.tolist()
        assert table.index.equals(modes.index)
        for column in table:
            fixed = model.fixef.get(column, 0.0)
            random = modes[column] if column in modes else 0.0
            np.testing.assert_allclose(table[column], fixed + random + np.zeros(len(table)))


def test_without_fixed_effects_reml_is_ml() -> None:
    """Nothing to integrate out: the model says that it was fitted by maximum likelihood."""
    model = fitted("no fixed effects")
    assert not model.reml and model.fixef.empty and model.vcov.shape == (0, 0)
    assert model.X.shape == (600, 0)
    again = ranef.fit("y ~ 0 + (1 | g)", data(), reml=False)
    assert again.objective == model.objective


# --- tables ----------------------------------------------------------------------------------------


@every_model
def test_glance(name: str) -> None:
    """One row with the facts about the fit."""
    model = fitted(name)
    row = model.glance()
    criterion = "reml_criterion" if model.reml else "deviance"
    assert row.columns.tolist() == [
        "nobs", "sigma", "loglik", "aic", "bic", criterion, "df", "df_resid", "converged",
        "singular",
    ]  # fmt: skip
    assert len(row) == 1
    assert row[criterion].item() == model.objective
    assert (row["nobs"].item(), row["df"].item()) == (model.nobs, model.df)
    assert row["converged"].item() and row["singular"].item() == model.is_singular


@every_model
def test_tidy(name: str) -> None:
    """One row per parameter: coefficients, then standard deviations, correlations, sigma."""
    model = fitted(name)
    table = model.tidy()
    assert table.columns.tolist() == [
        "effect", "group", "term", "estimate", "std_error", "statistic", "p_value", "conf_low",
        "conf_high",
    ]  # fmt: skip
    fixed, random = table[table["effect"] == "fixed"], table[table["effect"] == "ran_pars"]
    assert len(fixed) + len(random) == len(table)
    assert fixed["term"].tolist() == model.fixef.index.tolist()
    np.testing.assert_array_equal(fixed["estimate"], model.fixef)
    np.testing.assert_array_equal(random["estimate"], model.VarCorr.to_frame()["sdcor"])
    assert random["group"].tolist() == model.VarCorr.to_frame()["grp"].tolist()
    assert random["term"].iloc[-1] == "sd__Observation"
    assert random["estimate"].iloc[-1] == model.sigma
    assert len(random) >= len(model.theta) + 1
    assert random["std_error"].isna().all()


@every_model
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_coefficient_table(name: str, level: float) -> None:
    """Estimates, z statistics, p-values and intervals, against scipy's normal distribution."""
    from scipy.stats import norm

    model = fitted(name)
    table = model.coef_table(ddf="normal", level=level)
    assert table.columns.tolist() == [
        "estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"
    ]  # fmt: skip
    assert table.index.tolist() == model.fixef.index.tolist()
    z = model.fixef / model.std_errors
    np.testing.assert_allclose(table["statistic"], z)
    np.testing.assert_allclose(table["p_value"], 2 * norm.sf(np.abs(z)), rtol=1e-9, atol=1e-300)
    half = norm.ppf((1 + level) / 2) * model.std_errors
    np.testing.assert_allclose(table["conf_low"], model.fixef - half)
    np.testing.assert_allclose(table["conf_high"], model.fixef + half)
    assert np.isinf(table["df"].dropna()).all()


# --- bad arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "theta",
    [
        [], [1.0], [1.0, 2.0, 3.0, 4.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], 1.0, None, "abc",
        [[1.0, 0.0, 1.0]], ["a", "b", "c"], {"a": 1}, [1.0, 2.0 + 1j, 1.0],
    ],
)  # fmt: skip
def test_bad_theta(theta: Any) -> None:
    """The criterion at something else than as many finite numbers is refused, naming them."""
    with pytest.raises(OptionError, match=r"theta must be 3 finite numbers \(g.Intercept, g.x.Int"):
        fitted("slopes").objective_at(theta)
    if theta is not None:  # no start values are the default
        with pytest.raises(OptionError, match="start must be 3 finite numbers"):
            ranef.fit("y ~ x + (x | g)", data(), start=theta)


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, np.nan, "95%", None, True])
def test_bad_levels(level: Any) -> None:
    """Coverage lies between 0 and 1."""
    for method in (fitted("slopes").coef_table, fitted("slopes").tidy):
        with pytest.raises(OptionError, match="level must be a number between 0 and 1"):
            method(level=level)


# --- warnings --------------------------------------------------------------------------------------


def warnings_of(formula: str, **options: Any) -> list[warnings.WarningMessage]:
    """Return the warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranef.fit(formula, data(), **options)
    return caught


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "aliased"])
def test_good_fits_are_silent(name: str, optimizer: str) -> None:
    """No warning about a fit that is where it should be, singular or not."""
    formula, options = MODELS[name]
    assert warnings_of(formula, optimizer=optimizer, **options) == []


def test_singular_fits_are_silent_but_say_so() -> None:
    """A variance of zero is a result, told by the model, not a warning."""
    model = fitted("singular")
    assert model.is_singular and model.convergence.status is Status.SINGULAR
    assert model.convergence.converged
    assert "the variance of Intercept by nothing is zero" in model.convergence.message
    assert model.theta.iloc[0] == 0.0 and not np.any(model.ranef["nothing"])


def test_rank_deficiency_warns_once() -> None:
    """One warning that names the columns, at the caller's line."""
    (warning,) = warnings_of("y ~ x + I(2 * x) + z + I(x - z) + (1 | g)")
    assert warning.category is RankDeficiencyWarning
    assert "I(2 * x)" in str(warning.message) and "I(x - z)" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize("optimizer", ["newton", "bobyqa", "nelder-mead"])
def test_failure_warns_once(optimizer: str) -> None:
    """One warning that says what happened and what to do; the model says the same."""
    control = ranef.Control(max_evaluations=2)
    (warning,) = warnings_of("y ~ x + (x | g)", control=control, optimizer=optimizer)
    assert warning.category is ConvergenceWarning and warning.filename == __file__
    text = str(warning.message)
    assert text.startswith("not converged after ") and "limit on evaluations" in text
    assert "max_evaluations" in text
    if optimizer == "newton":
        assert "optimizer='newton'" not in text  # that is what failed
    with pytest.warns(ConvergenceWarning):
        model = ranef.fit("y ~ x + (x | g)", data(), control=control, optimizer=optimizer)
    assert model.convergence.message == text
    assert not model.convergence.converged
    assert model.convergence.status is Status.NOT_CONVERGED
    assert model.convergence.optimizer == optimizer
    assert model.objective > fitted("slopes").objective + 1e-7
    assert np.isfinite(model.fixef).all()


def test_two_problems_are_two_warnings() -> None:
    """Rank deficiency and failure are told separately."""
    caught = warnings_of(
        "y ~ x + I(2 * x) + (x | g)", control=ranef.Control(max_evaluations=2)
    )
    assert [warning.category for warning in caught] == [RankDeficiencyWarning, ConvergenceWarning]


def test_the_verdict() -> None:
    """Status, message, counts and derivatives of a good fit."""
    verdict = fitted("slopes").convergence
    assert verdict.status == "converged" and verdict.converged
    assert verdict.message == f"converged after {verdict.n_evaluations} evaluations"
    assert 0 <= verdict.decrement < 1e-5 and verdict.smallest_curvature > 0
    assert 0 <= verdict.grad_norm < 1e-2 and verdict.null_directions == ()


def test_repr() -> None:
    """Short in a list, a summary in print."""
    model = fitted("slopes")
    assert repr(model) == "<LinearMixedModel y ~ x + (x | g) by REML: converged>"
    assert "Random effects" in str(model) and "<table" in model._repr_html_()
