"""What the first pass has to look for: a property of the formula, not of the data.

Most expressions of a formula belong to one row at a time, and need no first pass. Those that do:

* variables and expressions whose values are levels: factors, groups, comparisons;
* calls that learn from whole columns. ``scale`` and ``center`` learn from a mean and a variance,
  which are sums. The others (``poly``, ``bs``, ``ns``, ...) need their column in one piece: it is
  kept until they have learned, 8 bytes for every row of the data;
* the caller's own functions, of which nothing is known.

What looks at neighbouring rows (``lag``) cannot be streamed and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ranef.design.column import Column
from ranef.design.evaluate import Evaluator
from ranef.design.frame import Frame
from ranef.errors import DataError, FormulaError, OptionError, UnknownVariableError
from ranef.formula import Expression, ModelFormula
from ranef.formula.nodes import Call, Constant, Name, Node, Operation, walk

# Functions that make levels of the values of their first argument.
MAKERS = frozenset({"factor", "as.factor", "ordered", "relevel", "C", "dummy"})
# Functions that remember numbers of the whole column.
LEARNERS = frozenset({"scale", "center", "poly", "bs", "ns", "cr", "cs", "cc"})
BY_SUMS = frozenset({"scale", "center"})
ARITHMETIC = frozenset({"+", "-", "*", "/", "^", "%%", "%/%", "neg", "pos"})


@dataclass(frozen=True, slots=True, eq=False)
class ScanPlan:
    """What to collect from every chunk.

    Attributes
    ----------
    formula : ModelFormula
    weights, offset : str or None
        Columns given as arguments.
    context : mapping of str to object
        The caller's functions and constants that the formula uses.
    variables : tuple of str
        The columns of the data that the model uses.
    predictors : tuple of str
        Those of the fixed effects, as they follow each other in the formula.
    levels : tuple of Expression
        Expressions whose every value must be seen, whatever its kind.
    named : tuple of str
        Variables whose every value must be seen unless they are numbers.
    groups : tuple of tuple of str
        Variables of every grouping factor: every combination must be seen.
    moments : tuple of Expression
        Calls that learn from mean and variance.
    learners : tuple of Expression
        Other calls that learn from whole columns.
    kept : tuple of str
        The columns that ``learners`` need.
    makers : tuple of Expression
        Expressions that make factors.
    own : tuple of Expression
        Expressions that call the caller's own functions, which learn nothing.
    """

    formula: ModelFormula
    weights: str | None
    offset: str | None
    context: Mapping[str, Any]
    variables: tuple[str, ...]
    predictors: tuple[str, ...]
    levels: tuple[Expression, ...]
    named: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    moments: tuple[Expression, ...]
    learners: tuple[Expression, ...]
    kept: tuple[str, ...]
    makers: tuple[Expression, ...]
    own: tuple[Expression, ...]


def make_plan(
    formula: ModelFormula,
    names: tuple[str, ...],
    weights: Any,
    offset: Any,
    context: Mapping[str, Any],
) -> ScanPlan:
    """Find out what the first pass has to collect.

    Parameters
    ----------
    names : tuple of str
        The columns of the data.

    Raises
    ------
    OptionError
        If weights or offset are not names of columns.
    DataError
        If the context has a column.
    FormulaError
        If the formula cannot be streamed.
    """
    _check_arguments(names, weights, offset, context)
    expressions = formula.expressions
    nothing = Evaluator(
        Frame(names, 0, pd.RangeIndex(0), False, _no_column), formula.source, context
    )
    for term in formula.random:
        for variable in term.group:
            if variable.names[0] not in names:
                raise UnknownVariableError.from_missing(
                    variable.names[0], names, formula.source, variable.span
                )
    for expression in expressions:
        nothing.check(expression)
        _refuse_neighbours(expression, formula.source)
    evaluated = tuple(dict.fromkeys(n for e in expressions for n in e.names if n in names))
    groups = tuple(dict.fromkeys(tuple(v.names[0] for v in term.group) for term in formula.random))
    arguments = tuple(name for name in (weights, offset) if name is not None)
    grouping = tuple(name for group in groups for name in group)
    levels: dict[str, Expression] = {}
    moments: dict[str, Expression] = {}
    learners: dict[str, Expression] = {}
    for expression in expressions:
        for node in _level_nodes(expression.node, context):
            if any(_learns(inner, context) for inner in walk(node)):
                raise FormulaError(
                    "this makes levels of what depends on all rows, which cannot be streamed; "
                    "make it a column of the data.",
                    formula.source,
                    node.span,
                )
            found = Expression.from_node(node)
            levels.setdefault(found.text, found)
        for node in _learning_nodes(expression.node, context):
            found = Expression.from_node(node)
            (moments if _by_sums(node, context) else learners).setdefault(found.text, found)
    kept = tuple(dict.fromkeys(n for e in learners.values() for n in e.names if n in names))
    return ScanPlan(
        formula,
        weights,
        offset,
        context,
        tuple(dict.fromkeys((*evaluated, *grouping, *arguments))),
        _predictors(formula, names),
        tuple(levels.values()),
        evaluated,
        groups,
        tuple(moments.values()),
        tuple(learners.values()),
        kept,
        tuple(e for e in expressions if {"factor", "ordered", "C"} & set(e.functions)),
        tuple(
            e
            for e in expressions
            if any(name in context for name in e.functions)
            and not any(_learns(node, context) for node in walk(e.node))
        ),
    )


def _check_arguments(
    names: tuple[str, ...], weights: Any, offset: Any, context: Mapping[str, Any]
) -> None:
    for role, given in (("weights", weights), ("offset", offset)):
        if given is not None and not isinstance(given, str):
            raise OptionError(
                f"{role} must be the name of a column when the data are streamed; got "
                f"{type(given).__name__}."
            )
        if given is not None and given not in names:
            raise UnknownVariableError.from_missing(given, names)
    for word, value in context.items():
        if not callable(value) and np.ndim(value) and not isinstance(value, tuple):
            raise DataError(
                f"{word!r} of the context has one value for every row, which cannot be streamed; "
                "make it a column of the data."
            )


def _predictors(formula: ModelFormula, names: tuple[str, ...]) -> tuple[str, ...]:
    factors = [factor for term in formula.fixed.terms for factor in term.factors]
    factors.sort(key=lambda factor: factor.span[0])
    return tuple(dict.fromkeys(n for factor in factors for n in factor.names if n in names))


def _no_column(position: int, name: str) -> Column:
    raise DataError(f"the column {name!r} ({position}) was read too early.")


def scale_state(node: Node, count: int, mean: float, squares: float) -> dict[str, Any]:
    """Return what ``scale`` or ``center`` remembers, from the moments of its argument.

    Parameters
    ----------
    count : int
        Values that are present.
    mean, squares : float
        Their mean, and their sum of squares about it.
    """
    assert isinstance(node, Call)
    options = dict(zip(("center", "scale"), node.arguments[1:], strict=False))
    options.update({name: value for name, value in node.named if name != "x"})
    values = {
        name: option.value for name, option in options.items() if isinstance(option, Constant)
    }
    center = values.get("center", True)
    spread = values.get("scale", True) if node.function == "scale" else False
    middle = (mean if center else 0.0) if isinstance(center, bool) else float(center)  # type: ignore[arg-type]
    if isinstance(spread, bool):
        about = squares + count * (mean - middle) ** 2
        size = (about / (count - 1)) ** 0.5 if spread and count > 1 else 1.0
    else:
        size = float(spread)  # type: ignore[arg-type]
    return {"center": middle, "scale": size}


def argument(node: Node) -> Node:
    """Return the first argument of a call, wherever it is written."""
    assert isinstance(node, Call)
    if node.arguments:
        return node.arguments[0]
    named = dict(node.named)
    if "x" not in named:
        raise DataError(f"{node.function}() needs an argument.")
    return named["x"]


def _refuse_neighbours(expression: Expression, source: str) -> None:
    for node in walk(expression.node):
        if isinstance(node, Call) and node.function == "lag":
            raise FormulaError(
                "lag() looks at other rows, which cannot be streamed; make it a column of the "
                "data.",
                source,
                node.span,
            )


def _level_nodes(node: Node, context: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the innermost expressions whose values become levels."""
    if isinstance(node, Operation):
        if node.operator not in ARITHMETIC:
            yield node
            return
        for operand in node.operands:
            yield from _level_nodes(operand, context)
    elif isinstance(node, Call) and node.function in context:
        if not _learns(node, context):
            yield node
    elif isinstance(node, Call) and node.function in MAKERS:
        inner = argument(node)
        if isinstance(inner, Call) and inner.function in MAKERS:
            yield from _level_nodes(inner, context)
        else:
            yield inner
    elif isinstance(node, Call):
        for child in (*node.arguments, *(value for _, value in node.named)):
            yield from _level_nodes(child, context)


