"""The parametric bootstrap: R's numbers, seeds, statistics, failures, intervals."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from models import frame
from ranef.batch.refit import Engine
from ranef.errors import OptionError
from ranef.inference import bootstrap as module
from ranef.inference.bootstrap import bootstrap
from ranef.inference.bootstrap_intervals import interval, skewness_sixth
from ranef.inference.bootstrap_statistics import named_numbers
from ranef.inference.jackknife import jackknife, units, without
from ranef.model import LinearMixedModel


def fitted(formula: str, dataset: str, **options: object) -> LinearMixedModel:
    """Return a model of a bundled data set; singular fits are part of the game."""
    return ranef.fit(formula, ranef.datasets.load(dataset), **options)  # type: ignore[arg-type]


SLEEP = fitted("Reaction ~ Days + (Days | Subject)", "sleepstudy")

# lme4 1.1-31: bootMer(m, nsim = 2000) of fits by ML (its refits of REML fits optimise another
# criterion), sd, mean, quantile(type = 6) at 0.025 and 0.975; set.seed(20240601).
R = MappingProxyType(
    {
        "sleepstudy": (
            "Reaction ~ Days + (Days | Subject)",
            ["sd_Intercept|Subject", "sd_Days|Subject", "sigma", "Intercept", "Days"],
            [5.70907, 1.2197, 1.5057, 6.54208, 1.51071],
            [22.3734, 5.36807, 25.5467, 251.352, 10.4965],
            [10.2297, 2.93407, 22.5251, 238.232, 7.57424],
            [33.4342, 7.74902, 28.5258, 264.115, 13.3956],
        ),
        "pastes": (
            "strength ~ 1 + (1 | batch / cask)",
            ["sd_Intercept|batch:cask", "sd_Intercept|batch", "sigma", "Intercept"],
            [0.431617, 0.746333, 0.106566, 0.639093],
            [2.79791, 0.7767, 0.817028, 60.0605],
            [1.96586, 0.0, 0.617149, 58.8302],
            [3.69616, 2.27831, 1.03569, 61.3293],
        ),
        "penicillin": (
            "diameter ~ 1 + (1 | plate) + (1 | sample)",
            ["sd_Intercept|plate", "sd_Intercept|sample", "sigma", "Intercept"],
            [0.127907, 0.498588, 0.0365633, 0.728553],
            [0.834668, 1.5416, 0.54854, 22.9543],
            [0.590466, 0.671824, 0.476601, 21.5078],
            [1.08403, 2.57944, 0.622737, 24.3537],
        ),
    }
)


@pytest.mark.parametrize("dataset", R)
def test_against_r(dataset: str) -> None:
    """Standard errors, means and quantiles of 2000 replicates agree with lme4's within chance."""
    formula, names, sd, mean, lower, upper = R[dataset]
    result = bootstrap(fitted(formula, dataset, reml=False), n=2000, seed=1)
    table = result.to_frame().loc[names]
    assert result.n_failed == 0
    # both sides are simulated: a mean has a standard error of sd / sqrt(2000), a standard deviation
    # one of 1/sqrt(4000) = 1.6 % (more with heavy tails), a 2.5 % quantile one of about 0.06 sd;
    # differences of two, four standard errors
    sd = np.array(sd)
    assert (np.abs(table["original"] + table["bias"] - mean) < 4 * sd * np.sqrt(2 / 2000)).all()
    np.testing.assert_allclose(table["std_error"], sd, rtol=0.1)
    assert (np.abs(table["lower"] - lower) < 0.34 * sd).all()
    assert (np.abs(table["upper"] - upper) < 0.34 * sd).all()


