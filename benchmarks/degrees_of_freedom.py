"""What degrees of freedom cost: `python benchmarks/degrees_of_freedom.py`.

Satterthwaite on InstEval (73 421 ratings, three crossed factors) against the time of the fit, and
Kenward-Roger on 100 000 rows in 4 000 groups with slopes, with its peak memory. pbkrtest cannot do
the latter: its matrices have n x n elements, 80 GB each. Writes benchmarks/degrees_of_freedom.md.
"""

from __future__ import annotations

import datetime
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import ranef

ROUNDS = 5


def seconds(call: Callable[[], object]) -> float:
    """Return the time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def many_groups() -> pd.DataFrame:
    """Return 100 000 rows in 4 000 groups with random intercepts and slopes."""
    rng = np.random.default_rng(1)
    n, groups = 100_000, 4_000
    g, x, f = rng.integers(0, groups, n), rng.standard_normal(n), rng.choice(list("abc"), n)
    effects = rng.standard_normal((2, groups)) * [[1.0], [0.3]]
    y = 1.0 + 0.5 * x + 0.1 * (f == "b") + effects[0, g] + effects[1, g] * x
    return pd.DataFrame({"y": y + rng.standard_normal(n), "x": x, "f": f, "g": g})


def ratio(formula: str, data: pd.DataFrame, ddf: str) -> tuple[float, float]:
    """Return the medians of the time of a fit, and of its summary."""
    fits, summaries = [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        model = ranef.fit(formula, data)
        fits.append(time.perf_counter() - begin)
        summaries.append(seconds(lambda m=model: m.summary(ddf=ddf)))
    return statistics.median(fits), statistics.median(summaries)


def main() -> None:
    """Measure and write the page."""
    insteval = ranef.datasets.load("insteval")
    fit, summary = ratio("y ~ service + (1 | s) + (1 | d) + (1 | dept)", insteval, "satterthwaite")
    data = many_groups()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large, kenward_roger = ratio("y ~ x * f + (x | g)", data, "kenward-roger")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = [
        "# What degrees of freedom cost",
        "",
        f"{datetime.date.today()}, medians of {ROUNDS} rounds.",
        "",
        "| model | method | fit, s | summary, s | summary / fit |",
        "|---|---|--:|--:|--:|",
        f"| InstEval | Satterthwaite | {fit:.3f} | {summary:.3f} | {summary / fit:.2f} |",
        f"| 100 000 rows, 4 000 groups, slopes | Kenward-Roger | {large:.3f} | "
        f"{kenward_roger:.3f} | {kenward_roger / large:.2f} |",
        "",
        f"Peak memory of the process: {peak / 1e6:.2f} GB, before the second model "
        f"{before / 1e6:.2f} GB.",
        "",
    ]
    text = "\n".join(lines)
    (Path(__file__).parent / "degrees_of_freedom.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
