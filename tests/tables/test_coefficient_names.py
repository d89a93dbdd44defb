"""Names in the margins of the correlation table keep every factor and all brackets."""

from itertools import product

import pytest

from ranef.tables.coefficient_names import abbreviate_coefficients, components


def crossed(*factors):
    """Return the names of all main effects and interactions of factors, given their columns."""
    chosen = product(*((None, *columns) for columns in factors))
    names = [":".join(filter(None, parts)) or "Intercept" for parts in chosen]
    return sorted(names, key=lambda name: name.count(":"))


B_AND_C = ["f[T.B]", "f[T.C]"]
HELMERT = ["C(f, contr.helmert)[H.B]", "C(f, contr.helmert)[H.C]"]
CASES = [
    (B_AND_C, ["o[T.hi]"]),
    (["group[T.treat]"], ["gender[T.m]"], ["condition[T.incong]"]),
    (HELMERT, ["o[T.lo]"]),
    (["poly(x, 2)[1]", "poly(x, 2)[2]"], ["o[T.lo]"]),
    (["factor(f)[T.B]", "factor(h)[T.B]"], ["log(x + 10)", "I(x^2)"]),
    (["temperature[.L]", "temperature[.Q]"], ["recipe[T.B]", "recipe[T.C]"]),
    (["age[T.(10, 20]]", "age[T.(20, 30]]"], ["Days"]),
    (["a[T.b]", "ab"], ["c[T.x:y]", "c[T.x]:y"]),
    (["f[T.(a]", "f[T.b)]", "f[T.]"], ["x"]),
]


# Where nothing but names and levels is involved, these are R's: abbreviate(c("fB", "fB:ohi"), 6).
@pytest.mark.parametrize(
    ("names", "length", "expected"),
    [
        (crossed(B_AND_C, ["o[T.hi]"]), 6, ["ohi", "fB", "fC", "fB:ohi", "fC:ohi"]),
        (B_AND_C, 11, ["fB", "fC"]),
        (["poly(x, 2)[1]", "poly(x, 2)[2]"], 11, ["poly(x, 2)1", "poly(x, 2)2"]),
        (HELMERT, 11, ["C(f,cntr.)B", "C(f,cntr.)C"]),
        (HELMERT, 6, ["C(f,c.)B", "C(f,c.)C"]),
        (["temperature[.L]", "temperature[.Q]"], 6, ["tmpr.L", "tmpr.Q"]),
        (["f[B]:x", "f[C]:x"], 6, ["fB:x", "fC:x"]),
        (["group[T.new]:gender[T.m]", "group[T.new]:Days"], 6, ["grp:gnd", "grp:Dys"]),
        (["factor(f)[T.B]", "factor(f)[T.C]"], 6, ["fc(f)B", "fc(f)C"]),
    ],
)
def test_short_names(names, length, expected):
    """Contrasts are written as in R, and interactions show all their factors."""
    short = abbreviate_coefficients(names, length)
    assert [text for text in short if text != "Intrcp"] == expected


@pytest.mark.parametrize("factors", CASES)
@pytest.mark.parametrize("length", [4, 6, 11])
def test_nothing_is_lost(factors, length):
    """Different names stay different, and interactions keep all components and brackets."""
    names = crossed(*factors)
    short = abbreviate_coefficients(names, length)
    assert len(set(short)) == len(names)
    for name, text in zip(names, short, strict=True):
        if "c[T." not in name and "f[T.(" not in name:  # levels with colons or half a bracket
            assert all(components(text)) and len(components(text)) == len(components(name))
        assert text.count("(") - text.count(")") == name.count("(") - name.count(")")


def test_a_component_looks_the_same_in_all_interactions_of_one_order():
    """A reader who has found out what ``grp`` is need not start again in the next line."""
    short = abbreviate_coefficients(["group:gender", "group:age", "growth:group"], 6)
    assert short == ("grp:gnd", "grp:age", "grw:grp")


def test_names_that_meet_after_glueing_stay_apart():
    """A numeric column called ``fB`` beside level B of f keeps both names whole."""
    assert abbreviate_coefficients(["f[T.B]", "fB"], 6) == ("f[T.B]", "fB")


def test_the_same_name_twice():
    """Names given twice stay equal, and no names give none."""
    assert abbreviate_coefficients(["a:b", "a:b"], 6) == ("a:b", "a:b")
    assert abbreviate_coefficients([], 6) == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", ("x",)),
        ("a:b", ("a", "b")),
        ("f[T.10:30]:poly(x, 2)[1]:z", ("f[T.10:30]", "poly(x, 2)[1]", "z")),
        ("age[T.(10, 20]]:x", ("age[T.(10, 20]]", "x")),
    ],
)
def test_components(name, expected):
    """Only colons outside brackets separate components."""
    assert components(name) == expected
