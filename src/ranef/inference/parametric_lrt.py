"""The distribution of a likelihood ratio by parametric bootstrap.

Responses y* = X beta + Z b* + e* are drawn from the smaller model, b* ~ N(0, Sigma) and
e* ~ N(0, sigma^2 / w), and both models are fitted to each. The p-value is
(1 + #{t* >= t}) / (1 + n), which rejects with the nominal probability if the smaller model is the
truth (Davison and Hinkley 1997, section 4.2.5). R's pbkrtest counts only replicates with t* > 0,
which answers another question where variances are compared: half of them are zero there.

Responses are drawn in chunks whose size depends on the number of rows only, each chunk with its own
stream of random numbers: the number of workers does not change the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ranef.batch.refit import make_engine, refit_responses
from ranef.batch.responses import row_responses
from ranef.draws import in_parallel
from ranef.errors import FitError
from ranef.simulation import draw_responses
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Numbers in a chunk of responses, and its largest number of responses.
CHUNK, MOST_AT_ONCE = 2_000_000, 500
# Criteria of nested models that agree to this are equal: both searches are exact to 1e-8 or so.
ZERO = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceDistribution:
    """Bootstrap replicates of a likelihood-ratio statistic.

    Attributes
    ----------
    values : float64 array (n - failed,)
        Never negative.
    failed : int
        Replicates in which one of the models could not be fitted.
    """

    values: FloatArray
    failed: int

    def p_value(self, statistic: float) -> float:
        """Return (1 + #{t* >= t}) / (1 + n); replicates that failed do not count."""
        at_least = len(self.values) if statistic <= ZERO else int((self.values >= statistic).sum())
        return (1.0 + at_least) / (1.0 + len(self.values))


def reference_distribution(
    small: LinearMixedModel,
    large: LinearMixedModel,
    n: int,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> ReferenceDistribution:
    """Draw likelihood ratios of two nested models under the smaller one.

    Parameters
    ----------
    small, large : LinearMixedModel
        Fitted by the same method to the same data.
    n : int
    rng : numpy.random.Generator
    n_jobs : int or None
        Workers; see `ranef.draws.check_jobs`.

    Raises
    ------
    FitError
        If no replicate could be fitted.
    MissingDependencyError
        If there are several workers and no joblib.
    """
    size = max(1, min(MOST_AT_ONCE, CHUNK // small.nobs))
    counts = [min(size, n - start) for start in range(0, n, size)]
    streams = rng.integers(2**63, size=len(counts)).tolist()
    jobs = [(small, large, count, stream) for count, stream in zip(counts, streams, strict=True)]
    values = np.concatenate(list(in_parallel(_chunk, jobs, n_jobs)))
    done = np.isfinite(values)
    if not done.any():
        raise FitError("none of the bootstrap replicates could be fitted.")
    # a zero variance gives t* = 0 up to rounding
    kept = np.where(values[done] < ZERO, 0.0, values[done])
    kept.flags.writeable = False
    return ReferenceDistribution(kept, int(n - done.sum()))


def _chunk(small: LinearMixedModel, large: LinearMixedModel, count: int, stream: int) -> FloatArray:
    """Return likelihood ratios of ``count`` responses; NaN where a fit failed."""
    draws = draw_responses(small, np.random.default_rng(stream))
    Y = np.stack([next(draws) for _ in range(count)], axis=1)
    criteria = []
    for model in (small, large):
        problem, design = model.problem, model.design
        responses = row_responses(problem, Y, design.weights, design.offset)
        # the search starts where the responses come from, or from the larger model's estimates
        found = refit_responses(make_engine(problem), responses, model.state.factorization.T)
        criteria.append(np.where(found.failed, np.nan, found.value))
    ratios: FloatArray = criteria[0] - criteria[1]
    return ratios
