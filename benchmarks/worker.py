"""Fits one model with one package in a process of its own, and prints what it took, as JSON.

    python worker.py PACKAGE FORMULA REML DATA.pkl BUDGET

The first call is timed by itself; then calls are repeated for BUDGET seconds, once at least unless
the first took long or BUDGET is 0. Memory is that of the first call. A model that the package
cannot say is not replaced by another.
"""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import packages
import pandas as pd
from packages.parts import take_apart

MOST = 200  # repeats
LONG = 5.0  # seconds: a call that takes longer is not repeated


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of a call, and its elapsed and processor seconds."""
    start, work = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - start, time.process_time() - work


def repeated(call: Callable[[], Any], budget: float) -> dict[str, Any]:
    """Time calls for ``budget`` seconds; the first one by itself. Adds its ``result``."""
    forget_peak()
    before = memory("VmRSS")
    result, first, first_cpu = timed(call)
    peak = memory("VmHWM")
    times: list[tuple[float, float]] = []
    until = time.perf_counter() + budget
    again = budget > 0 and first < LONG
    while again and len(times) < MOST and (not times or time.perf_counter() < until):
        _, *cost = timed(call)
        times.append((cost[0], cost[1]))
    warm = times or [(first, first_cpu)]
    return {
        "result": result,
        "first_seconds": first,
        "seconds": statistics.median(t[0] for t in warm),
        "cpu_seconds": statistics.median(t[1] for t in warm),
        "repeats": len(times),
        "memory_before": before,
        "memory_peak": peak,
    }


def memory(line: str) -> float:
    """Return a line of the system's notes on this process, in MB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: the peak is all that can be had, in bytes on macOS
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return next(int(row.split()[1]) * 1024 / 1e6 for row in status.splitlines() if line in row)


def forget_peak() -> None:
    """Ask the system to note the peak from now on; what reading the data took is not meant."""
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def main(package: str, formula: str, reml: str, data: str, budget: str) -> None:
    """Print one line of JSON."""
    model = take_apart(formula, reml == "True")
    frame = pd.read_pickle(data)
    adapter = packages.adapter(package)
    reason = adapter.cannot(model, frame)
    if reason is not None:
        print(json.dumps({"outcome": "cannot", "reason": reason}))
        return
    prepared = adapter.prepare(model, frame)
    if prepared is not frame:
        del frame
    print("ready", flush=True)  # the limit counts from here
    found = repeated(lambda: adapter.fit(model, prepared), float(budget))
    estimates = adapter.read(model, found.pop("result"))
    print(json.dumps({"outcome": "fitted", **found, **asdict(estimates)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
