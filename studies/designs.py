"""The designs that are simulated: data frames with everything but the response, and the truth.

They are small and unbalanced on purpose. In large samples all methods agree, and in balanced ones
most small-sample methods are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

import ranef
from ranef.design import build_design
from ranef.design.types import Design
from ranef.fit import fit_design
from ranef.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Study:
    """One model with known parameters.

    Attributes
    ----------
    name, formula : str
    data : DataFrame
        Predictors and groups.
    sd : dict grouping factor -> tuple of float
        True standard deviations of the random effects, in the order of the term's columns.
    correlation : float
        Between the random effects of a term with two columns.
    sigma : float
        Residual standard deviation. Fixed effects are zero: every test is of a true hypothesis.
    """

    name: str
    formula: str
    data: pd.DataFrame
    sd: dict[str, tuple[float, ...]]
    correlation: float = 0.0
    sigma: float = 1.0

    def design(self, formula: str | None = None) -> Design:
        """Return the design, with a response that is there to be replaced."""
        rng = np.random.default_rng(0)
        data = self.data.assign(y=rng.standard_normal(len(self.data)))
        return build_design(formula or self.formula, data)

    def responses(self, count: int, seed: np.random.SeedSequence) -> Iterator[FloatArray]:
        """Yield simulated responses (n,)."""
        rng = np.random.default_rng(seed)
        terms = self.design().terms
        for _ in range(count):
            y = self.sigma * rng.standard_normal(len(self.data))
            for term in terms:
                effects = self._effects(term.grouping.name, term.grouping.size, rng)
                for column, effect in zip(term.columns, effects, strict=True):
                    part = effect[term.grouping.codes]
                    y += part if column is None else part * column
            yield y

    def _effects(self, group: str, size: int, rng: np.random.Generator) -> FloatArray:
        """Return random effects (k, levels)."""
        sd = np.array(self.sd[group])
        correlation = np.full((len(sd), len(sd)), self.correlation)
        np.fill_diagonal(correlation, 1.0)
        effects: FloatArray = sd[:, None] * (
            np.linalg.cholesky(correlation) @ rng.standard_normal((len(sd), size))
        )
        return effects


def refit(design: Design, y: FloatArray, *, reml: bool = True) -> ranef.LinearMixedModel:
    """Return the fit of one simulated response."""
    return fit_design(replace(design, y=y), reml=reml)


def slopes() -> Study:
    """Return eight groups of 3 to 9 rows; a predictor with random slopes, and one of the groups."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(8), [3, 4, 5, 6, 6, 7, 8, 9])
    data = pd.DataFrame(
        {"g": g, "x": rng.uniform(-1, 1, len(g)), "z": rng.standard_normal(8)[g]},
    )
    return Study(
        "random slopes, 8 groups", "y ~ x + z + (x | g)", data, {"g": (1.0, 1.0)}, correlation=0.3
    )


def treatments() -> Study:
    """Return nine groups of 2 to 10 rows in three treatments: the F test has two numerator df."""
    g = np.repeat(np.arange(9), [2, 3, 4, 5, 6, 7, 8, 9, 10])
    treatment = np.array(["a", "b", "c", "a", "b", "c", "a", "b", "b"])[g]
    return Study(
        "three treatments, 9 groups",
        "y ~ t + (1 | g)",
        pd.DataFrame({"g": g, "t": treatment}),
        {"g": (1.0,)},
    )


def crossed() -> Study:
    """Return eight subjects by six items, a quarter of the cells missing; items have a property."""
    rng = np.random.default_rng(5)
    s, i = np.divmod(np.arange(48), 6)
    kept = np.sort(rng.permutation(48)[:36])
    data = pd.DataFrame({"s": s[kept], "i": i[kept]})
    data["x"] = np.array([-1.0, -1.0, 0.0, 0.5, 1.0, 2.0])[data["i"]]
    return Study(
        "8 subjects by 6 items", "y ~ x + (1 | s) + (1 | i)", data, {"s": (0.8,), "i": (0.6,)}
    )


def growth(groups: int = 20) -> Study:
    """Return groups of 4 to 8 rows with random slopes: enough for intervals of correlations."""
    rng = np.random.default_rng(20)
    g = np.repeat(np.arange(groups), 4 + np.arange(groups) % 5)
    data = pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, len(g))})
    return Study(
        f"random slopes, {groups} groups",
        "y ~ x + (x | g)",
        data,
        {"g": (1.0, 1.0)},
        correlation=0.3,
    )
