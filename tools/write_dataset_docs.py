"""Write docs/datasets.md from the registry of the bundled data sets.

Run it with a Python that has ranef, after changing the registry; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from ranef import datasets

INTRODUCTION = """\
# Bundled data sets

`ranef.datasets.load(name)` returns a fresh pandas data frame, `ranef.datasets.list()` the names,
and `ranef.datasets.describe(name)` what is written below. Nothing is downloaded. Names are
accepted in any case.

The values, the order of the rows and columns, and the order of the levels are those of the R
packages named as sources. A *factor* is a categorical column, an *ordered* one an ordered
categorical; *integer* is int64 where R has integers, and *number* is float64.

"""


def main() -> None:
    """Write the page."""
    sections = [datasets.describe(name).to_markdown() for name in datasets.list()]
    page = Path(__file__).parents[1] / "docs" / "datasets.md"
    page.write_text(INTRODUCTION + "\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
