"""The models that are timed, each with the reason why it is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

import ranef


@dataclass(frozen=True)
class Benchmark:
    """One model on one data set.

    Attributes
    ----------
    name, why : str
    formula : str
        The same text for ranef and for lme4.
    data : function without arguments -> DataFrame
    factors : tuple of str
        Columns that R must read as factors.
    target : float
        Times faster than lme4 that ranef promises to be.
    repeats, r_repeats : int
        Timed calls; the median counts. One more call before them warms up.
    """

    name: str
    why: str
    formula: str
    data: Callable[[], pd.DataFrame]
    factors: tuple[str, ...]
    target: float
    repeats: int
    r_repeats: int


def one_large_factor(rows: int = 1_000_000, groups: int = 50_000) -> pd.DataFrame:
    """Return simulated data: a slope that varies over many groups."""
    rng = np.random.default_rng(1)
    g = rng.integers(0, groups, rows)
    x, z = rng.standard_normal((2, rows))
    effects = rng.standard_normal((2, groups))
    y = 1.0 + x + z + effects[0, g] + 0.5 * x * effects[1, g] + rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def crossed_slopes(subjects: int = 50, items: int = 30) -> pd.DataFrame:
    """Return a simulated experiment: every subject sees every item in three two-level factors."""
    rng = np.random.default_rng(7)
    s, i = np.repeat(np.arange(subjects), items), np.tile(np.arange(items), subjects)
    n = subjects * items
    A, B, C = rng.choice([-0.5, 0.5], (3, n))
    X = np.column_stack([np.ones(n), A, B, C])

    def draw(levels: int, deviations: list[float]) -> np.ndarray:
        loading = np.array([1.0, 0.5, -0.3, 0.2])
        correlation = 0.5 * np.eye(4) + 0.5 * np.outer(loading, loading)
        scale = np.outer(deviations, deviations)
        return rng.standard_normal((levels, 4)) @ np.linalg.cholesky(correlation * scale).T

    by_subject, by_item = draw(subjects, [1.0, 0.6, 0.7, 0.5]), draw(items, [0.6, 0.5, 0.4, 0.5])
    y = X @ [5.0, 0.3, -0.2, 0.1] + (X * by_subject[s]).sum(1) + (X * by_item[i]).sum(1)
    y += rng.standard_normal(n)
    return pd.DataFrame({"y": y, "A": A, "B": B, "C": C, "s": s, "i": i})


SUITE = (
    Benchmark(
        "sleepstudy",
        "the smallest useful model: fixed costs decide",
        "Reaction ~ Days + (Days | Subject)",
        lambda: ranef.datasets.load("sleepstudy"),
        ("Subject",),
        4.0,
        300,
        50,
    ),
    Benchmark(
        "crossed slopes",
        "two crossed factors with 4 x 4 covariances, 20 parameters: derivatives decide",
        "y ~ A + B + C + (A + B + C | s) + (A + B + C | i)",
        crossed_slopes,
        ("s", "i"),
        30.0,
        15,
        3,
    ),
    Benchmark(
        "InstEval",
        "three crossed factors, 4 114 random effects: the dense block decides",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        lambda: ranef.datasets.load("insteval"),
        ("s", "d", "dept"),
        8.0,
        9,
        3,
    ),
    Benchmark(
        "one million rows",
        "a slope over 50 000 groups: the pass over the rows decides",
        "y ~ x + z + (x | g)",
        one_large_factor,
        ("g",),
        25.0,
        5,
        1,
    ),
)