def test_names_and_original() -> None:
    """The statistics are the model's own parameters."""
    result = bootstrap(SLEEP, n=10, seed=1)
    assert result.names == (
        "sd_Intercept|Subject",
        "sd_Days|Subject",
        "cor_Days.Intercept|Subject",
        "sigma",
        "Intercept",
        "Days",
    )
    sd, corr = SLEEP.VarCorr.sd["Subject"], SLEEP.VarCorr.corr["Subject"]
    wanted = [*np.ravel(sd), np.asarray(corr)[1, 0], SLEEP.sigma, *SLEEP.fixef]
    np.testing.assert_allclose(result.original, wanted, rtol=1e-12)
    assert result.replicates.shape == (10, 6)
    assert (np.abs(result.criterion - SLEEP.objective) < 200).all()


def test_a_statistic_sees_what_the_short_way_computes() -> None:
    """Criterion, singularity and parameters of real models have the same distribution."""
    names = ["sigma", "Days"]
    long = bootstrap(
        SLEEP, n=150, seed=2, statistic=lambda m: {"sigma": m.sigma, "Days": m.fixef["Days"]}
    )
    short = bootstrap(SLEEP, n=5000, seed=3)
    assert long.names == tuple(names)
    for name in names:
        sd = short.replicates[name].std()
        # means of 150: standard error sd / 12; standard deviations: 6 %; four of them
        difference = long.replicates[name].mean() - short.replicates[name].mean()
        assert abs(difference) < 4 * sd / 12
        assert long.replicates[name].std() == pytest.approx(sd, rel=0.24)
    assert abs(long.criterion.mean() - short.criterion.mean()) < 4 * short.criterion.std() / 12


