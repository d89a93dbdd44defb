"""The fitted model: what it is in `fitted`, its methods by subject in the other files."""

from ranef.model.fitted import LinearMixedModel
from ranef.model.prepared import prepared

__all__ = ["LinearMixedModel", "prepared"]
