"""Diagnostics of a fitted model: residuals, leverage, influence, and a check of its assumptions."""

from ranef.diagnostics.augment import augment
from ranef.diagnostics.check import ModelCheck, check
from ranef.diagnostics.cooks import cooks_distance
from ranef.diagnostics.finding import Finding, Outcome
from ranef.diagnostics.influence import influence
from ranef.diagnostics.influence_result import Influence
from ranef.diagnostics.leverage import leverage
from ranef.diagnostics.residuals import residuals

__all__ = [
    "Finding",
    "Influence",
    "ModelCheck",
    "Outcome",
    "augment",
    "check",
    "cooks_distance",
    "influence",
    "leverage",
    "residuals",
]
