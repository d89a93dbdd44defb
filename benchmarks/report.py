"""Writes docs/benchmarks.md from the measurements: losses as plainly as wins.

What is said in words is found in the numbers: nobody has to remember to mention a loss.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import scaling
import suite
from measure import LONGEST_FOR_OTHERS, PATIENT_WITH, Row

# Criteria this close count as equal: a thousandth of what anybody would report.
EQUAL = 1e-6
# From here on, a package counts as having missed the optimum.
MISSED = 1e-3
# Megabytes more than another package that count as a loss.
MEMORY = 20.0

HEADINGS: dict[suite.Size, str] = {
    "small": "Small models",
    "medium": "Medium models",
    "large": "Large models",
}


@dataclass(frozen=True)
class Measured:
    """All rows of one model, and on what, when and how they were measured."""

    case: suite.Benchmark
    rows: tuple[Row, ...]
    environment: Mapping[str, str]
    rounds: int
    limit: float

    @property
    def ours(self) -> Row | None:
        """The row of ranef, if it fitted the model."""
        return next((r for r in self.rows if r.package == "ranef" and r.outcome == "fitted"), None)

    @property
    def others(self) -> list[Row]:
        """Rows of the other packages that fitted the model."""
        return [r for r in self.rows if r.package != "ranef" and r.outcome == "fitted"]


def load(stored: Mapping[str, Any]) -> list[Measured]:
    """Return what is stored, in the order of the suite; what it no longer has is left out."""
    return [
        Measured(
            case,
            tuple(Row(**row) for row in stored[case.name]["rows"]),
            stored[case.name]["environment"],
            stored[case.name]["rounds"],
            stored[case.name]["limit"],
        )
        for case in (*suite.SUITE, *scaling.POINTS)
        if case.name in stored
    ]


def losses(measured: Sequence[Measured]) -> dict[str, list[str]]:
    """Return everything in which ranef lost, as sentences by kind.

    Parameters
    ----------
    measured : sequence of Measured

    Returns
    -------
    dict
        Kinds: faster, optimum, memory, target, failed. Empty lists where nothing was lost.
    """
    found: dict[str, list[str]] = {
        kind: [] for kind in ("faster", "optimum", "memory", "target", "failed")
    }
    for m in measured:
        name, ours = f"**{m.case.name}**", m.ours
        if ours is None:
            found["failed"] += [f"{name}: {r.reason}" for r in m.rows if r.package == "ranef"]
            continue
        quicker = [r for r in m.others if r.ratio is not None and r.ratio < 1.0]
        if quicker:
            quicker.sort(key=lambda r: r.ratio or 0.0)
            said = [f"{r.package} takes {_ratio(r.ratio)} of the time" for r in quicker]
            found["faster"].append(f"{name}: {', '.join(said)}")
        deeper = [r for r in m.others if (ours.excess or 0.0) - _excess(r) > EQUAL]
        if deeper:
            said = [f"{r.package} by {(ours.excess or 0.0) - _excess(r):.1e}" for r in deeper]
            found["optimum"].append(f"{name}: {', '.join(said)}")
        leaner = [
            r for r in m.others if (ours.memory_above or 0.0) > (r.memory_above or 0.0) + MEMORY
        ]
        if leaner:
            said = [f"{r.package} {r.memory_above:.0f} MB" for r in leaner]
            found["memory"].append(f"{name}: ranef {ours.memory_above:.0f} MB, {', '.join(said)}")
        lme4 = next((r for r in m.others if r.package == "lme4"), None)
        promised = m.case.target
        if promised and lme4 and lme4.ratio is not None and lme4.ratio < promised:
            found["target"].append(f"{name}: {lme4.ratio:.1f} times instead of {promised:g}")
    return found


def missed(measured: Sequence[Measured]) -> list[str]:
    """Return who stopped short of the optimum by how much, and whether it said so."""
    found = []
    for m in measured:
        said = [
            f"{r.package} by {_number(_excess(r))}"
            + {True: ", reporting convergence", False: ", and says so", None: ""}[r.converged]
            for r in m.rows
            if r.outcome == "fitted" and r.excess is not None and r.excess > MISSED
        ]
        if said:
            found.append(f"**{m.case.name}**: {'; '.join(said)}")
    return found


def page(measured: Sequence[Measured], absent: Sequence[str]) -> str:
    """Return docs/benchmarks.md.

    Parameters
    ----------
    measured : sequence of Measured
    absent : sequence of str
        Packages with an adapter that are not installed.
    """
    models = [m for m in measured if m.case.size != "scaling"]
    points = [m for m in measured if m.case.size == "scaling"]
    latest = max(measured, key=lambda m: m.environment["date"]).environment
    lines = ["# Benchmarks", "", *_environment(latest, models or points, absent), "", HOW]
    if models:
        lines += ["", "## Wins and losses", "", *_verdicts(models)]
    for size, heading in HEADINGS.items():
        mine = [m for m in models if m.case.size == size]
        if mine:
            lines += ["", f"## {heading}", "", *_section(mine, latest)]
    if points:
        lines += ["", *_scaling(points, latest)]
    return "\n".join([*lines, "", ELSEWHERE]) + "\n"


HOW = """\
Written by `python benchmarks/run.py`; do not edit.

