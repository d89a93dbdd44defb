"""Simulated responses, and models fitted to another response."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import ranef
from models import SHAPES, frame
from ranef.errors import DataError, FitError, OptionError
from ranef.simulation import refit, simulate

SLEEP = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))


class TestRefit:
    """The same design with another response."""

    @pytest.mark.parametrize("shape", ["slopes", "nested", "crossed", "no fixed effects"])
    @pytest.mark.parametrize("reml", [True, False])
    def test_is_what_fit_returns(self, shape: str, reml: bool) -> None:
        """Estimates, standard errors, modes and criterion are those of a fresh fit."""
        data = frame(6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ranef.fit(SHAPES[shape], data, reml=reml, weights="w", offset="o")
            other = simulate(model, seed=3)["sim_1"]
            fresh = ranef.fit(
                SHAPES[shape], data.assign(y=other), reml=reml, weights="w", offset="o"
            )
        again = refit(model, other)
        assert again.objective == pytest.approx(fresh.objective, abs=1e-8)
        np.testing.assert_allclose(again.fixef, fresh.fixef, rtol=1e-6)
        np.testing.assert_allclose(again.std_errors, fresh.std_errors, rtol=1e-5)
        np.testing.assert_allclose(again.fitted, fresh.fitted, rtol=0, atol=1e-4)
        assert again.is_singular == fresh.is_singular
        assert again.reml == fresh.reml

    def test_its_own_response_changes_nothing(self) -> None:
        """refit(y) of the fitted y is the fit: lme4 1.1-31 fails this for REML."""
        again = refit(SLEEP, SLEEP.y)
        assert again.objective == pytest.approx(SLEEP.objective, abs=1e-9)
        np.testing.assert_allclose(again.theta, SLEEP.theta, rtol=1e-6)
        assert again.convergence.n_evaluations <= 2

    def test_a_series_goes_by_its_labels(self) -> None:
        """In any order, with labels that the model did not use."""
        data = ranef.datasets.load("sleepstudy").rename(index=lambda i: f"row {i}")
        data.loc["row 5", "Reaction"] = np.nan
        model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
        other = pd.Series(np.arange(180.0) ** 1.1, index=data.index)
        shuffled = refit(model, other.sample(frac=1.0, random_state=1))
        np.testing.assert_array_equal(shuffled.y, other.drop("row 5"))

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (np.ones(3), r"one value for each of the 180 rows"),
            (np.ones((180, 2)), r"got shape \(180, 2\)"),
            (np.r_[np.nan, np.arange(179.0)], "1 values that are missing"),
            (["a"] * 180, "must be numbers"),
            (pd.Series(np.arange(180.0), index=range(1, 181)), "no value for 1 of the model's 180"),
            (pd.Series(np.arange(180.0), index=[0] * 180), "not unique"),
            (pd.Series(np.arange(10.0)), "no value for 170"),
        ],
    )
    def test_bad_responses(self, y: object, message: str) -> None:
        """What cannot be a response of these rows is refused."""
        with pytest.raises(DataError, match=message):
            refit(SLEEP, y)

    def test_rows_that_were_dropped(self) -> None:
        """The message says why the number of rows differs from the data's."""
        data = ranef.datasets.load("sleepstudy")
        data.loc[3, "Reaction"] = np.nan
        model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
        with pytest.raises(DataError, match="1 rows of the data were dropped"):
            refit(model, np.arange(180.0))

    def test_a_response_without_residuals(self) -> None:
        """The fixed effects may not explain it exactly."""
        with pytest.raises(FitError, match="exactly"):
            refit(SLEEP, np.full(180, 3.0))


class TestSimulate:
    """Responses of a fitted model."""

    def test_shape_and_names(self) -> None:
        """One column per response, the caller's index."""
        data = ranef.datasets.load("sleepstudy").iloc[::-1]
        model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
        drawn = simulate(model, 3, seed=1)
        assert list(drawn) == ["sim_1", "sim_2", "sim_3"]
        assert drawn.index.equals(data.index)

    def test_seeds(self) -> None:
        """The same seed gives the same responses; the first do not depend on how many there are."""
        many = simulate(SLEEP, 5, seed=4)
        pd.testing.assert_frame_equal(simulate(SLEEP, 2, seed=4), many.iloc[:, :2])
        assert not many["sim_1"].equals(many["sim_2"])
        rng = np.random.default_rng(4)
        pd.testing.assert_frame_equal(simulate(SLEEP, 5, seed=rng), many)

    def test_covariance(self) -> None:
        """Groups are new every time: covariances within subjects are Z Sigma Z' + sigma^2 I."""
        drawn = simulate(SLEEP, 4000, seed=1).to_numpy()
        first = SLEEP.design.terms[0].grouping.codes == 0
        Z = np.column_stack([np.ones(10), np.arange(10.0)])
        wanted = Z @ np.asarray(SLEEP.VarCorr.cov["Subject"]) @ Z.T + SLEEP.sigma**2 * np.eye(10)
        found = np.cov(drawn[first])
        # entries have standard errors of at most sqrt(2 / 4000) = 2.2 % of the variances; five
        scale = np.sqrt(np.outer(wanted.diagonal(), wanted.diagonal()))
        assert (np.abs(found - wanted) < 0.11 * scale).all()
        second = SLEEP.design.terms[0].grouping.codes == 1
        across = np.cov(drawn[first][9], drawn[second][9])[0, 1]
        assert abs(across) < 0.08 * wanted[9, 9]  # independent: five standard errors of 1.6 %

    @pytest.mark.parametrize("options", [{"n": 0}, {"n": 1.5}, {"n": True}, {"seed": "a"}])
    def test_bad_options(self, options: dict[str, object]) -> None:
        """Each is refused, by name."""
        with pytest.raises(OptionError, match=next(iter(options))):
            simulate(SLEEP, **options)  # type: ignore[arg-type]
