"""Predictions, their standard errors and intervals: the front of the room.

Two kinds of interval answer two questions. ``confidence``: where is the mean that is predicted,
x'beta plus the random effects that were asked for? ``prediction``: where would a new observation
fall? The second adds the residual variance, and the variance of all groups that were not asked
for: an observation has them whether one knows its groups or not.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.design import new_weights, offset_is_unknown
from ranef.errors import FitError, OptionError, RanefWarning, RankDeficiencyWarning
from ranef.inference.fixed_tests import fixed_tests
from ranef.inference.wald import check_level, t_quantile
from ranef.model import LinearMixedModel
from ranef.prediction.rows import Rows, factor_names, fitted_rows, new_rows
from ranef.prediction.uncertainty import FEWEST, degrees_of_freedom, theta_variances
from ranef.prediction.variances import relative_variances
from ranef.typing import DdfMethod, FloatArray, check_choice, check_flag
from ranef.variance import unknown_group

NewLevels: TypeAlias = Literal["error", "population", "nan"]
IntervalKind: TypeAlias = Literal["confidence", "prediction"]
# A warning names this many dropped columns.
SHOWN = 10


def predict(
    model: LinearMixedModel,
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
    model : LinearMixedModel
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
    >>> predict(m, new, new_levels="population", interval="prediction").round(1)
       prediction  std_error    df  lower  upper
    0       253.7       28.7  160.8  196.9  310.4
    1       430.7       29.3  154.1  372.7  488.6
    2       345.6       67.0   20.7  206.1  485.1

    References
    ----------
    Henderson 1975, Biometrics 31; Kackar and Harville 1984, Journal of the American Statistical
    Association 79.
    """
    check_choice("new_levels", new_levels, NewLevels)
    check_choice("ddf", ddf, DdfMethod)
    if interval is not None:
        check_choice("interval", interval, IntervalKind)
    check_level(level)
    check_flag("theta_uncertainty", theta_uncertainty)
    asked = _asked(model, random)
    if ddf == "kenward-roger" and (asked or interval == "prediction"):
        raise OptionError(
            "ddf='kenward-roger' is defined for fixed effects only: use it with random='none' and "
            "interval='confidence', or use ddf='satterthwaite'."
        )
    rest = interval == "prediction"
    if newdata is None:
        rows = fitted_rows(model, asked, rest)
    else:
        rows = new_rows(model, newdata, asked, rest, new_levels)
    prediction = _means(model, rows)
    _warn(model, rows)
    if newdata is not None:
        _warn_of_offset(model)
    if interval is None:
        return pd.Series(prediction, index=rows.index, name="prediction")
    if ddf == "kenward-roger":
        variance, df = _fixed_errors(model, rows)
    else:
        noise = _noise(model, newdata, rows) if rest else np.zeros(rows.size)
        try:
            variance, df = _errors(model, rows, noise, bool(asked), ddf, theta_uncertainty)
        except np.linalg.LinAlgError as error:
            raise FitError(
                f"{error}: no intervals; try ddf='normal' with theta_uncertainty=False."
            ) from error
    std_error = np.where(rows.determined, np.sqrt(variance), np.nan)
    # without variance there is nothing to be said about df, but the interval is the point itself
    quantile = t_quantile(np.where(std_error > 0.0, df, np.inf), 0.5 + 0.5 * level)
    half = quantile * std_error
    return pd.DataFrame(
        {
            "prediction": prediction,
            "std_error": std_error,
            "df": np.where(np.isnan(std_error), np.nan, df),
            "lower": prediction - half,
            "upper": prediction + half,
        },
        index=rows.index,
    )


def _asked(model: LinearMixedModel, random: Any) -> frozenset[int]:
    """Return the grouping factors (core's order) whose effects are wanted."""
    names = factor_names(model.problem)
    if isinstance(random, str):
        if random == "all":
            return frozenset(names.values())
        wanted = [] if random == "none" else [random]
    else:
        try:
            wanted = list(random)
        except TypeError:
            wanted = [random]
    for name in wanted:
        if not isinstance(name, str):
            raise OptionError(
                "random must be 'all', 'none', or names of grouping factors "
                f"({', '.join(names)}); got {random!r}."
            )
        if name not in names:
            raise unknown_group(name, names)
    return frozenset(names[name] for name in wanted)


def _means(model: LinearMixedModel, rows: Rows) -> FloatArray:
    """Return x'beta + offset + z'b for every row; NaN where it is not determined."""
    problem, state = model.problem, model.state
    mean: FloatArray = rows.X @ problem.coefficients(state)
    mean[~rows.determined] = np.nan
    if rows.offset is not None:
        mean = mean + rows.offset
    for group in rows.groups:
        codes, z = group.known_z(slice(None))
        for column, effects in zip(z, state.solution.b[group.factor], strict=True):
            mean += column * effects[codes]
    return mean


def _errors(
    model: LinearMixedModel,
    rows: Rows,
    noise: FloatArray,
    conditional: bool,
    ddf: DdfMethod,
    theta_uncertainty: bool,
) -> tuple[FloatArray, FloatArray]:
    """Return variances of the prediction errors, and their degrees of freedom.

    Parameters
    ----------
    noise : float64 array (m,)
        Variance of the observation, relative to sigma^2.
    conditional : bool
        Whether random effects were asked for; without them the variance is that of x'beta as in
        all tables of fixed effects.
    """
    relative = relative_variances(model.problem, model.state.factorization.T, rows) + noise
    variance = model.state.sigma2 * relative
    df = np.full(rows.size, np.inf)
    if ddf == "satterthwaite":
        alone = not conditional and not rows.groups
        df = degrees_of_freedom(model, rows, relative, least=0.0 if alone else FEWEST)
    if theta_uncertainty and conditional:
        variance = variance + theta_variances(model, rows)
    return variance, df


def _fixed_errors(model: LinearMixedModel, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return variances and degrees of freedom of x'beta by Kenward and Roger's method."""
    tests = fixed_tests(model, "kenward-roger")
    variance, df = np.full((2, rows.size), np.nan)
    X = rows.fixed(slice(None))[rows.determined]
    variance[rows.determined], df[rows.determined] = tests.row_errors(X) ** 2, tests.row_df(X)
    return variance, df


def _noise(model: LinearMixedModel, newdata: Any, rows: Rows) -> FloatArray:
    """Return 1 / w: the residual variance of an observation, relative to sigma^2."""
    design = model.design
    weights = design.weights if newdata is None else new_weights(design, newdata)
    return np.ones(rows.size) if weights is None else 1.0 / weights


def _warn(model: LinearMixedModel, rows: Rows) -> None:
    if rows.inestimable:
        dropped = ", ".join(model.dropped_columns[:SHOWN])
        warnings.warn(
            f"{rows.inestimable} of {rows.size} rows cannot be predicted and are NaN: they ask for "
            "a combination of coefficients that the data of the fit do not determine (dropped: "
            f"{dropped})",
            RankDeficiencyWarning,
            stacklevel=4,
        )


def _warn_of_offset(model: LinearMixedModel) -> None:
    """Say that an offset given as an array is not known for new data."""
    if offset_is_unknown(model.design):
        warnings.warn(
            "the offset of the fit was given as an array, which says nothing about new data: "
            "predictions leave it out. Give it as the name of a column, or as offset() in the "
            "formula.",
            RanefWarning,
            stacklevel=4,
        )
