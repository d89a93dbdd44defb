"""Answers about a model of streamed data that need more than levels: those of the model in memory.

Both fits agree to 1e-10 (test_agreement.py). Means, R^2 and criteria are smooth functions of them;
1e-8 leaves room for the conditioning of the formulas below. Degrees of freedom divide by squares of
small derivatives and p-values have a large slope in the tail: 1e-6.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError, NoRowsError
from ranef.streaming.prints import row_print
from streams import cut, make_data

FORMULAS = {
    "crossed": "y ~ x + scale(z) + f + (x | g) + (1 | h)",
    "interactions, few values": "y ~ x * f + two + half + factor(year) + flag + (x || g)",
    "no intercept": "y ~ 0 + f + x:f + offset(o) + (1 | g)",
    "nested fixed factors": "y ~ f + inner + (1 | g)",
    "curves": "y ~ poly(x, 2) * f + log(z) + (1 | g/s)",
    "far from zero": "y ~ far + f + (far | g)",
    "aliased": "y ~ x + two + both + f + (1 | g) + (1 | h)",
    "through the origin": "y ~ 0 + x + (1 | g)",
}
OPTIONS: dict[str, dict[str, str]] = {"plain": {}, "weighted": {"weights": "w", "offset": "o"}}
CUTS = {"one chunk": [], "chunks": [17, 400, 401]}
EXACT, LOOSE = 1e-8, 1e-6


@cache
def data() -> pd.DataFrame:
    """Return rows that tests must not change."""
    rows = make_data(800)
    rng = np.random.default_rng(3)
    rows["two"] = rng.integers(0, 2, len(rows))
    rows["half"] = 1.25 + 0.5 * rng.integers(0, 2, len(rows))
    rows["year"] = rng.integers(2000, 2004, len(rows))
    rows["flag"] = rng.random(len(rows)) < 0.3
    rows["inner"] = [f"{a}{k}" for a, k in zip(rows.f, rng.integers(0, 2, len(rows)), strict=True)]
    rows.loc[rows.f.isna(), "inner"] = None
    rows["far"], rows["both"] = 1e3 + rows.x, 2.0 * rows.x - rows.two
    return rows


@cache
def pair(formula: str, options: str, chunks: str) -> tuple[Any, Any]:
    """Return the model in memory, and the one without rows."""
    given = OPTIONS[options]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ranef.errors.RanefWarning)
        return (
            ranef.fit(FORMULAS[formula], data(), **given),
            ranef.fit(FORMULAS[formula], cut(data(), CUTS[chunks]), **given),
        )


def assert_same(whole: Any, streamed: Any, tolerance: float = EXACT) -> None:
    """Compare two results as tables; degrees of freedom and p-values less strictly."""
    one, two = whole.to_frame(), streamed.to_frame()
    assert list(one) == list(two)
    for name in one:
        loose = name in ("df", "den_df", "p_value", "p_mixture")
        if one[name].dtype.kind in "fi":
            a, b = one[name].to_numpy(dtype=float), two[name].to_numpy(dtype=float)
            np.testing.assert_allclose(
                b, a, rtol=LOOSE if loose else tolerance, atol=tolerance, err_msg=str(name)
            )
        else:
            assert list(map(str, one[name])) == list(map(str, two[name])), name


@pytest.mark.parametrize("chunks", CUTS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_variances(formula: str, options: str, chunks: str) -> None:
    """R^2 and intraclass correlations."""
    whole, streamed = pair(formula, options, chunks)
    assert_same(whole.r2(), streamed.r2())
    assert_same(whole.icc(by_group=True), streamed.icc(by_group=True))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("formula", [name for name in FORMULAS if name != "aliased"])
def test_marginal_means(formula: str, options: str) -> None:
    """Every way of weighting; nesting of fixed factors is found; numbers with two values count."""
    whole, streamed = pair(formula, options, "chunks")
    names = ["f", "two", "year", "flag", "inner"]
    for name in [name for name in names if name in FORMULAS[formula]]:
        for weights in ("equal", "proportional", "outer", "cells", "flat"):
            assert_same(
                whole.emmeans(name, weights=weights), streamed.emmeans(name, weights=weights)
            )
        assert str(whole.emmeans(name)) == str(streamed.emmeans(name))
        means = (model.emmeans(f"pairwise ~ {name}").comparisons for model in (whole, streamed))
        assert_same(*means)
    if "x * f" in FORMULAS[formula] or "x:f" in FORMULAS[formula]:
        assert_same(whole.emtrends("f", "x"), streamed.emtrends("f", "x"))
        at = {"x": [1.0, 2.0], "f": ["low", "mid"]}
        assert_same(whole.emmeans(["f", "x"], at=at), streamed.emmeans(["f", "x"], at=at))


@pytest.mark.parametrize("model", [0, 1])
def test_means_that_are_not_determined(model: int) -> None:
    """An aliased column stands in the way here as in memory."""
    with pytest.raises(ranef.errors.OptionError, match="no mean that is asked for"):
        pair("aliased", "plain", "chunks")[model].emmeans("f")


def test_too_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit combinations are not counted, and marginal means say so."""
    monkeypatch.setattr("ranef.streaming.cells.MOST", 2)
    streamed = ranef.fit("y ~ f + (1 | g)", [data()])
    with pytest.raises(NoRowsError, match="more than a million combinations"):
        streamed.emmeans("f")
    assert streamed.r2().marginal > 0


