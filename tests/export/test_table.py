"""`ranef.table`: several models side by side, each with its own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranef
from ranef.errors import OptionError
from ranef.export import ModelTable

DATA = ranef.datasets.load("sleepstudy")
BELOW: tuple[Any, ...] = ("std_error", "conf_int", "p_value")


@pytest.fixture(scope="module")
def models() -> list[ranef.LinearMixedModel]:
    """Return three models of the same rows."""
    return [
        ranef.fit(formula, DATA)
        for formula in (
            "Reaction ~ 1 + (1 | Subject)",
            "Reaction ~ Days + (1 | Subject)",
            "Reaction ~ Days + (Days | Subject)",
        )
    ]


def cells(table: ModelTable) -> dict[str, tuple[str, ...]]:
    """Return the printed cells by heading."""
    return {heading: row for _, heading, row in table.rows() if heading}


def test_numbers(models: list[ranef.LinearMixedModel]) -> None:
    """`to_frame` has what the models say, unrounded, and NaN where they say nothing."""
    frame = ranef.table(*models, names=list("abc")).to_frame()
    frame = frame.set_index(["part", "term", "statistic"])

    for name, model in zip("abc", models, strict=True):
        column = frame[name].to_dict()
        coefficients = model.coef_table()
        for term in ("Intercept", "Days"):
            for statistic in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
                found = column["fixed", term, statistic]
                if term in coefficients.index:
                    assert found == coefficients.loc[term, statistic]
                else:
                    assert np.isnan(found)
        assert column["random", "sigma", "estimate"] == model.sigma
        assert column["fit", "nobs", "value"] == 180
        assert column["fit", "groups Subject", "value"] == 18
        assert column["fit", "r2_marginal", "value"] == model.r2().marginal
        assert column["fit", "icc", "value"] == model.icc().adjusted
        assert column["fit", "aic", "value"] == model.aic
        assert column["fit", "bic", "value"] == model.bic
    assert frame["c"]["random", "cor_Days.Intercept|Subject", "estimate"] == pytest.approx(
        0.0656, abs=1e-4
    )


def test_order_of_rows(models: list[ranef.LinearMixedModel]) -> None:
    """Rows appear as the models bring them; sigma comes after all other standard deviations."""
    assert list(cells(ranef.table(*models))) == [
        "Intercept", "Days", "SD (Intercept | Subject)", "SD (Days | Subject)",
        "Cor (Days, Intercept | Subject)", "SD (Residual)", "Observations", "Groups: Subject",
        "R2 marginal", "R2 conditional", "ICC", "AIC", "BIC",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statistic", "below", "note"),
    [
        ("std_error", "(1.546)", "Standard errors in parentheses."),
        ("conf_int", "[7.206, 13.729]", "95 % intervals in brackets, by Satterthwaite's method."),
        ("p_value", "(p < 0.001)", "P-values (t-tests by Satterthwaite's method) in parentheses."),
    ],
)
def test_what_stands_below(
    models: list[ranef.LinearMixedModel], statistic: Any, below: str, note: str
) -> None:
    """Standard errors, intervals or p-values, and a note that says which."""
    table = ranef.table(models[2], statistic=statistic)
    rows = table.rows()
    place = [heading for _, heading, _ in rows].index("Days")

    assert rows[place][2] == ("10.467",)
    assert rows[place + 1][2] == (below,)
    assert table.notes == (note,)


@pytest.mark.parametrize(("effect", "marks"), [(30.0, "***"), (0.0, "")])
def test_stars(effect: float, marks: str) -> None:
    """Stars follow the p-value; without the argument there are none."""
    data = DATA.assign(z=np.arange(180) % 3, y=DATA["Reaction"] + effect * (np.arange(180) % 3))
    model = ranef.fit("y ~ z + (1 | Subject)", data)
    p = model.coef_table().loc["z", "p_value"]
    assert (p < 0.001) == (marks == "***") and (p > 0.05) == (marks == "")

    with_stars, without = (cells(ranef.table(model, stars=s))["z"][0] for s in (True, False))

    assert with_stars == without + marks


def test_small_numbers_get_more_digits() -> None:
    """A coefficient per millisecond is not 0.000."""
    model = ranef.fit("Reaction ~ ms + (1 | Subject)", DATA.assign(ms=DATA["Days"] * 8.64e4))

    assert cells(ranef.table(model))["ms"] == ("0.0001211",)
    assert cells(ranef.table(model, digits=0))["SD (Residual)"] == ("31",)


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        (1e-12, ["1.047e-11", "(8.042e-13)"]),  # never 0.00000000
        (1e-7, ["1.047e-06", "(8.042e-08)"]),
        (1e-3, ["0.01047", "(0.00080)"]),
        (1.0, ["10.467", "(0.804)"]),
        (1e3, ["10467.286", "(804.221)"]),
        (1e12, ["1.047e+13", "(8.042e+11)"]),
    ],
)
def test_very_small_and_very_large_numbers(unit: float, shown: list[str]) -> None:
    """A power of ten shows what decimals cannot; 10.467286 and 0.804221 in other units."""
    data = DATA.assign(y=DATA["Reaction"] * unit)
    rows = ranef.table(ranef.fit("y ~ Days + (1 | Subject)", data)).rows()
    place = [heading for _, heading, _ in rows].index("Days")

    assert [rows[place][2][0], rows[place + 1][2][0]] == shown


def test_a_precise_estimate_stays_readable() -> None:
    """Only what would be shown as zero gets a power of ten, not the estimate above it."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 5)
    y = 5.0 + 1e-10 * (rng.standard_normal(10)[g] + rng.standard_normal(50))
    rows = ranef.table(ranef.fit("y ~ 1 + (1 | g)", {"y": y, "g": g})).rows()

    assert rows[0][2][0] == "5.00000000"
    assert "e-1" in rows[1][2][0]


