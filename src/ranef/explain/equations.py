"""The model in equations: level by level, as HLM and MLwiN show it, or in one.

`equations` returns text that can be printed, pasted into a paper or looked at in a notebook; its
`to_frame` says what every symbol stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pandas as pd

from ranef.errors import OptionError
from ranef.explain.as_latex import latex_symbol, latex_system
from ranef.explain.as_text import text_symbol, text_system
from ranef.explain.notation import System
from ranef.explain.system import make_system
from ranef.typing import check_choice, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Style: TypeAlias = Literal["levels", "mixed"]
Format: TypeAlias = Literal["latex", "text"]
MOST_DIGITS = 15  # more than these a float does not have


class Equations(str):
    """The equations of a model: a string in the format that was asked for, which knows the others.

    ``print`` shows it; in a notebook it is typeset. It cannot be changed.
    """

    _system: System
    _format: Format
    _digits: int | None

    def __new__(cls, system: System, fmt: Format, digits: int | None) -> Equations:
        """Render the system."""
        shown = text_system(system, digits) if fmt == "text" else _display(system, digits)
        made = super().__new__(cls, shown)
        for name, value in (("_system", system), ("_format", fmt), ("_digits", digits)):
            object.__setattr__(made, name, value)
        return made

    def to_text(self) -> str:
        """Return plain text, in ASCII but for names of the data."""
        return text_system(self._system, self._digits)

    def to_latex(self) -> str:
        r"""Return an ``align*`` environment that needs ``\usepackage{amsmath}``."""
        return _display(self._system, self._digits)

    def to_markdown(self) -> str:
        """Return a display formula between double dollar signs."""
        return self._inline()

    def to_frame(self) -> pd.DataFrame:
        """Return what the symbols stand for.

        Returns
        -------
        DataFrame
            Columns symbol, latex, kind (``fixed``, ``variance``, ``covariance``, ``residual
            variance``), group, name, estimate.
        """
        rows = [
            (
                text_symbol(parameter.symbol),
                latex_symbol(parameter.symbol),
                parameter.kind,
                parameter.group,
                parameter.name,
                parameter.symbol.value,
            )
            for parameter in self._system.parameters
        ]
        columns = ["symbol", "latex", "kind", "group", "name", "estimate"]
        return pd.DataFrame(rows, columns=columns).astype({"estimate": float})

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str | None:
        return self._inline() if self._format == "latex" else None

    def _repr_markdown_(self) -> str | None:
        return self._inline() if self._format == "latex" else f"```text\n{self}\n```"

    def _inline(self) -> str:
        rows = latex_system(self._system, self._digits)
        return f"$$\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}\n$$"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"equations cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"equations cannot be changed: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Equations, (self._system, self._format, self._digits))


def equations(
    model: LinearMixedModel,
    style: Style = "levels",
    fmt: Format = "latex",
    *,
    estimates: bool = False,
    digits: int = 3,
) -> Equations:
    """Return the model in equations.

    Use it to see what a formula says, or to write it down in a paper.

    Parameters
    ----------
    model : LinearMixedModel
    style : {"levels", "mixed"}
        Equations for every level, as in HLM and MLwiN: a predictor that is constant within the
        groups of a level stands in the equations of that level. Or the one equation that they
        add up to.
    fmt : {"latex", "text"}
    estimates : bool
        Show estimates in the place of parameters.
    digits : int
        Decimals of the estimates; small numbers get more, so that as many digits count.

    Returns
    -------
    Equations
        A string with ``.to_text()``, ``.to_latex()``, ``.to_markdown()`` and ``.to_frame()``, which
        says what every symbol stands for.

    Raises
    ------
    OptionError
        For another style, format or number of digits.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(equations(m, fmt="text"))
    Level 1 (observation i)
      Reaction_ij = beta_0j + beta_1j Days_ij + e_ij
      e_ij ~ N(0, sigma^2)
    <BLANKLINE>
    Level 2 (Subject j)
      beta_0j = gamma_00 + u_0j
      beta_1j = gamma_10 + u_1j
      (u_0j, u_1j) ~ N(0, [tau_00  tau_01]
                          [tau_10  tau_11])

    References
    ----------
    Raudenbush and Bryk 2002, Hierarchical Linear Models, 2nd edition.
    """
    check_choice("style", style, Style)
    check_choice("fmt", fmt, Format)
    check_flag("estimates", estimates)
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= MOST_DIGITS:
        raise OptionError(f"digits must be a whole number from 0 to {MOST_DIGITS}; got {digits!r}.")
    return Equations(make_system(model, style), fmt, digits if estimates else None)


def _display(system: System, digits: int | None) -> str:
    return f"\\begin{{align*}}\n{latex_system(system, digits)}\n\\end{{align*}}"
