"""Conditional modes of the random effects: the value behind ``model.ranef``.

The modes come with the fit. Their conditional covariances cost more than the fit of a large
model, so they may be given as functions, which run once, when somebody asks. Functions must be
picklable (a bound method or `functools.partial`, no lambda), because models are.

Whatever is handed out is a copy or read-only: the model cannot be changed through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd

from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_common
from ranef.tables.mapping import GroupMapping
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray
from ranef.variance import unknown_group

_HEAD = 6

Frames: TypeAlias = Mapping[str, pd.DataFrame]
Arrays: TypeAlias = Mapping[str, FloatArray]


class FrozenFrames(GroupMapping[pd.DataFrame]):
    """Mapping from grouping factor to a data frame, of which it hands out copies."""

    __slots__ = ("_frames",)

    def __init__(self, frames: Frames) -> None:
        self._frames = {str(group): frame.copy() for group, frame in frames.items()}

    def __getitem__(self, group: str) -> pd.DataFrame:
        if group not in self._frames:
            raise unknown_group(group, self._frames)
        return self._frames[group].copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __repr__(self) -> str:
        return "\n\n".join(f"{group}:\n{frame}" for group, frame in self._frames.items())


class _FrozenArrays(GroupMapping[FloatArray]):
    """Mapping from grouping factor to a read-only array."""

    __slots__ = ("_arrays",)

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = {str(group): _read_only(array) for group, array in arrays.items()}

    def __getitem__(self, group: str) -> FloatArray:
        if group not in self._arrays:
            raise unknown_group(group, self._arrays)
        return self._arrays[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return ", ".join(f"{group}: {array.shape}" for group, array in self._arrays.items())

    def __reduce__(self) -> tuple[type[_FrozenArrays], tuple[dict[str, FloatArray]]]:
        # Pickling drops the read-only flag of an array; making a new mapping sets it again.
        return (_FrozenArrays, (self._arrays,))


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffects(Renderable, GroupMapping[pd.DataFrame]):
    """Conditional modes of the random effects, by grouping factor.

    Index it with a grouping factor for a data frame with one row per level and one column per
    random effect. `sd` and `cov` have the conditional standard deviations and covariances.

    Parameters
    ----------
    modes : mapping group -> DataFrame (levels, k)
        Conditional modes, or best linear unbiased predictions.
    covariances : mapping group -> float array (levels, k, k), or function without arguments
        Conditional covariance matrix of each level. A function is called once, at first use.
    deviations : mapping group -> DataFrame (levels, k), or function; optional
        Conditional standard deviations; taken from ``covariances`` when not given.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> modes = pd.DataFrame({"Intercept": [2.5, -2.5]}, index=["a", "b"])
    >>> effects = RandomEffects({"g": modes}, {"g": np.full((2, 1, 1), 0.25)})
    >>> float(effects["g"].loc["a", "Intercept"])
    2.5
    >>> effects.sd["g"]["Intercept"].tolist()
    [0.5, 0.5]
    >>> effects.to_frame()
      grpvar       term grp  condval  condsd
    0      g  Intercept   a      2.5     0.5
    1      g  Intercept   b     -2.5     0.5
    """

    modes: Frames
    covariances: Arrays | Callable[[], Arrays]
    deviations: Frames | Callable[[], Frames] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", FrozenFrames(self.modes))
        if isinstance(self.covariances, Mapping):
            own = {group: np.array(array) for group, array in self.covariances.items()}
            object.__setattr__(self, "covariances", _FrozenArrays(own))
        if isinstance(self.deviations, Mapping):
            object.__setattr__(self, "deviations", FrozenFrames(self.deviations))

    def __getitem__(self, group: str) -> pd.DataFrame:
        return self.modes[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self.modes)

    def __len__(self) -> int:
        return len(self.modes)

    # Mapping compares its values with ==, which data frames answer with a data frame.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @cached_property
    def cov(self) -> Arrays:
        """Conditional covariance matrices (levels, k, k) per grouping factor. Read-only."""
        given = self.covariances
        return given if isinstance(given, Mapping) else _FrozenArrays(given())

    @cached_property
    def sd(self) -> Frames:
        """Conditional standard deviations (levels, k) per grouping factor."""
        given = self.deviations
        if given is None:
            return FrozenFrames({group: self._sd_from_cov(group) for group in self})
        return given if isinstance(given, Mapping) else FrozenFrames(given())

    def to_frame(self) -> pd.DataFrame:
        """Return all modes, one per row, as R's ``as.data.frame(ranef(m))``.

        Returns
        -------
        pandas.DataFrame
            Columns ``grpvar`` (grouping factor), ``term`` (random effect), ``grp`` (level),
            ``condval`` (conditional mode), ``condsd`` (its conditional standard deviation). Levels
            are text where the grouping factors have levels of different types.
        """
        parts = [
            pd.DataFrame(
                {
                    "grpvar": group,
                    "term": term,
                    "grp": np.asarray(modes.index),
                    "condval": modes.iloc[:, j].to_numpy(),
                    "condsd": self.sd[group].iloc[:, j].to_numpy(),
                }
            )
            for group, modes in self.modes.items()
            for j, term in enumerate(modes.columns)
        ]
        if len({str(part["grp"].dtype) for part in parts}) > 1:
            parts = [part.assign(grp=part["grp"].astype(str)) for part in parts]
        return pd.concat(parts, ignore_index=True)

    def document(self) -> Document:
        """Return the first levels of every grouping factor."""
        return Document("", tuple(_head(group, modes) for group, modes in self.modes.items()))

    def _sd_from_cov(self, group: str) -> pd.DataFrame:
        modes = self.modes[group]
        variances = np.diagonal(self.cov[group], axis1=1, axis2=2)
        return pd.DataFrame(np.sqrt(variances), index=modes.index, columns=modes.columns)


def _head(group: str, modes: pd.DataFrame) -> Table:
    size, head = len(modes), modes.head(_HEAD)
    columns = [labels("", (str(level) for level in head.index))]
    for j, name in enumerate(head.columns):
        columns.append(numbers(str(name), format_common(head.iloc[:, j].to_numpy(), 5)))
    left = size - len(head)
    notes = (f"... and {left} more level{'s' if left > 1 else ''}",) if left else ()
    return Table(f"{group} ({size} levels)", tuple(columns), notes, foldable=True)


def _read_only(array: FloatArray) -> FloatArray:
    view = np.asarray(array, dtype=np.float64).view()
    view.flags.writeable = False
    return view
