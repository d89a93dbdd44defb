"""Principal components of the random effects: lme4's Cholesky factors, known covariances, zeros."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import fits
import ranef
from bank import Case, cases
from ranef.errors import UnknownVariableError
from ranef.inference.pca import pca

REGULAR = [case for case in cases() if not case.results["singular"] and case.id != "mach_facuncorr"]


@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
@pytest.mark.parametrize("case", REGULAR, ids=lambda case: case.id)
def test_deviations_are_those_of_lme4(case: Case) -> None:
    """The singular values of the block-diagonal Cholesky factors that R found."""
    model = ranef.fit(case.formula, case.frame(), **case.options())
    theta, blocks = list(case.results["theta"]["values"]), {}
    for term in case.results["terms_order"]:
        k = len(term["columns"])
        L = np.zeros((k, k))
        for b in range(k):
            for a in range(b, k):
                L[a, b] = theta.pop(0)
        blocks.setdefault(case.group(term["group"]), []).append(L)
    found = pca(model)

    assert list(found) == list(blocks)
    for group, factors in blocks.items():
        values = np.sort(np.concatenate([np.linalg.svd(L)[1] for L in factors]))[::-1]
        # R's theta is good to 1e-6 of the largest where columns are far from centred
        np.testing.assert_allclose(found[group].sdev, values, atol=2e-5 * values[0])


@pytest.mark.parametrize("name", fits.MODELS)
def test_components_compose_the_covariance_matrix(name: str) -> None:
    """U diag(s^2) U' sigma^2 is the covariance matrix of all terms; U is orthogonal."""
    model = fits.fitted(name)
    for group, found in pca(model).items():
        U = found.rotation.to_numpy()
        Sigma = U @ np.diag(found.sdev**2) @ U.T * model.sigma**2

        assert found.rotation.index.tolist() == model.VarCorr.cov[group].index.tolist()
        np.testing.assert_allclose(U.T @ U, np.eye(len(U)), atol=1e-12)
        np.testing.assert_allclose(Sigma, model.VarCorr.cov[group], rtol=1e-9, atol=1e-9)
        assert (np.diff(found.sdev) <= 0).all()
        assert (U[np.abs(U).argmax(axis=0), np.arange(len(U))] > 0).all()


def test_proportions() -> None:
    """Shares of the sum of variances, and their running sum."""
    found = pca(fits.fitted("slopes"))["g"]
    variances = found.sdev**2

    np.testing.assert_allclose(found.proportion, variances / variances.sum())
    np.testing.assert_allclose(found.cumulative, (variances / variances.sum()).cumsum())
    assert found.to_frame().columns.tolist() == [
        "group",
        "component",
        "sdev",
        "proportion",
        "cumulative",
    ]


def test_a_singular_direction_is_exactly_zero() -> None:
    """Where the fit says that a combination has no variance, so does the last component."""
    model = ranef.fit("circumference ~ age + (age | Tree)", ranef.datasets.load("orange"))
    found = pca(model)["Tree"]
    (direction,) = model.convergence.null_directions
    last = found.rotation["PC2"]

    assert found.sdev["PC2"] == 0.0
    # weights of the verdict are relative to the largest; the fit is singular to about 1e-6
    expected = dict(zip(direction.names, direction.weights, strict=True))
    assert (last / last["age"]).to_dict() == pytest.approx(expected, rel=1e-4)


def test_no_variance_at_all() -> None:
    """One effect with variance zero: no component has a share in nothing."""
    found = pca(ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2")))

    assert found["Batch"].sdev.tolist() == [0.0]
    assert found["Batch"].proportion.isna().all()


def test_unknown_group_and_immutability() -> None:
    """A wrong grouping factor is named; arrays are read-only, also after unpickling."""
    found = pca(fits.fitted("crossed"))
    with pytest.raises(UnknownVariableError, match="Grouping factors: g, h"):
        found["G"]
    again = pickle.loads(pickle.dumps(found))
    with pytest.raises(ValueError, match="read-only"):
        again["g"].deviations[0] = 0.0
    pd.testing.assert_frame_equal(again.to_frame(), found.to_frame())
    assert found.to_frame()["group"].tolist() == ["g", "g", "h"]


def test_what_is_printed() -> None:
    """The layout of R's summary of rePCA, then the loadings."""
    model = ranef.fit(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", ranef.datasets.load("penicillin")
    )

    assert str(pca(model)) == (  # R at its optimum: 1.5397, 3.5124
        "plate:\n"
        "                          PC1\n"
        "Standard deviation       1.54\n"
        "Proportion of Variance 1.0000\n"
        "Cumulative Proportion  1.0000\n"
        "\n"
        "sample:\n"
        "                          PC1\n"
        "Standard deviation      3.512\n"
        "Proportion of Variance 1.0000\n"
        "Cumulative Proportion  1.0000"
    )
