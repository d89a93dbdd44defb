"""What all responses share: formula and predictors, ready to become a design for any rows.

A response with missing values has the design of the rows that are left: levels may vanish, while
transforms keep what they learned from all rows. Building it from the predictors with a stand-in
response that is missing in those rows gives what a fit of that response alone would have. The
predictors are copied once; later changes of the caller's data do not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ranef.design import Design, build_design
from ranef.design.column import Column
from ranef.design.frame import Frame
from ranef.design.rows import read_numbers
from ranef.errors import FormulaError, UnknownVariableError
from ranef.formula import ModelFormula, parse_formula
from ranef.formula.nodes import Name
from ranef.typing import BoolArray, FloatArray, IntArray

PLACEHOLDER = "response"


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Formula, predictors and everything else that does not depend on the response. n rows.

    Attributes
    ----------
    left : str
        What stands for the response in ``formula``.
    right : str
        The formula from ``~`` on.
    words : tuple of str or None
        The columns that ``.`` stands for, where the formula has one.
    predictors : dict of str to Column
        Copies of the columns that are used.
    index : pandas.Index (n,)
    labelled : bool
    weights, offset : str, float64 array (n,) or None
    contrasts : dict or None
    """

    left: str
    right: str
    words: tuple[str, ...] | None
    predictors: dict[str, Column]
    index: pd.Index
    labelled: bool
    weights: Any
    offset: Any
    contrasts: Mapping[str, Any] | None

    @property
    def size(self) -> int:
        """Number of rows of the data, n."""
        return len(self.index)

    @property
    def formula(self) -> ModelFormula:
        """The formula with the placeholder for its response."""
        return parse_formula(f"{_quoted(self.left)} {self.right}", self.words)

    @property
    def stand_in(self) -> FloatArray:
        """A response (n,) that tells its row by its value, and that no predictor explains."""
        return np.random.default_rng(0).permutation(self.size).astype(np.float64)

    def rows_of(self, design: Design) -> IntArray:
        """Return the rows of the data that a design of the stand-in uses."""
        return np.argsort(self.stand_in)[design.y.astype(np.intp)]

    def design(self, missing: BoolArray | None = None) -> Design:
        """Return the design for the rows in which neither predictors nor response are missing.

        Parameters
        ----------
        missing : bool array (n,), optional
            Where the response is missing.

        Raises
        ------
        DataError
            If these rows do not identify the model.
        """
        return self._build(self.formula, self.left, self.stand_in, missing)

    def design_of(self, name: str, y: FloatArray) -> Design:
        """Return the design of a response with its name, as `ranef.fit` makes it.

        Parameters
        ----------
        name : str
        y : float64 array (n,)
            NaN where missing.
        """
        if name in self.predictors or "`" in name:
            name = self.left
        try:
            formula = parse_formula(f"{_quoted(name)} {self.right}", self.words)
        except FormulaError:  # a name that means something else in formulas, such as `pi`
            formula = parse_formula(f"`{name}` {self.right}", self.words)
        return self._build(formula, name, y, np.isnan(y))

    def _build(
        self, formula: ModelFormula, name: str, y: FloatArray, missing: BoolArray | None
    ) -> Design:
        if missing is not None and not missing.any():
            missing = None
        values = y if missing is None else np.where(missing, np.nan, y)
        columns = {**self.predictors, name: Column(name, "numeric", values, missing=missing)}
        frame = Frame(
            tuple(columns), self.size, self.index, self.labelled, lambda _, name: columns[name]
        )
        return build_design(
            formula, frame, weights=self.weights, offset=self.offset, contrasts=self.contrasts
        )


def share(
    formula: Any,
    frame: Frame,
    responses: Collection[str],
    *,
    weights: Any,
    offset: Any,
    contrasts: Mapping[str, Any] | None,
) -> Shared:
    """Read formula and predictors.

    Parameters
    ----------
    formula : str
        With nothing or a name to the left of ``~``.
    frame : Frame
        The caller's data.
    responses : collection of str
        Columns of the data that ``.`` does not stand for.
    weights, offset, contrasts
        As in `ranef.fit`.

    Raises
    ------
    FormulaError
        If the formula cannot be read, or transforms the response.
    DataError
        If the predictors cannot be used.
    """
    left, right, words = _read(formula, frame, responses)
    used: dict[str, Column] = {}

    def read(name: str) -> Column:
        used[name] = frame.column(name)
        return used[name]

    shared = Shared(
        left,
        right,
        words,
        {},
        frame.index,
        frame.labelled,
        _values("weights", weights, frame),
        _values("offset", offset, frame),
        contrasts,
    )
    stand_in = Column(left, "numeric", shared.stand_in)
    watched = Frame(
        (*(name for name in frame.names if name != left), left),
        frame.size,
        frame.index,
        frame.labelled,
        lambda _, name: stand_in if name == left else read(name),
    )
    # complains about everything that is wrong whatever the response
    try:
        build_design(
            shared.formula, watched, weights=weights, offset=offset, contrasts=shared.contrasts
        )
    except FormulaError as error:
        raise _as_given(error, formula, frame.names) from None
    return replace(shared, predictors={name: _copied(column) for name, column in used.items()})


def _read(
    formula: Any, frame: Frame, responses: Collection[str]
) -> tuple[str, str, tuple[str, ...] | None]:
    """Return the placeholder, the formula from ``~`` on, and what ``.`` stands for."""
    if not isinstance(formula, str):
        raise FormulaError(
            f"a formula is a string such as '~ x + (x | g)'; got {type(formula).__name__}."
        )
    source, left = formula, PLACEHOLDER
    while left in frame:
        left += "_"
    if formula.lstrip().startswith("~"):
        source = f"{left} {formula.lstrip()}"
    own = set(responses)
    words = tuple(name for name in frame.names if name not in own) if "." in source else None
    try:
        parsed = parse_formula(source, words)
    except FormulaError as error:
        raise _as_given(error, formula, frame.names) from None
    response = parsed.response
    if not isinstance(response.node, Name):
        raise FormulaError(
            "fit_many takes the responses as they are: transform them, and write nothing or a "
            "name before '~'",
            source,
            response.span,
        )
    for offset in parsed.offsets:
        if response.node.text in offset.names:
            raise FormulaError(
                f"{response.node.text!r} stands for the response, so it cannot be an offset.",
                source,
                offset.span,
            )
    left, right = response.node.text, source[source.index("~", response.span[1]) :]
    if words is not None:
        words = tuple(name for name in words if name != left)
    return left, right, words


def _as_given(error: FormulaError, formula: str, names: Sequence[str]) -> FormulaError:
    """Return an error about the formula with a placeholder as one about the caller's formula."""
    if error.formula is None or error.span is None or "~" not in formula:
        return error
    start, own = error.formula.index("~"), formula.index("~")
    if error.formula[start:] != formula[own:] or error.span[0] < start:
        return error
    span = error.span[0] - start + own, error.span[1] - start + own
    if isinstance(error, UnknownVariableError):  # the placeholder is no column
        name = formula[slice(*span)].strip("`")
        return UnknownVariableError.from_missing(name, names, formula, span)
    return type(error)(error.message, formula, span)


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _values(role: str, given: Any, frame: Frame) -> Any:
    """Return weights or offsets as the name of a column, or as a copy of their values."""
    if given is None or isinstance(given, str):
        return given
    numbers = read_numbers(role, given, frame)
    return None if numbers is None else numbers.values


def _copied(column: Column) -> Column:
    missing = None if column.missing is None else column.missing.copy()
    return replace(column, values=column.values.copy(), missing=missing)
