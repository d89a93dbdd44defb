"""Methods of a fitted model about what to look at before it is believed.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from ranef.diagnostics.check import ModelCheck
    from ranef.diagnostics.influence_result import Influence
    from ranef.model.fitted import LinearMixedModel


def leverage(self: LinearMixedModel) -> pd.Series[float]:
    """Return the hat values: the derivative of every fitted value by its own observation.

    Use it to find rows that the fit follows closely because nothing else in the data speaks for
    them. Values lie between 0 and 1; their sum is the effective number of parameters of the
    fitted values. The covariance parameters count as known, as in lme4's ``hatvalues``.

    Returns
    -------
    Series (nobs,)
        Named ``leverage``, with the caller's index.

    Raises
    ------
    OptionError
        For something that is no model.
    NoRowsError
        If the model was fitted to streamed data.
    FitError
        If rounding makes the equations of the model indefinite.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> h = m.leverage()
    >>> round(float(h.iloc[0]), 4), round(float(h.sum()), 4)
    (0.2293, 29.0221)

    References
    ----------
    Demidenko, Stukel 2005, "Influence analysis for linear mixed-effects models", Statistics in
    Medicine 24(6).
    """
    from ranef.diagnostics import leverage

    return leverage(self)


def cooks_distance(self: LinearMixedModel, by: str | None = None) -> pd.Series[float]:
    """Return Cook's distances of rows, or of the levels of a grouping factor.

    Use it to find what the fit leans on. For rows it is lme4's ``cooks.distance``, computed from
    residuals and leverages. For groups it is how far the fixed effects move when the group is left
    out (see `influence`): delta' Cov(beta)^-1 delta / p at the estimated covariance parameters.

    Parameters
    ----------
    by : str, optional
        A grouping factor of the model; single rows by default.

    Returns
    -------
    Series
        Named ``cooks_distance``; one value per row, with the caller's index, or per level. NaN
        where a row is fitted exactly, where the others do not determine all fixed effects, and
        for rows of a model without fixed effects.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If ``by`` is neither None nor a name.
    FitError
        If ``by`` is a group and the model has no fixed effects.
    NoRowsError
        If the model was fitted to streamed data.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> round(float(m.cooks_distance().iloc[0]), 5)
    0.00496
    >>> m.cooks_distance(by="Subject").nlargest(2).round(3).to_dict()
    {'309': 0.149, '335': 0.129}

    References
    ----------
    Cook 1977, "Detection of influential observation in linear regression", Technometrics 19(1).
    """
    from ranef.diagnostics import cooks_distance

    return cooks_distance(self, by)


def influence(
    self: LinearMixedModel, by: str | None = None, exact: bool = False, n_jobs: int | None = None
) -> Influence:
    """Return what leaving out each row, or each group, does to the fixed effects.

    Use it to see whether a result hangs on single observations or, more often, on single groups:
    ``by="Subject"`` leaves out one subject after the other. The covariance parameters keep their
    estimates, which makes it instantaneous; ``exact=True`` estimates them again without each case.

    Parameters
    ----------
    by : str, optional
        A grouping factor of the model; single rows by default.
    exact : bool
        Refit the model without each case: one fit per case.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.

    Returns
    -------
    Influence
        ``.beta``, ``.dfbeta``, ``.dfbetas``, ``.cooks_distance``, ``.covratio``, ``.sigma``,
        ``.notes``, ``.to_frame()``. Where the other rows do not determine all fixed effects, a
        case has NaN, and a note says so.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If an argument has a value that is not allowed.
    FitError
        If the model has no fixed effects, or rounding hides what a group contributes.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> found = m.influence(by="Subject")
    >>> found.cooks_distance.nlargest(2).round(3).to_dict()
    {'309': 0.149, '335': 0.129}
    >>> found.beta.loc["309"].round(2).to_dict()
    {'Intercept': 254.13, 'Days': 10.95}

    References
    ----------
    Christensen, Pearson, Johnson 1992, "Case-deletion diagnostics for mixed models",
    Technometrics 34(1); Belsley, Kuh, Welsch 1980, "Regression Diagnostics".
    """
    from ranef.diagnostics import influence

    return influence(self, by, exact, n_jobs)


def augment(self: LinearMixedModel) -> pd.DataFrame:
    """Return the variables of the model, with fitted values, residuals and diagnostics per row.

    Use it for plots and further computations: rows are those that the model used, with the
    caller's index.

    Returns
    -------
    DataFrame (nobs, variables + 11)
        The variables that the model uses, then fitted, resid, hat, cooksd, fixed, mu, offset,
        sqrt_xwt, sqrt_rwt, weights, wtres. One that is called like a variable of the model has a
        dot before its name, or more. After a `refit` with a transformed response, the values that
        the model was fitted to stand under the label of the response, such as ``log(y)``.

    Raises
    ------
    NoRowsError
        If the model was fitted to streamed data.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.augment()[["Reaction", "Subject", "fitted", "resid", "hat", "fixed"]].head(2).round(2)
       Reaction Subject  fitted  resid   hat   fixed
    0    249.56     308  253.66  -4.10  0.23  251.41
    1    258.70     308  273.33 -14.63  0.17  261.87
    """
    from ranef.diagnostics import augment

    return augment(self)


def check(self: LinearMixedModel) -> ModelCheck:
    """Check what a mixed model assumes, and say in words what was found.

    Use it after a fit, before conclusions. It looks at convergence, singularity, the distribution
    of residuals and random effects, equality of the residual variance, influential groups,
    collinearity and the scales of predictors. Each of the four tests aims at a level of 1 %
    over all that it looks at; together they call 1 to 5 % of good models into doubt. What is not
    rejected is not proved: in small data little can be seen.

    Returns
    -------
    ModelCheck
        ``.ok``, ``.findings``, ``.to_look_at``, ``.inflation``, ``.to_frame()``; prints.

    Raises
    ------
    NoRowsError
        If the model was fitted to streamed data.
    FitError
        If rounding makes the equations of the model indefinite.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("strength ~ 1 + (1 | batch/cask)", ranef.datasets.load("pastes"))
    >>> m.check().ok
    True

    References
    ----------
    Pinheiro, Bates 2000, "Mixed-Effects Models in S and S-PLUS", section 4.3.
    """
    from ranef.diagnostics import check

    return check(self)
