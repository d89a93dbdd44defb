"""A fitted model cannot be changed: not through what it hands out, nor through the data."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import ranef
from fits import MODELS, data, fit, fitted
from ranef.convergence import Status

every_model = pytest.mark.parametrize("name", MODELS)

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
        yield (
            value.to_numpy(copy=True)
            if value.dtype.kind in "fib"
            else np.array([str(item) for item in value])
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
        one, other = (ranef.fit(formula, data(), optimizer=optimizer, **options) for _ in range(2))
    assert_same(snapshot(one), snapshot(other))


def test_models_compare_by_identity() -> None:
    """A model can be a key; comparing does not compare arrays."""
    one, other = fitted("slopes"), fit("slopes")
    assert one == one and one != other  # noqa: PLR0124
    assert len({one, other}) == 2
