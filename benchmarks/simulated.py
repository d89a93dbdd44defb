"""Simulated data of the benchmarks: every function is seeded, and takes its sizes as arguments.

Those in the shape of well-known sets have their numbers of levels and rows, and spread the rows as
unevenly over the levels, because that decides how much fills in.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def one_factor(
    rows: int, groups: int, *, slope: float = 0.5, predictors: int = 2, seed: int = 1
) -> pd.DataFrame:
    """Return rows spread over groups at random: y, g, x0, x1, ...; the effect of x0 varies."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, groups, rows)
    X = rng.standard_normal((rows, predictors))
    effects = rng.standard_normal((2, groups)) * [[1.0], [slope]]
    y = 1.0 + X[:, :2].sum(axis=1) + effects[0, g] + rng.standard_normal(rows)
    y += X[:, 0] * effects[1, g]
    return pd.DataFrame({"y": y, "g": g} | {f"x{i}": X[:, i] for i in range(predictors)})


def many_slopes(rows: int, groups: int, width: int) -> pd.DataFrame:
    """Return one factor with ``width`` random effects: an intercept, x1, x2, ..."""
    rng = np.random.default_rng(5)
    g = rng.integers(0, groups, rows)
    Z = np.column_stack([np.ones(rows), rng.standard_normal((rows, width - 1))])
    mixing = 0.3 * rng.standard_normal((width, width)) + np.diag(np.linspace(1.0, 0.3, width))
    effects = rng.standard_normal((groups, width)) @ mixing.T
    y = Z.sum(axis=1) + (Z * effects[g]).sum(axis=1) + rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "g": g} | {f"x{i}": Z[:, i] for i in range(1, width)})


def crossed(levels: int, rows_per_level: int) -> pd.DataFrame:
    """Return two crossed factors of equal size, cells drawn at random."""
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, levels, (2, levels * rows_per_level))
    x = rng.standard_normal(len(a))
    y = x + rng.standard_normal(levels)[a] + 0.7 * rng.standard_normal(levels)[b]
    return pd.DataFrame({"y": y + rng.standard_normal(len(a)), "x": x, "a": a, "b": b})


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


def ratings(rows: int = 1_000_000, users: int = 6_040, films: int = 3_706) -> pd.DataFrame:
    """Return ratings as in MovieLens-1M: at least 20 a user, few films with most of them."""
    rng = np.random.default_rng(1)
    activity = 20.0 + rng.lognormal(4.2, 1.1, users)
    popularity = rng.lognormal(0.0, 1.5, films)
    seen = np.zeros(0, dtype=np.int64)
    while len(seen) < rows:  # a user rates a film once
        u = rng.choice(users, rows // 2, p=activity / activity.sum())
        f = rng.choice(films, rows // 2, p=popularity / popularity.sum())
        seen = np.unique(np.concatenate([seen, u * films + f]))
    u, f = np.divmod(rng.permutation(seen)[:rows], films)
    year = rng.integers(0, 60, films)[f] / 30.0
    y = 3.6 - 0.1 * year + 0.4 * rng.standard_normal(users)[u]
    y += 0.55 * rng.standard_normal(films)[f] + 0.9 * rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "year": year, "user": u, "film": f})


def words(items: int = 80_000, people: int = 800, rows: int = 2_700_000) -> pd.DataFrame:
    """Return a lexical-decision megastudy: everybody sees a few thousand of very many words."""
    rng = np.random.default_rng(2)
    seen = np.zeros(0, dtype=np.int64)
    while len(seen) < rows:
        i, p = rng.integers(0, items, rows // 2), rng.integers(0, people, rows // 2)
        seen = np.unique(np.concatenate([seen, i * people + p]))
    i, p = np.divmod(rng.permutation(seen)[:rows], people)
    length = rng.integers(3, 12, items)[i] / 3.0
    y = 6.4 + 0.03 * length + 0.08 * rng.standard_normal(items)[i]
    y += 0.2 * rng.standard_normal(people)[p] + 0.25 * rng.standard_normal(len(i))
    return pd.DataFrame({"y": y, "length": length, "word": i, "person": p})


def teachers(schools: int = 2_000, moving: float = 0.1) -> pd.DataFrame:
    """Return pupils who stay in a school or move on to the next, and so do some of the teachers."""
    rng = np.random.default_rng(4)
    per_school, places, waves, years = 50, 10, 5, 8
    count = schools * places
    pupil = np.repeat(np.arange(schools * per_school), waves)
    wave = np.tile(np.arange(waves), schools * per_school)
    year = rng.integers(0, years - waves + 1, schools * per_school)[pupil] + wave
    moves = np.where(
        rng.random(schools * per_school) < 0.02, rng.integers(1, waves, len(pupil) // waves), waves
    )
    school = (
        pupil // per_school + rng.integers(1, 4, len(moves))[pupil] * (wave >= moves[pupil])
    ) % schools
    place = school * places + (2 * wave + pupil % 2) % places
    # a teacher who moves takes the same place in a school nearby, from some year on
    home, movers = np.arange(count), np.flatnonzero(rng.random(count) < moving)
    there = (home[movers] + places * rng.integers(1, 6, len(movers))) % count
    taken, since = home.copy(), np.full(count, years)
    taken[there], since[there] = movers, rng.integers(1, years, len(movers))
    teacher = np.where(year >= since[place], taken[place], place)
    x = rng.standard_normal(len(pupil))
    y = 1.0 + 0.3 * x + rng.standard_normal(schools * per_school)[pupil]
    y += 0.3 * rng.standard_normal(count)[teacher] + 0.5 * rng.standard_normal(schools)[school]
    y += 0.3 * rng.standard_normal(years)[year] + rng.standard_normal(len(pupil))
    columns = {"pupil": pupil, "teacher": teacher, "school": school, "year": year}
    return pd.DataFrame({"y": y, "x": x, **columns})


def pupils(
    per_school: int = 5, schools: int = 4_000, years: int = 8, waves: int = 5
) -> pd.DataFrame:
    """Return pupils in schools, measured in several years: nested, and crossed with a small one."""
    rng = np.random.default_rng(3)
    pupil = np.repeat(np.arange(per_school * schools), waves)
    school = pupil // per_school
    first = rng.integers(0, years - waves + 1, per_school * schools)
    year = first[pupil] + np.tile(np.arange(waves), per_school * schools)
    x = rng.standard_normal(len(pupil))
    y = 1.0 + 0.3 * x + rng.standard_normal(per_school * schools)[pupil]
    y += 0.5 * rng.standard_normal(schools)[school] + 0.3 * rng.standard_normal(years)[year]
    y += rng.standard_normal(len(pupil))
    return pd.DataFrame({"y": y, "x": x, "pupil": pupil, "school": school, "year": year})
