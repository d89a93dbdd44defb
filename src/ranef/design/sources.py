"""Evaluates the expressions of a model on the used rows and decides how factors are coded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.design.column import Column
from ranef.design.columns import FactorSource, NumericSource, Source
from ranef.design.contrasts import as_request, code_factor
from ranef.design.evaluate import Evaluator
from ranef.design.grouping import group_column
from ranef.design.rows import UsedRows
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError, FormulaError, OptionError, UnknownVariableError
from ranef.formula import Expression, ModelFormula
from ranef.formula.nodes import Name
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class SourceMaker:
    """Makes the sources of columns; every expression is evaluated once.

    Attributes
    ----------
    evaluator : Evaluator
    rows : UsedRows
    contrasts : mapping of str to str
        Wanted contrasts of factors in the fixed part. Random terms have R's defaults, as in lme4.
    """

    evaluator: Evaluator
    rows: UsedRows
    contrasts: Mapping[str, Any]
    sources: dict[tuple[str, Any], Source] = field(default_factory=dict)
    grouped: dict[str, tuple[IntArray, pd.Index]] = field(default_factory=dict)

    def check_contrasts(self, formula: ModelFormula) -> None:
        """Raise unless every entry of ``contrasts`` belongs to a factor of the fixed part."""
        known = {f.text: f for term in formula.fixed.terms for f in term.factors}
        by_label = {expression.label: expression for expression in known.values()}
        for name, wish in self.contrasts.items():
            as_request(wish)
            if name not in by_label:
                frame = self.evaluator.frame
                if name not in frame:
                    raise UnknownVariableError.from_missing(name, frame.names)
                raise OptionError(
                    f"contrasts are given for {name!r}, which is not in the fixed part; "
                    f"it has {', '.join(map(repr, by_label)) or 'no variables'}."
                )
            if isinstance(self.source(by_label[name], fixed=True), NumericSource):
                raise OptionError(f"contrasts are given for {name!r}, which is not a factor.")

    def source(self, expression: Expression, *, fixed: bool) -> Source:
        """Return the columns that an expression stands for.

        Raises
        ------
        DataError
            If it is not finite, or a factor with a single level.
        """
        wish = self.contrasts.get(expression.label) if fixed else None
        key = (expression.text, wish)
        if key not in self.sources:
            self.sources[key] = self._make(expression, wish)
        return self.sources[key]

    def response(self, expression: Expression) -> FloatArray:
        """Return the response as new floats.

        Raises
        ------
        DataError
            If it is not a column of finite numbers.
        """
        value = self.evaluator.evaluate(expression)
        if isinstance(value, FactorValue):
            kind = "text" if value.text else "a factor"
            raise DataError(
                f"the response {expression.label!r} is {kind}, not numeric; "
                "linear mixed models need numbers."
            )
        if isinstance(value, Matrix) or not isinstance(value, np.ndarray):
            raise DataError(f"the response {expression.label!r} is not one column of the data.")
        y = np.array(self.rows.subset(value), dtype=np.float64)
        self._check_finite(expression, y)
        return y

    def groups(self, name: str) -> tuple[IntArray, pd.Index]:
        """Return codes and levels of a column as a grouping factor."""
        if name not in self.grouped:
            column = self.evaluator.frame.column(name)
            self.grouped[name] = group_column(column, self.rows.keep)
        return self.grouped[name]

    def _make(self, expression: Expression, wish: Any) -> Source:
        value = self.evaluator.evaluate(expression)
        label = expression.label
        if isinstance(value, FactorValue):
            return self._factor(expression, value, wish)
        if isinstance(value, Matrix):
            columns = tuple(self.rows.subset(column) for column in value.columns)
            suffixes = tuple(f"[{name}]" for name in value.names)
        else:
            columns = (self._one_column(expression, value),)
            suffixes = ("",)
        if columns and columns[0].dtype.kind == "b":
            factor = FactorValue(np.asarray(value).astype(np.int8), pd.Index([False, True]))
            return self._factor(expression, factor, wish)
        if not isinstance(expression.node, Name):  # variables themselves are checked already
            for column in columns:
                self._check_finite(expression, column)
        return NumericSource(label, columns, suffixes)

    def _one_column(self, expression: Expression, value: Any) -> NDArray[Any]:
        if isinstance(value, np.ndarray) and value.ndim == 1:
            return self.rows.subset(value)
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            return np.full(self.rows.size, float(value))
        raise FormulaError(
            "this is not a column of numbers or a factor.",
            self.evaluator.source,
            expression.span,
        )

    def _factor(self, expression: Expression, value: FactorValue, wish: Any) -> FactorSource:
        label = expression.label
        if value.labels_only and isinstance(expression.node, Name):
            raise DataError(
                f"{label!r} holds neither numbers nor categories; compute a number from it, or "
                f"write factor({label}) to treat its values as levels."
            )
        if isinstance(expression.node, Name) and label in self.evaluator.frame:
            codes, levels = self.groups(label)
        else:
            whole = Column(label, "factor", value.codes, levels=value.levels)
            codes, levels = group_column(whole, self.rows.keep)
        if len(levels) < 2:
            raise DataError(
                f"the factor {label!r} has a single level, {str(levels[0])!r}, in the rows that "
                "are used; remove it from the formula."
            )
        return FactorSource(label, codes, code_factor(value, levels, wish))

    def _check_finite(self, expression: Expression, column: NDArray[Any]) -> None:
        if column.dtype.kind != "f" or np.isfinite(column).all():
            return
        wrong = ~np.isfinite(column)
        raise DataError(
            f"{expression.label!r} is not a finite number in {self.rows.first(wrong)} although "
            "its variables are there; make the rows missing, or change the transformation."
        )
