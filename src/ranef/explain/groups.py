"""Which grouping factor and which level are meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import pandas as pd

from ranef.design.types import Grouping
from ranef.errors import OptionError
from ranef.variance import unknown_group

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

SHOWN = 8  # levels that an error lists


def find_group(model: LinearMixedModel, group: str | None) -> Grouping:
    """Return a grouping factor by name; without a name the only one.

    Raises
    ------
    UnknownVariableError
        If the model has no grouping factor of this name.
    OptionError
        If there are several and none was named.
    """
    groupings = {slot.term.grouping.name: slot.term.grouping for slot in model.problem.slots}
    if group is None:
        if len(groupings) > 1:
            raise OptionError(
                "the model has several grouping factors: say which, for example "
                f"group={next(iter(groupings))!r}. Grouping factors: {', '.join(groupings)}."
            )
        return next(iter(groupings.values()))
    if group not in groupings:
        raise unknown_group(group, groupings)
    return groupings[group]


def find_level(grouping: Grouping, level: Any) -> int:
    """Return the position of a level, given as it is or as the text that it prints as.

    Raises
    ------
    OptionError
        If there is none; suggests levels that look alike.
    """
    labels = [str(label) for label in grouping.levels]
    try:
        position = grouping.levels.get_indexer(pd.Index([level]))[0]
    except (TypeError, ValueError):  # not comparable with the levels
        position = -1
    if position >= 0:
        return int(position)
    if labels.count(str(level)) == 1:
        return labels.index(str(level))
    close = difflib.get_close_matches(str(level), labels, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    shown = ", ".join(labels[:SHOWN]) + (", ..." if len(labels) > SHOWN else "")
    raise OptionError(f"{level!r:.60} is not a level of {grouping.name}.{hint} Levels: {shown}.")