class TestSeeds:
    """The same seed gives the same replicates, however they are computed."""

    def test_reproducible(self) -> None:
        """Twice the same; another seed is another bootstrap; the seed is kept."""
        first, again = bootstrap(SLEEP, n=40, seed=5), bootstrap(SLEEP, n=40, seed=5)
        np.testing.assert_array_equal(first.values, again.values)
        assert not np.array_equal(first.values, bootstrap(SLEEP, n=40, seed=6).values)
        assert first.seed == 5

    def test_without_a_seed(self) -> None:
        """Entropy is drawn, kept, and gives the same replicates again."""
        first = bootstrap(SLEEP, n=30)
        again = bootstrap(SLEEP, n=30, seed=first.seed)
        np.testing.assert_array_equal(first.values, again.values)
        assert bootstrap(SLEEP, n=3).seed != first.seed

    def test_order_of_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Chunks may be done in any order, as workers do them."""
        monkeypatch.setattr(module, "MOST_AT_ONCE", 7)
        forward = bootstrap(SLEEP, n=40, seed=5)
        run = module.in_parallel

        def backward(work: Any, jobs: list[tuple[object, ...]], n_jobs: int) -> list[object]:
            return list(run(work, jobs[::-1], n_jobs))[::-1]

        monkeypatch.setattr(module, "in_parallel", backward)
        np.testing.assert_array_equal(bootstrap(SLEEP, n=40, seed=5).values, forward.values)

    @pytest.mark.parametrize("statistic", [None, lambda m: m.sigma], ids=["parameters", "own"])
    def test_workers(self, monkeypatch: pytest.MonkeyPatch, statistic: object) -> None:
        """Two processes make the same replicates as one."""
        pytest.importorskip("joblib")
        monkeypatch.setattr(module, "MOST_AT_ONCE", 7)
        monkeypatch.setattr(module, "MOST_MODELS", 7)
        one = bootstrap(SLEEP, n=20, seed=5, statistic=statistic)  # type: ignore[arg-type]
        # the chunk sizes are decided here, not in the workers
        two = bootstrap(SLEEP, n=20, seed=5, statistic=statistic, n_jobs=2)  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.values, two.values)


class TestStatistics:
    """What a function may return, and what happens if it fails."""

    @pytest.mark.parametrize(
        ("result", "names"),
        [
            (2.5, ("statistic",)),
            (np.float64(2.5), ("statistic",)),
            (np.array([1.0, 2.0]), ("statistic[0]", "statistic[1]")),
            ([1, 2], ("statistic[0]", "statistic[1]")),
            (np.ones((2, 1)), ("statistic[0]", "statistic[1]")),
            (pd.Series({"a": 1.0, "b": 2.0}), ("a", "b")),
            ({"a": 1, 3: 2}, ("a", "3")),
            (pd.Series([1.0, 2.0], index=["a", "a"]), ("a", "a.1")),
        ],
    )
    def test_kinds(self, result: object, names: tuple[str, ...]) -> None:
        """Numbers, arrays, Series and dicts become named numbers."""
        found, values = named_numbers(result)
        assert found == names
        assert values.dtype == float

    @pytest.mark.parametrize("result", ["text", None, {"a": "text"}, pd.DataFrame({"a": ["x"]})])
    def test_not_numbers(self, result: object) -> None:
        """Anything else is refused at once: the model itself is tried first."""
        with pytest.raises(OptionError, match="statistic must return"):
            bootstrap(SLEEP, n=5, statistic=lambda m: result)

    @pytest.mark.parametrize("result", [{}, [], np.array([]), pd.Series(dtype=float)])
    def test_nothing(self, result: object) -> None:
        """So is a statistic without numbers, which would give an empty table."""
        with pytest.raises(OptionError, match="statistic returned nothing, an empty"):
            bootstrap(SLEEP, n=5, statistic=lambda m: result)

    def test_failures_are_counted(self) -> None:
        """A replicate whose statistic raises is NaN with its message; others stay."""

        def moody(model: LinearMixedModel) -> float:
            if model is not SLEEP and model.sigma > SLEEP.sigma:
                raise ZeroDivisionError("too much noise")
            return model.sigma

        result = bootstrap(SLEEP, n=30, seed=1, statistic=moody)
        assert 0 < result.n_failed < 30
        assert set(result.messages.values()) == {"ZeroDivisionError: too much noise"}
        failed = sorted(result.messages)
        assert result.replicates.index[result.replicates["statistic"].isna()].tolist() == failed
        assert (result.replicates["statistic"].dropna() <= SLEEP.sigma).all()
        assert result.to_frame()["n"].item() == 30 - result.n_failed
        assert "too much noise" in str(result)

    def test_changing_names(self) -> None:
        """Other names than for the model itself are a failure; another order is none."""

        def shuffled(model: LinearMixedModel) -> dict[str, float]:
            values = {"a": model.sigma, "b": 1.0}
            return values if model is SLEEP else dict(reversed(values.items()))

        result = bootstrap(SLEEP, n=4, seed=1, statistic=shuffled)
        assert result.n_failed == 0
        assert (result.replicates["b"] == 1.0).all()
        renamed = bootstrap(
            SLEEP, n=4, seed=1, statistic=lambda m: {"a" if m is SLEEP else "c": m.sigma}
        )
        assert renamed.n_failed == 4
        assert "c" in renamed.messages[0]

    def test_the_original_must_work(self) -> None:
        """An error for the model itself is an error."""
        with pytest.raises(ZeroDivisionError):
            bootstrap(SLEEP, n=4, statistic=lambda m: 1 / 0)

    def test_the_replicate_is_a_whole_model(self) -> None:
        """Its rows, weights and offset are the model's; only the response is new."""
        model = ranef.fit("y ~ x + (1 | a)", frame(3), weights="w", offset="o", reml=False)

        def check(other: LinearMixedModel) -> float:
            assert not other.reml
            np.testing.assert_array_equal(other.design.weights, model.design.weights)
            np.testing.assert_array_equal(other.design.offset, model.design.offset)
            return float((other.y - model.y).std())

        result = bootstrap(model, n=3, seed=1, statistic=check)
        assert result.n_failed == 0
        assert result.original["statistic"] == 0
        assert (result.replicates["statistic"] > 0).all()


