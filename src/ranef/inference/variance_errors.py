"""Standard errors of standard deviations, correlations, sigma, variances and covariances.

The covariance matrix of the covariance parameters' estimates is twice the inverse Hessian of the
deviance (observed information, of the criterion that was minimised: REML or ML), which the core
has in its own parameters gamma = (free entries of T, sigma^2). With Sigma_f = sigma^2 W T T' W',

    dSigma / dT_i = sigma^2 W (E_i T' + T E_i') W',     dSigma / d sigma^2 = W T T' W',

everything else follows by the delta method:

    d sd_a   = dSigma_aa / (2 sd_a)
    d cor_ab = dSigma_ab / (sd_a sd_b) - cor_ab (dSigma_aa / (2 sd_a^2) + dSigma_bb / (2 sd_b^2)).

On the boundary there is no such approximation: what belongs to a standard deviation of zero, or
to a correlation of -1 or 1, is NaN. In a term that is singular in another direction the numbers
hold that direction's variance at zero. Where the data do not determine a parameter, because the
criterion is flat in its direction, it is NaN, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.covariance.chart import SINGULAR_BELOW, Factors
from ranef.estimation import Problem
from ranef.inference.parameters import (
    VarianceParameter,
    covariance_matrices,
    parameter_values,
    variance_parameters,
)
from ranef.inference.satterthwaite import VarianceUncertainty, variance_uncertainty
from ranef.tables.document import Document, Table, labels, numbers
from ranef.tables.format import format_estimates
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Correlations nearer to -1 or 1 than this are on the boundary.
AT_ONE = 1e-7
# Relative size of an eigenvalue of the covariance matrix that is zero: the information was flat
# there, and was left out.
LEFT_OUT = 1e-13
# Share of a parameter's derivative in flat directions from which it is not determined.
UNDETERMINED = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class VarianceErrors(Renderable):
    """Variance parameters with standard errors; made by `variance_errors`.

    Use ``print`` for a table; `vcov` for tests and intervals of functions of the parameters. The
    distribution of a standard deviation is skew: its standard error is a rough guide, and no
    ground for an interval or a test of zero.

    Attributes
    ----------
    names : tuple (m,) of str
        Standard deviations and correlations per term, and sigma.
    estimates, covariance : float64 arrays (m,), (m, m)
        NaN on the boundary. Read-only.
    components : DataFrame
        See `variances`.
    """

    names: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    components: pd.DataFrame

    def __post_init__(self) -> None:
        self.estimates.flags.writeable = False
        self.covariance.flags.writeable = False

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix (m, m) of the estimates."""
        names = list(self.names)
        return pd.DataFrame(self.covariance.copy(), index=names, columns=names)

    @property
    def std_errors(self) -> pd.Series[float]:
        """Standard errors (m,)."""
        return pd.Series(np.sqrt(self.covariance.diagonal()), index=list(self.names))

    @property
    def variances(self) -> pd.DataFrame:
        """Variances and covariances, one per row: grp, var1, var2, vcov, std_error."""
        return self.components.copy()

    def to_frame(self) -> pd.DataFrame:
        """Return estimates and standard errors: columns estimate, std_error."""
        errors = self.std_errors
        return pd.DataFrame({"estimate": self.estimates, "std_error": errors}, index=errors.index)

    def document(self) -> Document:
        """Return what ``print`` shows."""
        frame = self.to_frame()
        rows = frame.to_numpy(dtype=np.float64)
        cells = [tuple(part[0] for part in format_estimates(row[None], 4)) for row in rows]
        columns = [labels("", self.names)]
        for header, column in zip(
            ("Estimate", "Std. Error"), zip(*cells, strict=True), strict=True
        ):
            columns.append(numbers(header, column))
        return Document("Variance parameters", (Table("", tuple(columns)),))


