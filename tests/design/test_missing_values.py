"""Rows with missing values: dropped, counted per variable, or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ranef.design import build_design
from ranef.errors import DataError


def the_data() -> pd.DataFrame:
    """Return twelve rows; every variable is missing somewhere."""
    frame = pd.DataFrame(
        {
            "y": np.sin(np.arange(12.0)),
            "x": np.cos(np.arange(12.0)),
            "f": pd.Categorical(list("abcabcabcabd")),
            "g": np.repeat([1.0, 2, 3, 4], 3),
            "w": np.arange(1.0, 13),
            "unused": np.nan,
        }
    )
    frame.loc[[0, 1], "y"] = np.nan
    frame.loc[1, "x"] = np.nan
    frame.loc[11, "f"] = None
    frame.loc[2, "g"] = np.nan
    frame.loc[4, "w"] = np.nan
    return frame


def test_rows_are_dropped_and_counted_per_variable() -> None:
    """A row that lacks two variables counts for both; unused columns do not count."""
    design = build_design("y ~ x + f + (1 | g)", the_data(), weights="w")
    assert dict(design.dropped) == {"y": 2, "x": 1, "f": 1, "g": 1, "w": 1}
    assert design.index.tolist() == [3, 5, 6, 7, 8, 9, 10]
    assert (design.n_total, len(design.y)) == (12, 7)
    assert design.weights is not None
    assert design.weights.tolist() == [4, 6, 7, 8, 9, 10, 11]


def test_levels_that_are_lost_with_their_rows_disappear() -> None:
    """The level d occurs only in a dropped row, group 1 loses rows but not all."""
    frame = the_data()
    frame.loc[11, "f"] = "d"
    frame.loc[11, "y"] = np.nan
    design = build_design("y ~ f + (1 | g)", frame)
    assert design.x_names == ("Intercept", "f[T.b]", "f[T.c]")
    frame.loc[[3, 4, 5], "y"] = np.nan
    assert build_design("y ~ x + (1 | g)", frame).terms[0].grouping.levels.tolist() == [3, 4]


def test_missing_values_can_be_refused() -> None:
    """`na_action="raise"` names the variables and counts."""
    with pytest.raises(DataError, match=r"'y' in 2, 'x' in 1.*na_action='drop'"):
        build_design("y ~ x + (1 | f)", the_data(), na_action="raise")
    complete = the_data().iloc[5:11]
    assert len(build_design("y ~ x + (1 | f)", complete, na_action="raise").y) == 6


def test_arrays_of_weights_are_aligned_before_dropping() -> None:
    """Element i belongs to row i of the data, used or not."""
    weights = np.arange(1.0, 13)
    weights[5] = np.nan
    design = build_design("y ~ x + (1 | f)", the_data(), weights=weights, offset=-weights)
    assert design.weights is not None
    assert design.offset is not None
    assert design.weights.tolist() == [3, 4, 5, 7, 8, 9, 10, 11]
    assert design.offset.tolist() == [-3, -4, -5, -7, -8, -9, -10, -11]
    assert dict(design.dropped) == {"y": 2, "x": 1, "f": 1, "weights": 1, "offset": 1}


def test_values_that_a_function_loses_are_missing() -> None:
    """`lag` has no first value, `factor(levels=)` leaves levels out: these rows are dropped."""
    frame = the_data().iloc[5:11]
    design = build_design("y ~ lag(x) + (1 | g)", frame)
    assert dict(design.dropped) == {"lag(x)": 1}
    np.testing.assert_array_equal(design.X[:, 1], frame["x"].iloc[:-1])
    ahead = build_design("y ~ lag(x, -2) + (1 | g)", frame)
    np.testing.assert_array_equal(ahead.X[:, 1], frame["x"].iloc[2:])
    some = build_design('y ~ factor(f, levels = c("b", "a")) + (1 | g)', frame)
    assert dict(some.dropped) == {'factor(f, levels=c("b", "a"))': 2}
    assert some.x_names == ("Intercept", 'factor(f, levels=c("b", "a"))[T.a]')


def test_nothing_missing_means_nothing_dropped() -> None:
    """The mapping is empty, not full of zeros."""
    design = build_design("y ~ x + (1 | f)", the_data().iloc[2:11])
    assert dict(design.dropped) == {}
    assert design.n_total == len(design.y) == 9


def test_infinite_values_in_dropped_rows_do_not_matter() -> None:
    """Only rows that are used have to be finite."""
    frame = the_data()
    frame.loc[0, "x"] = np.inf
    assert np.isfinite(build_design("y ~ x + (1 | f)", frame).X).all()
