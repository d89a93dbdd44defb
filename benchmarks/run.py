"""Measures the suite with everything that is installed, and writes docs/benchmarks.md.

    python benchmarks/run.py                  # small and medium models: 10 minutes on two cores
    python benchmarks/run.py --scaling        # also how time grows: 5 minutes more
    python benchmarks/run.py --large          # also large models: most of an hour
    python benchmarks/run.py --all            # all of these, and what comes after the fit
    python benchmarks/run.py --only InstEval  # some models; prints, and writes nothing
    python benchmarks/run.py --page           # nothing is measured: the page of what is stored

Packages are found in the interpreter that runs this, lme4 through Rscript. Measurements are stored
in results.json, model by model, so that a run of some parts keeps the others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import machine
import measure
import packages
import report
import scaling
import suite

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = HERE.parent / "docs" / "images" / "scaling.png"
AFTER_THE_FIT = ("bootstrap.py", "profile_intervals.py", "fit_many.py", "degrees_of_freedom.py")
# Seconds until a process is stopped, and seconds of repeated calls in one process.
LIMITS: dict[suite.Size, float] = {"small": 40, "medium": 40, "large": 600, "scaling": 40}
BUDGETS: dict[suite.Size, float] = {"small": 0.5, "medium": 1.0, "large": 1.0, "scaling": 0.3}


def chosen(options: argparse.Namespace) -> list[suite.Benchmark]:
    """Return what is to be measured."""
    cases = [*suite.SUITE, *scaling.POINTS]
    if options.only:
        return [case for case in cases if options.only in case.name]
    sizes: set[suite.Size] = {"small", "medium"}
    sizes |= {"large"} if options.large or options.all else set()
    sizes |= {"scaling"} if options.scaling or options.all else set()
    return [case for case in cases if case.size in sizes]


def stored() -> dict[str, Any]:
    """Return the measurements so far, of models that there still are."""
    if not RESULTS.exists():
        return {}
    names = {case.name for case in (*suite.SUITE, *scaling.POINTS)}
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name in names}


def measure_one(
    case: suite.Benchmark,
    folder: Path,
    options: argparse.Namespace,
    environment: dict[str, str],
    given_up: dict[str, str],
) -> dict[str, Any]:
    """Measure a model, print it, and return what is stored about it."""
    limit = options.limit or LIMITS[case.size]
    rounds = options.rounds if case.size in ("small", "medium") else 1
    print(f"{case.name}: {report.shorten(case.formula)}", flush=True)
    begin = time.perf_counter()
    rows = measure.measure(
        case,
        folder,
        rounds=rounds,
        limit=limit,
        budget=BUDGETS[case.size],
        judged=case.size != "scaling",
        given_up=given_up if case.size == "large" else None,
    )
    for row in rows:
        print("  " + report.in_short(row))
        if case.size == "large" and row.outcome == "stopped":
            given_up.setdefault(row.package, f"not tried: stopped on {case.name}")
    print(f"  measured in {time.perf_counter() - begin:.0f} s", flush=True)
    return {
        "environment": environment,
        "rounds": rounds,
        "limit": limit,
        "rows": [asdict(row) for row in rows],
    }


def write(results: dict[str, Any]) -> None:
    """Write the page and its plot."""
    measured = report.load(results)
    absent = [name for name in packages.NAMES if packages.version(name) is None]
    PAGE.write_text(report.page(measured, absent), encoding="utf-8")
    points = {m.case.name: m.rows for m in measured if m.case.size == "scaling"}
    if points:
        scaling.draw(scaling.curves(points), PLOT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of small and medium models")
    parser.add_argument("--limit", type=float, help="seconds until a package is stopped")
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--write", action="store_true", help="with --only: store and write")
    parser.add_argument("--large", action="store_true", help="also the large models")
    parser.add_argument("--scaling", action="store_true", help="also the scaling study")
    parser.add_argument("--all", action="store_true", help="everything, also after the fit")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    options = parser.parse_args(arguments)
    results = stored()
    environment = machine.describe()
    given_up: dict[str, str] = {}
    keep = options.write or not options.only
    for case in [] if options.page else chosen(options):
        with tempfile.TemporaryDirectory() as folder:
            found = measure_one(case, Path(folder), options, environment, given_up)
        if keep:  # after every model: an interrupted run is not lost
            results[case.name] = found
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if keep:
        write(results)
    for script in AFTER_THE_FIT if options.all else ():
        subprocess.run([sys.executable, str(HERE / script)], check=True)


if __name__ == "__main__":
    main()
