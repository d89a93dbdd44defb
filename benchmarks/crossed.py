"""One large design at a time, for those who work on the elimination: time, memory, criterion.

    python benchmarks/crossed.py fit ratings      # one fit with ranef, as JSON
    python benchmarks/crossed.py lme4 ratings     # the same with lme4, stopped after 10 minutes
    python benchmarks/crossed.py all              # every large design of the suite, both
    python benchmarks/crossed.py all --without-lme4

The designs are those of class "large" in `suite`. `run.py --large` compares them with all packages
and writes the page; this writes nothing, and always times the code as it is now.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
import suite
from worker import repeated

import ranef

SHAPES = {case.name: case for case in suite.SUITE if case.size == "large"}
LONGEST = 600.0  # seconds until lme4 is stopped


def fit(name: str) -> dict[str, object]:
    """Fit the model called ``name`` with ranef, in this process."""
    case = SHAPES[name]
    data = case.data()
    found = repeated(lambda: ranef.fit(case.formula, data), 0.0)
    model: ranef.LinearMixedModel = found["result"]
    return {
        "seconds": round(found["seconds"], 3),
        "processor_seconds": round(found["cpu_seconds"], 3),
        "peak_gb": round(found["memory_peak"] / 1e3, 2),
        "peak_gb_before": round(found["memory_before"] / 1e3, 2),
        "evaluations": model.convergence.n_evaluations,
        "status": str(model.convergence.status),
        "criterion": model.objective,
    }


def lme4(name: str) -> dict[str, object]:
    """Fit the same model with lme4."""
    with tempfile.TemporaryDirectory() as folder:
        stem = Path(folder) / "data"
        rows = measure.make_data(SHAPES[name], stem)
        run = measure.run_once(SHAPES[name], "lme4", stem, LONGEST, rows, 0.0)
    if run.outcome != "fitted":
        return {"seconds": None, "why": run.reason}
    return {
        "seconds": round(run.seconds, 3),
        "processor_seconds": round(run.cpu_seconds, 3),
        "peak_gb": round(run.memory_peak / 1e3, 2),
        "evaluations": run.evaluations,
        "version": run.version,
    }


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
            command = [sys.executable, __file__, step, name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said = (done.stdout or done.stderr).strip().splitlines()[-1]
            print(f"  {step:5} {said}", flush=True)


if __name__ == "__main__":
    main()
