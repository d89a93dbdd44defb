"""Methods of a fitted model about prediction, simulation and refitting.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from ranef.model.fitted import LinearMixedModel
    from ranef.prediction.predictor import IntervalKind, NewLevels
    from ranef.simulation import RandomEffectsKind
    from ranef.typing import DdfMethod


def predict(
    self: LinearMixedModel,
    newdata: Any = None,
    random: str | Iterable[str] = "all",
    new_levels: NewLevels = "error",
    interval: IntervalKind | None = None,
    level: float = 0.95,
    ddf: DdfMethod = "satterthwaite",
    theta_uncertainty: bool = True,
) -> pd.Series[float] | pd.DataFrame:
    """Predict the mean, or an observation, for the data of the fit or for new data.

    Use it for fitted curves, for new rows of known groups, and for groups that were not in the
    data. Levels, contrasts, knots and scalings are those of the fit; nothing is learned from
    ``newdata``.

    Parameters
    ----------
    newdata : data frame or dict of columns or of single values, m rows; optional
        Must have the variables of the fixed effects, of the random effects that are used, their
        groups, and offsets; not the response. None: the rows of the fit.
    random : "all", "none", or one or several names of grouping factors
        Whose random effects to add.
    new_levels : {"error", "population", "nan"}
        What to do with levels of a grouping factor that the model does not know: refuse them,
        predict with random effects of zero, or give NaN. A missing group gives NaN; under
        ``population`` it counts as an unknown level.
    interval : {"confidence", "prediction"}, optional
        For the mean that is predicted, or for a new observation.
    level : float
        Coverage of the intervals.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom; ``kenward-roger`` for confidence intervals without random effects.
    theta_uncertainty : bool
        Whether standard errors contain the uncertainty about the covariance parameters, as far as
        it moves the random effects. False: those of lme4.

    Returns
    -------
    Series (m,) named ``prediction``, or DataFrame (m, 5)
        With an interval: columns prediction, std_error, df, lower, upper. Rows are labelled as in
        the data; a missing value gives NaN in its row.

    Raises
    ------
    DataError
        For levels that the model does not know.
    UnknownVariableError
        If a variable is not there, or the model has no such grouping factor.
    OptionError
        If another argument has a value that is not allowed.
    FitError
        If rounding makes intervals impossible.

    Warns
    -----
    RankDeficiencyWarning
        If rows ask for combinations of coefficients that the data of the fit do not determine;
        they are NaN.
    RanefWarning
        If there are new data, and the offset of the fit was given as an array: it is left out.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> new = {"Days": [0, 9, 9], "Subject": ["308", "308", "another"]}
    >>> m.predict(new, new_levels="population", interval="prediction").round(1)
       prediction  std_error    df  lower  upper
    0       253.7       28.7  160.8  196.9  310.4
    1       430.7       29.3  154.1  372.7  488.6
    2       345.6       67.0   20.7  206.1  485.1

    References
    ----------
    Henderson 1975, Biometrics 31; Kackar and Harville 1984, Journal of the American Statistical
    Association 79.
    """
    from ranef.prediction import predict

    return predict(self, newdata, random, new_levels, interval, level, ddf, theta_uncertainty)


def simulate(
    self: LinearMixedModel,
    n: int = 1,
    seed: Any = None,
    random: RandomEffectsKind = "new",
    newdata: Any = None,
) -> pd.DataFrame:
    """Return responses drawn from a fitted model.

    Use it to see what data the model implies (posterior-predictive style plots), or to bootstrap
    in a way of your own; `bootstrap` is faster where it does what you need, and
    `ranef.power` repeats fits of planned studies.

    Parameters
    ----------
    n : int
        Number of responses.
    seed : int, SeedSequence or numpy.random.Generator, optional
        The same seed gives the same responses; the first ones do not depend on ``n``.
    random : {"new", "fitted"}
        New random effects for all groups in every response, as if other groups had been observed;
        or the conditional modes of the groups that the model knows, in all responses the same.
        Residuals are new in any case.
    newdata : data frame or dict of columns, m rows; optional
        Rows to simulate instead of those of the fit, as for `predict`. Groups that the model does
        not know get new effects. Weights and offsets come from the columns that they had in the
        data of the fit; if they were given as arrays, or ``newdata`` has no such column of weights,
        weights are 1 and offsets are 0, with a warning.

    Returns
    -------
    DataFrame (nobs, n) or (m, n)
        Columns ``sim_1``, ``sim_2``, ..., rows labelled as in the data. The offset is included;
        where the formula transforms the response, so are these. NaN in rows where something is
        missing.

    Raises
    ------
    OptionError
        If ``n`` is not a positive whole number, ``seed`` is none, or ``random`` something else;
        for ``newdata`` of a model with dropped columns.
    UnknownVariableError
        If ``newdata`` lacks a variable.
    DataError
        If a fixed factor of ``newdata`` has a level that it did not have in the data of the fit.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> m.simulate(2, seed=1).shape
    (30, 2)
    >>> m.simulate(3, seed=1, newdata={"Batch": ["A", "A", "new"]}, random="fitted").shape
    (3, 3)
    """
    from ranef.simulation import simulate

    return simulate(self, n, seed, random, newdata)


def refit(self: LinearMixedModel, y: Any) -> LinearMixedModel:
    """Return the same model fitted to another response.

    Use it for simulated responses, or for many responses measured on the same rows. The search
    starts at the parameters of ``model``; the result is what `ranef.fit` would return.

    Parameters
    ----------
    y : Series or array (nobs,)
        A Series is aligned by its labels with the rows that the model used; anything else goes by
        position. Offset included; transformed, where the formula transforms the response.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    DataError
        If ``y`` has the wrong length or labels, or values that are missing or not numbers.
    FitError
        If the fixed effects explain ``y`` exactly.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> again = m.refit(2 * m.y)
    >>> round(again.sigma / m.sigma, 6)
    2.0
    """
    from ranef.simulation import refit

    return refit(self, y)
