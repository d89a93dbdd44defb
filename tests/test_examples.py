"""Every script in examples/ runs, warns of nothing, and finds what R finds.

The scripts run in this process. What they leave behind is compared with R 4.2.2 (lme4 1.1-31, lm,
aov), what they print with what a reader should see.
"""

from __future__ import annotations

import io
import runpy
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
LONGEST = 100


@dataclass(frozen=True)
class Run:
    """What a script printed, and the variables it left."""

    output: str
    left: dict[str, Any]


@cache
def run(name: str) -> Run:
    """Run a script once; any warning is an error."""
    printed = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(printed):
        warnings.simplefilter("error")
        left = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return Run(printed.getvalue(), left)


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_prints(name: str) -> None:
    """A script ends without error or warning, and says something."""
    assert len(run(name).output.splitlines()) > 3


@pytest.mark.parametrize("name", NAMES)
def test_is_short_and_explained(name: str) -> None:
    """A script fits on two screens and begins by saying what it shows."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert len(text.splitlines()) <= LONGEST


def test_the_scripts_are_known() -> None:
    """A new script needs its own comparison below."""
    assert NAMES == [
        "gasoline", "insteval", "reml_by_hand", "repeated_measures_anova", "sleepstudy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "own", "mixed"),
    [
        ("308", (244.19266909, 21.76470242), (253.6636558, 19.666261725)),
        ("309", (205.054945455, 2.261785455), (211.0063668, 1.847605344)),
        ("335", (263.034692727, -2.881033939), (251.0714364, -0.284879217)),
        ("372", (267.04480000, 11.29807333), (263.7196970, 11.751308036)),
    ],
)
def test_sleepstudy_lines(
    subject: str, own: tuple[float, float], mixed: tuple[float, float]
) -> None:
    """Lines of single subjects are those of lm and of lmer."""
    left = run("sleepstudy").left
    assert left["own"].loc[subject].to_numpy() == pytest.approx(own, rel=1e-8)
    # lmer's own optimum is this close
    assert left["mixed"].loc[subject].to_numpy() == pytest.approx(mixed, rel=1e-4)


def test_sleepstudy_findings() -> None:
    """Spread of the slopes and errors of the forecasts are R's."""
    left, output = run("sleepstudy").left, run("sleepstudy").output
    assert left["pooled"] == pytest.approx([251.40510485, 10.46728596], rel=1e-8)
    assert left["spread_own"] == pytest.approx(6.558226865, rel=1e-8)
    assert left["spread_mixed"] == pytest.approx(5.455215863, rel=1e-4)
    assert left["errors"] == {
        "complete pooling": pytest.approx(58.94710783, rel=1e-8),
        "no pooling": pytest.approx(47.1634669, rel=1e-8),
        "partial pooling": pytest.approx(42.3963652, rel=1e-4),
    }
    assert "Pulled in: 13 of 18 slopes, 18 of 18 lines." in output


def test_gasoline() -> None:
    """Slopes by lm, by lm with a constant for each country, and by lmer are R's."""
    left, output = run("gasoline").left, run("gasoline").output
    model = left["model"]
    fixef = [6.78348106862, -0.01256783799, 2.57563008561, -0.19253104524]
    errors = [0.753425916234, 0.004413863833, 0.105541409927, 0.081144562095]
    assert model.fixef.to_numpy() == pytest.approx(fixef, rel=1e-5)
    assert model.std_errors.to_numpy() == pytest.approx(errors, rel=1e-5)
    assert model.objective == pytest.approx(-97.7224093751, abs=1e-6)
    assert left["between"] == pytest.approx(1.31868928, rel=1e-5)
    assert left["ordinary"] == pytest.approx([0.0141971996, 1.5606040752, -1.2709056385])
    assert left["within"] == pytest.approx([-0.01470168261, 2.64625380348, -0.14230337823])
    assert "lincomep      1.5606    2.6463    2.5756" in output


def test_reml_by_hand() -> None:
    """The grid, the closed form and ranef agree."""
    table = run("reml_by_hand").left["table"]
    assert table["ranef"].to_numpy() == pytest.approx(table["closed form"].to_numpy(), rel=1e-9)
    assert table["grid"].to_numpy() == pytest.approx(table["closed form"].to_numpy(), rel=1e-5)


def test_repeated_measures_anova() -> None:
    """F and variance components are those of aov, and of lmer where measurements are missing."""
    left = run("repeated_measures_anova").left
    for way in ("anova", "mixed"):
        assert left[way] == {
            "F": pytest.approx(22.35564, rel=1e-6),
            "variance of people": pytest.approx((8.3125 - 1.210648148) / 4, rel=1e-8),
            "variance of the rest": pytest.approx(1.210648148, rel=1e-8),
        }
    table = left["incomplete"].coef_table()
    estimates = [8.156654363, 4.287790082, 2.621123415, 1.065567860]
    errors = [0.5869645727, 0.5492946609, 0.5492946609, 0.5492946609]
    assert table["estimate"].to_numpy() == pytest.approx(estimates, rel=1e-6)
    assert table["std_error"].to_numpy() == pytest.approx(errors, rel=1e-5)


def test_insteval() -> None:
    """Estimates and the extreme lecturers, with their standard deviations, are lmer's."""
    left, output = run("insteval").left, run("insteval").output
    model, lecturers, students = left["model"], left["lecturers"], left["students"]
    assert model.objective == pytest.approx(237733.834128, abs=1e-4)
    assert model.fixef.to_numpy() == pytest.approx([3.28258775061, -0.09264171185], rel=1e-5)
    assert list(lecturers.index) == [
        "582", "454", "2013", "918", "258", "844", "66", "1866", "193", "1258",
    ]  # fmt: skip
    worst, best = lecturers.iloc[0], lecturers.iloc[-1]
    assert worst[["effect", "sd"]].tolist() == pytest.approx([-1.413772, 0.273919], rel=1e-4)
    assert best[["effect", "sd"]].tolist() == pytest.approx([1.149810, 0.188457], rel=1e-4)
    assert (students.index[0], students.index[-1]) == ("462", "1163")
    assert np.isfinite(students["sd"]).all()
    assert "seconds on this machine" in output
