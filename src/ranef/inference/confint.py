"""Intervals of all parameters of a model, by three methods behind one door.

* ``profile``: all values that the likelihood does not reject. No symmetry is assumed, limits stay
  in the range of a parameter, and do not depend on how it is expressed. They are computed
  directly, without a curve in between (`ranef.inference.profile` has the curves).
* ``wald``: estimate -+ quantile x standard error. For fixed effects by Student's t with the chosen
  degrees of freedom; for standard deviations and sigma on the logarithmic scale, for correlations
  by Fisher's z, from the observed information of the model's own criterion. On the boundary there
  is no such interval: a standard deviation of zero has lower limit 0 and upper limit NaN, a
  correlation of -1 or 1, or one that is not defined, has NaN.
* ``bootstrap``: percentiles of estimates from simulated responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.draws import check_count, check_jobs
from ranef.errors import OptionError
from ranef.inference.bootstrap import bootstrap
from ranef.inference.bootstrap_intervals import check_enough
from ranef.inference.parameters import variance_parameters
from ranef.inference.profile import interval_frame, normal_quantile
from ranef.inference.profile_subject import for_each, limits, parameter_names, select, subject
from ranef.inference.variance_errors import variance_errors
from ranef.inference.wald import check_level, coefficient_frame
from ranef.typing import DdfMethod, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Limits on the logarithmic scale stop here, before they overflow.
LARGEST_EXPONENT = 300.0

IntervalMethod: TypeAlias = Literal["profile", "wald", "bootstrap"]


def confint(
    model: LinearMixedModel,
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
    model : LinearMixedModel
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
    >>> from ranef.inference.confint import confint
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> confint(m).round(3)
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
    check_choice("method", method, IntervalMethod)
    check_choice("ddf", ddf, DdfMethod)
    check_level(level)
    n_jobs = check_jobs(n_jobs)
    if method != "bootstrap" and (n is not None or seed is not None):
        raise OptionError(f"n and seed are for method='bootstrap'; got method={method!r}.")
    names = parameter_names(model)
    n_variance = len(variance_parameters(model.problem))
    rows = list(select(names, n_variance, parameters, "parameters"))
    if method == "profile":
        found = _profiled(model, rows, level, n_jobs)
    elif method == "wald":
        found = _wald(model, names, level, ddf)
    else:
        n = check_enough(check_count("n", 1000 if n is None else n))
        found = bootstrap(model, n, seed=seed, n_jobs=n_jobs).confint(level, kind="percentile")
    return found.reindex(rows)


def _profiled(
    model: LinearMixedModel, rows: Sequence[str], level: float, n_jobs: int | None
) -> pd.DataFrame:
    base = subject(model)
    wanted = set(rows)
    targets = [target for target in base.targets if target.name in wanted]
    pairs = for_each(partial(limits, z=normal_quantile(level)), base, targets, n_jobs)
    return interval_frame([target.name for target in targets], pairs)


def _wald(
    model: LinearMixedModel, names: Sequence[str], level: float, ddf: DdfMethod
) -> pd.DataFrame:
    fixed = coefficient_frame(model, ddf, level)[["conf_low", "conf_high"]].to_numpy()
    pairs = [*_variance_intervals(model, level), *(tuple(row) for row in fixed)]
    return interval_frame(names, pairs)


def _variance_intervals(model: LinearMixedModel, level: float) -> list[tuple[float, float]]:
    """Return intervals of log sd and log sigma, and of Fisher's z of correlations."""
    z = normal_quantile(level)
    errors = variance_errors(model)
    out = []
    for parameter, estimate, error in zip(
        variance_parameters(model.problem), errors.estimates, errors.std_errors, strict=True
    ):
        if parameter.kind == "cor":
            # NaN where the correlation has no standard error, also at -1 and 1
            half = z * error / (1.0 - estimate * estimate) if error > 0 else np.nan
            center = np.arctanh(estimate) if error > 0 else np.nan
            out.append((float(np.tanh(center - half)), float(np.tanh(center + half))))
        elif np.isnan(error):
            out.append((0.0, np.nan))
        else:
            # a standard error much larger than the estimate: nothing is known
            factor = float(np.exp(min(z * error / estimate, LARGEST_EXPONENT)))
            out.append((float(estimate) / factor, float(estimate) * factor))
    return out