def test_numbers_that_seem_to_have_two_values() -> None:
    """Each chunk has one value or two, all of them together three."""
    rows = data().assign(k=[0.5, 1.5] * 200 + [1.5, 2.5] * 200)
    whole = ranef.fit("y ~ k + f + (1 | g)", rows)
    streamed = ranef.fit("y ~ k + f + (1 | g)", cut(rows, [400]))
    assert_same(whole.emmeans("f"), streamed.emmeans("f"))
    assert_same(whole.emmeans("k"), streamed.emmeans("k"))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_smaller_models(formula: str, options: str) -> None:
    """Terms are left out by leaving out columns of the sums."""
    whole, streamed = pair(formula, options, "chunks")
    if formula != "through the origin":
        assert_same(whole.drop1(), streamed.drop1(), LOOSE)  # differences of criteria
        assert_same(whole.drop1(test="f"), streamed.drop1(test="f"), LOOSE)
    assert_same(whole.ranova(mixture=True), streamed.ranova(mixture=True), LOOSE)
    assert_same(whole.ranova(reduce_terms=False), streamed.ranova(reduce_terms=False), LOOSE)
    if "0 +" not in FORMULAS[formula]:
        assert_same(whole.r2(by_group=True), streamed.r2(by_group=True), LOOSE)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x + z | g) + (z | h)", "y ~ x + (0 + x | g) + (1 | h) + (1 | g)"]
)
def test_factors_change_their_order(formula: str) -> None:
    """A factor with fewer effects may come later in the elimination."""
    rows = data().dropna()
    assert_same(
        ranef.fit(formula, rows).ranova(), ranef.fit(formula, cut(rows, [99])).ranova(), LOOSE
    )


@pytest.mark.parametrize(
    ("formula", "ask"),
    [
        ("y ~ 0 + f + s + h + (1 | g)", lambda m: m.drop1()),
        ("y ~ 0 + f + h + (1 | g)", lambda m: m.drop1(test="f")),
        ("y ~ x + (0 + f | g)", lambda m: m.ranova()),
        ("y ~ 0 + x + (1 | g)", lambda m: m.r2(by_group=True)),
    ],
)
def test_other_columns(formula: str, ask: Callable[[Any], Any]) -> None:
    """What would need columns that are not there is refused."""
    with pytest.raises(NoRowsError, match="columns that the model does not have"):
        ask(ranef.fit(formula, [data()]))


PAIRS = {
    "one more factor": ("y ~ x + (1 | g)", "y ~ x + f + (x | g)"),
    "crossed": ("y ~ x + (1 | h)", "y ~ x + (1 | g) + (1 | h)"),
    "without correlation": ("y ~ x + (x || g)", "y ~ x + (x | g)"),
}


