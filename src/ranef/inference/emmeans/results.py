"""The results: marginal means, trends and contrasts, which print like emmeans.

A result is a table of numbers about linear functions. It keeps the functions, so contrasts of
means, contrasts of contrasts, other intervals and other tests need nothing but the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment, Side
from ranef.inference.emmeans.contrasting import contrasts_of
from ranef.inference.emmeans.display import estimate_document, joint_document
from ranef.inference.emmeans.functions import LinearFunctions
from ranef.inference.emmeans.joint import jointly
from ranef.inference.emmeans.summaries import Question, Scale, summarize
from ranef.tables.document import Block, Document, Fact, Paragraph
from ranef.tables.frame_result import FrameResult
from ranef.typing import check_choice

NOTES = {
    "d": "d: df1 reduced due to linear dependence",
    "e": "e: df1 reduced due to non-estimability",
}


@dataclass(frozen=True, eq=False, repr=False)
class JointTests(FrameResult):
    """F tests of several linear functions at once.

    Columns: those of ``by``, num_df, den_df, f_value, p_value, note. Made by `joint_tests`, and by
    the method ``test(joint=True)`` of estimates.

    Attributes
    ----------
    by : tuple of str
    """

    by: tuple[str, ...]

    def document(self) -> Document:
        """Return one table per group, and what the letters mean."""
        flags = "".join(self._frame["note"])
        below = [text for letter, text in NOTES.items() if letter in flags]
        return joint_document(self._frame, self.by, below)


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(FrameResult):
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

    def contrasts(
        self,
        method: Any = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        adjust: Adjustment | None = None,
        ref: Any = None,
        interaction: Any = None,
        type: Scale | None = None,
    ) -> Contrasts:
        """Compare the estimates.

        Parameters
        ----------
        method : str, mapping, DataFrame or array
            A family: ``pairwise`` (all differences, ``revpairwise`` the other way round),
            ``trt.vs.ctrl`` and ``trt.vs.ctrlk`` (each with the first or last, or with ``ref``),
            ``consec`` (each with the one before), ``poly`` (linear, quadratic, ... trends over
            equally spaced levels), ``eff`` and ``del.eff`` (each with the mean of all, or of the
            others), ``mean_chg`` (those after with those before), ``identity``. Own coefficients,
            one per estimate of a group: a dict of name and coefficients, a DataFrame with a
            column per contrast, or an array with a row per contrast.
        by : str or sequence of str, optional
            Compare within combinations of these; by default within the groups that there are,
            with ``()`` everything with everything.
        adjust : str, optional
            How p-values allow for the number of tests in a group: ``tukey`` (default for
            pairwise), ``dunnettx`` (trt.vs.ctrl), ``mvt`` (consec, mean_chg), ``fdr`` (eff,
            del.eff), ``none`` (poly, own), ``sidak``, ``bonferroni``, ``holm``, ``hochberg``,
            ``scheffe``.
        ref : str or sequence of str, optional
            The control of ``trt.vs.ctrl``: a level, as it prints; of several, their mean.
        interaction : bool, str, sequence or mapping, optional
            Contrasts of contrasts: the family for every variable, or True for ``method``.
        type : {"link", "response"}, optional
            As for the estimates. On the response scale, differences of logarithms are ratios.

        Returns
        -------
        Contrasts

        Raises
        ------
        OptionError, UnknownVariableError
            If something is asked for that is not there.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
        >>> from ranef.inference.emmeans import emmeans
        >>> emmeans(m, "Machine").contrasts("trt.vs.ctrl")
         contrast estimate   SE df t.ratio p.value
         B - A        7.97 1.05 46   7.559  <.0001
         C - A       13.92 1.05 46  13.205  <.0001
        <BLANKLINE>
        Degrees-of-freedom method: satterthwaite
        P value adjustment: dunnettx method for 2 tests
        """
        found = contrasts_of(self.functions, method, by, ref, interaction)
        if adjust is not None:
            check_choice("adjust", adjust, Adjustment)
            found = replace(found, adjust=adjust)
        elif interaction is not None and interaction is not False:
            found = replace(found, adjust="none")
        asked = Question(intervals=False, tests=True, level=self.question.level)
        return Contrasts.answer(found.check(), asked, type or self.scale)

    def pairs(
        self,
        *,
        by: str | Sequence[str] | None = None,
        adjust: Adjustment | None = None,
        reverse: bool = False,
    ) -> Contrasts:
        """Return all pairwise differences, with Tukey's adjustment.

        Parameters
        ----------
        by, adjust
            As in `contrasts`.
        reverse : bool
            B - A instead of A - B.
        """
        method = "revpairwise" if reverse else "pairwise"
        return self.contrasts(method, by=by, adjust=adjust)

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
        asked = Question(intervals=True, tests=False, adjust=adjust, level=level, side=side)
        return self.answer(self.functions, asked, self.scale)

    def test(
        self,
        null: float = 0.0,
        *,
        joint: bool = False,
        side: Side = "two-sided",
        delta: float = 0.0,
        adjust: Adjustment | None = None,
    ) -> Estimates | JointTests:
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
            asked = Question(
                intervals=False, tests=True, adjust=adjust, null=null, side=side, delta=delta
            )
            return self.answer(self.functions, asked, self.scale)
        if side != "two-sided" or delta or adjust is not None:
            raise OptionError("joint=True has no side, delta or adjust: it is one F test.")
        Question(intervals=False, tests=True, null=null)  # checks it
        return joint_frame(self.functions, null)

    def document(self) -> Document:
        """Return one table per group, and what has to be said about them."""
        return estimate_document(
            self._frame, self.name, self.by, self.functions.groups, self.facts, self.remarks
        )


@dataclass(frozen=True, eq=False, repr=False)
class Contrasts(Estimates):
    """Differences of estimates, or other linear functions of them.

    Columns: contrast, those of ``by``, estimate (``ratio`` for logarithms on the response
    scale), std_error, df, statistic, p_value. ``confint()`` gives intervals, ``contrasts()``
    contrasts of contrasts.
    """


@dataclass(frozen=True, eq=False, repr=False)
class MarginalMeans(Estimates):
    """Estimated marginal means, or trends.

    Columns: the variables, emmean (``trend``; ``response`` on that scale), std_error, df, conf_low,
    conf_high. ``contrasts()`` and ``pairs()`` compare them.

    Attributes
    ----------
    comparisons : Contrasts or None
        What stood before the tilde, such as ``pairwise ~ A``.
    """

    comparisons: Contrasts | None = None

    def document(self) -> Document:
        """Return the means and, if they were asked for, the contrasts."""
        means = super().document()
        if self.comparisons is None:
            return means
        blocks: tuple[Block, ...] = (
            *means.blocks,
            Paragraph("Contrasts:"),
            *self.comparisons.document().blocks,
        )
        title = "Trends:" if self.name == "trend" else "Marginal means:"
        return Document(title, blocks)


def joint_frame(functions: LinearFunctions, null: float = 0.0) -> JointTests:
    """Return the F test of every group of linear functions."""
    records: list[dict[str, Any]] = []
    for rows in functions.groups:
        distance = null - functions.offset[rows]
        found = jointly(functions.model, functions.ddf, functions.L[rows], distance)
        record = {name: functions.labels[name].iloc[rows[0]] for name in functions.by}
        records.append({**record, **found.record()})
    return JointTests(pd.DataFrame(records), functions.by)