## How it is measured

Every package fits every model in a process of its own, with its default settings and the same data;
packages take turns, several rounds, and ratios are taken within a round. Time is what a user waits
for: from a data frame in memory, in the form that the package likes best, to a fitted model;
reading files and importing packages do not count. Optima are compared on one scale: the estimates
of every package go into the same function, ranef's criterion, profiled over fixed effects and
residual variance, whose value and gradient are computed there.

| column | meaning |
|---|---|
| time | a repeated call: median of the calls of a process, then of the rounds |
| × ranef | time divided by ranef's; **bold where the package is faster than ranef** |
| first | the first call of a process, with whatever is only then loaded |
| CPU | processor time of a repeated call, all threads |
| memory | peak during the first call, and how much of it was not there before, MB |
| evaluations | of the criterion; iterations where a package tells only these |
| Δ objective | how far the estimates are above the lowest criterion known, in deviance units |
| gradient | its largest element there, in coordinates whose natural size is one; at a variance of \
zero, the slope by which the criterion would still fall |
| converged | what the package says about itself |

A package without a row has no way to say the model: below the table is why. Nothing else is fitted
instead.\
"""

ELSEWHERE = """\
## More

What comes after the fit has pages of its own, with their scripts:
[the bootstrap](../benchmarks/bootstrap.md), [many responses](../benchmarks/fit_many.md),
[degrees of freedom](../benchmarks/degrees_of_freedom.md), and
[where the time of a fit goes](../benchmarks/where.md). How to run and extend all this, and what was
predicted before it was measured, is in [benchmarks/](../benchmarks/README.md).\
"""


def _environment(
    latest: Mapping[str, str], measured: Sequence[Measured], absent: Sequence[str]
) -> list[str]:
    versions: dict[str, str] = {}
    for m in measured:
        versions |= {row.package: row.version for row in m.rows if row.version}
    entries = {**latest, **versions}
    if absent:
        entries["not installed"] = ", ".join(absent)
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in entries.items())]


def _verdicts(models: Sequence[Measured]) -> list[str]:
    contested = [m for m in models if m.ours is not None and m.others]
    fastest = [m for m in contested if all((r.ratio or 1.0) >= 1.0 for r in m.others)]
    against = [
        r.ratio for m in contested for r in m.others if r.package == "lme4" and r.ratio is not None
    ]
    lost = losses(models)
    lines = [f"ranef is the fastest in {len(fastest)} of {len(contested)} models."]
    if against:
        against.sort()
        low, middle, high = (_ratio(against[i]) for i in (0, len(against) // 2, -1))
        lines[0] += f" lme4 takes {low} to {high} times as long as ranef; the middle is {middle}."
    for kind, heading in (
        ("faster", "Where another package was faster"),
        ("optimum", f"Where another package found a lower criterion (by more than {EQUAL:g})"),
        ("memory", f"Where another package needed less memory (by more than {MEMORY:.0f} MB)"),
        ("target", "Where ranef missed its own target against lme4"),
        ("failed", "Where ranef did not fit the model"),
    ):
        lines += ["", f"**{heading}:** " + ("" if lost[kind] else "nowhere.")]
        lines += ["", *(f"* {text}." for text in lost[kind])] if lost[kind] else []
    short = missed(models)
    lines += ["", f"**Who stopped more than {MISSED:g} above the optimum:** "]
    lines[-1] += "" if short else "nobody."
    lines += ["", *(f"* {text}." for text in short)] if short else []
    ended = [
        f"**{m.case.name}**: {', '.join(f'{r.package} ({r.reason})' for r in bad)}"
        for m in models
        if (bad := [r for r in m.rows if r.outcome in ("stopped", "failed")])
    ]
    lines += ["", "**Who did not finish:** " + ("" if ended else "nobody.")]
    lines += ["", *(f"* {text}." for text in ended)] if ended else []
    return [line.rstrip() for line in lines]


def _section(measured: Sequence[Measured], latest: Mapping[str, str]) -> list[str]:
    lines = [_measured_on(measured, latest), ""]
    for m in measured:
        method = "REML" if m.case.reml else "ML"
        lines.append(f"* **{m.case.name}**: `{shorten(m.case.formula)}`, {method}; {m.case.why}.")
    lines += [
        "",
        "| model | package | time | × ranef | first | CPU | memory, MB | evaluations | "
        "Δ objective | gradient | converged |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    cannot: dict[tuple[str, str], list[str]] = {}
    for m in measured:
        for row in m.rows:
            if row.outcome == "cannot":
                cannot.setdefault((row.package, row.reason), []).append(m.case.name)
            else:
                lines.append(_line(m.case.name, row))
    said = [f"* {p}: {reason} ({'; '.join(names)})." for (p, reason), names in cannot.items()]
    return lines + (["", "Not in the table:", "", *said] if said else [])


def _line(name: str, row: Row) -> str:
    if row.outcome != "fitted":
        return f"| {name} | {row.package} | {row.reason} | | | | | | | | |"
    faster = row.package != "ranef" and row.ratio is not None and row.ratio < 1.0
    ratio = f"**{_ratio(row.ratio)}**" if faster else _ratio(row.ratio)
    excess = "" if row.excess is None else _number(row.excess)
    if row.excess is not None and row.excess > MISSED:
        excess = f"**{excess}**"
    cells = [
        name,
        row.package,
        _time(row.seconds),
        ratio,
        _time(row.first_seconds),
        _time(row.cpu_seconds),
        f"{row.memory:.0f} (+{row.memory_above:.0f})",
        "" if row.evaluations is None else f"{row.evaluations}",
        excess,
        "" if row.gradient is None else f"{row.gradient:.0e}",
        {True: "yes", False: "no", None: ""}[row.converged],
    ]
    return f"| {' | '.join(cells)} |"


def _measured_on(measured: Sequence[Measured], latest: Mapping[str, str]) -> str:
    dates = sorted({m.environment["date"] for m in measured})
    rounds = sorted({m.rounds for m in measured})
    text = f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    text += f", {rounds[-1]} rounds" if rounds[-1] > 1 else ", one round"
    longest = max(m.limit for m in measured)
    text += f"; stopped after {longest:.0f} s"
    if longest > LONGEST_FOR_OTHERS:
        text += f", others than {' and '.join(PATIENT_WITH)} after "
        text += f"{LONGEST_FOR_OTHERS:.0f} s"
    others = {
        f"{name} {m.environment[name]}"
        for m in measured
        for name in m.environment
        if name != "date" and m.environment[name] != latest.get(name)
    }
    return text + (f"; other than above: {', '.join(sorted(others))}." if others else ".")


def _scaling(points: Sequence[Measured], latest: Mapping[str, str]) -> list[str]:
    found = scaling.curves({m.case.name: m.rows for m in points})
    lines = [
        "## How time grows",
        "",
        _measured_on(points, latest),
        "",
        "One size grows and the others stay. The exponent b of size^b is the slope of a straight",
        "line through the upper half of the points, on logarithmic axes.",
        "",
        "| what grows | from, to | package | exponent of time | of memory | time | evaluations |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for axis in scaling.AXES:
        for c in (curve for curve in found if curve.axis == axis.name):
            time, memory = (scaling.exponent(c.counts, values) for values in (c.seconds, c.memory))
            lines.append(
                f"| {axis.label} | {c.counts[0]} to {c.counts[-1]} | {c.package} | "
                f"{_exponent(time)} | {_exponent(memory)} | "
                f"{_time(c.seconds[0])} to {_time(c.seconds[-1])} | "
                f"{min(c.evaluations)} to {max(c.evaluations)} |"
            )
    lines += ["", "What the arithmetic says about ranef's time:", ""]
    lines += [f"* **{axis.name}**: {axis.expected}." for axis in scaling.AXES]
    lines += ["", "![Time against size on logarithmic axes](images/scaling.png)"]
    ended = [
        f"{m.case.name.removeprefix('scaling ')}: {r.package} {r.reason}"
        for m in points
        for r in m.rows
        if r.outcome != "fitted"
    ]
    return [*lines, "", f"Left out: {'; '.join(ended)}."] if ended else lines


def in_short(row: Row) -> str:
    """Return a row as a line for the terminal."""
    if row.outcome != "fitted":
        return f"{row.package:12} {row.outcome}: {row.reason}"
    excess = "" if row.excess is None else f"{_number(row.excess):>9}"
    return (
        f"{row.package:12} {_time(row.seconds):>9} {_ratio(row.ratio):>6} x ranef "
        f"{row.memory_above:7.0f} MB {row.evaluations or '':>6} evaluations {excess}"
    )


def shorten(formula: str) -> str:
    """Return a formula with long runs of x0 + x1 + ... abbreviated."""
    return re.sub(r"(x\d+ \+ x\d+)(?: \+ x\d+){2,}( \+ x\d+)", r"\1 + …\2", formula)


def _excess(row: Row) -> float:
    return float("inf") if row.excess is None else row.excess


def _number(value: float) -> str:
    if value < 1e-7:
        return "< 1e-7"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.1e}"


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _exponent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _time(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g} s" if value >= 1.0 else f"{1000 * value:.3g} ms"
