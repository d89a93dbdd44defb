"""Principal components of the random effects: the directions in which they really vary.

For every grouping factor, all its terms together, with Sigma = T T' the covariance matrix relative
to sigma^2 and T = U diag(s) V' its singular value decomposition, the components are the columns of
U and their standard deviations s, relative to sigma. A standard deviation of zero is a
combination of effects without variance: the model is singular in that direction. Components
depend on the units of the columns, as in any principal component analysis: proportions of
variance mean little where an intercept is in milliseconds and a slope in milliseconds per day.

As R's ``rePCA`` (Bates, Kliegl, Vasishth, Baayen 2015, arXiv:1506.04967).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.estimates import group_sizes
from ranef.estimation import Problem
from ranef.names import make_unique
from ranef.tables.document import Block, Column, Document, Table, labels, numbers
from ranef.tables.format import format_common, format_fixed
from ranef.tables.mapping import GroupMapping
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray
from ranef.variance import unknown_group

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, eq=False, repr=False)
class Components(Renderable):
    """The principal components of one grouping factor's random effects.

    Attributes
    ----------
    group : str
    names : tuple of str (k,)
        Random effects, those of all terms.
    deviations : float64 array (k,)
        Standard deviations of the components, relative to sigma, decreasing. Read-only.
    loadings : float64 array (k, k)
        Components as columns, each of length one, its largest entry positive. Read-only.
    """

    group: str
    names: tuple[str, ...]
    deviations: FloatArray
    loadings: FloatArray

    def __post_init__(self) -> None:
        for name in ("deviations", "loadings"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[type[Components], tuple[object, ...]]:
        # pickling drops the read-only flag of an array; construction sets it again
        return (Components, (self.group, self.names, self.deviations, self.loadings))

    @property
    def sdev(self) -> pd.Series[float]:
        """Standard deviations of the components, relative to sigma; 0 for a singular direction."""
        return pd.Series(self.deviations, index=self._labels(), name="sdev", copy=True)

    @property
    def rotation(self) -> pd.DataFrame:
        """Loadings: one row per random effect, one column per component."""
        return pd.DataFrame(self.loadings.copy(), index=list(self.names), columns=self._labels())

    @property
    def proportion(self) -> pd.Series[float]:
        """Share of every component in the sum of variances; NaN if all are zero."""
        variances = self.sdev**2
        total = float(variances.sum())
        return (variances / (total if total > 0.0 else np.nan)).rename("proportion")

    @property
    def cumulative(self) -> pd.Series[float]:
        """Share of the components up to this one."""
        return self.proportion.cumsum().rename("cumulative")

    def to_frame(self) -> pd.DataFrame:
        """Return one row per component: group, component, sdev, proportion, cumulative."""
        parts = [self.sdev, self.proportion, self.cumulative]
        frame = pd.concat(parts, axis=1).rename_axis("component").reset_index()
        frame.insert(0, "group", self.group)
        return frame

    def document(self) -> Document:
        """Return the importance of the components, and what they are made of."""
        return Document("", tuple(self._blocks()))

    def _labels(self) -> list[str]:
        return [f"PC{i + 1}" for i in range(len(self.names))]

    def _blocks(self) -> Iterator[Block]:
        measured = (
            format_common(self.sdev, 4),
            format_fixed(self.proportion, 4),
            format_fixed(self.cumulative, 4),
        )
        rows = ("Standard deviation", "Proportion of Variance", "Cumulative Proportion")
        yield Table(self.group, self._columns(rows, measured))
        if len(self.names) > 1:
            cells = [format_fixed(row, 3) for row in self.loadings]
            yield Table("", self._columns(self.names, tuple(cells)), foldable=True)

    def _columns(
        self, rows: tuple[str, ...], cells: tuple[tuple[str, ...], ...]
    ) -> tuple[Column, ...]:
        by_component = zip(self._labels(), *cells, strict=True)
        return (labels("", rows), *(numbers(name, shown) for name, *shown in by_component))


@dataclass(frozen=True, eq=False, repr=False)
class PCA(Renderable, GroupMapping[Components]):
    """Principal components of the random effects, by grouping factor.

    Index it with a grouping factor for its `Components`.
    """

    groups: Mapping[str, Components]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", MappingProxyType(dict(self.groups)))

    def __reduce__(self) -> tuple[type[PCA], tuple[dict[str, Components]]]:
        return (PCA, (dict(self.groups),))

    def __getitem__(self, group: str) -> Components:
        if group not in self.groups:
            raise unknown_group(group, self.groups)
        return self.groups[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per component: group, component, sdev, proportion, cumulative."""
        parts = [components.to_frame() for components in self.groups.values()]
        return pd.concat(parts, ignore_index=True)

    def document(self) -> Document:
        """Return the components of all grouping factors."""
        parts = (components.document().blocks for components in self.groups.values())
        return Document("", tuple(block for blocks in parts for block in blocks))


def pca(model: LinearMixedModel) -> PCA:
    """Return the principal components of the random effects of every grouping factor.

    Use it when a fit is singular, or when a large random term seems to ask for more than the
    data hold: components with a standard deviation of (nearly) zero are not supported.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    PCA
        Mapping group -> `Components` with ``.sdev``, ``.rotation``, ``.proportion``,
        ``.cumulative``; ``.to_frame()``.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(pca(m))
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
    problem = model.problem
    factors = {
        group.name: (i, T)
        for i, (group, T) in enumerate(
            zip(problem.groups, problem.raw_factors(model.theta_values), strict=True)
        )
    }
    null = [direction.group for direction in model.convergence.null_directions]
    found = {}
    for group in group_sizes(problem):
        i, T = factors[group]
        left, deviations, _ = np.linalg.svd(T)
        if group in null:  # what is left of zeros after optimising and rounding
            deviations[len(deviations) - null.count(group) :] = 0.0
        largest = left[np.abs(left).argmax(axis=0), np.arange(len(left))]
        found[group] = Components(group, _names(problem, i), deviations, left * np.sign(largest))
    return PCA(found)


def _names(problem: Problem, factor: int) -> tuple[str, ...]:
    """Return the names of a factor's random effects, in the core's order."""
    slots = sorted((s for s in problem.slots if s.factor == factor), key=lambda slot: slot.start)
    return make_unique(name for slot in slots for name in slot.term.names)
