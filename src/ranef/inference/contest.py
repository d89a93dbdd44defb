"""Tests of chosen linear functions of the fixed effects: jointly by F, or one by one by t.

All coefficients of the model can be named, aliased ones too. A function of them that has no value
in this model (see `estimability`) is refused. Rows that are combinations of others change neither
F nor its degrees of freedom if their right-hand sides fit; if not, the hypothesis is a
contradiction, and is refused too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.anova import BOUNDARY_NOTE, F_COLUMNS, METHODS, f_columns, f_row
from ranef.inference.contest_rows import LinearFunctions, read_hypotheses
from ranef.inference.estimability import estimable_rows
from ranef.inference.fixed_tests import DEPENDENT, FixedTests, fixed_tests
from ranef.inference.wald import check_level, t_frame
from ranef.tables.coefficients import coefficient_table
from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_estimates
from ranef.tables.frame_result import FrameResult
from ranef.typing import DdfMethod, FloatArray, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Right-hand sides of dependent rows that differ less than this, relative to their parts, agree.
CONSISTENT = 1e-6
_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class Contest(FrameResult):
    """Tests of linear functions of the fixed effects.

    Jointly: one row with the columns ``sum_sq``, ``mean_sq``, ``num_df``, ``den_df``, ``f_value``,
    ``p_value``. One by one: a row per function, with the columns of `coef_table`; ``statistic``
    and ``p_value`` test that the function equals its right-hand side.

    Attributes
    ----------
    joint : bool
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    hypotheses : tuple of str
        What was tested, in words.
    level : float
        Coverage of the intervals.
    notes : tuple of str
    """

    joint: bool
    ddf: DdfMethod
    hypotheses: tuple[str, ...]
    level: float
    notes: tuple[str, ...]

    def document(self) -> Document:
        """Return the table, and the hypotheses where the rows do not show them."""
        method = METHODS[self.ddf]
        if self.joint:
            more = len(self.hypotheses) - _SHOWN
            shown = "; ".join(self.hypotheses[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            columns = (labels("", self._frame.index), *f_columns(self._frame))
            tested = () if len(self.hypotheses) == 1 else (f"Tested together: {shown}",)
            table = Table("", columns, (*tested, *self.notes))
            return Document(f"F test of linear functions with {method}", (table,))
        table = coefficient_table(self._frame, self.ddf, notes=self.notes)
        low, high = format_estimates(self._frame[["conf_low", "conf_high"]].to_numpy(dtype=float))
        interval = (numbers("lower", low), numbers("upper", high))
        columns = (*table.columns[:-1], *interval, table.columns[-1])
        return Document(
            f"Tests of linear functions with {method}", (Table("", columns, table.notes),)
        )


def contest(
    model: LinearMixedModel,
    L: Any,
    rhs: Any = 0.0,
    joint: bool = True,
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
) -> Contest:
    """Test linear functions of the fixed effects, L beta = rhs.

    Use it for planned comparisons and for hypotheses about several coefficients at once.

    Parameters
    ----------
    model : LinearMixedModel
    L : str, dict, Series, array (P,) or (m, P), DataFrame, or a list of these
        Hypotheses as text, such as ``"recipe[T.B] = recipe[T.C]"`` or the label of a term for all
        its coefficients; or weights of the coefficients, by name (those not named are zero) or
        in the order of `fixef` (aliased coefficients may be left out).
    rhs : float or array (m,)
        Values to compare with; part of the text where hypotheses are text with ``=``.
    joint : bool
        One F test of all functions together, or a t test and an interval for each.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    level : float
        Coverage of the intervals.

    Returns
    -------
    Contest

    Raises
    ------
    FormulaError
        If a text is not a linear equation of numbers up to 1e100; UnknownVariableError for a name
        the model lacks.
    OptionError
        If L or rhs has the wrong shape or something else than such numbers, a row is zero or
        cannot be estimated, or rows contradict each other.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
    >>> print(contest(m, "Machine[T.B] = Machine[T.C]"))
    F test of linear functions with Satterthwaite's method
    <BLANKLINE>
                                Sum Sq Mean Sq NumDF DenDF F value  Pr(>F)
    Machine[T.B] = Machine[T.C] 318.62  318.62     1    46  31.875 9.8e-07
    """
    check_level(level)
    check_flag("joint", joint)
    tests = fixed_tests(model, ddf)
    asked = read_hypotheses(model, L, rhs)
    rows = _estimable(model, asked)
    if joint:
        frame = _joint_frame(model, tests, rows, asked)
    else:
        frame = _single_frame(tests, rows, asked, level)
    boundary = ddf == "satterthwaite" and model.is_singular
    return Contest(
        frame, bool(joint), ddf, asked.labels, float(level), (BOUNDARY_NOTE,) if boundary else ()
    )


def _joint_frame(
    model: LinearMixedModel, tests: FixedTests, rows: FloatArray, asked: LinearFunctions
) -> pd.DataFrame:
    _check_consistent(tests, rows, asked)
    distance = rows @ tests.beta - asked.rhs
    values = f_row(tests, rows, distance, float(model.sigma) ** 2)
    label = asked.labels[0] if len(rows) == 1 else "joint"
    frame = pd.DataFrame([values], index=pd.Index([label]), columns=F_COLUMNS)
    return frame.astype({"num_df": int})


def _single_frame(
    tests: FixedTests, rows: FloatArray, asked: LinearFunctions, level: float
) -> pd.DataFrame:
    return t_frame(
        rows @ tests.beta,
        tests.row_errors(rows),
        tests.row_df(rows),
        level,
        pd.Index(asked.labels),
        asked.rhs,
    )


def _estimable(model: LinearMixedModel, asked: LinearFunctions) -> FloatArray:
    """Return the rows over the kept coefficients; raise unless all say something that is known."""
    for label, row in zip(asked.labels, asked.rows, strict=True):
        if not row.any():
            raise OptionError(f"{label!r} is zero whatever the coefficients are: nothing to test.")
    rows, estimable = estimable_rows(model, asked.rows)
    estimable |= asked.basic
    if not estimable.all():
        names = ", ".join(
            repr(label) for label, known in zip(asked.labels, estimable, strict=True) if not known
        )
        dropped = model.dropped_columns
        shown = ", ".join(dropped[:_SHOWN]) + (", ..." if len(dropped) > _SHOWN else "")
        raise OptionError(
            f"{names} cannot be estimated: effects are shared with the aliased columns ({shown}), "
            "and the data do not say how. Weights without those columns are taken for the model "
            "without them."
        )
    return rows


def _check_consistent(tests: FixedTests, rows: FloatArray, asked: LinearFunctions) -> None:
    """Raise unless rows that are combinations of others have right-hand sides that fit."""
    # whether rows depend on each other is asked of the weights, in units of the coefficients'
    # errors: estimates may be nearly collinear (a year and its square) where the rows are not
    scaled = rows * tests.row_errors(np.eye(rows.shape[1]))
    length = np.linalg.norm(scaled, axis=1)
    directions, sizes, _ = np.linalg.svd(scaled / length[:, None])
    dependent = directions[:, int((sizes > DEPENDENT).sum()) :]
    off = np.abs(dependent.T @ (asked.rhs / length))
    parts = np.abs(dependent).T @ np.abs(asked.rhs / length)
    if (off > CONSISTENT * parts).any():
        involved = np.flatnonzero((np.abs(dependent) > CONSISTENT).any(axis=1))
        names = "; ".join(asked.labels[i] for i in involved[:_SHOWN])
        raise OptionError(
            f"these hypotheses contradict each other: {names}. Rows that are combinations of "
            "others need right-hand sides that are the same combinations."
        )
