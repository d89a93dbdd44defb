"""Every error and warning that ranef raises on purpose.

One small tree: each class also subclasses the builtin a user would naturally catch.
Messages say what was got, what is allowed, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RanefError(Exception):
    """Base class of every error that ranef raises on purpose."""


class FormulaError(RanefError, ValueError):
    """The formula cannot be read, or asks for something that is not allowed.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    formula : str, optional
        The whole formula; shown with carets under the offending span.
    span : tuple of int, optional
        Start and end (exclusive) of the offending characters in ``formula``.
    """

    def __init__(
        self, message: str, formula: str | None = None, span: tuple[int, int] | None = None
    ) -> None:
        self.message = message
        self.formula = formula
        self.span = span
        super().__init__(message + _carets(formula, span))

    def __reduce__(self) -> tuple[type[FormulaError], tuple[object, ...]]:
        return (type(self), (self.message, self.formula, self.span))


class DataError(RanefError, ValueError):
    """The data cannot be used for the model that the formula describes."""


class UnknownVariableError(FormulaError, KeyError):
    """The formula, or an argument, names a column that the data do not have."""

    __str__ = Exception.__str__  # KeyError would show the repr of the message

    @classmethod
    def from_missing(
        cls,
        name: str,
        available: Iterable[str],
        formula: str | None = None,
        span: tuple[int, int] | None = None,
    ) -> UnknownVariableError:
        """Build the error for column ``name``, with the closest existing names as a hint."""
        columns = [str(column) for column in available]
        close = [column for column in columns if column.casefold() == name.casefold()]
        close = close or difflib.get_close_matches(name, columns, n=3, cutoff=0.6)
        hint = f" Did you mean {_either(close)}?" if close else ""
        shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
        return cls(
            f"the data have no column {name!r}.{hint} Columns: {shown or '(none)'}.", formula, span
        )


class OptionError(RanefError, ValueError):
    """An argument has a value that is not allowed."""

    @classmethod
    def from_choice(cls, name: str, value: object, allowed: Iterable[str]) -> OptionError:
        """Build the error for argument ``name`` that must be one of ``allowed``."""
        choices = list(allowed)
        close = difflib.get_close_matches(str(value).lower(), choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return cls(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.{hint}")


class FitError(RanefError, RuntimeError):
    """The model cannot be fitted: it is not identified, or does not fit into memory."""


class StorageError(RanefError, ValueError):
    """A model cannot be saved as it is, or a file is not a saved model that can be loaded."""


class NoRowsError(RanefError, ValueError):
    """The model was fitted to streamed data: its rows were summed up, and are not kept."""


class MissingDependencyError(RanefError, ImportError):
    """An optional dependency is needed and not installed."""

    @classmethod
    def from_extra(cls, package: str, extra: str) -> MissingDependencyError:
        """Build the error that names the extra of ranef which brings ``package``."""
        return cls(f"this needs {package}: install it with `pip install 'ranef[{extra}]'`.")


class RanefWarning(UserWarning):
    """Base class of every warning that ranef issues."""


class IdentifiabilityWarning(RanefWarning):
    """The data do not determine the covariance parameters: other values fit equally well."""


class ConvergenceWarning(RanefWarning):
    """The fit did not reach an optimum; estimates must not be used as they are."""


class RankDeficiencyWarning(RanefWarning):
    """Columns of the fixed-effects model matrix were dropped because others determine them."""


def _either(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names)


def _carets(formula: str | None, span: tuple[int, int] | None) -> str:
    """Return the formula with carets under ``span``, on lines of their own."""
    if formula is None or span is None:
        return ""
    start, end = span
    flat = " ".join(formula.split("\n")) if "\n" in formula else formula
    return f"\n  {flat}\n  {' ' * start}{'^' * max(1, end - start)}"
