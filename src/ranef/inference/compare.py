"""Comparison of fitted models: criteria, and likelihood-ratio tests of each with the one before.

REML likelihoods are those of n - p contrasts that depend on X, so they can be compared only where
the fixed effects are the same; otherwise, and by default, models are refitted by maximum
likelihood, as lme4 does. Where a variance is tested the chi-squared distribution is conservative;
`boundary`, `parametric_lrt` and `exact_rlrt` have better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.draws import check_count, check_jobs, generator
from ranef.inference.boundary import null_mixture
from ranef.inference.columns import statistic_columns
from ranef.inference.comparable import check_criteria, check_models, check_nested
from ranef.inference.exact_rlrt import exact_rlrt
from ranef.inference.nesting import Piece
from ranef.inference.parametric_lrt import reference_distribution
from ranef.inference.refits import refit_ml
from ranef.inference.same_data import check_same_data
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.frame_result import FrameResult
from ranef.typing import check_choice, check_flag

if TYPE_CHECKING:
    from numpy.random import Generator

    from ranef.model import LinearMixedModel

CompareMethod: TypeAlias = Literal["chisq", "mixture", "bootstrap", "exact"]
_HEADERS = {
    "npar": "npar",
    "aic": "AIC",
    "bic": "BIC",
    "loglik": "logLik",
    "deviance": "-2*log(L)",
    "chisq": "Chisq",
    "df": "Df",
}
_P_HEADERS: dict[str, str] = {
    "chisq": "Pr(>Chisq)",
    "mixture": "Pr(>mixture)",
    "bootstrap": "Pr(boot)",
    "exact": "Pr(exact)",
}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(FrameResult):
    """A table of models, fewest parameters first; each is tested against the one before.

    Columns npar, aic, bic, loglik, deviance (-2 log-likelihood), chisq, df, p_value; with
    ``method="mixture"`` also distribution.

    Attributes
    ----------
    formulas : tuple of str
        In the order of the rows.
    method : {"chisq", "mixture", "bootstrap", "exact"}
        Where the p-values come from.
    reml : bool
        Whether the likelihoods are restricted.
    refitted : tuple of str
        Models that were fitted again by maximum likelihood.
    notes : tuple of str
        What a reader must know; printed under the table.
    """

    formulas: tuple[str, ...]
    method: CompareMethod
    reml: bool
    refitted: tuple[str, ...]
    notes: tuple[str, ...]

    def document(self) -> Document:
        """Return the formulas and the table, as R's anova prints them."""
        frame = self.to_frame()
        kind = "REML" if self.reml else "maximum likelihood"
        facts = zip(map(str, frame.index), self.formulas, strict=True)
        headers = _HEADERS | {"p_value": _P_HEADERS[self.method]}
        cells = [labels("", map(str, frame.index)), *statistic_columns(frame, headers)]
        if "distribution" in frame:
            cells.append(numbers("under the null hypothesis", frame["distribution"]))
        return Document(
            f"Likelihood ratios of models fit by {kind}",
            (
                Facts(tuple(Fact(name, formula, is_code=True) for name, formula in facts)),
                Table("", tuple(cells), self.notes),
            ),
        )


