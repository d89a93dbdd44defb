"""Large crossed designs, in ranef and in lme4: time and peak memory, each in a process of its own.

    python benchmarks/crossed.py fit ratings      # one fit, as JSON
    python benchmarks/crossed.py lme4 ratings     # the same with lme4, stopped after 10 minutes
    python benchmarks/crossed.py all              # every design, both
    python benchmarks/crossed.py all --without-lme4

The data are simulated in the shape of well-known sets: how many levels, how many rows, and how
unevenly the rows are spread over the levels, because that decides how much fills in.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
LONGEST = 600  # seconds until lme4 is stopped


@dataclass(frozen=True)
class Shape:
    """One design: where it comes from, the model, its factors and how to simulate it."""

    why: str
    formula: str
    factors: tuple[str, ...]
    data: Callable[[], pd.DataFrame]


def ratings(rows: int = 1_000_000, users: int = 6_040, films: int = 3_706) -> pd.DataFrame:
    """Return ratings as in MovieLens-1M: at least 20 a user, few films with most of them."""
    rng = np.random.default_rng(1)
    activity = 20.0 + rng.lognormal(4.2, 1.1, users)
    popularity = rng.lognormal(0.0, 1.5, films)
    seen = np.zeros(0, dtype=np.int64)
    while len(seen) < rows:  # a user rates a film once
        u = rng.choice(users, rows // 2, p=activity / activity.sum())
        f = rng.choice(films, rows // 2, p=popularity / popularity.sum())
        seen = np.unique(np.concatenate([seen, u * films + f]))
    u, f = np.divmod(rng.permutation(seen)[:rows], films)
    year = rng.integers(0, 60, films)[f] / 30.0
    y = 3.6 - 0.1 * year + 0.4 * rng.standard_normal(users)[u]
    y += 0.55 * rng.standard_normal(films)[f] + 0.9 * rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "year": year, "user": u, "film": f})


def words(items: int = 80_000, people: int = 800, rows: int = 2_700_000) -> pd.DataFrame:
    """Return a lexical-decision megastudy: everybody sees a few thousand of very many words."""
    rng = np.random.default_rng(2)
    seen = np.zeros(0, dtype=np.int64)
    while len(seen) < rows:
        i, p = rng.integers(0, items, rows // 2), rng.integers(0, people, rows // 2)
        seen = np.unique(np.concatenate([seen, i * people + p]))
    i, p = np.divmod(rng.permutation(seen)[:rows], people)
    length = rng.integers(3, 12, items)[i] / 3.0
    y = 6.4 + 0.03 * length + 0.08 * rng.standard_normal(items)[i]
    y += 0.2 * rng.standard_normal(people)[p] + 0.25 * rng.standard_normal(len(i))
    return pd.DataFrame({"y": y, "length": length, "word": i, "person": p})


def pupils(
    per_school: int = 5, schools: int = 4_000, years: int = 8, waves: int = 5
) -> pd.DataFrame:
    """Return pupils in schools, measured in several years: nested, and crossed with a small one."""
    rng = np.random.default_rng(3)
    pupil = np.repeat(np.arange(per_school * schools), waves)
    school = pupil // per_school
    first = rng.integers(0, years - waves + 1, per_school * schools)
    year = first[pupil] + np.tile(np.arange(waves), per_school * schools)
    x = rng.standard_normal(len(pupil))
    y = 1.0 + 0.3 * x + rng.standard_normal(per_school * schools)[pupil]
    y += 0.5 * rng.standard_normal(schools)[school] + 0.3 * rng.standard_normal(years)[year]
    y += rng.standard_normal(len(pupil))
    return pd.DataFrame({"y": y, "x": x, "pupil": pupil, "school": school, "year": year})


SHAPES = {
    "ratings": Shape(
        "MovieLens-1M: 6 040 users, 3 706 films, 1 000 000 ratings",
        "y ~ year + (1 | user) + (1 | film)",
        ("user", "film"),
        ratings,
    ),
    "words": Shape(
        "a lexical-decision megastudy: 80 000 words, 800 people, 2 700 000 answers",
        "y ~ length + (1 | word) + (1 | person)",
        ("word", "person"),
        words,
    ),
    "pupils": Shape(
        "20 000 pupils in 4 000 schools, crossed with 8 years",
        "y ~ x + (1 | school / pupil) + (1 | year)",
        ("pupil", "school", "year"),
        pupils,
    ),
    "many pupils": Shape(
        "100 000 pupils in 20 000 schools, crossed with 8 years",
        "y ~ x + (1 | school / pupil) + (1 | year)",
        ("pupil", "school", "year"),
        lambda: pupils(schools=20_000),
    ),
}


def fit(name: str) -> dict[str, object]:
    """Fit the model called ``name`` with ranef."""
    import ranef

    shape = SHAPES[name]
    data = shape.data()
    before = _peak()
    start, work = time.perf_counter(), time.process_time()
    model = ranef.fit(shape.formula, data)
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "processor_seconds": round(time.process_time() - work, 3),
        "peak_gb": round(_peak(), 2),
        "peak_gb_before": round(before, 2),
        "evaluations": model.convergence.n_evaluations,
        "status": str(model.convergence.status),
        "criterion": model.objective,
    }


def lme4(name: str) -> dict[str, object]:
    """Fit the same model with lme4; an empty time means that it was stopped."""
    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        shape.data().to_csv(path, index=False)
        command = ["Rscript", str(HERE / "crossed.R"), str(path), shape.formula]
        try:
            return _run([*command, ",".join(shape.factors)], LONGEST + 60)
        except subprocess.TimeoutExpired:
            return {"seconds": None, "stopped_after": LONGEST}


def _peak() -> float:
    """Return the peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _run(command: list[str], longest: float | None = None) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=longest)
    if done.returncode:
        return {"seconds": None, "error": done.stderr.strip().splitlines()[-1]}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=["fit", "lme4", "all"])
    parser.add_argument("shape", nargs="?", choices=list(SHAPES))
    parser.add_argument("--without-lme4", action="store_true")
    options = parser.parse_args()
    if options.step != "all":
        if options.shape is None:
            parser.error("say which shape")
        print(json.dumps({"fit": fit, "lme4": lme4}[options.step](options.shape)))
        return
    steps = ["fit"] if options.without_lme4 else ["fit", "lme4"]
    for name in [options.shape] if options.shape else SHAPES:
        print(f"{name}: {SHAPES[name].why}", flush=True)
        for step in steps:
            found = _run([sys.executable, __file__, step, name])
            print(f"  {step:5}", json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
