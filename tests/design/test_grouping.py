"""Grouping factors: codes and levels against a brute-force numbering of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranef.design import Grouping, build_design
from ranef.errors import DataError


def groups(formula: str, **columns: Any) -> list[Grouping]:
    """Return the grouping factors of the random terms."""
    count = len(next(iter(columns.values())))
    frame = pd.DataFrame({"y": np.arange(float(count)), **columns})
    return [term.grouping for term in build_design(f"y ~ 1 + {formula}", frame).terms]


KINDS: dict[str, tuple[Any, list[Any]]] = {
    "text": (list("bca" * 3), ["a", "b", "c"]),
    "integers": ([3, -1, 10] * 3, [-1, 3, 10]),
    "wide integers": ([3, -(10**15), 10**15] * 3, [-(10**15), 3, 10**15]),
    "small integers": (np.array([127, -128, 0] * 3, dtype=np.int8), [-128, 0, 127]),
    "unsigned": (np.array([2**63 + 1, 5, 7] * 3, dtype=np.uint64), [5, 7, 2**63 + 1]),
    "floats": ([2.5, -1.0, 3.0] * 3, [-1.0, 2.5, 3.0]),
    "booleans": ([True, False, True] * 3, [False, True]),
    "categories": (pd.Categorical(list("bca" * 3), list("cxba")), ["c", "b", "a"]),
    "numbers as categories": (pd.Categorical([2, 1, 3] * 3, [3, 1, 2]), [3, 1, 2]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_categories_in_their_order_or_sorted_values(kind: str) -> None:
    """Unused categories disappear; codes point to the right level."""
    values, levels = KINDS[kind]
    (grouping,) = groups("(1 | g)", g=values)
    assert grouping.levels.tolist() == levels
    assert grouping.codes.dtype == np.int32
    assert grouping.levels[grouping.codes].tolist() == list(values)
    assert (grouping.name, grouping.variables, grouping.size) == ("g", ("g",), len(levels))


def test_nested_and_crossed_terms_share_their_columns() -> None:
    """`a/b` gives a and a:b; the levels of a:b are sorted by a, then b."""
    a, b = list("zzyyzzyy"), [10, 2, 10, 2, 10, 2, 10, 10]
    first, second = groups("(1 | a/b)", a=a, b=b)
    assert first.levels.tolist() == ["y", "z"]
    assert second.name == "a:b"
    assert second.variables == ("a", "b")
    assert second.levels.tolist() == ["y:2", "y:10", "z:2", "z:10"]
    assert second.codes.tolist() == [3, 2, 1, 0, 3, 2, 1, 1]


def test_a_factor_is_shared_by_its_terms() -> None:
    """Terms on the same factor have the same Grouping object; a:b and b:a are two."""
    a, b = list("ppqqrrss") * 3, list("uuuvvvwwwuuuvvvwwwuuuvvv")
    x = np.arange(24.0)
    one, two, three, four = groups("(1 | a:b) + (0 + x | a:b) + (1 | b:a) + (1 | a)", a=a, b=b, x=x)
    assert one is two
    assert three.levels.tolist() == sorted(f"{v}:{u}" for u, v in set(zip(a, b, strict=True)))
    assert four.size == 4


def test_numbers_in_combined_labels_look_like_numbers() -> None:
    """Whole floats have no decimal point; booleans are words."""
    (grouping,) = groups("(1 | a:b)", a=[1.0, 2.5] * 4, b=[True, True, False, False] * 2)
    assert grouping.levels.tolist() == ["1:False", "1:True", "2.5:False", "2.5:True"]


@pytest.mark.parametrize("kind", ["float64", "Int64"])
def test_whole_numbers_beside_missing_ones(kind: str) -> None:
    """Pandas makes them floats; levels are 106 and not 106.0, as in R. Other floats stay."""
    whole = pd.Series([106, None, 98, 106, 98, 106, 7, 7], dtype=kind)
    (grouping,) = groups("(1 | g)", g=whole)
    assert grouping.levels.dtype == np.int64
    assert [str(level) for level in grouping.levels] == ["7", "98", "106"]
    assert grouping.codes.tolist() == [2, 1, 2, 1, 2, 0, 0]
    (grouping,) = groups("(1 | g)", g=[1.0, 1.5, 2.0] * 3)
    assert grouping.levels.tolist() == [1.0, 1.5, 2.0]
    (grouping,) = groups("(1 | g)", g=[2.0**60, 1.0, 2.0] * 3)  # beyond what floats count
    assert grouping.levels.dtype == np.float64


@pytest.mark.parametrize(
    "formula",
    ["(1 | a:b) + (1 | `a:b`)", "(1 | `a:b`) + (1 | a:b)", "(1 | a/b) + (1 | `a:b`)"],
)
def test_a_column_that_is_called_like_a_combination(formula: str) -> None:
    """Two grouping factors of one name are refused; each alone is what it says."""
    columns = {"a": list("pqr") * 8, "b": list("uuuvvv") * 4, "a:b": list("zy") * 12}
    with pytest.raises(DataError, match=r"'a:b' is the column 'a:b' in one .* of 'a' and 'b'"):
        groups(formula, **columns)
    (alone,) = groups("(1 | `a:b`)", **columns)
    assert alone.levels.tolist() == ["y", "z"]
    assert alone.variables == ("a:b",)


def test_two_combinations_of_one_name() -> None:
    """Names with colons can be combined to the same name in two ways."""
    columns = {"a": list("pqr") * 8, "b:c": list("uuuvvv") * 4}
    columns |= {"a:b": list("pqr") * 8, "c": list("uvw") * 8}
    with pytest.raises(DataError, match="'a:b:c' is made of different columns"):
        groups("(1 | a:`b:c`) + (1 | `a:b`:c)", **columns)


def test_only_combinations_that_occur_cost_anything() -> None:
    """10 000 x 10 000 possible combinations, of which 50 000 occur."""
    rng = np.random.default_rng(0)
    a = np.repeat(rng.integers(0, 10_000, 50_000), 2)
    b = np.repeat(rng.integers(0, 10_000, 50_000), 2)
    (grouping,) = groups("(1 | a:b)", a=a, b=b)
    pairs, expected = np.unique(a * 10_000 + b, return_inverse=True)
    np.testing.assert_array_equal(grouping.codes, expected)
    assert grouping.levels[:2].tolist() == [f"{p // 10_000}:{p % 10_000}" for p in pairs[:2]]


VALUES = st.one_of(
    st.lists(st.integers(-5, 5), min_size=12, max_size=12),
    st.lists(st.integers(-(2**62), 2**62), min_size=12, max_size=12),
    st.lists(st.sampled_from(["a", "b", "ä", "", "a b", "10", "9"]), min_size=12, max_size=12),
    st.lists(st.floats(-2, 2, allow_nan=False).map(lambda x: x + 0.0), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)


@given(st.lists(VALUES, min_size=1, max_size=3))
@settings(max_examples=200)
def test_codes_are_the_ranks_of_the_tuples(columns: list[list[Any]]) -> None:
    """Any combination of columns is numbered as Python sorts the tuples of their values."""
    columns = [
        [value + 0.0 if value == 0 else value for value in c] if isinstance(c[0], float) else c
        for c in columns
    ]
    named = {f"g{i}": column * 2 for i, column in enumerate(columns)}
    tuples = list(zip(*named.values(), strict=True))
    ranks = {combination: rank for rank, combination in enumerate(sorted(set(tuples)))}
    if len(ranks) < 2:
        return
    (grouping,) = groups(f"(1 | {':'.join(named)})", **named)
    assert grouping.codes.tolist() == [ranks[combination] for combination in tuples]
    assert grouping.size == len(ranks)
