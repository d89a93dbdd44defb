"""Array aliases and the values that options may take, each written down once."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranef.errors import OptionError

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.signedinteger[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]

OptimizerName: TypeAlias = Literal["newton", "bobyqa", "nelder-mead"]
NaAction: TypeAlias = Literal["drop", "raise"]
ContrastName: TypeAlias = Literal["treatment", "sum", "helmert", "poly"]
DdfMethod: TypeAlias = Literal["satterthwaite", "kenward-roger", "normal"]
ResidualKind: TypeAlias = Literal[
    "response", "pearson", "scaled", "studentized", "marginal", "normalized"
]


def lock_sparse(matrix: sparse.csr_array | sparse.csc_array) -> None:
    """Make the arrays of a sparse matrix read-only."""
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False


def check_choice(name: str, value: object, literal: object) -> None:
    """Raise OptionError unless ``value`` is one of the strings of the ``Literal``."""
    allowed = get_args(literal)
    if not isinstance(value, str) or value not in allowed:
        raise OptionError.from_choice(name, value, allowed)


def check_flag(name: str, value: object) -> None:
    """Raise OptionError unless ``value`` is True or False: "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise OptionError(f"{name} must be True or False; got {value!r}.")
