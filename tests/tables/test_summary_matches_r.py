"""The printed summary is R's, section by section, line by line, digit by digit.

The stand-in models hold R's unrounded numbers under R's names, so every difference would be one
of layout or digits. The differences that are meant: no line about the data's name, one blank
instead of two after ``groups:``, always one decimal of the criterion, no more blanks between
columns than needed, and ``(Days || Subject)`` as the user wrote it.
"""

import pytest

from ranef.tables.summary import build_summary
from ranef.tables.text import render_text

CASES = [
    "sleepstudy",
    "sleepstudy_ml",
    "uncorrelated",
    "cake",
    "penicillin",
    "pastes",
    "machines",
    "two_terms",
    "singular",
    "scales",
    "aliased",
    "kenward_roger",
]


def section(lines, heading):
    """Return the lines after a heading, up to a blank line or something that R adds there."""
    found = []
    for line in lines[lines.index(heading) + 1 :]:
        if not line or line.startswith(
            ("optimizer (", "fit warnings", "fixed-effect model", "Satterthwaite")
        ):
            break
        found.append(line.replace("groups:  ", "groups: "))
    return found


@pytest.fixture
def printed(reference, fitted, coefficients):
    """Return R's lines and ranef's lines for a case."""

    def make(name):
        ddf = "kenward-roger" if name == "kenward_roger" else "satterthwaite"
        summary = build_summary(fitted(name), coefficients(name), ddf)
        return reference["cases"][name]["printed"], str(summary).split("\n")

    return make


def cells(lines):
    """Return what stands in each line, without the blanks between columns."""
    return [line.split() for line in lines]


@pytest.mark.parametrize("name", CASES)
def test_random_effects_equal_r(printed, name):
    """The random effects have R's lines, blanks included."""
    theirs, ours = printed(name)
    assert section(ours, "Random effects:") == section(theirs, "Random effects:")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("heading", ["Scaled residuals:", "Fixed effects:"])
def test_sections_equal_r(printed, name, heading):
    """Residual quantiles and fixed effects have R's lines."""
    theirs, ours = printed(name)
    ours_cells = cells(section(ours, heading))
    if name == "aliased" and heading == "Fixed effects:":
        ours_cells = ours_cells[:3]  # then comes the sentence about the dropped column
    assert ours_cells == cells(section(theirs, heading))


@pytest.mark.parametrize("name", CASES)
def test_correlations_equal_r(printed, name):
    """Correlations are shown exactly where R shows them, with R's abbreviations."""
    theirs, ours = printed(name)
    heading = "Correlation of Fixed Effects:"
    assert (heading in ours) == (heading in theirs)
    if heading in theirs:
        assert cells(section(ours, heading)) == cells(section(theirs, heading))


@pytest.mark.parametrize("name", CASES)
def test_heading_and_formula_equal_r(printed, name):
    """The method, the tests and the formula are said in R's words."""
    theirs, ours = printed(name)
    said = " ".join(theirs[:3]).replace("likelihood .", "likelihood.")
    assert " ".join(said.split()).startswith(" ".join(ours[0].split()))
    if name != "uncorrelated":  # lme4 writes out what || means
        assert ours[1] == next(line for line in theirs if line.startswith("Formula: "))


@pytest.mark.parametrize("name", CASES)
def test_criterion_equals_r(printed, name):
    """The REML criterion, or the table of information criteria, has R's numbers."""
    theirs, ours = printed(name)
    if name == "sleepstudy_ml":
        assert ours[3].split() == ["AIC", "BIC", "logLik", "-2*log(L)", "df.resid"]
        row = next(i for i, line in enumerate(theirs) if line.split()[:1] == ["AIC"]) + 1
        assert ours[4].split() == theirs[row].split()
    else:
        label = "REML criterion at convergence: "
        theirs_value = next(line for line in theirs if line.startswith(label))
        ours_value = next(line for line in ours if line.startswith(label))
        assert float(ours_value.removeprefix(label)) == float(theirs_value.removeprefix(label))


@pytest.mark.parametrize("name", CASES)
def test_z_table_equals_r(reference, fitted, coefficients, name):
    """With the normal distribution the table is that of R's printCoefmat for z statistics."""
    summary = build_summary(fitted(name), coefficients(name, "normal"), "normal")
    ours = section(str(summary).split("\n"), "Fixed effects:")
    expected = cells(reference["cases"][name]["printed_z"])
    assert cells(ours)[: len(expected)] == expected


@pytest.mark.parametrize("name", CASES)
def test_varcorr_equals_r(reference, fitted, name):
    """Printing VarCorr alone gives the lines of R's print(VarCorr(m))."""
    assert str(fitted(name).VarCorr).split("\n") == reference["cases"][name]["printed_varcorr"]


@pytest.mark.parametrize("name", CASES)
def test_sections_come_in_rs_order(printed, name):
    """Headings follow each other as in R."""
    theirs, ours = printed(name)
    headings = [line for line in ours if line.endswith(":")]
    assert headings == [line for line in theirs if line in headings]


def test_more_than_twelve_coefficients_leave_out_correlations(fitted, coefficients):
    """Instead of 153 correlations there is a sentence that says where they are."""
    summary = build_summary(fitted("cake"), coefficients("cake"), "satterthwaite")
    assert "not shown, as p = 18 > 12" in str(summary)
    assert summary.correlation.shape == (18, 18)


def test_wide_correlations_continue_below(fitted, coefficients):
    """Twelve columns are too wide for a terminal: the table is folded, not cut."""
    model = fitted("cake")
    names = list(model.vcov.columns[:12])
    summary = build_summary(
        fitted("cake", vcov=model.vcov.loc[names, names]), coefficients("cake"), "satterthwaite"
    )
    text = render_text(summary.document(), width=60)
    lines = text[text.index("Correlation of") :].split("\n")
    assert max(map(len, lines)) <= 60
    last_row = lines[-1].split()[0]
    assert sum(line.split()[0] == last_row for line in lines) == 2
