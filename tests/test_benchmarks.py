"""The benchmarks as a program: declarations, processes, one scale for all packages, an honest page.

Times are not tested. What is: that measurements mean what the page says they mean.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ranef
from ranef.formula import parse_formula

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(FOLDER))  # scripts that import each other by name
import judge  # noqa: E402
import measure  # noqa: E402
import packages  # noqa: E402
import report  # noqa: E402
import scaling  # noqa: E402
import suite  # noqa: E402
from packages.parts import take_apart  # noqa: E402

ALL = [*suite.SUITE, *scaling.POINTS]
SMALL = [case for case in suite.SUITE if case.size == "small"]
SLEEP = "Reaction ~ Days + (Days | Subject)"


def row(package: str, **changed: object) -> measure.Row:
    """Return a made-up measurement."""
    usual: dict[str, object] = {
        "outcome": "fitted",
        "seconds": 1.0,
        "first_seconds": 2.0,
        "cpu_seconds": 1.0,
        "memory": 100.0,
        "memory_above": 10.0,
        "evaluations": 5,
        "converged": True,
        "excess": 0.0,
        "gradient": 1e-9,
        "ratio": 1.0,
        "version": "1.0",
    }
    return measure.Row(package, **(usual | changed))  # type: ignore[arg-type]


def measured(*rows: measure.Row, name: str = "InstEval") -> report.Measured:
    """Return made-up measurements of a model."""
    environment = {"date": "2026-01-01", "processor": "abacus"}
    return report.Measured(suite.find(name), rows, environment, 3, 60.0)


def test_names_are_unique() -> None:
    """A name finds its declaration again in another process."""
    names = [case.name for case in ALL]
    assert len(set(names)) == len(names)
    assert all(suite.find(name).name == name for name in names)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_formulas_can_be_read(case: suite.Benchmark) -> None:
    """All formulas parse, with a reason for each model, and factors that occur in them."""
    names = set(parse_formula(case.formula).names)
    assert case.why
    assert set(case.factors) <= names


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_data_have_the_columns_of_the_formula(case: suite.Benchmark) -> None:
    """Functions of data return what their model needs, the same every time."""
    data = case.data()
    assert set(parse_formula(case.formula).names) <= set(data.columns)
    assert data.equals(case.data())


@pytest.mark.parametrize("axis", scaling.AXES, ids=lambda axis: axis.name)
def test_axes_of_the_scaling_study_grow(axis: scaling.Axis) -> None:
    """The smallest point of every axis has data for its formula; counts increase."""
    smallest = scaling.point(axis, axis.sizes[0])
    assert set(parse_formula(smallest.formula).names) <= set(smallest.data().columns)
    counts = [axis.count(size) for size in axis.sizes]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_exponents_are_recovered(power: float) -> None:
    """A fixed cost at the small end does not hide the exponent of the large end."""
    sizes = [10, 30, 100, 300, 1000, 3000]
    assert scaling.exponent(sizes, [s**power for s in sizes]) == pytest.approx(power, abs=1e-9)
    with_cost = [0.01 * 300**power + s**power for s in sizes]
    # the fixed cost is a hundredth of the time at the first of the points that count
    assert scaling.exponent(sizes, with_cost) == pytest.approx(power, abs=0.05)


def test_an_exponent_needs_three_points() -> None:
    """Two points always lie on a line."""
    assert scaling.exponent([1, 2], [1.0, 2.0]) is None


def test_a_worker_that_exceeds_the_limit_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Being stopped is a result of its own."""
    monkeypatch.setattr(measure, "REPEATS", 0.2)
    work = "import time; print('ready', flush=True); time.sleep(60)"
    run = measure.in_process("slow", [sys.executable, "-c", work], limit=0.3)
    assert (run.outcome, run.reason) == ("stopped", "stopped after 0 s")


