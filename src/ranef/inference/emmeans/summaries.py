"""From linear functions to tables of numbers: intervals, tests, and what has to be said about them.

Everything is computed on the scale on which the model is linear. With ``response``, estimates and
ends of intervals are transformed back at the end, and standard errors by the slope of the way back;
tests stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import (
    STEPWISE,
    TWO_SIDED,
    Adjustment,
    Family,
    Side,
    adjusted_p,
    critical_values,
)
from ranef.inference.emmeans.functions import LinearFunctions, RowIndex
from ranef.inference.wald import check_level
from ranef.tables.document import Fact
from ranef.typing import FloatArray, check_choice

Scale: TypeAlias = Literal["link", "response"]
SHOWN_DDF = {
    "satterthwaite": "satterthwaite",
    "kenward-roger": "kenward-roger",
    "normal": "asymptotic",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about linear functions.

    Attributes
    ----------
    intervals, tests : bool
        Which of the two is wanted.
    adjust : str or None
        None for what suits the functions; intervals of means are not adjusted by default.
    level : float
    null : float
        Tested value, on the scale of the model.
    side : {"two-sided", "<", ">"}
    delta : float
        Threshold of tests of equivalence, non-inferiority and non-superiority; 0 for none.
    """

    intervals: bool
    tests: bool
    adjust: Adjustment | None = None
    level: float = 0.95
    null: float = 0.0
    side: Side = "two-sided"
    delta: float = 0.0

    def __post_init__(self) -> None:
        check_level(self.level)
        check_choice("side", self.side, Side)
        if self.adjust is not None:
            check_choice("adjust", self.adjust, Adjustment)
        for name in ("null", "delta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise OptionError(f"{name} must be a number; got {value!r}.")
            if not np.isfinite(value) or (name == "delta" and value < 0):
                kind = "not negative" if name == "delta" else "finite"
                raise OptionError(f"{name} must be {kind}; got {value!r}.")


def wanted_parts(infer: Any, intervals: bool, tests: bool) -> tuple[bool, bool]:
    """Return whether intervals and tests are wanted.

    Parameters
    ----------
    infer : bool, (bool, bool) or None
        Both or neither; each of them; or what follows.
    intervals, tests : bool
    """
    if infer is None:
        return intervals, tests
    both = (infer, infer) if isinstance(infer, bool | np.bool_) else infer
    known = isinstance(both, tuple | list) and len(both) == 2
    if not known or not all(isinstance(part, bool | np.bool_) for part in both):
        raise OptionError(
            "infer must be True (intervals and tests), False (neither) or (intervals, tests) such "
            f"as (True, False); got {infer!r}."
        )
    return bool(both[0]), bool(both[1])


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Numbers and notes.

    Attributes
    ----------
    frame : DataFrame (m, ...)
        Labels, the estimate under its name, std_error, df; conf_low and conf_high; null (where
        it is not 0), statistic and p_value.
    estimate : str
        The name of the column of estimates.
    facts : tuple of Fact
    remarks : tuple of str
    """

    frame: pd.DataFrame
    estimate: str
    facts: tuple[Fact, ...]
    remarks: tuple[str, ...]


def summarize(functions: LinearFunctions, question: Question, scale: Scale) -> Summary:
    """Answer a question about linear functions.

    Parameters
    ----------
    functions : LinearFunctions
    question : Question
    scale : {"link", "response"}
    """
    check_choice("type", scale, Scale)
    estimate, error, df = functions.values
    adjust = question.adjust or functions.adjust
    question = replace(question, adjust=adjust)
    link = functions.link if scale == "response" else None
    name = functions.name
    if link is not None:
        name = "response" if functions.kind == "prediction" else "ratio"
    frame = functions.labels.copy()
    if name == "ratio":
        for column in functions.variables:
            frame[column] = [str(text).replace(" - ", " / ") for text in frame[column]]
    frame[name] = estimate if link is None else link.back(estimate)
    frame["std_error"] = error if link is None else np.abs(link.slope(estimate)) * error
    frame["df"] = df
    facts, remarks = [*_averages(functions)], list(functions.remarks)
    if link is None and functions.link is not None:
        remarks.append(f"Results are given on the {functions.link.name} (not the response) scale.")
    if question.intervals:
        frame["conf_low"], frame["conf_high"] = _intervals(functions, question, facts, remarks)
        if link is not None:
            ends = [link.back(frame[end].to_numpy()) for end in ("conf_low", "conf_high")]
            frame["conf_low"], frame["conf_high"] = ends
            remarks.append(f"Intervals are back-transformed from the {link.name} scale.")
    if question.tests:
        statistic, p_value = _tests(functions, question, facts, remarks)
        if link is not None or question.null:
            null = np.array([question.null], dtype=np.float64)
            frame["null"] = (null if link is None else link.back(null))[0]
        frame["statistic"], frame["p_value"] = statistic, p_value
        if link is not None:
            remarks.append(f"Tests are performed on the {link.name} scale.")
    return Summary(frame, name, tuple(facts), tuple(remarks))


def _averages(functions: LinearFunctions) -> list[Fact]:
    facts = [Fact("Degrees-of-freedom method", SHOWN_DDF[functions.ddf])]
    if functions.over:
        over = Fact("Results are averaged over the levels of", ", ".join(functions.over))
        facts.insert(0, over)
    return facts


def _intervals(
    functions: LinearFunctions, question: Question, facts: list[Fact], remarks: list[str]
) -> tuple[FloatArray, FloatArray]:
    estimate, error, df = functions.values
    families = _families(functions)
    adjust = _suitable(functions, question, remarks)
    if adjust in STEPWISE:
        adjust = "bonferroni"
    reach = np.full(len(estimate), np.nan)
    for rows, family in families:
        reach[rows] = critical_values(df[rows], family, adjust, question.level, question.side)
    facts.append(Fact("Confidence level used", f"{question.level:g}"))
    facts += _adjustment("Conf-level adjustment", adjust, families, "estimates")
    half = np.where(error == 0.0, 0.0, reach * error)  # no uncertainty, and no df either
    low, high = estimate - half, estimate + half
    if question.side == "<":
        low = np.where(np.isnan(high), np.nan, -np.inf)
    elif question.side == ">":
        high = np.where(np.isnan(low), np.nan, np.inf)
    return low, high


def _tests(
    functions: LinearFunctions, question: Question, facts: list[Fact], remarks: list[str]
) -> tuple[FloatArray, FloatArray]:
    estimate, error, df = functions.values
    families = _families(functions)
    side, delta = question.side, question.delta
    distance = estimate - question.null
    with np.errstate(invalid="ignore", divide="ignore"):
        if side == "two-sided":
            # two one-sided tests: the nearer threshold decides
            statistic = (np.abs(distance) - delta if delta else distance) / error
        else:
            statistic = (distance + (delta if side == ">" else -delta)) / error
    toward: Side = "<" if side == "two-sided" and delta else side
    adjust = _suitable(functions, replace(question, side=toward), remarks)
    p = np.full(len(estimate), np.nan)
    for rows, family in families:
        p[rows] = adjusted_p(statistic[rows], df[rows], family, adjust, toward)
    facts += _adjustment("P value adjustment", adjust, families, "tests")
    if delta:
        kind = {"two-sided": "equivalence", "<": "nonsuperiority", ">": "noninferiority"}[side]
        remarks.append(f"Statistics are tests of {kind} with a threshold of {delta:.5g}.")
    if toward != "two-sided":
        remarks.append(f"P values are {'left' if toward == '<' else 'right'}-tailed.")
    return statistic, p


def _families(functions: LinearFunctions) -> list[tuple[RowIndex, Family]]:
    return [(rows, functions.family(rows)) for rows in functions.groups]


def _suitable(functions: LinearFunctions, question: Question, remarks: list[str]) -> Adjustment:
    """Return the adjustment, or Sidak's where it has no meaning, and say so."""
    adjust = question.adjust or "none"
    reason = ""
    if adjust in TWO_SIDED and question.side != "two-sided":
        reason = "is not for one-sided questions"
    elif adjust == "tukey" and functions.kind != "pairs":
        reason = "is for one set of pairwise comparisons"
    if not reason or max(map(len, functions.groups)) == 1:
        return adjust
    remark = f"The adjustment {adjust!r} {reason}; 'sidak' is used."
    if remark not in remarks:
        remarks.append(remark)
    return "sidak"


def _adjustment(
    title: str,
    adjust: Adjustment,
    families: list[tuple[RowIndex, Family]],
    what: str,
) -> list[Fact]:
    """Say how large the families are; families of one test are not adjusted."""
    found = [family for _, family in families]
    largest = max(family.size for family in found)
    if adjust == "none" or (largest == 1 and adjust != "scheffe"):
        return []

    def shown(numbers: set[int]) -> str:
        return str(numbers.pop()) if len(numbers) == 1 else "(varies)"

    size = shown({family.size for family in found})
    if adjust == "tukey":
        means = shown({round(family.means) for family in found})
        return [Fact(title, f"tukey method for comparing a family of {means} estimates")]
    if adjust == "scheffe":
        return [Fact(title, f"scheffe method with rank {shown({f.rank for f in found})}")]
    return [Fact(title, f"{adjust} method for {size} {what}")]
