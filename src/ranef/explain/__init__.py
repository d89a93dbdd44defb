"""What a fitted model says, in equations, in one group's covariances, and compared with others."""

from ranef.explain.equations import Equations, equations
from ranef.explain.implied_covariance import implied_covariance
from ranef.explain.pooling import Pooling, pooling

__all__ = ["Equations", "Pooling", "equations", "implied_covariance", "pooling"]
