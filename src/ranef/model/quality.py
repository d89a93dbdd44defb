"""Methods of a fitted model about how good the fit is, and what it is made of.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranef.inference.caic import ConditionalAIC
    from ranef.inference.icc import ICC
    from ranef.inference.pca import PCA
    from ranef.inference.r2 import R2
    from ranef.model.fitted import LinearMixedModel


def r2(self: LinearMixedModel, by_group: bool = False) -> R2:
    """Return the marginal and the conditional R^2 of Nakagawa, Schielzeth and Johnson.

    Use it to say how much of the variance of the response the model accounts for: ``marginal``
    by the fixed effects alone, ``conditional`` with the random effects. Random slopes count with
    their actual columns, averaged over the rows; variances of zero count as zero; offsets do not
    count. In weighted models the residual variance is the average over the rows.

    Parameters
    ----------
    by_group : bool
        Also compare the variance of every grouping factor, and of the residual, with a fit
        without predictors (same random terms, same criterion).

    Returns
    -------
    R2
        ``.marginal``, ``.conditional``, ``.by_group``, ``.decomposition``, ``.to_frame()``.

    Raises
    ------
    OptionError
        If ``by_group`` is not True or False.
    FitError
        If ``by_group`` and the model without predictors cannot be fitted.
    NoRowsError
        If ``by_group``, the data were streamed, and the model has no intercept.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> found = m.r2()
    >>> round(found.marginal, 4), round(found.conditional, 4)
    (0.2787, 0.7992)

    References
    ----------
    Nakagawa, Johnson, Schielzeth 2017, Journal of the Royal Society Interface 14(134); Johnson
    2014, Methods in Ecology and Evolution 5(9); by group: Raudenbush, Bryk 2002, "Hierarchical
    Linear Models", chapter 4.
    """
    from ranef.inference.r2 import r2

    return r2(self, by_group)


def icc(self: LinearMixedModel, by_group: bool = False) -> ICC:
    """Return the intraclass correlation, adjusted for the fixed effects and unadjusted.

    Use it to say how much observations of the same group resemble each other. Random slopes
    count with their actual columns, averaged over the rows.

    Parameters
    ----------
    by_group : bool
        Also show the share of every grouping factor; `ICC.by_group` has it in any case.

    Returns
    -------
    ICC
        ``.adjusted``, ``.unadjusted``, ``.by_group``, ``.decomposition``, ``.to_frame()``.

    Raises
    ------
    OptionError
        If ``by_group`` is not True or False.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("strength ~ 1 + (1 | batch/cask)", ranef.datasets.load("pastes"))
    >>> print(m.icc(by_group=True))
    Intraclass correlation:
               adjusted unadjusted
    all           0.937      0.937
    batch:cask    0.783      0.783
    batch         0.154      0.154

    References
    ----------
    Nakagawa, Johnson, Schielzeth 2017, Journal of the Royal Society Interface 14(134).
    """
    from ranef.inference.icc import icc

    return icc(self, by_group)


def caic(self: LinearMixedModel) -> ConditionalAIC:
    """Return the conditional AIC with the correction for estimated covariance parameters.

    Use it to compare models whose random effects are of interest themselves: it estimates how well
    new observations of the *same* groups are predicted. (The AIC asks about new groups.) Models
    with different fixed effects can be compared by it also where they were fitted by REML.

    Returns
    -------
    ConditionalAIC
        ``.caic``, ``.cond_loglik``, ``.edf``, ``.gdf``, ``.hat_trace``, ``.to_frame()``.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(m.caic())
    Conditional AIC:
      cAIC cond. logLik   edf hat trace
    1711.5       -824.5 31.25     29.02

    References
    ----------
    Greven, Kneib 2010, Biometrika 97(4); Vaida, Blanchard 2005, Biometrika 92(2).
    """
    from ranef.inference.caic import caic

    return caic(self)


def pca(self: LinearMixedModel) -> PCA:
    """Return the principal components of the random effects of every grouping factor.

    Use it when a fit is singular, or when a large random term seems to ask for more than the
    data hold: components with a standard deviation of (nearly) zero are not supported.

    Returns
    -------
    PCA
        Mapping group -> `Components` with ``.sdev``, ``.rotation``, ``.proportion``,
        ``.cumulative``; ``.to_frame()``.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(m.pca())
    Subject:
                              PC1    PC2
    Standard deviation     0.9669 0.2309
    Proportion of Variance 0.9461 0.0539
    Cumulative Proportion  0.9461 1.0000
    <BLANKLINE>
                PC1    PC2
    Intercept 1.000 -0.017
    Days      0.017  1.000

    References
    ----------
    Bates, Kliegl, Vasishth, Baayen 2015, "Parsimonious mixed models", arXiv:1506.04967.
    """
    from ranef.inference.pca import pca

    return pca(self)
