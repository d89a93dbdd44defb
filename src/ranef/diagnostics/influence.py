"""Influence: how the fixed effects change when a row, or a whole group of rows, is left out.

At given covariance parameters theta the change is known in closed form, see
`ranef.diagnostics.deletion`; sigma is estimated again in any case. Exact deletion also estimates
theta again: one fit per case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.batch.structure import components
from ranef.design.checks import check_design
from ranef.diagnostics.deletion import Removal, delete_independent, delete_rows
from ranef.diagnostics.influence_result import Influence
from ranef.diagnostics.touched import delete_groups
from ranef.draws import check_jobs, in_parallel
from ranef.errors import DataError, FitError, OptionError
from ranef.fit import fit_design
from ranef.inference.jackknife import without
from ranef.inference.parameters import covariance_matrices, parameter_values, variance_parameters
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray, IntArray, check_flag
from ranef.variance import unknown_group

if TYPE_CHECKING:
    from ranef.design.types import Grouping

# Cases that one process fits between two reports.
FITS_PER_JOB = 8


def influence(
    model: LinearMixedModel, by: str | None = None, exact: bool = False, n_jobs: int | None = None
) -> Influence:
    """Return what leaving out each row, or each group, does to the fixed effects.

    Use it to see whether a result hangs on single observations or, more often, on single groups:
    ``by="Subject"`` leaves out one subject after the other. The covariance parameters keep their
    estimates, which makes it instantaneous; ``exact=True`` estimates them again without each case.

    Parameters
    ----------
    model : LinearMixedModel
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
    >>> found = influence(m, by="Subject")
    >>> found.cooks_distance.nlargest(2).round(3).to_dict()
    {'309': 0.149, '335': 0.129}
    >>> found.beta.loc["309"].round(2).to_dict()
    {'Intercept': 254.13, 'Days': 10.95}

    References
    ----------
    Christensen, Pearson, Johnson 1992, "Case-deletion diagnostics for mixed models",
    Technometrics 34(1); Belsley, Kuh, Welsch 1980, "Regression Diagnostics".
    """
    _check(model, by, exact)
    n_jobs = check_jobs(n_jobs)
    cases = _Cases(model, by)
    if exact:
        return _exact(model, cases, n_jobs)
    return _closed(model, cases)


def removal(model: LinearMixedModel, by: str | None) -> Removal:
    """Return the deletion of rows (None) or groups at the estimated covariance parameters."""
    cases = _Cases(model, by)
    if cases.grouping is None:
        return delete_rows(model)
    if is_independent(model, cases.codes):
        return delete_independent(model, cases.codes, len(cases.labels))
    return delete_groups(model, cases.codes, len(cases.labels))


class _Cases:
    """What is left out in turn: codes (n,) and labels of the cases."""

    def __init__(self, model: LinearMixedModel, by: str | None) -> None:
        self.by = by
        self.grouping: Grouping | None = None
        self.codes: IntArray = np.arange(model.nobs)
        self.labels: pd.Index = model.design.index
        if by is not None:
            self.grouping = groupings(model)[by]
            self.codes = self.grouping.codes
            self.labels = self.grouping.levels.rename(by)


def groupings(model: LinearMixedModel) -> dict[str, Grouping]:
    """Return the grouping factors by name, in the order of the terms."""
    return {slot.term.grouping.name: slot.term.grouping for slot in model.problem.slots}


def check_group(model: LinearMixedModel, by: Any) -> None:
    """Raise unless ``by`` is None or a grouping factor of the model."""
    if by is None:
        return
    known = groupings(model)
    if not isinstance(by, str):
        raise OptionError(
            f"by must be None (single rows) or the name of a grouping factor ({', '.join(known)}); "
            f"got {by!r}."
        )
    if by not in known:
        raise unknown_group(by, known)


def _check(model: LinearMixedModel, by: Any, exact: Any) -> None:
    check_group(model, by)
    check_flag("exact", exact)
    if len(model.problem.basis.kept) == 0:
        raise FitError(
            "the model has no fixed effects, and influence is measured on them: nothing to do."
        )


def is_independent(model: LinearMixedModel, codes: IntArray) -> bool:
    """Tell whether no group shares a random effect, directly or not, with another."""
    label, count = components(model.problem.objective.plan.products)
    component = label[0][model.problem.groups[0].codes]
    first, last = np.full(count, len(codes)), np.full(count, -1)
    np.minimum.at(first, component, codes)
    np.maximum.at(last, component, codes)
    return bool((first == last).all())


def _closed(model: LinearMixedModel, cases: _Cases) -> Influence:
    found = removal(model, cases.by)
    nu, r2 = model.problem.objective.nu, model.state.factorization.r2
    left = nu - found.size
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma2 = np.where(left > 0, np.maximum(r2 - found.loss, 0.0) / left, np.nan)
    p = len(model.problem.basis.kept)
    undetermined = found.undetermined
    return Influence(
        by=cases.by,
        exact=False,
        _fixef=model.fixef.dropna(),
        _labels=cases.labels,
        _change=found.change,
        _std_errors=np.sqrt(sigma2[:, None] * found.variance),
        _distance=found.distance / model.state.sigma2,
        _covratio=np.exp(found.logdet + p * np.log(sigma2 / model.state.sigma2)),
        _sigma=np.sqrt(sigma2),
        size=found.size,
        _notes=tuple((int(i), UNDETERMINED) for i in np.flatnonzero(undetermined)),
    )


UNDETERMINED = "the other rows do not determine all fixed effects"


def _exact(model: LinearMixedModel, cases: _Cases, n_jobs: int | None) -> Influence:
    count, p = len(cases.labels), len(model.problem.basis.kept)
    names = [parameter.name for parameter in variance_parameters(model.problem)]
    change, errors = np.full((count, p), np.nan), np.full((count, p), np.nan)
    logdet, parameters = np.full(count, np.nan), np.full((count, len(names)), np.nan)
    notes: list[tuple[int, str]] = []
    parts = [range(i, min(i + FITS_PER_JOB, count)) for i in range(0, count, FITS_PER_JOB)]
    jobs = [(model, cases.codes, part, names) for part in parts]
    for part, outcomes in zip(parts, in_parallel(_refits, jobs, n_jobs), strict=True):
        for i, outcome in zip(part, outcomes, strict=True):
            if isinstance(outcome, str):
                notes.append((i, outcome))
                continue
            beta, covariance, parameters[i] = outcome
            change[i] = model.fixef.dropna().to_numpy() - beta
            errors[i] = np.sqrt(np.diagonal(covariance))
            logdet[i] = np.linalg.slogdet(covariance)[1]
    R = model.problem.basis.R
    root = model.state.factorization.fixed_root()
    whitened = np.linalg.solve(root.T, R @ change.T) / model.sigma
    return Influence(
        by=cases.by,
        exact=True,
        _fixef=model.fixef.dropna(),
        _labels=cases.labels,
        _change=change,
        _std_errors=errors,
        _distance=(whitened * whitened).sum(axis=0),
        _covratio=np.exp(logdet - np.linalg.slogdet(model.vcov.to_numpy())[1]),
        _sigma=parameters[:, -1],
        size=np.bincount(cases.codes, minlength=count),
        _notes=tuple(notes),
        _parameters=pd.DataFrame(parameters, index=cases.labels, columns=names),
    )


_Outcome = tuple[FloatArray, FloatArray, FloatArray] | str


def _refits(
    model: LinearMixedModel, codes: IntArray, cases: range, names: list[str]
) -> list[_Outcome]:
    return [_refit(model, codes != case, names) for case in cases]


def _refit(model: LinearMixedModel, keep: Any, names: list[str]) -> _Outcome:
    """Return estimates, their covariances and the variance parameters of some rows, or why not."""
    try:
        design = without(model.design, keep)
        check_design(design)
        # theta goes by name: with fewer levels the terms may stand in another order
        fitted = fit_design(design, reml=model.reml, start=model.theta)
    except (DataError, FitError) as error:
        return str(error)
    kept = model.problem.basis.kept
    if not np.array_equal(fitted.problem.basis.kept, kept):
        return UNDETERMINED
    if not fitted.convergence.converged:
        return fitted.convergence.message
    found = variance_parameters(fitted.problem)
    T = fitted.state.factorization.T
    values = parameter_values(found, covariance_matrices(fitted.problem, T), fitted.sigma)
    by_name = dict(zip((parameter.name for parameter in found), values, strict=True))
    return (
        fitted.problem.coefficients(fitted.state),
        fitted.problem.covariance(fitted.state),
        np.array([by_name[name] for name in names]),
    )