def test_names_with_dots() -> None:
    """A dot is part of a name, and separates no names in the heading of a correlation."""
    data = DATA.assign(**{"time.of.day": DATA["Days"]})
    model = ranef.fit("Reaction ~ time.of.day + (time.of.day | Subject)", data)

    assert "Cor (time.of.day, Intercept | Subject)" in cells(ranef.table(model))


def test_latex_of_cells(models: list[ranef.LinearMixedModel]) -> None:
    """Every number is mathematics, also in brackets and with stars."""
    shown = {s: ranef.table(models[2], statistic=s, stars=True).to_latex() for s in BELOW}

    assert r"Days & $10.467^{***}$ \\" in shown["std_error"]
    assert r" & ($1.546$) \\" in shown["std_error"]
    assert r" & [$7.206$, $13.729$] \\" in shown["conf_int"]
    assert r" & ($p<0.001$) \\" in shown["p_value"]


def test_notes_about_criteria(models: list[ranef.LinearMixedModel]) -> None:
    """REML criteria of different fixed effects, and mixtures, are pointed out."""
    ml = ranef.fit("Reaction ~ Days + (1 | Subject)", DATA, reml=False)

    assert "AIC and BIC of different fixed effects" in ranef.table(*models).notes[-1]
    assert len(ranef.table(*models[1:]).notes) == 1
    assert "some by maximum likelihood" in ranef.table(models[1], ml).notes[-1]


def test_formats(models: list[ranef.LinearMixedModel]) -> None:
    """One document in every format; bars in headings are escaped."""
    table = ranef.table(*models, names=["null", "intercepts", "slopes"])

    assert "| SD (Intercept \\| Subject)" in table.to_markdown()
    assert "SD (Intercept \\textbar{} Subject) & $35.754$" in table.to_latex()
    assert "<td>SD (Intercept | Subject)" in table.to_html() or "SD (Intercept |" in table.to_html()
    assert str(table).splitlines()[0].split() == ["null", "intercepts", "slopes"]


def test_digits_of_numpy(models: list[ranef.LinearMixedModel]) -> None:
    """A whole number of numpy is one."""
    assert str(ranef.table(*models, digits=np.int64(2))) == str(ranef.table(*models, digits=2))


def test_names_are_made_unique(models: list[ranef.LinearMixedModel]) -> None:
    """Two columns of one name would be one."""
    assert ranef.table(*models[:2], names=["m", "m"]).models == ["m", "m.1"]


@pytest.mark.filterwarnings("ignore:fixed effects are rank deficient")
def test_gaps() -> None:
    """Aliased coefficients, streamed data and boundary fits leave cells empty or say what is."""
    aliased = ranef.fit("Reaction ~ Days + I(2 * Days) + (1 | Subject)", DATA)
    streamed = ranef.fit("Reaction ~ Days + (1 | Subject)", [DATA[:90], DATA[90:]])
    singular = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))

    shown = cells(ranef.table(aliased, streamed, singular))

    assert shown["I(2 * Days)"] == ("", "", "")
    assert shown["ICC"] == ("0.589", "0.589", "0.000")
    assert shown["SD (Intercept | Batch)"] == ("", "", "0.000")
    assert shown["Groups: Batch"] == ("", "", "6")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a"]}, "names must have one name per model, 3"),
        ({"statistic": "t"}, "statistic must be one of 'std_error', 'conf_int', 'p_value'"),
        ({"ddf": "t"}, "ddf must be one of"),
        ({"level": 2}, "level must be a number between 0 and 1"),
        ({"digits": -1}, "digits must be a whole number from 0 to 8"),
        ({"digits": "3"}, "digits must be a whole number from 0 to 8"),
    ],
)
def test_bad_input(
    models: list[ranef.LinearMixedModel], arguments: dict[str, Any], message: str
) -> None:
    """Errors say what is allowed."""
    with pytest.raises(OptionError) as caught:
        ranef.table(*models, **arguments)
    assert message in str(caught.value)
    with pytest.raises(OptionError, match="at least one model"):
        ranef.table()
