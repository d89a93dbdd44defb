"""Linear functions of the fixed effects with names: what means, trends and contrasts all are.

Marginal means are averages of rows of the model matrix, contrasts are differences of those, and
contrasts of contrasts differences again. All of them are rows L with labels, in groups (``by``)
that are compared and adjusted on their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment, Family, means_compared
from ranef.inference.emmeans.links import Link
from ranef.inference.estimability import estimable_rows
from ranef.inference.fixed_tests import FixedTests, fixed_tests
from ranef.typing import BoolArray, DdfMethod, FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

RowIndex: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class LinearFunctions:
    """Named rows L, with L beta + offset what they estimate. m rows, P columns of X.

    Attributes
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    labels : DataFrame (m, v)
        Levels of variables, or names of contrasts; the columns of ``by`` last.
    by : tuple of str
        Columns whose combinations form groups.
    L : float64 array (m, P)
        Over all columns of X; NaN in rows that have no meaning.
    offset : float64 array (m,)
    name : str
        What the estimates are called: ``emmean``, ``trend``, ``estimate``.
    kind : {"prediction", "contrast", "pairs"}
        All pairwise differences; other comparisons; or functions that compare nothing.
    adjust : str
        Adjustment of p-values unless asked otherwise.
    link : Link or None
        The way back to the scale of the response.
    over : tuple of str
        Variables that were averaged over.
    remarks : tuple of str
        Sentences that belong under the estimates.
    """

    model: LinearMixedModel
    ddf: DdfMethod
    labels: pd.DataFrame
    by: tuple[str, ...]
    L: FloatArray
    offset: FloatArray
    name: str
    kind: Literal["prediction", "contrast", "pairs"]
    adjust: Adjustment
    link: Link | None
    over: tuple[str, ...]
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.L)

    @cached_property
    def tests(self) -> FixedTests:
        """Covariance, degrees of freedom and tests of the estimable coefficients."""
        return fixed_tests(self.model, self.ddf)

    @cached_property
    def _kept(self) -> tuple[FloatArray, BoolArray]:
        meaningful = np.asarray(np.isfinite(self.L).all(axis=1))
        rows, estimable = estimable_rows(self.model, np.where(meaningful[:, None], self.L, 0.0))
        return rows, estimable & meaningful

    @property
    def rows(self) -> FloatArray:
        """Rows over the kept coefficients, (m, p); without meaning where not estimable."""
        return self._kept[0]

    @property
    def estimable(self) -> BoolArray:
        """Which rows have a value, (m,)."""
        return self._kept[1]

    @cached_property
    def values(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimates, standard errors and degrees of freedom, (m,) each; NaN if not estimable."""
        rows, estimable = self._kept
        out = np.full((3, len(self)), np.nan)
        used = rows[estimable]
        out[0, estimable] = used @ self.tests.beta + self.offset[estimable]
        out[1, estimable] = self.tests.row_errors(used)
        out[2, estimable] = self.tests.row_df(used)
        return out[0], out[1], out[2]

    @cached_property
    def groups(self) -> tuple[RowIndex, ...]:
        """Positions of the rows of every group, in the order in which groups first occur."""
        if not self.by:
            return (np.arange(len(self)),)
        return group_rows(self.labels[list(self.by)])

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns of labels that do not form groups."""
        return tuple(str(name) for name in self.labels.columns if name not in self.by)

    def family(self, rows: RowIndex) -> Family:
        """Return what adjusting some of the rows for each other needs to know."""
        used = self.rows[rows][self.estimable[rows]]
        size = np.abs(used).max(axis=1, initial=0.0)
        scaled = used[size > 0.0] / size[size > 0.0, None]
        rank = int(np.linalg.matrix_rank(scaled)) if len(scaled) else 0
        covariance = used @ self.tests.vcov @ used.T
        sd = np.sqrt(np.maximum(covariance.diagonal(), np.finfo(np.float64).tiny))
        means = means_compared(len(rows))
        return Family(len(rows), means, covariance / np.outer(sd, sd), rank)

    def check(self) -> LinearFunctions:
        """Return itself, unless nothing can be estimated.

        Raises
        ------
        OptionError
            If no row is estimable.
        """
        if not len(self):
            raise OptionError("there is only one level in every group: nothing can be compared.")
        if not self.estimable.any():
            what = "mean" if self.kind == "prediction" else "contrast"
            raise OptionError(
                f"no {what} that is asked for can be estimated: each of them needs a coefficient "
                "that the data do not determine (see model.dropped_columns), such as that of a "
                "combination of levels without observations. Average over fewer variables, hold "
                "some of them at levels that occur with at=, or use weights='cells'."
            )
        return self


def group_rows(labels: pd.DataFrame) -> tuple[RowIndex, ...]:
    """Return the positions of equal rows, in the order of first occurrence."""
    codes = labels.groupby(list(labels.columns), sort=False, observed=True).ngroup().to_numpy()
    return tuple(np.flatnonzero(codes == group) for group in range(int(codes.max()) + 1))
