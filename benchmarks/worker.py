"""Fits one model of the suite in a process of its own and prints what it took, as JSON."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import suite

import ranef


def resident() -> float:
    """Return the memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main(name: str) -> None:
    """Time the model called ``name``."""
    case = next(case for case in suite.SUITE if case.name == name)
    data = case.data()
    before = resident()
    model = ranef.fit(case.formula, data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    seconds = []
    for _ in range(case.repeats):
        start = time.perf_counter()
        model = ranef.fit(case.formula, data)
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "seconds": statistics.median(seconds),
                "criterion": model.objective,
                "evaluations": model.convergence.n_evaluations,
                "status": str(model.convergence.status),
                "memory_before": before,
                "memory_peak": peak,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
