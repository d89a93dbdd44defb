"""BOBYQA and Nelder-Mead: values only, and honest about where they stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from ranef.covariance.chart import Factors, identity
from ranef.errors import MissingDependencyError
from ranef.optimize.control import Control
from ranef.optimize.derivative_free import bobyqa, nelder_mead
from ranef.optimize.result import Optimum, Surface
from surfaces import LANDSCAPES, KnownSurface, surface

Search = Callable[[Surface, Factors, Control], Optimum]
both = pytest.mark.parametrize("search", [bobyqa, nelder_mead])


def fresh(name: str) -> KnownSurface:
    """Return a landscape that has not counted anything."""
    return KnownSurface(LANDSCAPES[name].S)


@both
@pytest.mark.parametrize(
    "name", ["one variance", "no variance", "regular", "one direction", "nothing at all"]
)
def test_easy_minima(search: Search, name: str) -> None:
    """In one to four dimensions both arrive, at singular minima too."""
    known = fresh(name)
    optimum = search(known, identity(known.blocks), Control())
    assert optimum.value == pytest.approx(known.minimum, abs=1e-6)
    assert not optimum.exhausted and optimum.evaluation is None


@both
@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_best_point_seen_is_returned(search: Search, name: str) -> None:
    """Wherever the search ends, the value is that of the best point it saw, and no derivative."""
    known = fresh(name)
    optimum = search(known, identity(known.blocks), Control())
    assert not known.evaluations
    assert optimum.n_evaluations == len(known.values)
    assert optimum.value == min(known.values) == known.value(optimum.T)


@both
def test_the_limit_is_kept(search: Search) -> None:
    """The limit counts values, and reaching it is told."""
    known = fresh("many")
    optimum = search(known, identity(known.blocks), Control(max_evaluations=30))
    assert optimum.exhausted
    assert optimum.n_evaluations == len(known.values) <= 31


def test_bobyqa_keeps_diagonals_positive() -> None:
    """Like lme4's: diagonals of the lower triangular factors are bounded by zero."""
    seen = []

    class Watched(KnownSurface):
        def value(self, T: Factors) -> float:
            seen.append(min(float(t.diagonal().min()) for t in T))
            return super().value(T)

    bobyqa(
        Watched(LANDSCAPES["one of four"].S), identity(LANDSCAPES["one of four"].blocks), Control()
    )
    assert min(seen) >= 0.0


@both
def test_any_start_will_do(search: Search) -> None:
    """Starts that are not lower triangular, or have negative diagonals, are re-expressed first."""
    known = fresh("regular")
    rng = np.random.default_rng(1)
    begin = tuple(-rng.standard_normal(t.shape) for t in identity(known.blocks))
    optimum = search(known, begin, Control())
    assert optimum.value == pytest.approx(known.minimum, abs=1e-5)


@both
def test_infinite_values_are_survived(search: Search) -> None:
    """Where the criterion breaks down the search turns around: the best point has a value."""
    known = KnownSurface(surface([3.0, 2.0]).S, wall=1.6)
    optimum = search(known, tuple(0.5 * t for t in identity(known.blocks)), Control())
    assert np.inf in known.values
    assert optimum.value == min(known.values) == known.value(optimum.T)
    if search is nelder_mead:  # BOBYQA's quadratic model may not recover; the verdict will tell
        assert optimum.value == pytest.approx(known.minimum, abs=1e-6)


def test_missing_nlopt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nlopt the error says how to get it, and what works without."""
    monkeypatch.setitem(sys.modules, "nlopt", None)
    known = fresh("regular")
    with pytest.raises(MissingDependencyError, match=r"pip install nlopt.*newton"):
        bobyqa(known, identity(known.blocks), Control())
