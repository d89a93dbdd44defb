"""The result of F tests of several linear functions, which prints like emmeans' joint_tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ranef.inference.emmeans.display import joint_document
from ranef.inference.emmeans.functions import LinearFunctions
from ranef.inference.emmeans.joint import jointly
from ranef.tables.document import Document
from ranef.tables.frame_result import FrameResult

NOTES = {
    "d": "d: df1 reduced due to linear dependence",
    "e": "e: df1 reduced due to non-estimability",
}


@dataclass(frozen=True, eq=False, repr=False)
class JointTests(FrameResult):
    """F tests of several linear functions at once.

    Columns: those of ``by``, num_df, den_df, f_value, p_value, note. Made by `joint_tests`, and by
    the method ``test(joint=True)`` of estimates.

    Attributes
    ----------
    by : tuple of str
    """

    by: tuple[str, ...]

    def document(self) -> Document:
        """Return one table per group, and what the letters mean."""
        flags = "".join(self._frame["note"])
        below = [text for letter, text in NOTES.items() if letter in flags]
        return joint_document(self._frame, self.by, below)


def joint_frame(functions: LinearFunctions, null: float = 0.0) -> JointTests:
    """Return the F test of every group of linear functions."""
    records: list[dict[str, Any]] = []
    for rows in functions.groups:
        distance = null - functions.offset[rows]
        found = jointly(functions.model, functions.ddf, functions.L[rows], distance)
        record = {name: functions.labels[name].iloc[rows[0]] for name in functions.by}
        records.append({**record, **found.record()})
    return JointTests(pd.DataFrame(records), functions.by)
