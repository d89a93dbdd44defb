"""The exact distribution of the likelihood ratio of one variance component, by simulation.

Under y = X beta + e, e ~ N(0, sigma^2 / w), against an additional Z b, b ~ N(0, lambda sigma^2 I),
with mu_k the non-zero eigenvalues of Z'P0 Z (P0 = I - QQ'), xi_k those of Z'Z, and independent
w_k^2 ~ chi2(1) and s ~ chi2(n - p - K), the likelihood ratio is distributed as (Crainiceanu and
Ruppert 2004, Journal of the Royal Statistical Society B 66)

    REML:  sup over lambda >= 0 of (n - p) log(total / rest(lambda)) - sum log(1 + lambda mu_k)
    ML:    sup over lambda >= 0 of      n  log(total / rest(lambda)) - sum log(1 + lambda xi_k)
    total = sum w_k^2 + s,    rest(lambda) = sum w_k^2 / (1 + lambda mu_k) + s.

Levels with the same z_j'z_j share all but p of their eigenvalues, so Z'P0 Z never needs to be
formed where designs repeat themselves, and equal eigenvalues share one chi-squared variable. The
supremum is found on a grid of lambda and a parabola through its three best points.

With other random effects in both models the distribution is approximate: they are treated as if
they were known (Greven, Crainiceanu, Kuechenhoff, Peters 2008, Journal of Computational and
Graphical Statistics 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.draws import check_count, generator
from ranef.errors import OptionError
from ranef.estimation import Problem, TermSlot
from ranef.inference.models import check_fitted
from ranef.inference.nesting import embed_random
from ranef.inference.same_data import check_same_data, same_fixed
from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_common, format_p_values
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# lambda, relative to the largest eigenvalue: the supremum for a statistic that is not tiny lies
# well inside, and with this step a parabola through three values is good to 1e-6.
GRID = (-12.0, 14.0, 320)
# Values of z_j'z_j that differ less than this, relative to the largest, are equal; smaller
# eigenvalues are zero.
EQUAL = 1e-10
# A larger eigenvalue problem takes minutes.
LARGEST_SPECTRUM = 3000
# Numbers held at once while simulating.
BLOCK = 4_000_000
# A statistic smaller than this is zero: the search stopped at the boundary, up to rounding.
ZERO = 1e-7


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExactTest(Renderable):
    """A likelihood-ratio test of one variance component.

    Attributes
    ----------
    term : str
        The random term that is tested.
    statistic : float
        (Restricted) likelihood-ratio statistic.
    p_value : float
        (1 + number of simulated values at least as large) / (1 + n).
    n : int
        Number of simulated values.
    reml : bool
        Whether the likelihood is restricted.
    approximate : bool
        True if other random effects were treated as known.
    zero : float
        Share of the simulated values that are zero; one half, if the ordinary mixture were right.
    """

    term: str
    statistic: float
    p_value: float
    n: int
    reml: bool
    approximate: bool
    zero: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row: statistic, p_value, n, zero."""
        names = ("statistic", "p_value", "n", "zero")
        return pd.DataFrame({name: [getattr(self, name)] for name in names}, index=[self.term])

    def document(self) -> Document:
        """Return the row as a table."""
        kind = "Restricted likelihood" if self.reml else "Likelihood"
        never = self.p_value <= 1.0 / (1.0 + self.n)  # no simulated value was as large
        (shown,) = format_p_values([self.p_value])
        columns = (
            labels("", [self.term]),
            numbers("RLRT" if self.reml else "LRT", format_common([self.statistic], 5)),
            numbers("p value", [f"< {1.0 / self.n:.2g}" if never else shown]),
        )
        notes = [f"{self.n} values simulated under the null hypothesis."]
        if self.approximate:
            notes.append("Approximate: the other random effects were treated as known.")
        return Document(
            "", (Table(f"{kind}-ratio test, exact by simulation", columns, tuple(notes)),)
        )


