"""The fitted model: immutable, complete when constructed, printing like lme4.

Properties are cheap and take no arguments; what costs more than a look-up is computed at first use
and kept. Methods stand in the files beside this one, by subject; the class only names them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.convergence import Convergence
from ranef.covariance.chart import Factors
from ranef.design.types import Design
from ranef.effects import FrozenFrames, RandomEffects
from ranef.estimates import (
    fitted_values,
    group_sizes,
    level_coefficients,
    random_effects,
    variance_components,
)
from ranef.estimation import Problem
from ranef.formula.terms import ModelFormula
from ranef.model import (
    changing,
    diagnostics,
    explaining,
    fixed,
    intervals,
    maketables,
    means,
    prediction,
    quality,
    reports,
    tests,
)
from ranef.modelmatrix import random_matrix
from ranef.objective import State
from ranef.typing import FloatArray, ResidualKind, check_choice
from ranef.variance import VarCorr


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
    objective: float
    problem: Problem
    state: State
    theta_values: FloatArray

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Pickle without the factorisation, which is large and can be computed again."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "state"}
        return (_restore, (kept, self.state.factorization.T))

    def __post_init__(self) -> None:
        self.theta_values.flags.writeable = False
        self.state.lock()

    @property
    def theta(self) -> pd.Series[float]:
        """Relative covariance parameters: lower Cholesky factors by column, most levels first."""
        return pd.Series(self.theta_values, index=self.problem.theta_names(), copy=True)

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.problem.objective.plan.products.n

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of every grouping factor."""
        return group_sizes(self.problem)

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, theta, residual variance."""
        return len(self.problem.basis.kept) + len(self.theta_values) + 1

    @property
    def df_resid(self) -> int:
        """Observations minus parameters."""
        return self.nobs - self.df

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
    def _prepared(self) -> dict[str, Any]:
        """See `ranef.model.prepared`."""
        return {}

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

    @property
    def sigma(self) -> float:
        """Residual standard deviation, of an observation with weight 1."""
        return float(np.sqrt(self.state.sigma2))

    @cached_property
    def VarCorr(self) -> VarCorr:
        """Variances, standard deviations and correlations of the random effects."""
        return variance_components(self.problem, self.theta_values, self.state.sigma2)

    @property
    def is_singular(self) -> bool:
        """True if some combination of random effects has no variance."""
        return bool(self.convergence.null_directions)

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
        return self.problem.objective.value(self.problem.read_theta("theta", theta))

    @cached_property
    def ranef(self) -> RandomEffects:
        """Conditional modes of the random effects, with conditional SDs and covariances."""
        return random_effects(self.problem, self.state)

    @cached_property
    def coef(self) -> FrozenFrames:
        """Coefficients of every level: fixed effects plus conditional modes."""
        return level_coefficients(self.problem, self.state, self.fixef)

    @cached_property
    def _mu(self) -> FloatArray:
        return fitted_values(self.problem, self.state, self.design.offset)

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
        kind : {"response", "pearson", "scaled", "studentized", "marginal", "normalized"}
            ``response``: y - fitted, in the units of the response. ``pearson``: multiplied by
            the square root of the weight. ``scaled``: response divided by `sigma`, as lme4's
            ``residuals(m, scaled = TRUE)``; weights play no role in it. The others are described
            at `ranef.diagnostics.residuals`, which has all of them.

        Raises
        ------
        OptionError
            For any other kind.
        FitError
            For ``normalized`` where crossed factors tie too many rows together.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
        >>> m.residuals("scaled").round(2).head(3).tolist()
        [0.22, -0.28, -0.03]
        """
        check_choice("kind", kind, ResidualKind)
        values = self.design.y - self._mu
        if kind == "pearson" and self.design.weights is not None:
            values *= np.sqrt(self.design.weights)
        elif kind == "scaled":
            values /= self.sigma
        elif kind not in ("response", "pearson"):
            from ranef.diagnostics import residuals

            return residuals(self, kind)
        return pd.Series(values, index=self.design.index, name="resid")

    @property
    def X(self) -> FloatArray | sparse.csc_array:
        """Fixed-effects model matrix, aliased columns included; dense or scipy.sparse."""
        X = self.design.X
        return X.copy() if sparse.issparse(X) else X

    @property
    def Z(self) -> sparse.csr_array:
        """Random-effects model matrix (n, q): term by term, level by level."""
        return random_matrix([slot.term for slot in self.problem.slots])

    @property
    def y(self) -> FloatArray:
        """Response of the used rows."""
        return self.design.y

    coef_table = fixed.coef_table
    summary = fixed.summary
    tidy = reports.tidy
    glance = reports.glance
    to_markdown = reports.to_markdown
    to_latex = reports.to_latex
    to_html = reports.to_html
    to_great_tables = reports.to_great_tables
    to_marginaleffects = reports.to_marginaleffects
    __maketables_coef_table__ = property(maketables.coefficients)
    __maketables_stat__ = maketables.statistic
    __maketables_depvar__ = property(maketables.response)
    __maketables_stat_labels__ = property(maketables.labels)
    __maketables_default_stat_keys__ = property(maketables.default_statistics)
    __maketables_vcov_info__ = property(maketables.covariance)

    anova = tests.anova
    contest = tests.contest
    drop1 = tests.drop1
    ranova = tests.ranova

    r2 = quality.r2
    icc = quality.icc
    caic = quality.caic
    pca = quality.pca

    leverage = diagnostics.leverage
    cooks_distance = diagnostics.cooks_distance
    influence = diagnostics.influence
    augment = diagnostics.augment
    check = diagnostics.check

    predict = prediction.predict
    simulate = prediction.simulate
    refit = prediction.refit
    update = changing.update

    confint = intervals.confint
    profile = intervals.profile
    bootstrap = intervals.bootstrap
    variance_errors = intervals.variance_errors

    emmeans = means.emmeans
    emtrends = means.emtrends
    joint_tests = means.joint_tests

    equations = explaining.equations
    implied_covariance = explaining.implied_covariance
    save = explaining.save

    def __repr__(self) -> str:
        kind = "REML" if self.reml else "ML"
        return f"<LinearMixedModel {self.formula} by {kind}: {self.convergence.status}>"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().to_html()


def _restore(kept: dict[str, Any], T: Factors) -> LinearMixedModel:
    """Return an unpickled model: one factorisation at its optimum."""
    return LinearMixedModel(**kept, state=kept["problem"].objective.state(T))
