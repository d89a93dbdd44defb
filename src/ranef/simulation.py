"""New responses of a fitted model, row by row, and the model fitted to another response.

A simulated response has new random effects and new residuals:

    y* = X beta + offset + Z b* + e*,    b*_j ~ N(0, sigma^2 T T'),    e*_i ~ N(0, sigma^2 / w_i).

Keeping the estimated effects instead would understate every standard error, and residuals that
ignore the weights describe another model. Nothing here is larger than n times the number of
responses asked for.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.convergence import Status
from ranef.errors import ConvergenceWarning, DataError, IdentifiabilityWarning, OptionError
from ranef.fit import fit_design
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def simulate(model: LinearMixedModel, n: int = 1, seed: Any = None) -> pd.DataFrame:
    """Return responses drawn from a fitted model: new groups' effects, new residuals.

    Use it to see what data the model implies (posterior-predictive style plots), to study power,
    or to bootstrap in a way of your own; `bootstrap` is faster where it does what you need.

    Parameters
    ----------
    model : LinearMixedModel
    n : int
        Number of responses.
    seed : int, SeedSequence or numpy.random.Generator, optional
        The same seed gives the same responses; the first ones do not depend on ``n``.

    Returns
    -------
    DataFrame (nobs, n)
        Columns ``sim_1``, ``sim_2``, ..., rows with the caller's index. The offset is included;
        where the formula transforms the response, so are these.

    Raises
    ------
    OptionError
        If ``n`` is not a positive whole number, or ``seed`` is none.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> simulate(m, 2, seed=1).shape
    (30, 2)
    """
    if not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1:
        raise OptionError(f"n must be a positive whole number; got {n!r}.")
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed must be a whole number that is not negative, or a numpy Generator; got {seed!r}."
        ) from error
    draws = draw_responses(model, rng)
    values = {f"sim_{i + 1}": next(draws) for i in range(int(n))}
    return pd.DataFrame(values, index=model.design.index)


def draw_responses(model: LinearMixedModel, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield responses (n,) of a model, without end."""
    problem, design = model.problem, model.design
    mean: FloatArray = problem.basis.columns @ problem.coefficients(model.state)
    if design.offset is not None:
        mean = mean + design.offset
    sd = model.sigma if design.weights is None else model.sigma / np.sqrt(design.weights)
    roots = [
        model.sigma * (group.whitening @ T)
        for group, T in zip(problem.groups, model.state.factorization.T, strict=True)
    ]
    while True:
        y = rng.standard_normal(len(mean))
        y *= sd
        y += mean
        for group, root in zip(problem.groups, roots, strict=True):
            b = root @ rng.standard_normal((group.width, group.size))
            for column, effects in zip(group.columns, b, strict=True):
                part = effects[group.codes]
                y += part if column is None else part * column
        yield y


def refit(model: LinearMixedModel, y: Any) -> LinearMixedModel:
    """Return the same model fitted to another response.

    Use it for simulated responses, or for many responses measured on the same rows. The search
    starts at the parameters of ``model``; the result is what `ranef.fit` would return.

    Parameters
    ----------
    model : LinearMixedModel
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
    >>> again = refit(m, 2 * m.y)
    >>> round(again.sigma / m.sigma, 6)
    2.0
    """
    fitted = refitted(model, _aligned(model, y))
    verdict = fitted.convergence
    if verdict.status is Status.AMBIGUOUS:
        warnings.warn(verdict.message, IdentifiabilityWarning, stacklevel=3)
    if verdict.status is Status.NOT_CONVERGED:
        warnings.warn(verdict.message, ConvergenceWarning, stacklevel=3)
    return fitted


def refitted(model: LinearMixedModel, y: FloatArray) -> LinearMixedModel:
    """Return the model fitted to a response (n,) in the order of its rows, silently."""
    design = replace(model.design, y=y)
    return fit_design(design, reml=model.reml, start=model.theta_values)


def _aligned(model: LinearMixedModel, y: Any) -> FloatArray:
    """Return a response in the order of the model's rows."""
    index = model.design.index
    if isinstance(y, pd.Series) and not y.index.equals(index):
        if not (y.index.is_unique and index.is_unique):
            raise DataError(
                "the labels of y and of the model's rows are not unique, so they cannot be "
                "aligned: pass an array in the order of the rows, y.to_numpy()."
            )
        missing = index.difference(y.index, sort=False)
        if len(missing):
            raise DataError(
                f"y has no value for {len(missing)} of the model's {len(index)} rows, the first "
                f"is {missing[0]!r}: its index must hold the labels of the rows that were used."
            )
        y = y.reindex(index)
    try:
        values: FloatArray = np.array(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"y must be numbers; got {type(y).__name__} ({error}).") from error
    if values.shape != (model.nobs,):
        dropped = model.design.n_total - model.nobs
        hint = f" ({dropped} rows of the data were dropped for missing values)" if dropped else ""
        raise DataError(
            f"y must have one value for each of the {model.nobs} rows that the model used{hint}; "
            f"got shape {values.shape}."
        )
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(
            f"y has {bad} values that are missing or infinite: the design of a refit is fixed, "
            "call ranef.fit for data with missing values."
        )
    return values
