"""Measures one model with every package: a process for every fit, in turn, several rounds.

Ratios are taken within a round and the median ratio is reported, because absolute times on a
machine that does other things as well are noise. A package that needs long, or ten times as long as
ranef, is measured in the first round only; one that exceeds the limit is stopped, and that is its
result.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import packages
import suite

HERE = Path(__file__).parent
# A fit whose first call takes longer than this, in seconds, is not repeated in later rounds.
LONG = 5.0
# So many times slower than ranef, a package needs no further rounds; but lme4, which has targets.
CLEAR = 10.0
# What repeated calls may take, in seconds, beyond the limit of the first.
REPEATS = LONG + 3.0
# What others than these two get of a limit that is longer, in seconds.
PATIENT_WITH = ("ranef", "lme4")
LONGEST_FOR_OTHERS = 120.0
# How much of the machine's memory a process may ask for.
SHARE_OF_MEMORY = 0.8

Outcome = Literal["fitted", "cannot", "stopped", "failed"]


@dataclass(frozen=True)
class Run:
    """One process. Times in seconds, memory in MB; see `worker` and `packages.Estimates`."""

    package: str
    outcome: Outcome
    reason: str = ""
    first_seconds: float = float("nan")
    seconds: float = float("nan")
    cpu_seconds: float = float("nan")
    repeats: int = 0
    memory_before: float = float("nan")
    memory_peak: float = float("nan")
    sigma2: float = float("nan")
    covariance: dict[str, list[list[float]]] = field(default_factory=dict)
    evaluations: int | None = None
    converged: bool | None = None
    version: str = ""


@dataclass(frozen=True)
class Row:
    """One package on one model: medians over the rounds.

    Attributes
    ----------
    package, outcome, reason, version : str
    seconds, first_seconds, cpu_seconds : float
        Repeated calls, the first call of a process, processor time of a repeated call.
    memory, memory_above : float
        Peak of the process during the first call, and how much of that is above what it had.
    evaluations : int or None
    converged : bool or None
    excess : float or None
        Criterion at the estimates minus the lowest that is known.
    gradient : float or None
        Largest element of the gradient there; see `judge`.
    ratio : float or None
        Seconds divided by ranef's of the same round.
    """

    package: str
    outcome: Outcome
    reason: str = ""
    version: str = ""
    seconds: float | None = None
    first_seconds: float | None = None
    cpu_seconds: float | None = None
    memory: float | None = None
    memory_above: float | None = None
    evaluations: int | None = None
    converged: bool | None = None
    excess: float | None = None
    gradient: float | None = None
    ratio: float | None = None


def measure(
    case: suite.Benchmark,
    folder: Path,
    *,
    rounds: int,
    limit: float,
    budget: float,
    judged: bool = True,
    given_up: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for every package that is installed.

    Parameters
    ----------
    case : Benchmark
    folder : Path
        For the data, which are made once, by a process of its own.
    rounds : int
    limit : float
        Seconds until a process is stopped, beyond what starting and reading the data may take.
    budget : float
        Seconds for repeated calls in one process.
    judged : bool
        Also evaluate the criterion at everybody's estimates.
    given_up : dict, optional
        Packages that are not tried, and why.
    """
    stem = folder / case.name.replace(" ", "_").replace(",", "")
    rows = make_data(case, stem)
    names = [n for n in case.sees or packages.NAMES if packages.version(n) is not None]
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            if given_up and name in given_up:
                runs[name] = [Run(name, "stopped", given_up[name])]
                continue
            if number and not worth_repeating(runs[name][0], runs["ranef"][0]):
                continue
            mine = limit if name in PATIENT_WITH else min(limit, LONGEST_FOR_OTHERS)
            runs[name].append(run_once(case, name, stem, mine, rows, budget))
    found = [summarise(mine, runs["ranef"]) for mine in runs.values()]
    return _judge(case, stem, runs, found) if judged else found


def worth_repeating(run: Run, ours: Run) -> bool:
    """Tell whether later rounds are worth their time: not where the first one says it all."""
    close = run.package == "lme4" or run.seconds < CLEAR * ours.seconds
    return run.outcome == "fitted" and run.first_seconds < LONG and close


