"""The summary keeps numbers for programs and says everything a reader must know."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ranef.errors import OptionError
from ranef.tables.summary import build_summary

# conftest.py cannot be imported by name here; these are the same shapes.
Verdict = Design = SimpleNamespace


def design(n_total, dropped=None, weights=None, offset=None):
    """Make what became of the data."""
    return Design(n_total=n_total, dropped=dropped or {}, weights=weights, offset=offset)


@pytest.fixture
def summarize(fitted, coefficients):
    """Return a function that makes the summary of a case with some attributes changed."""

    def make(name="sleepstudy", **changes):
        return build_summary(fitted(name, **changes), coefficients(name), "satterthwaite")

    return make


def test_numbers_are_not_rounded(summarize, reference):
    """What programs read is R's number to the last digit."""
    case, summary = reference["cases"]["sleepstudy"], summarize()
    assert summary.coefficients.to_numpy()[:, :5].tolist() == case["coefficients"]
    for name in ("objective", "loglik", "aic", "bic", "df", "df_resid"):
        assert summary.information[name] == case[name]
    assert summary.scaled_residuals["q1"] == np.quantile(case["residuals"], 0.25)
    assert summary.correlation.iloc[0, 1] == pytest.approx(-0.138, abs=5e-4)
    assert (summary.nobs, summary.ngroups, summary.reml) == (180, {"Subject": 18}, True)


def test_a_good_fit_says_nothing_about_convergence(summarize):
    """No sentence is printed about a fit that is simply good."""
    summary = summarize()
    assert summary.converged and summary.message not in str(summary)


@pytest.mark.parametrize(
    "status", ["converged", "CONVERGED", SimpleNamespace(name="CONVERGED", value="It is fine.")]
)
def test_status_may_be_text_or_enumeration(summarize, status):
    """A status is recognised by its name or by its value."""
    assert summarize(convergence=Verdict(status=status, message="x")).converged


def test_a_singular_fit_is_said(summarize):
    """The sentence of the verdict closes the summary."""
    summary = summarize("singular")
    assert not summary.converged and str(summary).endswith("The fit is singular: Batch is 0.")


def test_a_failed_fit_is_said(summarize):
    """A fit that is not an optimum says so, in lines that fit a terminal."""
    message = "The optimizer stopped early. " * 8
    text = str(summarize(convergence=Verdict(status="stopped", message=message)))
    assert " ".join(text.split()).count("The optimizer stopped early.") == 8
    assert max(map(len, text.split("\n"))) <= 80


def test_an_ambiguous_fit_is_said(summarize):
    """A minimum that other parameters share is not simply good."""
    message = "converged, but the data do not determine the covariance parameters"
    summary = summarize(convergence=Verdict(status="converged, ambiguous", message=message))
    assert not summary.converged and str(summary).endswith(message)


def test_many_null_directions_are_wrapped(fitted, coefficients):
    """A long verdict about combinations of effects fits a terminal, and no name is broken."""
    names = [f"condition[T.level-{i}]:x" for i in range(40)]
    message = "the fit is singular: the combination " + " - 0.25 ".join(names)
    verdict = Verdict(status="converged, singular", message=message)
    text = str(
        build_summary(
            fitted("sleepstudy", is_singular=True, convergence=verdict),
            coefficients("sleepstudy"),
            "satterthwaite",
        )
    )
    assert max(map(len, text.split("\n"))) <= 80
    assert all(name in text for name in names)


def test_dropped_rows_are_counted(summarize):
    """Rows with missing values are counted, per variable."""
    text = str(summarize(design=design(190, {"Reaction": 7, "Days": 4, "Subject": 0})))
    assert "10 of 190 rows dropped for missing values (Reaction 7, Days 4)" in text
    assert "dropped for missing" not in str(summarize())


def test_dropped_columns_are_named(summarize):
    """A rank-deficient model matrix is reported with the names of the columns."""
    text = str(summarize("aliased"))
    assert "rank deficient: dropped 1 column that other columns\ndetermine (Twice)" in text


def test_aliased_coefficients_print_as_nan(fitted, coefficients):
    """Coefficients that cannot be estimated have a row of NaN."""
    table = coefficients("aliased")
    table.loc["Twice"] = np.nan
    text = str(build_summary(fitted("aliased"), table, "satterthwaite"))
    (row,) = [line for line in text.split("\n") if line.startswith("Twice")]
    assert row.split() == ["Twice"] + ["NaN"] * 5


