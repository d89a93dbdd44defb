"""The results: marginal means, trends and contrasts, which print like emmeans.

Contrasts of means are estimates again, so contrasts of contrasts need nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import pandas as pd

from ranef.inference.emmeans.adjust import Adjustment, adjustment_name
from ranef.inference.emmeans.contrasting import contrasts_of
from ranef.inference.emmeans.effect_sizes import EffectSizes, effect_sizes
from ranef.inference.emmeans.estimates import LinearEstimates
from ranef.inference.emmeans.links import required_link
from ranef.inference.emmeans.summaries import Question, Scale, wanted_parts
from ranef.tables.document import Block, Document, Paragraph


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(LinearEstimates):
    """Estimates of linear functions of the fixed effects that can be compared with each other."""

    def contrasts(
        self,
        method: Any = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        simple: str | Sequence[str] | None = None,
        adjust: Adjustment | None = None,
        infer: bool | tuple[bool, bool] | None = None,
        ref: Any = None,
        interaction: Any = None,
        type: Scale | None = None,
    ) -> Contrasts:
        """Compare the estimates; ``contrast``, as it is called in R, is the same method.

        Parameters
        ----------
        method : str, mapping, DataFrame or array
            A family: ``pairwise`` or ``tukey`` (all differences, ``revpairwise`` the other way
            round), ``trt.vs.ctrl`` or ``dunnett`` and ``trt.vs.ctrlk`` (each with the first or
            last, or with ``ref``), ``consec`` (each with the one before), ``poly`` (linear,
            quadratic, ... trends over equally spaced levels), ``eff`` and ``del.eff`` (each with
            the mean of all, or of the others), ``mean_chg`` (those after with those before),
            ``identity``. Own coefficients: a dict of name and coefficients, which are a dict of
            levels (``{"B - A": {"A": -1, "B": 1}}``; of several variables as they print, or
            tuples; the others have 0) or one number per estimate of a group; a DataFrame with a
            column per contrast; or an array with a row per contrast.
        by : str or sequence of str, optional
            Compare within combinations of these; by default within the groups that there are,
            with ``()`` everything with everything.
        simple : str or sequence of str, optional
            Compare levels of these, within combinations of all other variables.
        adjust : str, optional
            How p-values allow for the number of tests in a group: ``tukey`` (default for
            pairwise), ``dunnettx`` (trt.vs.ctrl), ``mvt`` (consec, mean_chg), ``fdr`` (eff,
            del.eff), ``none`` (poly, own), ``sidak``, ``bonferroni``, ``holm``, ``hochberg``,
            ``scheffe``.
        infer : bool or (bool, bool), optional
            True for intervals and tests in one table, False for neither, or which of the two;
            tests by default.
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
        found = contrasts_of(self.functions, method, by, ref, interaction, simple)
        if adjust is not None:
            found = replace(found, adjust=adjustment_name(adjust))
        elif interaction is not None and interaction is not False:
            found = replace(found, adjust="none")
        intervals, tests = wanted_parts(infer, intervals=False, tests=True)
        asked = Question(intervals, tests, level=self.question.level)
        if type == "response":
            required_link(self.functions.model)
        return Contrasts.answer(found.check(), asked, type or self.scale)

    contrast = contrasts  # R's name

    def pairs(
        self,
        *,
        by: str | Sequence[str] | None = None,
        simple: str | Sequence[str] | None = None,
        adjust: Adjustment | None = None,
        infer: bool | tuple[bool, bool] | None = None,
        reverse: bool = False,
    ) -> Contrasts:
        """Return all pairwise differences, with Tukey's adjustment.

        Parameters
        ----------
        by, simple, adjust, infer
            As in `contrasts`.
        reverse : bool
            B - A instead of A - B.
        """
        method = "revpairwise" if reverse else "pairwise"
        return self.contrasts(method, by=by, simple=simple, adjust=adjust, infer=infer)

    def eff_size(
        self,
        sigma: float | None = None,
        *,
        edf: float,
        method: Any = "pairwise",
        by: str | Sequence[str] | None = None,
        level: float | None = None,
    ) -> EffectSizes:
        """Return differences in units of a standard deviation: Cohen's d of the model.

        Parameters
        ----------
        sigma : float, optional
            The standard deviation; by default that of the residuals, ``model.sigma``. Another
            choice is the total one, the square root of the sum of all variances.
        edf : float
            Degrees of freedom with which ``sigma`` is known; ``numpy.inf`` for exactly. Few df
            widen the intervals.
        method, by
            As in `contrasts`.
        level : float, optional
            Coverage of the intervals, which are not adjusted; by default as before.

        Returns
        -------
        EffectSizes
            Columns: contrast, those of ``by``, effect_size, std_error, df, conf_low, conf_high.

        Raises
        ------
        OptionError
            If ``sigma`` or ``edf`` is not positive.

        Examples
        --------
        >>> import ranef
        >>> m = ranef.fit("score ~ Machine + (1 | Worker)", ranef.datasets.load("machines"))
        >>> m.emmeans("Machine").eff_size(edf=46)
         contrast effect.size    SE df lower.CL upper.CL
         A - B          -2.52 0.424 46    -3.37    -1.67
         A - C          -4.40 0.567 46    -5.54    -3.26
         B - C          -1.88 0.387 46    -2.66    -1.10
        <BLANKLINE>
        Sigma used for effect sizes: 3.162
        Degrees-of-freedom method: satterthwaite
        Confidence level used: 0.95
        """
        functions = contrasts_of(self.functions, method, by).check()
        level = self.question.level if level is None else level
        return effect_sizes(functions, sigma, edf, level)


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
        What stood before the tilde, such as ``pairwise ~ A``. ``summary``, ``confint`` and ``test``
        ask them as well.
    """

    comparisons: Contrasts | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return the means as a new data frame; the others are ``comparisons.to_frame()``."""
        return super().to_frame()

    def _asked(self, scale: Scale | None = None, **changes: Any) -> Self:
        found = super()._asked(scale, **changes)
        if self.comparisons is None:
            return found
        return replace(found, comparisons=self.comparisons._asked(scale, **changes))

    def document(self) -> Document:
        """Return the means and, if they were asked for, the contrasts."""
        means = super().document()
        if self.comparisons is None:
            return means
        blocks: tuple[Block, ...] = (
            *means.blocks,
            Paragraph("Comparisons:"),
            *self.comparisons.document().blocks,
        )
        title = "Trends:" if self.name == "trend" else "Marginal means:"
        return Document(title, blocks)
