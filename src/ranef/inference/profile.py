"""Profiles of the likelihood: one curve for every parameter, and the intervals they give.

For a parameter psi the deviance is minimised over all others, d(psi), and

    zeta(psi) = sign(psi - psi_hat) sqrt(d(psi) - d(psi_hat))

is compared with the standard normal distribution: the interval of level 1 - alpha holds all psi
with |zeta| up to its 1 - alpha/2 quantile. A straight curve means that a Wald interval on that
scale would do. Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1),
section 5.1. The work is done by the modules `profile_*` beside this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.draws import check_jobs
from ranef.errors import OptionError, UnknownVariableError
from ranef.inference.profile_curve import Curve
from ranef.inference.profile_limits import LowerFoundError
from ranef.inference.profile_subject import (
    Subject,
    Target,
    for_each,
    parameter_names,
    select,
    subject,
)
from ranef.inference.wald import check_level
from ranef.tables.document import Document, Fact, Facts, Table, labels, numbers
from ranef.tables.format import format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

PRINTED_LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Renderable):
    """Profile likelihood of the parameters of a model; made by `profile`.

    Use ``print`` for the intervals, `confint` for their numbers, `plot` to see how far from
    quadratic the log-likelihood is.

    Attributes
    ----------
    curves : tuple of Curve
        One per parameter.
    deviance : float
        -2 log-likelihood at its minimum.
    level : float
        The curves reach this far: to the limits of the interval of this level, or to the end of a
        parameter's range.
    refitted : bool
        The model was fitted by REML, and its fit by maximum likelihood was profiled.
    """

    curves: tuple[Curve, ...]
    deviance: float
    level: float
    refitted: bool

    def __getitem__(self, name: str) -> Curve:
        """Return the curve of one parameter."""
        for curve in self.curves:
            if curve.name == name:
                return curve
        known = ", ".join(curve.name for curve in self.curves)
        raise UnknownVariableError(f"the profile has no parameter {name!r}. Parameters: {known}.")

    def to_frame(self) -> pd.DataFrame:
        """Return the computed points, one per row.

        Returns
        -------
        DataFrame
            Columns parameter, value, zeta, deviance; by parameter and increasing value.
        """
        return pd.DataFrame(
            {
                "parameter": [c.name for c in self.curves for _ in c.value],
                "value": np.concatenate([c.value for c in self.curves] or [np.zeros(0)]),
                "zeta": np.concatenate([c.zeta for c in self.curves] or [np.zeros(0)]),
                "deviance": np.concatenate([c.deviance for c in self.curves] or [np.zeros(0)]),
            }
        )

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Return intervals, read off the curves.

        Between computed points the curves are interpolated, which changes limits by less than
        a thousandth of the interval's width; `confint` of the model computes them without.

        Parameters
        ----------
        level : float
            Coverage, at most the level of the profile.

        Returns
        -------
        DataFrame
            Columns lower, upper; one row per parameter.

        Raises
        ------
        OptionError
            If the curves do not reach that far.
        """
        if check_level(level) > self.level:
            raise OptionError(
                f"the curves reach to level {self.level:g}; for {level:g} profile again with "
                f"level={level:g}."
            )
        z = normal_quantile(level)
        pairs = [curve.limits(z) for curve in self.curves]
        return interval_frame([curve.name for curve in self.curves], pairs)

    def plot(self, ax: Any = None) -> Any:
        """Draw zeta against every parameter; see `ranef.plots.profile.zeta`.

        Parameters
        ----------
        ax : array of matplotlib Axes, optional
            One for every parameter; a new figure by default.

        Returns
        -------
        matplotlib Figure
        """
        from ranef.plots.profile import zeta

        return zeta(self, ax)

    def document(self) -> Document:
        """Return what ``print`` shows: estimates and intervals."""
        level = min(PRINTED_LEVEL, self.level)
        frame = self.confint(level)
        frame.insert(0, "estimate", [curve.estimate for curve in self.curves])
        source = "the fit by maximum likelihood, for a model fitted by REML"
        facts = [Fact("Profile of", source)] if self.refitted else []
        facts.append(Fact("-2 log-likelihood", f"{self.deviance:.1f}"))
        return Document(
            "Profile likelihood intervals", (Facts(tuple(facts)), interval_table(frame, level))
        )