def test_a_fit_that_ended_after_the_limit_does_not_count() -> None:
    """What repeated calls may take is no present to slow packages."""
    answer = json.dumps({"outcome": "fitted", "first_seconds": 31.0})
    run = measure.in_process("slow", [sys.executable, "-c", f"print('{answer}')"], limit=30)
    assert run.outcome == "stopped"


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("raise ValueError('no such model')", "ValueError: no such model"),
        (
            "import sys; sys.exit('memory allocation of 9 bytes failed\\nstack backtrace:')",
            "memory allocation of 9 bytes failed",
        ),
        ("raise SystemExit(3)", "ended with 3"),
    ],
)
def test_a_worker_that_fails_says_why(work: str, reason: str) -> None:
    """Of an error the line that tells most is kept."""
    run = measure.in_process("bad", [sys.executable, "-c", work], 60)
    assert (run.outcome, run.reason) == ("failed", reason)


def test_a_package_that_is_missing_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no version, and the page names it among those not installed."""
    monkeypatch.setitem(packages.DISTRIBUTIONS, "nobody", "no-such-distribution-of-anything")
    assert packages.version("nobody") is None
    page = report.page([measured(row("ranef"))], ["nobody"])
    assert "| not installed | nobody |" in page


def test_a_model_is_measured_from_end_to_end(tmp_path: Path) -> None:
    """One process makes the data, one fits, one judges; the numbers are ranef's own."""
    case = replace(suite.find("sleepstudy"), sees=("ranef",))
    (found,) = measure.measure(case, tmp_path, rounds=1, limit=60, budget=0.01)
    model = ranef.fit(SLEEP, ranef.datasets.load("sleepstudy"))
    assert found.outcome == "fitted"
    assert found.evaluations == model.convergence.n_evaluations
    assert found.ratio == 1.0
    assert found.seconds is not None
    assert found.seconds > 0
    assert found.excess is not None
    assert 0 <= found.excess < 1e-9  # rounding of a criterion of 1743.6
    assert found.gradient is not None
    assert found.gradient < 1e-5


