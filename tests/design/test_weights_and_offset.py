"""Weights and offsets: by name or by value, checked, and summed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import ranef
from ranef.design import build_design, weights_column
from ranef.errors import DataError, OptionError, UnknownVariableError
from storage.damage import members_of, with_json


def the_data() -> pd.DataFrame:
    """Return eight rows."""
    return pd.DataFrame(
        {
            "y": [1.0, 3, 2, 5, 4, 7, 6, 9],
            "x": np.arange(8.0),
            "w": np.arange(1, 9),
            "n": np.arange(2.0, 10),
            "g": list("aabbccdd"),
        }
    )


GIVEN: dict[str, Any] = {
    "name": "w",
    "array": np.arange(1, 9),
    "list": list(range(1, 9)),
    "series in another order": pd.Series(np.arange(8, 0, -1), index=range(7, -1, -1)),
    "nullable": pd.Series(range(1, 9), dtype="Int64"),
    "polars": pl.Series(range(1, 9)),
}


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("role", ["weights", "offset"])
def test_names_and_values_are_the_same(role: str, kind: str) -> None:
    """A column's name or any array of one number per row."""
    design = build_design("y ~ x + (1 | g)", the_data(), **{role: GIVEN[kind]})
    np.testing.assert_array_equal(getattr(design, role), np.arange(1.0, 9))
    assert getattr(design, role).dtype == np.float64


def test_a_series_goes_by_its_labels() -> None:
    """Rows are matched by label where both sides have labels, and by position elsewhere."""
    data = the_data().set_axis(list("hgfedcba"))
    weights = pd.Series(np.arange(8.0, 0, -1), index=list("abcdefgh"))
    formula = "y ~ x + (1 | g)"
    np.testing.assert_array_equal(
        np.asarray(build_design(formula, data, weights=weights).weights), np.arange(1.0, 9)
    )
    columns = {name: data[name] for name in data}
    for labelled in (data, columns):
        with pytest.raises(DataError, match=r"weights is a pandas Series whose index differs"):
            build_design(formula, labelled, weights=weights.set_axis(range(8)))
    for plain in (pl.from_pandas(data), {name: data[name].tolist() for name in data}):
        design = build_design(formula, plain, weights=weights)
        np.testing.assert_array_equal(np.asarray(design.weights), np.arange(8.0, 0, -1))


def test_repeated_labels_are_accepted_in_the_same_order_only() -> None:
    """Equal indices need no matching; labels that occur twice cannot be matched."""
    data = the_data().set_axis(list("aabbccdd"))
    weights = data["w"] * 2.0
    design = build_design("y ~ x + (1 | g)", data, weights=weights)
    np.testing.assert_array_equal(np.asarray(design.weights), weights)
    with pytest.raises(DataError, match="index differs"):
        build_design("y ~ x + (1 | g)", data, weights=weights.iloc[::-1])


def test_all_offsets_are_added() -> None:
    """The argument and every `offset()` term count; y stays as it is."""
    formula = "y ~ x + offset(log(n)) + offset(2 * x) + (1 | g)"
    design = build_design(formula, the_data(), offset="n")
    n, x = the_data()["n"], the_data()["x"]
    np.testing.assert_allclose(np.asarray(design.offset), n + np.log(n) + 2 * x)
    np.testing.assert_array_equal(design.y, the_data()["y"])
    assert design.x_names == ("Intercept", "x")
    assert build_design("y ~ x + (1 | g)", the_data()).offset is None


WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("weights", "ww", UnknownVariableError, "no column 'ww'. Did you mean 'w'"),
    ("offset", "off", UnknownVariableError, "no column 'off'"),
    ("weights", "g", DataError, "'g' must be a column of numbers"),
    ("weights", [1, 2], DataError, "weights has 2 values; the data have 8 rows"),
    ("weights", 3.0, DataError, "weights"),
    ("offset", np.zeros((8, 2)), DataError, "offset"),
    ("weights", ["a"] * 8, DataError, "name of a column or one number per row"),
    ("weights", [1, 1, 1, 1, 1, 1, 1, -1], DataError, "some are negative"),
    ("weights", [1, 0, 1, 1, 0, 1, 1, 1], DataError, "2 weights are zero; drop these rows"),
    ("weights", [1, 1, 1, np.inf, 1, 1, 1, 1], DataError, "'weights' is infinite in row 3"),
    ("offset", [1, 1, 1, 1, 1, 1, 1, -np.inf], DataError, "'offset' is infinite in row 7"),
]


@pytest.mark.parametrize(("role", "given", "error", "message"), WRONG)
def test_wrong_weights_and_offsets_are_refused(
    role: str, given: Any, error: type[Exception], message: str
) -> None:
    """Each problem has its message."""
    with pytest.raises(error, match=message):
        build_design("y ~ x + (1 | g)", the_data(), **{role: given})


def groups_with_weights() -> pd.DataFrame:
    """Return groups, weights, and a predictor that equals them."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(10), 6)
    w = rng.uniform(0.5, 2.0, 60)
    y = rng.standard_normal(10)[g] + w + rng.standard_normal(60) / np.sqrt(w)
    return pd.DataFrame({"y": y, "n": w, "w": w, "g": g})


def test_weights_are_known_by_their_name() -> None:
    """A predictor that equals the weights is not taken for them, by nothing that comes later."""
    data = groups_with_weights()
    model = ranef.fit("y ~ n + (1 | g)", data, weights="w")
    new = pd.DataFrame({"n": [1.0], "w": [100.0], "g": [0]})
    found = model.predict(new, interval="prediction", ddf="normal", theta_uncertainty=False)
    inside = model.predict(new, interval="confidence", ddf="normal", theta_uncertainty=False)
    noise = found["std_error"] ** 2 - inside["std_error"] ** 2
    np.testing.assert_allclose(noise, model.sigma**2 / 100.0, rtol=1e-9)
    other = data.assign(w=np.linspace(1.0, 9.0, 60))
    expected = ranef.fit("y ~ n + (1 | g)", other, weights="w")
    assert model.update(data=other).objective == pytest.approx(expected.objective, rel=1e-12)


def test_weights_from_an_array_have_no_name() -> None:
    """They are not looked for among the variables, though one has the same values."""
    data = groups_with_weights()
    model = ranef.fit("y ~ n + (1 | g)", data, weights=data["n"].to_numpy())
    assert weights_column(model.design) is None
    with pytest.raises(OptionError, match="which column of the new data has the weights"):
        model.update(data=data)


@pytest.mark.parametrize("weights", ["w", None, "array"])
def test_names_of_weights_last(weights: str | None, tmp_path: Path) -> None:
    """Updated, refitted, pickled and saved models know the column, too."""
    data = groups_with_weights()
    given = data["w"].to_numpy() if weights == "array" else weights
    name = weights if weights == "w" else None
    model = ranef.fit("y ~ n + (1 | g)", data, weights=given)
    model.save(tmp_path / "m.ranef")
    others = (
        model,
        model.update(". ~ . - n"),
        model.refit(model.y + 1.0),
        pickle.loads(pickle.dumps(model)),
        ranef.load(tmp_path / "m.ranef"),
    )
    assert [weights_column(other.design) for other in others] == [name] * 5


def test_files_from_before_weights_had_names(tmp_path: Path) -> None:
    """They load; which column the weights came from is then not known."""
    path = tmp_path / "m.ranef"
    model = ranef.fit("y ~ n + (1 | g)", groups_with_weights(), weights="w")
    model.save(path)
    old = with_json(
        members_of(path.read_bytes()),
        lambda content: content["design"]["fixed"].pop("weights_column"),
    )
    path.write_bytes(old)
    again = ranef.load(path)
    assert weights_column(again.design) is None
    assert again.objective == model.objective
