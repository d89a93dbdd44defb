"""New responses of a fitted model, row by row, and the model fitted to another response.

A simulated response has new random effects and new residuals:

    y* = X beta + offset + Z b* + e*,    b*_j ~ N(0, sigma^2 T T'),    e*_i ~ N(0, sigma^2 / w_i).

Keeping the estimated effects instead would understate every standard error, and residuals that
ignore the weights describe another model; on request the effects of the groups in the data are
kept, which tells about new observations of these very groups. Nothing here is larger than n times
the number of responses asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.convergence import Status
from ranef.covariance.chart import Factors
from ranef.design import (
    Design,
    fixed_columns,
    fixed_offset,
    group_codes,
    new_weights,
    offset_is_unknown,
    random_columns,
    row_index,
    weights_column,
    with_response,
)
from ranef.draws import check_count, generator
from ranef.errors import (
    ConvergenceWarning,
    DataError,
    IdentifiabilityWarning,
    OptionError,
    RanefWarning,
)
from ranef.estimation import Problem
from ranef.fit import fit_design
from ranef.typing import FloatArray, IntArray, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

RandomEffectsKind: TypeAlias = Literal["new", "fitted"]


def simulate(
    model: LinearMixedModel,
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
    model : LinearMixedModel
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
    >>> simulate(m, 2, seed=1).shape
    (30, 2)
    >>> simulate(m, 3, seed=1, newdata={"Batch": ["A", "A", "new"]}, random="fitted").shape
    (3, 3)
    """
    n = check_count("n", n)
    check_choice("random", random, RandomEffectsKind)
    rng = generator(seed)
    kept = random == "fitted"
    rows = _fitted_rows(model, kept) if newdata is None else _new_rows(model, newdata, kept)
    draws = rows.draw(rng)
    values = {f"sim_{i + 1}": next(draws) for i in range(n)}
    return pd.DataFrame(values, index=rows.index)