def compare(
    *models: LinearMixedModel,
    refit: bool = True,
    method: CompareMethod = "chisq",
    nested: bool = True,
    n: int = 1000,
    seed: Any = None,
    n_jobs: int | None = None,
    names: Sequence[str] | None = None,
) -> Comparison:
    """Compare nested models by likelihood-ratio tests: what ``anova(m1, m2)`` is in R.

    Use it to ask whether additional terms, fixed or random, improve a model. Models are sorted by
    their number of parameters and each is tested against the one before.

    Parameters
    ----------
    *models : LinearMixedModel
        At least two, fitted to the same observations.
    refit : bool
        Refit REML fits by maximum likelihood (default; a note says so). With False the fits are
        compared as they are, which needs the same fixed effects where they are REML fits.
    method : {"chisq", "mixture", "bootstrap", "exact"}
        Where p-values come from. ``chisq``: the chi-squared distribution, right for fixed effects
        in large samples, too large where a variance may be zero. ``mixture``: the mixture of
        chi-squared distributions that is right there in large samples. ``bootstrap``: ``n``
        responses drawn from the smaller model, p = (1 + #{t* >= t}) / (1 + n). ``exact``: for one
        additional variance, `exact_rlrt` with ``n`` draws; the fits are compared as they are.
    nested : bool
        With False models need not be nested: the table shows information criteria, and no tests.
    n : int
        Number of draws for ``bootstrap`` and ``exact``.
    seed : int or numpy.random.Generator, optional
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.
    names : sequence of str, optional
        One for each model, in the order of the arguments; ``m1``, ``m2``, ... by default.

    Returns
    -------
    Comparison
        Reads like a data frame; ``.to_frame()`` is one. Columns npar, aic, bic, loglik, deviance,
        chisq, df, p_value.

    Raises
    ------
    OptionError
        If there are fewer than two models, some are not nested, REML fits differ in their fixed
        effects, or ``method`` cannot answer for these models.
    DataError
        If the models were not fitted to the same observations, weights and offsets.
    NoRowsError
        If data were streamed, and rows are needed: by ``bootstrap``, or to tell whether models are
        nested whose terms have other names.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> data = ranef.datasets.load("sleepstudy")
    >>> intercepts = ranef.fit("Reaction ~ Days + (1 | Subject)", data)
    >>> slopes = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    >>> print(compare(intercepts, slopes))
    Likelihood ratios of models fit by maximum likelihood
    m1: Reaction ~ Days + (1 | Subject)
    m2: Reaction ~ Days + (Days | Subject)
    <BLANKLINE>
       npar    AIC    BIC  logLik -2*log(L)  Chisq Df Pr(>Chisq)
    m1    4 1802.1 1814.9 -897.04    1794.1
    m2    6 1763.9 1783.1 -875.97    1751.9 42.139  2  7.072e-10
    Fitted again by maximum likelihood instead of REML: m1, m2.

    References
    ----------
    Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1); for the boundary
    Stram, Lee 1994, Biometrics 50; for the bootstrap Halekoh, Hojsgaard 2014, Journal of
    Statistical Software 59(9).
    """
    check_choice("method", method, CompareMethod)
    check_flag("refit", refit)
    check_flag("nested", nested)
    n, rng, workers = check_count("n", n), generator(seed), check_jobs(n_jobs)
    called = check_models(models, names)
    check_same_data(models, called)
    refitted: tuple[str, ...] = ()
    fits = list(models)
    if refit and method != "exact":
        refitted = tuple(name for name, m in zip(called, models, strict=True) if m.reml)
        fits = [refit_ml(model) for model in models]
    check_criteria(fits, called)
    order = sorted(range(len(fits)), key=lambda i: fits[i].df)
    fits, called = [fits[i] for i in order], [called[i] for i in order]
    notes = _notes(refitted, fits, called)
    frame = _criteria(fits, called)
    if nested:
        neighbours = list(zip(fits, fits[1:], called, called[1:], strict=False))
        pairs = [
            _Pair(small, large, check_nested(small, large, name, other), n, rng, workers)
            for small, large, name, other in neighbours
        ]
        answers = [_test(method, pair) for pair in pairs]
        frame["p_value"] = [np.nan, *(answer.p_value for answer in answers)]
        if method == "mixture":
            frame["distribution"] = ["", *(answer.distribution for answer in answers)]
        notes += dict.fromkeys(note for answer in answers for note in answer.notes)
    else:
        frame["chisq"] = frame["df"] = np.nan
        notes.append("Not tested, as the models need not be nested: compare AIC or BIC.")
    formulas = tuple(str(model.formula) for model in fits)
    return Comparison(frame, formulas, method, fits[0].reml, refitted, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A p-value, the distribution it comes from, and what to say about it."""

    p_value: float
    distribution: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two nested models, and how to draw where it takes draws."""

    small: LinearMixedModel
    large: LinearMixedModel
    pieces: tuple[Piece, ...]
    n: int
    rng: Generator
    n_jobs: int | None

    @property
    def df(self) -> int:
        return self.large.df - self.small.df

    @property
    def statistic(self) -> float:
        return max(0.0, self.small.objective - self.large.objective)


def _test(method: CompareMethod, pair: _Pair) -> _Answer:
    return _Answer(float("nan")) if pair.df == 0 else _TESTS[method](pair)


def _chi_squared(pair: _Pair) -> _Answer:
    from scipy.special import chdtrc  # slow to import, and not needed for a fit

    return _Answer(float(chdtrc(pair.df, pair.statistic)))


def _mixture(pair: _Pair) -> _Answer:
    mixture = null_mixture(pair.small, pair.large, pair.pieces, pair.df)
    return _Answer(mixture.tail(pair.statistic), str(mixture))


def _bootstrap(pair: _Pair) -> _Answer:
    found = reference_distribution(pair.small, pair.large, pair.n, pair.rng, pair.n_jobs)
    notes = [f"{pair.n} responses drawn from the smaller model of each pair."]
    if found.failed:
        notes.append(f"{found.failed} of them could not be fitted, and do not count.")
    return _Answer(found.p_value(pair.statistic), notes=tuple(notes))


def _exact(pair: _Pair) -> _Answer:
    found = exact_rlrt(pair.large, pair.small, pair.n, pair.rng)
    note = (
        f"{pair.n} draws from the distribution for one variance; approximate, as other random "
        "effects are treated as known."
    )
    return _Answer(found.p_value, notes=(note,))


_TESTS: dict[CompareMethod, Callable[[_Pair], _Answer]] = {
    "chisq": _chi_squared,
    "mixture": _mixture,
    "bootstrap": _bootstrap,
    "exact": _exact,
}


def _criteria(fits: Sequence[LinearMixedModel], called: Sequence[str]) -> pd.DataFrame:
    deviance = np.array([model.objective for model in fits])
    npar = np.array([model.df for model in fits])
    nothing = np.full(1, np.nan)
    return pd.DataFrame(
        {
            "npar": npar,
            "aic": [model.aic for model in fits],
            "bic": [model.bic for model in fits],
            "loglik": [model.loglik for model in fits],
            "deviance": deviance,
            "chisq": np.append(nothing, np.maximum(0.0, -np.diff(deviance))),
            "df": np.append(nothing, np.diff(npar)),
            "p_value": np.nan,
        },
        index=list(called),
    )


def _notes(
    refitted: Sequence[str], fits: Sequence[LinearMixedModel], called: Sequence[str]
) -> list[str]:
    notes = []
    if refitted:
        notes.append(f"Fitted again by maximum likelihood instead of REML: {', '.join(refitted)}.")
    for model, name in zip(fits, called, strict=True):
        if not model.convergence.converged:
            notes.append(f"{name} did not converge: {model.convergence.message}")
    return notes
