"""What a model that keeps no rows can still do: everything that levels and sums determine."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from streams import assert_agree, cut, make_data

FORMULA = "y ~ x + scale(z) + f + (x | g) + (1 | h)"
# Both fits agree to 1e-10 (test_agreement.py); tests and intervals are smooth functions of them,
# degrees of freedom divide by squares of small derivatives.
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Return rows that tests must not change."""
    return make_data(500)


@pytest.fixture(scope="module")
def models(data: pd.DataFrame) -> tuple[Any, Any]:
    """Return the model in memory, and the one without rows."""
    return ranef.fit(FORMULA, data), ranef.fit(FORMULA, cut(data, [100, 333]))


def test_summary(models: tuple[Any, Any]) -> None:
    """The summary is the same without the quantiles of the residuals."""
    whole, streamed = (str(model.summary()).splitlines() for model in models)
    start = whole.index("Scaled residuals:")
    end = next(i for i in range(start, len(whole)) if not whole[i].strip())
    assert streamed == whole[:start] + whole[end + 1 :]


def test_tables(models: tuple[Any, Any]) -> None:
    """Tests and intervals of the fixed effects, variances, predictions of levels."""
    whole, streamed = models
    for ddf in ("satterthwaite", "normal"):
        pd.testing.assert_frame_equal(whole.coef_table(ddf), streamed.coef_table(ddf), **CLOSE)
    pd.testing.assert_frame_equal(whole.VarCorr.to_frame(), streamed.VarCorr.to_frame(), **CLOSE)
    pd.testing.assert_frame_equal(whole.ranef.to_frame(), streamed.ranef.to_frame(), **CLOSE)
    assert whole.aic == pytest.approx(streamed.aic)
    pd.testing.assert_frame_equal(whole.anova().to_frame(), streamed.anova().to_frame(), **CLOSE)
    for method in ("wald", "profile"):
        # limits of profiles are found to 1e-8 or so
        pd.testing.assert_frame_equal(
            whole.confint(method),
            streamed.confint(method),
            rtol=1e-5,
            atol=1e-6,
        )
    theta = 1.1 * whole.theta
    assert whole.objective_at(theta) == pytest.approx(streamed.objective_at(theta), rel=1e-12)


def test_predict(models: tuple[Any, Any], data: pd.DataFrame) -> None:
    """Predictions for new data, with what transforms learned from all chunks."""
    whole, streamed = models
    new = data.iloc[::7].dropna()
    pd.testing.assert_series_equal(whole.predict(new), streamed.predict(new), **CLOSE)
    fitted = pd.concat([streamed.predict(chunk.dropna()) for chunk in cut(data, [250])])
    pd.testing.assert_series_equal(
        fitted, whole.fitted.reindex(fitted.index), check_names=False, **CLOSE
    )


def test_predict_with_aliased_columns(data: pd.DataFrame) -> None:
    """What can be estimated where a column was dropped does not depend on rows."""
    doubled = data.assign(two=2.0 * data.x - data.z)
    formula = "y ~ x + z + two + (1 | g)"
    with pytest.warns(ranef.errors.RankDeficiencyWarning):
        whole = ranef.fit(formula, doubled, weights="w")
    with pytest.warns(ranef.errors.RankDeficiencyWarning):
        streamed = ranef.fit(formula, cut(doubled, [100]), weights="w")
    new = doubled.iloc[:20].dropna()
    pd.testing.assert_series_equal(whole.predict(new), streamed.predict(new), **CLOSE)
    broken = new.assign(two=0.0)
    for model in (whole, streamed):
        with pytest.warns(UserWarning):
            assert model.predict(broken).isna().all()


def test_pickle(models: tuple[Any, Any]) -> None:
    """A pickled model comes back, still without rows."""
    _, streamed = models
    again = pickle.loads(pickle.dumps(streamed))
    assert_agree(streamed, again)
    with pytest.raises(ranef.errors.NoRowsError):
        again.design.y  # noqa: B018


def test_size_of_pickle(data: pd.DataFrame) -> None:
    """A model of many rows is no larger than one of few."""
    few = ranef.fit("y ~ x + (x | g)", [data])
    many = ranef.fit("y ~ x + (x | g)", [data] * 40)
    assert len(pickle.dumps(many)) < 1.02 * len(pickle.dumps(few))


def test_weights_and_offset_are_reported(data: pd.DataFrame) -> None:
    """The summary knows of weights and an offset that are not kept."""
    text = str(ranef.fit("y ~ x + (1 | g)", [data], weights="w", offset="o").summary())
    assert "Weights" in text
    assert "Offset" in text
    plain = str(ranef.fit("y ~ x + (1 | g)", [data]).summary())
    assert "Weights" not in plain
    assert "Offset" not in plain


def test_optimizers_and_start(data: pd.DataFrame) -> None:
    """Options of the fit mean the same."""
    chunks = cut(data, [123])
    newton = ranef.fit("y ~ x + (1 | g)", chunks)
    bobyqa = ranef.fit("y ~ x + (1 | g)", chunks, optimizer="bobyqa", start=[0.5])
    assert bobyqa.objective == pytest.approx(newton.objective, abs=1e-6)


def test_progress(data: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    """A progress bar counts the rows of both passes, and is silent by default."""
    ranef.fit("y ~ x + (1 | g)", [data])
    assert capsys.readouterr().err == ""
    ranef.fit("y ~ x + (1 | g)", [data], control=ranef.Control(progress=True))
    shown = capsys.readouterr().err
    assert "pass 1" in shown
    assert "pass 2" in shown


def test_only_needed_columns_are_read(data: pd.DataFrame, tmp_path: Path) -> None:
    """A column that no model could use does not disturb."""
    pytest.importorskip("pyarrow")
    odd = data.assign(lists=[[1, 2]] * len(data))
    odd.to_parquet(tmp_path / "odd.parquet")
    model = ranef.fit("y ~ x + (1 | g)", tmp_path / "odd.parquet")
    assert model.nobs == len(data)


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Twenty times the rows in the same chunks: the same peak of numpy's memory."""
    import tracemalloc

    data = make_data(20_000)
    peaks = []
    for times in (2, 40):
        tracemalloc.start()
        ranef.fit("y ~ x + (x | g) + (1 | h)", lambda times=times: (data for _ in range(times)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], np.divide(peaks, 1e6)
