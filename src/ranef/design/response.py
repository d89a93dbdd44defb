"""Another response on the same rows, and what the variables then still say about it.

The variables of a model are what its formula is evaluated on. With the response `y` the column is
replaced, too. With `log(y)` it cannot be: of the new response only the transformed values are
known, and the column `y` is that of the earlier one. It is kept, for the old formula names it, but
nothing may be computed from it again, see `check_response`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ranef.design.column import Column
from ranef.design.evaluate import Evaluator
from ranef.design.spec import ColumnSpec
from ranef.design.types import Design
from ranef.design.variables import Variables
from ranef.errors import UnknownVariableError
from ranef.formula import ModelFormula
from ranef.formula.nodes import Name
from ranef.typing import FloatArray


def with_response(design: Design, y: FloatArray) -> Design:
    """Return the design of another response (n,) on the same rows."""
    columns, node = dict(design.variables.columns), design.formula.response.node
    if isinstance(node, Name):
        columns[node.text] = Column(node.text, "numeric", y)
    return replace(design, y=y, variables=Variables(columns, design.variables.index))


def outdated_variables(design: Design) -> tuple[str, ...]:
    """Return the variables that nothing but an earlier response was made of."""
    response = design.formula.response
    if isinstance(response.node, Name) or _is_made_of_variables(design):
        return ()
    spec: ColumnSpec = design.spec
    others = {*_predictors(design.formula), spec.offset_column, spec.weights_column}
    return tuple(name for name in response.names if name not in others)


def check_response(design: Design, formula: ModelFormula) -> None:
    """Raise UnknownVariableError if a formula uses variables of an earlier response."""
    old = design.formula.response
    used = set(_predictors(formula))
    if formula.response != old:
        used.update(formula.response.names)
    if used.isdisjoint(old.names):
        return
    for name in outdated_variables(design):
        if name in used:
            raise UnknownVariableError(
                f"the model was refitted to other values of {old.label}, and does not hold the "
                f"{name!r} that belongs to them: pass the data again, data=.",
                formula.source,
            )


def _predictors(formula: ModelFormula) -> tuple[str, ...]:
    """Return every variable of a formula but those of the response."""
    offsets = (name for offset in formula.offsets for name in offset.names)
    random = (name for term in formula.random for name in term.names)
    return (*formula.fixed.names, *offsets, *random)


def _is_made_of_variables(design: Design) -> bool:
    """Tell whether the response is what the formula makes of the variables."""
    spec: ColumnSpec = design.spec
    states = {text: dict(state) for text, state in spec.states.items()}
    evaluator = Evaluator(design.variables.frame(), spec.source, spec.context, states)
    value = evaluator.evaluate(design.formula.response)
    if not isinstance(value, np.ndarray) or value.shape != design.y.shape:
        return False
    values = value.astype(np.float64)
    known = np.isfinite(values)  # lag() of the used rows lacks the first ones
    scale = float(np.abs(design.y).max())
    # rounding, if the model was saved on another machine
    return bool(np.allclose(values[known], design.y[known], rtol=0.0, atol=1e-12 * scale))