@pytest.fixture
def rank_deficient(fitted, coefficients):
    """Return a function that makes a summary with some columns that others determine."""

    def make(count):
        names = [f"site{i}" for i in range(count)]
        table = coefficients("sleepstudy")
        table = pd.concat([table, pd.DataFrame(np.nan, index=names, columns=table.columns)])
        model = fitted("sleepstudy", dropped_columns=tuple(names))
        return build_summary(model, table, "satterthwaite")

    return make


def test_hundreds_of_aliased_columns_are_counted(rank_deficient):
    """More than ten aliased columns have no rows, ten names, and a count; the numbers are kept."""
    summary = rank_deficient(300)
    text = str(summary)
    note = " ".join(text[text.index("fixed-effect model") :].split())
    assert note.startswith(
        "fixed-effect model matrix is rank deficient: dropped 300 columns that other columns"
        " determine: site0, site1, site2, site3, site4, site5, site6, site7, site8, site9"
        " and 290 more (300 aliased columns not shown)"
    )
    assert text.count("site") == 10 and "NaN" not in text and len(text.split("\n")) < 40
    assert summary.to_html().count("site") == 10
    assert len(summary.coefficients) == 302


def test_ten_aliased_columns_are_shown(rank_deficient):
    """A few aliased columns keep their rows, and all are named."""
    text = str(rank_deficient(10))
    assert len([line for line in text.split("\n") if line.split()[1:] == ["NaN"] * 5]) == 10
    assert "(site0," in text and "site9)" in " ".join(text.split()) and "not shown" not in text


def test_weights_and_offset_are_mentioned(summarize):
    """Weights and offset change what the numbers mean, so they are said under the formula."""
    text = str(summarize(design=design(180, weights=np.ones(180), offset=np.ones(180))))
    assert "Weights: yes" in text and "Offset: yes" in text
    assert "Weights" not in str(summarize())


def test_unknown_ddf_is_refused(fitted, coefficients):
    """A misspelt method is an error with a hint."""
    with pytest.raises(OptionError, match="Did you mean 'satterthwaite'"):
        build_summary(fitted("sleepstudy"), coefficients("sleepstudy"), "satterthwait")


def test_the_summary_survives_pickling(summarize):
    """A summary is data: it can be stored and prints the same afterwards."""
    summary = summarize("two_terms")
    assert str(pickle.loads(pickle.dumps(summary))) == str(summary)


def test_changing_the_callers_table_changes_nothing(fitted, coefficients):
    """The summary has its own copy of the coefficients."""
    table = coefficients("sleepstudy")
    summary = build_summary(fitted("sleepstudy"), table, "satterthwaite")
    before = str(summary)
    table.iloc[:, :] = 0.0
    assert str(summary) == before


def test_one_coefficient_has_no_correlation_table(summarize):
    """A single coefficient correlates with nothing."""
    summary = summarize("penicillin")
    assert "Correlation" not in str(summary)
    assert isinstance(summary.correlation, pd.DataFrame)


def test_names_are_abbreviated_in_plain_text_only(fitted, coefficients):
    """Papers and notebooks have room for the names of correlated coefficients."""
    names = ["Intercept", "C(group, contr.helmert)[H.2]:condition[T.incongruent]"]
    vcov = fitted("sleepstudy").vcov.set_axis(names, axis=0).set_axis(names, axis=1)
    summary = build_summary(
        fitted("sleepstudy", vcov=vcov), coefficients("sleepstudy"), "satterthwaite"
    )
    plain = str(summary).split("Correlation of Fixed Effects")[1].split("\n")
    assert plain[1].split() == ["Intrcp"] and plain[2].split() == ["C(g,c.):cndtn", "-0.138"]
    for other in (summary.to_html(), summary.to_latex(), summary.to_markdown().replace("\\", "")):
        assert all(name in other.replace("\\", "") for name in names) and "Intrcp" not in other


def test_no_fixed_effects_at_all(fitted, coefficients):
    """A model without fixed effects prints, without an empty table of them."""
    empty = pd.DataFrame(np.empty((0, 0)))
    summary = build_summary(
        fitted("penicillin", vcov=empty), coefficients("penicillin").iloc[:0], "satterthwaite"
    )
    assert "Fixed effects" not in str(summary) and "Random effects:" in str(summary)
    assert "<table>" in summary.to_html() and "tabular" in summary.to_latex()
