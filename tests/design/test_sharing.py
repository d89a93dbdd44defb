"""Who owns which memory: nothing of the caller's, and nothing twice."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from ranef.design import Design, build_design, fixed_columns


def the_data(n: int = 40) -> pd.DataFrame:
    """Return n rows in eight groups."""
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "w": rng.random(n) + 1,
            "f": pd.Categorical(rng.choice(list("abc"), n)),
            "g": rng.integers(0, 8, n),
        }
    )


def arrays_of(design: Design) -> list[np.ndarray]:
    """Return every array of a design."""
    columns = [c for term in design.terms for c in term.columns if c is not None]
    codes = [term.grouping.codes for term in design.terms]
    extra = [a for a in (design.weights, design.offset) if a is not None]
    return [design.y, np.asarray(design.X), *columns, *codes, *extra]


def test_nothing_belongs_to_the_caller() -> None:
    """Changing the data afterwards changes nothing in the design."""
    given = {name: np.array(column) for name, column in the_data().items()}
    given["g"] = given["g"].astype(np.int32)
    weights = given["w"].copy()
    formula = "y ~ x + I(z) + f + (x + z | g) + offset(z)"
    design = build_design(formula, given, weights=weights, offset=given["z"])
    for array in arrays_of(design):
        for column in (*given.values(), weights):
            assert not np.shares_memory(array, column)


def test_random_columns_that_are_fixed_columns_are_views() -> None:
    """`x` exists once, however many terms use it; ones are not stored at all."""
    design = build_design("y ~ x + f + (x | g) + (0 + f || g:f) + (x + z | f)", the_data())
    first, second, third = design.terms
    assert first.columns[0] is None
    assert np.shares_memory(first.columns[1], design.X)
    np.testing.assert_array_equal(first.columns[1], design.X[:, 1])
    assert first.columns[1] is third.columns[1]
    assert second.names == ("f[a]", "f[b]", "f[c]")  # coded in full: not columns of X
    assert third.columns[2] is not None
    assert not np.shares_memory(third.columns[2], design.X)


def test_random_columns_cannot_be_written() -> None:
    """They may be views of X, so nobody can change them by accident."""
    for term in build_design("y ~ x + (x + z | g)", the_data()).terms:
        for column in term.columns:
            if column is not None:
                with pytest.raises(ValueError, match="read-only"):
                    column[0] = 1.0


def test_x_is_in_fortran_order() -> None:
    """Columns are contiguous, for LAPACK and for the views."""
    design = build_design("y ~ x * f + (1 | g)", the_data())
    assert design.X.flags.f_contiguous
    assert design.X.dtype == design.y.dtype == np.float64


def test_a_model_without_fixed_effects_has_no_columns() -> None:
    """`y ~ 0 + (1 | g)` is a model, with X of no columns."""
    design = build_design("y ~ 0 + (1 | g)", the_data())
    assert design.X.shape == (40, 0)
    assert design.x_names == ()


def test_a_design_can_be_pickled() -> None:
    """What is needed for prediction travels along."""
    design = build_design("y ~ poly(x, 2) + f + (poly(x, 2) | g)", the_data())
    copy = pickle.loads(pickle.dumps(design))
    np.testing.assert_array_equal(fixed_columns(copy, the_data()), design.X)


def test_only_what_is_used_of_the_context_is_kept() -> None:
    """A lambda that the formula does not mention does not prevent pickling."""
    context = {"twice": np.square, "unused": lambda x: x}
    design = build_design("y ~ twice(x) + (1 | g)", the_data(), context=context)
    assert set(design.spec.context) == {"twice"}
    assert pickle.loads(pickle.dumps(design)).x_names == design.x_names


def test_products_of_small_integers_do_not_overflow() -> None:
    """Products are formed in floating point, whatever the columns are."""
    frame = the_data().assign(a=np.int8(100), b=np.arange(40, dtype=np.int8))
    assert build_design("y ~ 0 + a:b + (1 | g)", frame).X.max() == 3900
    single = the_data().assign(x=the_data()["x"].astype("float32"))
    exact = single["x"].astype(float) ** 2
    design = build_design("y ~ 0 + x:I(x) + (1 | g)", single)
    np.testing.assert_array_equal(design.X[:, 0], exact)


def test_terms_know_their_columns() -> None:
    """The spec tells which columns of X belong to which term."""
    design = build_design("y ~ f * x + (1 | g)", the_data())
    found = {block.label: design.x_names[block.start : block.stop] for block in design.spec.terms}
    assert found == {
        "f": ("f[T.b]", "f[T.c]"),
        "x": ("x",),
        "f:x": ("f[T.b]:x", "f[T.c]:x"),
    }


@pytest.mark.parametrize("missing", [False, True])
def test_large_data_are_not_copied(missing: bool) -> None:
    """Beyond what is returned, a design of 400 000 rows needs little memory for a moment."""
    n = 400_000
    frame = the_data(n).assign(g=np.random.default_rng(0).integers(0, 20_000, n))
    if missing:
        frame.loc[::1000, "x"] = np.nan
    build_design("y ~ x + z + (x | g)", frame)  # imports and caches
    tracemalloc.start()
    try:
        design = build_design("y ~ x + z + (x | g)", frame)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    returned = sum(a.nbytes for a in (design.y, design.X, design.terms[0].grouping.codes))
    returned += design.terms[0].grouping.levels.nbytes + (design.index.nbytes if missing else 0)
    assert kept < returned + 1e6
    assert peak < kept + (40 if missing else 10) * n
