"""How time and memory grow: with rows, levels, covariance parameters and fixed effects.

    python benchmarks/run.py --scaling

One size grows and the others stay; the exponent is the slope of a straight line through the upper
half of the points, on logarithmic axes, where fixed costs no longer count for much. ranef and lme4
are measured with the machinery of the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import simulated
from measure import Row
from suite import Benchmark

PACKAGES = ("ranef", "lme4")


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes
    ----------
    name, label : str
    sizes : tuple of int
    formula : function of size -> str
    data : function of size -> DataFrame
    factors : tuple of str
    count : function of size -> int
        What the axis counts: of k effects, the k (k + 1) / 2 covariance parameters.
    expected : str
        What the arithmetic says about ranef.
    """

    name: str
    label: str
    sizes: tuple[int, ...]
    formula: Callable[[int], str]
    data: Callable[[int], pd.DataFrame]
    factors: tuple[str, ...]
    expected: str
    count: Callable[[int], int] = int


def _sum(size: int, first: int = 0) -> str:
    return " + ".join(f"x{i}" for i in range(first, first + size))


AXES: tuple[Axis, ...] = (
    Axis(
        "n",
        "rows (2 000 groups, slopes)",
        (10_000, 30_000, 100_000, 300_000, 1_000_000),
        lambda n: "y ~ x0 + x1 + (x0 | g)",
        lambda n: simulated.one_factor(n, 2_000),
        ("g",),
        "1: two passes over the rows, none in the search",
    ),
    Axis(
        "levels",
        "levels of one factor (100 000 rows, slopes)",
        (100, 300, 1_000, 3_000, 10_000, 30_000),
        lambda levels: "y ~ x0 + x1 + (x0 | g)",
        lambda levels: simulated.one_factor(100_000, levels),
        ("g",),
        "below 1: every level costs the same, but rows cost more until there are very many",
    ),
    Axis(
        "crossed levels",
        "levels of each of two crossed factors (10 rows a level)",
        (50, 100, 200, 300, 400, 800, 1_600),
        lambda levels: "y ~ x + (1 | a) + (1 | b)",
        lambda levels: simulated.crossed(levels, 10),
        ("a", "b"),
        "3 in the end: a dense block of one factor's levels is factorised",
    ),
    Axis(
        "theta",
        "covariance parameters (one k x k covariance, k = 1 to 10; 8 000 rows, 200 groups)",
        (1, 2, 3, 4, 6, 8, 10),
        lambda k: f"y ~ {_sum(k - 1, 1)} + ({_sum(k - 1, 1)} | g)" if k > 1 else "y ~ 1 + (1 | g)",
        lambda k: simulated.many_slopes(8_000, 200, k),
        ("g",),
        "1.5 to 2: curvature takes m (m + 1) / 2 products; evaluations stay few",
        lambda k: k * (k + 1) // 2,
    ),
    Axis(
        "p",
        "fixed effects (20 000 rows, 500 groups)",
        (3, 10, 30, 100, 300),
        lambda p: f"y ~ {_sum(p)} + (1 | g)",
        lambda p: simulated.one_factor(20_000, 500, slope=0.0, predictors=max(p, 2)),
        ("g",),
        "2 in the end: X'X once; until then, reading p columns",
    ),
)


def point(axis: Axis, size: int) -> Benchmark:
    """Return the declaration of one point."""
    return Benchmark(
        name=f"scaling {axis.name} {size}",
        why="scaling study",
        formula=axis.formula(size),
        data=lambda: axis.data(size),
        factors=axis.factors,
        size="scaling",
        sees=PACKAGES,
    )


POINTS: tuple[Benchmark, ...] = tuple(point(axis, size) for axis in AXES for size in axis.sizes)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Return b of value = a size^b over the upper half of the sizes.

    Parameters
    ----------
    sizes, values : sequence of float
        In increasing order of size.

    Returns
    -------
    float, or None with fewer than three positive values.
    """
    pairs = [(s, v) for s, v in zip(sizes, values, strict=True) if v > 0]
    upper = pairs[-max(3, (len(pairs) + 1) // 2) :]
    if len(upper) < 3:
        return None
    x, y = np.log(np.array(upper)).T
    return float(np.polyfit(x, y, 1)[0])


@dataclass(frozen=True)
class Curve:
    """One package along one axis: what was counted, seconds, MB above, evaluations."""

    axis: str
    package: str
    counts: tuple[int, ...]
    seconds: tuple[float, ...]
    memory: tuple[float, ...]
    evaluations: tuple[int, ...]


def curves(measured: Mapping[str, Sequence[Row]]) -> list[Curve]:
    """Return the curves of the points that were fitted; the others are left out."""
    found = []
    for axis in AXES:
        for package in PACKAGES:
            rows = [
                (axis.count(size), row)
                for size in axis.sizes
                for row in measured.get(point(axis, size).name, ())
                if row.package == package and row.outcome == "fitted"
            ]
            if rows:
                found.append(
                    Curve(
                        axis.name,
                        package,
                        tuple(count for count, _ in rows),
                        tuple(row.seconds or 0.0 for _, row in rows),
                        tuple(row.memory_above or 0.0 for _, row in rows),
                        tuple(row.evaluations or 0 for _, row in rows),
                    )
                )
    return found


def draw(found: Sequence[Curve], path: Path) -> None:
    """Draw one panel for every axis, logarithmic both ways."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    axes = [axis for axis in AXES if any(curve.axis == axis.name for curve in found)]
    figure, panels = plt.subplots(
        2, (len(axes) + 1) // 2, figsize=(11, 6.4), squeeze=False, layout="constrained"
    )
    colours = dict(zip(PACKAGES, ("#0072b2", "#d55e00"), strict=True))
    for panel, axis in zip(panels.flat, axes, strict=False):
        for curve in found:
            if curve.axis != axis.name:
                continue
            slope = exponent(curve.counts, curve.seconds)
            label = curve.package + ("" if slope is None else f"  {slope:.1f}")
            panel.plot(
                curve.counts, curve.seconds, "o-", color=colours[curve.package], label=label, ms=4
            )
        panel.set(xscale="log", yscale="log", ylabel="seconds")
        panel.set_xlabel(axis.label.replace(" (", "\n("))
        panel.legend(title="exponent", frameon=False)
        panel.grid(alpha=0.25)
    for panel in list(panels.flat)[len(axes) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)
