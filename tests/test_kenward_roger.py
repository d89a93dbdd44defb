"""Kenward-Roger against pbkrtest, against the formulas in dense algebra, and in closed form."""

from __future__ import annotations

import tracemalloc
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from bank import Case, cases
from oracle import Dense
from ranef import objective
from ranef.errors import OptionError, RanefWarning
from ranef.inference import kenward_roger
from ranef.inference.fixed_tests import KenwardRogerTests, fixed_tests
from ranef.typing import FloatArray

WITH_KR = [case for case in cases() if "coef" in case.results.get("kenward_roger", {})]


@cache
def fit(case: Case) -> ranef.LinearMixedModel:
    """Fit a reference case once, whatever it warns about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RanefWarning)
        return ranef.fit(case.formula, case.frame(), **case.options())


def kenward_roger_tests(model: ranef.LinearMixedModel) -> KenwardRogerTests:
    """Return the Kenward-Roger tests of a model."""
    found = fixed_tests(model, "kenward-roger")
    assert isinstance(found, KenwardRogerTests)
    return found


# --- pbkrtest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WITH_KR, ids=lambda case: case.id)
def test_coefficients_are_those_of_pbkrtest(case: Case) -> None:
    """Adjusted standard errors, degrees of freedom and t agree, also where the fit is singular."""
    expected = case.results["kenward_roger"]["coef"]
    table = fit(case).coef_table(ddf="kenward-roger").dropna()

    # R's optimum is good to 1e-7 in theta
    np.testing.assert_allclose(table["std_error"], expected["se"], rtol=1e-6)
    np.testing.assert_allclose(table["df"], expected["df"], rtol=1e-6)
    np.testing.assert_allclose(table["statistic"], expected["t"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", WITH_KR, ids=lambda case: case.id)
def test_adjusted_covariances_are_those_of_pbkrtest(case: Case) -> None:
    """The whole adjusted covariance matrix agrees."""
    expected = np.array(case.results["kenward_roger"]["vcov_adj"]["m"], dtype=float)
    expected = expected.reshape(len(fit(case).vcov), -1)
    size = np.sqrt(np.diag(expected))

    # as above; elements that cancel are judged by the size of the variances
    np.testing.assert_allclose(
        kenward_roger_tests(fit(case)).vcov / np.outer(size, size),
        expected / np.outer(size, size),
        rtol=1e-6,
        atol=1e-6,
    )


# --- dense algebra -------------------------------------------------------------------------------


class DenseKenwardRoger:
    """The formulas of Kenward and Roger (1997) as they stand, with matrices of n rows and columns.

    V = sum gamma_r G_r, gamma_r the elements of the covariance matrices of the random terms and
    the residual variance; rows are multiplied by the square roots of their weights first.
    """

    def __init__(self, model: ranef.LinearMixedModel) -> None:
        dense = Dense.of(model.design, reml=True)
        point = dense.at(dense.factors(model.theta_values))
        X, V = dense.X, point.sigma2 * point.V0
        inverse = np.linalg.inv(V)
        self.phi = np.linalg.inv(X.T @ inverse @ X)
        half = inverse @ X
        project = inverse - half @ self.phi @ half.T
        G = []
        for Z, correlated in zip(dense.Z, dense.correlated, strict=True):
            for a in range(Z.shape[2]):
                for b in range(a + 1) if correlated else [a]:
                    half_G = Z[:, :, a] @ Z[:, :, b].T
                    G.append(half_G + half_G.T)
        G.append(np.eye(len(V)))
        m = len(G)
        self.expected = np.array(
            [[np.vdot(project @ G[r], (project @ G[s]).T) for s in range(m)] for r in range(m)]
        )
        self.W = 2.0 * np.linalg.inv(self.expected)
        self.P = [-half.T @ G[r] @ half for r in range(m)]
        inner = sum(
            self.W[r, s]
            * (half.T @ G[r] @ inverse @ G[s] @ half - self.P[r] @ self.phi @ self.P[s])
            for r in range(m)
            for s in range(m)
        )
        self.adjusted = self.phi + 2.0 * self.phi @ inner @ self.phi

    def scaled(self, L: FloatArray) -> tuple[float, float]:
        """Return lambda and the denominator degrees of freedom for independent rows L."""
        q = len(L)
        theta = L.T @ np.linalg.inv(L @ self.phi @ L.T) @ L
        parts = [theta @ self.phi @ P @ self.phi for P in self.P]
        A1 = A2 = 0.0
        for r, left in enumerate(parts):
            for s, right in enumerate(parts):
                A1 += self.W[r, s] * np.trace(left) * np.trace(right)
                A2 += self.W[r, s] * np.trace(left @ right)
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        below = 3 * q + 2 * (1 - g)
        c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
        mean = 1 / (1 - A2 / q)
        variance = 2 / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
        rho = variance / (2 * mean**2)
        df = 4 + (q + 2) / (q * rho - 1)
        return df / (mean * (df - 2)), df


def small_data(seed: int = 5, n: int = 72) -> pd.DataFrame:
    """Return an unbalanced data frame with crossed and nested groups."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "a": rng.integers(0, 9, n), "b": rng.integers(0, 5, n), "x": rng.normal(size=n),
            "z": rng.normal(size=n), "f": rng.choice(list("uvw"), n), "w": rng.uniform(0.4, 3, n),
        }
    )  # fmt: skip
    data["low"] = data["a"] % 3
    effects = rng.normal(size=(9, 2))
    data["y"] = (
        1.0 + 0.5 * data["x"] + effects[data["a"], 0] + 0.8 * effects[data["a"], 1] * data["x"]
        + 0.9 * rng.normal(size=5)[data["b"]] + rng.normal(size=n) / np.sqrt(data["w"])
    )  # fmt: skip
    return data


DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "one variance": ("y ~ x + f + (1 | a)", {}),
    "slopes": ("y ~ x + f + (x | a)", {}),
    "weights": ("y ~ x + f + (x | a)", {"weights": "w"}),
    "diagonal": ("y ~ x + z + (x || a)", {}),
    "nested, singular": ("y ~ x * f + (1 | b / low)", {}),
    "crossed": ("y ~ x + f + (1 | a) + (1 | b)", {"weights": "w"}),
    "crossed slopes": ("y ~ x + z + (x | a) + (1 | b)", {}),
    "no intercept": ("y ~ 0 + f + (1 | a) + (1 | b)", {}),
    "aliased": ("y ~ x + I(2 * x) + f + (1 | a) + (1 | b)", {}),
    "slopes on both": ("y ~ x + f + (x | a) + (z | b)", {}),
}


@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
@pytest.mark.parametrize("name", DENSE)
def test_formulas_in_dense_algebra(name: str) -> None:
    """Covariances, df of rows, and scale and df of joint tests are the formulas' numbers."""
    formula, options = DENSE[name]
    model = ranef.fit(formula, small_data(), **options)
    dense, ours = DenseKenwardRoger(model), kenward_roger_tests(model)
    assert model.is_singular == ("singular" in name)
    p = len(ours.beta)
    rng = np.random.default_rng(1)
    size = np.sqrt(np.diag(dense.phi))

    # two ways to the same numbers through inverses of matrices with condition numbers of 1e4
    np.testing.assert_allclose(
        ours.vcov / np.outer(size, size), dense.adjusted / np.outer(size, size), atol=1e-9
    )
    single = rng.normal(size=(3, p))
    expected = [dense.scaled(row[None])[1] for row in single]
    np.testing.assert_allclose(ours.row_df(single), expected, rtol=1e-7)
    for q in range(2, p + 1):
        L = rng.normal(size=(q, p))
        scale, df = dense.scaled(L)
        found = ours.joint(L, L @ ours.beta)
        F = L @ ours.beta @ np.linalg.solve(L @ dense.adjusted @ L.T, L @ ours.beta) / q
        assert found.num_df == q
        assert found.den_df == pytest.approx(df, rel=1e-7)
        assert found.f_value == pytest.approx(scale * F, rel=1e-7)


