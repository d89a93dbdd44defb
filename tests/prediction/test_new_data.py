"""New data: what is taken from them, what from the fit, and what stays NaN."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fits
import ranef
from ranef.errors import (
    DataError,
    OptionError,
    RanefWarning,
    RankDeficiencyWarning,
    UnknownVariableError,
)
from ranef.prediction import predict

TRANSFORMS = [
    "y ~ scale(x) + (scale(x) | g)",
    "y ~ poly(x, 3) + (poly(x, 2) | g)",
    "y ~ bs(x, df=5) + (1 | g)",
    "y ~ ns(x, df=4) + f + (0 + f | h)",
    "y ~ center(x) * f + (f || g)",
    "y ~ factor(s) + I(x^2) + (1 | h / s)",
    "y ~ x + many + (1 | g)",
]


@cache
def slopes() -> ranef.LinearMixedModel:
    """Return a model with one grouping factor, integers 0 to 19."""
    return fits.fitted("slopes")


def new() -> pd.DataFrame:
    """Return three rows with labels of their own: two known groups and one that is new."""
    return pd.DataFrame(
        {"x": [0.0, 1.0, -1.0], "g": [3, 17, 99]}, index=["first", "second", "third"]
    )


@pytest.mark.parametrize("formula", TRANSFORMS)
def test_nothing_is_learned(formula: str) -> None:
    """Single rows, whatever their levels, get the numbers that they have among all rows."""
    data = fits.data()
    model = ranef.fit(formula, data)
    whole = predict(model, data)
    for i in range(5):
        row = data.iloc[[i]].copy()
        for name in ("f", "many"):
            row[name] = row[name].cat.remove_unused_categories()
        # the same sums, perhaps in another order
        np.testing.assert_allclose(predict(model, row), whole.iloc[[i]], rtol=1e-11)
        np.testing.assert_allclose(
            predict(model, data.iloc[i].to_dict()), whole.iloc[i], rtol=1e-11
        )


@pytest.mark.parametrize("contrast", ["treatment", "sum", "helmert", "poly"])
def test_contrasts_of_the_fit(contrast: str) -> None:
    """Predictions do not depend on the coding, even for one level."""
    data = fits.data()
    model = ranef.fit("y ~ f * x + (1 | g)", data, contrasts={"f": contrast})
    other = ranef.fit("y ~ f * x + (1 | g)", data)
    row = {"f": "b", "x": 0.3, "g": 4}
    # two optimisations of the same criterion
    np.testing.assert_allclose(predict(model, row), predict(other, row), rtol=1e-6)


KINDS: dict[str, Any] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "dict of lists": lambda frame: frame.to_dict("list"),
    "dict of arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table(kind: str) -> None:
    """All tables give the same numbers; rows have labels where the table has them."""
    want = predict(slopes(), new(), new_levels="population", interval="prediction")
    got = predict(slopes(), KINDS[kind](new()), new_levels="population", interval="prediction")
    np.testing.assert_array_equal(got, want)
    labels = ["first", "second", "third"] if kind == "pandas" else [0, 1, 2]
    assert got.index.tolist() == labels


def test_index_of_the_fit() -> None:
    """Without new data the rows are labelled as in the data, also where some were dropped."""
    model = fits.fitted("missing")
    assert predict(model).index.equals(model.fitted.index)
    assert predict(model, interval="confidence").index.equals(model.fitted.index)


def test_duplicate_labels_and_no_rows() -> None:
    """Labels need not be unique, and there may be no row at all."""
    twice = pd.concat([new(), new()]).drop(columns="g")
    assert predict(slopes(), twice, "none").index.tolist() == ["first", "second", "third"] * 2
    for interval, shape in ((None, (0,)), ("prediction", (0, 5))):
        assert predict(slopes(), new().iloc[:0], interval=interval).shape == shape


def test_missing_values_stay_in_their_row() -> None:
    """A missing predictor, group, offset or weight makes its row NaN, and no other."""
    data = fits.data()
    model = fits.fitted("weights and offset")
    rows = data.iloc[:6].copy()
    rows["g"] = rows["g"].astype("Int64")
    whole = predict(model, rows, interval="prediction")
    for i, name in enumerate(["x", "o", "g"]):
        gap = rows.copy()
        gap.iloc[i, gap.columns.get_loc(name)] = pd.NA if name == "g" else np.nan
        for new_levels in ("error", "nan"):
            got = predict(model, gap, new_levels=new_levels, interval="prediction")
            assert got["prediction"].isna().tolist() == [j == i for j in range(6)]
            assert got[["lower", "upper"]].isna().all(axis=1).tolist() == [j == i for j in range(6)]
            np.testing.assert_array_equal(got.drop(gap.index[i]), whole.drop(gap.index[i]))
    rows.iloc[2, rows.columns.get_loc("w")] = np.nan
    got = predict(model, rows, interval="prediction")
    assert got["prediction"].notna().all()  # the mean does not need the weight
    assert got["std_error"].isna().tolist() == [False, False, True, False, False, False]


def test_missing_values_in_wide_models() -> None:
    """The same where the fixed-effects matrix is sparse."""
    model = fits.fitted("sparse")
    rows = fits.data().iloc[:4].copy()
    whole = predict(model, rows, interval="confidence")
    rows.iloc[1, rows.columns.get_loc("many")] = np.nan
    got = predict(model, rows, interval="confidence")
    assert got.isna().all(axis=1).tolist() == [False, True, False, False]
    np.testing.assert_array_equal(got.iloc[[0, 2, 3]], whole.iloc[[0, 2, 3]])


def test_new_levels_are_refused() -> None:
    """The default names the first few levels and what can be done."""
    with pytest.raises(DataError, match=r"levels of 'g' .* fitted to: 99\. .*'population'.*'nan'"):
        predict(slopes(), new())
    many = {"x": np.zeros(8), "g": [f"s{i}" for i in range(8)]}
    with pytest.raises(DataError, match=r"'s0', 's1', 's2', 's3', 's4', \.\.\. \(8 levels\)"):
        predict(slopes(), many)


def test_text_is_not_a_number() -> None:
    """Labels of another type are other levels; the message shows the quotes."""
    with pytest.raises(DataError, match="fitted to: '3'"):
        predict(slopes(), {"x": 0.0, "g": "3"})


def test_new_levels_at_the_population() -> None:
    """A new group, and under this policy a missing one, has random effects of zero."""
    got = predict(slopes(), new(), new_levels="population")
    alone = predict(slopes(), new(), "none")
    assert got["third"] == pytest.approx(alone["third"], rel=1e-14)
    known = predict(slopes(), new().iloc[:2])
    np.testing.assert_array_equal(got.iloc[:2], known)
    unknown = new().assign(g=[None, 17, 99])
    again = predict(slopes(), unknown, new_levels="population")
    assert again["first"] == pytest.approx(alone["first"], rel=1e-14)


def test_new_levels_as_nan() -> None:
    """Rows of new groups are NaN throughout."""
    got = predict(slopes(), new(), new_levels="nan", interval="confidence")
    assert got.isna().all(axis=1).tolist() == [False, False, True]


def test_partly_known_groups() -> None:
    """A new combination in a known group keeps the effects of the group."""
    model = fits.fitted("nested")
    row = {"z": 0.5, "h": "q", "s": 77}
    effects = model.ranef["h"].loc["q"]
    want = model.fixef["Intercept"] + effects["Intercept"] + 0.5 * effects["z"]
    got = predict(model, row, new_levels="population").item()
    assert got == pytest.approx(want, rel=1e-12)
    assert predict(model, row, "h").item() == pytest.approx(want, rel=1e-12)
    assert np.isnan(predict(model, row, new_levels="nan").item())
    with pytest.raises(DataError, match=r"levels of 'h:s' .* 'q:77'"):
        predict(model, row)


def test_only_what_is_needed() -> None:
    """Neither the response nor the groups of effects that were not asked for must be there."""
    model = fits.fitted("crossed")
    assert predict(model, {"x": 1.0, "z": 2.0, "g": 4}, ["g"]).notna().all()
    assert predict(model, {"x": 1.0, "z": 2.0, "h": "p"}, "h").notna().all()
    assert predict(model, {"x": 1.0, "z": 2.0}, "none").notna().all()
    with pytest.raises(UnknownVariableError, match="'g'"):
        predict(model, {"x": 1.0, "z": 2.0, "h": "p"})
    with pytest.raises(UnknownVariableError, match="'z'"):
        predict(model, {"x": 1.0}, "none")


def test_parts_add_up() -> None:
    """Fixed effects and the effects of every group are predicted separately or together."""
    model, data = fits.fitted("crossed"), fits.data()
    none, g, h, both = (predict(model, data, r) for r in ("none", "g", ["h"], ["h", "g"]))
    np.testing.assert_allclose(g + h - none, both, rtol=1e-12)
    np.testing.assert_array_equal(predict(model, data, []), none)
    np.testing.assert_array_equal(predict(model, data), both)


def test_unknown_fixed_level() -> None:
    """A level that a fixed factor never had has no coefficient."""
    model = fits.fitted("factors")
    with pytest.raises(DataError, match="'f' has the level 'd'"):
        predict(model, {"f": "d", "x": 0.0, "h": "p"})


def test_offsets() -> None:
    """Offsets of the formula and of columns are added; an array tells nothing about new data."""
    data = fits.data()
    row = {"x": 0.5, "o": 3.0, "g": 2}
    base = ranef.fit("y ~ x + (1 | g)", data.assign(y=data["y"] - 2 * data["o"]))
    want = predict(base, row).item()
    formula = ranef.fit("y ~ x + offset(2 * o) + (1 | g)", data)
    column = ranef.fit("y ~ x + (1 | g)", data.assign(o=2 * data["o"]), offset="o")
    array = ranef.fit("y ~ x + (1 | g)", data, offset=2 * data["o"])
    # four fits of one model
    assert predict(formula, row).item() == pytest.approx(want + 6, rel=1e-8)
    assert predict(column, row).item() == pytest.approx(want + 3, rel=1e-8)
    with pytest.warns(RanefWarning, match="offset"):
        assert predict(array, row).item() == pytest.approx(want, rel=1e-8)
    np.testing.assert_allclose(predict(array), array.fitted, rtol=1e-12)
    with pytest.raises(UnknownVariableError, match="'o'"):
        predict(column, {"x": 0.5, "g": 2})


def test_aliased_columns() -> None:
    """Rows are predicted as long as dropped columns are what they were in the data."""
    data = fits.data()
    data["twin"] = 2 * data["x"] - 1
    with pytest.warns(RankDeficiencyWarning):
        model = ranef.fit("y ~ x + twin + z + (1 | g)", data)
    alone = ranef.fit("y ~ x + z + (1 | g)", data)
    rows = pd.DataFrame({"x": [0.5, 0.5], "twin": [0.0, 0.1], "z": 1.0, "g": 4})
    with pytest.warns(RankDeficiencyWarning, match=r"1 of 2 rows .* NaN.*twin"):
        got = predict(model, rows, interval="confidence")
    want = predict(alone, rows, interval="confidence")
    np.testing.assert_allclose(got.iloc[0], want.iloc[0], rtol=1e-8)
    assert got.iloc[1].isna().all()
    gap = rows.iloc[:1].assign(twin=np.nan)
    assert predict(model, gap).isna().all()  # missing, which needs no warning


def test_data_are_left_alone() -> None:
    """Neither the new data nor the model change, and results are the caller's to change."""
    model, rows = slopes(), new()
    before = rows.copy()
    result = predict(model, rows, new_levels="population")
    result[:] = 0.0
    fitted = predict(model)
    fitted[:] = 0.0
    pd.testing.assert_frame_equal(rows, before)
    np.testing.assert_allclose(predict(model), model.fitted, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"random": "G"}, UnknownVariableError, "no grouping factor 'G'.*Grouping factors: g"),
        ({"random": ["g", "sub"]}, UnknownVariableError, "no grouping factor 'sub'"),
        ({"random": None}, OptionError, "random must be 'all', 'none', or names"),
        ({"random": [1]}, OptionError, "random must be"),
        ({"new_levels": "allow"}, OptionError, "new_levels must be one of"),
        ({"interval": "predict"}, OptionError, "Did you mean 'prediction'"),
        ({"interval": "confidence", "level": 95}, OptionError, "level must be"),
        ({"interval": "confidence", "ddf": "kenward"}, OptionError, "ddf must be one of"),
        ({"interval": "confidence", "ddf": "kenward-roger"}, OptionError, "random='none'"),
        ({"newdata": 3}, DataError, "data must be"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """Errors say what was got and what is allowed."""
    with pytest.raises(error, match=text):
        predict(slopes(), **{"newdata": new().iloc[:2], **arguments})
