"""Tests of every fixed-effects term that can be left out.

A term can be left out if no other contains it: with `a * b` only `a:b` can. ``chisq`` fits the
model without the term by maximum likelihood; ``f`` tests in the fitted model that the response lies
in the column space without the term. With X = Q R and Q'X_0 the smaller space, N its orthogonal
complement, the hypothesis is N'R beta = 0; its rows are made orthonormal, which for a term that is
not aliased gives the tests of its own coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from ranef.design import rebuild_design
from ranef.formula.terms import ModelFormula, Term, TermSum
from ranef.inference.columns import statistic_columns
from ranef.inference.fixed_tests import fixed_tests
from ranef.inference.refits import refit_formula, refit_ml
from ranef.streaming import StreamedDesign, column_coordinates, smaller_spec
from ranef.tables.document import Document, Fact, Facts, Table, labels
from ranef.tables.frame_result import FrameResult
from ranef.typing import DdfMethod, FloatArray, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Drop1Test: TypeAlias = Literal["chisq", "f"]
_CHISQ = {"npar": "npar", "aic": "AIC", "lrt": "LRT", "p_value": "Pr(Chi)"}
_F = {
    "sum_sq": "Sum Sq",
    "mean_sq": "Mean Sq",
    "num_df": "NumDF",
    "den_df": "DenDF",
    "f_value": "F value",
    "p_value": "Pr(>F)",
}
_DDF = {
    "satterthwaite": "Satterthwaite's method",
    "kenward-roger": "Kenward-Roger's method",
    "normal": "the chi-squared distribution",
}
# Directions of X that the smaller space leaves out less than this are inside it.
INSIDE = 1e-6
# A column lies in a space if no more than this part of its square is outside.
OUTSIDE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Drop1(FrameResult):
    """Tests of single terms.

    Columns npar (number of coefficients left out), aic, lrt, p_value; or sum_sq, mean_sq, num_df,
    den_df, f_value, p_value.

    Attributes
    ----------
    formula : str
    test : {"chisq", "f"}
    ddf : {"satterthwaite", "kenward-roger", "normal"} or None
    refitted : bool
        Whether a REML fit was refitted by maximum likelihood.
    notes : tuple of str
        What to know about single rows.
    """

    formula: str
    test: Drop1Test
    ddf: DdfMethod | None
    refitted: bool
    notes: tuple[str, ...] = ()

    def document(self) -> Document:
        """Return the table, as R prints it."""
        frame = self.to_frame()
        method = "maximum likelihood" if self.ddf is None else _DDF[self.ddf]
        headers = _CHISQ if self.test == "chisq" else _F
        cells = [labels("", map(str, frame.index)), *statistic_columns(frame, headers)]
        notes = ("Fitted again by maximum likelihood instead of REML.",) if self.refitted else ()
        notes = (*self.notes, *notes)
        return Document(
            f"Single term deletions using {method}",
            (Facts((Fact("Model", self.formula, is_code=True),)), Table("", tuple(cells), notes)),
        )


def drop1(
    model: LinearMixedModel, test: Drop1Test = "chisq", ddf: DdfMethod = "satterthwaite"
) -> Drop1:
    """Test every fixed-effects term that can be left out, one at a time.

    Use it to simplify a model, or to see what each term contributes given all others. Main effects
    of an interaction that is in the model are not tested.

    Parameters
    ----------
    model : LinearMixedModel
    test : {"chisq", "f"}
        ``chisq``: likelihood-ratio tests of maximum-likelihood fits without the term, as lme4's
        ``drop1(test = "Chisq")``. ``f``: F tests in the fitted model, as lmerTest's ``drop1``.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Denominator degrees of freedom of the F tests.

    Returns
    -------
    Drop1
        Reads like a data frame. ``chisq``: rows ``<none>`` and the terms; columns npar (number of
        coefficients left out), aic, lrt, p_value. ``f``: columns sum_sq, mean_sq, num_df, den_df,
        f_value, p_value.

    Raises
    ------
    OptionError
        For another test or ddf, and for Kenward-Roger with a fit by maximum likelihood.
    NoRowsError
        If the data were streamed, and without a term others are coded by other columns.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("distance ~ age + Sex + (1 | Subject)", ranef.datasets.load("orthodont"))
    >>> print(drop1(m))
    Single term deletions using maximum likelihood
    Model: distance ~ age + Sex + (1 | Subject)
    <BLANKLINE>
           npar    AIC     LRT   Pr(Chi)
    <none>      444.86
    age       1 514.96 72.1016 < 2.2e-16
    Sex       1 451.39  8.5331  0.003488
    Fitted again by maximum likelihood instead of REML.

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13).
    """
    check_choice("test", test, Drop1Test)
    check_choice("ddf", ddf, DdfMethod)
    formulas = {
        term.label: without_fixed(model.formula, term) for term in droppable(model.formula.fixed)
    }
    if test == "f":
        return Drop1(_f_tests(model, formulas, ddf), str(model.formula), test, ddf, False)
    frame, notes = _chi_squared(model, formulas)
    return Drop1(frame, str(model.formula), test, None, model.reml, notes)


def droppable(total: TermSum) -> tuple[Term, ...]:
    """Return the terms that no other term contains."""
    return tuple(
        term
        for term in total.terms
        if not any(set(term.factors) < set(other.factors) for other in total.terms)
    )


def without_fixed(formula: ModelFormula, term: Term) -> ModelFormula:
    """Return the formula without a fixed-effects term."""
    rest = tuple(other for other in formula.fixed.terms if other != term)
    return formula.with_terms(fixed=TermSum(formula.fixed.intercept, rest))


def _chi_squared(
    model: LinearMixedModel, formulas: dict[str, ModelFormula]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    from scipy.special import chdtrc  # slow to import, and not needed for a fit

    full = refit_ml(model)
    rows = [(np.nan, full.aic, np.nan, np.nan)]
    recoded = []
    for label, formula in formulas.items():
        small = refit_formula(full, formula, reml=False)
        npar, lrt = full.df - small.df, max(0.0, small.objective - full.objective)
        # without rows a term is left out only where the others keep their columns
        if not isinstance(full.design, StreamedDesign) and _inside(full, small.design.X) is None:
            recoded.append(label)
            npar, lrt = 0, np.nan
        p_value = float(chdtrc(npar, lrt)) if npar > 0 else np.nan
        rows.append((npar if npar else np.nan, small.aic, lrt, p_value))
    frame = pd.DataFrame(rows, index=["<none>", *formulas], columns=list(_CHISQ))
    if not recoded:
        return frame, ()
    return frame, (
        f"Without {', '.join(recoded)} other terms are coded with more columns: the smaller model "
        "is not part of the larger one, and their likelihoods cannot be compared by a test.",
    )


def _f_tests(
    model: LinearMixedModel, formulas: dict[str, ModelFormula], ddf: DdfMethod
) -> pd.DataFrame:
    tests = fixed_tests(model, ddf)
    rows = []
    for label, formula in formulas.items():
        inside: FloatArray | None
        if isinstance(model.design, StreamedDesign):
            _, columns = smaller_spec(model.design.spec, formula.fixed)
            inside = column_coordinates(model.problem)[:, columns]
        else:
            inside = _inside(model, rebuild_design(model.design, formula).X)
        L = _hypothesis(model, label, inside)
        found = tests.joint(L, L @ tests.beta)
        mean_sq = found.f_value * model.sigma**2
        rows.append(
            (mean_sq * found.num_df, mean_sq, found.num_df, found.den_df, found.f_value,
             found.p_value)
        )  # fmt: skip
    return pd.DataFrame(rows, index=list(formulas), columns=list(_F)).astype({"num_df": int})


def _hypothesis(model: LinearMixedModel, label: str, inside: FloatArray | None) -> FloatArray:
    """Return rows L (q, p): L beta = 0 leaves the model without the term, Q'X_0 = ``inside``.

    As a rule these are the coefficients of the term, one by one: the rows that lmerTest uses,
    which matters for the degrees of freedom. Where the other terms are coded anew without this
    one, they are not: then the columns decide, unless they do not lie in the larger space.
    """
    kept = model.problem.basis.kept
    columns = next(term for term in model.design.spec.terms if term.label == label)
    own: FloatArray = np.eye(len(kept))[(kept >= columns.start) & (kept < columns.stop)]
    L = None if inside is None else _leaves_out(model, inside)
    if L is None or (len(L) == len(own) and np.allclose(L @ own.T @ own, L, atol=INSIDE)):
        return own
    return L


def _inside(model: LinearMixedModel, X: FloatArray | sparse.csc_array) -> FloatArray | None:
    """Return Q'X for the columns of a smaller model; None if they do not lie in the larger's."""
    basis, weights = model.problem.basis, model.design.weights
    weighted = X if weights is None else sparse.diags_array(weights) @ X
    inner = basis.columns.T @ weighted
    inside: FloatArray = basis.R_inverse.T @ (inner.toarray() if sparse.issparse(inner) else inner)
    squares = sparse.csc_array(X.multiply(weighted)) if sparse.issparse(X) else X * weighted
    total: FloatArray = np.asarray(np.ones(X.shape[0]) @ squares, dtype=np.float64)
    size = (inside * inside).sum(axis=0)
    return None if (total - size > OUTSIDE * total).any() else inside


def _leaves_out(model: LinearMixedModel, inside: FloatArray) -> FloatArray:
    """Return orthonormal rows L (q, p): L beta = 0 leaves the columns X_0, Q'X_0 = ``inside``."""
    size = (inside * inside).sum(axis=0)
    left, values, _ = np.linalg.svd(inside / np.sqrt(np.where(size > 0.0, size, 1.0)))
    rank = int((values > INSIDE * values.max(initial=0.0)).sum())
    rows = left[:, rank:].T @ model.problem.basis.R
    L: FloatArray = np.linalg.qr(rows.T)[0].T
    return L