def profile(
    model: LinearMixedModel,
    which: str | Iterable[str] | None = None,
    level: float = 0.99,
    n_jobs: int | None = None,
) -> Profile:
    """Profile the likelihood of a model.

    Use it to see the shape of the log-likelihood around the estimates, and for intervals of
    several levels at once; for one level `ranef.inference.confint.confint` is quicker.

    Parameters
    ----------
    model : LinearMixedModel
        A fit by REML is fitted again by maximum likelihood, as in lme4: REML criteria of
        different fixed effects cannot be compared.
    which : str or iterable of str, optional
        Names of parameters (``sd_Days|Subject``, ``cor_Days.Intercept|Subject``, ``sigma``,
        ``Days``), ``"theta_"`` for all variance parameters, ``"beta_"`` for all fixed effects.
        Default: all.
    level : float
        How far the curves reach.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.

    Returns
    -------
    Profile

    Raises
    ------
    UnknownVariableError
        For a parameter that the model does not have.
    OptionError
        For another level or ``n_jobs``, or if only aliased coefficients are named.
    FitError
        If the fit has not converged, or the profile finds a better one.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> from ranef.inference.profile import profile
    >>> m = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"), reml=False)
    >>> print(profile(m))
    Profile likelihood intervals
    -2 log-likelihood: 327.3
    <BLANKLINE>
                       Estimate    2.5 %   97.5 %
    sd_Intercept|Batch    37.26    12.20    84.06
    sigma                 49.51    38.23    67.66
    Intercept           1527.50  1486.45  1568.55

    References
    ----------
    Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1), section 5.1.
    """
    z, n_jobs = normal_quantile(check_level(level)), check_jobs(n_jobs)
    base, targets = chosen(model, which)
    curves = for_each(partial(_curve, z=z), base, targets, n_jobs)
    return Profile(tuple(curves), base.deviance, float(level), bool(model.reml))


def chosen(
    model: LinearMixedModel, which: str | Iterable[str] | None
) -> tuple[Subject, list[Target]]:
    """Return the fit to profile and the parameters that a user asked for."""
    names = parameter_names(model)
    n_variance = len(names) - len(model.design.x_names)
    wanted = set(select(names, n_variance, which, "which"))
    base = subject(model)
    targets = [target for target in base.targets if target.name in wanted]
    if not targets:
        raise OptionError(
            f"there is nothing to profile: which={which!r} names no parameter that the data "
            "determine."
        )
    return base, targets


def _curve(base: Subject, target: Target, *, z: float) -> Curve:
    """Return the curve of one parameter between zeta = -z and z."""
    search = base.search(target)
    if search is None:
        nothing = [np.zeros(0) for _ in range(4)]
        return Curve(target.name, target.kind, target.estimate, *nothing)
    try:
        nodes = search.curve(z)
    except LowerFoundError as found:
        raise base.not_minimal(target, found) from found
    zeta = np.array([node.zeta for node in nodes])
    return Curve(
        target.name,
        target.kind,
        target.estimate,
        np.array([search.axis.value(node.v) for node in nodes]),
        zeta,
        base.deviance + zeta * zeta,
        np.array([node.rise for node in nodes]),
    )


def normal_quantile(level: float) -> float:
    """Return how far from zero the normal distribution has this much probability."""
    from scipy.special import ndtri  # slow to import, and not needed for a fit

    return float(ndtri(0.5 + 0.5 * level))


def interval_frame(names: Iterable[str], pairs: Iterable[tuple[float, float]]) -> pd.DataFrame:
    """Return intervals as a data frame with columns lower and upper."""
    values = np.array(list(pairs), dtype=np.float64).reshape(-1, 2)
    return pd.DataFrame(values, index=list(names), columns=["lower", "upper"])


def interval_table(frame: pd.DataFrame, level: float) -> Table:
    """Return the printed table of estimates and limits, with R's headers."""
    tails = [f"{100.0 * p:.4g} %" for p in (0.5 - 0.5 * level, 0.5 + 0.5 * level)]
    rows = frame[["estimate", "lower", "upper"]].to_numpy(dtype=np.float64)
    # every row has units of its own: the width of the interval decides its decimals
    cells = [format_fixed(row, _decimals(row)) for row in rows]
    columns = [labels("", map(str, frame.index))]
    for header, column in zip(["Estimate", *tails], zip(*cells, strict=True), strict=True):
        columns.append(numbers(header, column))
    return Table("", tuple(columns))


def _decimals(row: FloatArray) -> int:
    """Return the decimals that show four digits of an interval's width."""
    width = row[2] - row[1]
    size = width if np.isfinite(width) and width > 0 else abs(row[0])
    if not (np.isfinite(size) and size > 0):
        return 3
    return max(0, 3 - math.floor(math.log10(size)))
