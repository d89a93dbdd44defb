"""Several models in one table, as papers print them: a column each.

The rows are the union of the models' parameters, in the order in which they first appear: fixed
effects with something below (a standard error, an interval or a p-value), standard deviations and
correlations, then facts about the fits. Nothing is refitted and nothing is compared; that models
were fitted to the same rows is not assumed either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.errors import NoRowsError, OptionError
from ranef.export.great import grouped_table, variance_headings
from ranef.inference.icc import ICC
from ranef.inference.models import check_fitted
from ranef.inference.parameters import variance_parameters
from ranef.inference.r2 import R2
from ranef.inference.same_data import same_fixed
from ranef.inference.variance_decomposition import variance_decomposition
from ranef.inference.wald import check_level, coefficient_frame
from ranef.names import make_unique
from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_fixed, format_scientific
from ranef.tables.frame_result import FrameResult
from ranef.typing import DdfMethod, FloatArray, check_choice, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Below: TypeAlias = Literal["std_error", "conf_int", "p_value"]
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
# Where more decimals were needed, numbers below the first size have a power of ten, and always
# those that are not below the second; with so many decimals.
MOST_DECIMALS, SMALL, LARGE, SCIENTIFIC_DECIMALS = 8, 1e-3, 1e7, 3
_FACTS = {
    "nobs": "Observations",
    "r2_marginal": "R2 marginal",
    "r2_conditional": "R2 conditional",
    "icc": "ICC",
    "aic": "AIC",
    "bic": "BIC",
}
_GROUPS = "groups "
_PARTS = {"fixed": "Fixed effects", "random": "Random effects", "fit": "Fit"}
_METHODS: dict[DdfMethod, str] = {
    "satterthwaite": "Satterthwaite's method",
    "kenward-roger": "Kenward-Roger's method",
    "normal": "the normal distribution",
}


@dataclass(frozen=True, eq=False, repr=False)
class ModelTable(FrameResult):
    """Several models side by side; made by `ranef.table`.

    Print it, or use `to_markdown`, `to_latex`, `to_html` and `to_great_tables`. `to_frame` has the
    numbers, unrounded: columns ``part`` (fixed, random, fit), ``term``, ``statistic`` (estimate,
    std_error, p_value, conf_low, conf_high; value for facts), and one per model, NaN where it has
    no such parameter.

    Attributes
    ----------
    headings : mapping of (part, term) to str
        What rows are called in print.
    below : {"std_error", "conf_int", "p_value"}
    stars : bool
    digits : int
    notes : tuple of str
    """

    headings: Mapping[tuple[str, str], str]
    below: Below
    stars: bool
    digits: int
    notes: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return [str(name) for name in self._frame.columns[3:]]

    def document(self) -> Document:
        """Return the table that ``print`` shows."""
        rows = self.rows()
        columns = [labels("", [name for _, name, _ in rows])]
        for j, model in enumerate(self.models):
            columns.append(numbers(model, [cells[j] for _, _, cells in rows]))
        return Document("", (Table("", tuple(columns), self.notes),))

    def rows(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return part, heading and one cell for every model, row by row."""
        values: dict[tuple[str, str], dict[str, FloatArray]] = {}
        for part, term, statistic, *row in self._frame.itertuples(index=False, name=None):
            values.setdefault((part, term), {})[statistic] = np.array(row, dtype=np.float64)
        out = []
        for (part, term), found in values.items():
            cells = [
                self._cells(part, term, {name: float(row[j]) for name, row in found.items()})
                for j in range(len(self.models))
            ]
            heading = self.headings[part, term]
            out.append((_PARTS[part], heading, tuple(first for first, _ in cells)))
            if part == "fixed":
                out.append((_PARTS[part], "", tuple(second for _, second in cells)))
        return out

    def _cells(self, part: str, term: str, values: Mapping[str, float]) -> tuple[str, str]:
        """Return what stands in a cell, and below it."""
        if np.isnan(values["value" if part == "fit" else "estimate"]):
            return "", ""
        if part == "fit":
            whole = term == "nobs" or term.startswith(_GROUPS)
            decimals = 0 if whole else 1 if term in ("aic", "bic") else self.digits
            return format_fixed([values["value"]], decimals)[0], ""
        if part == "random":
            return _shown(self.digits, values["estimate"])[0], ""
        order = ("std_error", "estimate", "conf_low", "conf_high")
        error, estimate, low, high = _shown(self.digits, *(values[name] for name in order))
        p = values["p_value"]
        if self.stars:
            estimate += next((mark for limit, mark in STARS if p < limit), "")
        below = {
            "std_error": f"({error})",
            "conf_int": f"[{low}, {high}]",
            "p_value": "(p < 0.001)" if p < 0.001 else f"(p = {p:.3f})",
        }
        return estimate, below[self.below]

    def to_great_tables(self) -> Any:
        """Return the table as a ``great_tables.GT``, to be styled further.

        Raises
        ------
        MissingDependencyError
            If great_tables is not installed.
        """
        rows = [(part, heading, *cells) for part, heading, cells in self.rows()]
        return grouped_table(rows, self.models, notes=self.notes)


