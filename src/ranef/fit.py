"""`ranef.fit`: the one place that orchestrates, from formula and data to a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ranef import streaming
from ranef.convergence import Status, describe
from ranef.covariance.chart import Factors, identity
from ranef.design import Design, build_design
from ranef.errors import (
    ConvergenceWarning,
    FitError,
    FormulaError,
    IdentifiabilityWarning,
    OptionError,
    RankDeficiencyWarning,
)
from ranef.estimation import Problem, make_problem
from ranef.model import LinearMixedModel
from ranef.optimize.control import Control
from ranef.optimize.driver import minimise
from ranef.typing import ContrastName, NaAction, OptimizerName, check_choice, check_flag

# A warning names this many dropped columns; `LinearMixedModel.dropped_columns` has all.
SHOWN = 10


def fit(
    formula: str,
    data: Any,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, ContrastName] | None = None,
    na_action: NaAction = "drop",
    optimizer: OptimizerName = "newton",
    start: Any = None,
    control: Control | None = None,
    context: Mapping[str, Callable[..., Any] | Any] | None = None,
) -> LinearMixedModel:
    """Fit a linear mixed-effects model.

    Use it wherever observations come in groups: repeated measures, pupils in schools, subjects
    crossed with items. The formula is lme4's.

    Parameters
    ----------
    formula : str
        For example ``"Reaction ~ Days + (Days | Subject)"``.
    data : pandas or polars DataFrame, pyarrow Table, or dict of columns
        Or data larger than memory, which are read in chunks, twice: the path, pattern or list of
        paths of Parquet, Feather or CSV files, a pyarrow Dataset, a polars LazyFrame, a DuckDB
        relation, a Dask DataFrame, a list of data frames, or a function that returns an iterator
        of them. The model then keeps no rows.
    reml : bool
        REML (default) or maximum likelihood.
    weights : str or array (n,), optional
        Prior weights w > 0: the residual variance of a row is sigma^2 / w. A column name or
        values aligned with the rows of ``data``.
    offset : str or array (n,), optional
        Known part of the mean, added to ``offset()`` terms of the formula.
    contrasts : dict, optional
        Coding per factor: ``"treatment"`` (default), ``"sum"``, ``"helmert"`` or ``"poly"``
        (default for ordered factors).
    na_action : {"drop", "raise"}
        Drop rows with missing values and count them, or refuse them.
    optimizer : {"newton", "bobyqa", "nelder-mead"}
    start : array (m,), optional
        Start values for theta, in the order of `LinearMixedModel.theta`.
    control : Control, optional
        Limits and tolerances of the optimizer.
    context : dict, optional
        Your own functions and constants that the formula may use.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    FormulaError
        If the formula cannot be read or uses unknown names; it shows where.
    DataError
        If the data cannot be used for this model.
    FitError
        If the model is not identified or does not fit into memory.
    OptionError
        If another argument has a value that is not allowed.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.convergence.status.value
    'converged'
    >>> round(m.sigma, 4)
    25.5918

    References
    ----------
    Bates, Maechler, Bolker, Walker 2015, "Fitting Linear Mixed-Effects Models Using lme4",
    Journal of Statistical Software 67(1).
    """
    check_choice("optimizer", optimizer, OptimizerName)
    check_choice("na_action", na_action, NaAction)
    check_flag("reml", reml)
    if control is None:
        control = Control()
    elif not isinstance(control, Control):
        raise OptionError(f"control must be a ranef.Control; got {control!r}.")
    if isinstance(data, str) and not isinstance(formula, str):
        raise FormulaError(
            "the formula comes first and the data second: ranef.fit(formula, data); "
            f"got {type(formula).__name__} and {data!r}."
        )
    source = streaming.open_source(data)
    if source is not None:
        with _numeric_errors():
            streamed, problem = streaming.stream_problem(
                formula,
                source,
                reml=bool(reml),
                weights=weights,
                offset=offset,
                contrasts=contrasts,
                na_action=na_action,
                context=context,
                progress=control.progress,
            )
        model = fit_problem(streamed, problem, optimizer=optimizer, start=start, control=control)
        warn_about(model)
        return model
    design = build_design(
        formula,
        data,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        na_action=na_action,
        context=context,
    )
    model = fit_design(design, reml=bool(reml), optimizer=optimizer, start=start, control=control)
    warn_about(model)
    return model


def fit_design(
    design: Design,
    *,
    reml: bool,
    optimizer: OptimizerName = "newton",
    start: Any = None,
    control: Control | None = None,
) -> LinearMixedModel:
    """Fit a design, silently: the verdict is in the model, and the caller decides what to say.

    Parameters
    ----------
    design : Design
    reml : bool
    optimizer, start, control
        As in `fit`.

    Raises
    ------
    FitError
        If the model is not identified or does not fit into memory.
    """
    with _numeric_errors():
        problem = make_problem(design, reml=reml)
    return fit_problem(design, problem, optimizer=optimizer, start=start, control=control)


def fit_problem(
    design: Design,
    problem: Problem,
    *,
    optimizer: OptimizerName = "newton",
    start: Any = None,
    control: Control | None = None,
) -> LinearMixedModel:
    """Fit a problem that was made from a design, silently.

    Parameters
    ----------
    design : Design
    problem : Problem
    optimizer, start, control
        As in `fit`.

    Raises
    ------
    FitError
        If the numbers get out of hand.
    """
    with _numeric_errors():
        begin = _begin(problem, start)
        optimum, certificate = minimise(problem.objective, begin, optimizer, control or Control())
        state = problem.objective.state(optimum.T)
    problem.objective.forget()
    return LinearMixedModel(
        formula=design.formula,
        reml=problem.objective.reml,
        design=design,
        convergence=describe(problem, optimum, certificate, optimizer),
        objective=state.value,
        problem=problem,
        state=state,
        theta_values=problem.to_public(optimum.T),
    )


@contextmanager
def _numeric_errors() -> Iterator[None]:
    """Turn numpy's errors into ours; what is not finite is checked where it matters."""
    try:
        with np.errstate(all="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise FitError(
            f"{error}: check the data for values of very different size, or give another start=."
        ) from error


def _begin(problem: Problem, start: Any) -> Factors:
    """Return where the search begins: T = I in the core's coordinates, or where the user says."""
    if start is None:
        return identity(problem.objective.blocks)
    return problem.read_theta("start", start)


def warn_about_columns(dropped: Sequence[str], stacklevel: int) -> None:
    """Warn of columns of the fixed effects that others determine, if there are any."""
    if not dropped:
        return
    more = f" and {len(dropped) - SHOWN} more" if len(dropped) > SHOWN else ""
    warnings.warn(
        f"fixed effects are rank deficient: dropped {', '.join(dropped[:SHOWN])}{more} "
        "(determined by the columns before)",
        RankDeficiencyWarning,
        stacklevel=stacklevel,
    )


def warn_about(model: LinearMixedModel, stacklevel: int = 3) -> None:
    """Issue the warnings a user must see, each once."""
    warn_about_columns(model.dropped_columns, stacklevel + 1)
    if model.convergence.status is Status.AMBIGUOUS:
        warnings.warn(model.convergence.message, IdentifiabilityWarning, stacklevel=stacklevel)
    if model.convergence.status is Status.NOT_CONVERGED:
        warnings.warn(model.convergence.message, ConvergenceWarning, stacklevel=stacklevel)