def test_weights_are_respected() -> None:
    """With residual variance sigma^2 / w, sigma is recovered; lme4's bootstrap finds another."""
    rng = np.random.default_rng(2)
    n = 400
    g, w = rng.integers(0, 40, n), rng.choice([0.1, 10.0], n)
    y = rng.standard_normal(40)[g] + rng.standard_normal(n) / np.sqrt(w)
    model = ranef.fit("y ~ 1 + (1 | g)", {"y": y, "g": g, "w": w}, weights="w")
    table = bootstrap(model, n=1000, seed=1).to_frame()
    # sigma has a relative standard error of 1/sqrt(800) per replicate
    assert abs(table.loc["sigma", "bias"]) < 4 * 0.036 * model.sigma / np.sqrt(1000) + 0.002
    assert table.loc["sigma", "std_error"] == pytest.approx(model.sigma / np.sqrt(720), rel=0.12)


def test_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A design without small blocks draws rows and fits them in turn: same distribution."""
    model = fitted("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin")
    together = bootstrap(model, n=2000, seed=1).to_frame()
    monkeypatch.setattr(module, "make_engine", lambda problem: Engine(problem, None))
    alone = bootstrap(model, n=150, seed=1)
    assert alone.n_failed == 0
    # standard errors from 150 replicates: 6 %; of means: sd / 12; four of them
    table = alone.to_frame()
    np.testing.assert_allclose(table["std_error"], together["std_error"], rtol=0.24)
    assert (np.abs(table["bias"] - together["bias"]) < 4 * together["std_error"] / 12).all()


class TestZeroVariances:
    """Standard deviations at zero, and correlations that do not exist."""

    def test_a_zero_estimate(self) -> None:
        """Dyestuff2: no variance between batches; replicates stay near zero."""
        model = fitted("Yield ~ 1 + (1 | Batch)", "dyestuff2")
        result = bootstrap(model, n=400, seed=1)
        name = "sd_Intercept|Batch"
        assert result.original[name] == 0
        assert result.n_singular == (result.replicates[name] == 0).sum()
        assert 150 < result.n_singular < 300
        for kind in ("percentile", "basic", "normal", "bca"):
            lower, upper = result.confint(kind=kind).loc[name]  # type: ignore[arg-type]
            assert lower == 0
            assert 0 <= upper < 3

    def test_missing_correlations(self) -> None:
        """Where a standard deviation is zero the correlation is missing, and is said to be."""
        rng = np.random.default_rng(3)
        g, x = np.repeat(np.arange(12), 6), np.tile(np.arange(6.0) - 2.5, 12)
        y = rng.standard_normal(12)[g] * 0.4 + 0.05 * rng.standard_normal(12)[g] * x
        y += rng.standard_normal(72)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ranef.fit("y ~ x + (x | g)", {"y": y, "x": x, "g": g})
        result = bootstrap(model, n=300, seed=1)
        zero = (result.replicates.filter(like="sd_") == 0).any(axis=1)
        missing = result.replicates["cor_x.Intercept|g"].isna()
        assert missing.sum() > 0
        assert (missing == zero).all()
        assert result.to_frame().loc["cor_x.Intercept|g", "n"] == 300 - missing.sum()
        assert f"does not exist in {missing.sum()} replicates" in str(result)
        for kind in ("percentile", "basic", "normal", "bca"):
            table = result.confint(kind=kind)  # type: ignore[arg-type]
            assert (
                table.loc["cor_x.Intercept|g"].between(-1, 1).all()
                or np.isnan(model.VarCorr.corr["g"]).any()
            )


# boot 1.3-28.1: boot.ci(type = c("norm", "basic", "perc", "bca"), L = L) of 199 replicates
# round(rexp(199)^1.3 * 3, 3) after set.seed(1), t0 = 2.5, and 15 influence values.
T_STAR = """
2.083 3.727 0.245 0.232 1.02 11.947 3.925 1.346 2.832 0.248 4.606 2.107 3.958 20.733 3.214 3.138
6.797 1.73 0.729 1.506 9.183 1.686 0.611 1.431 0.162 0.076 1.473 17.946 3.693 2.988 4.799 0.042
0.693 4.306 0.379 3.089 0.632 1.976 2.069 0.457 3.315 3.111 4.187 4.023 1.394 0.631 4.19 2.979
1.263 7.424 0.978 8.257 13.707 1.405 1.526 2.912 0.394 0.653 3.42 2.151 0.13 3.429 0.488 5.401
23.258 1.005 11.072 3.544 2.293 2.381 6.371 8.921 12.027 0.588 0.879 0.064 0.772 5.371 2.298
11.224 0.871 3.032 2.312 0.076 8.778 2.26 5.454 3.942 4.413 7.872 3.138 1.055 3.171 0.523 1.821
0.53 1.052 0.396 0.217 0.763 6.91 1.27 1.059 0.852 4.004 10.877 0.361 8.858 1.43 2.111 5.405
6.608 0.042 0.202 4.731 1.952 1.019 0.094 0.404 0.625 0.458 2.039 6.025 2.929 0.019 0.319 13.938
4.494 0.133 3.766 0.528 4.024 0.851 0.849 0.17 2.637 0.27 0.148 7.743 2.19 1.308 3.115 8.615
3.739 0.419 2.263 1.461 0.926 6.01 7.923 1.248 0.471 6.177 11.696 7.024 1.964 6.61 1.93 0.069
0.036 5.061 2.919 5.639 4.837 4.983 0.436 10.734 7.941 0.759 10.375 2.819 6.428 1.635 8.236
4.198 5.15 7.066 1.827 1.031 2.107 2.067 0.493 0.708 2.78 4.287 1.354 2.117 1.296 0.379 8.928
3.589 2.251 0.195 3.928 0.773 2.137 2.289 1.065 2.019
"""
INFLUENCE = np.array(
    [
        *(8.28806666666667, 0.435066666666667, 1.11306666666667, -2.51593333333333),
        *(0.303066666666667, -0.637933333333333, -3.80793333333333, -0.507933333333333),
        *(-0.652933333333333, 2.49306666666667, -1.09893333333333, -0.728933333333333),
        *(-1.44293333333333, -0.654933333333333, -0.583933333333333),
    ]
)


class TestIntervals:
    """Each kind of interval against R's boot package."""

    replicates = np.array([float(value) for value in T_STAR.split()])

    @pytest.mark.parametrize(
        ("kind", "level", "wanted"),
        [
            ("normal", 0.95, (-5.73605869947, 8.93093307133)),
            ("basic", 0.95, (-8.707, 4.936)),
            ("percentile", 0.95, (0.064, 13.707)),
            ("normal", 0.80, (-3.19767803404, 6.3925524059)),
            ("basic", 0.80, (-3.257, 4.752)),
            ("percentile", 0.80, (0.248, 8.257)),
        ],
    )
    def test_against_boot(self, kind: str, level: float, wanted: tuple[float, float]) -> None:
        """199 replicates: the quantiles asked for are order statistics."""
        found = interval(kind, 2.5, self.replicates, level)  # type: ignore[arg-type]
        assert found == pytest.approx(wanted, rel=1e-10)

    @pytest.mark.parametrize(
        ("level", "ranks", "wanted"),
        [
            (0.95, (14.47, 199.2), (0.182001946875, 23.258)),
            (0.80, (35.85, 191.65), (0.518669471089, 11.5236389021)),
        ],
    )
    def test_bca_against_boot(
        self, level: float, ranks: tuple[float, float], wanted: tuple[float, float]
    ) -> None:
        """The same ranks; between order statistics boot interpolates on the normal scale."""
        ordered = np.sort(self.replicates)
        found = interval("bca", 2.5, self.replicates, level, jackknife=-INFLUENCE)
        for value, rank, target in zip(found, ranks, wanted, strict=True):
            place = np.interp(min(rank, 199), np.arange(1, 200), ordered)
            # ranks are printed with two decimals: that is what is known of the place
            below = int(min(rank, 199)) - 1
            gap = ordered[min(below + 1, 198)] - ordered[below]
            assert value == pytest.approx(place, abs=0.006 * gap + 1e-12)
            assert ordered[below] <= target <= ordered[min(below + 1, 198)]

    def test_without_jackknife(self) -> None:
        """Too few or equal jackknife values mean no acceleration."""
        for values in (None, np.array([1.0, 2.0]), np.full(9, 3.0), np.full(9, np.nan)):
            assert skewness_sixth(values) == 0
        assert skewness_sixth(np.array([0.0, 0.0, 0.0, 1.0])) < 0

    @pytest.mark.parametrize("kind", ["percentile", "basic", "normal", "bca"])
    def test_a_constant(self, kind: str) -> None:
        """Replicates that are all equal to the estimate leave no width."""
        found = interval(kind, 1.0, np.ones(50), 0.95, np.ones(5))  # type: ignore[arg-type]
        assert found == (1.0, 1.0)

    @pytest.mark.parametrize("kind", ["percentile", "basic", "normal", "bca"])
    def test_missing(self, kind: str) -> None:
        """No finite replicates, or no estimate: no interval."""
        nothing = np.array([np.nan, np.nan, 1.0])
        assert np.isnan(interval(kind, 1.0, nothing, 0.95)).all()  # type: ignore[arg-type]
        assert np.isnan(interval(kind, np.nan, np.arange(9.0), 0.95)).all()  # type: ignore[arg-type]

    def test_bca_beyond_all_replicates(self) -> None:
        """An estimate outside of the replicates gives an extreme, not an error."""
        found = interval("bca", 100.0, np.arange(50.0), 0.95, np.arange(5.0) ** 2)
        assert np.isfinite(found).all()
        assert found[1] == 49.0


