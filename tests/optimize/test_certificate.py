"""The verdict on a point: true at minima, false elsewhere, and a way on where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from ranef.covariance.chart import Factors, identity, lower, null_directions
from ranef.optimize.certificate import Verdict, certify
from ranef.optimize.result import Optimum
from surfaces import LANDSCAPES, KnownSurface, surface

REGULAR = ["one variance", "regular", "large and small"]
SINGULAR = [
    "no variance",
    "one direction",
    "one of four",
    "three of four",
    "nothing at all",
    "many",
]


def stopped(known: KnownSurface, T: Factors, *, exhausted: bool = False) -> Optimum:
    """Return a point as an optimizer without derivatives would."""
    return Optimum(T, known.value(T), 1, exhausted)


def at_the_minimum(known: KnownSurface) -> Factors:
    """Return factors of the covariance matrices at the minimum."""
    roots = []
    for best in known.best:
        values, vectors = np.linalg.eigh(best)
        roots.append(vectors * np.sqrt(np.maximum(values, 0.0)))
    return lower(tuple(roots), known.blocks)


@pytest.mark.parametrize("name", REGULAR)
def test_regular_minima(name: str) -> None:
    """At an interior minimum: converged, with positive curvature and nothing to gain."""
    known = LANDSCAPES[name]
    certificate, better = certify(known, stopped(known, at_the_minimum(known)))
    assert certificate.verdict is Verdict.CONVERGED and better is None
    assert certificate.decrement < 1e-12 and certificate.gradient_norm < 1e-6
    assert certificate.curvature > 0 and certificate.exact and certificate.null == ()


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_minima(name: str) -> None:
    """On the boundary: converged, singular; the null directions are those of the covariances."""
    known = LANDSCAPES[name]
    certificate, better = certify(known, stopped(known, at_the_minimum(known)))
    assert certificate.verdict is Verdict.SINGULAR and better is None
    expected = sum(int((np.linalg.eigvalsh(S) <= 1).sum()) for S in known.S)
    assert len(certificate.null) == expected
    for f, block, n in certificate.null:
        assert block == known.blocks[f][0]
        assert n @ n == pytest.approx(1.0)
        np.testing.assert_allclose(n @ known.best[f], 0.0, atol=1e-7)


@pytest.mark.parametrize("name", [*REGULAR, *SINGULAR])
def test_stopping_short(name: str) -> None:
    """A point that is 1e-4 or more above the minimum is never called converged."""
    known = LANDSCAPES[name]
    rng = np.random.default_rng(1)
    for size in (1e-2, 3e-2, 0.1, 1.0, 10.0):
        T = tuple(t + size * rng.standard_normal(t.shape) for t in at_the_minimum(known))
        gap = known.value(T) - known.minimum
        assert gap > 1e-5
        for exhausted in (False, True):
            certificate, _ = certify(known, stopped(known, T, exhausted=exhausted))
            assert certificate.verdict in {
                Verdict.EXHAUSTED if exhausted else Verdict.STOPPED_SHORT,
                Verdict.FALSE_ZERO,
                Verdict.SADDLE,
            }


@pytest.mark.parametrize("name", [*REGULAR, *SINGULAR])
def test_being_close_is_enough(name: str) -> None:
    """A point within rounding of the minimum is converged: no warning about a good fit."""
    known = LANDSCAPES[name]
    rng = np.random.default_rng(2)
    for size in (1e-8, 1e-6, 1e-5):
        T = tuple(t + size * rng.standard_normal(t.shape) for t in at_the_minimum(known))
        assert known.value(T) - known.minimum < 1e-6
        certificate, _ = certify(known, stopped(known, T))
        assert certificate.verdict in {Verdict.CONVERGED, Verdict.SINGULAR}


@pytest.mark.parametrize("name", ["one variance", "regular", "one direction", "three of four"])
def test_false_zeros(name: str) -> None:
    """All variances zero: the gradient vanishes, the verdict does not, and a way down is shown."""
    known = LANDSCAPES[name]
    zero = tuple(0.0 * t for t in identity(known.blocks))
    certificate, better = certify(known, stopped(known, zero))
    assert certificate.verdict is Verdict.FALSE_ZERO
    assert better is not None and known.value(better) < known.value(zero)


def test_true_zeros() -> None:
    """All variances zero where they should be: converged, singular."""
    known = LANDSCAPES["nothing at all"]
    certificate, better = certify(known, stopped(known, (np.zeros((2, 2)), np.zeros((1, 1)))))
    assert certificate.verdict is Verdict.SINGULAR and better is None
    assert len(certificate.null) == 3


def test_one_false_zero_among_variances() -> None:
    """One block at its minimum, the other wrongly at zero."""
    known = surface([5.0, 3.0], [2.0])
    T = at_the_minimum(known)
    certificate, better = certify(known, stopped(known, (T[0], np.zeros((1, 1)))))
    assert certificate.verdict is Verdict.FALSE_ZERO
    assert better is not None and abs(better[1][0, 0]) > 0


def test_a_false_direction_within_a_block() -> None:
    """A block of rank one at the best of rank one, where rank two is better."""
    known = surface([5.0, 3.0], seed=4)
    values, vectors = np.linalg.eigh(known.S[0])
    T = np.zeros((2, 2))
    T[:, 0] = vectors[:, 1] * np.sqrt(values[1] - 1)
    certificate, better = certify(known, stopped(known, (T,)))
    assert certificate.verdict is Verdict.FALSE_ZERO
    assert better is not None and known.value(better) < known.value((T,))


def test_saddles() -> None:
    """Little variance in a direction, too much for a zero, and the surface curves down along it."""
    known = surface([5.0, 3.0], seed=4)
    values, vectors = np.linalg.eigh(known.S[0])
    T = vectors[:, ::-1] * [np.sqrt(values[1] - 1), 1.1e-4]
    certificate, better = certify(known, stopped(known, (T,)))
    assert certificate.verdict is Verdict.SADDLE
    assert certificate.curvature < 0
    assert better is not None and known.value(better) < known.value((T,))


@pytest.mark.parametrize("eigenvalues", [[5.0, 3.0], [5.0, 0.3]], ids=["regular", "singular"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_one_minimum_of_many(eigenvalues: list[float], share: float) -> None:
    """Two factors of which only the sum matters, however it is divided: a minimum, not the only."""
    known = KnownSurface(surface(eigenvalues, seed=4).S, copies=2)
    (T,) = at_the_minimum(surface(eigenvalues, seed=4))
    parts = (np.sqrt(share) * T, np.sqrt(1 - share) * T)
    assert known.value(parts) == pytest.approx(known.minimum, abs=1e-9)
    certificate, better = certify(known, stopped(known, parts))
    assert certificate.verdict is Verdict.AMBIGUOUS and better is None


def test_breakdown() -> None:
    """Where the criterion is not defined nothing is promised."""
    known = KnownSurface(surface([3.0]).S, wall=0.5)
    certificate, better = certify(known, Optimum((np.eye(1),), np.inf, 1, False))
    assert certificate.verdict is Verdict.BREAKDOWN and better is None
    assert certificate.decrement == np.inf


def test_null_directions_of_blocks() -> None:
    """Directions are found block by block, in the coordinates of the block."""
    T = np.zeros((3, 3))
    T[:2, :2] = [[1.0, 0.0], [2.0, 0.0]]
    found = null_directions((T,), (((0, 2), (2, 3)),))
    assert [(f, block) for f, block, _ in found] == [(0, (0, 2)), (0, (2, 3))]
    np.testing.assert_allclose(np.abs(found[0][2]), np.array([2.0, 1.0]) / np.sqrt(5.0))
    np.testing.assert_allclose(np.abs(found[1][2]), [1.0])
