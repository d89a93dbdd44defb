"""Fitted models print what R prints for the same data, digit by digit.

Here nothing is taken from R but the expected lines: the models are fitted by ranef. R's fits behind
the lines ran to tight tolerances, because lme4's default stops early enough to show in the fifth
digit. (R's fit with badly scaled predictors is left out: it is off in the sixth digit even so.)
"""

import re

import pytest

import ranef

FITS = {
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", True),
    "sleepstudy_ml": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", False),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", True),
    "cake": ("angle ~ recipe * temperature + (1 | recipe:replicate)", "cake", True),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", True),
    "pastes": ("strength ~ 1 + (1 | batch/cask)", "pastes", True),
    "machines": ("score ~ Machine + (0 + Machine | Worker)", "machines", True),
    "singular": ("Yield ~ 1 + (1 | Batch)", "dyestuff2", True),
}
NUMBER = re.compile(r"<?-?\d[\d.]*(e[+-]\d+)?|<")


def numbers_of(lines):
    """Return the numbers in each line; names differ between R and Python."""
    return [[word for word in line.split() if NUMBER.fullmatch(word)] for line in lines if line]


def section(lines, heading):
    """Return the lines between a heading and a blank line or the counts of observations."""
    start = lines.index(heading) + 1
    stop = next(
        (i for i in range(start, len(lines)) if not lines[i] or lines[i].startswith("Number of")),
        len(lines),
    )
    return lines[start:stop]


@pytest.fixture(scope="module", params=FITS)
def printed(request, reference):
    """R's case and the lines of ranef's summary of the same model."""
    formula, data, reml = FITS[request.param]
    model = ranef.fit(formula, ranef.datasets.load(data), reml=reml)
    return reference["cases"][request.param], str(model.summary(ddf="normal")).split("\n")


@pytest.mark.parametrize("heading", ["Scaled residuals:", "Random effects:"])
def test_random_part_of_fits(printed, heading):
    """Residual quantiles, variances, standard deviations and correlations are R's."""
    case, lines = printed
    expected = section(case["printed"], heading)
    assert numbers_of(section(lines, heading)) == numbers_of(expected)


def test_fixed_part_of_fits(printed):
    """Estimates, standard errors and z statistics are R's."""
    case, lines = printed
    assert numbers_of(section(lines, "Fixed effects:")) == numbers_of(case["printed_z"])


def test_correlations_of_fits(printed):
    """Correlations of the fixed effects are R's."""
    case, lines = printed
    heading = "Correlation of Fixed Effects:"
    assert (heading in lines) == (heading in case["printed"])
    if heading in lines:
        expected = section(case["printed"], heading)
        assert numbers_of(section(lines, heading)) == numbers_of(expected)


def test_criterion_of_fits(printed):
    """The REML criterion or the information criteria are R's."""
    case, lines = printed
    label = "REML criterion at convergence: "
    if case["reml"]:
        ours = next(line for line in lines if line.startswith(label))
        theirs = next(line for line in case["printed"] if line.startswith(label))
        assert float(ours.removeprefix(label)) == float(theirs.removeprefix(label))
    else:
        row = next(i for i, line in enumerate(case["printed"]) if line.split()[:1] == ["AIC"])
        assert lines[4].split() == case["printed"][row + 1].split()


def test_conditional_modes_of_a_fit():
    """Modes and conditional standard deviations are those of R's as.data.frame(ranef(m))."""
    model = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    frame = model.ranef.to_frame().set_index(["term", "grp"])
    assert frame.loc[("Days", "309"), "condval"] == pytest.approx(-8.619680615, rel=1e-4)
    assert frame.loc[("Intercept", "308"), "condsd"] == pytest.approx(12.070856951, rel=1e-5)


def test_a_singular_fit_says_so():
    """The verdict of a real singular fit ends the summary."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff2"))
    text = " ".join(str(model.summary(ddf="normal")).split())
    assert text.endswith(" ".join(model.convergence.message.split()))
