"""The result of many fits: arrays first, then tables by response, by term, long and wide."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import DataError, UnknownVariableError
from ranef.fit import fit_design, warn_about
from ranef.many.block import FAILED, SINGULAR, STATUSES
from ranef.many.responses import Responses
from ranef.many.shared import Shared
from ranef.model import LinearMixedModel
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.format import format_estimates
from ranef.tables.renderable import Renderable
from ranef.typing import DdfMethod, FloatArray, IntArray

Adjust: TypeAlias = Literal["fdr", "holm", "hochberg", "bonferroni", "sidak"]

ALPHA = 0.05
# Different reasons for failures that are printed, most frequent first.
SHOWN_MESSAGES = 3
# A response counts as changed if its criterion has moved by more than this, relative ...
CHANGED = 1e-6
# ... or a fixed effect by more than this, in standard errors.
MOVED = 1e-4


@dataclass(frozen=True, eq=False, repr=False)
class ManyFits(Renderable):
    """One model fitted to m responses; made by `ranef.fit_many`.

    Attributes
    ----------
    formula : str
        With a placeholder for the response.
    reml : bool
    ddf : {"satterthwaite", "normal"}
    adjust : str or None
    labels : pandas.Index (m,)
        Names of the responses.
    terms : tuple (p,) of str
        Fixed effects.
    parameters : tuple (q,) of str
        Standard deviations and correlations of random effects, and sigma.
    estimate, std_error, df, statistic, p_value : float64 arrays (m, p)
        NaN where a response failed or a column is aliased. All arrays are read-only.
    p_adjusted : float64 array (m, p) or None
        Adjusted by ``adjust``, term by term.
    variance : float64 array (m, q)
        The variance parameters.
    objective : float64 array (m,)
        The minimised criterion: REML criterion or -2 log-likelihood.
    nobs : int array (m,)
        Rows used.
    status : int array (m,)
        Verdicts, as numbers; `fits` has them in words.
    failures : tuple of (int, str)
        Positions of responses without a certified fit, and the reasons.
    n_patterns : int
        Different patterns of missing values.
    """

    formula: str
    reml: bool
    ddf: DdfMethod
    adjust: Adjust | None
    labels: pd.Index
    terms: tuple[str, ...]
    parameters: tuple[str, ...]
    estimate: FloatArray
    std_error: FloatArray
    df: FloatArray
    statistic: FloatArray
    p_value: FloatArray
    p_adjusted: FloatArray | None
    variance: FloatArray
    objective: FloatArray
    nobs: IntArray
    status: IntArray
    failures: tuple[tuple[int, str], ...]
    n_patterns: int
    shared: Shared
    responses: Responses

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_failed(self) -> int:
        """Responses without a certified fit."""
        return int(np.count_nonzero(self.status == FAILED))

    @property
    def n_singular(self) -> int:
        """Responses for which some combination of random effects has no variance."""
        return int(np.count_nonzero(self.status == SINGULAR))

    @property
    def _columns(self) -> dict[str, FloatArray]:
        columns = {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "df": self.df,
            "statistic": self.statistic,
            "p_value": self.p_value,
        }
        return columns if self.p_adjusted is None else columns | {"p_adjusted": self.p_adjusted}

    @property
    def _verdicts(self) -> NDArray[Any]:
        words = np.array([status.value for status in STATUSES], dtype=object)
        return np.asarray(words[self.status])

    @property
    def estimates(self) -> pd.DataFrame:
        """All estimates, one row for each response: fixed effects, then variance parameters."""
        values = np.concatenate([self.estimate, self.variance], axis=1)
        return pd.DataFrame(values, index=self.labels, columns=[*self.terms, *self.parameters])

    @property
    def fits(self) -> pd.DataFrame:
        """What is known of each fit: nobs, objective, singular, verdict, message (of failures)."""
        messages = np.full(len(self), "", dtype=object)
        for at, message in self.failures:
            messages[at] = message
        return pd.DataFrame(
            {
                "nobs": self.nobs.copy(),
                "objective": self.objective.copy(),
                "singular": self.status == SINGULAR,
                "verdict": self._verdicts,
                "message": messages,
            },
            index=self.labels,
        )

    def term(self, name: str) -> pd.DataFrame:
        """Return the tests of one fixed effect for all responses.

        Parameters
        ----------
        name : str
            One of ``terms``.

        Returns
        -------
        DataFrame (m, 5)
            Columns estimate, std_error, df, statistic, p_value; p_adjusted, if p-values were
            adjusted. Index: the responses.

        Raises
        ------
        UnknownVariableError
            If there is no such fixed effect.
        """
        if name not in self.terms:
            raise UnknownVariableError(
                f"there is no fixed effect {name!r}; there are {', '.join(self.terms)}."
            )
        j = self.terms.index(name)
        columns = {key: values[:, j].copy() for key, values in self._columns.items()}
        return pd.DataFrame(columns, index=self.labels)

    def to_frame(self) -> pd.DataFrame:
        """Return everything in one long table.

        Returns
        -------
        DataFrame
            One row for each response and parameter, response by response: columns response, effect
            (``fixed`` or ``ran_pars``), term, estimate, std_error, df, statistic, p_value,
            p_adjusted (if p-values were adjusted), objective, singular, verdict.
        """
        m, p, q = len(self), len(self.terms), len(self.parameters)
        each = p + q
        blank = np.full((m, q), np.nan)
        columns = {
            key: np.concatenate([values, self.variance if key == "estimate" else blank], axis=1)
            for key, values in self._columns.items()
        }
        return pd.DataFrame(
            {
                "response": self.labels.repeat(each),
                "effect": np.tile(np.array(["fixed"] * p + ["ran_pars"] * q, dtype=object), m),
                "term": np.tile(np.array([*self.terms, *self.parameters], dtype=object), m),
                **{key: values.ravel() for key, values in columns.items()},
                "objective": np.repeat(self.objective, each),
                "singular": np.repeat(self.status == SINGULAR, each),
                "verdict": np.repeat(self._verdicts, each),
            }
        )

    def model(self, label: Any) -> LinearMixedModel:
        """Return the fitted model of one response, with everything that models can do.

        It is fitted again, from the response as it is now in the data that were given.

        Parameters
        ----------
        label : str or int
            One of ``labels``.

        Returns
        -------
        LinearMixedModel

        Raises
        ------
        UnknownVariableError
            If there is no such response.
        DataError
            If the response has been changed since, or cannot be used.
        FitError
            If it cannot be fitted.
        """
        design = self.shared.design_of(str(label), self.responses.one(label))
        model = fit_design(design, reml=self.reml)
        self._check_unchanged(label, model)
        warn_about(model)
        return model

    def _check_unchanged(self, label: Any, model: LinearMixedModel) -> None:
        at = self.responses.position(label)
        before = float(self.objective[at])
        text = f"the response {str(label)!r} has changed since it was fitted:"
        if abs(model.objective - before) > CHANGED * max(1.0, abs(before)):
            raise DataError(
                f"{text} its criterion was {before:.10g} and is {model.objective:.10g} now."
            )
        # what predictors explain may change without the criterion
        for j, name in enumerate(self.terms):
            old, new = float(self.estimate[at, j]), float(model.fixef.get(name, np.nan))
            if abs(new - old) > MOVED * self.std_error[at, j] + CHANGED * abs(old):
                raise DataError(f"{text} the effect of {name} was {old:.6g} and is {new:.6g} now.")

    def document(self) -> Document:
        """Return the facts, and how estimates are distributed over the responses."""
        done = self.nobs[self.status != FAILED]
        rows = (
            f"{done.min()} to {done.max()}" if len(done) and np.ptp(done) else f"{done[:1].sum()}"
        )
        facts = [
            Fact("Many mixed models", self.formula, is_code=True),
            Fact("Criterion", "REML" if self.reml else "maximum likelihood"),
            Fact("Responses", f"{len(self)} ({rows} rows)"),
            Fact("Singular fits", str(self.n_singular)),
        ]
        if self.n_failed:
            facts.append(Fact("Failed", f"{self.n_failed}, left out below"))
        columns = [labels("", [*self.terms, *self.parameters])]
        quartiles = self.estimates.quantile([0.25, 0.5, 0.75]).to_numpy().T
        shown = format_estimates(quartiles, 4)
        for header, cells in zip(("25 %", "median", "75 %"), shown, strict=True):
            columns.append(numbers(header, cells))
        tests = [(f"p < {ALPHA}", self.p_value)]
        if self.p_adjusted is not None:
            tests.append((f"{self.adjust} < {ALPHA}", self.p_adjusted))
        for header, p_values in tests:
            below = [str(count) for count in (p_values < ALPHA).sum(axis=0).tolist()]
            columns.append(numbers(header, [*below, *("" for _ in self.parameters)]))
        frequent = Counter(message for _, message in self.failures).most_common(SHOWN_MESSAGES)
        notes = tuple(f"{count} failed: {message}" for message, count in frequent)
        return Document("", (Facts(tuple(facts)), Table("", tuple(columns), notes)))
