"""Methods of a fitted model about tests of fixed and random effects.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranef.inference.anova import AnovaTable
    from ranef.inference.contest import Contest
    from ranef.inference.drop1 import Drop1, Drop1Test
    from ranef.inference.ranova import Ranova
    from ranef.model.fitted import LinearMixedModel
    from ranef.typing import DdfMethod


def anova(
    self: LinearMixedModel, type: int | str = 3, ddf: DdfMethod = "satterthwaite"
) -> AnovaTable:
    """Test every term of the fixed part.

    Use it to ask whether a predictor matters at all, when it has several coefficients or is part
    of interactions. Type 3 tests each term adjusted for all others, as if every combination of
    levels had been observed equally often, and does not depend on how factors are coded; type 2
    adjusts a term for those that do not contain it; type 1 for those before it.

    Parameters
    ----------
    type : {1, 2, 3} or {"I", "II", "III"}
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        How denominator degrees of freedom are found; with ``normal`` they are infinite.

    Returns
    -------
    AnovaTable
        One row per term: ``sum_sq, mean_sq, num_df, den_df, f_value, p_value``.

    Raises
    ------
    OptionError
        For another type or ddf, and for Kenward-Roger with a fit by maximum likelihood.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> print(m.anova())
    Type III Analysis of Variance Table with Satterthwaite's method
    <BLANKLINE>
                        Sum Sq Mean Sq NumDF DenDF F value Pr(>F)
    recipe               10.19    5.09     2    42  0.2488 0.7809
    temperature        2100.30  420.06     5   210 20.5199 <2e-16
    recipe:temperature  205.98   20.60    10   210  1.0062 0.4393

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13).
    """
    from ranef.inference.anova import anova

    return anova(self, type, ddf)


def contest(
    self: LinearMixedModel,
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
    >>> print(m.contest("Machine[T.B] = Machine[T.C]"))
    F test of linear functions with Satterthwaite's method
    <BLANKLINE>
                                Sum Sq Mean Sq NumDF DenDF F value  Pr(>F)
    Machine[T.B] = Machine[T.C] 318.62  318.62     1    46  31.875 9.8e-07
    """
    from ranef.inference.contest import contest

    return contest(self, L, rhs, joint, ddf, level)


def drop1(
    self: LinearMixedModel, test: Drop1Test = "chisq", ddf: DdfMethod = "satterthwaite"
) -> Drop1:
    """Test every fixed-effects term that can be left out, one at a time.

    Use it to simplify a model, or to see what each term contributes given all others. Main effects
    of an interaction that is in the model are not tested.

    Parameters
    ----------
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
    >>> print(m.drop1())
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
    from ranef.inference.drop1 import drop1

    return drop1(self, test, ddf)


def ranova(self: LinearMixedModel, reduce_terms: bool = True, mixture: bool = False) -> Ranova:
    """Test every random effect that can be left out, one at a time.

    Use it to ask which random effects a model needs. P-values are those of the chi-squared
    distribution, as R's, which are too large where a variance is tested: about twice as large for a
    single one. ``mixture=True`` adds the right ones.

    Parameters
    ----------
    reduce_terms : bool
        Reduce terms by one effect at a time, ``(x | g)`` to ``(1 | g)``; with False every term is
        left out as a whole.
    mixture : bool
        Add columns p_mixture and distribution: the mixture of chi-squared distributions that is
        right on the boundary in large samples (Stram and Lee). NaN where its weights are not known,
        or the model without the term is singular.

    Returns
    -------
    Ranova
        Reads like a data frame: rows ``<none>`` and the terms, ``(1 | g)`` or ``x in (x | g)``;
        columns npar, loglik, aic, lrt, df, p_value.

    Raises
    ------
    OptionError
        If an argument is not True or False.
    FitError
        If a model without a term cannot be fitted.
    NoRowsError
        If the data were streamed, and a smaller term has columns that the term does not have.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(m.ranova())
    Tests of random effects by REML: single term deletions
    Model: Reaction ~ Days + (Days | Subject)
    <BLANKLINE>
                             npar  logLik    AIC    LRT Df Pr(>Chisq)
    <none>                      6 -871.81 1755.6
    Days in (Days | Subject)    4 -893.23 1794.5 42.837  2   4.99e-10

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13); Stram, Lee
    1994, Biometrics 50.
    """
    from ranef.inference.ranova import ranova

    return ranova(self, reduce_terms, mixture)
