"""Numbers are printed with R's digits; the expected strings are R's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranef.tables.format import (
    format_common,
    format_estimates,
    format_fixed,
    format_p_values,
    format_statistics,
    zap_small,
)


def test_columns_share_decimals_like_r(reference):
    """60 random columns come out as R's format() prints them."""
    for case in reference["formats"]:
        assert list(format_common(case["values"], case["digits"])) == case["printed"]


def test_small_numbers_are_zapped_like_r(reference):
    """Rounding to the precision of the largest number is R's zapsmall()."""
    for case in reference["formats"]:
        zapped = zap_small(case["values"], case["digits"] + 1)
        assert list(format_common(zapped, case["digits"])) == case["zapped"]


def test_p_values_like_r(reference):
    """40 random columns of p-values come out as R's format.pval() prints them."""
    for case in reference["p_values"]:
        assert list(format_p_values(case["values"])) == case["printed"]


def test_coefficient_tables_like_r(reference):
    """40 random tables, also of wildly different scales, equal R's printCoefmat()."""
    for case in reference["coefficients"]:
        values = np.array(case["values"])
        columns = (
            *format_estimates(values[:, :3]),
            format_statistics(values[:, 3]),
            format_p_values(values[:, 4]),
        )
        for row, line in zip(zip(*columns, strict=True), case["printed"][1:], strict=True):
            assert " ".join(row).split() == line.split()[1:]


@pytest.mark.parametrize(
    ("values", "digits", "expected"),
    [
        ([], 4, ()),
        ([0.0], 4, ("0",)),
        ([-0.0, 1.5], 4, ("0.0", "1.5")),
        ([math.nan, 1.25], 4, ("NaN", "1.25")),
        ([math.inf, -math.inf], 4, ("Inf", "-Inf")),
        ([math.nan], 4, ("NaN",)),
        ([9.9996], 4, ("10",)),
        ([1e-300, 1.0], 4, ("1e-300", "1e+00")),
        ([1234567.8], 4, ("1234568",)),
        ([3], 4, ("3",)),
    ],
)
def test_common_format_edges(values, digits, expected):
    """Empty columns, zeros, missing and infinite values, and rounding up to a power of ten."""
    assert format_common(values, digits) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0], ("<2e-16",)),
        ([0.0, 0.5], ("<2e-16", "0.5")),
        ([0.0, 1e-8], ("<2e-16", "1e-08")),
        ([0.0, 1.23e-8], ("< 2e-16", "1.23e-08")),
        ([math.nan, 0.04], ("NaN", "0.04")),
        ([1.0], ("1",)),
        ([], ()),
    ],
)
def test_p_value_edges(values, expected):
    """The floor has a blank only where a wide p-value stands beside it."""
    assert format_p_values(values) == expected


def test_no_minus_before_zero():
    """A number that rounds to zero has no sign."""
    assert format_fixed([-0.0004, -0.5], 3) == ("0.000", "-0.500")


def test_aliased_coefficients_do_not_disturb_the_others():
    """NaN rows are shown as NaN and the digits of the rest stay."""
    estimates = np.array([[251.40510, 6.82460], [math.nan, math.nan], [10.46729, 1.54579]])
    assert format_estimates(estimates) == (("251.405", "NaN", "10.467"), ("6.825", "NaN", "1.546"))


def test_all_coefficients_aliased_or_none():
    """Tables without a single finite number still print."""
    assert format_estimates(np.full((1, 2), math.nan)) == (("NaN",), ("NaN",))
    assert format_estimates(np.empty((0, 2))) == ((), ())


def test_a_tiny_number_is_not_printed_as_zero():
    """R prints 6.57e-05 beside 31.24, not 0.00."""
    assert format_estimates(np.array([[6.5678e-05, 31.24], [0.0, 1.0]]))[0][0] != "0.000"


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


@given(st.lists(finite, min_size=1, max_size=8), st.integers(2, 7))
def test_shown_numbers_are_the_numbers(values, digits):
    """Each cell reads back as its number, rounded at the last place that is shown."""
    for value, cell in zip(values, format_common(values, digits), strict=True):
        mantissa, _, exponent = cell.partition("e")
        decimals = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(exponent or 0) - decimals)
        assert abs(float(cell) - value) <= 0.5 * unit * (1 + 1e-9) + 1e-9 * abs(value)


@given(st.lists(finite, min_size=1, max_size=8), st.integers(2, 7))
def test_columns_line_up(values, digits):
    """All cells of a column have the same number of decimals, so points stand below points."""
    cells = format_common(values, digits)
    assert len({len(cell.partition("e")[0].partition(".")[2]) for cell in cells}) == 1
