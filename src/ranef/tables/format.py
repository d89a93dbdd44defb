"""How numbers become text: the rules of R's printed tables, each written once.

A reader of lme4's output compares digits by eye, so the digits follow R. Numbers of one column
share their decimals: the fewest with which the number that needs most shows ``digits``
significant ones. The column is fixed unless scientific notation is narrower. Coefficient tables
choose the decimals of estimates and standard errors together, and p-values have a floor below
which only ``<2e-16`` is said.

Everything takes numbers and returns strings without padding; alignment belongs to the renderers.
Nothing here knows about models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ranef.typing import FloatArray

P_VALUE_FLOOR = float(np.finfo(np.float64).eps)
"""Below this a p-value says more about rounding than about the data."""


def format_common(values: Iterable[float], digits: int = 4) -> tuple[str, ...]:
    """Format numbers with the same number of decimals.

    Parameters
    ----------
    values : iterable of float
        Not-a-number and infinite values are allowed and do not influence the others.
    digits : int
        Significant digits that the number which needs most decimals must show.

    Returns
    -------
    tuple of str
        One string per value, not padded.

    Examples
    --------
    >>> format_common([612.1002, 35.0717, 654.9401])
    ('612.10', '35.07', '654.94')
    >>> format_common([1.5e-9, 2.0])
    ('1.5e-09', '2.0e+00')
    """
    numbers = [float(value) + 0.0 for value in values]  # -0.0 becomes 0.0
    finite = [number for number in numbers if math.isfinite(number)]
    spec = _shared_spec(finite, digits) if finite else ".0f"
    return tuple(_show(number, spec) for number in numbers)


def format_fixed(values: Iterable[float], decimals: int) -> tuple[str, ...]:
    """Format numbers with exactly ``decimals`` decimals.

    Parameters
    ----------
    values : iterable of float
    decimals : int

    Returns
    -------
    tuple of str
        One string per value, not padded.

    Examples
    --------
    >>> format_fixed([0.5, -0.0001, float("nan")], 2)
    ('0.50', '0.00', 'NaN')
    """
    # Adding 0.0 after rounding turns -0.0 into 0.0: a minus sign before zeros informs nobody.
    numbers = [round(v, decimals) + 0.0 if math.isfinite(v) else v for v in map(float, values)]
    return tuple(_show(number, f".{decimals}f") for number in numbers)


def format_scientific(values: Iterable[float], decimals: int) -> tuple[str, ...]:
    """Format numbers with a power of ten each; zero is just that.

    Parameters
    ----------
    values : iterable of float
    decimals : int

    Returns
    -------
    tuple of str
        One string per value, not padded.

    Examples
    --------
    >>> format_scientific([3.25e-12, 0.0, -41000000000.0], 2)
    ('3.25e-12', '0', '-4.10e+10')
    """
    return tuple("0" if v == 0.0 else _show(v, f".{decimals}e") for v in map(float, values))


def format_p_values(
    values: Iterable[float], digits: int = 3, floor: float = P_VALUE_FLOOR
) -> tuple[str, ...]:
    """Format p-values; those below ``floor`` only say so.

    Parameters
    ----------
    values : iterable of float
        Between 0 and 1, or not-a-number.
    digits : int
        Significant digits. Values from 0.0001 upwards share their decimals, smaller ones are
        scientific and share theirs.
    floor : float
        Smaller values print as ``<2e-16``.

    Returns
    -------
    tuple of str
        One string per value, not padded.

    Examples
    --------
    >>> format_p_values([1e-40, 3.264e-06])
    ('< 2e-16', '3.26e-06')
    >>> format_p_values([1e-40])
    ('<2e-16',)
    """
    numbers = [float(value) for value in values]
    above = [i for i, number in enumerate(numbers) if number >= floor]
    plain = [i for i in above if numbers[i] >= 1e-4]
    tiny = [i for i in above if numbers[i] < 1e-4]
    text = ["NaN"] * len(numbers)
    for group in (plain, tiny):
        shown = format_common((numbers[i] for i in group), digits)
        for i, cell in zip(group, shown, strict=True):
            text[i] = cell
    limit = _below(floor, digits, [text[i] for i in above])
    return tuple(
        limit if number < floor else cell for number, cell in zip(numbers, text, strict=True)
    )


def format_estimates(estimates: FloatArray, digits: int = 4) -> tuple[tuple[str, ...], ...]:
    """Format estimates, their standard errors and degrees of freedom together.

    The smallest number decides the decimals of all of them: a coefficient of 251.405 with a
    standard error of 6.825 needs three to be judged against it.

    Parameters
    ----------
    estimates : float array (p, k)
        One row per coefficient.
    digits : int
        Significant digits of the smallest number.

    Returns
    -------
    tuple (k,) of tuple (p,) of str
        Columns of strings.

    Examples
    --------
    >>> format_estimates(np.array([[251.40510, 6.82460], [10.46729, 1.54579]]))
    (('251.405', '10.467'), ('6.825', '1.546'))
    """
    values = np.asarray(estimates, dtype=np.float64)
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    leading = math.floor(math.log10(size.min())) + 1 if size.size else 1
    flat = values.ravel()
    cells = list(format_common(_round(flat, max(1, digits - leading)), digits))
    hidden = [i for i, cell in enumerate(cells) if float(cell) == 0 and flat[i] != 0]
    # A number that is not zero but would print as zero beside much larger ones stands alone.
    for i, cell in zip(hidden, format_common(flat[hidden], max(1, digits - 1)), strict=True):
        cells[i] = cell
    k = values.shape[1]
    return tuple(tuple(cells[j::k]) for j in range(k))


def format_statistics(values: Iterable[float], digits: int = 4) -> tuple[str, ...]:
    """Format test statistics: at most ``digits - 1`` decimals, because t = 28.41 is enough.

    Parameters
    ----------
    values : iterable of float
    digits : int
        Significant digits of the estimates in the same table.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> format_statistics([36.83801, 6.77144])
    ('36.838', '6.771')
    """
    decimals = max(1, min(5, digits - 1))
    return format_common(_round(np.fromiter(values, dtype=np.float64), decimals), digits)


def zap_small(values: ArrayLike, digits: int) -> FloatArray:
    """Round numbers to the precision of the largest, so that rounding noise becomes zero.

    Parameters
    ----------
    values : float array
    digits : int
        Significant digits that the largest number keeps.

    Returns
    -------
    float array

    Examples
    --------
    >>> zap_small([-3.95357, 1.2e-17], 5)
    array([-3.9536,  0.    ])
    """
    array = np.asarray(values, dtype=np.float64)
    finite = np.abs(array[np.isfinite(array)])
    largest = float(finite.max()) if finite.size else 0.0
    decimals = max(0.0, digits - math.log10(largest)) if largest > 0 else float(digits)
    return _round(array, math.floor(decimals + 0.5))


def _round(values: FloatArray, decimals: int) -> FloatArray:
    """Round correctly in decimal, which numpy does not: it scales by a power of ten."""
    flat = [round(v, decimals) + 0.0 if math.isfinite(v) else v for v in values.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def _shared_spec(finite: Sequence[float], digits: int) -> str:
    """Return the format that shows all numbers, fixed unless scientific is narrower."""
    decimals = whole = mantissa = exponent_width = 0
    for number in finite:
        significant, exponent = _significant(number, digits)
        decimals = max(decimals, significant - exponent - 1)
        whole = max(whole, max(exponent, 0) + 1 + (number < 0))
        mantissa = max(mantissa, significant - 1)
        exponent_width = max(exponent_width, 2 if abs(exponent) < 100 else 3)
    any_negative = any(number < 0 for number in finite)
    fixed_width = whole + (decimals + 1 if decimals > 0 else 0)
    scientific_width = any_negative + 1 + (mantissa + 1 if mantissa > 0 else 0) + 2 + exponent_width
    return f".{decimals}f" if fixed_width <= scientific_width else f".{mantissa}e"


def _significant(number: float, digits: int) -> tuple[int, int]:
    """Return how many of at most ``digits`` significant digits matter, and the exponent of ten."""
    mantissa, exponent = f"{abs(number):.{digits - 1}e}".split("e")
    if number == 0:
        return 1, 0
    return max(1, len(mantissa.replace(".", "").rstrip("0"))), int(exponent)


def _show(number: float, spec: str) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    return format(number, spec)


def _below(floor: float, digits: int, others: Sequence[str]) -> str:
    """Return ``<2e-16``, with as many digits and a space where the other p-values leave room."""
    widest = max((len(cell) for cell in others), default=0)
    keep = max(1, digits - 2)
    if others and keep > 1 and keep + 6 > widest:
        keep = max(1, widest - 7)
    narrow = keep == 1 and widest <= 6
    return ("<" if narrow else "< ") + format_common([floor], keep)[0]
