"""Model matrices are R's, number for number; r_reference.json was written by make_r_reference.R."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ranef.design import build_design, fixed_columns, random_columns

R: dict[str, Any] = json.loads((Path(__file__).parent / "r_reference.json").read_text())
CONTRASTS = {
    "contr.sum": "sum",
    "contr.helmert": "helmert",
    "contr.poly": "poly",
    "contr.treatment": "treatment",
}


def the_data() -> pd.DataFrame:
    """Return the data frame that R used."""
    frame = pd.DataFrame(R["data"])
    frame["o"] = pd.Categorical(frame["o"], ["low", "mid", "high", "top"], ordered=True)
    return frame


def as_r_writes(name: str) -> str:
    """Translate a column name: ``a[T.a2]:x`` is ``aa2:x`` in R."""
    for bracket, text in (("[T.True]", "TRUE"), ("[T.", ""), ("[", ""), ("]", "")):
        name = name.replace(bracket, text)
    return name.replace("Intercept", "(Intercept)")


def ids(entries: list[dict[str, Any]]) -> list[str]:
    """Return readable names for the test cases."""
    return [entry.get("formula") or entry["term"] for entry in entries]


@pytest.mark.parametrize("entry", R["matrices"], ids=ids(R["matrices"]))
def test_the_model_matrix_is_that_of_r(entry: dict[str, Any]) -> None:
    """Coding, order of columns and values agree with `model.matrix`."""
    design = build_design(f"y {entry['formula']} + (1 | g)", the_data())
    np.testing.assert_allclose(design.X, entry["rows"], rtol=0, atol=1e-11)


PLAIN = [e for e in R["matrices"] if not any(s in e["formula"] for s in ("=", "contr", "ns(x)"))]


@pytest.mark.parametrize("entry", PLAIN, ids=ids(PLAIN))
def test_names_differ_from_r_only_in_their_brackets(entry: dict[str, Any]) -> None:
    """Where R's names say the level, so do ours."""
    design = build_design(f"y {entry['formula']} + (1 | g)", the_data())
    names = entry["names"] if isinstance(entry["names"], list) else [entry["names"]]
    assert [as_r_writes(name) for name in design.x_names] == names


@pytest.mark.parametrize("entry", R["contrasts"], ids=ids(R["contrasts"]))
def test_contrasts_have_the_numbers_of_r(entry: dict[str, Any]) -> None:
    """`contrasts=` means R's contr.sum, contr.helmert, contr.poly and contr.treatment."""
    wanted = {name: CONTRASTS[contrast] for name, contrast in entry["contrasts"].items()}
    design = build_design(f"y {entry['formula']} + (1 | g)", the_data(), contrasts=wanted)
    np.testing.assert_allclose(design.X, entry["rows"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("entry", R["random"], ids=ids(R["random"]))
def test_random_terms_have_the_z_of_lme4(entry: dict[str, Any]) -> None:
    """Columns, levels and their order give lme4's Z."""
    design = build_design(f"y ~ 1 + {entry['term']}", the_data())
    (term,) = design.terms
    k, n = len(term.names), len(design.y)
    Z = np.zeros((n, k * term.grouping.size))
    for position, column in enumerate(term.columns):
        rows = term.grouping.codes * k + position
        Z[np.arange(n), rows] = 1.0 if column is None else column
    np.testing.assert_allclose(Z.T, entry["Zt"], rtol=0, atol=1e-14)
    assert term.grouping.levels.tolist() == entry["levels"]
    names = entry["names"] if isinstance(entry["names"], list) else [entry["names"]]
    assert [as_r_writes(name) for name in term.names] == names


def test_missing_rows_are_dropped_after_transforms_have_seen_them() -> None:
    """As in R, `scale(x)` uses every x there is, also in rows where y is missing."""
    frame = the_data()
    frame.loc[[1, 8], "y"] = np.nan
    frame.loc[[3, 8], "x"] = np.nan
    frame.loc[6, "b"] = None
    design = build_design("y ~ scale(x) + poly(z, 2) + b + (x | g)", frame)
    np.testing.assert_allclose(design.X, R["missing"]["rows"], rtol=0, atol=1e-13)
    assert design.index.tolist() == R["missing"]["kept"]
    assert design.dropped == {"y": 2, "x": 2, "b": 1}


@pytest.mark.parametrize("entry", R["new"]["matrices"], ids=ids(R["new"]["matrices"]))
def test_new_data_get_the_basis_of_the_training_data(entry: dict[str, Any]) -> None:
    """Knots, means and coefficients are not learned again, inside or outside the old range."""
    design = build_design(f"y {entry['formula']} + (1 | g)", the_data())
    new = the_data().iloc[R["new"]["rows"]].assign(x=R["new"]["x"], z=R["new"]["z"])
    X = fixed_columns(design, new)
    np.testing.assert_allclose(X, entry["rows"], rtol=1e-12, atol=1e-9)
    one_by_one = [fixed_columns(design, new.iloc[[row]]) for row in range(len(new))]
    np.testing.assert_allclose(np.vstack(one_by_one), X, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("entry", R["matrices"], ids=ids(R["matrices"]))
def test_the_training_data_give_the_same_columns_again(entry: dict[str, Any]) -> None:
    """`fixed_columns` and `random_columns` of the training data are the design itself."""
    effects = entry["formula"].removeprefix("~ ")
    design = build_design(f"y ~ {effects} + ({effects} || g:b)", the_data())
    np.testing.assert_allclose(fixed_columns(design, the_data()), design.X, rtol=0, atol=1e-13)
    (term,) = design.terms
    for old, new in zip(term.columns, random_columns(term, the_data()), strict=True):
        assert (old is None) == (new is None)
        if old is not None and new is not None:
            np.testing.assert_allclose(new, old, rtol=0, atol=1e-13)


def test_contrasts_can_be_named_in_several_ways() -> None:
    """R's, patsy's and formulaic's spellings of the same reference level."""
    spellings = [
        "contr.treatment(3, base = 2)",
        "contr.treatment(base = 'b2')",
        "contr.treatment('b2')",
        "Treatment('b2')",
        "Treatment(reference = 'b2')",
    ]
    for spelling in (*spellings, "contr.treatment, base = 2"):
        design = build_design(f"y ~ C(b, {spelling}) + (1 | g)", the_data())
        assert [name[-6:] for name in design.x_names[1:]] == ["[T.b1]", "[T.b3]"]


# levels(relevel(factor(c("b", "a", "c", "10")), ref)) of R 4.2.2
RELEVELLED = {
    "2": ["a", "10", "b", "c"],
    "2.7": ["a", "10", "b", "c"],
    "1": ["10", "a", "b", "c"],
    "4": ["c", "10", "a", "b"],
    "'10'": ["10", "a", "b", "c"],
    "'b'": ["b", "10", "a", "c"],
}


@pytest.mark.parametrize("ref", RELEVELLED)
def test_relevel_takes_levels_and_positions(ref: str) -> None:
    """A string is a level, a number its position."""
    data = {
        "y": [1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0, 9.0],
        "f": ["b", "a", "c", "10"] * 2,
        "g": list("uuuuvvvv"),
    }
    design = build_design(f"y ~ 0 + relevel(f, ref = {ref}) + (1 | g)", data)
    levels = [name.rpartition("[")[2].rstrip("]") for name in design.x_names]
    assert levels == RELEVELLED[ref]
