"""The summary of a model in the formats of papers and web pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranef.typing import DdfMethod

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def to_markdown(model: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    """Return the summary as GitHub-flavoured Markdown with pipe tables.

    Use it in Quarto, Jupyter Book and issue trackers; ``summary(...).to_markdown()`` is the same.

    Parameters
    ----------
    model : LinearMixedModel
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
    return model.summary(ddf=ddf).to_markdown()


def to_latex(model: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    r"""Return the summary as LaTeX that needs ``\usepackage{booktabs}``.

    Use it to put a summary into a paper; ``summary(...).to_latex()`` is the same.

    Parameters
    ----------
    model : LinearMixedModel
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
    return model.summary(ddf=ddf).to_latex()


def to_html(model: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> str:
    """Return the summary as an HTML fragment; notebooks show the same.

    Use it in reports and web pages; ``summary(...).to_html()`` is the same.

    Parameters
    ----------
    model : LinearMixedModel
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
    return model.summary(ddf=ddf).to_html()
