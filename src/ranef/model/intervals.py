"""Methods of a fitted model about intervals.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from ranef.inference.bootstrap import BootstrapKind
    from ranef.inference.bootstrap_result import BootstrapResult
    from ranef.inference.confint import IntervalMethod
    from ranef.inference.profile import Profile
    from ranef.inference.variance_errors import VarianceErrors
    from ranef.model.fitted import LinearMixedModel
    from ranef.typing import DdfMethod


def confint(
    self: LinearMixedModel,
    method: IntervalMethod = "profile",
    level: float = 0.95,
    parameters: str | Iterable[str] | None = None,
    *,
    ddf: DdfMethod = "satterthwaite",
    n: int | None = None,
    seed: int | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Return confidence intervals of standard deviations, correlations, sigma and fixed effects.

    Use ``"profile"`` for variance parameters: their estimates are skew, and only this method (and
    the bootstrap) says what is known about a variance that is estimated as zero. For fixed
    effects of small data ``"wald"`` is better: its quantiles are Student's, with the degrees of
    freedom of the tests.

    Parameters
    ----------
    method : {"profile", "wald", "bootstrap"}
        Profiles are of the likelihood; a fit by REML is fitted again by maximum likelihood, as
        lme4 does.
    level : float
        Coverage, between 0 and 1.
    parameters : str or iterable of str, optional
        Names of rows, ``"theta_"`` (all variance parameters) or ``"beta_"`` (all fixed effects).
        Default: all.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom of fixed effects, for ``"wald"``.
    n, seed : int, optional
        Replicates of the bootstrap, at least 10 and 1000 by default, and its seed. What they cost
        depends on the design, see `bootstrap`.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.

    Returns
    -------
    DataFrame
        Columns lower, upper. Rows: standard deviations and correlations term by term
        (``sd_Days|Subject``, ``cor_Days.Intercept|Subject``), ``sigma``, fixed effects. NaN for
        aliased coefficients, and where Wald's method has no answer.

    Raises
    ------
    OptionError
        For another method, level, ddf, n or n_jobs, or parameters that are not names.
    UnknownVariableError
        For a parameter that the model does not have.
    FitError
        If a profile is wanted of a fit that has not converged, or finds a better one.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.confint().round(3)
                                  lower    upper
    sd_Intercept|Subject         14.381   37.716
    sd_Days|Subject               3.801    8.753
    cor_Days.Intercept|Subject   -0.481    0.685
    sigma                        22.898   28.858
    Intercept                   237.681  265.130
    Days                          7.359   13.576

    References
    ----------
    Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1), section 5.1.
    """
    from ranef.inference.confint import confint

    return confint(self, method, level, parameters, ddf=ddf, n=n, seed=seed, n_jobs=n_jobs)


def profile(
    self: LinearMixedModel,
    which: str | Iterable[str] | None = None,
    level: float = 0.99,
    n_jobs: int | None = None,
) -> Profile:
    """Profile the likelihood of a model.

    Use it to see the shape of the log-likelihood around the estimates, and for intervals of
    several levels at once; for one level `ranef.inference.confint.confint` is quicker.

    Parameters
    ----------
    which : str or iterable of str, optional
        Names of parameters (``sd_Days|Subject``, ``cor_Days.Intercept|Subject``, ``sigma``,
        ``Days``), ``"theta_"`` for all variance parameters, ``"beta_"`` for all fixed effects.
        Default: all.
    level : float
        How far the curves reach.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.

    Returns
    -------
    Profile

    Raises
    ------
    UnknownVariableError
        For a parameter that the model does not have.
    OptionError
        For another level or ``n_jobs``, or if only aliased coefficients are named.
    FitError
        If the fit has not converged, or the profile finds a better one.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"), reml=False)
    >>> print(m.profile())
    Profile likelihood intervals
    -2 log-likelihood: 327.3
    <BLANKLINE>
                       Estimate    2.5 %   97.5 %
    sd_Intercept|Batch    37.26    12.20    84.06
    sigma                 49.51    38.23    67.66
    Intercept           1527.50  1486.45  1568.55

    References
    ----------
    Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1), section 5.1.
    """
    from ranef.inference.profile import profile

    return profile(self, which, level, n_jobs)


def bootstrap(
    self: LinearMixedModel,
    n: int = 1000,
    seed: int | None = None,
    statistic: Callable[[LinearMixedModel], Any] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    kind: BootstrapKind = "parametric",
) -> BootstrapResult:
    """Return a parametric bootstrap of a model.

    Use it for intervals of variances and of functions of parameters, and wherever normal theory is
    doubtful. All parameters are quick, milliseconds per thousand replicates, with one grouping
    factor, nested ones, or crossed ones in balance. Otherwise a replicate costs about as much as
    fitting its response: a thousand take a second or more, about a seventh of lme4's time. A
    statistic of your own costs a full fit per replicate.

    Parameters
    ----------
    n : int
        Number of replicates; 1000 or more for 95 % intervals, which need at least 10.
    seed : int, optional
        The same seed gives the same replicates, with any ``n_jobs``; but others with a
        ``statistic`` than without, where responses are not drawn row by row. Without a seed,
        entropy is drawn and kept in the result.
    statistic : callable, optional
        From a fitted model to a number, array, Series or dict. By default all parameters: standard
        deviations, correlations, sigma and fixed effects. An error in a replicate is counted and
        kept, and does not end the bootstrap.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.
    progress : bool
        Show a progress bar.
    kind : {"parametric"}
        New random effects and new residuals.

    Returns
    -------
    BootstrapResult
        ``.confint()``, ``.to_frame()``, ``.replicates``, ``.n_failed``, ``.n_singular``.

    Raises
    ------
    OptionError
        For arguments that make no sense, or a statistic that returns nothing.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> result = m.bootstrap(n=2000, seed=1)
    >>> result.n, result.n_failed, list(result.names)
    (2000, 0, ['sd_Intercept|Batch', 'sigma', 'Intercept'])
    >>> list(result.confint())
    ['lower', 'upper']

    References
    ----------
    Davison, Hinkley 1997, "Bootstrap Methods and their Application".
    """
    from ranef.inference.bootstrap import bootstrap

    return bootstrap(self, n, seed, statistic, n_jobs, progress, kind)


def variance_errors(self: LinearMixedModel) -> VarianceErrors:
    """Return standard errors and the covariance matrix of the variance parameters.

    Use it for reports that ask for them, as input for meta-analysis and power calculations; for
    intervals prefer profiles, which need no symmetry.

    Returns
    -------
    VarianceErrors

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(m.variance_errors())
    Variance parameters
    <BLANKLINE>
                               Estimate Std. Error
    sd_Intercept|Subject         24.740      5.836
    sd_Days|Subject               5.922      1.248
    cor_Days.Intercept|Subject  0.06555    0.32502
    sigma                        25.592      1.508
    """
    from ranef.inference.variance_errors import variance_errors

    return variance_errors(self)
