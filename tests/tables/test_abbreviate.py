"""Names are shortened as R shortens them."""

import pytest

from ranef.tables.abbreviate import abbreviate


def test_abbreviations_like_r(reference):
    """40 random lists of names, with near-duplicates, come out as R's abbreviate() gives them."""
    for case in reference["abbreviations"]:
        assert list(abbreviate(case["names"], case["length"])) == case["printed"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ()),
        (["Days"], ("Days",)),
        (["Intercept"], ("Intrcp",)),
        (["same", "same"], ("same", "same")),
        (["temperature", "temperament"], ("tmprtr", "tmprmn")),
    ],
)
def test_abbreviation_edges(names, expected):
    """Nothing, short names, and names given twice."""
    assert abbreviate(names, 6) == expected


def test_abbreviations_of_different_names_differ():
    """However short, two names never become one."""
    names = [f"condition[T.level{i}]:day" for i in range(30)]
    assert len(set(abbreviate(names, 4))) == 30


def test_brackets_are_kept_on_request():
    """R lets a closing bracket go; a name with half of a pair reads badly."""
    assert abbreviate(["factor(f)B"], 2) == ("f(",)
    assert abbreviate(["factor(f)B"], 2, brackets=True) == ("f()",)
