"""What the compared levels may be called: as they print, as values, or as tuples.

Contrasts print ``b temperature175``, because numbers say little without the name of their variable;
means print ``b`` and ``175`` in two columns. Callers may write either text, ``("b", 175)``, or for
one variable the value itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.axes import level_texts
from ranef.typing import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LevelNames:
    """The levels that are compared, k of them.

    Attributes
    ----------
    shown : tuple of str (k,)
        As contrasts call them.
    parts : tuple of tuple of str (k,)
        The level of every variable, as text.

    Examples
    --------
    >>> names = LevelNames(("a x1", "b x1"), (("a", "1"), ("b", "1")))
    >>> [names.position("ref", level) for level in ("b x1", "b 1", ("b", 1.0))]
    [1, 1, 1]
    """

    shown: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> LevelNames:
        """Return the names of levels of one variable."""
        return cls(tuple(texts), tuple((text,) for text in texts))

    def has(self, level: Any) -> bool:
        """Tell whether this is a tuple that names a level, and not several levels."""
        return isinstance(level, tuple) and _texts(level) in self.parts

    def position(self, argument: str, level: Any) -> int:
        """Return which level is meant.

        Raises
        ------
        OptionError
            If it is none of them, or more than one.
        """
        if isinstance(level, tuple):
            found = [i for i, own in enumerate(self.parts) if own == _texts(level)]
        else:
            text = level_texts([level])[0]
            found = [i for i, own in enumerate(self.shown) if own == text] or [
                i for i, own in enumerate(self.parts) if " ".join(own) == text
            ]
        if len(found) > 1:
            raise OptionError(
                f"{argument}: several levels are called {level!r}; give a tuple with the level of "
                "every variable."
            )
        if not found:
            text = " ".join(map(str, level)) if isinstance(level, tuple) else str(level)
            error = OptionError.from_choice(argument, text, self.shown)
            # the hint compares small letters, and levels are often capitals
            close = [own for own in self.shown if own.casefold() == text.casefold()]
            if close and "Did you mean" not in str(error):
                error = OptionError(f"{error} Did you mean {close[0]!r}?")
            raise error
        return found[0]

    def coefficients(self, name: str, given: Any) -> Any:
        """Return the coefficients of a contrast, (k,); levels that are not named have 0.

        Parameters
        ----------
        name : str
            Of the contrast.
        given : mapping, Series or sequence
            Numbers by level; or numbers in the order of the levels, which are returned as they are.
        """
        if isinstance(given, pd.Series) and not isinstance(given.index, pd.RangeIndex):
            given = dict(zip(given.index, given, strict=True))
        if not isinstance(given, Mapping):
            return given
        row: FloatArray = np.zeros(len(self.shown))
        taken: dict[int, Any] = {}
        for level, value in given.items():
            at = self.position(f"a level in contrast {name!r}", level)
            if at in taken:
                raise OptionError(
                    f"contrast {name!r} names one level twice: {taken[at]!r} and {level!r}."
                )
            taken[at] = level
            try:
                row[at] = float(value)
            except (TypeError, ValueError):
                raise OptionError(
                    f"contrast {name!r} needs a number for every level; {level!r} has {value!r}."
                ) from None
        return row


def _texts(level: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(level_texts([part])[0] for part in level)
