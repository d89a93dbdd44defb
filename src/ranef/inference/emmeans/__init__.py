"""Estimated marginal means, trends and joint tests, as R's emmeans."""

from ranef.inference.emmeans.joint_tests import joint_tests
from ranef.inference.emmeans.means import emmeans
from ranef.inference.emmeans.results import Contrasts, Estimates, JointTests, MarginalMeans
from ranef.inference.emmeans.trends import emtrends

__all__ = [
    "Contrasts",
    "Estimates",
    "JointTests",
    "MarginalMeans",
    "emmeans",
    "emtrends",
    "joint_tests",
]
