"""Simulation studies of the inference: `python studies/run.py --quick` or `--full`.

Every study simulates responses of known models, and counts how often tests and intervals are
wrong. The results are shown, and those of a full run are written to studies/results.md; `--only`
takes some of the studies, and replaces their sections. The same mode, seed and versions give the
same numbers.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from pathlib import Path

import coverage
import null_p_values
import numpy as np
import prediction_intervals
import scipy
import variance_tests

import ranef

STUDIES = {
    "null-p-values": ("P-values of true hypotheses about fixed effects", null_p_values.run),
    "coverage": ("Coverage of 95 % intervals", coverage.run),
    "variance-tests": ("Tests of a variance that is zero", variance_tests.run),
    "prediction-intervals": ("Coverage of prediction intervals", prediction_intervals.run),
}
HEADING = "# Results of the simulation studies\n\nAfter ±, the Monte-Carlo standard error."
RESULTS = Path(__file__).parent / "results.md"


def main(arguments: list[str]) -> None:
    """Run the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--quick", dest="mode", action="store_const", const="quick")
    mode.add_argument("--full", dest="mode", action="store_const", const="full")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    options = parser.parse_args(arguments)
    # every study has a seed of its own, so that its numbers do not depend on which others run
    seeds = dict(
        zip(STUDIES, np.random.SeedSequence(options.seed).spawn(len(STUDIES)), strict=True)
    )
    for name in options.only:
        title, run = STUDIES[name]
        start = time.perf_counter()
        text = run(options.mode, seeds[name])
        minutes = (time.perf_counter() - start) / 60
        section = f"{text}\n\n{origin(name, options.mode, options.seed, minutes)}"
        print(f"## {title}\n\n{section}\n", flush=True)
        if options.mode == "full":
            write(title, section)


def origin(name: str, mode: str, seed: int, minutes: float) -> str:
    """Return what is needed to get the same numbers again."""
    return (
        f"*`python studies/run.py --{mode} --seed {seed} --only {name}`, {datetime.date.today()}, "
        f"ranef {ranef.__version__}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}; {minutes:.1f} minutes on one core.*"
    )


def write(title: str, section: str) -> None:
    """Replace one section of the results, and keep the others."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    pieces = (piece.partition("\n\n") for piece in old.split("\n## ")[1:])
    sections = {heading: text.strip() for heading, _, text in pieces}
    sections[title] = section
    ordered = [name for name, _ in STUDIES.values() if name in sections]
    parts = [HEADING, *(f"## {name}\n\n{sections[name]}" for name in ordered)]
    RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
