"""Which responses lack values in the same rows: they share a design.

Rows that lack a predictor count for no response. The patterns are found in a first pass over the
responses, block by block; a pattern is kept as its packed bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from ranef.many.block import Fitter, Task, make_fitter
from ranef.many.responses import Chosen, Responses
from ranef.many.shared import Shared
from ranef.typing import BoolArray, IntArray

# Numbers in a block of responses, and its largest number of responses.
BLOCK, MOST_AT_ONCE = 2_000_000, 4096


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Responses that lack values in the same rows.

    Attributes
    ----------
    missing : bool array (n,) or None
        None where nothing is missing.
    members : int array
        Responses, increasing.
    """

    missing: BoolArray | None
    members: IntArray


def block_size(rows: int) -> int:
    """Return how many responses are read at once."""
    return max(1, min(MOST_AT_ONCE, BLOCK // rows))


def find_patterns(responses: Responses, used: IntArray, rows: int) -> list[Pattern]:
    """Group responses by what they lack.

    Parameters
    ----------
    responses : Responses
    used : int array
        Rows in which no predictor is missing.
    rows : int
        Rows of the data, n.
    """
    complete: list[IntArray] = []
    lacking: dict[bytes, list[int]] = {}
    size = block_size(rows)
    for first in range(0, responses.size, size):
        missing = np.isnan(responses.read(slice(first, min(first + size, responses.size)))[used])
        some = missing.any(axis=0)
        complete.append(first + np.flatnonzero(~some))
        at = np.flatnonzero(some)
        for j, bits in zip(at.tolist(), np.packbits(missing[:, at].T, axis=1), strict=True):
            lacking.setdefault(bits.tobytes(), []).append(first + j)
    whole = np.concatenate(complete)
    patterns = [Pattern(None, whole)] if len(whole) else []
    for key, members in lacking.items():
        missing = np.zeros(rows, dtype=bool)
        bits = np.unpackbits(np.frombuffer(key, dtype=np.uint8), count=len(used))
        missing[used] = bits.astype(bool)
        patterns.append(Pattern(missing, np.array(members)))
    return patterns


class Tasks(Sequence[tuple[Task]]):
    """The work on all responses, in blocks that are read when they are asked for.

    Parameters
    ----------
    shared : Shared
    responses : Responses
    patterns : list of Pattern
    whole : Fitter
        Of responses without missing values.
    reml : bool
    """

    def __init__(
        self,
        shared: Shared,
        responses: Responses,
        patterns: list[Pattern],
        whole: Fitter,
        *,
        reml: bool,
    ) -> None:
        self.shared, self.responses, self.patterns = shared, responses, patterns
        self.whole, self.reml, self.ddf = whole, reml, whole.ddf
        size = block_size(shared.size)
        self.parts = [
            (number, first, min(first + size, len(pattern.members)))
            for number, pattern in enumerate(patterns)
            for first in range(0, len(pattern.members), size)
        ]
        self._last: tuple[int, Fitter | str] | None = None

    def members(self, at: int) -> IntArray:
        """Return the responses of a task."""
        number, first, last = self.parts[at]
        return self.patterns[number].members[first:last]

    def __len__(self) -> int:
        return len(self.parts)

    @overload
    def __getitem__(self, at: int) -> tuple[Task]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[tuple[Task]]: ...
    def __getitem__(self, at: int | slice) -> tuple[Task] | Sequence[tuple[Task]]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if not 0 <= at < len(self.parts):
            raise IndexError(at)
        members = self.members(at)
        number = self.parts[at][0]
        pattern = self.patterns[number]
        fitter: Fitter | str | None = None  # made where it is used
        if pattern.missing is None:
            fitter = self.whole
        elif len(members) < len(pattern.members):  # several tasks use it: made once, here
            fitter = self._fitter(number)
        Y = self.responses.read(_as_slice(members))
        return (Task(self.shared, pattern.missing, fitter, self.reml, self.ddf, Y),)

    def _fitter(self, number: int) -> Fitter | str:
        if self._last is None or self._last[0] != number:
            pattern = self.patterns[number]
            count = len(pattern.members)
            fitter = make_fitter(
                self.shared, pattern.missing, reml=self.reml, ddf=self.ddf, count=count
            )
            self._last = number, fitter
        return self._last[1]


def _as_slice(members: IntArray) -> Chosen:
    """Return neighbours as a slice, which reads without copying."""
    first, last = int(members[0]), int(members[-1]) + 1
    return slice(first, last) if last - first == len(members) else members
