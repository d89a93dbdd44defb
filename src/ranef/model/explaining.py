"""Methods of a fitted model about showing and keeping it.

Written by tools/write_methods.py from the functions that do the work: change those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    import pandas as pd

    from ranef.explain.equations import Equations, Format, Style
    from ranef.model.fitted import LinearMixedModel


def equations(
    self: LinearMixedModel,
    style: Style = "levels",
    fmt: Format = "latex",
    *,
    estimates: bool = False,
    digits: int = 3,
) -> Equations:
    """Return the model in equations.

    Use it to see what a formula says, or to write it down in a paper.

    Parameters
    ----------
    style : {"levels", "mixed"}
        Equations for every level, as in HLM and MLwiN: a predictor that is constant within the
        groups of a level stands in the equations of that level. Or the one equation that they
        add up to.
    fmt : {"latex", "text"}
    estimates : bool
        Show estimates in the place of parameters.
    digits : int
        Decimals of the estimates; small numbers get more, so that as many digits count.

    Returns
    -------
    Equations
        A string with ``.to_text()``, ``.to_latex()``, ``.to_markdown()`` and ``.to_frame()``, which
        says what every symbol stands for.

    Raises
    ------
    OptionError
        For another style, format or number of digits.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(m.equations(fmt="text"))
    Level 1 (observation i)
      Reaction_ij = beta_0j + beta_1j Days_ij + e_ij
      e_ij ~ N(0, sigma^2)
    <BLANKLINE>
    Level 2 (Subject j)
      beta_0j = gamma_00 + u_0j
      beta_1j = gamma_10 + u_1j
      (u_0j, u_1j) ~ N(0, [tau_00  tau_01]
                          [tau_10  tau_11])

    References
    ----------
    Raudenbush and Bryk 2002, Hierarchical Linear Models, 2nd edition.
    """
    from ranef.explain import equations

    return equations(self, style, fmt, estimates=estimates, digits=digits)


def implied_covariance(
    self: LinearMixedModel,
    group_level: Any,
    group: str | None = None,
    *,
    correlation: bool = False,
    limit: int | None = 1000,
) -> pd.DataFrame:
    """Return the covariance matrix of the observations of one group, given the fixed effects.

    Use it to see what the random effects say: which observations are alike, and how much.

    Parameters
    ----------
    group_level : object
        A level of the grouping factor, such as ``308`` or ``"308"``.
    group : str, optional
        The grouping factor; needed if the model has several.
    correlation : bool
        Return correlations instead.
    limit : int or None
        Groups with more rows are refused, because the matrix would have rows x rows numbers and
        hardly be read; None for no limit.

    Returns
    -------
    DataFrame (m, m)
        Labelled by the rows of the data, in squared units of the response.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If there is no such level, the group has too many rows, or an argument has another value.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    >>> m.implied_covariance(1).round(1)
           0      1      2
    0  631.5  615.3  615.3
    1  615.3  631.5  615.3
    2  615.3  615.3  631.5
    """
    from ranef.explain import implied_covariance

    return implied_covariance(self, group_level, group, correlation=correlation, limit=limit)


def save(
    self: LinearMixedModel, path: str | os.PathLike[str], *, omit_functions: bool = False
) -> None:
    """Write a fitted model to a file.

    Use it to keep a model for later, or to hand it to somebody. The file holds everything that
    `load` needs, the used rows of the data included, or the sums where the data were streamed;
    nothing in it is executed when it is read.

    Parameters
    ----------
    path : str or Path
        By convention ``name.ranef``. A file that is there is replaced, once the new one is
        complete.
    omit_functions : bool
        Functions of your own that the formula uses (``context`` of `ranef.fit`) are code, and a
        file holds none. With True they are left out, and `load` asks for them.

    Raises
    ------
    StorageError
        If the formula uses functions of your own, or labels are of a kind that cannot be saved.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import ranef, tempfile
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     m.save(f"{folder}/sleep.ranef")
    ...     again = ranef.load(f"{folder}/sleep.ranef")
    >>> bool((again.fitted == m.fitted).all())
    True
    """
    from ranef.storage import save

    return save(self, path, omit_functions=omit_functions)
