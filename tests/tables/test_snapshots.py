"""The whole look of one summary in every format.

The facts in snapshots/ are R's (the numbers come from r_reference.json, and
test_summary_matches_r.py holds every section against R's own lines); only the layout is ranef's.
"""

import pytest

from ranef.tables.summary import build_summary


@pytest.mark.parametrize(
    ("suffix", "method"),
    [("txt", "to_text"), ("html", "to_html"), ("md", "to_markdown"), ("tex", "to_latex")],
)
def test_sleepstudy_summary(fitted, coefficients, snapshot, suffix, method):
    """The summary of the sleepstudy model looks as it should."""

    def rename(name):
        return name.replace("(Intercept)", "Intercept")

    summary = build_summary(
        fitted("sleepstudy", rename),
        coefficients("sleepstudy", rename=rename),
        "satterthwaite",
    )
    assert getattr(summary, method)() + "\n" == snapshot(f"sleepstudy.{suffix}")


def test_printing_and_notebooks_use_the_same_document(fitted, coefficients):
    """str, repr and the notebook's hook are the text and the HTML of one document."""
    summary = build_summary(fitted("sleepstudy"), coefficients("sleepstudy"), "satterthwaite")
    assert str(summary) == repr(summary) == summary.to_text()
    assert summary._repr_html_() == summary.to_html()