def summarise(runs: Sequence[Run], ours: Sequence[Run]) -> Row:
    """Return medians over the rounds, and the median of the ratios within rounds."""
    first = runs[0]
    row = Row(first.package, first.outcome, first.reason, first.version)
    fitted = [run for run in runs if run.outcome == "fitted"]
    if first.outcome != "fitted" or not fitted:
        return row
    pairs = [
        (a, b)
        for a, b in zip(runs, ours, strict=False)
        if a.outcome == "fitted" and b.outcome == "fitted"
    ]
    return replace(
        row,
        seconds=statistics.median(run.seconds for run in fitted),
        first_seconds=statistics.median(run.first_seconds for run in fitted),
        cpu_seconds=statistics.median(run.cpu_seconds for run in fitted),
        memory=max(run.memory_peak for run in fitted),
        memory_above=max(run.memory_peak - run.memory_before for run in fitted),
        evaluations=first.evaluations,
        converged=first.converged,
        ratio=statistics.median(a.seconds / b.seconds for a, b in pairs) if pairs else None,
    )


def make_data(case: suite.Benchmark, stem: Path) -> int:
    """Write the data of a model to STEM.pkl and STEM.csv; return the number of rows."""
    return int(_python("make.py", case.name, str(stem)))


def run_once(
    case: suite.Benchmark, name: str, stem: Path, limit: float, rows: int, budget: float
) -> Run:
    """Fit one model with one package in a process of its own."""
    reml = str(case.reml)
    if name == "lme4":
        command = ["Rscript", str(HERE / "worker.R"), case.formula, reml, f"{stem}.csv"]
        command += [",".join(case.factors), str(budget)]
    else:
        command = [sys.executable, str(HERE / "worker.py"), name, case.formula, reml]
        command += [f"{stem}.pkl", str(budget)]
    run = in_process(name, command, limit, 120.0 + rows / 20_000)
    return replace(run, version=run.version or packages.version(name) or "")


def in_process(name: str, command: Sequence[str], limit: float, starting: float = 60.0) -> Run:
    """Run a worker and return what it says, or how it ended.

    Parameters
    ----------
    name : str
        Of the package.
    command : sequence of str
        Prints the line "ready" when the data are there, and an answer in JSON as its last line.
    limit, starting : float
        Seconds for the work, and for what has to be done before.
    """
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            preexec_fn=_bound_memory,  # noqa: PLW1509
        ) as process,
    ):
        assert process.stdout is not None
        lines, in_time = [], threading.Timer(starting, process.kill)
        in_time.start()
        for line in process.stdout:
            if line == "ready\n":
                in_time.cancel()
                in_time = threading.Timer(limit + REPEATS, process.kill)
                in_time.start()
            else:
                lines.append(line)
        process.wait()
        stopped = not in_time.is_alive()
        in_time.cancel()
        complaints.seek(0)
        said = complaints.read().strip().splitlines() or [f"ended with {process.returncode}"]
    if stopped:
        return Run(name, "stopped", f"stopped after {limit:.0f} s")
    if process.returncode or not lines:
        telling = [line for line in said if "memory allocation" in line or "panicked" in line]
        return Run(name, "failed", (telling or said[-1:])[0][:120])
    answer: dict[str, Any] = json.loads(lines[-1])
    if answer.get("first_seconds", 0.0) > limit:
        return Run(name, "stopped", f"stopped after {limit:.0f} s")
    if "terms" in answer:  # lme4 writes a list of terms
        answer["covariance"] = packages.assemble(answer.pop("terms"))
    return Run(package=name, **answer)


def _bound_memory() -> None:
    """Let a process that wants all the memory fail by itself, instead of the whole machine."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = int(SHARE_OF_MEMORY * total)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _judge(
    case: suite.Benchmark, stem: Path, runs: dict[str, list[Run]], rows: list[Row]
) -> list[Row]:
    """Add excess and gradient to the rows of packages that fitted."""
    estimates = {
        name: {"sigma2": mine[0].sigma2, "covariance": mine[0].covariance}
        for name, mine in runs.items()
        if mine[0].outcome == "fitted"
    }
    if not estimates:
        return rows
    path = Path(f"{stem}.estimates.json")
    path.write_text(json.dumps(estimates), encoding="utf-8")
    answer = json.loads(_python("judge.py", case.name, f"{stem}.pkl", str(path)))
    best = answer["best"]
    judged = []
    for row in rows:
        verdict = answer["packages"].get(row.package)
        if verdict is not None:
            excess = None if verdict["value"] is None else verdict["value"] - best
            judged.append(replace(row, excess=excess, gradient=verdict["gradient"]))
        else:
            judged.append(row)
    return judged


def _python(script: str, *arguments: str) -> str:
    """Return the last line that one of our scripts prints."""
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip().splitlines()[-1]
