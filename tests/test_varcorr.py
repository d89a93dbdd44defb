"""VarCorr: numbers per grouping factor, lme4's data frame, and edge cases.

Expected numbers are R's, printed by lme4 for the sleepstudy and Machines data.
"""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from ranef.errors import RanefError
from ranef.variance import VarCorr, VarianceComponent, correlations, make_unique

SLEEP = VarCorr(
    (
        VarianceComponent(
            "Subject",
            ("Intercept", "Days"),
            np.array([[612.100158024769, 9.60440895115776], [9.60440895115776, 35.0717144509388]]),
        ),
    ),
    25.59179572167535,
)
TWO_TERMS = VarCorr(
    (
        VarianceComponent("Worker", ("Intercept",), np.array([[8.0240269515177]])),
        VarianceComponent(
            "Worker",
            ("Machine[A]", "Machine[B]", "Machine[C]"),
            np.array(
                [
                    [8.6166231065019, 20.2178603226496, 3.1211111977913],
                    [20.2178603226496, 66.3644882814088, 21.1564409665802],
                    [3.1211111977913, 21.1564409665802, 11.2419651600588],
                ]
            ),
        ),
    ),
    0.961568181034978,
)
UNCORRELATED = VarCorr(
    (
        VarianceComponent(
            "Subject",
            ("Intercept", "Days"),
            np.diag([627.56905083573, 35.8583796393533]),
            correlated=False,
        ),
    ),
    25.5652792015696,
)
SINGULAR = VarCorr(
    (VarianceComponent("g", ("Intercept", "x"), np.array([[4.0, 0.0], [0.0, 0.0]])),), 1.0
)


def test_numbers_per_grouping_factor():
    """Standard deviations, correlations and covariances are labelled and equal R's."""
    assert SLEEP.sd["Subject"].to_dict() == pytest.approx(
        {"Intercept": 24.7406579949841, "Days": 5.9221376588981}
    )
    assert SLEEP.corr["Subject"].loc["Days", "Intercept"] == pytest.approx(0.0655512382381)
    assert SLEEP.cov["Subject"].loc["Intercept", "Days"] == 9.60440895115776
    assert list(SLEEP.cov) == ["Subject"] and len(SLEEP.sd) == 1


def test_frame_has_lme4s_rows_in_lme4s_order():
    """Variances first, then covariances, then the residual; terms of one factor are numbered."""
    frame = TWO_TERMS.to_frame()
    assert list(frame.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert frame["grp"].tolist() == ["Worker"] + ["Worker.1"] * 6 + ["Residual"]
    a, b, c = "Machine[A]", "Machine[B]", "Machine[C]"
    assert frame["var1"].tolist()[:-1] == ["Intercept", a, b, c, a, a, b]
    assert frame["var2"].tolist()[4:7] == [b, c, c]
    assert frame["var2"].isna().tolist() == [True] * 4 + [False] * 3 + [True]
    expected = [2.832671345482516, 2.935408507601941, 8.146440221434684, 3.352903989090466]
    expected += [0.845471102259517, 0.317117037536267, 0.774557418717021, 0.961568181034978]
    assert frame["sdcor"].tolist() == pytest.approx(expected, rel=1e-12)
    assert frame["vcov"].tolist()[-1] == pytest.approx(0.924613366778916)


def test_uncorrelated_terms_are_groups_of_their_own():
    """``(Days || Subject)`` reads as lme4's Subject and Subject.1."""
    frame = UNCORRELATED.to_frame()
    assert frame["grp"].tolist() == ["Subject", "Subject.1", "Residual"]
    assert frame["var2"].isna().all()
    assert UNCORRELATED.cov["Subject"].shape == (2, 2)
    assert UNCORRELATED.corr["Subject"].loc["Days", "Intercept"] == 0.0


def test_terms_of_one_factor_are_merged():
    """Looking up the factor gives one block-diagonal matrix, columns in the order of terms."""
    cov = TWO_TERMS.cov["Worker"]
    assert list(cov.columns) == ["Intercept", "Machine[A]", "Machine[B]", "Machine[C]"]
    assert (cov.loc["Intercept"].iloc[1:] == 0).all()
    assert len(TWO_TERMS.sd["Worker"]) == 4


@pytest.mark.parametrize(
    ("varcorr", "key", "names"),
    [
        (TWO_TERMS, "Worker.1", ["Machine[A]", "Machine[B]", "Machine[C]"]),
        (UNCORRELATED, "Subject.1", ["Days"]),
    ],
)
def test_single_terms_by_their_printed_names(varcorr, key, names):
    """The names that lme4 prints find single terms, but are not iterated over."""
    assert list(varcorr.cov[key].columns) == names
    assert list(varcorr.sd[key].index) == names
    assert key in varcorr.corr
    assert key not in list(varcorr.cov)


def test_a_factor_that_is_really_called_like_a_numbered_term():
    """A factor's own name wins over a printed name, and printed names stay different."""
    one = np.eye(1)
    varcorr = VarCorr(
        (
            VarianceComponent("g", ("Intercept",), one),
            VarianceComponent("g", ("x",), 2 * one),
            VarianceComponent("g.1", ("Intercept",), 3 * one),
        ),
        1.0,
    )
    assert varcorr.to_frame()["grp"].tolist() == ["g", "g.2", "g.1", "Residual"]
    assert varcorr.cov["g.1"].iloc[0, 0] == 3.0
    assert varcorr.cov["g.2"].iloc[0, 0] == 2.0


def test_equal_names_in_two_terms_are_numbered():
    """A column that two terms of a factor share is found under two names."""
    term = VarianceComponent("g", ("Intercept",), np.eye(1))
    assert list(VarCorr((term, term), 1.0).sd["g"].index) == ["Intercept", "Intercept.1"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ()),
        (["a", "a", "a"], ("a", "a.1", "a.2")),
        (["a", "a", "a.1"], ("a", "a.2", "a.1")),
        (["a", "a", "a.2", "a"], ("a", "a.1", "a.2", "a.3")),
        (["a", "a.1", "a.1"], ("a", "a.1", "a.1.1")),
    ],
)
def test_unique_names_are_those_of_r(names, expected):
    """Expected names are those of R's make.unique()."""
    assert make_unique(names) == expected


