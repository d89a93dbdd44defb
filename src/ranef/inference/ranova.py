"""Tests of every random effect that can be left out, as lmerTest's ranova.

A term with several effects is reduced by one at a time: `(x | g)` to `(1 | g)`; a term with a
single effect is left out. `(x || g)` stands for `(1 | g) + (0 + x | g)`. The likelihoods are those
of the fit, REML or not, as the fixed effects stay. Without any random term the criterion is that of
T = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from ranef.design.spec import ColumnSpec
from ranef.design.types import RandomTerm
from ranef.errors import OptionError
from ranef.formula.terms import GroupTerm, Term, TermSum
from ranef.inference.boundary import null_mixture
from ranef.inference.columns import statistic_columns
from ranef.inference.drop1 import droppable
from ranef.inference.nesting import embed_random
from ranef.inference.refits import refit_formula
from ranef.names import make_unique
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.frame_result import FrameResult
from ranef.typing import check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# the columns, with p_mixture and distribution last
_Row: TypeAlias = tuple[int, float, float, float, float, float, float, str]
_HEADERS = {
    "npar": "npar",
    "loglik": "logLik",
    "aic": "AIC",
    "lrt": "LRT",
    "df": "Df",
    "p_value": "Pr(>Chisq)",
}


@dataclass(frozen=True, eq=False, repr=False)
class Ranova(FrameResult):
    """Tests of random effects.

    Columns npar, loglik, aic, lrt, df, p_value; with mixtures also p_mixture and distribution.

    Attributes
    ----------
    formula : str
    reml : bool
        Whether the likelihoods are restricted.
    """

    formula: str
    reml: bool

    def document(self) -> Document:
        """Return the table, as lmerTest prints it."""
        frame = self.to_frame()
        mixture = "p_mixture" in frame
        headers = _HEADERS | ({"p_mixture": "Pr(>mixture)"} if mixture else {})
        cells = [labels("", map(str, frame.index)), *statistic_columns(frame, headers)]
        if mixture:
            cells.append(numbers("under the null hypothesis", frame["distribution"]))
        kind = "REML" if self.reml else "maximum likelihood"
        return Document(
            f"Tests of random effects by {kind}: single term deletions",
            (Facts((Fact("Model", self.formula, is_code=True),)), Table("", tuple(cells))),
        )


def ranova(model: LinearMixedModel, reduce_terms: bool = True, mixture: bool = False) -> Ranova:
    """Test every random effect that can be left out, one at a time.

    Use it to ask which random effects a model needs. P-values are those of the chi-squared
    distribution, as R's, which are too large where a variance is tested: about twice as large for a
    single one. ``mixture=True`` adds the right ones.

    Parameters
    ----------
    model : LinearMixedModel
    reduce_terms : bool
        Reduce terms by one effect at a time, ``(x | g)`` to ``(1 | g)``; with False every term is
        left out as a whole.
    mixture : bool
        Add columns p_mixture and distribution: the mixture of chi-squared distributions that is
        right on the boundary in large samples (Stram and Lee). NaN where its weights are not known,
        or the model without the term is singular.

    Returns
    -------
    Ranova
        Reads like a data frame: rows ``<none>`` and the terms, ``(1 | g)`` or ``x in (x | g)``;
        columns npar, loglik, aic, lrt, df, p_value.

    Raises
    ------
    OptionError
        If an argument is not True or False.
    FitError
        If a model without a term cannot be fitted.
    NoRowsError
        If the data were streamed, and a smaller term has columns that the term does not have.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(ranova(m))
    Tests of random effects by REML: single term deletions
    Model: Reaction ~ Days + (Days | Subject)
    <BLANKLINE>
                             npar  logLik    AIC    LRT Df Pr(>Chisq)
    <none>                      6 -871.81 1755.6
    Days in (Days | Subject)    4 -893.23 1794.5 42.837  2   4.99e-10

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13); Stram, Lee
    1994, Biometrics 50.
    """
    check_flag("reduce_terms", reduce_terms)
    check_flag("mixture", mixture)
    columns = [*_HEADERS, *(["p_mixture", "distribution"] if mixture else [])]
    nothing = (np.nan, np.nan, np.nan, np.nan, "")
    rows: list[_Row] = [(model.df, model.loglik, model.aic, *nothing)]
    found = list(deletions(model, reduce_terms))
    rows += [_test(model, random, mixture) for _, random in found]
    names = make_unique(["<none>", *(label for label, _ in found)])
    frame = pd.DataFrame([row[: len(columns)] for row in rows], index=list(names), columns=columns)
    return Ranova(frame, str(model.formula), model.reml)


def _test(model: LinearMixedModel, random: tuple[GroupTerm, ...], mixture: bool) -> _Row:
    from scipy.special import chdtrc  # slow to import, and not needed for a fit

    small: LinearMixedModel | None = None
    if random:
        small = refit_formula(model, model.formula.with_terms(random=random))
        npar, criterion = small.df, small.objective
    else:
        objective = model.problem.objective
        npar = len(model.problem.basis.kept) + 1
        criterion = objective.value(tuple(np.zeros_like(t) for t in model.state.factorization.T))
        objective.forget()
    df, lrt = model.df - npar, max(0.0, criterion - model.objective)
    p_value = float(chdtrc(df, lrt)) if df > 0 else np.nan
    right, shown = _mixture(model, small, df, lrt) if mixture and df > 0 else (np.nan, "")
    return npar, -0.5 * criterion, criterion + 2.0 * npar, lrt, df, p_value, right, shown


def _mixture(
    model: LinearMixedModel, small: LinearMixedModel | None, df: int, lrt: float
) -> tuple[float, str]:
    pieces = () if small is None else embed_random(small, model)
    if isinstance(pieces, str):
        return np.nan, ""
    try:
        found = null_mixture(small, model, pieces, df)
    except OptionError:  # the weights are not known
        return np.nan, ""
    return found.tail(lrt), str(found)


def deletions(
    model: LinearMixedModel, reduce_terms: bool
) -> Iterator[tuple[str, tuple[GroupTerm, ...]]]:
    """Yield what every test is called, and the random terms that it leaves."""
    terms = model.formula.random
    for i, (term, made) in enumerate(zip(terms, model.design.terms, strict=True)):
        others = terms[:i] + terms[i + 1 :]
        for label, effects in _reductions(term, made, reduce_terms):
            if effects is None or any(_same(other, term, effects) for other in others):
                yield label, others
                continue
            reduced = replace(term, effects=effects, label=term_text(term, effects))
            yield label, (*terms[:i], reduced, *terms[i + 1 :])


def _same(other: GroupTerm, term: GroupTerm, effects: TermSum) -> bool:
    return other.group == term.group and other.effects == effects


def _reductions(
    term: GroupTerm, made: RandomTerm, reduce_terms: bool
) -> Iterator[tuple[str, TermSum | None]]:
    """Yield labels and the effects that are left of the term; None for nothing."""
    effects, spec = term.effects, made.spec
    apart = not term.correlated and not any(_has_factor(t, spec) for t in effects.terms)
    if apart:
        # (x || g) is (1 | g) + (0 + x | g), and so are its tests
        if effects.intercept:
            rest = TermSum(False, effects.terms)
            yield term_text(term, TermSum(True, ()), "|"), rest if rest.terms else None
        for t in effects.terms:
            alone = term_text(term, TermSum(False, (t,)), "|")
            yield (f"{t.label} in {alone}" if reduce_terms else alone), _without(effects, t)
        return
    whole = term_text(term, effects)
    # without the intercept, what is left of (0 + f || g) would be coded anew
    if not reduce_terms or not effects.terms or (not term.correlated and not effects.intercept):
        yield whole, None
        return
    for t in droppable(effects):
        yield f"{t.label} in {whole}", _reduced(effects, t, spec)


def _reduced(effects: TermSum, t: Term, spec: ColumnSpec) -> TermSum | None:
    rest = _without(effects, t)
    if rest is None and _spans_intercept(t, spec):
        return TermSum(True, ())
    return rest


def _without(effects: TermSum, t: Term) -> TermSum | None:
    rest = TermSum(effects.intercept, tuple(other for other in effects.terms if other != t))
    return rest if rest.labels else None


def _has_factor(t: Term, spec: ColumnSpec) -> bool:
    return any(factor.text in spec.codings for factor in t.factors)


def _spans_intercept(t: Term, spec: ColumnSpec) -> bool:
    """Tell whether the columns of a term are those of all levels of factors: they add up to 1."""
    full = next(columns.full for columns in spec.terms if columns.term == t)
    return all(full) and all(factor.text in spec.codings for factor in t.factors)


def term_text(term: GroupTerm, effects: TermSum, bar: str | None = None) -> str:
    """Return a random term as one would write it: ``(x | g)``, ``(0 + x | g)``, ``(1 | a:b)``."""
    parts = [t.label for t in effects.terms]
    if not effects.intercept:
        parts = ["0", *parts]
    group = ":".join(variable.text for variable in term.group)
    return f"({' + '.join(parts or ['1'])} {bar or ('|' if term.correlated else '||')} {group})"
