"""Pictures of fitted models and of what is inferred from them; they need matplotlib.

Functions that draw one panel take ``ax`` and return it; those that may draw several take ``axes``,
one for every panel, and return the figure. Without axes they make a figure. Nothing is shown or
saved: that is matplotlib's ``pyplot.show()`` and ``figure.savefig()``.
"""

from ranef.plots.diagnostics import residuals
from ranef.plots.forest import coefficients
from ranef.plots.heat import matrices
from ranef.plots.landscape import surface
from ranef.plots.means import emmeans
from ranef.plots.modes import caterpillar
from ranef.plots.pooled import shrinkage
from ranef.plots.profile import density, zeta
from ranef.plots.replicates import bootstrap
from ranef.plots.trajectories import lines

__all__ = [
    "bootstrap",
    "caterpillar",
    "coefficients",
    "density",
    "emmeans",
    "lines",
    "matrices",
    "residuals",
    "shrinkage",
    "surface",
    "zeta",
]