def draw_responses(model: LinearMixedModel, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield responses (n,) of a model with new random effects, without end."""
    return _fitted_rows(model, keep_modes=False).draw(rng)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The random effects of one grouping factor.

    Attributes
    ----------
    codes : int array (m,)
    columns : tuple (k,) of float64 array (m,) or None
        None stands for ones.
    root : float64 array (k, k)
        Times its transpose the covariance matrix of the effects.
    size : int
        Levels with new effects; they follow those with modes.
    modes : float64 array (k, J)
        Effects that are kept, of the first J levels.
    """

    codes: IntArray
    columns: tuple[FloatArray | None, ...]
    root: FloatArray
    size: int
    modes: FloatArray

    def add(self, y: FloatArray, rng: np.random.Generator) -> None:
        """Add Z b to a response."""
        new = self.root @ rng.standard_normal((len(self.root), self.size))
        b = np.concatenate([self.modes, new], axis=1)
        for column, effects in zip(self.columns, b, strict=True):
            part = effects[self.codes]
            y += part if column is None else part * column


@dataclass(frozen=True, slots=True, eq=False)
class ResponseRows:
    """Rows to simulate: mean without random effects, residual SD, groups."""

    index: pd.Index
    mean: FloatArray
    sd: FloatArray | float
    groups: tuple[_Group, ...]

    def draw(self, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield responses, without end."""
        while True:
            y = rng.standard_normal(len(self.mean))
            y *= self.sd
            y += self.mean
            for group in self.groups:
                group.add(y, rng)
            yield y


def design_rows(
    design: Design,
    problem: Problem,
    beta: FloatArray,
    roots: Factors,
    sigma: float,
    modes: Sequence[FloatArray] | None = None,
) -> ResponseRows:
    """Return the rows of a design, ready to draw responses with any parameters.

    Parameters
    ----------
    design : Design
    problem : Problem
        Of this design.
    beta : float64 array (p,)
        Coefficients of the kept columns.
    roots : tuple of float64 arrays (k_f, k_f)
        Factors of the covariance matrices in the user's units, sigma included.
    sigma : float
    modes : sequence of float64 arrays (k_f, J_f), optional
        Random effects to keep instead of drawing them.
    """
    mean: FloatArray = problem.basis.columns @ beta
    if design.offset is not None:
        mean = mean + design.offset
    sd = sigma if design.weights is None else sigma / np.sqrt(design.weights)
    groups = []
    for g, (group, root) in enumerate(zip(problem.groups, roots, strict=True)):
        kept = np.zeros((group.width, 0)) if modes is None else modes[g]
        size = group.size - kept.shape[1]
        groups.append(_Group(group.codes, group.columns, root, size, kept))
    return ResponseRows(design.index, mean, sd, tuple(groups))


def _fitted_rows(model: LinearMixedModel, keep_modes: bool) -> ResponseRows:
    problem = model.problem
    modes = problem.effects(model.state) if keep_modes else None
    beta = problem.coefficients(model.state)
    return design_rows(model.design, problem, beta, _roots(model), model.sigma, modes)


def _new_rows(model: LinearMixedModel, newdata: Any, keep_modes: bool) -> ResponseRows:
    problem, design = model.problem, model.design
    if model.dropped_columns:
        raise OptionError(
            "newdata= needs a model without dropped columns, whose coefficients are all known: "
            f"leave {', '.join(model.dropped_columns[:5])} out of the formula."
        )
    X = fixed_columns(design, newdata)
    mean: FloatArray = X @ problem.coefficients(model.state)
    offset, weights = fixed_offset(design, newdata), new_weights(design, newdata)
    if offset is not None:
        mean = mean + offset
    groups = []
    for g, root in enumerate(_roots(model)):
        terms = [slot.term for slot in problem.slots if slot.factor == g]
        columns = tuple(column for term in terms for column in random_columns(term, newdata))
        found = group_codes(terms[0].grouping, newdata)
        modes = problem.effects(model.state)[g] if keep_modes else np.zeros((len(root), 0))
        new = found.codes == -1 if keep_modes else found.codes > -2
        own, labels = pd.factorize(found.labels[new])
        codes = np.maximum(found.codes, 0)
        codes[new] = modes.shape[1] + own
        mean = np.where(found.codes == -2, np.nan, mean)
        codes[found.codes == -2] = 0
        # a row without group is NaN already, but needs a level to refer to
        size = max(len(labels), 1 - modes.shape[1])
        groups.append(_Group(codes, columns, root, size, modes))
    sd = model.sigma if weights is None else model.sigma / np.sqrt(weights)
    _warn_of_arrays(design, weights)
    return ResponseRows(row_index(newdata), mean, sd, tuple(groups))


def _warn_of_arrays(design: Design, weights: FloatArray | None) -> None:
    """Say what new data do not tell: an offset, or weights, that the fit had."""
    if offset_is_unknown(design):
        warnings.warn(
            "the offset of the fit was given as an array, which says nothing about new data: "
            "responses leave it out. Give it as the name of a column, or as offset() in the "
            "formula.",
            RanefWarning,
            stacklevel=5,
        )
    name = weights_column(design)
    if weights is None and (name is not None or design.weights is not None):
        why = (
            "the weights of the fit were given as an array, which says nothing about new data"
            if name is None
            else f"newdata has no column {name!r}, which held the weights of the fit"
        )
        warnings.warn(
            f"{why}: every row has weight 1, and the residual standard deviation sigma.",
            RanefWarning,
            stacklevel=5,
        )


def _roots(model: LinearMixedModel) -> Factors:
    """Return the factors of the covariance matrices, in the user's units."""
    return tuple(
        model.sigma * (group.whitening @ T)
        for group, T in zip(model.problem.groups, model.state.factorization.T, strict=True)
    )


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
    design = with_response(model.design, y)
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
