"""The verdict on a fit, in words a user can act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ranef.estimation import Problem
from ranef.optimize.certificate import Certificate, Verdict
from ranef.optimize.result import Optimum
from ranef.typing import FloatArray, OptimizerName


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "converged"
    SINGULAR = "converged, singular"
    NOT_CONVERGED = "not converged"


_ADVICE = {
    Verdict.EXHAUSTED: "Raise control=ranef.Control(max_evaluations=...), or use "
    "optimizer='newton'.",
    Verdict.STOPPED_SHORT: "Use optimizer='newton', or start=model.theta of this fit.",
    Verdict.SADDLE: "Use optimizer='newton', or another start=.",
    Verdict.FALSE_ZERO: "Use optimizer='newton', or another start=.",
    Verdict.BREAKDOWN: "Check the data for values of very different size.",
}


@dataclass(frozen=True, slots=True)
class NullDirection:
    """A combination of random effects that has no variance.

    Attributes
    ----------
    group : str
        Grouping factor.
    names : tuple of str
        Random effects of the term.
    weights : tuple of float
        The combination: sum of weights times effects, largest weight 1.
    """

    group: str
    names: tuple[str, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        parts = [
            (name, weight)
            for name, weight in zip(self.names, self.weights, strict=True)
            if abs(weight) > 1e-6
        ]
        if len(parts) == 1:
            return f"the variance of {parts[0][0]} by {self.group} is zero"
        if len(parts) == 2:
            sign = "-1" if parts[0][1] * parts[1][1] > 0 else "1"
            return f"the correlation of {parts[0][0]} and {parts[1][0]} by {self.group} is {sign}"
        text = ""
        for name, weight in parts:
            sign = (" - " if text else "-") if weight < 0 else (" + " if text else "")
            size = "" if abs(abs(weight) - 1) < 5e-4 else f"{abs(weight):.4g} "
            text += f"{sign}{size}{name}"
        return f"the combination {text} has no variance by {self.group}"


@dataclass(frozen=True, slots=True)
class Convergence:
    """The verdict on a fit, certified by exact derivatives.

    Attributes
    ----------
    status : Status
        ``"converged"``, ``"converged, singular"`` or ``"not converged"``.
    message : str
        What happened; for a failure also what to do.
    grad_norm : float
        Norm of the gradient of the criterion in the core's standardised coordinates.
    n_evaluations : int
        Evaluations used: value with derivatives for Newton, value for the others.
    decrement : float
        Twice the decrease that one more Newton step would bring, in deviance units.
    smallest_curvature : float
        Smallest eigenvalue of the Hessian in the core's standardised coordinates.
    null_directions : tuple of NullDirection
        Combinations of random effects without variance (singular fits).
    optimizer : str
    """

    status: Status
    message: str
    grad_norm: float
    n_evaluations: int
    decrement: float
    smallest_curvature: float
    null_directions: tuple[NullDirection, ...]
    optimizer: OptimizerName

    @property
    def converged(self) -> bool:
        """True for an ordinary and for a singular optimum."""
        return self.status is not Status.NOT_CONVERGED


def describe(
    problem: Problem, optimum: Optimum, certificate: Certificate, optimizer: OptimizerName
) -> Convergence:
    """Put a certificate into words, in the user's coordinates."""
    null = tuple(
        _direction(problem, factor, block, vector) for factor, block, vector in certificate.null
    )
    verdict = certificate.verdict
    steps = f"after {optimum.n_evaluations} evaluations"
    if verdict is Verdict.CONVERGED:
        status, message = Status.CONVERGED, f"converged {steps}"
    elif verdict is Verdict.SINGULAR:
        found = "; ".join(str(direction) for direction in null)
        status = Status.SINGULAR
        message = f"converged {steps}; the fit is singular: {found}"
    else:
        status = Status.NOT_CONVERGED
        reason = verdict.value.removeprefix("not converged: ")
        message = (
            f"not converged {steps}: {reason} (one more Newton step promises a decrease of "
            f"{certificate.decrement / 2:.3g}). {_ADVICE[verdict]}"
        )
    return Convergence(
        status,
        message,
        certificate.gradient_norm,
        optimum.n_evaluations,
        certificate.decrement,
        certificate.curvature,
        null,
        optimizer,
    )


def _direction(
    problem: Problem, factor: int, block: tuple[int, int], vector: FloatArray
) -> NullDirection:
    """Return a null direction of the core in the user's coordinates: W^-T n."""
    start, stop = block
    group = problem.groups[factor]
    raw = np.linalg.solve(group.whitening[start:stop, start:stop].T, vector)
    raw = raw / raw[np.argmax(np.abs(raw))]
    slot = next(
        slot for slot in problem.slots if slot.factor == factor and slot.start <= start < slot.stop
    )
    names = slot.term.names[start - slot.start : stop - slot.start]
    return NullDirection(group.name, names, tuple(float(weight) for weight in raw))
