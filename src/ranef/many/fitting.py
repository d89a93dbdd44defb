"""`ranef.fit_many`: one model, many responses.

Everything that depends on the rows is summed in blocks of responses, and every block is fitted
together (`ranef.many.block`). Blocks depend on the data only, so workers change nothing; they are
read when they are due, so nothing of the size of all responses is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ranef.design.frame import open_frame
from ranef.draws import check_jobs, in_parallel, with_progress
from ranef.errors import FitError, OptionError
from ranef.fit import warn_about_columns
from ranef.inference.emmeans.adjust import Family, adjusted_p
from ranef.inference.wald import t_tail
from ranef.many.block import FAILED, Block, Fitter, fit_block, make_fitter
from ranef.many.missing import Tasks, find_patterns
from ranef.many.responses import open_responses
from ranef.many.result import Adjust, ManyFits
from ranef.many.shared import share
from ranef.typing import ContrastName, DdfMethod, FloatArray, IntArray, check_choice, check_flag

OTHER_TERMS = (
    "the rows without missing values lack levels of a factor, so that its coefficients would mean "
    "something else; fit this response on its own: result.model({label!r})."
)


def fit_many(
    formula: str,
    data: Any,
    responses: Any,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, ContrastName] | None = None,
    ddf: DdfMethod = "satterthwaite",
    adjust: Adjust | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> ManyFits:
    """Fit one mixed model to many responses measured on the same rows.

    Use it for voxels, genes, proteins, sensors or items: wherever a loop over `ranef.fit` would
    change nothing but the response. Estimates, verdicts and tests are those of `ranef.fit`, at a
    cost of microseconds for each response.

    Parameters
    ----------
    formula : str
        ``"~ x + (1 | g)"``. A name before ``~`` is a placeholder that stands for each response.
    data : pandas or polars DataFrame, pyarrow Table, or dict of columns
        Predictors and groups, n rows.
    responses : list of str, DataFrame, or array (n, m)
        Columns of ``data``; or a data frame, aligned by its index if both are pandas'; or numbers
        by position. They are read in blocks and not copied as a whole.
    reml : bool
        REML (default) or maximum likelihood.
    weights, offset, contrasts
        As in `ranef.fit`; for all responses the same.
    ddf : {"satterthwaite", "normal"}
        Degrees of freedom of the fixed effects.
    adjust : {"fdr", "holm", "hochberg", "bonferroni", "sidak"}, optional
        Adjust the p-values of each fixed effect for the number of responses that have one.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ManyFits
        Responses that cannot be fitted are NaN in it, with the reason in `ManyFits.fits`.

    Raises
    ------
    FormulaError
        If the formula cannot be read, transforms its response, or uses unknown names.
    DataError
        If predictors or responses cannot be used.
    FitError
        If no response could be fitted with these predictors.
    OptionError
        If another argument has a value that is not allowed.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import numpy as np, ranef
    >>> data = ranef.datasets.load("sleepstudy")
    >>> Y = np.outer(data["Reaction"], [1.0, 2.0, 3.0])
    >>> result = fit_many("~ Days + (Days | Subject)", data, Y)
    >>> result.term("Days")["estimate"].round(2).tolist()
    [10.47, 20.93, 31.4]
    """
    _check(reml, ddf, adjust)
    jobs = check_jobs(n_jobs)
    frame = open_frame(data)
    opened = open_responses(responses, frame, data)
    named = [str(label) for label in opened.labels]
    shared = share(formula, frame, named, weights=weights, offset=offset, contrasts=contrasts)
    whole = make_fitter(shared, None, reml=bool(reml), ddf=ddf, count=opened.size)
    if isinstance(whole, str):
        raise FitError(whole)
    _warn_about_columns(whole)
    patterns = find_patterns(opened, whole.rows, shared.size)
    tasks = Tasks(shared, opened, patterns, whole, reml=bool(reml))
    found = _Collected(whole, opened.size)
    counts = [len(tasks.members(i)) for i in range(len(tasks))]
    blocks = in_parallel(fit_block, tasks, jobs)
    for i, block in enumerate(with_progress(blocks, counts, "response") if progress else blocks):
        found.add(block, tasks.members(i), opened.labels)
    statistic = found.estimate / found.std_error
    p_value = 2.0 * t_tail(found.df, np.abs(statistic))
    return ManyFits(
        formula=str(shared.formula),
        reml=whole.problem.objective.reml,
        ddf=ddf,
        adjust=adjust,
        labels=opened.labels,
        terms=found.terms,
        parameters=found.parameters,
        estimate=found.estimate,
        std_error=found.std_error,
        df=found.df,
        statistic=statistic,
        p_value=p_value,
        p_adjusted=None if adjust is None else _adjusted(statistic, found.df, adjust),
        variance=found.variance,
        objective=found.objective,
        nobs=found.nobs,
        status=found.status,
        failures=tuple(sorted(found.messages.items())),
        n_patterns=len(patterns),
        shared=shared,
        responses=opened,
    )


def _check(reml: Any, ddf: Any, adjust: Any) -> None:
    check_flag("reml", reml)
    if ddf == "kenward-roger":
        raise OptionError(
            "fit_many has ddf='satterthwaite' and 'normal'; for Kenward-Roger ask single models, "
            "result.model(label).coef_table(ddf='kenward-roger')."
        )
    check_choice("ddf", ddf, DdfMethod)
    if adjust is not None:
        check_choice("adjust", adjust, Adjust)


def _warn_about_columns(whole: Fitter) -> None:
    kept = set(whole.problem.basis.kept.tolist())
    dropped = [name for j, name in enumerate(whole.terms) if j not in kept]
    warn_about_columns(dropped, stacklevel=4)


def _adjusted(statistic: FloatArray, df: FloatArray, adjust: Adjust) -> FloatArray:
    """Return p-values (m, p), adjusted column by column for those that exist."""
    out = np.full(statistic.shape, np.nan)
    for j, (t, nu) in enumerate(zip(statistic.T, df.T, strict=True)):
        known = ~np.isnan(t)
        count = int(np.count_nonzero(known))
        if count:
            family = Family(count, float(count), np.zeros((0, 0)), count)
            out[known, j] = adjusted_p(t[known], nu[known], family, adjust, "two-sided")
    return out


class _Collected:
    """The results of all responses while blocks come in, in the order of the whole design."""

    def __init__(self, whole: Fitter, size: int) -> None:
        self.terms = whole.terms
        self.parameters = tuple(parameter.name for parameter in whole.parameters)
        shape = size, len(self.terms)
        self.estimate, self.std_error = np.full(shape, np.nan), np.full(shape, np.nan)
        self.df = np.full(shape, np.nan)
        self.variance = np.full((size, len(self.parameters)), np.nan)
        self.objective = np.full(size, np.nan)
        self.nobs = np.zeros(size, dtype=np.int64)
        self.status = np.full(size, FAILED, dtype=np.int8)
        self.messages: dict[int, str] = {}

    def add(self, block: Block, members: IntArray, labels: pd.Index) -> None:
        """Take over a block."""
        self.nobs[members] = block.nobs
        for b, message in block.messages.items():
            self.messages[int(members[b])] = message
        if not block.terms and not block.parameters:
            return
        same = set(block.terms) == set(self.terms)
        if not (same and set(block.parameters) == set(self.parameters)):
            for i in members.tolist():
                self.messages.setdefault(i, OTHER_TERMS.format(label=labels[i]))
            return
        by_term = [block.terms.index(name) for name in self.terms]
        for own, new in (
            (self.estimate, block.estimate),
            (self.std_error, block.std_error),
            (self.df, block.df),
        ):
            own[members] = new[:, by_term]
        self.variance[members] = block.variance[
            :, [block.parameters.index(name) for name in self.parameters]
        ]
        self.objective[members], self.status[members] = block.objective, block.status
