"""The driver: search, certify, go on, and round vanishing variances to zero."""

from __future__ import annotations

import numpy as np
import pytest

from ranef.covariance.chart import identity
from ranef.optimize.certificate import Verdict
from ranef.optimize.control import Control
from ranef.optimize.driver import OPTIMIZERS, minimise
from ranef.typing import OptimizerName
from surfaces import LANDSCAPES, KnownSurface, surface

GOOD = {Verdict.CONVERGED, Verdict.SINGULAR}
every_optimizer = pytest.mark.parametrize("optimizer", list(OPTIMIZERS))


def fresh(name: str) -> KnownSurface:
    """Return a landscape that has not counted anything."""
    return KnownSurface(LANDSCAPES[name].S)


@pytest.mark.parametrize("name", LANDSCAPES)
@every_optimizer
def test_verdicts_are_true(name: str, optimizer: OptimizerName) -> None:
    """Converged means within 1e-5 of the known minimum, not converged means that it is not."""
    known = fresh(name)
    optimum, certificate = minimise(known, identity(known.blocks), optimizer, Control())
    gap = optimum.value - known.minimum
    assert gap >= -1e-9
    assert (certificate.verdict in GOOD) == (gap < 1e-5)
    if optimizer == "newton":
        assert certificate.verdict in GOOD and gap < 1e-7


@pytest.mark.parametrize("name", ["regular", "one direction", "three of four", "many"])
@every_optimizer
def test_a_start_at_zero_is_left(name: str, optimizer: OptimizerName) -> None:
    """The criterion is even: its gradient vanishes at zero variances, the search goes on."""
    known = fresh(name)
    zero = tuple(0.0 * t for t in identity(known.blocks))
    optimum, certificate = minimise(known, zero, optimizer, Control())
    gap = optimum.value - known.minimum
    if optimizer == "newton":
        assert gap < 1e-7 and certificate.verdict in GOOD
    assert gap < 1e-5 or certificate.verdict not in GOOD


def test_a_start_on_a_saddle_is_left() -> None:
    """Rank one where rank two is better: a stationary point for every optimizer."""
    known = surface([5.0, 3.0], seed=4)
    values, vectors = np.linalg.eigh(known.S[0])
    T = np.zeros((2, 2))
    T[:, 0] = vectors[:, 1] * np.sqrt(values[1] - 1)
    optimum, certificate = minimise(known, (T,), "newton", Control())
    assert certificate.verdict is Verdict.CONVERGED
    assert optimum.value == pytest.approx(known.minimum, abs=1e-8)


@pytest.mark.parametrize("name", ["no variance", "one direction", "one of four", "nothing at all"])
def test_vanishing_variances_become_zero(name: str) -> None:
    """A singular fit has exact zeros: the factor has the rank of the covariance matrix."""
    known = fresh(name)
    optimum, certificate = minimise(known, identity(known.blocks), "newton", Control())
    assert certificate.verdict is Verdict.SINGULAR
    for t, best in zip(optimum.T, known.best, strict=True):
        rank = int((np.linalg.eigvalsh(best) > 1e-9).sum())
        assert int((np.abs(t).max(axis=0) > 0).sum()) == rank
    assert optimum.value == pytest.approx(known.value(optimum.T), rel=1e-12)


@every_optimizer
def test_the_limit_spans_restarts(optimizer: OptimizerName) -> None:
    """Evaluations are counted over all restarts, and so is the limit."""
    known = fresh("many")
    zero = tuple(0.0 * t for t in identity(known.blocks))
    for limit in (1, 2, 3, 20):
        optimum, certificate = minimise(known, zero, optimizer, Control(max_evaluations=limit))
        assert optimum.n_evaluations <= limit + 1
        assert (certificate.verdict in GOOD) == (optimum.value < known.minimum + 1e-5)
        assert limit > 3 or certificate.verdict not in GOOD


@every_optimizer
def test_evaluations_are_counted(optimizer: OptimizerName) -> None:
    """The number reported is that of the calls, up to those of certificate and rounding."""
    known = fresh("many")
    zero = tuple(0.0 * t for t in identity(known.blocks))
    optimum, _ = minimise(known, zero, optimizer, Control())
    calls = len(known.evaluations if optimizer == "newton" else known.values)
    assert 0 <= calls - optimum.n_evaluations <= 30


@every_optimizer
def test_several_minima(optimizer: OptimizerName) -> None:
    """Two factors of which only the sum matters: a minimum, and the verdict says: one of many."""
    known = KnownSurface(surface([5.0, 3.0], seed=4).S, copies=2)
    optimum, certificate = minimise(known, identity(known.blocks), optimizer, Control())
    gap = optimum.value - known.minimum
    if optimizer == "newton":
        assert certificate.verdict is Verdict.AMBIGUOUS and gap < 1e-7
    assert (certificate.verdict is Verdict.AMBIGUOUS) == (gap < 1e-5)
