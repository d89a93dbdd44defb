"""Methods of a fitted model about tables for pipelines, papers and other packages.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from ranef.model.fitted import LinearMixedModel
    from ranef.tidy import TidyIntervals
    from ranef.typing import DdfMethod


def tidy(
    self: LinearMixedModel,
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    effects: str | Iterable[str] = ("fixed", "ran_pars"),
    conf_int: bool = True,
    conf_method: TidyIntervals | None = None,
) -> pd.DataFrame:
    """Return one row per estimate: fixed effects, then SDs, correlations and sigma.

    Use it in a pipeline; columns are those of R's broom.mixed, in snake case.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        As in `coef_table`.
    level : float
        Coverage of the intervals.
    effects : str or iterable of str
        ``fixed`` (coefficients), ``ran_pars`` (standard deviations, correlations and sigma),
        ``ran_vals`` (conditional modes, with conditional standard deviations) and ``ran_coefs``
        (coefficients per level). The last two add the column ``level``.
    conf_int : bool
        Whether there are columns conf_low and conf_high.
    conf_method : {"wald", "profile"}, optional
        Also give ``ran_pars`` standard errors, and intervals by this method as in `confint`
        (``profile`` is of the likelihood, and for ``fixed``, too). By default they have none, as
        in broom.mixed.

    Returns
    -------
    DataFrame
        Columns effect, group, term, estimate, std_error, statistic, df, p_value, conf_low,
        conf_high. Intervals of ``ran_vals`` are normal, and hold the parameters for known.

    Raises
    ------
    OptionError
        For another ddf, level, kind of effects or conf_method.
    FitError
        If a profile is wanted of a fit that has not converged.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.tidy()[["effect", "group", "term", "estimate"]].round(3)
         effect     group                 term  estimate
    0     fixed       NaN            Intercept   251.405
    1     fixed       NaN                 Days    10.467
    2  ran_pars   Subject        sd__Intercept    24.740
    3  ran_pars   Subject             sd__Days     5.922
    4  ran_pars   Subject  cor__Intercept.Days     0.066
    5  ran_pars  Residual      sd__Observation    25.592
    >>> m.tidy(effects="ran_vals", conf_int=False).iloc[:2, :6].round(2)
         effect    group level       term  estimate  std_error
    0  ran_vals  Subject   308  Intercept      2.26      12.07
    1  ran_vals  Subject   309  Intercept    -40.40      12.07
    """
    from ranef.tidy import tidy

    return tidy(self, ddf, level, effects, conf_int, conf_method)


def glance(self: LinearMixedModel) -> pd.DataFrame:
    """Return one row of facts about the whole fit.

    Returns
    -------
    DataFrame (1, 10)
        nobs, sigma, loglik, aic, bic, reml_criterion or deviance, df, df_resid, converged,
        singular.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"), reml=False)
    >>> m.glance().round(3)["deviance"].item()
    128.56
    """
    from ranef.tidy import glance

    return glance(self)


def to_markdown(self: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    """Return the summary as GitHub-flavoured Markdown with pipe tables.

    Use it in Quarto, Jupyter Book and issue trackers; ``summary(...).to_markdown()`` is the same.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    str

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> m.to_markdown().splitlines()[-1]
    '| Intercept |  1527.50 |      19.38 | 5.00 |    78.8 |    6.23e-09 |'
    """
    from ranef.export import to_markdown

    return to_markdown(self, ddf)


def to_latex(self: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    r"""Return the summary as LaTeX that needs ``\usepackage{booktabs}``.

    Use it to put a summary into a paper; ``summary(...).to_latex()`` is the same.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    str

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> m.to_latex().count(r"\toprule")
    3
    """
    from ranef.export import to_latex

    return to_latex(self, ddf)


def to_html(self: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    """Return the summary as an HTML fragment; notebooks show the same.

    Use it in reports and web pages; ``summary(...).to_html()`` is the same.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    str

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> m.to_html().count("<table")
    3
    """
    from ranef.export import to_html

    return to_html(self, ddf)


def to_great_tables(self: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> Any:
    """Return coefficients, variance parameters and numbers of groups as a ``great_tables.GT``.

    Use it for publication-ready HTML; every method of Great Tables can be applied to the result.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}

    Returns
    -------
    great_tables.GT

    Raises
    ------
    OptionError
        For another ddf.
    MissingDependencyError
        If great_tables is not installed.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> html = m.to_great_tables().as_raw_html()  # doctest: +SKIP
    """
    from ranef.export import to_great_tables

    return to_great_tables(self, ddf)


def to_marginaleffects(self: LinearMixedModel, df: float = float("inf")) -> Any:
    """Return the model as marginaleffects wants it, for its predictions, comparisons and slopes.

    Use it for average comparisons, slopes and hypotheses in the grammar of that package:
    ``avg_slopes(m.to_marginaleffects())``. Predictions are those of the fixed effects. For
    Satterthwaite's degrees of freedom of every single estimate see `emmeans`, `emtrends`,
    `contest` and `predict`.

    Parameters
    ----------
    df : float
        Degrees of freedom of all tests; infinite for z tests, as in marginaleffects for R.

    Returns
    -------
    marginaleffects model
        ``vcov="kenward-roger"`` asks for the adjusted covariance matrix.

    Raises
    ------
    OptionError
        If ``df`` is not positive, or an offset was given as an array.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If marginaleffects is not installed.

    Examples
    --------
    >>> from marginaleffects import avg_slopes  # doctest: +SKIP
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> avg_slopes(m.to_marginaleffects())  # doctest: +SKIP

    References
    ----------
    Arel-Bundock, Greifer, Heiss 2024, Journal of Statistical Software 111(9).
    """
    from ranef.export import to_marginaleffects

    return to_marginaleffects(self, df)
