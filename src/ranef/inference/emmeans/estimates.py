"""Estimates of linear functions, with intervals or tests: a table that can be asked again.

A result keeps the linear functions that it is about, so other intervals and other tests need
nothing but the result. What compares estimates with each other is in `results`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment, Side, adjustment_name
from ranef.inference.emmeans.display import estimate_document
from ranef.inference.emmeans.functions import LinearFunctions
from ranef.inference.emmeans.joint_results import JointTests, joint_frame
from ranef.inference.emmeans.links import required_link
from ranef.inference.emmeans.summaries import Question, Scale, summarize, wanted_parts
from ranef.tables.document import Document, Fact
from ranef.tables.frame_result import FrameResult
from ranef.typing import check_choice


@dataclass(frozen=True, eq=False, repr=False)
class LinearEstimates(FrameResult):
    """Estimates of linear functions of the fixed effects, with intervals or tests.

    Attributes
    ----------
    functions : LinearFunctions
        What is estimated.
    question : Question
        What was asked.
    scale : {"link", "response"}
    name : str
        The column of the estimates.
    facts, remarks : tuple
        What is printed below.
    """

    functions: LinearFunctions
    question: Question
    scale: Scale
    name: str
    facts: tuple[Fact, ...]
    remarks: tuple[str, ...]

    @classmethod
    def answer(cls, functions: LinearFunctions, question: Question, scale: Scale) -> Self:
        """Answer a question about linear functions."""
        check_choice("type", scale, Scale)
        found = summarize(functions, question, scale)
        return cls(
            found.frame, functions, question, scale, found.estimate, found.facts, found.remarks
        )

    @property
    def estimates(self) -> pd.Series[float]:
        """The estimates, whatever their column is called."""
        return self._frame[self.name].copy()

    @property
    def std_errors(self) -> pd.Series[float]:
        """Standard errors of the estimates."""
        return self._frame["std_error"].copy()

    @property
    def by(self) -> tuple[str, ...]:
        """Columns whose combinations form groups that are compared on their own."""
        return self.functions.by

    @property
    def averaged_over(self) -> tuple[str, ...]:
        """The variables whose levels were averaged over."""
        return self.functions.over

    @property
    def linfct(self) -> pd.DataFrame:
        """The linear functions: one row per estimate, one column per fixed effect."""
        names = list(self.functions.model.design.x_names)
        return pd.DataFrame(self.functions.L.copy(), index=self.index, columns=names)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the estimates, on the scale of the model; NaN if not estimable."""
        functions = self.functions
        known = np.where(functions.estimable, 1.0, np.nan)
        covariance = functions.rows @ functions.tests.vcov @ functions.rows.T
        covariance *= np.outer(known, known)
        return pd.DataFrame(covariance, index=self.index, columns=self.index)

    def summary(
        self,
        infer: bool | tuple[bool, bool] | None = None,
        *,
        level: float | None = None,
        adjust: Adjustment | None = None,
        null: float | None = None,
        side: Side | None = None,
        delta: float | None = None,
        type: Scale | None = None,
    ) -> Self:
        """Return the same estimates with other columns; what is not given stays as it is.

        Parameters
        ----------
        infer : bool or (bool, bool), optional
            True for intervals and tests in one table, False for neither, or which of the two.
        level, adjust
            As in `confint`.
        null, side, delta
            As in `test`; ``side`` holds for intervals as well.
        type : {"link", "response"}, optional
            As in `contrasts`.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
        >>> m.emmeans("Machine").pairs().summary(infer=True)
         contrast estimate   SE df lower.CL upper.CL t.ratio p.value
         A - B       -7.97 1.05 46    -10.5    -5.41  -7.559  <.0001
         A - C      -13.92 1.05 46    -16.5   -11.36 -13.205  <.0001
         B - C       -5.95 1.05 46     -8.5    -3.40  -5.646  <.0001
        <BLANKLINE>
        Degrees-of-freedom method: satterthwaite
        Confidence level used: 0.95
        Conf-level adjustment: tukey method for comparing a family of 3 estimates
        P value adjustment: tukey method for comparing a family of 3 estimates
        """
        intervals, tests = wanted_parts(infer, self.question.intervals, self.question.tests)
        given = {"level": level, "null": null, "side": side, "delta": delta}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        if adjust is not None:
            changes["adjust"] = adjustment_name(adjust)
        if type == "response":
            required_link(self.functions.model)
        return self._asked(type, intervals=intervals, tests=tests, **changes)

    def confint(
        self, level: float = 0.95, *, adjust: Adjustment | None = None, side: Side = "two-sided"
    ) -> Self:
        """Return the same estimates with intervals.

        Parameters
        ----------
        level : float
            Coverage; of all intervals of a group together, if they are adjusted.
        adjust : str, optional
            As in `contrasts`; by default as the tests. ``holm``, ``hochberg`` and ``fdr`` have no
            intervals and give Bonferroni's.
        side : {"two-sided", "<", ">"}
            ``<`` gives upper limits only, ``>`` lower ones.
        """
        return self._asked(
            intervals=True,
            tests=False,
            adjust=None if adjust is None else adjustment_name(adjust),
            level=level,
            null=0.0,
            side=side,
            delta=0.0,
        )

    def test(
        self,
        null: float = 0.0,
        *,
        joint: bool = False,
        side: Side = "two-sided",
        delta: float = 0.0,
        adjust: Adjustment | None = None,
    ) -> Self | JointTests:
        """Return the same estimates with tests, or one F test per group.

        Parameters
        ----------
        null : float
            The tested value, on the scale of the model.
        joint : bool
            Test all estimates of a group at once.
        side : {"two-sided", "<", ">"}
            ``<``: the alternative is that estimates are smaller than ``null``.
        delta : float
            Two-sided: test that the distance from ``null`` is smaller than this (equivalence).
            One-sided: that it is not larger in the other direction (non-inferiority with ``>``).
        adjust : str, optional
            As in `contrasts`.

        Returns
        -------
        the same type, or JointTests
            With columns statistic and p_value; for ``joint`` num_df, den_df, f_value, p_value.

        Raises
        ------
        OptionError
            For values that are not allowed.
        """
        if not joint:
            return self._asked(
                intervals=False,
                tests=True,
                adjust=None if adjust is None else adjustment_name(adjust),
                null=null,
                side=side,
                delta=delta,
            )
        if side != "two-sided" or delta or adjust is not None:
            raise OptionError("joint=True has no side, delta or adjust: it is one F test.")
        Question(intervals=False, tests=True, null=null)  # checks it
        return joint_frame(self.functions, null)

    def _asked(self, scale: Scale | None = None, **changes: Any) -> Self:
        """Answer another question, the same but for the changes."""
        return self.answer(self.functions, replace(self.question, **changes), scale or self.scale)

    def document(self) -> Document:
        """Return one table per group, and what has to be said about them."""
        return estimate_document(
            self._frame, self.name, self.by, self.functions.groups, self.facts, self.remarks
        )
