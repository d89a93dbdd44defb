"""Evaluates expressions of a formula on a frame, remembering what transforms learned.

A tree walk over five node kinds: nothing of the formula is compiled or passed to `eval`. A stateful
transform (`poly`, `scale`, `bs`, ...) keeps what it learned under its own text in ``states``; with
the states of a fit, new data are transformed exactly as the training data were.

As in R, expressions are evaluated on all rows; rows with missing values are dropped afterwards.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.design.functions import CONSTANTS, FUNCTIONS, STATEFUL, signature_error
from ranef.design.values import FactorValue, Matrix, as_number, from_returned
from ranef.errors import DataError, FormulaError, RanefError, UnknownVariableError
from ranef.formula import Expression
from ranef.formula.expression import constant_names
from ranef.formula.nodes import Call, Constant, Listing, Name, Node, Operation, render

Result: TypeAlias = (
    "NDArray[Any] | Matrix | FactorValue | float | int | bool | str | tuple[Any, ...] | None"
)

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide,
    "^": np.power, "%%": np.mod, "%/%": np.floor_divide,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal,
    ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_LOGIC: dict[str, Callable[[Any, Any], Any]] = {"&": np.logical_and, "|": np.logical_or}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluator:
    """Evaluates expressions of one formula on one frame.

    Attributes
    ----------
    frame : Frame
    source : str
        The formula, for errors that point into it.
    context : mapping of str to object
        The caller's own functions and constants.
    states : dict of str to dict
        What stateful transforms learned, by the text of the call. Filled while evaluating.
    """

    frame: Frame
    source: str
    context: Mapping[str, Any] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, Result] = field(default_factory=dict)

    def check(self, expression: Expression) -> None:
        """Raise unless every name and function of the expression is known."""
        words = [word for word in constant_names(expression.node) if word in self.frame]
        if words:
            raise FormulaError(
                f"{words[0]!r} is a constant of the formula language; the column of this name is "
                f"written in backquotes: `{words[0]}`.",
                self.source,
                expression.span,
            )
        self._check(expression.node)

    def columns_of(self, expression: Expression) -> tuple[str, ...]:
        """Return the columns of the data that the expression uses."""
        return tuple(name for name in expression.names if name in self.frame)

    def evaluate(self, expression: Expression) -> Result:
        """Return the value of the expression, one row per row of the frame.

        Raises
        ------
        FormulaError
            If a function is called with wrong arguments.
        DataError
            If the data do not allow an operation.
        """
        if expression.text not in self.values:
            with np.errstate(all="ignore"):
                self.values[expression.text] = self._value(expression.node)
        return self.values[expression.text]

    def _check(self, node: Node) -> None:
        if isinstance(node, Name):
            known = node.text in self.frame or node.text in self.context or node.text in CONSTANTS
            if not known:
                raise UnknownVariableError.from_missing(
                    node.text, self.frame.names, self.source, node.span
                )
        elif isinstance(node, Call):
            if node.function not in self.context and node.function not in FUNCTIONS:
                raise _unknown_function(node, self.source, self.context)
            for child in (*node.arguments, *(argument for _, argument in node.named)):
                self._check(child)
        elif isinstance(node, Operation):
            for child in node.operands:
                self._check(child)

    def _value(self, node: Node) -> Result:
        match node:
            case Name():
                return self._lookup(node)
            case Constant():
                return node.value
            case Listing():
                return node.items
            case Operation():
                return self._operate(node)
            case Call():
                return self._call(node)

    def _lookup(self, node: Name) -> Result:
        if node.text in self.frame:
            return value_of_column(self.frame.column(node.text))
        if node.text in self.context:
            given: Result = from_returned(self.context[node.text], self.frame.size)
            return given
        if node.text in CONSTANTS:
            constant: Result = CONSTANTS[node.text]
            return constant
        raise UnknownVariableError.from_missing(node.text, self.frame.names, self.source, node.span)

    def _operate(self, node: Operation) -> Result:
        values = [self._value(operand) for operand in node.operands]
        if node.operator in _COMPARISONS:
            return self._compare(node, values)
        numbers = [
            self._numbers(value, operand)
            for value, operand in zip(values, node.operands, strict=True)
        ]
        if node.operator in _LOGIC:
            result: Result = _LOGIC[node.operator](numbers[0] != 0, numbers[1] != 0)
            return result
        if node.operator == "!":
            negated: Result = np.logical_not(numbers[0] != 0)
            return negated
        if node.operator in ("neg", "pos"):
            signed: Result = -numbers[0] if node.operator == "neg" else numbers[0]
            return signed
        computed: Result = _ARITHMETIC[node.operator](numbers[0], numbers[1])
        return computed

    def _compare(self, node: Operation, values: list[Result]) -> Result:
        compare = _COMPARISONS[node.operator]
        left, right = values
        for factor, other in ((left, right), (right, left)):
            if isinstance(factor, FactorValue):
                if isinstance(other, FactorValue | np.ndarray | Matrix):
                    raise FormulaError(
                        "a factor can only be compared with one of its levels.",
                        self.source,
                        node.span,
                    )
                if node.operator not in ("==", "!="):
                    raise FormulaError(
                        "levels of a factor can only be compared with '==' and '!='.",
                        self.source,
                        node.span,
                    )
                result: Result = compare(factor.codes, factor.code_of(other))
                return result
        numbers = [
            self._numbers(value, operand)
            for value, operand in zip(values, node.operands, strict=True)
        ]
        compared: Result = compare(numbers[0], numbers[1])
        return compared

    def _numbers(self, value: Result, node: Node) -> Any:
        if isinstance(value, FactorValue):
            raise DataError(
                f"{render(node)!r} is a factor; arithmetic needs numbers."
                + _caret_lines(self.source, node)
            )
        if isinstance(value, str | tuple) or value is None:
            raise FormulaError("this is not a number.", self.source, node.span)
        return as_number(value)

    def _call(self, node: Call) -> Result:
        function, stateful = self._function(node)
        arguments = [self._value(argument) for argument in node.arguments]
        named: dict[str, Any] = {
            name.replace(".", "_"): self._value(argument) for name, argument in node.named
        }
        for name in named:
            if name.startswith("_"):
                raise FormulaError(f"no argument is called {name!r}.", self.source, node.span)
        if stateful:
            named["_state"] = self.states.setdefault(render(node), {})
        own = node.function in self.context
        if own:
            arguments = [_for_caller(argument) for argument in arguments]
            named = {k: v if k == "_state" else _for_caller(v) for k, v in named.items()}
        else:
            message = signature_error(node.function, arguments, named)
            if message:
                raise FormulaError(message, self.source, node.span)
        try:
            result = function(*arguments, **named)
        except RanefError as error:
            raise DataError(f"{render(node)}: {error}") from error
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError) as error:
            raise DataError(f"{render(node)} cannot be computed: {error}") from error
        returned: Result = from_returned(result, self.frame.size, render(node)) if own else result
        return returned

    def _function(self, node: Call) -> tuple[Callable[..., Any], bool]:
        if node.function in self.context:
            function = self.context[node.function]
            if not callable(function):
                raise FormulaError(
                    f"{node.function!r} of the context is not a function.", self.source, node.span
                )
            return function, bool(getattr(function, "__is_stateful_transform__", False))
        if node.function not in FUNCTIONS:
            raise _unknown_function(node, self.source, self.context)
        return FUNCTIONS[node.function], node.function in STATEFUL


def value_of_column(column: Column) -> Result:
    """Return a column as a value that expressions work on."""
    if column.levels is not None:
        return FactorValue(
            column.values,
            column.levels,
            ordered=column.ordered,
            text=column.text,
            labels_only=column.kind == "labels",
        )
    if column.missing is not None and column.values.dtype.kind in "iu":
        return np.where(column.missing, np.nan, column.values)
    return column.values


def _for_caller(value: Result) -> Any:
    """Return what the caller's own functions get: arrays, or a pandas Categorical."""
    if isinstance(value, FactorValue):
        return pd.Categorical.from_codes(value.codes, value.levels, ordered=value.ordered)
    if isinstance(value, Matrix):
        return np.column_stack(value.columns)
    return value


def _unknown_function(node: Call, source: str, context: Mapping[str, Any]) -> FormulaError:
    known = sorted({*FUNCTIONS, *context})
    close = difflib.get_close_matches(node.function, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return FormulaError(
        f"unknown function {node.function!r}.{hint} Known functions: {', '.join(known)}. "
        f"Pass your own as context={{{node.function!r}: function}}.",
        source,
        node.span,
    )


def _caret_lines(source: str, node: Node) -> str:
    return str(FormulaError("", source, node.span))
