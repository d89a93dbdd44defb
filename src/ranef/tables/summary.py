"""The summary of a fitted model: its numbers, and lme4's layout of them.

`build_summary` reads a model once and keeps numbers; nothing is rounded before it is printed. The
printed facts and their order are those of R's ``summary()`` of an lmer fit with lmerTest loaded,
digit by digit, and what R tells in warnings is said in place: dropped columns and rows, and a
verdict about convergence when it is not simply good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ranef.errors import NoRowsError
from ranef.tables.coefficients import CORRELATION_LIMIT, coefficient_table, correlation_table
from ranef.tables.document import (
    Block,
    Document,
    Fact,
    Facts,
    Paragraph,
    Table,
    numbers,
)
from ranef.tables.format import format_common, format_fixed, zap_small
from ranef.tables.protocols import SummarizedModel, VarianceTable
from ranef.tables.renderable import Renderable
from ranef.typing import DdfMethod, check_choice

_DIGITS = 4
_SHOWN_ALIASED = 10
"""More aliased columns than this are counted instead of named and shown as rows of NaN."""
_TESTS: Mapping[DdfMethod, str] = {
    "satterthwaite": "t-tests use Satterthwaite's method",
    "kenward-roger": "t-tests use Kenward-Roger's method",
    "normal": "z-tests use the normal distribution",
}


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Renderable):
    """Summary of a fitted linear mixed model.

    Print it, or show it in a notebook; `to_markdown`, `to_latex` and `to_html` give the same for
    papers. The attributes hold the numbers, unrounded, for programs.

    Attributes
    ----------
    formula : str
    reml : bool
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Where the degrees of freedom come from.
    information : Series
        ``objective`` (REML criterion or -2 log-likelihood), ``loglik``, ``aic``, ``bic``, ``df``
        (number of parameters), ``df_resid``.
    scaled_residuals : Series or None
        Quantiles ``min``, ``q1``, ``median``, ``q3``, ``max``; None for streamed data.
    varcorr : VarCorr
        Standard deviations and correlations of the random effects.
    sigma : float
        Residual standard deviation.
    nobs : int
        Rows used.
    ngroups : mapping group -> int
        Levels of each grouping factor.
    coefficients : DataFrame (p, 7)
        Columns ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``, ``conf_low``,
        ``conf_high``.
    correlation : DataFrame
        Correlations of the estimable fixed effects.
    dropped_columns : tuple of str
        Fixed-effects columns that others determine.
    dropped_rows : mapping variable -> int
        Rows with a missing value, per variable; a row may count for several.
    n_total : int
        Rows given; ``n_total - nobs`` were dropped.
    weighted, offset : bool
        Whether the model has prior weights, an offset.
    is_singular : bool
        Whether a variance is estimated as zero, or a correlation as one.
    converged : bool
        Whether the fit is an ordinary good one: an optimum, and not singular.
    message : str
        The verdict about convergence in words.
    """

    formula: str
    reml: bool
    ddf: DdfMethod
    information: pd.Series[float]
    scaled_residuals: pd.Series[float] | None
    varcorr: VarianceTable
    sigma: float
    nobs: int
    ngroups: Mapping[str, int]
    coefficients: pd.DataFrame
    correlation: pd.DataFrame
    dropped_columns: tuple[str, ...]
    dropped_rows: Mapping[str, int]
    n_total: int
    weighted: bool
    offset: bool
    is_singular: bool
    converged: bool
    message: str

    def document(self) -> Document:
        """Return what there is to print, free of any output format."""
        method = "REML" if self.reml else "maximum likelihood"
        title = f"Linear mixed model fit by {method}. {_TESTS[self.ddf]}"
        return Document(title, tuple(self._blocks()))

    def _blocks(self) -> Iterator[Block]:
        yield self._model()
        yield self._criterion()
        if self.scaled_residuals is not None:
            yield self._residuals(self.scaled_residuals)
        yield self.varcorr.table(variances=True, digits=_DIGITS, title="Random effects").with_notes(
            self._counts()
        )
        if len(self.coefficients):
            yield coefficient_table(
                self._shown_coefficients(),
                self.ddf,
                title="Fixed effects",
                notes=(*self._rank_note(), *self._boundary_note()),
                digits=_DIGITS,
            )
            yield from self._correlations()
        if not self.converged:
            yield Paragraph(self.message)

    def _model(self) -> Facts:
        facts = [Fact("Formula", self.formula, is_code=True)]
        if self.weighted:
            facts.append(Fact("Weights", "yes; the residual variance of a row is sigma^2 / weight"))
        if self.offset:
            facts.append(Fact("Offset", "yes"))
        return Facts(tuple(facts))

    def _criterion(self) -> Block:
        info = self.information
        if self.reml:
            (shown,) = format_fixed([info["objective"]], 1)
            return Facts((Fact("REML criterion at convergence", shown),))
        headers = ("AIC", "BIC", "logLik", "-2*log(L)")
        keys = ("aic", "bic", "loglik", "objective")
        columns = [
            numbers(header, format_fixed([info[key]], 1))
            for header, key in zip(headers, keys, strict=True)
        ]
        columns.append(numbers("df.resid", [str(int(info["df_resid"]))]))
        return Table("", tuple(columns))

    def _residuals(self, quantiles: pd.Series[float]) -> Table:
        shown = format_common(zap_small(quantiles.to_numpy(), _DIGITS + 1), _DIGITS)
        headers = ("Min", "1Q", "Median", "3Q", "Max")
        columns = (numbers(h, [cell]) for h, cell in zip(headers, shown, strict=True))
        return Table("Scaled residuals", tuple(columns))

    def _counts(self) -> tuple[str, ...]:
        groups = "; ".join(f"{group}, {count}" for group, count in self.ngroups.items())
        counts = f"Number of obs: {self.nobs}, groups: {groups}"
        n_dropped = self.n_total - self.nobs
        if n_dropped == 0:
            return (counts,)
        variables = ", ".join(f"{name} {count}" for name, count in self.dropped_rows.items())
        return (
            counts,
            f"{n_dropped} of {self.n_total} rows dropped for missing values ({variables})",
        )

    def _shown_coefficients(self) -> pd.DataFrame:
        """Leave out rows of NaN if they are many; the attribute ``coefficients`` keeps them."""
        if len(self.dropped_columns) <= _SHOWN_ALIASED:
            return self.coefficients
        return self.coefficients[self.coefficients["estimate"].notna()]

    def _rank_note(self) -> tuple[str, ...]:
        n_dropped = len(self.dropped_columns)
        if n_dropped == 0:
            return ()
        columns = "column" if n_dropped == 1 else "columns"
        shown = ", ".join(self.dropped_columns[:_SHOWN_ALIASED])
        note = (
            f"fixed-effect model matrix is rank deficient: dropped {n_dropped} {columns}"
            " that other columns determine"
        )
        more = n_dropped - _SHOWN_ALIASED
        if more <= 0:
            return (f"{note} ({shown})",)
        return (f"{note}: {shown} and {more} more ({n_dropped} aliased columns not shown)",)

    def _boundary_note(self) -> tuple[str, ...]:
        if not (self.is_singular and self.ddf == "satterthwaite"):
            return ()
        return ("Satterthwaite's degrees of freedom leave out the directions without variance",)

    def _correlations(self) -> Iterator[Block]:
        p = len(self.correlation)
        if 1 < p <= CORRELATION_LIMIT:
            yield correlation_table(self.correlation, title="Correlation of Fixed Effects")
        elif p > CORRELATION_LIMIT:
            yield Paragraph(
                f"Correlation of Fixed Effects is not shown, as p = {p} > {CORRELATION_LIMIT};"
                " the attribute correlation of the summary has it."
            )


def build_summary(model: SummarizedModel, coef_table: pd.DataFrame, ddf: DdfMethod) -> Summary:
    """Collect the numbers of a model's summary.

    Parameters
    ----------
    model : fitted model
    coef_table : DataFrame (p, 7)
        The model's coefficients with tests made by ``ddf``.
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    Summary

    Raises
    ------
    OptionError
        If ``ddf`` is something else.
    """
    check_choice("ddf", ddf, DdfMethod)
    design = model.design
    return Summary(
        formula=str(model.formula),
        reml=model.reml,
        ddf=ddf,
        information=_information(model),
        scaled_residuals=_quartiles(model),
        varcorr=model.VarCorr,
        sigma=float(model.sigma),
        nobs=int(model.nobs),
        ngroups=dict(model.ngroups),
        coefficients=coef_table.copy(),
        correlation=_correlation(model.vcov),
        dropped_columns=tuple(model.dropped_columns),
        dropped_rows={name: int(count) for name, count in design.dropped.items() if count},
        n_total=int(design.n_total),
        weighted=_has(design, "weights"),
        offset=_has(design, "offset"),
        is_singular=bool(model.is_singular),
        converged=not model.is_singular and _is_converged(model.convergence.status),
        message=model.convergence.message,
    )


def _information(model: SummarizedModel) -> pd.Series[float]:
    names = ("objective", "loglik", "aic", "bic", "df", "df_resid")
    return pd.Series({name: float(getattr(model, name)) for name in names}, name="information")


def _has(design: object, name: str) -> bool:
    """Tell whether a design has weights or an offset, kept or not."""
    try:
        return getattr(design, name) is not None
    except NoRowsError:
        return True


def _quartiles(model: SummarizedModel) -> pd.Series[float] | None:
    try:
        residuals = model.residuals(kind="pearson") / float(model.sigma)
    except NoRowsError:
        return None
    values = np.quantile(residuals.to_numpy(dtype=np.float64), [0.0, 0.25, 0.5, 0.75, 1.0])
    return pd.Series(values, index=["min", "q1", "median", "q3", "max"], name="scaled_residuals")


def _correlation(vcov: pd.DataFrame) -> pd.DataFrame:
    values = vcov.to_numpy(dtype=np.float64)
    se = np.sqrt(np.diag(values))
    corr = values / se[:, None] / se[None, :]
    np.fill_diagonal(corr, 1.0)
    return pd.DataFrame(corr, index=vcov.index, columns=vcov.columns)


def _is_converged(status: object) -> bool:
    """Tell an ordinary good fit from the name or value of the verdict."""
    return "converged" in {
        str(getattr(status, "name", status)).lower(),
        str(getattr(status, "value", status)).lower(),
    }
