"""Information criteria: what a model costs in parameters, and what it gains in likelihood.

With k parameters (fixed effects, theta and sigma, as lme4 counts them), n observations and the
log-likelihood l (restricted, for a REML fit):

    AIC = -2 l + 2 k,    AICc = AIC + 2 k (k + 1) / (n - k - 1),    BIC = -2 l + k log n.

All three are about new groups. The conditional AIC, about new observations of the same groups, is
in `ranef.inference.caic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.caic import caic
from ranef.inference.models import check_fitted
from ranef.inference.same_data import check_same_data, same_fixed
from ranef.names import make_unique
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.format import format_fixed
from ranef.tables.frame_result import FrameResult
from ranef.typing import check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

_HEADERS = {
    "npar": "npar",
    "loglik": "logLik",
    "aic": "AIC",
    "aicc": "AICc",
    "bic": "BIC",
    "caic": "cAIC",
}


@dataclass(frozen=True, eq=False, repr=False)
class InformationCriteria(FrameResult):
    """Information criteria of one or several models.

    A table with one row per model and the columns ``npar``, ``loglik``, ``aic``, ``aicc``, ``bic``
    and, if asked for, ``caic``.

    Attributes
    ----------
    formulas : tuple of str
        One per row.
    reml : bool
        Whether the models were fitted by REML.
    comparable : bool
        False for REML fits with different fixed effects: only their caic can be compared.
    """

    formulas: tuple[str, ...]
    reml: bool
    comparable: bool

    def document(self) -> Document:
        """Return the formulas and the table, with a note on what may be compared."""
        frame = self._frame
        names = [str(name) for name in frame.index]
        method = "REML" if self.reml else "maximum likelihood"
        kind = "models" if len(frame) > 1 else "a model"
        facts = zip(names, self.formulas, strict=True)
        columns = [labels("", names), numbers("npar", map(str, frame["npar"]))]
        columns += [
            numbers(_HEADERS[str(name)], format_fixed(frame[name], 1)) for name in frame.columns[1:]
        ]
        return Document(
            f"Information criteria of {kind} fit by {method}",
            (
                Facts(tuple(Fact(name, formula, is_code=True) for name, formula in facts)),
                Table("", tuple(columns), self._notes()),
            ),
        )

    def _notes(self) -> tuple[str, ...]:
        if not self.reml:
            return ()
        if self.comparable:
            return ("REML: compare only with models that have the same fixed effects.",)
        return (
            "The fixed effects differ, so the REML likelihoods cannot be compared: fit with"
            " reml=False.",
        )


def information(
    *models: LinearMixedModel, conditional: bool = False, names: Sequence[str] | None = None
) -> InformationCriteria:
    """Return AIC, AICc and BIC, and on request the conditional AIC, of one or several models.

    Use it to choose among models of the same data that need not be nested. The criteria of REML
    fits compare only models with the same fixed effects; the table says so where they differ.

    Parameters
    ----------
    *models : LinearMixedModel
        Fitted to the same observations, all by REML or all by maximum likelihood.
    conditional : bool
        Also compute the conditional AIC, see `caic`.
    names : sequence of str, optional
        One per model; ``m1``, ``m2``, ... by default.

    Returns
    -------
    InformationCriteria
        Reads like a data frame; ``.to_frame()`` is one.

    Raises
    ------
    OptionError
        Without a model, if one is something else, REML and maximum likelihood are mixed, names do
        not match, or ``conditional`` is not True or False.
    DataError
        If the models were not fitted to the same data.

    Examples
    --------
    >>> import ranef
    >>> data = ranef.datasets.load("sleepstudy")
    >>> slopes = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
    >>> intercepts = ranef.fit("Reaction ~ Days + (1 | Subject)", data)
    >>> print(information(slopes, intercepts))
    Information criteria of models fit by REML
    m1: Reaction ~ Days + (Days | Subject)
    m2: Reaction ~ Days + (1 | Subject)
    <BLANKLINE>
       npar logLik    AIC   AICc    BIC
    m1    6 -871.8 1755.6 1756.1 1774.8
    m2    4 -893.2 1794.5 1794.7 1807.2
    REML: compare only with models that have the same fixed effects.

    References
    ----------
    Burnham, Anderson 2002, "Model Selection and Multimodel Inference", 2nd edition.
    """
    if not models:
        raise OptionError("information needs at least one model; got none.")
    check_fitted("information", models)
    check_flag("conditional", conditional)
    called: Any = [f"m{i + 1}" for i in range(len(models))] if names is None else names
    if not isinstance(called, Iterable):
        raise OptionError(f"names must have one name per model, {len(models)}; got {called!r}.")
    shown = make_unique([called] if isinstance(called, str) else map(str, called))
    if len(shown) != len(models):
        raise OptionError(f"names must have one name per model, {len(models)}; got {shown!r}.")
    first = models[0]
    check_same_data(models, shown)
    if any(model.reml != first.reml for model in models):
        raise OptionError(
            "some models were fitted by REML and some by maximum likelihood, which cannot be "
            "compared: fit all of them with reml=False."
        )
    rows = [_criteria(model, conditional) for model in models]
    frame = pd.DataFrame(rows, index=list(shown), columns=list(_HEADERS)[: len(rows[0])])
    return InformationCriteria(
        frame.astype({"npar": int}),
        formulas=tuple(str(model.formula) for model in models),
        reml=first.reml,
        comparable=not first.reml or all(same_fixed(first, other) for other in models),
    )


def _criteria(model: LinearMixedModel, conditional: bool) -> tuple[float, ...]:
    k, room = model.df, model.nobs - model.df - 1
    small = 2.0 * k * (k + 1) / room if room > 0 else np.inf
    values = (float(k), model.loglik, model.aic, model.aic + small, model.bic)
    return (*values, caic(model).caic) if conditional else values
