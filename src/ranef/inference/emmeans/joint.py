"""F tests of several linear functions at once, also where some of them cannot be estimated.

Of rows that are not estimable, the combinations that are estimable are tested: with the columns of
N a basis of what the data say nothing about, these are c'L with c'L N = 0. The degrees of freedom
of the denominator are those of the ddf method for tests of several rows (Fai and Cornelius for
Satterthwaite, Kenward and Roger's own), where emmeans takes the smallest of the single rows' and
leaves Kenward and Roger's F unscaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.inference.estimability import alias_matrix, estimable_rows
from ranef.inference.fixed_tests import JointTest, fixed_tests
from ranef.typing import DdfMethod, FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Elements and singular values below this, relative to the largest, are zero.
ZERO = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class RowsTest:
    """A joint test and what happened to its rows.

    Attributes
    ----------
    test : JointTest
    rows : float64 array (r, P)
        What was tested, over all columns of X.
    dependent : bool
        Some rows were combinations of others.
    reduced : bool
        Some rows, or combinations of them, could not be estimated.
    """

    test: JointTest
    rows: FloatArray
    dependent: bool
    reduced: bool

    def record(self) -> dict[str, Any]:
        """Return the cells of a table of tests."""
        return {
            "num_df": self.test.num_df,
            "den_df": self.test.den_df,
            "f_value": self.test.f_value,
            "p_value": self.test.p_value,
            "note": " ".join("d" * self.dependent + "e" * self.reduced),
        }


def jointly(
    model: LinearMixedModel, ddf: DdfMethod, L: FloatArray, distance: FloatArray
) -> RowsTest:
    """Return the F test of rows L, given their distance from what is tested.

    Parameters
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    L : float64 array (m, P)
        Rows of zeros or NaN are left out.
    distance : float64 array (m,)
        What to subtract from L beta; usually zeros.
    """
    meant = np.isfinite(L).all(axis=1) & (L != 0).any(axis=1)
    reduced = not bool(meant.all())
    L, distance = L[meant], distance[meant]
    rows, estimable = estimable_rows(model, L)
    if not estimable.all():
        reduced = True
        combinations = _estimable_combinations(model, L)
        L, distance = combinations @ L, combinations @ distance
        rows, _ = estimable_rows(model, L)
    tests = fixed_tests(model, ddf)
    test = tests.joint(rows, rows @ tests.beta - distance)
    return RowsTest(test, L, test.num_df < len(rows), reduced)


def _estimable_combinations(model: LinearMixedModel, L: FloatArray) -> FloatArray:
    """Return a basis of c with c'L estimable, as rows (r, m)."""
    aliased, combinations = alias_matrix(model)
    beyond = L[:, aliased] - L[:, model.problem.basis.kept] @ combinations
    U, s, _ = np.linalg.svd(beyond, full_matrices=True)
    rank = int((s > ZERO * max(1.0, float(s.max(initial=0.0)))).sum())
    basis = U[:, rank:].T
    return np.where(np.abs(basis) < ZERO, 0.0, basis)
