"""The verdict on a fit, in words a user can act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ranef.covariance.chart import SINGULAR_BELOW, Direction
from ranef.estimation import Problem
from ranef.optimize.certificate import Certificate, Verdict
from ranef.optimize.result import Optimum
from ranef.typing import FloatArray, OptimizerName

# An effect with a share below this in a combination without variance is left out of the sentence.
NEGLIGIBLE = 1e-3


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "converged"
    SINGULAR = "converged, singular"
    AMBIGUOUS = "converged, ambiguous"
    NOT_CONVERGED = "not converged"


_ADVICE = {
    Verdict.EXHAUSTED: "raise control=ranef.Control(max_evaluations=...)",
    Verdict.STOPPED_SHORT: "start again from the end, start=model.theta",
    Verdict.SADDLE: "try another start=...",
    Verdict.FALSE_ZERO: "try another start=...",
    Verdict.LOCAL: "try another start=...",
    Verdict.BREAKDOWN: "check the data for values of very different size",
}


@dataclass(frozen=True, slots=True)
class NullDirection:
    """A combination of random effects that has no variance.

    Attributes
    ----------
    group : str
        Grouping factor.
    names : tuple of str
        Random effects that take part.
    weights : tuple of float
        The combination: sum of weights times effects, largest weight 1.
    """

    group: str
    names: tuple[str, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        if len(self.names) == 1:
            return f"the variance of {self.names[0]} by {self.group} is zero"
        if len(self.names) == 2:
            sign = "-1" if self.weights[0] * self.weights[1] > 0 else "1"
            return (
                f"the correlation of {self.names[0]} and {self.names[1]} by {self.group} is {sign}"
            )
        text = ""
        for name, weight in zip(self.names, self.weights, strict=True):
            sign = (" - " if text else "-") if weight < 0 else (" + " if text else "")
            size = "" if abs(abs(weight) - 1) < 5e-4 else f"{abs(weight):.4g} "
            text += f"{sign}{size}{name}"
        return f"the combination {text} has no variance by {self.group}"


@dataclass(frozen=True, slots=True, repr=False)
class Convergence:
    """The verdict on a fit, certified by exact derivatives.

    Attributes
    ----------
    status : Status
        ``"converged"``, ``"converged, singular"``, ``"converged, ambiguous"`` or
        ``"not converged"``.
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
        """True if the criterion is at its minimum, singular and ambiguous ones included."""
        return self.status is not Status.NOT_CONVERGED

    def __repr__(self) -> str:
        """Return the message; the numbers are attributes."""
        return f"<Convergence: {self.message}>"

    def __str__(self) -> str:
        """Return the message."""
        return self.message


def describe(
    problem: Problem, optimum: Optimum, certificate: Certificate, optimizer: OptimizerName
) -> Convergence:
    """Put a certificate into words, in the user's coordinates."""
    null = _null_directions(problem, certificate.null)
    verdict = certificate.verdict
    count = optimum.n_evaluations
    steps = f"after {count} evaluation{'' if count == 1 else 's'}"
    if verdict is Verdict.CONVERGED:
        status, message = Status.CONVERGED, f"converged {steps}"
    elif verdict is Verdict.SINGULAR:
        found = "; ".join(str(direction) for direction in null)
        status = Status.SINGULAR
        message = f"converged {steps}; the fit is singular: {found}"
    elif verdict is Verdict.AMBIGUOUS:
        status = Status.AMBIGUOUS
        message = (
            f"converged {steps}, but the data do not determine the covariance parameters: other "
            "values fit equally well. Is a grouping factor also a fixed effect, or a random "
            "effect in two terms?"
        )
    elif verdict is Verdict.IMPRECISE:
        status = Status.NOT_CONVERGED
        message = (
            f"not converged {steps}: at the end, variances of random effects are so much larger "
            "than the residual variance that rounding errors hide the minimum. Either the random "
            "effects explain the response almost exactly (center it within its groups, or leave "
            "out the effect that determines it), or start= was too large."
        )
    else:
        status = Status.NOT_CONVERGED
        reason = verdict.value.removeprefix("not converged: ")
        message = (
            f"not converged {steps}: {reason} (one more Newton step promises a decrease of "
            f"{certificate.decrement / 2:.3g}). {_advice(verdict, optimizer)}"
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


def _advice(verdict: Verdict, optimizer: OptimizerName) -> str:
    """Return what to do about a failure."""
    newton = "" if optimizer == "newton" else "use optimizer='newton', or "
    text = f"{newton}{_ADVICE[verdict]}."
    return text[0].upper() + text[1:]


def _null_directions(
    problem: Problem, directions: tuple[Direction, ...]
) -> tuple[NullDirection, ...]:
    """Return null directions of the core in the user's coordinates, variances of zero first."""
    out: list[NullDirection] = []
    blocks = dict.fromkeys((factor, block) for factor, block, _ in directions)
    for factor, (start, stop) in blocks:
        group = problem.groups[factor]
        slot = next(s for s in problem.slots if s.factor == factor and s.start <= start < s.stop)
        names = slot.term.names[start - slot.start : stop - slot.start]
        W = group.whitening[start:stop, start:stop]
        null = np.column_stack([n for f, b, n in directions if (f, b) == (factor, (start, stop))])
        single = []
        for a, name in enumerate(names):
            image = W[a] / np.sqrt(W[a] @ W[a])  # the direction that this effect alone reads
            outside = image - null @ (null.T @ image)
            if np.sqrt(outside @ outside) < SINGULAR_BELOW:
                out.append(NullDirection(group.name, (name,), (1.0,)))
                single.append(image)
        for vector in _remaining(null, single).T:
            out.append(_combination(group.name, names, W, vector))
    return tuple(out)


def _remaining(null: FloatArray, single: list[FloatArray]) -> FloatArray:
    """Return an orthonormal basis of the null space after taking out single effects."""
    if not single:
        return null
    taken, _ = np.linalg.qr(np.column_stack(single))
    left, sizes, _ = np.linalg.svd(null - taken @ (taken.T @ null), full_matrices=False)
    return np.asarray(left[:, sizes > 0.5])


def _combination(
    group: str, names: tuple[str, ...], W: FloatArray, vector: FloatArray
) -> NullDirection:
    """Return W^-T n, without effects whose share is negligible in units of their columns."""
    inverse = np.linalg.inv(W)
    raw = inverse.T @ vector
    share = np.abs(raw) / np.sqrt((inverse * inverse).sum(axis=0))
    keep = share > NEGLIGIBLE * share.max()
    raw = raw / raw[np.argmax(np.abs(raw) * keep)]
    return NullDirection(
        group,
        tuple(name for name, kept in zip(names, keep, strict=True) if kept),
        tuple(float(weight) for weight in raw[keep]),
    )