def _learns(node: Node, context: Mapping[str, Any]) -> bool:
    if not isinstance(node, Call):
        return False
    if node.function in context:
        return bool(getattr(context[node.function], "__is_stateful_transform__", False))
    if node.function == "poly" and _is_true(dict(node.named).get("raw")):
        return False
    return node.function in LEARNERS


def _is_true(node: Node | None) -> bool:
    return isinstance(node, Constant) and node.value is True


def _learning_nodes(node: Node, context: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the outermost calls that learn."""
    if _learns(node, context):
        yield node
        return
    children: tuple[Node, ...] = ()
    if isinstance(node, Operation):
        children = node.operands
    elif isinstance(node, Call):
        children = (*node.arguments, *(value for _, value in node.named))
    for child in children:
        yield from _learning_nodes(child, context)


def _by_sums(node: Node, context: Mapping[str, Any]) -> bool:
    """Tell whether sums over the rows are all that the call learns."""
    assert isinstance(node, Call)
    if node.function not in BY_SUMS or node.function in context:
        return False
    inner = argument(node)
    simple = all(
        isinstance(part, Name | Constant | Operation)
        or (isinstance(part, Call) and part.function not in context and not _remembers(part))
        for part in walk(inner)
    )
    options = (*node.arguments[1:], *(value for name, value in node.named if name != "x"))
    return simple and all(isinstance(option, Constant) for option in options)


def _remembers(node: Call) -> bool:
    return node.function in LEARNERS or node.function in MAKERS or node.function.startswith("as.")