def exact_rlrt(
    model: LinearMixedModel,
    null: LinearMixedModel | None = None,
    n: int = 10_000,
    seed: Any = None,
) -> ExactTest:
    """Test one variance component by the exact distribution of the likelihood ratio.

    Use it to ask whether a random effect is needed at all: the variance is on the boundary then,
    chi-squared p-values are too large, and mixtures are right only for many independent groups.

    Parameters
    ----------
    model : LinearMixedModel
        Fitted by REML (the usual choice) or by maximum likelihood.
    null : LinearMixedModel, optional
        The model without the component, fitted by the same method with the same fixed effects. By
        default the model without any random effects; the model must have a single one then, such
        as ``(1 | g)`` or ``(0 + x | g)``. Where both have other random effects, p-values are
        approximate.
    n : int
        Number of simulated values.
    seed : int or numpy.random.Generator, optional

    Returns
    -------
    ExactTest
        ``.statistic``, ``.p_value``, ``.to_frame()``.

    Raises
    ------
    OptionError
        If the models do not differ by one variance component or are none, or n or seed are not
        allowed.
    DataError
        If the models were not fitted to the same observations.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    >>> print(exact_rlrt(m, seed=1))
    Restricted likelihood-ratio test, exact by simulation:
                 RLRT p value
    (1 | Batch) 6.369  0.0037
    10000 values simulated under the null hypothesis.

    References
    ----------
    Crainiceanu, Ruppert 2004, Journal of the Royal Statistical Society B 66(1); R's RLRsim
    (Scheipl, Greven, Kuechenhoff 2008, Computational Statistics and Data Analysis 52).
    """
    check_fitted("exact_rlrt", [model])
    n, rng = check_count("n", n), generator(seed)
    slot, column = _single(model) if null is None else _difference(null, model)
    if null is None:
        objective = model.problem.objective
        without = objective.value(tuple(np.zeros_like(t) for t in model.state.factorization.T))
        objective.forget()
    else:
        without = null.objective
    statistic = max(0.0, without - model.objective)
    drawn = null_statistics(model.problem, model.reml, slot.factor, column, n, rng)
    at_least = n if statistic <= ZERO else int((drawn >= statistic).sum())
    return ExactTest(
        term=_label(slot, column),
        statistic=statistic,
        p_value=(1.0 + at_least) / (1.0 + n),
        n=n,
        reml=model.reml,
        approximate=null is not None,
        zero=float((drawn <= ZERO).mean()),
    )


