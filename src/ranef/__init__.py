"""Linear mixed-effects models from a formula and a data frame."""

from ranef import datasets as datasets
from ranef import errors as errors
from ranef.fit import fit as fit
from ranef.model import LinearMixedModel as LinearMixedModel
from ranef.optimize.control import Control as Control

__version__ = "0.1.0"

__all__ = ["Control", "LinearMixedModel", "__version__", "datasets", "errors", "fit"]
