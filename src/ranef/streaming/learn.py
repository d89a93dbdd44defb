"""Between the passes: a design of the witnesses, which has everything of the whole but the rows.

The witnesses show every level of every factor; what transforms learned comes from all rows. So
the spec, the codings, the names and the levels of their design are those of the whole data, and
are made by the code that makes them for data in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.design.build import build_prototype
from ranef.design.checks import check_levels
from ranef.design.evaluate import Evaluator
from ranef.design.types import Design
from ranef.errors import DataError
from ranef.streaming.plan import ScanPlan, scale_state
from ranef.streaming.scan import Scan, sort_out
from ranef.streaming.table import LABELS, Nature, join, table_frame
from ranef.typing import NaAction


def prototype_design(
    scan: Scan, plan: ScanPlan, contrasts: Mapping[str, Any] | None, na_action: NaAction
) -> Design:
    """Build the design of the witnesses and the sample.

    Raises
    ------
    DataError
        If the data cannot be used for the model.
    """
    _check_counts(scan, na_action)
    states = _states(scan, plan)
    table = join([sort_out(scan, plan).witnesses[0], scan.sample])
    frame = table_frame(table, _settled(scan.natures))
    design = build_prototype(
        plan.formula,
        frame,
        weights=plan.weights,
        offset=plan.offset,
        contrasts=contrasts,
        context=plan.context,
        states=states,
    )
    for term in design.terms:
        check_levels(term, scan.n_used)
    return design


def _settled(natures: Mapping[str, Nature]) -> dict[str, Nature]:
    """Return the natures where nothing is undecided: a column without any value is numeric."""
    return {
        name: Nature("numeric") if nature.kind is None else nature
        for name, nature in natures.items()
    }


def _check_counts(scan: Scan, na_action: NaAction) -> None:
    if scan.n_total == 0:
        raise DataError("the data are empty: there are no rows.")
    counts = ", ".join(f"{name!r} in {count}" for name, count in scan.dropped.items())
    if na_action == "raise" and scan.dropped:
        raise DataError(
            f"there are missing values (rows: {counts}); na_action='drop' leaves these rows out."
        )
    if scan.n_used == 0:
        raise DataError(
            f"no complete row is left of {scan.n_total}: every row has a missing value "
            f"(rows: {counts})."
        )


def _states(scan: Scan, plan: ScanPlan) -> dict[str, dict[str, Any]]:
    """Return what calls learn from all rows, by the text of the call."""
    states: dict[str, dict[str, Any]] = {}
    for call in plan.moments:
        part = scan.moments[call.text]
        states[call.text] = scale_state(call.node, part.count, part.mean, part.squares)
    if not plan.learners:
        return states
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate(pieces) for name, pieces in scan.kept.items()
    }
    natures = {
        name: Nature("boolean" if scan.natures[name].kind == "boolean" else "numeric")
        for name in columns
    }
    for name, nature in natures.items():
        if nature.kind == "boolean":
            columns[name] = columns[name] > 0
    for call in plan.learners:
        # a new evaluator for every call: it would keep the values, which are larger than the data
        names = [name for name in call.names if name in columns]
        table = {name: columns[name] for name in names}
        frame = table_frame({**table, LABELS: np.arange(scan.n_total)}, natures)
        Evaluator(frame, plan.formula.source, plan.context, states).evaluate(call)
    return states
