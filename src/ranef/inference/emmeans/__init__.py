"""Estimated marginal means, trends and joint tests, as R's emmeans."""

from ranef.inference.emmeans.effect_sizes import EffectSizes
from ranef.inference.emmeans.joint_results import JointTests
from ranef.inference.emmeans.joint_tests import joint_tests
from ranef.inference.emmeans.means import emmeans
from ranef.inference.emmeans.results import Contrasts, Estimates, MarginalMeans
from ranef.inference.emmeans.trends import emtrends

__all__ = [
    "Contrasts",
    "EffectSizes",
    "Estimates",
    "JointTests",
    "MarginalMeans",
    "emmeans",
    "emtrends",
    "joint_tests",
]