def variance_errors(model: LinearMixedModel) -> VarianceErrors:
    """Return standard errors and the covariance matrix of the variance parameters.

    Use it for reports that ask for them, as input for meta-analysis and power calculations; for
    intervals prefer profiles, which need no symmetry.

    Parameters
    ----------
    model : LinearMixedModel
        By its own criterion, REML or ML.

    Returns
    -------
    VarianceErrors

    Examples
    --------
    >>> import ranef
    >>> from ranef.inference.variance_errors import variance_errors
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> print(variance_errors(m))
    Variance parameters
    <BLANKLINE>
                               Estimate Std. Error
    sd_Intercept|Subject         24.740      5.836
    sd_Days|Subject               5.922      1.248
    cor_Days.Intercept|Subject  0.06555    0.32502
    sigma                        25.592      1.508
    """
    problem = model.problem
    parameters = variance_parameters(problem)
    known = _Delta.of(problem, variance_uncertainty(problem, model.state))
    covariances = covariance_matrices(problem, model.state.factorization.T)
    estimates = parameter_values(parameters, covariances, np.sqrt(known.sigma2))
    J = np.array([known.slope(p, estimates[i]) for i, p in enumerate(parameters)])
    components = [p for p in parameters if p.kind != "sigma"]
    K = np.array([known.rise(p) for p in components] + [known.residual()])
    rows = model.VarCorr.to_frame()
    rows["std_error"] = np.sqrt(known.covariance(K).diagonal())
    return VarianceErrors(
        tuple(p.name for p in parameters),
        estimates,
        known.covariance(J),
        rows[["grp", "var1", "var2", "vcov", "std_error"]],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Delta:
    """Covariance matrices with their derivatives by the free parameters and sigma^2.

    Attributes
    ----------
    T : tuple of float64 arrays (k_f, k_f)
    sigma2 : float
    Sigma : tuple of float64 arrays (k_f, k_f)
    slopes : tuple of float64 arrays (m + 1, k_f, k_f)
    norms : tuple of float64 arrays (k_f,)
        Natural relative sizes of the effects' standard deviations.
    known : float64 array (m + 1, m + 1)
        Covariance matrix of the parameters' estimates, flat directions left out.
    flat : float64 array (m + 1, r)
        Those directions, and the scale of the parameters on which they are orthonormal.
    """

    T: Factors
    sigma2: float
    Sigma: Factors
    slopes: Factors
    norms: tuple[FloatArray, ...]
    known: FloatArray
    flat: FloatArray
    size: FloatArray

    @classmethod
    def of(cls, problem: Problem, uncertainty: VarianceUncertainty) -> _Delta:
        """Return the derivatives at the optimum."""
        T, free, sigma2 = uncertainty.T, uncertainty.free, uncertainty.sigma2
        relative = covariance_matrices(problem, T)
        slopes = []
        for f, (group, t) in enumerate(zip(problem.groups, T, strict=True)):
            W, k = group.whitening, len(t)
            out = np.zeros((free.size + 1, k, k))
            for i in np.flatnonzero(free.factor == f):
                half = np.outer(W[:, free.row[i]], W @ t[:, free.col[i]])
                out[i] = sigma2 * (half + half.T)
            out[-1] = relative[f]
            slopes.append(out)
        size = np.append(np.maximum(1.0, np.abs(free.read(T))), sigma2)
        inverse = uncertainty.precision_inverse[:-1, :-1] / np.outer(size[:-1], size[:-1])
        values, vectors = np.linalg.eigh(inverse)
        flat = vectors[:, values <= LEFT_OUT * values.max(initial=0.0)]
        return cls(
            T,
            sigma2,
            tuple(sigma2 * matrix for matrix in relative),
            tuple(slopes),
            tuple(np.sqrt((group.whitening**2).sum(axis=1)) for group in problem.groups),
            2.0 * uncertainty.precision_inverse,
            np.vstack([flat, np.zeros((1, flat.shape[1]))]),
            size,
        )

    def slope(self, parameter: VarianceParameter, estimate: float) -> FloatArray:
        """Return the derivative of a standard deviation, a correlation or sigma, (m + 1,)."""
        if parameter.kind == "sigma":
            return self.residual() / (2.0 * estimate)
        f, a, b = parameter.factor, parameter.row, parameter.col
        if parameter.kind == "sd":
            return self.rise(parameter) / (2.0 * estimate) if estimate > 0 else self.rise(parameter)
        if 1.0 - abs(estimate) < AT_ONE or not np.isfinite(estimate):
            return np.full(len(self.known), np.nan)
        va, vb = self.Sigma[f][a, a], self.Sigma[f][b, b]
        relative = self.slopes[f][:, a, a] / va + self.slopes[f][:, b, b] / vb
        result: FloatArray = self.rise(parameter) / np.sqrt(va * vb) - 0.5 * estimate * relative
        return result

    def rise(self, parameter: VarianceParameter) -> FloatArray:
        """Return the derivative of a variance or covariance, (m + 1,); NaN beside a zero one."""
        f, effects = parameter.factor, [parameter.row, parameter.col]
        sds = np.sqrt(self.Sigma[f].diagonal()[effects])
        if (sds < SINGULAR_BELOW * np.sqrt(self.sigma2) * self.norms[f][effects]).any():
            return np.full(len(self.known), np.nan)
        return self.slopes[f][:, parameter.row, parameter.col]

    def residual(self) -> FloatArray:
        """Return the derivative of sigma^2, (m + 1,)."""
        out = np.zeros(len(self.known))
        out[-1] = 1.0
        return out

    def covariance(self, J: FloatArray) -> FloatArray:
        """Return J known J', with NaN for rows that depend on flat directions."""
        scaled = J * self.size
        moved = np.sqrt(((scaled @ self.flat) ** 2).sum(axis=1))
        J = np.where((moved > UNDETERMINED * np.sqrt((scaled**2).sum(axis=1)))[:, None], np.nan, J)
        covariance: FloatArray = J @ self.known @ J.T
        return covariance
