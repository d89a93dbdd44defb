"""Partitions on a cluster: the same answer, wherever they are worked on and whoever dies."""

from __future__ import annotations

import inspect
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError, UnknownVariableError
from streams import assert_agree, make_data

dask = pytest.importorskip("dask")
dd = pytest.importorskip("dask.dataframe")

FORMULA = "y ~ x + scale(z) + f + (x | g) + (1 | h)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Return rows that tests must not change."""
    return make_data(600)


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_any_partitions(data: pd.DataFrame, count: int) -> None:
    """Without a cluster, in threads: any number of partitions."""
    frame = dd.from_pandas(data, npartitions=count)
    with dask.config.set(scheduler="threads"):
        assert_agree(ranef.fit(FORMULA, data), ranef.fit(FORMULA, frame))


def test_splines_weights_and_groups(data: pd.DataFrame) -> None:
    """What learns from whole columns, weights, offsets, nested groups."""
    formula = "y ~ bs(x, df = 4) + (1 | g/s)"
    frame = dd.from_pandas(data, npartitions=4)
    whole = ranef.fit(formula, data, weights="w", offset="o")
    with dask.config.set(scheduler="synchronous"):
        assert_agree(whole, ranef.fit(formula, frame, weights="w", offset="o"))


def test_errors_name_the_partition(data: pd.DataFrame) -> None:
    """An error of the data comes to the caller as it is, once."""
    bad = data.assign(x=data.x.mask(data.index == 450, np.inf))
    frame = dd.from_pandas(bad, npartitions=3)
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(DataError, match="partition 3: 'x' is infinite in row 450"):
            ranef.fit(FORMULA, frame)
        with pytest.raises(UnknownVariableError, match="nowhere"):
            ranef.fit("y ~ nowhere + (1 | g)", frame)


def test_two_worker_processes(dask_client: Any, data: pd.DataFrame, tmp_path: Path) -> None:
    """A Parquet data set on two workers."""
    pytest.importorskip("pyarrow")
    dd.from_pandas(data, npartitions=6).to_parquet(tmp_path / "parts")
    frame = dd.read_parquet(tmp_path / "parts")
    assert_agree(ranef.fit(FORMULA, data), ranef.fit(FORMULA, frame))
    assert len(dask_client.scheduler_info()["workers"]) == 2


def test_a_worker_dies(dask_client: Any, data: pd.DataFrame, tmp_path: Path) -> None:
    """One worker process ends in each pass; its work is done again."""
    frame = dd.from_pandas(data, npartitions=8)
    marks = tmp_path / "marks"
    for second in (False, True):
        (marks / str(second)).mkdir(parents=True)

    def dying(x: Any) -> Any:
        """Return x; end the process once in each pass, after some work was done."""
        second = any(frame.function == "sum_chunk" for frame in inspect.stack())
        calls, died = marks / str(second), tmp_path / f"died {second}"
        number = len(os.listdir(calls))
        (calls / f"{os.getpid()} {time.monotonic_ns()}").touch()
        if os.getpid() != home and number >= 3 and not died.exists():
            died.touch()
            os._exit(1)
        time.sleep(0.02)  # so that both workers have something to do
        return x

    home = os.getpid()
    formula = "y ~ dying(x) + f + (1 | g)"
    context = {"dying": dying}
    whole = ranef.fit(formula, data, context=context)
    streamed = ranef.fit(formula, frame, context=context)
    assert_agree(whole, streamed)
    assert [path.name for path in sorted(tmp_path.glob("died*"))] == ["died False", "died True"]


def test_partitions_without_values(data: pd.DataFrame) -> None:
    """Partitions without rows, and those in which a column has no value, have any type."""
    rows = data.assign(h=data.h.astype(object))
    rows.loc[:199, "z"] = np.nan
    whole = dd.from_pandas(rows, npartitions=6)
    empty = whole[whole.x > 1e9]
    assert_agree(
        ranef.fit(FORMULA, dd.concat([empty, whole, empty])),
        ranef.fit(FORMULA, rows),
    )


def test_partitions_that_come_out_differently(data: pd.DataFrame) -> None:
    """Random numbers without a seed are others in the second pass."""

    def shake(part: pd.DataFrame) -> pd.DataFrame:
        return part.assign(y=part.y + np.random.default_rng().normal(size=len(part)))

    whole = dd.from_pandas(data, npartitions=3)
    noisy = whole.map_partitions(shake, meta=whole._meta)
    with pytest.raises(DataError, match=r"changed while they were read: .* fix the seed"):
        ranef.fit(FORMULA, noisy)
