"""What one check of a model found: a number, a verdict in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Every test of a check calls the model's assumptions into doubt where they hold in this share of
# models: p-values are compared with it after Bonferroni's correction within the check.
LEVEL = 0.01


class Outcome(StrEnum):
    """How a check ended."""

    FINE = "fine"
    LOOK = "look"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    topic : str
        ``Normal residuals``.
    outcome : Outcome
        ``"fine"``, ``"look"`` or ``"not checked"``.
    looked_at : str
        What was computed, from what.
    value : float
        The number behind the verdict; NaN where there is none.
    verdict : str
        A sentence.
    advice : str
        What to do; empty unless there is something to look at.
    """

    topic: str
    outcome: Outcome
    looked_at: str
    value: float
    verdict: str
    advice: str = ""


def skipped(topic: str, looked_at: str, reason: str) -> Finding:
    """Return the finding of a check that could not be made."""
    return Finding(topic, Outcome.NOT_CHECKED, looked_at, float("nan"), reason)


def shown(p: float) -> str:
    """Return a p-value as it stands in a sentence."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