def test_zero_standard_deviations_have_no_correlation():
    """A variance of zero gives NaN beside a diagonal of ones, and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corr = SINGULAR.corr["g"]
        frame, text = SINGULAR.to_frame(), str(SINGULAR)
    assert np.diag(corr).tolist() == [1.0, 1.0]
    assert np.isnan(corr.loc["x", "Intercept"]) and np.isnan(frame["sdcor"][2])
    assert text.split("\n")[2].split() == ["x", "0", "NaN"]


def test_rounding_cannot_push_a_correlation_over_one():
    """A perfect correlation is one."""
    v = np.array([0.1, 0.7])
    assert abs(correlations(np.outer(v, v) * (1 + 1e-15))).max() <= 1.0


def test_unknown_groups_are_explained():
    """A misspelt factor is a KeyError of ranef that suggests the right name."""
    with pytest.raises(KeyError, match="Did you mean 'Subject'") as caught:
        SLEEP.cov["subject"]
    assert isinstance(caught.value, RanefError)
    assert SLEEP.sd.get("nothing") is None and "nothing" not in SLEEP.cov


def test_the_model_cannot_be_changed_through_it():
    """What is handed out is a copy or read-only, also after pickling."""
    cov, sd = SLEEP.cov["Subject"], SLEEP.sd["Subject"]
    cov.iloc[0, 0] = sd.iloc[0] = -1.0
    assert SLEEP.sd["Subject"].iloc[0] > 0
    assert SLEEP.cov["Subject"].iloc[0, 0] == 612.100158024769
    for varcorr in (SLEEP, pickle.loads(pickle.dumps(SLEEP))):
        with pytest.raises(ValueError, match="read-only"):
            varcorr.components[0].cov[0, 0] = 1.0
        assert str(varcorr) == str(SLEEP)


def test_the_given_matrix_is_copied():
    """Later changes of the caller's array have no effect."""
    cov = np.eye(1)
    component = VarianceComponent("g", ("Intercept",), cov)
    cov[0, 0] = 9.0
    assert component.cov[0, 0] == 1.0


def test_matrices_of_the_wrong_shape_are_refused():
    """Names and matrix must agree."""
    with pytest.raises(ValueError, match="2 columns need a 2 x 2"):
        VarianceComponent("g", ("a", "b"), np.eye(3))


def test_variances_on_request():
    """The text with variances has both columns, as in R's summary."""
    lines = SLEEP.to_text(variances=True).split("\n")
    assert lines[0].split() == ["Groups", "Name", "Variance", "Std.Dev.", "Corr"]
    assert lines[1].split() == ["Subject", "Intercept", "612.100", "24.7407"]


def test_other_formats():
    """Notebook, Markdown and LaTeX show the same cells."""
    assert "<td" in SLEEP._repr_html_() and "24.7407" in SLEEP._repr_html_()
    assert "24.7407" in SLEEP.to_markdown() and "24.7407" in SLEEP.to_latex()


def test_frame_is_fit_for_files():
    """The data frame has text and floats only, also where there are no covariances."""
    frame = UNCORRELATED.to_frame()
    assert frame["var2"].dtype == frame["var1"].dtype
    assert [pd.api.types.is_float_dtype(frame[c]) for c in ("vcov", "sdcor")] == [True, True]
