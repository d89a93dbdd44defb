"""Times profile intervals of all parameters: `python benchmarks/profile_intervals.py`.

Both programs fit the model first, untimed, and are then asked for the 95 % profile intervals of
all its parameters, in processes of their own, in turn, `--rounds` times; the ratio is taken within
a round. `--large` adds InstEval, without lme4. Needs Rscript with lme4 on the path for the ratios.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ranef
from ranef.inference.confint import confint

HERE = Path(__file__).parent
# name: data set, formula, factors for R, target (times faster), repeats here and in R
MODELS: dict[str, tuple[str, str, str, float, int, int]] = {
    "sleepstudy": (
        "sleepstudy", "Reaction ~ Days + (Days | Subject)", "Subject", 10.0, 20, 3,
    ),
    "crossed intercepts": (
        "penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "plate,sample", 10.0, 20, 3,
    ),
    "quadratic growth": (
        "oxboys", "height ~ age + (age | Subject)", "Subject", 10.0, 10, 1,
    ),
}  # fmt: skip
LARGE = ("insteval", "y ~ service + (1 | s) + (1 | d) + (1 | dept)")


def timed(data: str, formula: str, repeats: int) -> dict[str, Any]:
    """Return the median time, after a call to warm up, and the interval of sigma."""
    model = ranef.fit(formula, ranef.datasets.load(data))
    found = confint(model) if repeats > 1 else None
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = confint(model)
        seconds.append(time.perf_counter() - start)
    assert found is not None
    return {"seconds": statistics.median(seconds), "sigma": found.loc["sigma"].tolist()}


def run(command: list[str]) -> dict[str, Any]:
    """Return the JSON that a process prints last."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(name: str, folder: Path, rounds: int) -> str:
    """Return the line of the report about one model."""
    data, formula, factors, target, repeats, r_repeats = MODELS[name]
    rscript = shutil.which("Rscript")
    table = folder / f"{data}.csv"
    ranef.datasets.load(data).to_csv(table, index=False)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run([sys.executable, __file__, "--one", data, formula, str(repeats)]))
        if rscript:
            script = str(HERE / "profile_intervals.R")
            theirs.append(run([rscript, script, str(table), formula, factors, str(r_repeats)]))
    line = f"{name:20} ranef {1000 * statistics.median(o['seconds'] for o in ours):8.1f} ms"
    if theirs:
        pairs = zip(ours, theirs, strict=True)
        ratio = statistics.median(t["seconds"] / o["seconds"] for o, t in pairs)
        seconds = statistics.median(t["seconds"] for t in theirs)
        line += f"   lme4 {seconds:7.2f} s   {ratio:6.1f} times (promised: {target:g})"
    return line


def main() -> None:
    """Print a line per model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        data, formula, repeats = options.one
        print(json.dumps(timed(data, formula, int(repeats))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            print(measure(name, Path(folder), options.rounds), flush=True)
    if options.large:
        print(f"{'InstEval':20} ranef {timed(*LARGE, 1)['seconds']:8.1f} s")


if __name__ == "__main__":
    main()
