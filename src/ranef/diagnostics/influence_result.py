"""The result of deletions: numbers for every case, and a table of the cases that matter most.

Signs and factors differ between programs. Here a change is estimate minus estimate without the
case (Belsley, Kuh, Welsch 1980; R's `dfbeta` of linear models; lme4 has the opposite sign), and
Cook's distance is delta' Cov(beta)^-1 delta / p with the covariance matrix of the whole fit. lme4's
`cooks.distance` of an influence object multiplies that by (m - p) / m, where m counts the cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.tables.document import Document, Fact, Facts, Paragraph, Table, labels, numbers
from ranef.tables.format import format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray, IntArray, check_choice

CooksScaling: TypeAlias = Literal["standard", "lme4"]
# Cases shown in print.
SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Renderable):
    """What leaving out each of m cases does to the p fixed effects.

    Attributes
    ----------
    by : str or None
        The grouping factor whose levels were left out; None for single rows.
    exact : bool
        Whether the covariance parameters were estimated again without each case.
    size : int array (m,)
        Rows in every case.
    """

    by: str | None
    exact: bool
    _fixef: pd.Series[float]
    _labels: pd.Index
    _change: FloatArray
    _std_errors: FloatArray
    _distance: FloatArray
    _covratio: FloatArray
    _sigma: FloatArray
    size: IntArray
    _notes: tuple[tuple[int, str], ...] = ()
    _parameters: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for array in (
            self._change,
            self._std_errors,
            self._distance,
            self._covratio,
            self._sigma,
            self.size,
        ):
            array.flags.writeable = False

    @property
    def beta(self) -> pd.DataFrame:
        """Fixed effects without each case, (m, p)."""
        return self._frame(self._fixef.to_numpy() - self._change)

    @property
    def std_errors(self) -> pd.DataFrame:
        """Their standard errors, (m, p)."""
        return self._frame(self._std_errors)

    @property
    def dfbeta(self) -> pd.DataFrame:
        """Fixed effects of all rows minus those without each case, (m, p)."""
        return self._frame(self._change)

    @property
    def dfbetas(self) -> pd.DataFrame:
        """The same changes in units of the standard errors without the case, (m, p)."""
        return self._frame(self._change / self._std_errors)

    @property
    def cooks_distance(self) -> pd.Series[float]:
        """Squared distance that the fixed effects move, by their covariance, over p; (m,)."""
        return self.cooks("standard")

    def cooks(self, scaling: CooksScaling = "standard") -> pd.Series[float]:
        """Return Cook's distances.

        Parameters
        ----------
        scaling : {"standard", "lme4"}
            The textbooks' delta' Cov(beta)^-1 delta / p, or that times (m - p) / m, as lme4.

        Raises
        ------
        OptionError
            For any other scaling.
        """
        check_choice("scaling", scaling, CooksScaling)
        m, p = self._change.shape
        factor = 1.0 if scaling == "standard" else (m - p) / m
        return self._series(factor * self._distance / p, "cooks_distance")

    @property
    def covratio(self) -> pd.Series[float]:
        """Determinant of the covariance matrix of the fixed effects without each case, relative.

        Above 1 the case makes estimates more precise, below 1 less; (m,).
        """
        return self._series(self._covratio, "covratio")

    @property
    def sigma(self) -> pd.Series[float]:
        """Residual standard deviation without each case, (m,)."""
        return self._series(self._sigma, "sigma")

    @property
    def parameters(self) -> pd.DataFrame | None:
        """Standard deviations and correlations without each case; None unless exact."""
        return None if self._parameters is None else self._parameters.copy()

    @property
    def notes(self) -> pd.Series[str]:
        """Why cases have no values; by case, empty if all have."""
        at = [i for i, _ in self._notes]
        texts = [text for _, text in self._notes]
        return pd.Series(texts, index=self._labels[at], dtype=object, name="note")

    def to_frame(self) -> pd.DataFrame:
        """Return one row per case.

        Returns
        -------
        DataFrame (m, 4 + p)
            size, cooks_distance, covratio, sigma, and ``dfbetas_NAME`` for every fixed effect.
        """
        out = pd.DataFrame({"size": self.size}, index=self._labels.view())
        for column in (self.cooks_distance, self.covratio, self.sigma):
            out[column.name] = column.to_numpy()
        changes = self.dfbetas.add_prefix("dfbetas_")
        changes.index = out.index
        return pd.concat([out, changes], axis=1)

    def document(self) -> Document:
        """Return the cases that matter most."""
        cooks = self.cooks_distance.to_numpy()
        order = np.argsort(np.where(np.isnan(cooks), -np.inf, cooks), kind="stable")[::-1]
        order = order[~np.isnan(cooks[order])][:SHOWN]
        columns = [
            labels(self.by or "row", [str(self._labels[i]) for i in order]),
            numbers("Cook's distance", format_fixed(cooks[order], 3)),
            numbers("covratio", format_fixed(self._covratio[order], 3)),
        ]
        moved = (self._change / self._std_errors)[order]
        columns += [
            numbers(f"dfbetas {name}", format_fixed(moved[:, j], 2))
            for j, name in enumerate(self._fixef.index)
        ]
        m, known = len(cooks), int(np.count_nonzero(~np.isnan(cooks)))
        if len(order) < known:
            count = f"the {len(order)} largest of {known} Cook's distances shown"
        elif known < m:
            count = f"{known or 'none'} of {m} {'has' if known < 2 else 'have'} a Cook's distance"
        else:
            count = f"all {m} Cook's distances shown"
        what = "rows" if self.by is None else f"levels of {self.by}"
        how = "estimated again" if self.exact else "those of all rows"
        return Document(
            "Influence on the fixed effects",
            (
                Facts(
                    (
                        Fact("Left out in turn", f"{what} ({count})"),
                        Fact("Covariance parameters", how),
                    )
                ),
                *([Table("", tuple(columns), foldable=True)] if len(order) else []),
                *([Paragraph(self._missing())] if self._notes else []),
            ),
        )

    def _missing(self) -> str:
        reasons: dict[str, list[str]] = {}
        for i, text in self._notes:
            reasons.setdefault(text, []).append(str(self._labels[i]))
        parts = []
        for text, cases in reasons.items():
            more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
            parts.append(f"no values without {', '.join(cases[:SHOWN])}{more}: {text.rstrip('.')}")
        sentence = "; ".join(parts)
        return f"{sentence[0].upper()}{sentence[1:]}."

    def _frame(self, values: FloatArray) -> pd.DataFrame:
        # views: the name of an index can be changed in place
        return pd.DataFrame(
            values.copy(), index=self._labels.view(), columns=self._fixef.index.view()
        )

    def _series(self, values: FloatArray, name: str) -> pd.Series[float]:
        return pd.Series(values.copy(), index=self._labels.view(), name=name)