def test_the_judge_agrees_with_the_model() -> None:
    """Value and gradient at other estimates are those of `objective_at`, by differences."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit(SLEEP, data)
    theta = np.array([0.9, 0.02, 0.25])
    T = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
    estimate = {"sigma2": 600.0, "covariance": {"Subject": (600.0 * T @ T.T).tolist()}}
    answer = judge.judge(SLEEP, data, True, {"somebody": estimate})
    assert answer["packages"]["somebody"]["value"] == pytest.approx(model.objective_at(theta))
    assert answer["best"] == pytest.approx(model.objective, abs=1e-9)  # continued to the optimum
    assert answer["packages"]["somebody"]["gradient"] > 0.1


def test_the_judge_sees_a_false_zero() -> None:
    """At a variance of zero the gradient by its root vanishes; the slope by itself does not."""
    data = ranef.datasets.load("dyestuff")
    none = {"sigma2": 4000.0, "covariance": {"Batch": [[0.0]]}}
    answer = judge.judge("Yield ~ 1 + (1 | Batch)", data, True, {"stuck": none})
    assert answer["packages"]["stuck"]["gradient"] > 1.0
    assert answer["packages"]["stuck"]["value"] > answer["best"] + 1.0


def test_the_judge_knows_groups_by_their_parts() -> None:
    """Interactions are the same group in any order, as lme4 turns them round."""
    data, formula = ranef.datasets.load("pastes"), "strength ~ 1 + (1 | batch/cask)"
    values = []
    for name in ("batch:cask", "cask:batch"):
        estimate = {"sigma2": 0.7, "covariance": {name: [[8.0]], "batch": [[1.7]]}}
        values.append(judge.judge(formula, data, True, {"p": estimate})["packages"]["p"]["value"])
    assert values[0] == values[1]


def test_covariances_of_terms_are_assembled_in_order() -> None:
    """Two terms of one group become one block-diagonal matrix."""
    found = packages.assemble([("g", [[1.0]]), ("h", 3.0), ("g", [[4.0, 1.0], [1.0, 5.0]])])
    assert found["g"] == [[1.0, 0.0, 0.0], [0.0, 4.0, 1.0], [0.0, 1.0, 5.0]]
    assert found["h"] == [[3.0]]


@pytest.mark.parametrize(
    ("formula", "one_term", "only_intercepts", "plain"),
    [
        (SLEEP, True, False, True),
        ("y ~ a + (1 | g/h)", False, True, True),
        ("y ~ a * b + (1 | g)", True, True, False),
    ],
)
def test_models_are_taken_apart(
    formula: str, one_term: bool, only_intercepts: bool, plain: bool
) -> None:
    """Adapters decide by the parts of a formula what their package can say."""
    model = take_apart(formula, reml=True)
    assert (model.one_term is not None) is one_term
    assert model.only_intercepts is only_intercepts
    assert model.plain is plain


def test_losses_are_found() -> None:
    """Faster, lower, leaner, a missed target, a failure: each is named."""
    lost = report.losses(
        [
            measured(
                row("ranef", excess=1e-3, memory_above=100.0),
                row("lme4", ratio=0.5, memory_above=40.0),
                row("other", ratio=2.0, memory_above=99.0),
            ),
            measured(row("ranef", outcome="failed", reason="out of memory"), name="words"),
        ]
    )
    assert lost["faster"] == ["**InstEval**: lme4 takes 0.5 of the time"]
    assert lost["optimum"] == ["**InstEval**: lme4 by 1.0e-03, other by 1.0e-03"]
    assert lost["memory"] == ["**InstEval**: ranef 100 MB, lme4 40 MB"]
    assert lost["target"] == ["**InstEval**: 0.5 times instead of 8"]
    assert lost["failed"] == ["**words**: out of memory"]


def test_the_page_shows_losses_as_plainly_as_wins() -> None:
    """A loss stands in words above the tables, and in bold in them; a win stands there too."""
    page = report.page(
        [
            measured(row("ranef"), row("lme4", ratio=0.5, seconds=0.5)),
            measured(row("ranef"), row("lme4", ratio=40.0, excess=0.1), name="crossed slopes"),
        ],
        [],
    )
    assert "ranef is the fastest in 1 of 2 models." in page
    assert "* **InstEval**: lme4 takes 0.5 of the time." in page
    assert "| InstEval | lme4 | 500 ms | **0.5** |" in page
    assert "* **crossed slopes**: lme4 by 0.1, reporting convergence." in page
    assert page.index("Where another package was faster") < page.index("| InstEval | lme4 |")


def test_the_page_shows_who_did_not_finish() -> None:
    """A stopped package keeps its row, and one that cannot say the model has its reason below."""
    slow = measure.Row("lme4", "stopped", "stopped after 600 s")
    unable = measure.Row("other", "cannot", "one grouping factor only")
    page = report.page([measured(row("ranef"), slow, unable)], [])
    assert "| InstEval | lme4 | stopped after 600 s |" in page
    assert "* other: one grouping factor only (InstEval)." in page
    assert "* **InstEval**: lme4 (stopped after 600 s)." in page


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which the whole machine was slow does not count against anybody."""
    ours = [measure.Run("ranef", "fitted", seconds=s) for s in (1.0, 10.0, 1.0)]
    theirs = [measure.Run("lme4", "fitted", seconds=s) for s in (4.0, 40.0, 4.0)]
    assert measure.summarise(theirs, ours).ratio == 4.0
    assert measure.summarise(theirs[:1], ours).ratio == 4.0  # measured in the first round only


def test_unknown_numbers_do_not_break_the_page() -> None:
    """Packages that tell nothing about evaluations or convergence leave cells empty."""
    silent = row("gpboost", evaluations=None, converged=None, excess=None, gradient=math.inf)
    assert "| InstEval | gpboost |" in report.page([measured(row("ranef"), silent)], [])


@pytest.mark.parametrize(
    ("formula", "short"),
    [
        ("y ~ x0 + x1 + x2 + x3 + x4 + (1 | g)", "y ~ x0 + x1 + … + x4 + (1 | g)"),
        ("y ~ x0 + x1 + (x0 | g)", "y ~ x0 + x1 + (x0 | g)"),
    ],
)
def test_long_formulas_are_shortened(formula: str, short: str) -> None:
    """Two hundred predictors are not listed one by one."""
    assert report.shorten(formula) == short


def test_what_is_stored_makes_the_page() -> None:
    """docs/benchmarks.md is what report.py makes of results.json, no more and no less."""
    path = FOLDER / "results.json"
    found = report.load(json.loads(path.read_text(encoding="utf-8")))
    page = (FOLDER.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    absent = [line for line in page.splitlines() if line.startswith("| not installed |")]
    names = absent[0].split("|")[2].split(",") if absent else []
    again = report.page(found, [name.strip() for name in names])
    assert again == page, "run benchmarks/run.py --page"
