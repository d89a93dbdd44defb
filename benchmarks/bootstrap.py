"""Times a replicate of the parametric bootstrap against lme4's bootMer, in the same run.

    python benchmarks/bootstrap.py      # writes benchmarks/bootstrap.md

Both sides bootstrap all parameters of the same fit by maximum likelihood (lme4 1.1-31 refits REML
fits by another criterion). Ours and theirs take turns, so that a busy machine slows both; the ratio
is the median over the rounds. Needs Rscript with lme4.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import ranef
from ranef.inference.bootstrap import bootstrap

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A model, how many replicates of ours and of theirs, and why it is here."""

    name: str
    formula: str
    data: pd.DataFrame
    factors: str
    ours: int
    theirs: int
    why: str


def unbalanced(groups: int, rows: int) -> pd.DataFrame:
    """Return rows spread over groups at random, with a slope."""
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, groups, rows), rng.standard_normal(rows)
    effects = rng.standard_normal((groups, 2)) * [1.0, 0.5]
    y = 1.0 + x + effects[g, 0] + effects[g, 1] * x + rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def crossed(subjects: int, items: int, share: float) -> pd.DataFrame:
    """Return subjects by items, a share of the cells missing."""
    rng = np.random.default_rng(2)
    s, i = np.divmod(np.arange(subjects * items), items)
    kept = rng.random(len(s)) >= share
    s, i = s[kept], i[kept]
    y = rng.standard_normal(subjects)[s] + rng.standard_normal(items)[i]
    return pd.DataFrame({"y": y + rng.standard_normal(len(s)), "s": s, "i": i, "c": i % 2})


def suite() -> list[Benchmark]:
    """Return all models."""
    load = ranef.datasets.load
    many = unbalanced(500, 5000)
    return [
        Benchmark(
            "sleepstudy",
            "Reaction ~ Days + (Days | Subject)",
            load("sleepstudy"),
            "Subject",
            10_000,
            100,
            "balanced: one block of two effects, whatever the number of subjects",
        ),
        Benchmark(
            "Dyestuff",
            "Yield ~ 1 + (1 | Batch)",
            load("dyestuff"),
            "Batch",
            10_000,
            100,
            "smallest",
        ),
        Benchmark(
            "Pastes",
            "strength ~ 1 + (1 | batch/cask)",
            load("pastes"),
            "batch,cask",
            10_000,
            100,
            "nested and balanced: blocks of two effects and of one",
        ),
        Benchmark(
            "Penicillin",
            "diameter ~ 1 + (1 | plate) + (1 | sample)",
            load("penicillin"),
            "plate,sample",
            10_000,
            100,
            "crossed and balanced: blocks of two effects and of one",
        ),
        Benchmark(
            "500 groups, intercepts",
            "y ~ x + (1 | g)",
            many,
            "g",
            5000,
            30,
            "unbalanced: one block for every size of a group",
        ),
        Benchmark(
            "500 groups, slopes",
            "y ~ x + (x | g)",
            many,
            "g",
            600,
            30,
            "unbalanced, every group different: 500 blocks",
        ),
        Benchmark(
            "40 x 24 crossed, complete",
            "y ~ c + (1 | s) + (1 | i)",
            crossed(40, 24, 0.0),
            "s,i",
            10_000,
            30,
            "subjects by items, nothing missing",
        ),
        Benchmark(
            "40 x 24 crossed, 10 % missing",
            "y ~ c + (1 | s) + (1 | i)",
            crossed(40, 24, 0.1),
            "s,i",
            300,
            30,
            "crossed, unbalanced: a dense block of 64 effects",
        ),
        Benchmark(
            "100 x 40 crossed, 10 % missing",
            "y ~ c + (1 | s) + (1 | i)",
            crossed(100, 40, 0.1),
            "s,i",
            60,
            20,
            "too large a block: fits one by one",
        ),
    ]


def main() -> None:
    """Measure all models and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rscript = shutil.which("Rscript")
    if rscript is None:
        raise SystemExit("this needs Rscript with lme4")
    lines, version = [], ""
    for case in suite():
        model = ranef.fit(case.formula, case.data, reml=False)
        ratios, ours, theirs = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "data.csv"
            case.data.to_csv(table, index=False)
            for turn in range(rounds):
                start = time.perf_counter()
                result = bootstrap(model, case.ours, seed=turn)
                ours.append((time.perf_counter() - start) / case.ours)
                command = [rscript, "bootstrap.R", str(table), case.formula, case.factors]
                done = subprocess.run(
                    [*command, str(case.theirs)],
                    check=True,
                    capture_output=True,
                    text=True,
                    cwd=HERE,
                )
                answer = json.loads(done.stdout.strip().splitlines()[-1])
                theirs.append(answer["seconds"])
                ratios.append(theirs[-1] / ours[-1])
                version = answer["version"]
                # the same distribution on both sides, to the accuracy of their few replicates
                sigma = result.replicates["sigma"]
                assert abs(sigma.mean() - answer["sigma"]) < 6 * sigma.std() / case.theirs**0.5
        lines.append(
            f"| {case.name} | {1e6 * statistics.median(ours):.0f} | "
            f"{1e3 * statistics.median(theirs):.1f} | **{statistics.median(ratios):.0f}** | "
            f"{result.n_singular / result.n:.1%} | {result.n_failed} | {case.why} |"
        )
        print(lines[-1], flush=True)
    text = f"""# The bootstrap, per replicate

Elapsed time of `bootstrap(model, n)`, all parameters, one process, divided by n; lme4 {version}'s
`bootMer` on the same fit (maximum likelihood) in the same minutes.

| model | ranef µs | lme4 ms | ratio | singular | failed | what it shows |
|---|--:|--:|--:|--:|--:|---|
"""
    (HERE / "bootstrap.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
