"""Methods of a fitted model about estimated marginal means.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from ranef.inference.emmeans.adjust import Adjustment
    from ranef.inference.emmeans.grid import Weighting
    from ranef.inference.emmeans.joint_results import JointTests
    from ranef.inference.emmeans.results import MarginalMeans
    from ranef.inference.emmeans.summaries import Scale
    from ranef.model.fitted import LinearMixedModel
    from ranef.typing import DdfMethod


def emmeans(
    self: LinearMixedModel,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    adjust: Adjustment | None = None,
    infer: bool | tuple[bool, bool] | None = None,
    type: Scale = "link",
) -> MarginalMeans:
    """Return estimated marginal means, as R's emmeans.

    Use them to say what the model predicts for levels of factors, averaged over everything else,
    and to compare levels with each other.

    Parameters
    ----------
    specs : str or sequence of str
        Variables, whose combinations get a mean: ``"A"``, ``["A", "B"]``; or a formula: ``"~ A *
        B"``, ``"A | B"`` (means of A in groups by B), ``"pairwise ~ A | B"`` (with contrasts).
        ``"1"`` is the overall mean.
    by : str or sequence of str, optional
        Variables that form groups; means are compared within them.
    at : mapping of str to value or sequence, optional
        Values at which variables are held. By default factors take all their levels, and numbers
        their mean over the used rows (or both values, if there are only two).
    weights : str or array
        What combinations of the averaged factors count: ``equal``; ``proportional`` to how often
        they occur; ``outer``, the product of how often their levels occur; ``cells``, how often
        they occur together with the levels of the mean; ``flat``, equal where they occur at all;
        or numbers, one per combination, the first variable varying fastest.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom, as in `coef_table`.
    level : float
        Coverage of the intervals.
    adjust : str, optional
        Adjustment of the comparisons of ``"pairwise ~ A"``, as in the method ``contrasts`` of the
        result; without comparisons, of the means' own intervals and tests.
    infer : bool or (bool, bool), optional
        True for intervals and tests in one table, False for neither, or which of the two; by
        default means have intervals, and comparisons tests.
    type : {"link", "response"}
        ``response`` transforms means of log(y), sqrt(y) and the like back to the scale of y.

    Returns
    -------
    MarginalMeans
        Prints like emmeans; columns: the variables, emmean, std_error, df, conf_low, conf_high.
        Means that the data do not determine are NaN.

    Raises
    ------
    UnknownVariableError
        If a variable is not one of the fixed effects.
    FormulaError, OptionError
        For specs that cannot be read, levels that do not exist, options that are not allowed,
        and if none of the means can be estimated.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> m.emmeans("recipe")
     recipe emmean   SE df lower.CL upper.CL
     A        33.1 1.74 42     29.6     36.6
     B        31.6 1.74 42     28.1     35.1
     C        31.6 1.74 42     28.1     35.1
    <BLANKLINE>
    Results are averaged over the levels of: temperature
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    <BLANKLINE>
    Results may be misleading: recipe is also in recipe:temperature.

    References
    ----------
    Searle, Speed, Milliken 1980, The American Statistician 34(4).
    """
    from ranef.inference.emmeans import emmeans

    return emmeans(
        self,
        specs,
        by,
        at=at,
        weights=weights,
        ddf=ddf,
        level=level,
        adjust=adjust,
        infer=infer,
        type=type,
    )


def emtrends(
    self: LinearMixedModel,
    specs: str | Sequence[str],
    var: str,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    adjust: Adjustment | None = None,
    infer: bool | tuple[bool, bool] | None = None,
) -> MarginalMeans:
    """Return estimated slopes of a number, as R's emtrends.

    Use it for interactions of a factor with a number: how steep is the line in every group, and do
    the slopes differ?

    Parameters
    ----------
    specs : str or sequence of str
        As in `emmeans`; ``"1"`` for the overall slope.
    var : str
        The variable, or a function of it: ``"log(conc)"`` for slopes per unit of log(conc).
    by, at, weights, ddf, level, adjust, infer
        As in `emmeans`. Curves have different slopes at different values; without ``at`` that is
        the mean.

    Returns
    -------
    MarginalMeans
        Columns: the variables, trend, std_error, df, conf_low, conf_high.

    Raises
    ------
    UnknownVariableError
        If a variable is not one of the fixed effects.
    OptionError
        If ``var`` is a factor, and as in `emmeans`.

    Examples
    --------
    >>> import ranef
    >>> orthodont = ranef.datasets.load("orthodont")
    >>> m = ranef.fit("distance ~ age * Sex + (age | Subject)", orthodont)
    >>> m.emtrends("Sex", "age")
     Sex    trend    SE df lower.CL upper.CL
     Male   0.784 0.086 25    0.607    0.961
     Female 0.480 0.104 25    0.266    0.693
    <BLANKLINE>
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    <BLANKLINE>
    Trends are slopes per unit of age.
    """
    from ranef.inference.emmeans import emtrends

    return emtrends(
        self,
        specs,
        var,
        by,
        at=at,
        weights=weights,
        ddf=ddf,
        level=level,
        adjust=adjust,
        infer=infer,
    )


def joint_tests(
    self: LinearMixedModel,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
) -> JointTests:
    """Test the terms of a model by contrasts of marginal means, as R's joint_tests.

    Use it like an ANOVA of type III: it does not depend on how factors are coded, tells what can be
    tested where combinations of levels are missing, and with ``by`` tests simple effects.

    Parameters
    ----------
    by : str or sequence of str, optional
        Test the other variables within every level of these.
    at, weights, ddf
        As in `emmeans`.

    Returns
    -------
    JointTests
        One row per term; columns: those of ``by``, num_df, den_df, f_value, p_value, note. A row
        ``(confounded)`` has what the data cannot attribute to any term.

    Raises
    ------
    UnknownVariableError, OptionError
        As in `emmeans`, and if there is nothing to test.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> m.joint_tests()
     term               df1 df2 F.ratio p.value
     recipe               2  42   0.249  0.7809
     temperature          5 210  20.520  <.0001
     recipe:temperature  10 210   1.006  0.4393
    """
    from ranef.inference.emmeans import joint_tests

    return joint_tests(self, by, at=at, weights=weights, ddf=ddf)