class TestJackknife:
    """Whole groups are left out."""

    def test_units(self) -> None:
        """The only factor, the outermost one, the one with most levels where they cross."""
        assert units(SLEEP).max() + 1 == 18
        nested = fitted("strength ~ 1 + (1 | batch / cask)", "pastes")
        assert units(nested).max() + 1 == 10
        crossed = fitted("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin")
        assert units(crossed).max() + 1 == 24

    def test_values(self) -> None:
        """They are the estimates of fits to the data without each subject."""
        data = ranef.datasets.load("sleepstudy")
        found = jackknife(SLEEP, lambda m: np.array([m.sigma, *m.fixef]), 3)
        for i, subject in enumerate(data["Subject"].unique()[:4]):
            rest = data[data["Subject"] != subject]
            model = ranef.fit("Reaction ~ Days + (Days | Subject)", rest)
            # a warm and a cold search stop within 1e-8 of the criterion
            np.testing.assert_allclose(found[i], [model.sigma, *model.fixef], rtol=1e-6)

    def test_blocks_of_groups(self) -> None:
        """Many groups are left out in at most 200 blocks."""
        rng = np.random.default_rng(1)
        data = {"y": rng.standard_normal(1500), "g": np.repeat(np.arange(500), 3)}
        model = ranef.fit("y ~ 1 + (1 | g)", data)
        found = jackknife(model, lambda m: np.array([m.nobs]), 1)
        assert found.shape == (200, 1)
        assert (1500 - found).sum() == 1500

    def test_without(self) -> None:
        """Levels that no longer occur are dropped; terms of a factor still share it."""
        model = ranef.fit("y ~ x + (1 | a) + (0 + z | a) + (1 | b)", frame(2), weights="w")
        keep = model.design.terms[0].grouping.codes != 3
        rest = without(model.design, keep)
        assert rest.terms[0].grouping.size == 11
        assert rest.terms[0].grouping is rest.terms[1].grouping
        assert rest.terms[0].grouping is not rest.terms[2].grouping
        assert len(rest.y) == len(rest.weights) == len(rest.index) == keep.sum()

    def test_aliased_without_a_group(self) -> None:
        """A coefficient that needs one group has no value without it."""
        data = frame(4).assign(only=lambda d: (d["a"] == 2).astype(float))
        model = ranef.fit("y ~ x + only + (1 | a)", data)
        table = bootstrap(model, n=200, seed=1).confint(kind="bca")
        assert np.isfinite(table).all().all()


