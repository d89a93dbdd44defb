"""From a bundled file to a data frame: types and level orders as in R.

The files are gzipped CSV with the digits that give back the same doubles as in R. Factors whose
labels are whole numbers are read as integers: that is what makes the large set load in a few tens
of milliseconds.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from ranef.datasets.registry import ColumnDescription, describe, folder
from ranef.typing import IntArray


def load(name: str) -> pd.DataFrame:
    """Return a bundled data set as a fresh data frame.

    Use it to try the package, to teach, or to compare with results published for these data;
    no network is needed. The values, the types and the order of the levels are those of the R
    packages that `describe` names: factors are categorical, ordered factors ordered, and only
    what R stores as integer is an integer.

    Parameters
    ----------
    name : str
        One of `list()`, in any case.

    Returns
    -------
    pandas.DataFrame
        A new object on every call.

    Raises
    ------
    OptionError
        If there is no data set of that name.

    Examples
    --------
    >>> from ranef import datasets
    >>> sleepstudy = datasets.load("sleepstudy")
    >>> sleepstudy.head(3)
       Reaction  Days Subject
    0  249.5600   0.0     308
    1  258.7047   1.0     308
    2  250.8006   2.0     308
    >>> sleepstudy["Subject"].cat.categories.size
    18
    """
    about = describe(name)
    content = folder().joinpath("files", f"{about.name}.csv.gz").read_bytes()
    frame = pd.read_csv(
        BytesIO(content),
        compression="gzip",
        dtype={column.name: _dtype(column) for column in about.columns},
        keep_default_na=False,
    )
    numbers = {
        column.name: frame[column.name].astype(np.float64)
        for column in about.columns
        if column.type == "number"
    }
    factors = {
        column.name: _numbered_factor(frame[column.name].to_numpy(), column.type == "ordered")
        for column in about.columns
        if column.levels == "numeric"
    }
    return frame.assign(**numbers, **factors)


def _dtype(column: ColumnDescription) -> ExtensionDtype | type[object]:
    """Return what the parser should make of a column, for `load` to finish."""
    if column.levels is None:
        # text first: the conversion to double by pandas' parser may be off by one unit in the
        # last place, that of numpy is not
        return np.int64 if column.type == "integer" else object
    if column.levels == "numeric":
        return np.int64
    return pd.CategoricalDtype(list(column.levels), ordered=column.type == "ordered")


def _numbered_factor(values: IntArray, ordered: bool) -> ExtensionArray:
    """Make a factor of whole numbers from 0 to a few thousands.

    Counting them is several times faster than sorting the rows or comparing strings.
    """
    labels = np.flatnonzero(np.bincount(values))
    position = np.zeros(labels[-1] + 1, dtype=np.int32)
    position[labels] = np.arange(labels.size, dtype=np.int32)
    names = pd.Index([str(label) for label in labels])
    return pd.Categorical.from_codes(position[values], names, ordered=ordered)
