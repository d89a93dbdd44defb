"""What is done with the fits: failures, tables, adjusted p-values, single models, processes."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError, RankDeficiencyWarning, UnknownVariableError
from ranef.many import missing
from ranef.many.block import Fitter, make_fitter

FORMULA = "~ x + (x | g)"


def example(count: int, rows: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    """Return predictors and responses."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.standard_normal(rows), "g": np.arange(rows) % 10})
    Y = rng.standard_normal((rows, count)) + rng.standard_normal((10, count))[data["g"]]
    return data, Y + np.outer(data["x"], np.linspace(0.0, 1.0, count))


class TestFailures:
    """What cannot be fitted is kept with its reason, and the others are not touched."""

    def test_reasons(self) -> None:
        """One message for each kind."""
        data, Y = example(10)
        good = ranef.fit_many(FORMULA, data, Y[:, [0, 9]])
        Y[:, 1] = 3.0
        Y[5, 2] = np.inf
        Y[:, 3] = np.nan
        Y[8:, 4] = np.nan
        Y[:, 5] = 2.0 * data["x"] + 1.0
        Y[:, 6] *= 1e-80
        Y[:, 7] *= 1e200
        Y[3:, 8] = 7.0
        Y[:3, 8] = np.nan
        many = ranef.fit_many(FORMULA, data, Y)
        assert many.n_failed == 8
        message = many.fits["message"]
        for at, text in [
            (1, "is constant"),
            (2, "has infinite values"),
            (3, "no complete row"),
            (4, "for 8 observations"),
            (5, "explain the response exactly"),
            (6, "too small"),
            (7, "too large"),
            (8, "is constant"),
        ]:
            assert text in message[at]
        assert (many.fits["verdict"][1:9] == "not converged").all()
        assert many.estimates.iloc[1:9].isna().all().all()
        assert many.objective[[0, 9]] == pytest.approx(good.objective, abs=1e-9)  # of about 200
        assert np.isnan(many.fits["objective"][1])
        assert "Failed: 8, left out below" in str(many)
        assert "2 failed: the response is constant" in str(many)

    def test_a_level_that_vanishes(self) -> None:
        """Coefficients would be differences from another level."""
        data, Y = example(3)
        data["f"] = np.array(list("abc"))[np.arange(60) // 20]
        Y[:20, 1] = np.nan
        many = ranef.fit_many("~ f + (1 | g)", data, Y)
        assert "lack levels of a factor" in many.fits["message"][1]
        assert many.n_failed == 1
        assert list(many.model(0).fixef.index) == ["Intercept", "f[T.b]", "f[T.c]"]

    def test_groups_may_vanish(self) -> None:
        """They have no coefficients."""
        data, Y = example(2)
        Y[data["g"] == 3, 1] = np.nan
        many = ranef.fit_many(FORMULA, data, Y)
        one = ranef.fit("y" + FORMULA, data.assign(y=Y[:, 1]))
        assert many.nobs.tolist() == [60, 54]
        assert many.objective[1] == pytest.approx(one.objective, abs=1e-9)  # of about 200

    def test_missing_predictors(self) -> None:
        """Drop rows for all responses, whatever the responses have there."""
        data, Y = example(3)
        data.loc[4, "x"] = np.nan
        Y[4, 0], Y[4, 1] = np.nan, np.inf
        many = ranef.fit_many(FORMULA, data, Y)
        assert many.n_patterns == 1
        assert many.nobs.tolist() == [59, 59, 59]

    def test_every_response_with_a_pattern_of_its_own(self) -> None:
        """Costs a design each, and nothing else."""
        data, Y = example(40)
        Y[np.arange(40), np.arange(40)] = np.nan
        many = ranef.fit_many("~ scale(x) + (1 | g)", data, Y)
        assert many.n_patterns == 40
        one = ranef.fit("y ~ scale(x) + (1 | g)", data.assign(y=Y[:, 7]))
        # scale() learns from all rows, as it does in a single fit
        np.testing.assert_allclose(many.estimate[7], one.fixef, rtol=1e-7)

    def test_aliased_columns(self) -> None:
        """Are warned about once, and NaN."""
        data, Y = example(4)
        with pytest.warns(RankDeficiencyWarning, match=r"dropped I\(2 \* x\)") as caught:
            many = ranef.fit_many("~ x + I(2 * x) + (1 | g)", data, Y)
        assert len(caught) == 1
        assert np.isnan(many.term("I(2 * x)")["estimate"]).all()
        assert np.isnan(many.p_value[:, 2]).all()


class TestTables:
    """Long, wide, by term, by response."""

    def test_long(self) -> None:
        """One row for each response and parameter."""
        data, Y = example(5)
        many = ranef.fit_many(FORMULA, data, Y)
        long = many.to_frame()
        assert list(long) == [
            "response",
            "effect",
            "term",
            "estimate",
            "std_error",
            "df",
            "statistic",
            "p_value",
            "objective",
            "singular",
            "verdict",
        ]
        assert len(long) == 5 * 6
        assert long["term"][:6].tolist() == [
            "Intercept",
            "x",
            "sd_Intercept|g",
            "sd_x|g",
            "cor_x.Intercept|g",
            "sigma",
        ]
        wide = long.pivot_table(index="response", columns="term", values="estimate", dropna=False)
        pd.testing.assert_frame_equal(
            wide[many.estimates.columns], many.estimates, check_names=False
        )
        assert long.loc[long["effect"] == "ran_pars", "df"].isna().all()
        pd.testing.assert_series_equal(
            long.loc[long["term"] == "x", "df"].reset_index(drop=True),
            many.term("x")["df"],
        )

    def test_immutable(self) -> None:
        """Tables are copies, arrays are locked."""
        data, Y = example(3)
        many = ranef.fit_many(FORMULA, data, Y, adjust="holm")
        before = many.estimate.copy()
        for table in (many.term("x"), many.estimates, many.to_frame()[["estimate"]], many.fits):
            table.iloc[:, 0] = 0
        np.testing.assert_array_equal(many.estimate, before)
        with pytest.raises(ValueError, match="read-only"):
            many.p_value[0, 0] = 1.0
        with pytest.raises(AttributeError):
            many.ddf = "normal"  # type: ignore[misc]

    def test_unknown_names(self) -> None:
        """Say what there is."""
        data, Y = example(3)
        many = ranef.fit_many(FORMULA, data, Y)
        with pytest.raises(UnknownVariableError, match="there are Intercept, x"):
            many.term("z")
        with pytest.raises(UnknownVariableError, match="there are 0, 1, 2"):
            many.model("z")

    def test_print(self) -> None:
        """The document has counts and quartiles, in every format."""
        data, Y = example(30)
        many = ranef.fit_many(FORMULA, data, Y, adjust="fdr")
        text = str(many)
        assert "Responses: 30 (60 rows)" in text
        assert "fdr < 0.05" in text
        assert f"{np.median(many.term('x')['estimate']):.4f}"[:5] in text
        assert "<table" in many.to_html()
        assert len(many) == 30

    def test_pickle(self) -> None:
        """Results survive, and can still make models."""
        data, Y = example(3)
        wide = data.assign(a=Y[:, 0], b=Y[:, 1])
        for given in (wide[["a", "b"]], Y, ["a", "b"], {"a": Y[:, 0], "b": Y[:, 1]}):
            many = ranef.fit_many(FORMULA, wide, given)
            again = pickle.loads(pickle.dumps(many))
            assert str(again) == str(many)
            label = many.labels[1]
            assert again.model(label).objective == many.model(label).objective


class TestAdjusting:
    """Over the responses, term by term."""

    @pytest.mark.parametrize("adjust", ["fdr", "holm", "hochberg", "bonferroni", "sidak"])
    def test_formulas(self, adjust: str) -> None:
        """The definitions, spelled out; responses without a p-value do not count."""
        data, Y = example(12)
        Y[:, 4] = 1.0
        many = ranef.fit_many(FORMULA, data, Y, adjust=adjust)  # type: ignore[arg-type]
        p = np.delete(many.p_value[:, 1], 4)
        n, order = len(p), np.argsort(p)
        s = p[order]
        i = np.arange(1, n + 1)
        wanted = {
            "bonferroni": n * s,
            "sidak": 1.0 - (1.0 - s) ** n,
            "holm": [max((n - k) * s[k] for k in range(j + 1)) for j in range(n)],
            "hochberg": [min((n - k) * s[k] for k in range(j, n)) for j in range(n)],
            "fdr": [min((n * s / i)[j:]) for j in range(n)],
        }[adjust]
        assert many.p_adjusted is not None
        found = np.delete(many.p_adjusted[:, 1], 4)[order]
        # 1 - (1 - p)^n loses digits here that the adjusted values have
        np.testing.assert_allclose(found, np.minimum(wanted, 1.0), rtol=1e-9, atol=1e-14)
        assert np.isnan(many.p_adjusted[4]).all()


class TestModel:
    """The single model of a response."""

    @pytest.mark.parametrize("name", ["y1", "a b", "x", "pi", "class", "a`b"])
    def test_is_what_fit_returns(self, name: str) -> None:
        """Whatever the response is called."""
        data, Y = example(2)
        Y[3, 1] = np.nan
        many = ranef.fit_many(FORMULA, data, pd.DataFrame(Y, columns=["other", name]))
        one = ranef.fit("y" + FORMULA, data.assign(y=Y[:, 1]))
        model = many.model(name)
        assert model.objective == one.objective
        assert model.nobs == 59
        assert model.design.response == ("response" if name in ("x", "a`b") else name)
        means = [m.emmeans("x").to_frame()["emmean"][0] for m in (model, one)]
        assert means[0] == pytest.approx(means[1], rel=1e-9)  # rounding

    def test_predictors_are_copied(self) -> None:
        """Responses are not: it is noticed if they have changed."""
        data, Y = example(3)
        many = ranef.fit_many(FORMULA, data, Y)
        data["x"] = 0.0
        assert many.model(1).objective == pytest.approx(many.objective[1], abs=1e-9)
        Y[0, 1] += 1.0
        with pytest.raises(DataError, match="has changed since it was fitted"):
            many.model(1)

    @pytest.mark.parametrize(
        ("change", "effect"),
        [
            (lambda y, x: y + 0.1, "Intercept"),
            (lambda y, x: y - 0.1 * x, "x"),
            (lambda y, x: -y, "Intercept"),
        ],
    )
    def test_changes_that_the_criterion_does_not_see(self, change: Any, effect: str) -> None:
        """It is the same for every response that differs by what predictors explain."""
        data, Y = example(3)
        many = ranef.fit_many(FORMULA, data, Y)
        Y[:, 1] = change(Y[:, 1], data["x"])
        with pytest.raises(DataError, match=f"has changed .* the effect of {effect} was"):
            many.model(1)


class TestBlocks:
    """However the responses are divided."""

    def test_processes_change_nothing(self) -> None:
        """Bit by bit, with several patterns and blocks."""
        pytest.importorskip("joblib")
        data, Y = example(40)
        Y[2, ::3] = np.nan
        one = ranef.fit_many(FORMULA, data, Y, n_jobs=1)
        two = ranef.fit_many(FORMULA, data, Y, n_jobs=2)
        np.testing.assert_array_equal(one.estimate, two.estimate)
        np.testing.assert_array_equal(one.df, two.df)
        again = ranef.fit_many(FORMULA, data, Y)
        np.testing.assert_array_equal(one.p_value, again.p_value)

    def test_blocks_change_nothing_but_rounding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks of seven give the same as one block, and a pattern's fitter is made once."""
        data, Y = example(40)
        Y[2, ::3] = np.nan
        whole = ranef.fit_many(FORMULA, data, Y)
        made: list[Fitter | str] = []

        def counted(*args: object, **options: object) -> Fitter | str:
            made.append(make_fitter(*args, **options))  # type: ignore[arg-type]
            return made[-1]

        monkeypatch.setattr(missing, "MOST_AT_ONCE", 7)
        monkeypatch.setattr(missing, "make_fitter", counted)
        parts = ranef.fit_many(FORMULA, data, Y)
        assert len(made) == 1
        # sums in another order, at a minimum that is flat to 1e-8
        np.testing.assert_allclose(parts.estimate, whole.estimate, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(parts.df, whole.df, rtol=1e-6)

    def test_order_of_responses(self) -> None:
        """The results of a response do not depend on its neighbours, but for rounding."""
        data, Y = example(20)
        forward = ranef.fit_many(FORMULA, data, Y)
        back = ranef.fit_many(FORMULA, data, Y[:, ::-1])
        np.testing.assert_allclose(back.df[::-1], forward.df, rtol=1e-6)  # as above

    def test_progress(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A bar goes to stderr."""
        data, Y = example(5)
        ranef.fit_many(FORMULA, data, Y, progress=True)
        assert "5/5" in capsys.readouterr().err

    def test_memory(self) -> None:
        """Beyond the responses only blocks and results are held: no second copy of the whole."""
        data, Y = example(30_000)  # 14 MB
        blocks = np.array(Y[:, : missing.block_size(60)])
        tracemalloc.start()
        many = ranef.fit_many("~ 1 + (1 | g)", data, Y, ddf="normal")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        results = sum(v.nbytes for v in vars(many).values() if isinstance(v, np.ndarray))
        # a block is copied a few times: as it is, its residuals, levels, and the search's arrays
        assert peak < results + 7 * blocks.nbytes
        assert peak < Y.nbytes
