r"""Three answers to one question: which coefficients does this group have.

For a grouping factor with random-effects columns Z, let r be the response without everything else
in the model: offset, fixed effects of other columns, effects of other grouping factors. Then

    complete pooling    least squares of r on Z, one answer for all groups
    no pooling          least squares of r on Z in every group alone
    partial pooling     the model's: fixed effects plus conditional modes

With A_j = Z_j'WZ_j the last is a weighted mean of the second and of the fixed effects beta:

    partial_j = alpha_j no_j + (I - alpha_j) beta,    alpha_j = Sigma (Sigma + sigma^2 A_j^-1)^-1

For a random intercept alpha_j is the reliability tau / (tau + sigma^2 / n_j). With several effects
it is a matrix, since a group's slope also informs about its intercept; its diagonal is what the
table shows. Where a group alone does not determine a coefficient, no pooling has no answer (NaN).

Everything comes from the cross-products of the fit, which are sums per level, and one more pass
over the rows for Z'Wr.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.explain.groups import find_group
from ranef.inference.models import check_fitted
from ranef.names import make_unique
from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_common, format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

SHOWN = 20  # rows that print shows; `to_frame` has all
# An eigenvalue of scaled cross-products below this is zero: they have half of the digits.
SINGULAR_BELOW = 1e-10
# Share of a coefficient in directions without information, above which it is not determined.
UNDETERMINED_ABOVE = 1e-6


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pooling(Renderable):
    """Complete, no and partial pooling of the levels of a grouping factor.

    J levels, k coefficients.

    Attributes
    ----------
    group : str
    names : tuple of str (k,)
    levels : pandas.Index (J,)
    n : int array (J,)
        Rows of every level.
    complete_pooling : float64 array (k,)
    no_pooling, partial_pooling : float64 array (J, k)
        ``no_pooling`` is NaN where a level alone does not determine the coefficient.
    shrinkage : float64 array (J, k, k)
        alpha_j: what partial pooling keeps of the difference between no pooling and the fixed
        effects. 1: nothing is pooled; 0: everything.
    """

    group: str
    names: tuple[str, ...]
    levels: pd.Index
    n: IntArray
    complete_pooling: FloatArray
    no_pooling: FloatArray
    partial_pooling: FloatArray
    shrinkage: FloatArray

    def __post_init__(self) -> None:
        for array in (
            self.n,
            self.complete_pooling,
            self.no_pooling,
            self.partial_pooling,
            self.shrinkage,
        ):
            array.flags.writeable = False

    def to_frame(self) -> pd.DataFrame:
        """Return one row per level and coefficient.

        Returns
        -------
        DataFrame (J k, 7)
            Columns level, term, n, complete_pooling, no_pooling, partial_pooling, shrinkage (the
            diagonal of the matrix).
        """
        J, k = self.no_pooling.shape
        return pd.DataFrame(
            {
                "level": self.levels.repeat(k),
                "term": list(self.names) * J,
                "n": self.n.repeat(k),
                "complete_pooling": np.tile(self.complete_pooling, J),
                "no_pooling": self.no_pooling.ravel(),
                "partial_pooling": self.partial_pooling.ravel(),
                "shrinkage": np.diagonal(self.shrinkage, axis1=1, axis2=2).ravel(),
            }
        )

    def document(self) -> Document:
        """Return the table of the first levels."""
        frame = self.to_frame()
        head = frame.head(SHOWN)
        columns = [labels(self.group, map(str, head["level"]))]
        if len(self.names) > 1:
            columns.append(labels("term", head["term"]))
        columns.append(numbers("n", map(str, head["n"])))
        kinds = ("complete_pooling", "no_pooling", "partial_pooling")
        shown = format_common(head[list(kinds)].to_numpy().ravel(order="F"), 4)
        for i, kind in enumerate(kinds):
            cells = shown[i * len(head) : (i + 1) * len(head)]
            columns.append(numbers(kind.removesuffix("_pooling"), cells))
        columns.append(numbers("shrinkage", format_fixed(head["shrinkage"], 3)))
        left = len(frame) - len(head)
        notes = (f"... and {left} more row{'s' if left > 1 else ''}",) if left else ()
        return Document("", (Table(f"Pooling by {self.group}", tuple(columns), notes),))


def pooling(model: LinearMixedModel, group: str | None = None) -> Pooling:
    """Return the coefficients of every level with complete, no and partial pooling.

    Use it to see what the model borrows from other groups, and how much each group is trusted.

    Parameters
    ----------
    model : LinearMixedModel
    group : str, optional
        The grouping factor; needed if the model has several.

    Returns
    -------
    Pooling
        ``.to_frame()`` has one row per level and coefficient; ``.shrinkage`` the whole matrices.
        Other parts of the model (other fixed effects, other grouping factors, offset) are
        subtracted from the response first, as estimated. Coefficients of columns that are not
        among the fixed effects are deviations from them.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If it has several and none was named, or is no model.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    >>> pooling(m)
    Pooling by Rail:
    Rail n complete    no partial shrinkage
    2    3    66.50 31.67   31.97     0.991
    5    3    66.50 50.00   50.14     0.991
    1    3    66.50 54.00   54.11     0.991
    6    3    66.50 82.67   82.53     0.991
    3    3    66.50 84.67   84.51     0.991
    4    3    66.50 96.00   95.74     0.991

    References
    ----------
    Gelman and Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models, ch. 12.
    """
    check_fitted("pooling", [model])
    grouping = find_group(model, group)
    problem, state = model.problem, model.state
    f = next(slot.factor for slot in problem.slots if slot.term.grouping is grouping)
    own, W, T = problem.groups[f], problem.groups[f].whitening, state.factorization.T[f]
    slots = sorted((s for s in problem.slots if s.factor == f), key=lambda slot: slot.start)
    names = [name for slot in slots for name in slot.term.names]
    # whitened throughout: columns of any size, such as years, keep their digits
    A = np.moveaxis(problem.objective.plan.products.A[f], 2, 0)
    center = _fixed_part(model, names)
    s = _weighted_sums(model, f, names) @ W
    no = _least_squares(A, s, W)
    complete = _least_squares(A.sum(axis=0)[None], s.sum(axis=0)[None], W)[0]
    inner = np.linalg.solve(T.T @ A @ T + np.eye(own.width), T.T @ A)
    half = W @ T
    shrinkage = half @ inner @ np.linalg.inv(W)
    return Pooling(
        own.name,
        make_unique(names),
        grouping.levels,
        np.bincount(grouping.codes, minlength=grouping.size),
        complete,
        no,
        center + problem.effects(state)[f].T,
        shrinkage,
    )


def _fixed_part(model: LinearMixedModel, names: list[str]) -> FloatArray:
    """Return the fixed effects of the random columns, zero where there are none, (k,).

    A column in two terms has its fixed effect in the first.
    """
    kept = [model.design.x_names[j] for j in model.problem.basis.kept]
    beta = dict(zip(kept, model.problem.coefficients(model.state), strict=True))
    return np.array([beta.pop(name, 0.0) for name in names])


def _weighted_sums(model: LinearMixedModel, f: int, names: list[str]) -> FloatArray:
    """Return Z_j'W r for every level, (J, k): r is the response without the rest of the model."""
    problem, own = model.problem, model.problem.groups[f]
    # the residual, to which this factor's part of the model is added again
    r = model.design.y - model.fitted.to_numpy()
    effects = problem.effects(model.state)[f]
    for column, center, b in zip(own.columns, _fixed_part(model, names), effects, strict=True):
        part = center + b[own.codes]
        r += part if column is None else part * column
    if model.design.weights is not None:
        r *= model.design.weights
    sums = [
        np.bincount(own.codes, r if column is None else r * column, minlength=own.size)
        for column in own.columns
    ]
    return np.column_stack(sums)


def _least_squares(A: FloatArray, s: FloatArray, W: FloatArray) -> FloatArray:
    """Solve A_j c~ = s_j and return c = W c~, NaN where that is not determined, (J, k)."""
    scale = np.sqrt(np.diagonal(A, axis1=1, axis2=2))
    unit = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(unit[:, :, None] * A * unit[:, None, :])
    known = values > SINGULAR_BELOW
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=known)
    rotated = np.einsum("jab,ja,ja->jb", vectors, unit, s, optimize=True) * inverse
    solution: FloatArray = np.einsum("jab,jb->ja", vectors, rotated) * unit @ W.T
    if not known.all():
        # directions without information, in the user's coordinates; a column of zeros is one
        spread = np.where(scale > 0, unit, 1.0)
        lost = np.einsum("ab,jb,jbc->jac", W, spread, vectors * ~known[:, None, :], optimize=True)
        share = np.sqrt((lost * lost).sum(axis=2) / ((spread * spread) @ (W * W).T))
        solution[share > UNDETERMINED_ABOVE] = np.nan
    return solution
