"""Says where the time of a fit goes: `python benchmarks/where.py`.

The models of the suite that have a target are fitted under the standard profiler; own time is
added up by stage of the pipeline. The profiler inflates many small calls, so shares of the smallest
model are rough. Writes benchmarks/where.md.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from functools import partial
from pathlib import Path

import suite
from worker import repeated

import ranef

HERE = Path(__file__).parent
SOURCE = Path(ranef.__file__).parent
STAGES = {
    "formula": "formula",
    "design": "design",
    "estimation.py": "set-up",
    "linalg/conditioning.py": "conditioning",
    "linalg/triangular.py": "conditioning",
    "linalg/crossproducts.py": "cross-products",
    "linalg/plan.py": "plan",
    "linalg/coupling.py": "coupling kernel",
    "linalg/elimination.py": "elimination, Cholesky",
    "linalg/levels.py": "level blocks",
    "linalg/dense.py": "inverse, triangular solves",
    "linalg/adjoint.py": "gradient",
    "linalg/solution.py": "back-substitution",
    "linalg/information.py": "curvature",
    "objective.py": "curvature",
    "covariance": "optimizer",
    "optimize": "optimizer",
}


def stage(frame: tuple[str, int, str], callers: dict[tuple[str, int, str], object]) -> str:
    """Return the stage of a profiled function; library calls count for whoever called them."""
    for candidate in (frame, *callers):
        path = candidate[0]
        if path.startswith(str(SOURCE)):
            inside = path[len(str(SOURCE)) + 1 :]
            for prefix, name in STAGES.items():
                if inside.startswith(prefix):
                    return name
            return "model"
    return "libraries"


def main() -> None:
    """Profile the suite."""
    lines = ["# Where the time of a fit goes", "", "Share of own time, in percent.", ""]
    for case in (case for case in suite.SUITE if case.target):
        data = case.data()
        once = repeated(partial(ranef.fit, case.formula, data), 0.1)["seconds"]
        repeats = int(2.0 / once)
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(max(5, repeats)):
            ranef.fit(case.formula, data)
        profile.disable()
        spent: Counter[str] = Counter()
        for frame, (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
            spent[stage(frame, callers)] += own
        total = sum(spent.values())
        parts = [f"{name} {100 * t / total:.0f}" for name, t in spent.most_common(9)]
        lines.append(f"* **{case.name}**: {', '.join(parts)}.")
        print(lines[-1], flush=True)
    (HERE / "where.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