@pytest.mark.parametrize("name", ["crossed", "crossed slopes", "no intercept", "aliased"])
@pytest.mark.filterwarnings("ignore::ranef.errors.RanefWarning")
def test_large_crossed_models_take_another_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a dense matrix of the random effects would be too large, the numbers are the same."""
    formula, options = DENSE[name]
    models = [ranef.fit(formula, small_data(), **options) for _ in range(2)]
    exact = kenward_roger_tests(models[0])
    assert not models[0].is_singular  # on the boundary the other way has fewer directions
    monkeypatch.setattr(kenward_roger, "LARGEST_DENSE", 0)
    monkeypatch.setattr(objective, "LARGEST_WHOLE", 0)
    differences = kenward_roger_tests(models[1])
    rows = np.eye(len(exact.beta))

    # differences of gradients lose a third to a half of the digits
    np.testing.assert_allclose(differences.vcov, exact.vcov, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(differences.row_df(rows), exact.row_df(rows), rtol=1e-6)
    assert differences.joint(rows, exact.beta).den_df == pytest.approx(
        exact.joint(rows, exact.beta).den_df, rel=1e-6
    )
    assert not np.array_equal(differences.vcov, exact.vcov)  # it was another way


@pytest.mark.parametrize("name", ["slopes", "weights", "crossed"])
def test_one_row_is_satterthwaite_with_expected_information(name: str) -> None:
    """For one row, df = 2 (l'Phi l)^2 / g'A g with A from the expected information."""
    formula, options = DENSE[name]
    model = ranef.fit(formula, small_data(), **options)
    dense, ours = DenseKenwardRoger(model), kenward_roger_tests(model)
    row = np.arange(1.0, len(ours.beta) + 1.0)
    g = np.array([-row @ dense.phi @ P @ dense.phi @ row for P in dense.P])
    A = 2.0 * np.linalg.inv(dense.expected)
    expected = 2.0 * (row @ dense.phi @ row) ** 2 / (g @ A @ g)

    # as in the comparison with the formulas
    assert ours.row_df(row[None])[0] == pytest.approx(expected, rel=1e-7)


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "formula", "coefficient", "df"),
    [
        ("ergostool", "effort ~ Type + (1 | Subject)", "Type[T.T2]", 24),  # 8 x 3
        ("dyestuff", "Yield ~ 1 + (1 | Batch)", "Intercept", 5),  # 6 - 1
        ("dyestuff2", "Yield ~ 1 + (1 | Batch)", "Intercept", 5),  # also where it is singular
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", "Days", 17),  # 18 - 1
        ("machines", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "Machine[T.B]", 10),
        ("cake", "angle ~ recipe * temp + (1 | recipe:replicate)", "temp", 222),  # 270 - 45 - 3
    ],
)
def test_balanced_designs_have_the_df_of_anova(
    data: str, formula: str, coefficient: str, df: int
) -> None:
    """In balanced designs the degrees of freedom are those of the error stratum, exactly."""
    model = ranef.fit(formula, ranef.datasets.load(data))
    table = model.coef_table(ddf="kenward-roger")

    # whole numbers, however good the optimum is
    assert table.loc[coefficient, "df"] == pytest.approx(df, rel=1e-8)


def test_balanced_designs_need_no_adjustment() -> None:
    """In a balanced one-way layout the covariance of the mean is unbiased as it is."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))

    assert kenward_roger_tests(model).vcov[0, 0] == pytest.approx(
        float(model.vcov.iloc[0, 0]), rel=1e-10
    )


def test_units_do_not_matter() -> None:
    """Rescaled and shifted predictors and responses leave df and t of a slope alone."""
    data = small_data()
    moved = data.assign(x=1e4 * data["x"] + 3e4, y=1e-3 * data["y"])
    plain = ranef.fit("y ~ x + (x | a)", data).coef_table(ddf="kenward-roger").loc["x"]
    other = ranef.fit("y ~ x + (x | a)", moved).coef_table(ddf="kenward-roger").loc["x"]

    # the same optimum to 1e-8
    assert other["df"] == pytest.approx(plain["df"], rel=1e-6)
    assert other["statistic"] == pytest.approx(plain["statistic"], rel=1e-6)


# --- limits --------------------------------------------------------------------------------------


def test_maximum_likelihood_is_refused() -> None:
    """Kenward-Roger is about REML estimates."""
    model = ranef.fit("y ~ x + (1 | a)", small_data(), reml=False)

    with pytest.raises(OptionError, match=r"REML.*reml=True.*satterthwaite"):
        model.coef_table(ddf="kenward-roger")


def test_memory_does_not_grow_with_the_square_of_the_rows() -> None:
    """30000 rows: an n x n matrix would take 7 GB, a few columns take a few MB."""
    rng = np.random.default_rng(2)
    n = 30_000
    data = pd.DataFrame({"g": rng.integers(0, 300, n), "x": rng.normal(size=n)})
    data["y"] = data["x"] + rng.normal(size=300)[data["g"]] + rng.normal(size=n)
    model = ranef.fit("y ~ x + (x | g)", data)
    tracemalloc.start()
    table = model.coef_table(ddf="kenward-roger")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20e6  # some times the 1.2 MB of two columns of rows and 600 random effects
    assert table["df"].between(250, 310).all()
