"""One look at everything that should hold in a model: what was looked at, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ranef.convergence import Status
from ranef.diagnostics.collinearity import collinear, different_scales, inflation
from ranef.diagnostics.finding import Finding, Outcome
from ranef.diagnostics.homoscedasticity import equal_variances
from ranef.diagnostics.influential import influential_groups
from ranef.diagnostics.normality import normal_effects, normal_residuals
from ranef.model import LinearMixedModel
from ranef.tables.document import Block, Column, Document, Paragraph, Table, labels
from ranef.tables.renderable import Renderable

_WORDS = {
    Outcome.FINE: "fine",
    Outcome.LOOK: "look",
    Outcome.NOT_CHECKED: "not checked",
}


@dataclass(frozen=True, eq=False, repr=False)
class ModelCheck(Renderable):
    """The findings about a model.

    Attributes
    ----------
    findings : tuple of Finding
        Each with ``.topic``, ``.outcome``, ``.looked_at``, ``.value``, ``.verdict``, ``.advice``.
    """

    findings: tuple[Finding, ...]
    _inflation: pd.DataFrame

    @property
    def ok(self) -> bool:
        """True if there is nothing to look at."""
        return not self.to_look_at

    @property
    def to_look_at(self) -> tuple[Finding, ...]:
        """The findings that ask for a look."""
        return tuple(f for f in self.findings if f.outcome is Outcome.LOOK)

    @property
    def inflation(self) -> pd.DataFrame:
        """Generalised variance inflation factors of all terms: df, gvif, vif = gvif^(1/df)."""
        return self._inflation.copy()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per check: topic, outcome, value, looked_at, verdict, advice."""
        names = ("topic", "outcome", "value", "looked_at", "verdict", "advice")
        rows = [[getattr(finding, name) for name in names] for finding in self.findings]
        frame = pd.DataFrame(rows, columns=list(names))
        return frame.assign(outcome=[str(finding.outcome.value) for finding in self.findings])

    def document(self) -> Document:
        """Return the verdicts as a table, then what to do about those that need it."""
        table = Table(
            "",
            (
                labels("Check", [finding.topic for finding in self.findings]),
                _text("Outcome", [_WORDS[finding.outcome] for finding in self.findings]),
                _text("Finding", [finding.verdict for finding in self.findings]),
            ),
        )
        advice: list[Block] = [
            Paragraph(f"{finding.topic}: {finding.advice}.") for finding in self.to_look_at
        ]
        count = len(self.to_look_at)
        title = "Nothing to look at" if count == 0 else f"{count} to look at"
        return Document(f"Model check: {title[0].lower()}{title[1:]}", (table, *advice))


def check(model: LinearMixedModel) -> ModelCheck:
    """Check what a mixed model assumes, and say in words what was found.

    Use it after a fit, before conclusions. It looks at convergence, singularity, the distribution
    of residuals and random effects, equality of the residual variance, influential groups,
    collinearity and the scales of predictors. Each of the four tests aims at a level of 1 %
    over all that it looks at; together they call 1 to 5 % of good models into doubt. What is not
    rejected is not proved: in small data little can be seen.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    ModelCheck
        ``.ok``, ``.findings``, ``.to_look_at``, ``.inflation``, ``.to_frame()``; prints.

    Raises
    ------
    NoRowsError
        If the model was fitted to streamed data.
    FitError
        If rounding makes the equations of the model indefinite.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("strength ~ 1 + (1 | batch/cask)", ranef.datasets.load("pastes"))
    >>> check(m).ok
    True

    References
    ----------
    Pinheiro, Bates 2000, "Mixed-Effects Models in S and S-PLUS", section 4.3.
    """
    findings = (
        _converged(model),
        _singular(model),
        normal_residuals(model),
        normal_effects(model),
        equal_variances(model),
        influential_groups(model),
        collinear(model),
        different_scales(model),
    )
    return ModelCheck(findings, inflation(model))


def _converged(model: LinearMixedModel) -> Finding:
    verdict = model.convergence
    good = verdict.converged and verdict.status is not Status.AMBIGUOUS
    return Finding(
        "Convergence",
        Outcome.FINE if good else Outcome.LOOK,
        "norm of the gradient at the end",
        verdict.grad_norm,
        "the criterion is at its minimum" if good else verdict.message,
        "" if good else "do not use the estimates before this is settled",
    )


def _singular(model: LinearMixedModel) -> Finding:
    null = model.convergence.null_directions
    if not null:
        return Finding(
            "Singular fit",
            Outcome.FINE,
            "directions without variance",
            0.0,
            "every random effect has a variance of its own",
        )
    return Finding(
        "Singular fit",
        Outcome.LOOK,
        "directions without variance",
        float(len(null)),
        "; ".join(str(direction) for direction in null),
        "fixed effects are valid as they are; compare with a model without what has no variance",
    )


def _text(header: str, cells: list[str]) -> Column:
    return Column(header, tuple(cells), kind="text")
