"""How large data are fitted from a Parquet file: time and memory, beside a plain group-by.

    python benchmarks/streaming.py make data.parquet --rows 50_000_000
    python benchmarks/streaming.py fit data.parquet
    python benchmarks/streaming.py polars data.parquet
    python benchmarks/streaming.py all data.parquet --rows 50_000_000

``polars`` computes by group what the fit has to sum by group: the yardstick for how fast this can
be done at all. Each step runs in a process of its own, so that peak memory is that of the step.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FORMULA = "y ~ x + z + f + (x | g)"
GROUPS = 200_000
PIECE = 1_000_000


def make(path: Path, rows: int, groups: int, ordered: bool) -> dict[str, float]:
    """Write a random intercept and slope for every group, two covariates and a factor."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(2024)
    b0 = rng.normal(0.0, 1.0, groups)
    b1 = 0.3 * rng.normal(size=groups) + 0.1 * b0
    shift = np.array([0.0, 0.2, -0.3])
    writer = None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        in_order = np.arange(start, start + n) * groups // rows
        g = in_order if ordered else rng.integers(0, groups, n)
        x, z, f = rng.normal(2.0, 1.0, n), rng.exponential(1.0, n), rng.integers(0, 3, n)
        y = 10.0 + 0.5 * x - 0.2 * z + shift[f] + b0[g] + b1[g] * x + rng.normal(0.0, 2.0, n)
        names = pa.DictionaryArray.from_arrays(f.astype(np.int8), pa.array(["a", "b", "c"]))
        table = pa.table({"y": y, "x": x, "z": z, "f": names, "g": g})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    return {"rows": rows, "megabytes": path.stat().st_size / 1e6}


def fit(path: Path) -> dict[str, float]:
    """Fit the model."""
    import ranef

    start = time.perf_counter()
    model = ranef.fit(FORMULA, path)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak_gb": _peak(),
        "rows": model.nobs,
        "evaluations": model.convergence.n_evaluations,
        "objective": model.objective,
        **{f"fixef {name}": value for name, value in model.fixef.items()},
    }


def polars_sums(path: Path) -> dict[str, float]:
    """Sum the same cross-products by group with polars."""
    import polars as pl

    c = pl.col
    numbers = {"x": c("x"), "z": c("z"), "y": c("y")}
    numbers |= {level: (c("f") == level).cast(pl.Float64) for level in "bc"}
    sums = [pl.len().alias("n"), (c("x") * c("x")).sum().alias("xx")]
    sums += [column.sum().alias(name) for name, column in numbers.items()]
    sums += [(c("x") * column).sum().alias(f"x{n}") for n, column in numbers.items() if n != "x"]
    start = time.perf_counter()
    found = pl.scan_parquet(path).group_by("g").agg(sums).collect(engine="streaming")
    return {
        "seconds": time.perf_counter() - start,
        "peak_gb": _peak(),
        "groups": len(found),
        "sums": len(sums),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Run one step, or all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["make", "fit", "polars", "all"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--ordered", action="store_true", help="rows of a group follow each other")
    options = parser.parse_args()
    if options.step == "all":
        steps = ["fit", "polars"] if options.path.exists() else ["make", "fit", "polars"]
        for step in steps:
            command = [sys.executable, __file__, step, *sys.argv[2:]]
            subprocess.run(command, check=True)
        return
    if options.step == "make":
        result = make(options.path, options.rows, options.groups, options.ordered)
    else:
        result = (fit if options.step == "fit" else polars_sums)(options.path)
    print(options.step, json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
