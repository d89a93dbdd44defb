"""What was measured on what: date, machine and versions, without names of hosts or paths."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import scipy

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def describe() -> dict[str, str]:
    """Return what a reader needs to know, in the order of the report."""
    found = {
        "date": str(datetime.date.today()),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{_memory_gb():.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "numpy": f"{np.__version__} with {_blas(np.show_config(mode='dicts'))}",
        "scipy": f"{scipy.__version__} with {_blas(scipy.show_config(mode='dicts'))}",
    }
    r = _r()
    if r:
        found["R"] = r
    threads = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    found["threads"] = ", ".join(threads) or "as the packages choose"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _blas(config: Any) -> str:
    blas = config["Build Dependencies"]["blas"]
    return f"{blas['name'].replace('scipy-', '')} {blas['version']}"


def _r() -> str | None:
    """Return R's version and the name of its BLAS."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    ask = 'cat(paste(getRversion()), extSoftVersion()[["BLAS"]], sep = "\\n")'
    done = subprocess.run([rscript, "-e", ask], capture_output=True, text=True, check=False)
    version, _, library = done.stdout.strip().partition("\n")
    known = ("openblas", "mkl", "atlas", "blis", "Accelerate")
    name = next((name for name in known if name.lower() in library.lower()), "reference BLAS")
    return f"{version} with {name}"
