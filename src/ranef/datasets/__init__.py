"""Public data sets of the mixed-model literature, bundled with the package.

`registry` knows what there is (titles, level orders, where the numbers come from), `reading`
turns a file into a data frame. Nothing here needs the network or the rest of ranef.
"""

from __future__ import annotations

from ranef.datasets.reading import load
from ranef.datasets.registry import ColumnDescription, DatasetDescription, describe
from ranef.datasets.registry import names as list

__all__ = ["ColumnDescription", "DatasetDescription", "describe", "list", "load"]
