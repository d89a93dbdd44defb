"""The part of a model whose matrices are shown: some rows, and the random effects that they have.

Rows are those of the first levels of one grouping factor, as many as fit, level after level.
Nothing larger than these rows and their effects is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ranef.design.types import Grouping
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The part of a model that is shown: m of n rows, k of q random effects.

    Attributes
    ----------
    rows : int array (m,)
        Rows of the design, ordered by the grouping factor.
    row_levels : tuple (m,) of str
        Their levels.
    X : float64 array (m, p)
    Z : float64 array (m, k)
        Columns with an entry in these rows.
    Lambda : float64 array (k, k)
        Relative covariance factor of these columns.
    V : float64 array (m, m)
        Covariance matrix of these rows.
    effects : tuple (k,) of int
        The term and column that every effect belongs to, numbered.
    effect_levels : tuple (k,) of str
        Their levels, with the grouping factor where there are several.
    sigma2 : float
    n, q : int
    """

    rows: IntArray
    row_levels: tuple[str, ...]
    X: FloatArray
    Z: FloatArray
    Lambda: FloatArray
    V: FloatArray
    effects: tuple[int, ...]
    effect_levels: tuple[str, ...]
    sigma2: float
    n: int
    q: int

    @property
    def Sigma(self) -> FloatArray:
        """Covariance matrix of the random effects, (k, k)."""
        product: FloatArray = self.sigma2 * (self.Lambda @ self.Lambda.T)
        return product


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What the columns of Z are: term, level and position in the term, (q,) each."""

    term: IntArray
    level: IntArray
    inside: IntArray


def shown_part(model: LinearMixedModel, grouping: Grouping, limit: int) -> Part:
    """Return the part of a model with at most ``limit`` rows.

    Parameters
    ----------
    model : LinearMixedModel
    grouping : Grouping
        Whose levels order the rows. Of its first level, only the first rows are shown if it alone
        has too many.
    limit : int

    Raises
    ------
    NoRowsError
        If the model was fitted to streamed data.
    """
    n = len(grouping.codes)
    sizes = np.bincount(grouping.codes, minlength=grouping.size)
    levels = max(1, int(np.searchsorted(np.cumsum(sizes), limit, side="right")))
    kept = min(limit, int(sizes[:levels].sum()))
    rows = np.argsort(grouping.codes, kind="stable")[:kept]
    X = model.X[rows]
    Z = sparse.csc_array(model.Z[rows])
    columns = np.flatnonzero(np.diff(Z.indptr))
    what = _columns_of_Z(model)
    Lambda = _factor(model, what, columns)
    half = Z[:, columns].toarray()
    root = half @ Lambda
    weights = model.design.weights
    V = root @ root.T + np.diag(np.ones(kept) if weights is None else 1.0 / weights[rows])
    slots = model.problem.slots
    several = len(model.problem.groups) > 1
    names = []
    for column in columns:
        own = slots[what.term[column]].term.grouping
        level = str(own.levels[what.level[column]])
        names.append(f"{own.name} {level}" if several else level)
    width = max(slot.stop - slot.start for slot in slots)
    return Part(
        rows=rows,
        row_levels=tuple(str(grouping.levels[code]) for code in grouping.codes[rows]),
        X=X if isinstance(X, np.ndarray) else X.toarray(),
        Z=half,
        Lambda=Lambda,
        V=model.state.sigma2 * V,
        effects=tuple((what.term * width + what.inside)[columns].tolist()),
        effect_levels=tuple(names),
        sigma2=model.state.sigma2,
        n=n,
        q=len(what.term),
    )


def _columns_of_Z(model: LinearMixedModel) -> _Columns:
    parts = []
    for number, slot in enumerate(model.problem.slots):
        k, J = slot.stop - slot.start, slot.term.grouping.size
        parts.append((np.full(k * J, number), np.repeat(np.arange(J), k), np.tile(np.arange(k), J)))
    return _Columns(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _factor(model: LinearMixedModel, what: _Columns, columns: IntArray) -> FloatArray:
    """Return the rows and columns of Lambda that belong to some columns of Z."""
    T = model.problem.raw_factors(model.theta_values)
    out = np.zeros((len(columns), len(columns)))
    for number, slot in enumerate(model.problem.slots):
        block = T[slot.factor][slot.start : slot.stop, slot.start : slot.stop]
        mine = np.flatnonzero(what.term[columns] == number)
        level, inside = what.level[columns[mine]], what.inside[columns[mine]]
        values = block[inside[:, None], inside]
        out[mine[:, None], mine] = np.where(level[:, None] == level, values, 0.0)
    return out
