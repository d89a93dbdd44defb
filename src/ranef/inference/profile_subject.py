"""What a profile is taken of: a fit by maximum likelihood, and its parameters by name.

Intervals of several parameters share the fit, the surface, and one thing more: the deviance
without an effect. A correlation with an effect means nothing where that has no variance, so the
deviance along the profile of the correlation never exceeds that of the model without the effect.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ranef.covariance.chart import SINGULAR_BELOW
from ranef.draws import in_parallel
from ranef.errors import FitError, OptionError, UnknownVariableError
from ranef.estimation import Problem
from ranef.inference.parameters import (
    VarianceParameter,
    covariance_matrices,
    parameter_values,
    variance_parameters,
)
from ranef.inference.profile_axes import Axis, SigmaAxis
from ranef.inference.profile_blocks import CorAxis, SdAxis
from ranef.inference.profile_fixed import FixedAxis
from ranef.inference.profile_limits import LowerFoundError, Search
from ranef.inference.profile_path import settle
from ranef.inference.profile_surface import Deviance, Point
from ranef.inference.refits import refit_ml
from ranef.names import make_unique

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Result = TypeVar("Result")

# A message shows this many names.
SHOWN_NAMES = 20


@dataclass(frozen=True, slots=True)
class Target:
    """One parameter: its name, what it is, and its estimate by maximum likelihood.

    ``variance`` or, for a fixed effect, ``column`` (of the kept columns) says which it is.
    """

    name: str
    estimate: float
    variance: VarianceParameter | None = None
    column: int = -1

    @property
    def kind(self) -> str:
        """One of ``sd``, ``cor``, ``sigma``, ``fixed``."""
        return "fixed" if self.variance is None else self.variance.kind


@dataclass(frozen=True)
class Subject:
    """A fit by maximum likelihood, ready to be profiled.

    Attributes
    ----------
    problem : Problem
    point : Point
        The minimum.
    deviance : float
        -2 log-likelihood there.
    targets : tuple of Target
        Standard deviations and correlations per term, sigma, estimable fixed effects.
    """

    problem: Problem
    point: Point
    deviance: float
    targets: tuple[Target, ...]
    _without: dict[tuple[int, int], float] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def surface(self) -> Deviance:
        """The deviance as a function of all covariance parameters."""
        return Deviance(self.problem.objective.plan)

    def search(self, target: Target) -> Search | None:
        """Return the profile of one parameter; None for a correlation that means nothing."""
        if not math.isfinite(target.estimate):
            return None
        axis = self._axis(target)
        v = min(max(axis.coordinate(target.estimate), axis.low), axis.high)
        cap = math.inf
        if target.variance is not None and target.kind == "cor":
            f, effects = target.variance.factor, (target.variance.row, target.variance.col)
            cap = min(self.without(f, effect) for effect in effects)
        try:
            return Search(self.surface, axis, self.point, v, self.deviance, cap)
        except LowerFoundError as found:
            raise self.not_minimal(target, found) from found

    def without(self, f: int, effect: int) -> float:
        """Return the deviance of the model in which one effect has no variance."""
        key = (f, effect)
        if key not in self._without:
            target = next(
                t
                for t in self.targets
                if t.variance is not None
                and t.kind == "sd"
                and (t.variance.factor, t.variance.row) == key
            )
            axis = self._axis(target)
            self._without[key] = settle(self.surface, axis, 0.0, self.point).deviance
        return self._without[key]

    def not_minimal(self, target: Target, found: LowerFoundError) -> FitError:
        """Return the error for a fit that was not the minimum."""
        theta = ", ".join(f"{value:.4g}" for value in self.problem.to_public(found.point.T))
        return FitError(
            f"the profile of {target.name} came upon a deviance lower by {found.excess:.3g} than "
            "that of the fit, which is a minimum, but not the lowest: fit again with "
            f"start=[{theta}]."
        )

    def _axis(self, target: Target) -> Axis:
        if target.variance is None:
            return FixedAxis(self.problem, target.column)
        if target.kind == "sigma":
            return SigmaAxis(self.problem)
        make = SdAxis if target.kind == "sd" else CorAxis
        return make(self.problem, target.variance)


def subject(model: LinearMixedModel) -> Subject:
    """Return what is profiled: the model itself, or its fit by maximum likelihood.

    Raises
    ------
    FitError
        If that fit has not converged.
    """
    ml = refit_ml(model)
    if not ml.convergence.converged:
        raise FitError(
            f"a profile starts at the maximum of the likelihood, but {ml.convergence.message}"
        )
    problem, state = ml.problem, ml.state
    parameters = variance_parameters(problem)
    covariances = covariance_matrices(problem, state.factorization.T)
    values = parameter_values(parameters, covariances, ml.sigma)
    targets = [
        Target(parameter.name, _rounded(problem, parameter, float(value)), parameter)
        for parameter, value in zip(parameters, values, strict=True)
    ]
    beta, kept = problem.coefficients(state), problem.basis.kept
    names = parameter_names(model)[len(parameters) :]
    targets += [Target(names[kept[j]], float(beta[j]), column=j) for j in range(len(kept))]
    return Subject(
        problem, Point(state.factorization.T, math.log(state.sigma2)), ml.objective, tuple(targets)
    )


def _rounded(problem: Problem, parameter: VarianceParameter, value: float) -> float:
    """Return the estimate; correlations that are one but for rounding are one."""
    if parameter.kind == "cor" and 1.0 - abs(value) < SINGULAR_BELOW**2:
        return math.copysign(1.0, value)
    return value


def parameter_names(model: LinearMixedModel) -> tuple[str, ...]:
    """Return the names of variance parameters, then of fixed effects, aliased ones included."""
    names = [parameter.name for parameter in variance_parameters(model.problem)]
    return make_unique([*names, *model.design.x_names])


def select(
    names: Sequence[str], n_variance: int, wanted: str | Iterable[str] | None, option: str
) -> tuple[str, ...]:
    """Return the names that a user asked for, in the order of the model.

    Parameters
    ----------
    names : sequence of str
        The ``n_variance`` variance parameters, then the fixed effects.
    wanted : str, iterable of str, or None
        Names, ``"theta_"`` (all variance parameters) or ``"beta_"`` (all fixed effects); all by
        default.
    option : str
        What the user calls ``wanted``.

    Raises
    ------
    OptionError
        If these are no names.
    UnknownVariableError
        For a name that the model does not have.
    """
    if wanted is None:
        return tuple(names)
    # lme4's names for all variance parameters, and for all fixed effects
    groups = {"theta_": set(names[:n_variance]), "beta_": set(names[n_variance:])}
    chosen: set[str] = set()
    asked: list[Any] = (
        [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    )
    if not all(isinstance(name, str) for name in asked):
        raise OptionError(
            f"{option} must be the name of a parameter, a list of names, 'theta_' (all variance "
            f"parameters), 'beta_' (all fixed effects), or None for all; got {wanted!r}."
        )
    for name in asked:
        if name not in groups and name not in names:
            close = difflib.get_close_matches(name, [*names, *groups], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
            raise UnknownVariableError(
                f"the model has no parameter {name!r}.{hint} Parameters: {shown}; or 'theta_' and "
                "'beta_' for all variance parameters and all fixed effects."
            )
        chosen |= groups.get(name, {name})
    return tuple(name for name in names if name in chosen)


def for_each(
    work: Callable[[Subject, Target], Result],
    base: Subject,
    targets: Sequence[Target],
    n_jobs: int | None,
) -> list[Result]:
    """Return ``work`` for every parameter, by one worker or several; the same either way.

    Raises
    ------
    MissingDependencyError
        If there are several workers and no joblib.
    """
    return list(in_parallel(work, [(base, target) for target in targets], n_jobs))


def limits(base: Subject, target: Target, z: float) -> tuple[float, float]:
    """Return where the signed root of the deviance is -z and z; or the ends of the range."""
    search = base.search(target)
    if search is None:
        return -1.0, 1.0
    try:
        low, high = (search.axis.value(search.limit(side * z)) for side in (-1.0, 1.0))
    except LowerFoundError as found:
        raise base.not_minimal(target, found) from found
    return low, high
