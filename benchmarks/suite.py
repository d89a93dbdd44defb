"""The declared suite: every model that is timed, on which data, and why it is here.

A name is all that passes between processes: `find` gives the declaration back. The same formula
goes to every package that reads formulas; `packages` translates it for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import simulated

import ranef

Size = Literal["small", "medium", "large", "scaling"]
SIZES: tuple[Size, ...] = get_args(Size)


@dataclass(frozen=True)
class Benchmark:
    """One model on one data set.

    Attributes
    ----------
    name, why : str
    formula : str
        The same text for every package that reads formulas.
    data : function without arguments -> DataFrame
    factors : tuple of str
        Columns that R must read as factors: the grouping factors, and categorical predictors.
    size : {"small", "medium", "large", "scaling"}
        Small: fixed costs decide. Large: minutes for others, gigabytes of memory; in the order
        of difficulty, because a package that is stopped is not tried on the next ones.
    reml : bool
        A package that knows only maximum likelihood takes part only where this is False.
    target : float, optional
        Times faster than lme4 that ranef promises to be.
    sees : tuple of str
        Packages that are measured; none means all that are installed.
    """

    name: str
    why: str
    formula: str
    data: Callable[[], pd.DataFrame]
    factors: tuple[str, ...]
    size: Size
    reml: bool = True
    target: float | None = None
    sees: tuple[str, ...] = ()


def _bundled(
    name: str, **derived: Callable[[pd.DataFrame], pd.Series]
) -> Callable[[], pd.DataFrame]:
    """Return a function that loads a bundled data set and adds columns to it."""
    return lambda: ranef.datasets.load(name).assign(**derived)


WIDE = " + ".join(f"x{i}" for i in range(200))
EIGHT = " + ".join(f"x{i}" for i in range(1, 8))

SUITE: tuple[Benchmark, ...] = (
    Benchmark(
        "sleepstudy",
        "the smallest useful model: fixed costs decide",
        "Reaction ~ Days + (Days | Subject)",
        _bundled("sleepstudy"),
        ("Subject",),
        "small",
        target=4.0,
    ),
    Benchmark(
        "Dyestuff2",
        "30 rows, and the best variance is zero: nothing but fixed costs",
        "Yield ~ 1 + (1 | Batch)",
        _bundled("dyestuff2"),
        ("Batch",),
        "small",
    ),
    Benchmark(
        "Penicillin, ML",
        "crossed, balanced, small enough for packages that form n x n matrices",
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        _bundled("penicillin"),
        ("plate", "sample"),
        "small",
        reml=False,
    ),
    Benchmark(
        "Pastes",
        "nested",
        "strength ~ 1 + (1 | batch/cask)",
        _bundled("pastes"),
        ("batch", "cask"),
        "small",
    ),
    Benchmark(
        "cake",
        "18 fixed effects of two factors: the design decides",
        "angle ~ recipe * temperature + (1 | recipe:replicate)",
        _bundled("cake"),
        ("recipe", "temperature", "replicate"),
        "small",
    ),
    Benchmark(
        "Indometh",
        "the best correlation is -1 or 1: optimisers stop short of singular optima",
        "logconc ~ time + (time | Subject)",
        _bundled("indometh", logconc=lambda d: np.log(d["conc"])),
        ("Subject",),
        "small",
    ),
    Benchmark(
        "Oxboys, quadratic",
        "badly scaled slopes: a 3 x 3 covariance of effects of very different size",
        "height ~ age + age2 + (age + age2 | Subject)",
        _bundled("oxboys", age2=lambda d: d["age"] ** 2),
        ("Subject",),
        "small",
    ),
    Benchmark(
        "independent slopes, ML",
        "variances without correlations, for packages that know no others",
        "Reaction ~ Days + (Days || Subject)",
        _bundled("sleepstudy"),
        ("Subject",),
        "small",
        reml=False,
    ),
    Benchmark(
        "wide and short",
        "60 fixed effects of 300 rows: dense algebra in small pieces",
        "y ~ " + " + ".join(f"x{i}" for i in range(60)) + " + (1 | g)",
        lambda: simulated.one_factor(300, 30, slope=0.0, predictors=60),
        ("g",),
        "small",
    ),
    Benchmark(
        "Exam",
        "4 059 pupils in 65 schools: the size of most applications",
        "normexam ~ standLRT + sex + schgend + (standLRT | school)",
        _bundled("exam"),
        ("school", "sex", "schgend"),
        "medium",
    ),
    Benchmark(
        "crossed slopes",
        "two crossed factors with 4 x 4 covariances, 20 parameters: derivatives decide",
        "y ~ A + B + C + (A + B + C | s) + (A + B + C | i)",
        simulated.crossed_slopes,
        ("s", "i"),
        "medium",
        target=30.0,
    ),
    Benchmark(
        "8 x 8 covariance",
        "36 parameters of one factor: derivatives decide, and one factor is all that some know",
        f"y ~ {EIGHT} + ({EIGHT} | g)",
        lambda: simulated.many_slopes(20_000, 400, 8),
        ("g",),
        "medium",
    ),
    Benchmark(
        "InstEval",
        "three crossed factors, 4 114 random effects: the dense block decides",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        _bundled("insteval"),
        ("s", "d", "dept", "service"),
        "medium",
        target=8.0,
    ),
    Benchmark(
        "InstEval, ML",
        "the same by maximum likelihood, for a package without REML",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        _bundled("insteval"),
        ("s", "d", "dept", "service"),
        "medium",
        reml=False,
        sees=("ranef", "lme4", "gpboost"),
    ),
    Benchmark(
        "200 fixed effects",
        "20 000 rows of 200 predictors: multiplying matrices decides",
        f"y ~ {WIDE} + (1 | g)",
        lambda: simulated.one_factor(20_000, 1_000, slope=0.0, predictors=200),
        ("g",),
        "medium",
    ),
    Benchmark(
        "ten groups",
        "300 000 rows in 10 groups: almost a regression; reading the columns decides",
        "y ~ x0 + (1 | g)",
        lambda: simulated.one_factor(300_000, 10, slope=0.0),
        ("g",),
        "medium",
    ),
    Benchmark(
        "many intercepts, ML",
        "500 000 rows in 125 000 groups, nothing but intercepts: everybody's best case",
        "y ~ x0 + (1 | g)",
        lambda: simulated.one_factor(500_000, 125_000, slope=0.0),
        ("g",),
        "medium",
        reml=False,
    ),
    Benchmark(
        "one million rows",
        "a slope over 50 000 groups: the pass over the rows decides",
        "y ~ x0 + x1 + (x0 | g)",
        lambda: simulated.one_factor(1_000_000, 50_000),
        ("g",),
        "medium",
        target=25.0,
    ),
    Benchmark(
        "pupils",
        "20 000 pupils in 4 000 schools, crossed with 8 years",
        "y ~ x + (1 | school/pupil) + (1 | year)",
        simulated.pupils,
        ("pupil", "school", "year"),
        "large",
    ),
    Benchmark(
        "many pupils",
        "100 000 pupils in 20 000 schools, crossed with 8 years",
        "y ~ x + (1 | school/pupil) + (1 | year)",
        lambda: simulated.pupils(schools=20_000),
        ("pupil", "school", "year"),
        "large",
    ),
    Benchmark(
        "teachers",
        "100 000 pupils, 20 000 teachers and 2 000 schools that are nested but for those who move, "
        "and 8 years",
        "y ~ x + (1 | pupil) + (1 | teacher) + (1 | school) + (1 | year)",
        simulated.teachers,
        ("pupil", "teacher", "school", "year"),
        "large",
    ),
    Benchmark(
        "words",
        "as a lexical-decision megastudy: 80 000 words, 800 people, 2 700 000 answers",
        "y ~ length + (1 | word) + (1 | person)",
        simulated.words,
        ("word", "person"),
        "large",
    ),
    Benchmark(
        "ratings",
        "as MovieLens-1M: 6 040 users, 3 706 films, 1 000 000 ratings",
        "y ~ year + (1 | user) + (1 | film)",
        simulated.ratings,
        ("user", "film"),
        "large",
    ),
)


def find(name: str) -> Benchmark:
    """Return the declaration called ``name``, of the suite or of the scaling study."""
    import scaling  # which is made of declarations

    return next(case for case in (*SUITE, *scaling.POINTS) if case.name == name)
