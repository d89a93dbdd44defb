"""Designs taken apart into blocks: balanced ones become small, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ranef
from models import SHAPES, design_of, frame
from ranef.batch.criterion import Criterion
from ranef.batch.reduce import expand, reduce
from ranef.batch.refit import Engine, make_engine, refit_responses
from ranef.batch.responses import row_responses
from ranef.batch.structure import make_structure
from ranef.design import build_design
from ranef.estimation import Problem, make_problem


def problem_of(formula: str, data: pd.DataFrame) -> Problem:
    """Return the problem of a formula, by REML."""
    return make_problem(build_design(formula, data), reml=True)


@pytest.mark.parametrize(
    ("dataset", "formula", "shape"),
    [
        # K, classes, columns with a border, columns without
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", [(2, 1, 1, 2)]),
        ("dyestuff", "Yield ~ 1 + (1 | Batch)", [(1, 1, 1, 1)]),
        ("pastes", "strength ~ 1 + (1 | batch / cask)", [(1, 1, 1, 1), (2, 1, 1, 2)]),
        (
            "penicillin",
            "diameter ~ 1 + (1 | plate) + (1 | sample)",
            [(1, 1, 1, 1), (1, 1, 1, 1), (2, 1, 1, 0)],
        ),
        # casks within batches, or plates, or samples, and the means of each
        # children by sex: two different borders
        ("orthodont", "distance ~ age * Sex + (age | Subject)", [(2, 1, 2, 2)]),
    ],
)
def test_balanced_designs_collapse(
    dataset: str, formula: str, shape: list[tuple[int, int, int, int]]
) -> None:
    """Levels with equal cross-products are one class, and few of them keep a border."""
    data = ranef.datasets.load(dataset)
    structure = make_structure(problem_of(formula, data).objective.plan.products)
    assert structure is not None
    found = [(f.width, f.classes, f.columns, f.extra) for f in structure.families]
    assert found == shape


def test_size_does_not_matter_where_groups_are_alike() -> None:
    """Ten times as many levels of a balanced design leave blocks of the same size."""

    def footprint(groups: int) -> int:
        x = np.tile(np.arange(5.0), groups)
        rng = np.random.default_rng(1)
        data = {"x": x, "g": np.repeat(np.arange(groups), 5), "y": rng.standard_normal(len(x))}
        structure = make_structure(
            problem_of("y ~ x + (x | g)", pd.DataFrame(data)).objective.plan.products
        )
        assert structure is not None
        return structure.footprint

    assert footprint(1000) == footprint(100)


def test_large_crossed_designs_have_no_structure() -> None:
    """A connected block of hundreds of effects is left to the sparse elimination."""
    rng = np.random.default_rng(1)
    data = {"a": rng.integers(0, 150, 900), "b": rng.integers(0, 60, 900)}
    data["y"] = rng.standard_normal(900)
    problem = problem_of("y ~ 1 + (1 | a) + (1 | b)", pd.DataFrame(data))
    assert make_structure(problem.objective.plan.products) is None


BALANCED = {
    "one factor": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "nested": ("pastes", "strength ~ 1 + (1 | batch / cask)"),
    "crossed": ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    "between groups": ("orthodont", "distance ~ age * Sex + (age | Subject)"),
    "no fixed effects": ("sleepstudy", "Reaction ~ 0 + (Days | Subject)"),
}


@pytest.mark.parametrize("name", BALANCED)
def test_rotation_keeps_the_criterion(name: str) -> None:
    """Reduced responses have the criterion of the responses, at any T; so have expanded ones."""
    dataset, formula = BALANCED[name]
    problem = problem_of(formula, ranef.datasets.load(dataset))
    structure = make_structure(problem.objective.plan.products)
    assert structure is not None
    assert any(family.extra for family in structure.families)
    rng = np.random.default_rng(3)
    n = len(problem.groups[0].codes)
    responses = row_responses(problem, rng.standard_normal((n, 4)) * 10 + 3)
    reduced = reduce(structure, responses)
    criterion = Criterion(structure, problem.objective)
    T = tuple(
        np.tril(rng.normal(size=(4, g.width, g.width))).transpose(1, 2, 0) for g in problem.groups
    )
    values = criterion.value(reduced, T).value
    for b in range(4):
        expanded = expand(structure, reduced, b)
        back = criterion.value(
            reduce(structure, expanded), tuple(t[..., b : b + 1] for t in T)
        ).value[0]
        # both sum the same few hundred numbers, in another order
        assert back == pytest.approx(values[b], abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_expanding_undoes_reducing(shape: str) -> None:
    """Where no block is rotated, the cross-products themselves come back."""
    design = design_of(SHAPES[shape], 7, True)
    problem = make_problem(design, reml=True)
    structure = make_structure(problem.objective.plan.products)
    assert structure is not None
    assert not any(family.extra for family in structure.families)
    responses = row_responses(problem, design.y[:, None] ** 2, design.weights, design.offset)
    back = expand(structure, reduce(structure, responses), 0)
    for found, wanted in zip(back.C, responses.C, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_row_responses_are_the_cross_products_of_the_core(weighted: bool) -> None:
    """Summed for many responses at once, they are what a single fit sums."""
    design = design_of(SHAPES["crossed vectors"], 3, weighted)
    problem = make_problem(design, reml=True)
    products = problem.objective.plan.products
    # a mean of 1e6 beside deviations of 1 must cost no digits
    Y = np.column_stack([design.y, design.y + 1e6])
    responses = row_responses(problem, Y, design.weights, design.offset)
    for C, single in zip(responses.C, products.C, strict=True):
        np.testing.assert_allclose(C[..., 0], single[-1], rtol=0, atol=1e-11)
        # the numbers themselves have 1e6 x 1e-16 of rounding, times sums over rows
        np.testing.assert_allclose(C[..., 1], single[-1], rtol=0, atol=1e-8)
    assert responses.yy[0] == pytest.approx(products.D[-1, -1], rel=1e-12)
    np.testing.assert_allclose(responses.estimate[:, 0], problem.basis.estimate, rtol=1e-10)


def test_crossed_factors_in_balance_come_apart() -> None:
    """Equal numbers of rows per level are enough: a Latin square with replicates, a design in x."""
    rng = np.random.default_rng(4)
    s, i = np.divmod(np.arange(12 * 8), 8)
    kept = (s + i) % 4 != 0  # every subject sees 6 of 8 items, every item is seen by 9 of 12
    data = pd.DataFrame({"s": s[kept], "i": i[kept], "x": rng.standard_normal(kept.sum())})
    data["y"] = rng.standard_normal(len(data))
    problem = problem_of("y ~ x + (1 | s) + (1 | i)", data)
    structure = make_structure(problem.objective.plan.products)
    assert structure is not None
    assert max(family.width for family in structure.families) == 2
    Y = rng.standard_normal((len(data), 5)) + rng.standard_normal((12, 5))[data["s"]]
    responses = row_responses(problem, Y)
    together = refit_responses(make_engine(problem), responses)
    alone = refit_responses(Engine(problem, None), responses)
    np.testing.assert_allclose(together.value, alone.value, rtol=0, atol=1e-8)
    np.testing.assert_allclose(together.beta, alone.beta, rtol=0, atol=1e-6)


def test_levels_need_not_be_in_order() -> None:
    """Rows in any order give the same structure: it is made from sums."""
    data = frame(2)
    shuffled = data.sample(frac=1.0, random_state=1)
    sizes = []
    for rows in (data, shuffled):
        structure = make_structure(problem_of("y ~ x + (1 | a)", rows).objective.plan.products)
        assert structure is not None
        sizes.append([(f.classes, f.columns) for f in structure.families])
    assert sizes[0] == sizes[1]