def null_statistics(
    problem: Problem, reml: bool, factor: int, column: int, n: int, rng: np.random.Generator
) -> FloatArray:
    """Draw likelihood ratios of one column of one grouping factor under the null hypothesis, (n,).

    Raises
    ------
    OptionError
        If the eigenvalues would take too long.
    """
    products = problem.objective.plan.products
    p = products.p
    a, C = products.A[factor][column, column], products.C[factor][:p, column]
    mu, count = _eigenvalues(a, C)
    free = products.n - p - int(count.sum())
    grid = np.exp(np.linspace(*GRID)) / mu.max(initial=1e-300)
    determinant = (
        count @ np.log1p(np.outer(mu, grid)) if reml else np.log1p(np.outer(a, grid)).sum(0)
    )
    shrinkage = 1.0 / (1.0 + np.outer(mu, grid))
    size = products.n - (p if reml else 0)
    out = np.empty(n)
    step = max(1, BLOCK // max(len(grid), len(mu)))
    for start in range(0, n, step):
        stop = min(n, start + step)
        w = rng.chisquare(count, (stop - start, len(count)))
        rest = rng.chisquare(free, stop - start) if free > 0 else np.zeros(stop - start)
        total = w.sum(axis=1) + rest
        ratio = total[:, None] / (w @ shrinkage + rest[:, None])
        out[start:stop] = _suprema(size * np.log(ratio) - determinant)
    return out


def _suprema(values: FloatArray) -> FloatArray:
    """Return the largest value of every row, by a parabola through the best three; at least 0."""
    rows, last = np.arange(len(values)), values.shape[1] - 2
    best = values.argmax(axis=1)
    middle = np.clip(best, 1, last)
    left, here, right = (values[rows, middle + step] for step in (-1, 0, 1))
    bend = 2.0 * here - left - right
    inside = (best == middle) & (bend > 0.0)
    gain = np.divide((right - left) ** 2, 8.0 * bend, out=np.zeros_like(bend), where=inside)
    suprema: FloatArray = np.maximum(values[rows, best] + gain, 0.0)
    return suprema


def _eigenvalues(a: FloatArray, C: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the distinct non-zero eigenvalues of diag(a) - C'C, and how often they occur.

    Parameters
    ----------
    a : float64 array (J,)
        z_j'z_j.
    C : float64 array (p, J)
        Q'z_j.
    """
    tolerance = EQUAL * float(a.max())
    order = np.argsort(a)
    starts = np.flatnonzero(np.diff(a[order], prepend=-np.inf) > tolerance)
    groups = np.split(order, starts[1:])
    if sum(min(len(group), len(C)) for group in groups) > LARGEST_SPECTRUM:
        raise OptionError(
            f"the exact distribution needs the eigenvalues of a matrix of {len(a)} levels, which "
            "are too many and too different: use compare(..., method='mixture')."
        )
    # within a group of equal a_j, only as many directions as C has rows feel it
    shared = [np.linalg.qr(C[:, group].T, mode="r") for group in groups]
    level = np.repeat([a[group[0]] for group in groups], [len(R) for R in shared])
    R = np.concatenate(shared) if shared else np.zeros((0, len(C)))
    own = np.linalg.eigvalsh(np.diag(level) - R @ R.T)
    alone = [(a[g[0]], len(g) - len(r)) for g, r in zip(groups, shared, strict=True)]
    values = np.concatenate([own, [value for value, _ in alone]])
    counts = np.concatenate([np.ones(len(own), dtype=np.intp), [k for _, k in alone]])
    keep = (values > tolerance) & (counts > 0)
    return values[keep], counts[keep].astype(np.intp)


def _single(model: LinearMixedModel) -> tuple[TermSlot, int]:
    entries = model.problem.theta_entries()
    if len(entries) != 1:
        terms = ", ".join(slot.term.label for slot in model.problem.slots)
        raise OptionError(
            "exact_rlrt without null= tests a single variance, in a model whose only random term "
            f"is like (1 | g) or (0 + x | g); this model has {terms}. Give null=, the model "
            "without the variance to test, or use ranova."
        )
    slot, row, _ = entries[0]
    return slot, row


def _difference(null: LinearMixedModel, model: LinearMixedModel) -> tuple[TermSlot, int]:
    """Return the one variance of the model that the null hypothesis lacks."""
    if not isinstance(null, type(model)):
        raise OptionError(f"null must be a model fitted by ranef.fit; got {type(null).__name__}.")
    check_same_data([null, model], ["null", "model"])
    if null.reml != model.reml or not same_fixed(null, model):
        raise OptionError(
            "the model and null= must have the same fixed effects and be fitted by the same "
            "method, REML or maximum likelihood."
        )
    pieces = embed_random(null, model)
    absent: list[tuple[TermSlot, int]] = []
    if not isinstance(pieces, str):
        used = {(piece.into, piece.place) for piece in pieces}
        absent = [
            (slot, start)
            for slot in model.problem.slots
            for start, stop in slot.blocks
            if (slot.factor, (start, stop)) not in used and stop == start + 1
        ]
    if len(absent) != 1 or model.df != null.df + 1:
        raise OptionError(
            f"exact_rlrt tests one variance that is not correlated with others: {model.formula} "
            f"must be {null.formula} with one more term like (1 | g) or (0 + x | g). For other "
            "comparisons use compare(..., method='mixture') or method='bootstrap'."
        )
    return absent[0]


def _label(slot: TermSlot, column: int) -> str:
    if slot.stop - slot.start == 1:
        return slot.term.label
    return f"{slot.term.names[column - slot.start]} in {slot.term.label}"