def test_immutable_and_pickled() -> None:
    """Arrays cannot be written, frames are copies, and the result survives a pickle."""
    result = bootstrap(SLEEP, n=20, seed=1)
    with pytest.raises(ValueError, match="read-only"):
        result.values[0, 0] = 1.0
    with pytest.raises(AttributeError):
        result.seed = 3  # type: ignore[misc]
    replicates, original = result.replicates, result.original
    replicates.iloc[0, 0] = original.iloc[0] = -1.0
    assert result.replicates.iloc[0, 0] > 0 and result.original.iloc[0] > 0
    again = pickle.loads(pickle.dumps(result))
    pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())


def test_printed() -> None:
    """Facts, then one line per statistic."""
    text = str(bootstrap(SLEEP, n=200, seed=1))
    lines = text.split("\n")
    assert lines[0] == "Parametric bootstrap of: Reaction ~ Days + (Days | Subject)"
    assert "Replicates: 200 (seed 1)" in lines
    assert any(line.startswith("sd_Days|Subject ") for line in lines)
    for word in ("original", "bias", "std. error", "2.5 %", "97.5 %"):
        assert word in text


def test_aliased_columns_are_left_out() -> None:
    """Only coefficients that exist are replicated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ranef.fit("y ~ x + I(2 * x) + z + (1 | a)", frame(3))
    assert bootstrap(model, n=3, seed=1).names[-3:] == ("Intercept", "x", "z")


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar on the standard error, on request."""
    bootstrap(SLEEP, n=20, seed=1)
    assert capsys.readouterr().err == ""
    bootstrap(SLEEP, n=20, seed=1, progress=True)
    assert "20/20" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"n": 2.5},
        {"n": True},
        {"seed": -1},
        {"seed": "one"},
        {"seed": True},
        {"statistic": "sigma"},
        {"n_jobs": 0},
        {"n_jobs": 1.5},
        {"kind": "residual"},
        {"progress": "x"},
        {"progress": None},
        {"progress": 1},
    ],
)
def test_bad_options(options: dict[str, object]) -> None:
    """Each is refused, by name."""
    with pytest.raises(OptionError, match=next(iter(options))):
        bootstrap(SLEEP, **{"n": 5, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"kind": "studentized"}, {"level": 1.5}, {"level": "0.9"}])
