"""What a user may ask of the optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

from ranef.errors import OptionError
from ranef.typing import check_flag


@dataclass(frozen=True, slots=True)
class Control:
    """Settings of the optimizer; the defaults need no change.

    Parameters
    ----------
    max_evaluations : int, optional
        Evaluations of the criterion (with derivatives, for Newton) before giving up. Default:
        200 for Newton, 10 000 for the derivative-free optimizers.
    tol : float
        Newton stops when the Newton decrement is below this, or below rounding: twice the decrease
        of the criterion that one more step promises, in units of the deviance. The derivative-free
        optimizers stop on changes a hundred times smaller, because they see no derivative.
    progress : bool
        Show a progress bar while data are read in chunks.

    Raises
    ------
    OptionError
        For values that make no sense.

    Examples
    --------
    >>> import ranef
    >>> ranef.Control(max_evaluations=50).max_evaluations
    50
    """

    max_evaluations: int | None = None
    tol: float = 1e-8
    progress: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        limit = self.max_evaluations
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1
        ):
            raise OptionError(f"max_evaluations must be a positive integer or None; got {limit!r}.")
        if (
            isinstance(self.tol, bool)
            or not isinstance(self.tol, int | float)
            or not (math.isfinite(self.tol) and self.tol > 0)
        ):
            raise OptionError(f"tol must be a positive number; got {self.tol!r}.")
        check_flag("progress", self.progress)

    def limit(self, default: int) -> int:
        """Return the number of evaluations allowed."""
        return default if self.max_evaluations is None else self.max_evaluations