def table(
    *models: LinearMixedModel,
    names: Sequence[str] | None = None,
    statistic: Below = "std_error",
    stars: bool = False,
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    digits: int = 3,
) -> ModelTable:
    """Return a table with one column per model: estimates, variance parameters, facts.

    Use it to show models side by side in a paper, as R's modelsummary does; to test one against
    the other use `compare`.

    Parameters
    ----------
    *models : LinearMixedModel
    names : sequence of str, optional
        Headings; ``(1)``, ``(2)``, ... by default.
    statistic : {"std_error", "conf_int", "p_value"}
        What stands below the estimates.
    stars : bool
        Mark p-values below 0.05, 0.01 and 0.001 with one, two and three stars.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        For p-values and intervals, as in `coef_table`.
    level : float
        Coverage of the intervals.
    digits : int
        Decimals; small numbers get more, so that two digits of the standard error are seen, and
        those that are very small or large a power of ten.

    Returns
    -------
    ModelTable
        ``.to_frame()``, ``.to_markdown()``, ``.to_latex()``, ``.to_html()``,
        ``.to_great_tables()``.

    Raises
    ------
    OptionError
        Without a model, if names do not match, or an argument has a value that is not allowed.

    Examples
    --------
    >>> import ranef
    >>> data = ranef.datasets.load("sleepstudy")
    >>> slopes = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    >>> intercepts = ranef.fit("Reaction ~ Days + (1 | Subject)", data)
    >>> print(ranef.table(slopes, intercepts, stars=True))
                                           (1)        (2)
    Intercept                       251.405*** 251.405***
                                       (6.825)    (9.747)
    Days                             10.467***  10.467***
                                       (1.546)    (0.804)
    SD (Intercept | Subject)            24.740     37.124
    SD (Days | Subject)                  5.922
    Cor (Days, Intercept | Subject)      0.066
    SD (Residual)                       25.592     30.991
    Observations                           180        180
    Groups: Subject                         18         18
    R2 marginal                          0.279      0.280
    R2 conditional                       0.799      0.704
    ICC                                  0.722      0.589
    AIC                                 1755.6     1794.5
    BIC                                 1774.8     1807.2
    Standard errors in parentheses.
    * p < 0.05, ** p < 0.01, *** p < 0.001; t-tests by Satterthwaite's method.
    """
    check_fitted("table", models)
    check_choice("statistic", statistic, Below)
    check_flag("stars", stars)
    check_choice("ddf", ddf, DdfMethod)
    check_level(level)
    if not models:
        raise OptionError("table needs at least one model; got none.")
    whole = isinstance(digits, int | np.integer) and not isinstance(digits, bool)
    if not (whole and 0 <= digits <= MOST_DECIMALS):
        raise OptionError(f"digits must be a whole number from 0 to 8; got {digits!r}.")
    headings = [f"({i + 1})" for i in range(len(models))] if names is None else [*map(str, names)]
    if len(headings) != len(models):
        raise OptionError(f"names must have one name per model, {len(models)}; got {names!r}.")
    headings = list(make_unique(headings))
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    shown: dict[tuple[str, str], str] = {}
    for heading, model in zip(headings, models, strict=True):
        column, found = _column(model, ddf, level)
        for row, value in column.items():
            values.setdefault(row, {})[heading] = value
        shown |= found
    rows = sorted(values, key=lambda row: _place(row[:2]))
    # rows of one term stay together, in the order in which terms first appear
    terms = list(dict.fromkeys(row[:2] for row in rows))
    rows.sort(key=lambda row: terms.index(row[:2]))
    frame = pd.DataFrame(rows, columns=["part", "term", "statistic"])
    for heading in headings:
        frame[heading] = [values[row].get(heading, np.nan) for row in rows]
    notes = _notes(models, statistic, stars, ddf, level)
    return ModelTable(frame, shown, statistic, bool(stars), int(digits), notes)


