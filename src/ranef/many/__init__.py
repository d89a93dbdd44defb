"""Many responses measured on the same rows: one design, thousands of fits.

`shared` makes the design of the predictors, once for every pattern of missing values; `responses`
reads the responses in blocks; `missing` finds their patterns; `block` fits a block together, with
the degrees of freedom of `degrees`; `result` holds the estimates; `fitting` puts them together.
"""

from ranef.many.fitting import fit_many
from ranef.many.result import ManyFits

__all__ = ["ManyFits", "fit_many"]
