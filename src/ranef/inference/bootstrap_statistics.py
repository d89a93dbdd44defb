"""What is replicated in a bootstrap: all parameters of the model, or what a function returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.batch.refit import BatchFit
from ranef.errors import OptionError
from ranef.estimation import Problem
from ranef.inference.parameters import (
    covariance_matrices,
    parameter_values,
    variance_parameters,
)
from ranef.names import make_unique
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False)
class AllParameters:
    """Standard deviations, correlations, sigma, and the fixed effects that can be estimated.

    Attributes
    ----------
    names : tuple (m,) of str
    fixed : tuple of str
        Columns of X among them, the last names.
    """

    names: tuple[str, ...]
    fixed: tuple[str, ...]

    @classmethod
    def of(cls, model: LinearMixedModel) -> AllParameters:
        """Return the parameters of a model."""
        fixed = tuple(model.design.x_names[j] for j in model.problem.basis.kept)
        variances = [parameter.name for parameter in variance_parameters(model.problem)]
        return cls(make_unique([*variances, *fixed]), fixed)

    def __call__(self, model: LinearMixedModel) -> FloatArray:
        """Return the values of one model, NaN for coefficients that it has not."""
        problem = model.problem
        covariances = covariance_matrices(problem, model.state.factorization.T)
        values = parameter_values(variance_parameters(problem), covariances, model.sigma)
        return np.concatenate([values, model.fixef.reindex(list(self.fixed)).to_numpy()])

    @staticmethod
    def of_batch(problem: Problem, fit: BatchFit) -> FloatArray:
        """Return the values of many fits, (B, m)."""
        covariances = covariance_matrices(problem, fit.T)
        sigma = np.sqrt(fit.sigma2)
        values = parameter_values(variance_parameters(problem), covariances, sigma)
        return np.concatenate([values, fit.beta.T], axis=1)

    def bounds(self, problem: Problem) -> FloatArray:
        """Return the smallest and largest possible values, (2, m)."""
        low, high = np.full(len(self.names), -np.inf), np.full(len(self.names), np.inf)
        for i, parameter in enumerate(variance_parameters(problem)):
            low[i] = -1.0 if parameter.kind == "cor" else 0.0
            high[i] = 1.0 if parameter.kind == "cor" else np.inf
        return np.stack([low, high])


@dataclass(frozen=True, slots=True, eq=False)
class UserStatistic:
    """A function of the model, whose result becomes numbers with names.

    Attributes
    ----------
    function : callable
        From a model to a number, an array, a Series or a mapping of names to numbers.
    names : tuple (m,) of str
        As the function named them for the model itself.
    """

    function: Callable[[LinearMixedModel], Any]
    names: tuple[str, ...]

    @classmethod
    def of(cls, function: Callable[[LinearMixedModel], Any], model: LinearMixedModel) -> Any:
        """Return the statistic of a function, tried on the model.

        Raises
        ------
        OptionError
            If the function does not return numbers, or none at all.
        """
        result = function(model)
        names, _ = named_numbers(result)
        if not names:
            raise OptionError(
                f"statistic returned nothing, an empty {type(result).__name__}: it must return at "
                "least one number."
            )
        return cls(function, names)

    def __call__(self, model: LinearMixedModel) -> FloatArray:
        """Return the values of one model.

        Raises
        ------
        OptionError
            If there are other names, or more or fewer numbers, than for the original model.
        """
        names, values = named_numbers(self.function(model))
        if names == self.names:
            return values
        if sorted(names) == sorted(self.names):
            return np.array([values[names.index(name)] for name in self.names])
        raise OptionError(
            f"statistic returned {', '.join(names) or 'nothing'} for a replicate, but "
            f"{', '.join(self.names)} for the model itself."
        )


def named_numbers(result: Any) -> tuple[tuple[str, ...], FloatArray]:
    """Return what a statistic returned as names (m,) and numbers (m,).

    Raises
    ------
    OptionError
        If it is none of number, array, Series or mapping to numbers.
    """
    names: tuple[str, ...] | None = None
    values: Any = result
    if isinstance(result, pd.Series):
        names, values = tuple(map(str, result.index)), result.to_numpy()
    elif isinstance(result, Mapping):
        names, values = tuple(map(str, result)), list(result.values())
    try:
        # numpy would make a number, not-a-number, of None
        array: FloatArray = np.array("nothing" if values is None else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(
            "statistic must return a number, an array, a Series or a dict of numbers; got "
            f"{type(result).__name__}."
        ) from error
    if names is None:
        names = ("statistic",) if array.ndim == 0 else ()
    array = array.ravel()
    if len(names) != len(array):
        names = tuple(f"statistic[{i}]" for i in range(len(array)))
    return make_unique(names), array
