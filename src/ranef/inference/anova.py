"""Tables of analysis of variance: one F test for every term of the fixed part.

What is tested is said in `term_contrasts`, how in `fixed_tests`. Sums of squares are F times its
numerator degrees of freedom times the residual variance, as in lmerTest (Kenward-Roger: F before
it is scaled): numbers on the scale of the response, that do not add up to anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.fixed_tests import FixedTests, fixed_tests
from ranef.inference.term_contrasts import AnovaType, TermContrasts, term_contrasts
from ranef.tables.document import Column, Document, Table, labels, numbers
from ranef.tables.format import format_common, format_p_values, format_statistics, zap_small
from ranef.tables.frame_result import FrameResult
from ranef.typing import DdfMethod, FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

F_COLUMNS = ("sum_sq", "mean_sq", "num_df", "den_df", "f_value", "p_value")
_TYPES: Mapping[object, AnovaType] = {
    1: 1, "1": 1, "I": 1, 2: 2, "2": 2, "II": 2, 3: 3, "3": 3, "III": 3,
}  # fmt: skip
_ROMAN = {1: "I", 2: "II", 3: "III"}
METHODS: dict[DdfMethod, str] = {
    "satterthwaite": "Satterthwaite's method",
    "kenward-roger": "Kenward-Roger's method",
    "normal": "the normal distribution",
}


@dataclass(frozen=True, eq=False, repr=False)
class AnovaTable(FrameResult):
    """F tests of the terms of a model's fixed part.

    A table with one row per term and the columns ``sum_sq``, ``mean_sq``, ``num_df``, ``den_df``,
    ``f_value`` and ``p_value``; prints like lmerTest's.

    Attributes
    ----------
    type : {1, 2, 3}
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    notes : tuple of str
        What to know about single rows.
    """

    type: AnovaType
    ddf: DdfMethod
    notes: tuple[str, ...]

    def document(self) -> Document:
        """Return the table in lmerTest's layout."""
        title = f"Type {_ROMAN[self.type]} Analysis of Variance Table with {METHODS[self.ddf]}"
        table = Table("", (labels("", self._frame.index), *f_columns(self._frame)), self.notes)
        return Document(title, (table,))


def anova(
    model: LinearMixedModel, type: int | str = 3, ddf: DdfMethod = "satterthwaite"
) -> AnovaTable:
    """Test every term of the fixed part.

    Use it to ask whether a predictor matters at all, when it has several coefficients or is part
    of interactions. Type 3 tests each term adjusted for all others, as if every combination of
    levels had been observed equally often, and does not depend on how factors are coded; type 2
    adjusts a term for those that do not contain it; type 1 for those before it.

    Parameters
    ----------
    model : LinearMixedModel
    type : {1, 2, 3} or {"I", "II", "III"}
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        How denominator degrees of freedom are found; with ``normal`` they are infinite.

    Returns
    -------
    AnovaTable
        One row per term: ``sum_sq, mean_sq, num_df, den_df, f_value, p_value``.

    Raises
    ------
    OptionError
        For another type or ddf, and for Kenward-Roger with a fit by maximum likelihood.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> print(anova(m))
    Type III Analysis of Variance Table with Satterthwaite's method
    <BLANKLINE>
                        Sum Sq Mean Sq NumDF DenDF F value Pr(>F)
    recipe               10.19    5.09     2    42  0.2488 0.7809
    temperature        2100.30  420.06     5   210 20.5199 <2e-16
    recipe:temperature  205.98   20.60    10   210  1.0062 0.4393

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13).
    """
    type_ = _check_type(type)
    tests = fixed_tests(model, ddf)
    contrasts = term_contrasts(model, type_)
    sigma2 = float(model.sigma) ** 2
    rows = [f_row(tests, L, L @ tests.beta, sigma2) for L in contrasts.rows]
    frame = pd.DataFrame(rows, index=pd.Index(contrasts.labels), columns=F_COLUMNS)
    frame = frame.astype({name: float for name in F_COLUMNS} | {"num_df": int})
    return AnovaTable(frame, type_, ddf, tuple(_notes(model, contrasts, ddf)))


def f_row(
    tests: FixedTests, L: FloatArray, distance: FloatArray, sigma2: float
) -> tuple[float, ...]:
    """Return one row of F_COLUMNS for L beta = rhs; ``distance`` is L beta - rhs."""
    found = tests.joint(L, distance)
    if found.num_df == 0:
        return (np.nan, np.nan, 0, np.nan, np.nan, np.nan)
    q = found.num_df
    sum_sq = sigma2 * q * found.f_value / found.scale
    return (sum_sq, sum_sq / q, q, found.den_df, found.f_value, found.p_value)


def f_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return the columns of F tests in R's number formats; nothing is shown for NaN."""
    squares = {"Sum Sq": "sum_sq", "Mean Sq": "mean_sq", "NumDF": "num_df", "DenDF": "den_df"}
    cells = {h: format_common(zap_small(frame[name], 5), 5) for h, name in squares.items()}
    cells["F value"] = format_statistics(frame["f_value"], 5)
    cells["Pr(>F)"] = format_p_values(frame["p_value"], 4)
    return tuple(
        numbers(header, ("" if cell == "NaN" else cell for cell in shown))
        for header, shown in cells.items()
    )


def _check_type(type: int | str) -> AnovaType:
    asked = type.upper() if isinstance(type, str) else type
    # True is equal to 1, and 1.0 too, but nobody means it
    if not isinstance(asked, str | int | np.integer) or isinstance(asked, bool):
        asked = "no type"
    if asked not in _TYPES:
        raise OptionError(f"type must be 1, 2 or 3 (or 'I', 'II', 'III'); got {type!r}.")
    return _TYPES[asked]


def _notes(model: LinearMixedModel, contrasts: TermContrasts, ddf: DdfMethod) -> Iterator[str]:
    untested = [
        label for label, L in zip(contrasts.labels, contrasts.rows, strict=True) if len(L) == 0
    ]
    if untested:
        yield f"Not tested, because other columns determine theirs: {', '.join(untested)}"
    if contrasts.empty:
        yield (
            f"Some combinations of levels do not occur: {', '.join(contrasts.empty)}. What tests "
            "of type III mean for them and their parts depends on which"
        )
    if ddf == "satterthwaite" and model.is_singular and contrasts.labels:
        yield BOUNDARY_NOTE


BOUNDARY_NOTE = (
    "Singular fit: directions of the random effects without variance do not count in "
    "Satterthwaite's degrees of freedom"
)
