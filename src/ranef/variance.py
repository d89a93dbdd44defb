"""Standard deviations and correlations of the random effects: the value behind ``model.VarCorr``.

The model has *terms*, each with a covariance matrix; a grouping factor may occur in several terms,
whose effects are independent of each other. Two views follow. By grouping factor, all terms are
one block-diagonal matrix. As printed, every independent block has a line of its own and a name
made unique as in lme4: ``Subject``, ``Subject.1``; an uncorrelated term ``(x || g)`` counts as one
block per column.

Everything is on the scale of the response: the residual variance is multiplied in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from ranef.errors import UnknownVariableError
from ranef.names import make_unique
from ranef.tables.document import Document, Table
from ranef.tables.mapping import GroupMapping
from ranef.tables.renderable import Renderable
from ranef.tables.text import render_text
from ranef.tables.variances import VarianceRows, variance_table
from ranef.typing import FloatArray

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class VarianceComponent:
    """The covariance matrix of one random-effects term.

    Attributes
    ----------
    group : str
        Grouping factor.
    names : tuple of str (k,)
        Columns of the term: ``Intercept``, ``Days``.
    cov : float64 array (k, k)
        Covariance matrix on the scale of the response. Read-only.
    correlated : bool
        False for ``(... || group)``: the matrix is diagonal.
    """

    group: str
    names: tuple[str, ...]
    cov: FloatArray
    correlated: bool = True

    def __post_init__(self) -> None:
        cov = np.array(self.cov, dtype=np.float64)
        k = len(self.names)
        if cov.shape != (k, k):
            raise ValueError(f"{k} columns need a {k} x {k} covariance matrix; got {cov.shape}")
        cov.flags.writeable = False
        object.__setattr__(self, "cov", cov)

    def __reduce__(self) -> tuple[type[VarianceComponent], tuple[object, ...]]:
        # Pickling drops the read-only flag of an array; construction sets it again.
        return (VarianceComponent, (self.group, self.names, self.cov, self.correlated))

    def blocks(self) -> Iterator[VarianceComponent]:
        """Yield the independent blocks of the term: itself, or one per column."""
        if self.correlated or len(self.names) == 1:
            yield self
            return
        for i, name in enumerate(self.names):
            yield VarianceComponent(self.group, (name,), self.cov[i : i + 1, i : i + 1])


class PerGroup(GroupMapping[T]):
    """Read-only mapping from grouping factor to a table that is made when asked for.

    Iteration gives the grouping factors. The names of single blocks as they are printed
    (``Subject.1``) can be looked up, too.
    """

    __slots__ = ("_lookup", "_make", "_names")

    def __init__(
        self,
        names: Iterable[str],
        lookup: Callable[[str], VarianceComponent],
        make: Callable[[VarianceComponent], T],
    ) -> None:
        self._names = tuple(names)
        self._lookup = lookup
        self._make = make

    def __getitem__(self, group: str) -> T:
        return self._make(self._lookup(group))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return "\n\n".join(f"{group}:\n{self[group]}" for group in self)


@dataclass(frozen=True, eq=False, repr=False)
class VarCorr(Renderable):
    """Estimated variances and correlations of the random effects, and the residual.

    Use ``print`` for a table like lme4's, `sd`, `corr` and `cov` for the numbers of a grouping
    factor, and `to_frame` for all numbers in one data frame.

    Attributes
    ----------
    components : tuple of VarianceComponent
        One per term, in the order of storage: most levels first.
    sigma : float
        Residual standard deviation.

    Examples
    --------
    >>> import numpy as np
    >>> cov = np.array([[612.1, 9.6], [9.6, 35.07]])
    >>> vc = VarCorr((VarianceComponent("Subject", ("Intercept", "Days"), cov),), 25.59)
    >>> print(vc)
     Groups   Name      Std.Dev. Corr
     Subject  Intercept 24.741
              Days       5.922   0.066
     Residual           25.590
    >>> float(vc.sd["Subject"]["Days"].round(3))
    5.922
    """

    components: tuple[VarianceComponent, ...]
    sigma: float

    @property
    def groups(self) -> tuple[str, ...]:
        """The grouping factors, each once, in the order of storage."""
        return tuple(dict.fromkeys(component.group for component in self.components))

    @property
    def cov(self) -> PerGroup[pd.DataFrame]:
        """Covariance matrix (k, k) per grouping factor; its terms are merged."""
        return PerGroup(self.groups, self._component, _cov_frame)

    @property
    def corr(self) -> PerGroup[pd.DataFrame]:
        """Correlation matrix (k, k) per grouping factor; NaN beside a standard deviation of 0."""
        return PerGroup(self.groups, self._component, _corr_frame)

    @property
    def sd(self) -> PerGroup[pd.Series[float]]:
        """Standard deviations (k,) per grouping factor."""
        return PerGroup(self.groups, self._component, _sd_series)

    def to_frame(self) -> pd.DataFrame:
        """Return all variances and covariances, one per row, as R's ``as.data.frame(VarCorr(m))``.

        Returns
        -------
        pandas.DataFrame
            Columns ``grp`` (name of the block), ``var1``, ``var2`` (missing for a variance),
            ``vcov``, ``sdcor`` (standard deviation or correlation). Per block the variances come
            first, then the covariances; the residual is last.
        """
        rows: list[tuple[str, str | None, str | None, float, float]] = []
        for grp, block in self._blocks.items():
            sd, corr, names = _sds(block.cov), correlations(block.cov), block.names
            rows += [
                (grp, names[i], None, float(block.cov[i, i]), float(sd[i]))
                for i in range(len(names))
            ]
            rows += [
                (grp, names[j], names[i], float(block.cov[i, j]), float(corr[i, j]))
                for j in range(len(names))
                for i in range(j + 1, len(names))
            ]
        rows.append(("Residual", None, None, float(self.sigma) ** 2, float(self.sigma)))
        frame = pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])
        # A column without a single name would not be text.
        return frame.astype({"var2": frame["var1"].dtype})

    def table(self, *, variances: bool = False, digits: int = 5, title: str = "") -> Table:
        """Return the printed table.

        Parameters
        ----------
        variances : bool
            Show variances beside the standard deviations, as the summary of a model does.
        digits : int
            Significant digits of the smallest number; correlations have two decimals less.
        title : str
            Heading of the table.

        Returns
        -------
        Table
        """
        rows = [
            VarianceRows(group, block.names, _sds(block.cov), correlations(block.cov))
            for group, block in self._blocks.items()
        ]
        return variance_table(rows, self.sigma, variances=variances, digits=digits, title=title)

    def document(self) -> Document:
        """Return what ``print`` shows: groups, names, standard deviations, correlations."""
        return Document("", (self.table(),))

    def to_text(self, *, variances: bool = False) -> str:
        """Return plain text like lme4's, on request with the variances.

        Parameters
        ----------
        variances : bool
            Show variances beside the standard deviations.

        Returns
        -------
        str
        """
        return render_text(Document("", (self.table(variances=variances),)))

    @cached_property
    def _blocks(self) -> dict[str, VarianceComponent]:
        """Independent blocks by their printed names."""
        blocks = [block for component in self.components for block in component.blocks()]
        unique = make_unique([block.group for block in blocks])
        return dict(zip(unique, blocks, strict=True))

    def _component(self, key: str) -> VarianceComponent:
        """Return a grouping factor with its terms merged, or one block by its printed name."""
        own = [component for component in self.components if component.group == key]
        if own:
            return own[0] if len(own) == 1 else _merge(own)
        if key in self._blocks:
            return self._blocks[key]
        raise unknown_group(key, self.groups)


def correlations(cov: FloatArray) -> FloatArray:
    """Return the correlation matrix of a covariance matrix.

    Parameters
    ----------
    cov : float array (k, k)

    Returns
    -------
    float array (k, k)
        Ones on the diagonal; NaN where one of the two standard deviations is 0.
    """
    sd = _sds(cov)
    scale = np.where(sd > 0, sd, np.nan)
    corr = np.clip(cov / scale[:, None] / scale[None, :], -1.0, 1.0)
    np.fill_diagonal(corr, 1.0)
    return corr


def unknown_group(name: object, groups: Iterable[str]) -> UnknownVariableError:
    """Build the error for a grouping factor that the model does not have."""
    known = list(groups)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownVariableError(
        f"the model has no grouping factor {name!r}.{hint} Grouping factors: {', '.join(known)}."
    )


def _merge(components: list[VarianceComponent]) -> VarianceComponent:
    """Merge the terms of one grouping factor into one block-diagonal matrix."""
    names = make_unique(name for component in components for name in component.names)
    cov = np.zeros((len(names), len(names)))
    start = 0
    for component in components:
        stop = start + len(component.names)
        cov[start:stop, start:stop] = component.cov
        start = stop
    return VarianceComponent(components[0].group, names, cov)


def _sds(cov: FloatArray) -> FloatArray:
    return np.sqrt(np.diag(cov))


def _cov_frame(component: VarianceComponent) -> pd.DataFrame:
    names = list(component.names)
    return pd.DataFrame(component.cov.copy(), index=names, columns=names)


def _corr_frame(component: VarianceComponent) -> pd.DataFrame:
    names = list(component.names)
    return pd.DataFrame(correlations(component.cov), index=names, columns=names)


def _sd_series(component: VarianceComponent) -> pd.Series[float]:
    return pd.Series(_sds(component.cov), index=list(component.names), name=component.group)
