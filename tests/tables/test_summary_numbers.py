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


def test_no_fixed_effects_at_all(fitted, coefficients):
    """A model without fixed effects prints, without an empty table of them."""
    empty = pd.DataFrame(np.empty((0, 0)))
    summary = build_summary(
        fitted("penicillin", vcov=empty), coefficients("penicillin").iloc[:0], "satterthwaite"
    )
    assert "Fixed effects" not in str(summary) and "Random effects:" in str(summary)
    assert "<table>" in summary.to_html() and "tabular" in summary.to_latex()
