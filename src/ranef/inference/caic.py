"""The conditional AIC: for predictions of new observations of the same groups.

    cAIC = -2 log p(y | b^, beta^, sigma^) + 2 (GDF + 1),      GDF = tr(d y^ / d y),

where b^ are the conditional modes and y^ the fitted values with them. The derivative has two
parts: at fixed covariance parameters (the trace of the hat matrix, Vaida and Blanchard 2005), and
through the parameters, which follow y, too (Greven and Kneib 2010). With rows multiplied by
sqrt(w), e = P y, a_i = (dV0 / dtheta_i) e, s_i = a_i'e, and the Hessian H of the profiled
criterion,

    d theta / d y = 2 nu inv(H) [P a_i / r^2 - s_i e / r^4]                  (stationarity)
    GDF = tr(I - P) + 2 nu sum_ij inv(H)_ij [ a_i'P^2 a_j / r^2 - s_i (e'P a_j) / r^4 ].

P V0 P = P gives P^2 = P - P Z Sigma Z'P, so that only t_i = Z'P a_i is needed, q numbers for every
parameter: with a_i = Z c_i,

    a_i'P^2 a_j = c_i't_j - t_i'Sigma t_j,    e'P a_j = s_j - b't_j,
    tr(I - P)   = p + sum_f tr(Sigma_f sum_j [Z'PZ]_jj).

The t_i come from one more elimination, in which the a_i are further columns of the border. Weights
need nothing new: d(sqrt(w_i) y^_i) / d(sqrt(w_i) y_i) = d y^_i / d y_i. Directions without
variance are left out, as they stay without it when y changes a little.

(R's cAIC4 halves the last term of the derivative in its analytic formula; scaling y shows that the
term is as above: theta does not change, so that (d theta / d y)'y must vanish.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.covariance.chart import Chart, Factors
from ranef.inference.satterthwaite import variance_uncertainty
from ranef.linalg.adjoint import trace_gradient
from ranef.linalg.information import direction
from ranef.linalg.scores import direction_scores
from ranef.tables.document import Document, Table, numbers
from ranef.tables.format import format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConditionalAIC(Renderable):
    """The conditional AIC of one model.

    Attributes
    ----------
    cond_loglik : float
        Log-likelihood of the response given the conditional modes.
    hat_trace : float
        Trace of the hat matrix: effective parameters of the mean at known covariance parameters.
    gdf : float
        Generalised degrees of freedom of the fitted values, estimation of the covariance
        parameters included.
    """

    cond_loglik: float
    hat_trace: float
    gdf: float

    @property
    def edf(self) -> float:
        """Effective number of parameters: GDF and one for the residual variance."""
        return self.gdf + 1.0

    @property
    def caic(self) -> float:
        """-2 conditional log-likelihood + 2 effective parameters; smaller is better."""
        return -2.0 * self.cond_loglik + 2.0 * self.edf

    def to_frame(self) -> pd.DataFrame:
        """Return one row: caic, cond_loglik, edf, gdf, hat_trace."""
        names = ("caic", "cond_loglik", "edf", "gdf", "hat_trace")
        return pd.DataFrame({name: [getattr(self, name)] for name in names})

    def document(self) -> Document:
        """Return the row as a table."""
        values = {
            "cAIC": (self.caic, 1),
            "cond. logLik": (self.cond_loglik, 1),
            "edf": (self.edf, 2),
            "hat trace": (self.hat_trace, 2),
        }
        columns = [numbers(name, format_fixed([value], d)) for name, (value, d) in values.items()]
        return Document("", (Table("Conditional AIC", tuple(columns)),))


def caic(model: LinearMixedModel) -> ConditionalAIC:
    """Return the conditional AIC with the correction for estimated covariance parameters.

    Use it to compare models whose random effects are of interest themselves: it estimates how well
    new observations of the *same* groups are predicted. (The AIC asks about new groups.) Models
    with different fixed effects can be compared by it also where they were fitted by REML.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    ConditionalAIC
        ``.caic``, ``.cond_loglik``, ``.edf``, ``.gdf``, ``.hat_trace``, ``.to_frame()``.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(caic(m))
    Conditional AIC:
      cAIC cond. logLik   edf hat trace
    1711.5       -824.5 31.25     29.02

    References
    ----------
    Greven, Kneib 2010, Biometrika 97(4); Vaida, Blanchard 2005, Biometrika 92(2).
    """
    hat_trace, correction = _degrees_of_freedom(model)
    return ConditionalAIC(_conditional_loglik(model), hat_trace, hat_trace + correction)


def _conditional_loglik(model: LinearMixedModel) -> float:
    """Return log p(y | b^, beta^, sigma^); e'e = r^2 - u'u, and u'u = b't."""
    state, products = model.state, model.problem.objective.plan.products
    solution, sigma2 = state.solution, state.sigma2
    explained = sum(float((b * t).sum()) for b, t in zip(solution.b, solution.t, strict=True))
    squares = state.factorization.r2 - explained
    constant = products.n * float(np.log(2.0 * np.pi * sigma2)) - products.log_weights
    return -0.5 * (squares / sigma2 + constant)


def _degrees_of_freedom(model: LinearMixedModel) -> tuple[float, float]:
    """Return tr(I - P), and what the estimation of the covariance parameters adds."""
    problem = model.problem
    known = variance_uncertainty(problem, model.state)
    T, chart, m = known.T, known.free, known.free.size
    here = problem.objective.state(T)
    problem.objective.forget()
    f, solution = here.factorization, here.solution
    slopes = trace_gradient(f, True)
    hat_trace = f.plan.products.p + sum(
        float(((t @ t.T) * slope).sum()) for t, slope in zip(T, slopes, strict=True)
    )
    if m == 0:
        return hat_trace, 0.0
    directions = _directions(T, solution.t, chart)
    scores = direction_scores(f, [int(g) for g in chart.factor], directions)
    s, et, PP = np.empty(m), np.zeros(m), np.zeros((m, m))
    for i, (g, c) in enumerate(zip(chart.factor, directions, strict=True)):
        s[i] = (c * solution.t[g]).sum()
        PP[i] = scores[g].reshape(m, -1) @ c.ravel()
    for t, b, T_g in zip(scores, solution.b, T, strict=True):
        half = np.matmul(T_g.T, t).reshape(m, -1)
        PP -= half @ half.T
        et -= t.reshape(m, -1) @ b.ravel()
    et += s
    inverse = known.precision_inverse[:m, :m]
    scale = 2.0 * problem.objective.nu / f.r2
    correction = scale * ((inverse * PP).sum() - s @ inverse @ et / f.r2)
    return hat_trace, float(correction)


def _directions(T: Factors, t: tuple[FloatArray, ...], chart: Chart) -> list[FloatArray]:
    """Return c_i = dSigma/dtheta_i t for theta_i = T_f[a, b], (k_f, J_f) each."""
    entries = zip(chart.factor, chart.row, chart.col, strict=True)
    return [direction(T[g][:, b], a, t[g]) for g, a, b in entries]
