"""Columns from new data: nothing is learned again, unknown levels and missing values are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ranef.design import (
    Design,
    build_design,
    fixed_columns,
    fixed_offset,
    group_codes,
    random_columns,
    row_index,
)
from ranef.errors import DataError, UnknownVariableError


def the_data() -> pd.DataFrame:
    """Return 24 rows."""
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": rng.normal(size=24),
            "x": rng.normal(10, 2, size=24),
            "n": rng.random(24) + 1,
            "f": list("abc") * 8,
            "o": pd.Categorical(list("hlm") * 8, list("lmh"), ordered=True),
            "k": [1, 2, 3, 4] * 6,
            "flag": [True, False] * 12,
            "g": np.repeat([5, 7, 9], 8),
            "h": list("uuvv") * 6,
        }
    )


def design_of(formula: str, **options: Any) -> Design:
    """Build a design from the training data."""
    return build_design(formula, the_data(), **options)


FORMULAS = [
    "scale(x) + f",
    "f * x",
    "o + flag",
    "factor(k) + poly(x, 2)",
    "bs(x, df = 4) + ns(x, df = 2)",
    "cr(x, df = 4) + cc(x, df = 3)",
    "C(f, contr.sum) + relevel(o, ref = 'h')",
    "factor(f, labels = c('p', 'q', 'r'))",
    "as.numeric(o) + as.integer(x)",
    "I(f == 'b') + I(x > 9)",
    "ordered(k)",
    "center(x) + log(n)",
    "dummy(f) + dummy(o, 'm')",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_single_rows_get_the_columns_they_had(formula: str) -> None:
    """One row has one level and no spread, and still gets the right columns."""
    design = design_of(f"y ~ {formula} + (1 | g)")
    for row in (0, 7, 23):
        one = the_data().drop(columns="y").iloc[[row]]
        np.testing.assert_allclose(
            fixed_columns(design, one), design.X[[row]], rtol=1e-13, atol=1e-13
        )


@pytest.mark.parametrize("formula", FORMULAS)
def test_plain_python_values_are_new_data(formula: str) -> None:
    """A dict of scalars is one row; levels are recognised without their categories."""
    design = design_of(f"y ~ {formula} + (1 | g)")
    row = the_data().iloc[4]
    np.testing.assert_allclose(
        fixed_columns(design, row.to_dict()), design.X[[4]], rtol=1e-13, atol=1e-13
    )


def test_polars_is_as_good() -> None:
    """New data may come in another kind of table than the training data."""
    design = design_of("y ~ f * scale(x) + (1 | g)")
    np.testing.assert_allclose(
        fixed_columns(design, pl.from_pandas(the_data())), design.X, rtol=0, atol=1e-14
    )


def test_unknown_levels_of_fixed_factors_are_errors() -> None:
    """The error names the factor, the level, and what was known."""
    for formula, column, value in (
        ("f", "f", "z"),
        ("factor(k)", "k", 9),
        ("o", "o", "x"),
        ("C(f, contr.sum)", "f", "z"),
        ("relevel(f, ref = 'b')", "f", "z"),
        ("factor(f, labels = c('p', 'q', 'r'))", "f", "z"),
        ("as.numeric(o)", "o", "x"),
    ):
        design = design_of(f"y ~ {formula} + (1 | g)")
        new = the_data().iloc[:3].astype({"o": object})
        new.loc[1, column] = value
        with pytest.raises(DataError, match=rf"level '{value}', which it did not have"):
            fixed_columns(design, new)
    design = design_of("y ~ x + (f || g)")
    with pytest.raises(DataError, match="'f' has the level 'z'"):
        random_columns(design.terms[0], {"f": ["a", "z"]})


def test_missing_values_make_missing_rows() -> None:
    """Only the row with the missing value, but all of it."""
    design = design_of("y ~ f * x + I(x > 9) + (1 | g)")
    new = the_data().iloc[:4].copy()
    new.loc[1, "f"] = None
    new.loc[2, "x"] = np.nan
    X = np.asarray(fixed_columns(design, new))
    np.testing.assert_array_equal(X[[0, 3]], np.asarray(design.X)[[0, 3]])
    assert np.isnan(X[[1, 2]]).all()


def test_variables_of_other_parts_are_not_needed() -> None:
    """X needs neither the response nor the groups; a random term needs only its own columns."""
    design = design_of("y ~ f + (x | g) + (1 | h)")
    assert fixed_columns(design, {"f": ["a", "b"]}).shape == (2, 3)
    ones, slope = random_columns(design.terms[0], {"x": [1.0, None]})
    assert ones is None
    np.testing.assert_array_equal(np.asarray(slope), [1.0, np.nan])
    assert random_columns(design.terms[1], {"any": [1]}) == (None,)
    with pytest.raises(UnknownVariableError, match="no column 'f'"):
        fixed_columns(design, {"x": [1.0]})
    with pytest.raises(UnknownVariableError, match="no column 'h'"):
        group_codes(design.terms[1].grouping, {"g": [5]})


def test_kinds_of_variables_must_not_change() -> None:
    """What was a number cannot become text."""
    with pytest.raises(DataError, match="'x' was numeric when the model was fitted"):
        fixed_columns(design_of("y ~ x + (1 | g)"), {"x": ["a", "b"]})


def test_offsets_come_along() -> None:
    """`offset()` terms and the column given as offset; an array cannot be known."""
    new = {"n": [1.0, np.e], "x": [2.0, None]}
    assert fixed_offset(design_of("y ~ f + (1 | g)"), new) is None
    term = fixed_offset(design_of("y ~ f + offset(log(n)) + (1 | g)"), new)
    np.testing.assert_allclose(np.asarray(term), [0.0, 1.0])
    both = fixed_offset(design_of("y ~ f + offset(log(n)) + (1 | g)", offset="x"), new)
    np.testing.assert_allclose(np.asarray(both), [2.0, np.nan])
    assert fixed_offset(design_of("y ~ f + (1 | g)", offset=np.ones(24)), new) is None
    with pytest.raises(UnknownVariableError, match="no column 'x'"):
        fixed_offset(design_of("y ~ f + (1 | g)", offset="x"), {"n": [1.0]})


def test_groups_are_found_by_their_labels() -> None:
    """-1 is a new level, -2 a missing one; labels are told for both kinds of factor."""
    one, two = (term.grouping for term in design_of("y ~ x + (1 | g/h)").terms)
    found = group_codes(one, {"g": [9, 5, 6, None]})
    assert found.codes.tolist() == [2, 0, -1, -2]
    assert found.labels.tolist()[:3] == [9, 5, 6]
    pairs = group_codes(two, {"g": [5, 9, 5, 9], "h": ["v", "u", "w", None]})
    assert pairs.codes.tolist() == [1, 4, -1, -2]
    assert pairs.labels.tolist() == ["5:v", "9:u", "5:w", None]


def test_groups_of_the_training_data_are_themselves() -> None:
    """Codes of the training data are found again, whatever the type of the column."""
    frame = the_data().assign(day=np.repeat(pd.date_range("2020-01-01", periods=6), 4))
    design = build_design("y ~ x + (1 | g) + (1 | day) + (1 | f:flag) + (1 | o) + (1 | k)", frame)
    for term in design.terms:
        np.testing.assert_array_equal(group_codes(term.grouping, frame).codes, term.grouping.codes)


def test_rows_keep_their_labels() -> None:
    """`row_index` gives what results are aligned with."""
    assert row_index(the_data().iloc[[5, 3]]).tolist() == [5, 3]
    assert row_index(pl.DataFrame({"x": [1, 2]})).tolist() == [0, 1]


def test_predicting_leaves_the_design_alone() -> None:
    """What was learned is the same before and after."""
    design = design_of("y ~ poly(x, 2) + scale(n) + (1 | g)")
    before = {text: dict(state) for text, state in design.spec.states.items()}
    fixed_columns(design, the_data().assign(x=0.0, n=100.0))
    assert {text: dict(state) for text, state in design.spec.states.items()} == before
    np.testing.assert_allclose(fixed_columns(design, the_data()), design.X, rtol=0, atol=1e-14)