def test_bad_intervals(options: dict[str, object]) -> None:
    """So is what cannot be an interval."""
    result = bootstrap(SLEEP, n=5, seed=1)
    with pytest.raises(OptionError, match=next(iter(options))):
        result.confint(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["percentile", "basic", "normal", "bca"])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_too_few_replicates(kind: Any, n: int) -> None:
    """No intervals of fewer than ten; the summary has none either, and still prints."""
    result = bootstrap(SLEEP, n=n, seed=1)
    with pytest.raises(OptionError, match=f"at least 10 bootstrap replicates.*got n={n}"):
        result.confint(kind=kind)
    assert result.to_frame()[["lower", "upper"]].isna().all(axis=None)
    assert "sigma" in str(result)


def test_ten_replicates_are_enough() -> None:
    """The smallest number that has intervals: of ten, the extremes."""
    result = bootstrap(SLEEP, n=10, seed=1)
    found, drawn = result.confint(), result.replicates
    np.testing.assert_array_equal(found["lower"], drawn.min())
    np.testing.assert_array_equal(found["upper"], drawn.max())


def test_a_failed_replicate_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters of a replicate that could not be certified are NaN, counted, and explained."""
    refit = module.refit_reduced

    def spoiled(*arguments: object) -> object:
        fit = refit(*arguments)  # type: ignore[arg-type]
        fit.beta[:, 3] = np.nan
        return replace(fit, messages={3: "not converged: on purpose"})

    monkeypatch.setattr(module, "refit_reduced", spoiled)
    result = bootstrap(SLEEP, n=10, seed=1)
    assert result.messages == {3: "not converged: on purpose"}
    assert result.to_frame().loc["Days", "n"] == 9
    assert "on purpose" in str(result)
