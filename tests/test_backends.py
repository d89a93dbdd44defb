"""Who does the work of `n_jobs`: what joblib's configuration says, and the same result from all."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranef
from ranef.draws import check_jobs, in_parallel
from ranef.errors import MissingDependencyError, OptionError
from ranef.typing import FloatArray

joblib = pytest.importorskip("joblib")

DATA = ranef.datasets.load("sleepstudy")
FORMULA = "Reaction ~ Days + (Days | Subject)"
MODEL = ranef.fit(FORMULA, DATA)
SMALLER = ranef.fit("Reaction ~ Days + (1 | Subject)", DATA)
POWER: dict[str, Any] = {
    "beta": MODEL.fixef,
    "theta": MODEL.theta,
    "sigma": MODEL.sigma,
    "test": "Days",
    "n": 30,
    "seed": 4,
}
RESPONSES = DATA["Reaction"].to_numpy()[:, None] + np.random.default_rng(5).normal(
    0.0, 20.0, (len(DATA), 60)
)


def own(model: ranef.LinearMixedModel) -> float:
    """Return a statistic that travels to the workers by name."""
    return model.sigma


# everything that has n_jobs, as numbers
CALLS: dict[str, Callable[[int | None], Any]] = {
    "bootstrap": lambda jobs: MODEL.bootstrap(40, seed=3, n_jobs=jobs).values,
    "bootstrap, own statistic": lambda jobs: (
        MODEL.bootstrap(12, seed=3, statistic=own, n_jobs=jobs).values
    ),
    "profile": lambda jobs: MODEL.profile("theta_", n_jobs=jobs).confint(),
    "confint": lambda jobs: MODEL.confint(n_jobs=jobs),
    "compare": lambda jobs: ranef.compare(
        SMALLER, MODEL, method="bootstrap", n=40, seed=3, n_jobs=jobs
    )["p_value"],
    "influence": lambda jobs: MODEL.influence("Subject", exact=True, n_jobs=jobs).beta,
    "power": lambda jobs: ranef.power(FORMULA, DATA, **POWER, n_jobs=jobs).p_values,
    "fit_many": lambda jobs: (
        ranef.fit_many("~ Days + (Days | Subject)", DATA, RESPONSES, n_jobs=jobs).estimate
    ),
}


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks small, so that there is something to divide."""
    for name, limit in {
        "inference.bootstrap": {"MOST_AT_ONCE": 9, "MOST_MODELS": 3},
        "inference.parametric_lrt": {"MOST_AT_ONCE": 9},
        "planning.simulated_power": {"MOST_AT_ONCE": 9, "MOST_MODELS": 7},
        "diagnostics.influence": {"FITS_PER_JOB": 5},
        "many.missing": {"block_size": lambda rows: 13},
    }.items():
        module = importlib.import_module(f"ranef.{name}")
        for constant, value in limit.items():
            monkeypatch.setattr(module, constant, value)


def numbers(found: Any) -> FloatArray:
    """Return a result as numbers; NaN count as equal."""
    return np.asarray(found, dtype=np.float64)


class Counting(joblib._parallel_backends.ThreadingBackend):  # type: ignore[misc, name-defined]
    """Threads of a backend that somebody registered; like Ray's it gives results at the end."""

    submitted = 0
    supports_return_generator = False

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Count, and do."""
        type(self).submitted += 1
        return super().submit(func, callback)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    """Register the backend under a name."""
    monkeypatch.setattr(Counting, "submitted", 0)
    joblib.register_parallel_backend("counting", Counting)
    return Counting


@pytest.mark.parametrize("name", CALLS)
def test_a_registered_backend_is_used(name: str, counting: type[Counting]) -> None:
    """Ray, and any other, comes through joblib's registry; nobody needs to pass ``n_jobs``."""
    alone = CALLS[name](1)
    assert counting.submitted == 0
    with joblib.parallel_config(backend="counting", n_jobs=2):
        np.testing.assert_array_equal(numbers(CALLS[name](None)), numbers(alone))
    assert counting.submitted >= 2


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("name", CALLS)
def test_threads_and_processes(name: str, backend: str) -> None:
    """The same to the last bit."""
    alone = CALLS[name](1)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        np.testing.assert_array_equal(numbers(CALLS[name](None)), numbers(alone))


def test_dask(dask_client: Any) -> None:
    """On a cluster of two processes, the same to the last bit; by default all of it is used."""
    with joblib.parallel_config(backend="dask"):
        for name, call in CALLS.items():
            np.testing.assert_array_equal(numbers(call(None)), numbers(call(1)), err_msg=name)
    assert len(dask_client.scheduler_info()["workers"]) == 2


def test_multiprocessing_gives_all_results_at_the_end() -> None:
    """A backend of joblib's own that cannot give one result after the other."""
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
        assert list(in_parallel(pow, [(2, k) for k in range(5)], None)) == [1, 2, 4, 8, 16]


def test_an_explicit_number_wins(counting: type[Counting]) -> None:
    """``n_jobs=1`` works here and now, whatever the configuration; other numbers go to it."""
    jobs = [(2, k) for k in range(6)]
    with joblib.parallel_config(backend="counting", n_jobs=2):
        assert list(in_parallel(pow, jobs, 1)) == [1, 2, 4, 8, 16, 32]
        assert counting.submitted == 0
    with joblib.parallel_config(backend="counting", n_jobs=1):
        assert list(in_parallel(pow, jobs, -1)) == [1, 2, 4, 8, 16, 32]
        assert counting.submitted == (0 if joblib.cpu_count() == 1 else len(jobs))


def test_without_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default one worker, and joblib is not even imported."""
    monkeypatch.delitem(sys.modules, "joblib")
    monkeypatch.setitem(sys.modules, "joblib.parallel", None)  # importing joblib would fail
    assert list(in_parallel(pow, [(2, 1), (2, 2)], None)) == [2, 4]


@pytest.mark.parametrize("n", [1, 40], ids=["one chunk", "several"])
@pytest.mark.parametrize("n_jobs", [2, -1])
def test_several_workers_need_joblib(monkeypatch: pytest.MonkeyPatch, n: int, n_jobs: int) -> None:
    """The error names the extra, and comes whether or not there is work for several."""
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MissingDependencyError, match=r"ranef\[parallel\]"):
        MODEL.bootstrap(n, n_jobs=n_jobs)
    assert MODEL.bootstrap(n, n_jobs=1).n == MODEL.bootstrap(n).n == n


@pytest.mark.parametrize("value", [0, 1.5, True, "all", -1.0])
@pytest.mark.parametrize("name", CALLS)
def test_bad_numbers(name: str, value: Any) -> None:
    """Everything that has ``n_jobs`` refuses the same, by name, before any work."""
    with pytest.raises(OptionError, match="n_jobs must be a whole number other than 0"):
        CALLS[name](value)


@pytest.mark.parametrize("value", [None, 1, 3, -1, -2, np.int64(2)])
def test_numbers_as_joblib_counts_them(value: Any) -> None:
    """Negative numbers count down from all processors."""
    assert check_jobs(value) == value