@pytest.mark.parametrize("method", ["chisq", "mixture"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("formulas", PAIRS)
def test_compare(formulas: str, options: str, method: Any) -> None:
    """Streamed models with each other, and with one in memory."""
    rows, given = data().dropna(), OPTIONS[options]
    whole = [ranef.fit(formula, rows, **given) for formula in PAIRS[formulas]]
    streamed = [
        ranef.fit(formula, cut(rows, [100 + i, 500]), **given)
        for i, formula in enumerate(PAIRS[formulas])
    ]
    table = ranef.compare(*whole, method=method)
    assert_same(table, ranef.compare(*streamed, method=method), LOOSE)
    assert_same(table, ranef.compare(whole[0], streamed[1], method=method), LOOSE)


def test_compare_exactly() -> None:
    """The exact test needs sums only; its random numbers are the same."""
    rows = data().dropna()
    formulas = PAIRS["crossed"]
    tables = [
        ranef.compare(*(ranef.fit(f, given) for f in formulas), method="exact", n=200, seed=1)
        for given in (rows, [rows])
    ]
    assert_same(*tables, LOOSE)


CHANGES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "one value": (lambda d: d.assign(y=d.y.where(d.index != 100, d.y + 1e-9)), "different values"),
    "order of y": (lambda d: d.assign(y=d.y.to_numpy()[::-1]), "different values"),
    "fewer rows": (lambda d: d.iloc[:-1], "rows"),
    "weights": (lambda d: d.assign(w=2.0 * d.w), "different prior weights"),
    "offset": (lambda d: d.assign(o=d.o + 1.0), "different offsets"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_compare_other_data(change: str) -> None:
    """Models of other data are refused."""
    rows = data().dropna()
    alter, said = CHANGES[change]
    one = ranef.fit("y ~ x + (1 | g)", [rows], weights="w", offset="o")
    two = ranef.fit("y ~ x + (x | g)", [alter(rows)], weights="w", offset="o")
    with pytest.raises(DataError, match=said):
        ranef.compare(one, two)


def test_compare_the_same_in_other_order() -> None:
    """Rows in another order are the same data; weights of one are no weights."""
    rows = data().dropna()
    one = ranef.fit("y ~ x + (1 | g)", cut(rows, [50]))
    two = ranef.fit("y ~ x + (x | g)", cut(rows.iloc[::-1].assign(w=1.0), [7]), weights="w")
    assert list(ranef.compare(one, two)["df"])[1:] == [2]


@pytest.mark.parametrize(
    ("small", "large", "said"),
    [
        ("y ~ poly(x, 2) + (1 | g)", "y ~ x + I(x^2) + z + (1 | g)", r"poly\(x, 2\)\[1\], .* name"),
        ("y ~ x + (1 | g:h)", "y ~ x + (0 + h | g)", r"\(1 \| g:h\) is not found by name"),
    ],
)
def test_nested_without_the_same_names(small: str, large: str, said: str) -> None:
    """Without rows this cannot be told; criteria can be compared all the same."""
    rows = data().dropna()
    models = [ranef.fit(small, [rows], reml=False), ranef.fit(large, [rows], reml=False)]
    with pytest.raises(NoRowsError, match=said):
        ranef.compare(*models)
    assert ranef.compare(*models, nested=False)["aic"].notna().all()


EQUATIONS = {
    "levels of x, u and t": "y ~ x * t + u + (x | g) + (1 | g:s)",
    "crossed": "y ~ x + u + (1 | g/s) + (1 | h)",
    "diagonal": "y ~ 0 + t + x + (x || g)",
    "factor": "y ~ x + f + (f | g)",
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("formula", EQUATIONS)
def test_equations(formula: str, options: str) -> None:
    """Which predictors are constant within groups is found from the sums, far from zero too."""
    rows = data().dropna()
    rng = np.random.default_rng(8)
    rows = rows.assign(u=1e4 + rng.normal(size=25)[rows.g], t=np.array(list("abcde"))[rows.g % 5])
    given = OPTIONS[options]
    whole = ranef.fit(EQUATIONS[formula], rows, **given)
    streamed = ranef.fit(EQUATIONS[formula], cut(rows, [300]), **given)
    for style in ("levels", "mixed"):
        assert whole.equations(style) == streamed.equations(style)


@pytest.mark.parametrize(
    ("formula", "said"),
    [("y ~ x + (0 + x | g)", "no random intercept"), ("y ~ x:z + (1 | g)", "no column of its own")],
)
def test_equations_that_cannot_be_told(formula: str, said: str) -> None:
    """Where sums do not tell what is constant, nothing is guessed."""
    with pytest.raises(NoRowsError, match=said):
        ranef.fit(formula, [data()]).equations()


def test_prints() -> None:
    """They depend on the values only: not on the order, the cut, or the sign of zero."""
    values = np.random.default_rng(1).normal(size=100_000)
    whole = row_print(values, len(values))
    assert row_print(values[::-1], len(values)) == whole
    assert (row_print(values[:777], 777) + row_print(values[777:], 1)) % 2**64 == whole
    assert row_print(np.nextafter(values, 9.0), len(values)) != whole
    assert row_print(np.array([-0.0, 0.0]), 2) == row_print(None, 2)
    assert row_print(None, 3, neutral=1.0) == row_print(np.ones(3), 3)


@pytest.mark.parametrize("formula", ["y ~ x + f + (x | g)", "y ~ x + z + (1 | g/s)"])
def test_bootstrap_of_both(formula: str) -> None:
    """The same seed draws the same samples, however the rows were cut and in whatever order."""
    rows = make_data(500)
    wanted = ranef.fit(formula, rows).bootstrap(n=10, seed=1).to_frame()
    for chunks in (cut(rows, [100, 300]), cut(rows.sample(frac=1.0, random_state=1), [7])):
        found = ranef.fit(formula, chunks).bootstrap(n=10, seed=1).to_frame()
        # the fits agree to 1e-10, and the samples are linear in them
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + offset(z) + (1 | g)"])
def test_predictions_with_offsets_and_weights(formula: str) -> None:
    """Offset and weights are columns, which new data have."""
    options = {"weights": "w"} | ({} if "offset" in formula else {"offset": "o"})
    rows = make_data(500)
    one = ranef.fit(formula, rows, **options)
    other = ranef.fit(formula, cut(rows, [100]), **options)
    for interval in (None, "confidence", "prediction"):
        found = np.asarray(other.predict(rows[:50], interval=interval))
        wanted = np.asarray(one.predict(rows[:50], interval=interval))
        assert found == pytest.approx(wanted, rel=LOOSE, nan_ok=True)
