"""Times `ranef.fit_many` against lme4's refit, per response, in the same run.

    python benchmarks/fit_many.py      # writes benchmarks/fit_many.md

Ours includes everything: the design, the fits, certificates, Satterthwaite's degrees of freedom,
p-values and their adjustment. Theirs is `refit` alone, by maximum likelihood (lme4 1.1-31 refits
REML fits by another criterion), on the first responses of the same matrix. Both take turns; the
ratio is the median over the rounds. Needs Rscript with lme4.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import ranef

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A design, how many responses of ours and of theirs, and why it is here."""

    name: str
    formula: str
    data: pd.DataFrame
    ours: int
    theirs: int
    why: str

    def responses(self) -> np.ndarray:
        """Return responses (n, m); a third of them has no random effects."""
        rng = np.random.default_rng(2)
        n, g, x = len(self.data), self.data["g"].to_numpy(), self.data["x"].to_numpy()
        size = rng.choice([0.0, 0.5, 1.0], self.ours)
        slope = size * (0.5 if "(x" in self.formula else 0.0)
        intercepts, slopes = rng.standard_normal((2, g.max() + 1, self.ours))
        Y = rng.standard_normal((n, self.ours))
        Y += np.outer(x, rng.normal(0.0, 0.1, self.ours))
        for j in range(self.ours):
            Y[:, j] += size[j] * intercepts[g, j] + slope[j] * x * slopes[g, j]
        return Y


def repeated(groups: int, rows: int, *, equal: bool) -> pd.DataFrame:
    """Return groups measured at the same times, or at any."""
    rng = np.random.default_rng(1)
    if equal:
        g, x = np.divmod(np.arange(rows), rows // groups)
        return pd.DataFrame({"g": g, "x": x.astype(float)})
    return pd.DataFrame({"g": rng.integers(0, groups, rows), "x": rng.standard_normal(rows)})


def suite() -> list[Benchmark]:
    """Return all designs."""
    same, free = repeated(20, 200, equal=True), repeated(20, 200, equal=False)
    one, two = "y ~ x + (1 | g)", "y ~ x + (x | g)"
    return [
        Benchmark("intercepts, balanced", one, same, 20_000, 200, "all groups are alike"),
        Benchmark("intercepts", one, free, 20_000, 200, "groups of different sizes"),
        Benchmark("slopes, balanced", two, same, 20_000, 100, "the same times for all groups"),
        Benchmark("slopes", two, free, 20_000, 100, "every group different: 20 blocks"),
        Benchmark("slopes, balanced", two, same, 100_000, 100, "a brain: 160 MB of responses"),
    ]


def main() -> None:
    """Measure all designs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rscript = shutil.which("Rscript")
    if rscript is None:
        raise SystemExit("this needs Rscript with lme4")
    lines, version = [], ""
    for case in suite():
        Y = case.responses()
        ratios, ours, theirs = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            table, binary = Path(folder) / "data.csv", Path(folder) / "responses.bin"
            case.data.to_csv(table, index=False)
            Y[:, : case.theirs].T.tofile(binary)
            for _ in range(rounds):
                start = time.perf_counter()
                result = ranef.fit_many(case.formula, case.data, Y, reml=False, adjust="fdr")
                ours.append((time.perf_counter() - start) / case.ours)
                command = [rscript, "fit_many.R", str(table), str(binary), case.formula]
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
            gained = np.array(answer["deviances"]) - result.objective[: case.theirs]
            assert gained.min() > -1e-6  # never above lme4's criterion
        tracemalloc.start()
        ranef.fit_many(case.formula, case.data, Y, reml=False, adjust="fdr")
        memory = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        lines.append(
            f"| {case.name} | {case.ours} | {1e6 * statistics.median(ours):.1f} | "
            f"{1e3 * statistics.median(theirs):.1f} | **{statistics.median(ratios):.0f}** | "
            f"{result.n_singular / case.ours:.0%} | {result.n_failed} | {memory:.0f} | "
            f"{gained.max():.0e} | {case.why} |"
        )
        print(lines[-1], flush=True)
    text = f"""# Many responses, per response

Elapsed time of `ranef.fit_many(formula, data, Y, reml=False, adjust="fdr")` on 200 rows, 20 groups,
one process, divided by the number of responses; Satterthwaite's degrees of freedom and p-values are
included. lme4 {version}'s `refit` of the first responses in the same minutes, without any tests.
Memory: what was allocated at most beyond the responses, in MB. Gap: by how much lme4's criterion
was higher, at most.

| design | responses | ranef µs | lme4 ms | ratio | singular | failed | memory | gap | why |
|---|--:|--:|--:|--:|--:|--:|--:|--:|---|
"""
    (HERE / "fit_many.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
