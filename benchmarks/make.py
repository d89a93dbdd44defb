"""Makes the data of one model, in a process of its own: `python make.py NAME STEM`.

Writes STEM.pkl for Python and STEM.csv for R, and prints the number of rows.
"""

from __future__ import annotations

import shutil
import sys

import suite


def main(name: str, stem: str) -> None:
    """Write the files."""
    data = suite.find(name).data()
    data.to_pickle(f"{stem}.pkl")
    if shutil.which("Rscript"):
        data.to_csv(f"{stem}.csv", index=False)
    print(len(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