def _column(
    model: LinearMixedModel, ddf: DdfMethod, level: float
) -> tuple[dict[tuple[str, str, str], float], dict[tuple[str, str], str]]:
    """Return the numbers of one model, and what the rows are called in print."""
    values: dict[tuple[str, str, str], float] = {}
    shown: dict[tuple[str, str], str] = {}
    table = coefficient_frame(model, ddf, level)
    for name in table.index:
        shown["fixed", str(name)] = str(name)
        for kind in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
            values["fixed", str(name), kind] = float(table.loc[name, kind])
    parameters = variance_parameters(model.problem)
    random = model.VarCorr.to_frame()
    headings = variance_headings(random)
    for parameter, heading, size in zip(parameters, headings, random["sdcor"], strict=True):
        shown["random", parameter.name] = heading
        values["random", parameter.name, "estimate"] = float(size)
    for name, value in _facts(model).items():
        shown["fit", name] = _FACTS.get(name) or f"Groups: {name.removeprefix(_GROUPS)}"
        values["fit", name, "value"] = value
    return values, shown


def _facts(model: LinearMixedModel) -> dict[str, float]:
    out = {"nobs": float(model.nobs)}
    out |= {f"{_GROUPS}{name}": float(size) for name, size in model.ngroups.items()}
    try:
        parts = variance_decomposition(model)
    except NoRowsError:  # streamed data
        pass
    else:
        r2 = R2(parts)
        out |= {"r2_marginal": r2.marginal, "r2_conditional": r2.conditional}
        out["icc"] = ICC(parts).adjusted
    return out | {"aic": model.aic, "bic": model.bic}


def _place(row: tuple[str, str]) -> tuple[int, float]:
    """Return what rows are sorted by: sigma and facts have their places, others keep theirs."""
    part, term = row
    if part == "fit":
        return 2, [*_FACTS].index(term) if term in _FACTS else 0.5  # groups follow observations
    return int(part == "random"), float(term == "sigma")


def _shown(digits: int, *values: float) -> tuple[str, ...]:
    """Return numbers with so many decimals that two digits of the first one are seen.

    Numbers that would need too many, and those that are too large, have a power of ten instead.
    """
    size = abs(values[0])
    if size > 0.0 and math.isfinite(size):
        digits = max(digits, 1 - math.floor(math.log10(size)))
    smallest = SMALL if digits > MOST_DECIMALS else 0.0
    fixed = format_fixed(values, min(digits, MOST_DECIMALS))
    scientific = format_scientific(values, SCIENTIFIC_DECIMALS)
    return tuple(
        fixed[i] if not math.isfinite(value) or smallest <= abs(value) < LARGE else scientific[i]
        for i, value in enumerate(values)
    )


def _notes(
    models: Sequence[LinearMixedModel],
    statistic: Below,
    stars: bool,
    ddf: DdfMethod,
    level: float,
) -> tuple[str, ...]:
    tests = "z-tests" if ddf == "normal" else f"t-tests by {_METHODS[ddf]}"
    notes = [
        {
            "std_error": "Standard errors in parentheses.",
            "conf_int": f"{100 * level:g} % intervals in brackets, by {_METHODS[ddf]}.",
            "p_value": f"P-values ({tests}) in parentheses.",
        }[statistic]
    ]
    if stars:
        notes.append(f"* p < 0.05, ** p < 0.01, *** p < 0.001; {tests}.")
    if any(model.reml != models[0].reml for model in models):
        notes.append("Some models are fitted by REML and some by maximum likelihood.")
    elif models[0].reml and not all(same_fixed(models[0], other) for other in models[1:]):
        notes.append("Fitted by REML: AIC and BIC of different fixed effects do not compare.")
    return tuple(notes)
