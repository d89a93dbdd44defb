"""Which covariance blocks compete for a part of the mean that the fixed effects do not contain."""

from __future__ import annotations

import pytest

from models import design_of
from ranef.estimation import make_problem


@pytest.mark.parametrize(
    ("formula", "competing"),
    [
        ("y ~ x + (x | a) + (1 | b)", set()),
        ("y ~ 1 + (x | a) + (1 | b)", set()),  # nobody else has x
        ("y ~ 0 + (1 | a)", set()),  # nobody else at all
        ("y ~ 0 + f + (1 | a) + (1 | b)", set()),  # the columns of f add up to the intercept
        ("y ~ 0 + (1 | a) + (1 | b)", {"a", "b"}),
        ("y ~ 1 + (x | a) + (x | b) + (1 | c)", {"a", "b"}),
        ("y ~ 1 + (x || a) + (0 + x | b)", {"a", "b"}),
        ("y ~ 0 + x + (1 | top / mid)", {"top", "top:mid"}),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_competing_factors(formula: str, competing: set[str], weighted: bool) -> None:
    """Factors compete if they share a column that X does not span."""
    problem = make_problem(design_of(formula, 0, weighted), reml=True)
    found = problem.objective.competing

    assert {problem.groups[f].name for f, _ in found} == competing


def test_only_the_blocks_concerned() -> None:
    """Of uncorrelated terms, the block of the shared column alone is named."""
    problem = make_problem(design_of("y ~ 1 + (x || a) + (0 + x | b)", 0, False), reml=True)

    assert {(stop - start) for _, (start, stop) in problem.objective.competing} == {1}
    assert len(problem.objective.competing) == 2
