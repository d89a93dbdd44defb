"""Linear mixed-effects models from a formula and a data frame."""

from importlib import import_module
from typing import TYPE_CHECKING

from ranef import errors as errors
from ranef.fit import fit as fit
from ranef.model import LinearMixedModel as LinearMixedModel
from ranef.optimize.control import Control as Control

if TYPE_CHECKING:
    from ranef import datasets as datasets
    from ranef import plots as plots
    from ranef.explain.pooling import pooling as pooling
    from ranef.export import table as table
    from ranef.inference.compare import compare as compare
    from ranef.inference.exact_rlrt import exact_rlrt as exact_rlrt
    from ranef.inference.information_criteria import information as information
    from ranef.many import fit_many as fit_many
    from ranef.planning import power as power
    from ranef.storage import load as load

__version__ = "0.1.0"

__all__ = [
    "Control",
    "LinearMixedModel",
    "__version__",
    "compare",
    "datasets",
    "errors",
    "exact_rlrt",
    "fit",
    "fit_many",
    "information",
    "load",
    "plots",
    "pooling",
    "power",
    "table",
]

# What a fit does not need is imported when it is first asked for.
_LATER = {
    "compare": "ranef.inference.compare",
    "datasets": "ranef.datasets",
    "exact_rlrt": "ranef.inference.exact_rlrt",
    "fit_many": "ranef.many",
    "information": "ranef.inference.information_criteria",
    "load": "ranef.storage",
    "plots": "ranef.plots",
    "pooling": "ranef.explain",
    "power": "ranef.planning",
    "table": "ranef.export",
}
_MODULES = {"datasets", "plots"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'ranef' has no attribute {name!r}")
    module = import_module(_LATER[name])
    found: object = module if name in _MODULES else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
