"""Times ranef and lme4 on the same models in the same run: `python benchmarks/run.py`.

Every model runs in a process of its own, ranef and lme4 in turn, `--rounds` times; the ratio is
taken within a round, and the median ratio is reported. Absolute times depend on the machine;
ratios much less. Needs Rscript with lme4 on the path for the ratios; without it, only ranef is
timed. Writes benchmarks/results.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import suite

import ranef

HERE = Path(__file__).parent
AFTER_THE_FIT = ("bootstrap.py", "profile_intervals.py", "fit_many.py", "degrees_of_freedom.py")


def run(command: list[str]) -> dict[str, Any]:
    """Return the JSON that a worker prints last."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(case: suite.Benchmark, folder: Path, rounds: int) -> dict[str, Any]:
    """Return medians over the rounds for one model."""
    table = folder / f"{case.name.replace(' ', '_')}.csv"
    rscript = shutil.which("Rscript")
    if rscript:
        case.data().to_csv(table, index=False)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run([sys.executable, "worker.py", case.name]))
        if rscript:
            factors = ",".join(case.factors)
            repeats = str(case.r_repeats)
            theirs.append(run([rscript, "worker.R", str(table), case.formula, factors, repeats]))
    result: dict[str, Any] = {
        "name": case.name,
        "target": case.target,
        "seconds": statistics.median(r["seconds"] for r in ours),
        "evaluations": ours[0]["evaluations"],
        "status": ours[0]["status"],
        "memory": max(r["memory_peak"] / r["memory_before"] for r in ours),
    }
    if theirs:
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=True)]
        result |= {
            "r_seconds": statistics.median(r["seconds"] for r in theirs),
            "ratio": statistics.median(ratios),
            "r_evaluations": theirs[0]["evaluations"],
            "gap": theirs[0]["criterion"] - ours[0]["criterion"],
            "r_version": theirs[0]["version"],
        }
    return result


def report(results: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown page."""
    versions = [r["r_version"] for r in results if "r_version" in r]
    lines = [
        "# Benchmark results",
        "",
        f"{datetime.date.today()}, {platform.machine()} with {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"ranef {ranef.__version__}, lme4 {versions[0] if versions else 'not installed'}.",
        "",
        "Whole call from formula and data frame to fitted model, REML, default settings of both. ",
        "Ratio: lme4's time divided by ranef's, median of the rounds. Gap: how much higher lme4's "
        "criterion is. Memory: peak of the process divided by its size before the fit.",
        "",
        "| model | ranef s | lme4 s | ratio | target | evaluations | lme4's | gap | memory |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        theirs = f"{r['r_seconds']:.4g} | **{r['ratio']:.1f}**" if "ratio" in r else "- | -"
        gap = f"{r['r_evaluations']} | {r['gap']:.1e}" if "ratio" in r else "- | -"
        lines.append(
            f"| {r['name']} | {r['seconds']:.4g} | {theirs} | {r['target']:g} | "
            f"{r['evaluations']} | {gap} | {r['memory']:.2f} |"
        )
    lines += ["", *(f"* **{case.name}**: `{case.formula}`; {case.why}." for case in suite.SUITE)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each model (default 3)")
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--all", action="store_true", help="afterwards, everything after the fit")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in suite.SUITE:
            if options.only in case.name:
                results.append(measure(case, Path(folder), options.rounds))
                print({k: v for k, v in results[-1].items()}, flush=True)
    text = report(results)
    print(text)
    if not options.only:
        (HERE / "results.md").write_text(text)
    for script in AFTER_THE_FIT if options.all else ():
        subprocess.run([sys.executable, str(HERE / script)], check=True)


if __name__ == "__main__":
    main()
