"""The fitted model: immutable, complete when constructed, printing like lme4.

Properties are cheap and take no arguments; what costs more than a look-up is computed at first use
and kept. Methods orchestrate: numbers happen in the modules they call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.convergence import Convergence, Status
from ranef.design.types import Design
from ranef.effects import RandomEffects
from ranef.errors import DataError, OptionError
from ranef.estimation import Problem
from ranef.formula.terms import ModelFormula
from ranef.inference.wald import wald_table
from ranef.linalg.adjoint import conditional_blocks
from ranef.modelmatrix import random_matrix
from ranef.objective import State
from ranef.tables.summary import Summary, build_summary
from ranef.tidy import glance_row, tidy_frame
from ranef.typing import DdfMethod, FloatArray, ResidualKind, check_choice
from ranef.variance import VarCorr, VarianceComponent, make_unique


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel:
    """A fitted linear mixed model; made by `ranef.fit`.

    Attributes
    ----------
    formula : ModelFormula
        The formula; ``str(model.formula)`` shows it.
    reml : bool
        Fitted by REML; False for maximum likelihood (also where there are no fixed effects).
    design : Design
        The model in arrays: response, model matrices, weights, what was dropped.
    convergence : Convergence
        The verdict on the fit.
    theta : Series
        Relative covariance parameters, in the order in which terms are stored (most levels
        first): lower Cholesky factors, column by column.
    objective : float
        The minimised criterion: REML criterion or -2 log-likelihood.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> round(m.objective, 4)
    1743.6283
    >>> m.fixef.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    """

    formula: ModelFormula
    reml: bool
    design: Design
    convergence: Convergence
    theta: pd.Series[float]
    objective: float
    problem: Problem
    state: State

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Pickle the constructor's arguments: what was computed from them comes back on demand."""
        fields = (
            self.formula, self.reml, self.design, self.convergence, self.theta, self.objective,
            self.problem, self.state,
        )
        return (type(self), fields)

    # --- sizes ---------------------------------------------------------------------------------

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return len(self.design.y)

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of every grouping factor."""
        return {slot.term.grouping.name: slot.term.grouping.size for slot in self.problem.slots}

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, theta, and the residual variance."""
        return len(self.problem.basis.kept) + len(self.theta) + 1

    @property
    def df_resid(self) -> int:
        """Observations minus parameters."""
        return self.nobs - self.df

    # --- fixed effects -------------------------------------------------------------------------

    @cached_property
    def _kept_names(self) -> list[str]:
        return [self.design.x_names[j] for j in self.problem.basis.kept]

    @property
    def dropped_columns(self) -> tuple[str, ...]:
        """Fixed-effects columns that others determine; NaN in `fixef`."""
        kept = set(self.problem.basis.kept.tolist())
        return tuple(name for j, name in enumerate(self.design.x_names) if j not in kept)

    @property
    def fixef(self) -> pd.Series[float]:
        """Estimates of the fixed effects; NaN for aliased columns."""
        return self._by_column(self._beta)

    @property
    def std_errors(self) -> pd.Series[float]:
        """Standard errors of the fixed effects; NaN for aliased columns."""
        return self._by_column(np.sqrt(np.diagonal(self._covariance)))

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the estimable fixed effects."""
        names = self._kept_names
        return pd.DataFrame(self._covariance.copy(), index=names, columns=names)

    @cached_property
    def _beta(self) -> FloatArray:
        return self.problem.coefficients(self.state)

    @cached_property
    def _covariance(self) -> FloatArray:
        return self.problem.covariance(self.state)

    def _by_column(self, values: FloatArray) -> pd.Series[float]:
        out = np.full(len(self.design.x_names), np.nan)
        out[self.problem.basis.kept] = values
        return pd.Series(out, index=list(self.design.x_names))

    # --- variances -----------------------------------------------------------------------------

    @property
    def sigma(self) -> float:
        """Residual standard deviation (of an observation with weight 1)."""
        return float(np.sqrt(self.state.sigma2))

    @cached_property
    def VarCorr(self) -> VarCorr:
        """Variances, standard deviations and correlations of the random effects."""
        T = [np.zeros((group.width, group.width)) for group in self.problem.groups]
        for (slot, a, b), value in zip(self.problem.theta_entries(), self.theta, strict=True):
            T[slot.factor][a, b] = value
        components = []
        for slot in self.problem.slots:
            block = T[slot.factor][slot.start : slot.stop, slot.start : slot.stop]
            components.append(
                VarianceComponent(
                    slot.term.grouping.name,
                    slot.term.names,
                    self.state.sigma2 * (block @ block.T),
                    slot.term.correlated,
                )
            )
        return VarCorr(tuple(components), self.sigma)

    @property
    def is_singular(self) -> bool:
        """True if some combination of random effects has no variance."""
        return bool(self.convergence.null_directions)

    # --- likelihood ----------------------------------------------------------------------------

    @property
    def loglik(self) -> float:
        """Log-likelihood (restricted, for a REML fit)."""
        return -0.5 * self.objective

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return self.objective + 2.0 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's information criterion, with log(nobs) also for REML, as lme4."""
        return self.objective + float(np.log(self.nobs)) * self.df

    def objective_at(self, theta: FloatArray | pd.Series[float]) -> float:
        """Return the criterion that was minimised, at other covariance parameters.

        Use it to look at the surface around the optimum, or to check one.

        Parameters
        ----------
        theta : array (m,)
            In the order of `theta`; relative to sigma.

        Returns
        -------
        float

        Raises
        ------
        OptionError
            If theta has the wrong length or is not finite.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
        >>> round(m.objective_at([1.0]), 6)
        319.792389
        """
        try:
            values = np.asarray(theta, dtype=float)
        except (TypeError, ValueError):
            values = np.full(0, np.nan)
        if values.shape != (len(self.theta),) or not np.isfinite(values).all():
            raise OptionError(
                f"theta must be {len(self.theta)} finite numbers "
                f"({', '.join(self.theta.index)}); got {theta!r}."
            )
        return self.problem.objective.value(self.problem.to_core(values))

    # --- random effects ------------------------------------------------------------------------

    @cached_property
    def ranef(self) -> RandomEffects:
        """Conditional modes of the random effects, with conditional SDs and covariances."""
        modes = {}
        for factor, b in enumerate(self.problem.effects(self.state)):
            group, names = self._factor_labels(factor)
            levels = next(
                slot.term.grouping.levels for slot in self.problem.slots if slot.factor == factor
            )
            modes[group] = pd.DataFrame(b.T, index=levels.rename(group), columns=list(names))
        ordered = {group: modes[group] for group in self.ngroups}
        return RandomEffects(ordered, self._conditional_covariances)

    def _conditional_covariances(self) -> Mapping[str, FloatArray]:
        """Return Var(b | y) at given theta and beta, (J, k, k) for every grouping factor."""
        out = {}
        blocks = conditional_blocks(self.state.factorization)
        for factor, (block, group) in enumerate(zip(blocks, self.problem.groups, strict=True)):
            W = group.whitening
            out[self._factor_labels(factor)[0]] = self.state.sigma2 * np.einsum(
                "ab,bcj,dc->jad", W, block, W
            )
        return {group: out[group] for group in self.ngroups}

    def _factor_labels(self, factor: int) -> tuple[str, tuple[str, ...]]:
        """Return the name of a grouping factor and those of its effects, in the core's order."""
        slots = sorted(
            (slot for slot in self.problem.slots if slot.factor == factor),
            key=lambda slot: slot.start,
        )
        names = make_unique(name for slot in slots for name in slot.term.names)
        return slots[0].term.grouping.name, names

    @cached_property
    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients of every level: fixed effects plus conditional modes."""
        fixed = self.fixef
        out = {}
        for group, modes in self.ranef.items():
            names = list(fixed.index) + [name for name in modes.columns if name not in fixed.index]
            table = pd.DataFrame(
                {name: np.full(len(modes), fixed.get(name, 0.0)) for name in names},
                index=modes.index,
            )
            for name in modes.columns:
                table[name] += modes[name]
            out[group] = table
        return out

    # --- rows ----------------------------------------------------------------------------------

    @cached_property
    def _mu(self) -> FloatArray:
        """Return the fitted values: X beta + offset + Z b, (n,)."""
        mu: FloatArray = self.problem.basis.columns @ self._beta
        if self.design.offset is not None:
            mu = mu + self.design.offset
        for group, b in zip(self.problem.groups, self.problem.effects(self.state), strict=True):
            for column, effects in zip(group.columns, b, strict=True):
                part = effects[group.codes]
                mu += part if column is None else part * column
        return mu

    @property
    def fitted(self) -> pd.Series[float]:
        """Fitted values, random effects included, with the caller's index."""
        return pd.Series(self._mu.copy(), index=self.design.index, name="fitted")

    @property
    def resid(self) -> pd.Series[float]:
        """Residuals: response minus fitted values, with the caller's index."""
        return pd.Series(self.design.y - self._mu, index=self.design.index, name="resid")

    def residuals(self, kind: ResidualKind = "response") -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        kind : {"response", "pearson", "scaled"}
            ``response``: y - fitted, in the units of the response. ``pearson``: multiplied by
            the square root of the weight. ``scaled``: pearson divided by `sigma`.

        Returns
        -------
        Series (nobs,)
            With the caller's index.

        Raises
        ------
        OptionError
            For any other kind.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
        >>> m.residuals("scaled").round(2).head(3).tolist()
        [0.13, -0.12, 0.13]
        """
        check_choice("kind", kind, ResidualKind)
        values = self.design.y - self._mu
        if kind != "response" and self.design.weights is not None:
            values *= np.sqrt(self.design.weights)
        if kind == "scaled":
            values /= self.sigma
        return pd.Series(values, index=self.design.index, name="resid")

    @property
    def X(self) -> FloatArray | sparse.csc_array:
        """Fixed-effects model matrix, aliased columns included; dense or scipy.sparse."""
        return self.design.X

    @cached_property
    def Z(self) -> sparse.csr_array:
        """Random-effects model matrix (n, q): term by term, level by level."""
        return random_matrix([slot.term for slot in self.problem.slots])

    @property
    def y(self) -> FloatArray:
        """Response of the used rows."""
        return self.design.y

    # --- tables --------------------------------------------------------------------------------

    def coef_table(self, ddf: DdfMethod = "normal", level: float = 0.95) -> pd.DataFrame:
        """Return estimates, standard errors, tests and intervals of the fixed effects.

        Parameters
        ----------
        ddf : {"normal"}
            Reference distribution of the statistics: ``normal`` for z tests.
        level : float
            Coverage of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            Columns estimate, std_error, df, statistic, p_value, conf_low, conf_high; NaN for
            aliased columns.

        Raises
        ------
        OptionError
            For another ddf or level.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
        >>> m.coef_table().round(3)[["estimate", "std_error", "statistic"]]
                   estimate  std_error  statistic
        Intercept   251.405      6.825     36.838
        Days         10.467      1.546      6.771
        """
        check_choice("ddf", ddf, DdfMethod)
        return wald_table(self.fixef, self.std_errors, level)

    def summary(self, ddf: DdfMethod = "normal") -> Summary:
        """Return the summary: it prints like lme4's, and renders to HTML, Markdown and LaTeX.

        Parameters
        ----------
        ddf : {"normal"}
            As in `coef_table`.

        Returns
        -------
        Summary

        Raises
        ------
        OptionError
            For another ddf.
        """
        return build_summary(self, self.coef_table(ddf=ddf), ddf)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Return one row per parameter: fixed effects, then SDs, correlations and sigma.

        Use it to put estimates into a pipeline; columns are those of R's broom.mixed, in snake
        case.

        Parameters
        ----------
        level : float
            Coverage of the intervals of the fixed effects.

        Returns
        -------
        DataFrame
            Columns effect, group, term, estimate, std_error, statistic, p_value, conf_low,
            conf_high.

        Raises
        ------
        OptionError
            If level is not between 0 and 1.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
        >>> m.tidy()[["effect", "group", "term", "estimate"]].round(3)
             effect     group                 term  estimate
        0     fixed       NaN            Intercept   251.405
        1     fixed       NaN                 Days    10.467
        2  ran_pars   Subject        sd__Intercept    24.740
        3  ran_pars   Subject             sd__Days     5.922
        4  ran_pars   Subject  cor__Intercept.Days     0.066
        5  ran_pars  Residual      sd__Observation    25.592
        """
        return tidy_frame(self.coef_table(level=level), self.VarCorr)

    def glance(self) -> pd.DataFrame:
        """Return one row of facts about the whole fit.

        Returns
        -------
        DataFrame (1, 9)
            nobs, sigma, loglik, aic, bic, reml_criterion or deviance, df, df_resid, converged,
            singular.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"), reml=False)
        >>> m.glance().round(3)["deviance"].item()
        128.56
        """
        return glance_row(self)

    def __repr__(self) -> str:
        """Return a short description."""
        kind = "REML" if self.reml else "ML"
        return f"<LinearMixedModel {self.formula} by {kind}: {self.convergence.status}>"

    def __str__(self) -> str:
        """Return the printed summary."""
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().to_html()


__all__ = ["DataError", "LinearMixedModel", "Status"]
