"""The result of a bootstrap: replicates first, then a summary, intervals and a way to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.inference.bootstrap_intervals import IntervalKind, check_enough, interval
from ranef.inference.jackknife import jackknife
from ranef.inference.wald import check_level
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.format import format_common, format_estimates
from ranef.tables.renderable import Renderable
from ranef.typing import BoolArray, FloatArray, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Different messages of failed replicates that are printed, most frequent first.
SHOWN_MESSAGES = 3


@dataclass(frozen=True, eq=False, repr=False)
class BootstrapResult(Renderable):
    """Replicates of statistics of a model; made by `LinearMixedModel.bootstrap`.

    Attributes
    ----------
    model : LinearMixedModel
    names : tuple (m,) of str
    estimates : float64 array (m,)
        The statistics of the model itself; `original` has their names.
    values : float64 array (n, m)
        Replicates: rows of NaN where a replicate failed, NaN for a correlation with an effect
        whose variance is zero in that replicate. `replicates` is a data frame of them.
    criterion : float64 array (n,)
        The minimised criterion of every replicate.
    singular : bool array (n,)
        Some combination of random effects has no variance in that replicate.
    failures : tuple of (int, str)
        Replicates that failed, and why.
    seed : int
        The entropy that made these replicates: pass it to get them again.
    bounds : float64 array (2, m)
        Smallest and largest possible values: 0 for standard deviations, -1 and 1 for correlations.
    statistic : callable
        From a model to its (m,) values.
    """

    model: LinearMixedModel
    names: tuple[str, ...]
    estimates: FloatArray
    values: FloatArray
    criterion: FloatArray
    singular: BoolArray
    failures: tuple[tuple[int, str], ...]
    seed: int
    bounds: FloatArray
    statistic: Callable[[LinearMixedModel], FloatArray]

    def __post_init__(self) -> None:
        for array in (self.estimates, self.values, self.criterion, self.singular, self.bounds):
            array.flags.writeable = False

    @property
    def n(self) -> int:
        """Number of replicates, failed ones included."""
        return len(self.values)

    @property
    def original(self) -> pd.Series[float]:
        """The statistics of the model itself."""
        return pd.Series(self.estimates, index=list(self.names), name="original", copy=True)

    @property
    def replicates(self) -> pd.DataFrame:
        """All replicates, (n, m), as a new data frame."""
        return pd.DataFrame(self.values.copy(), columns=list(self.names))

    @property
    def n_failed(self) -> int:
        """Replicates without a certified fit, or whose statistic raised an error."""
        return len(self.failures)

    @property
    def n_singular(self) -> int:
        """Replicates in which some combination of random effects has no variance."""
        return int(self.singular.sum())

    @property
    def messages(self) -> dict[int, str]:
        """Why replicates failed."""
        return dict(self.failures)

    def to_frame(self) -> pd.DataFrame:
        """Return a summary of the replicates.

        Returns
        -------
        DataFrame
            Columns original, bias (mean of the replicates minus original), std_error (their
            standard deviation), lower and upper (their 2.5 and 97.5 % quantiles; NaN if n is less
            than 10), and n (the replicates in which the value exists).
        """
        finite = np.isfinite(self.values)
        bias, sd = np.full(len(self.names), np.nan), np.full(len(self.names), np.nan)
        for j, (column, there) in enumerate(zip(self.values.T, finite.T, strict=True)):
            if there.sum() > 1:
                bias[j] = column[there].mean() - self.estimates[j]
                sd[j] = column[there].std(ddof=1)
        lower, upper = self._ends(0.95, "percentile").T
        return pd.DataFrame(
            {
                "original": self.estimates.copy(),
                "bias": bias,
                "std_error": sd,
                "lower": lower,
                "upper": upper,
                "n": finite.sum(axis=0),
            },
            index=list(self.names),
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the distribution of every parameter; see `ranef.plots.bootstrap`."""
        from ranef.plots import bootstrap

        return bootstrap(self, ax=ax)

    def confint(self, level: float = 0.95, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Return intervals for all statistics.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        kind : {"percentile", "basic", "normal", "bca"}
            ``percentile``: quantiles of the replicates; a sensible default, in the range of the
            parameter by construction. ``basic``: those quantiles reflected at the estimate.
            ``normal``: the estimate less its bias, plus and minus normal quantiles of the standard
            error. ``bca``: percentiles corrected for bias and skewness, which costs a fit without
            each group (at most 200). Basic and normal intervals are cut at the ends of the range:
            0 for standard deviations, -1 and 1 for correlations.

        Returns
        -------
        DataFrame
            Columns lower, upper. A correlation is described by the replicates in which it exists;
            NaN for a statistic that exists in fewer than 10.

        Raises
        ------
        OptionError
            For another kind, a level that is not between 0 and 1, or fewer than 10 replicates.

        References
        ----------
        Davison, Hinkley 1997, "Bootstrap Methods and their Application", chapter 5.
        Efron 1987, Journal of the American Statistical Association 82.
        """
        check_choice("kind", kind, IntervalKind)
        level = check_level(level)
        check_enough(self.n)
        ends = self._ends(level, kind)
        return pd.DataFrame(ends, index=list(self.names), columns=["lower", "upper"])

    def _ends(self, level: float, kind: IntervalKind) -> FloatArray:
        """Return the ends of all intervals, (m, 2)."""
        left_out = self._jackknife.T if kind == "bca" else [None] * len(self.names)
        columns = zip(self.estimates.tolist(), self.values.T, left_out, strict=True)
        ends = np.array([interval(kind, t, column, level, d) for t, column, d in columns])
        low, high = self.bounds
        clipped: FloatArray = np.clip(ends.reshape(-1, 2), low[:, None], high[:, None])
        return clipped

    @cached_property
    def _jackknife(self) -> FloatArray:
        return jackknife(self.model, self.statistic, len(self.names))

    def document(self) -> Document:
        """Return the facts and the summary."""
        frame = self.to_frame()
        facts = [
            Fact("Parametric bootstrap of", str(self.model.formula), is_code=True),
            Fact("Replicates", f"{self.n} (seed {self.seed})"),
            Fact("Singular fits", str(self.n_singular)),
        ]
        if self.n_failed:
            facts.append(Fact("Failed", f"{self.n_failed}, left out below"))
        original, std_error = format_estimates(frame[["original", "std_error"]].to_numpy(), 4)
        cells = {
            "original": original,
            "bias": format_common(frame["bias"], 2),
            "std. error": std_error,
            "2.5 %": format_common(frame["lower"], 4),
            "97.5 %": format_common(frame["upper"], 4),
        }
        columns = [labels("", self.names), *(numbers(name, shown) for name, shown in cells.items())]
        return Document("", (Facts(tuple(facts)), Table("", tuple(columns), tuple(self._notes()))))

    def _notes(self) -> list[str]:
        done = self.n - self.n_failed
        notes = [
            f"{name} does not exist in {done - there} replicates."
            for name, there in zip(self.names, np.isfinite(self.values).sum(axis=0), strict=True)
            if there < done
        ]
        frequent = Counter(message for _, message in self.failures).most_common(SHOWN_MESSAGES)
        notes += [f"Failed {count} times: {message}" for message, count in frequent]
        return notes
