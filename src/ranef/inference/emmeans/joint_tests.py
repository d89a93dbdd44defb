"""Tests of the terms of a model by contrasts of its marginal means.

For every set of variables that stand together in a term, their marginal means are compared: the
differences of neighbouring levels, or for several variables the differences of differences. These
are tests of type III, but they do not depend on the coding of factors, and they are about averages
with weights that can be chosen. Numbers count as factors with two levels, at their mean minus and
plus one. As R's emmeans::joint_tests, but for the degrees of freedom of the denominator; see
`ranef.inference.emmeans.joint`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ranef.errors import OptionError
from ranef.inference.emmeans.axes import coerced_variables, grid_axes
from ranef.inference.emmeans.contrasting import contrasts_of
from ranef.inference.emmeans.functions import LinearFunctions, group_rows
from ranef.inference.emmeans.grid import Grid, Weighting, reference_grid
from ranef.inference.emmeans.joint import RowsTest, jointly
from ranef.inference.emmeans.joint_results import JointTests
from ranef.inference.emmeans.means import averaged_functions, check_variables
from ranef.inference.emmeans.nesting import find_nesting
from ranef.inference.emmeans.specs import Specs, names_of
from ranef.inference.estimability import alias_matrix
from ranef.inference.fixed_tests import fixed_tests
from ranef.typing import DdfMethod, FloatArray, check_choice

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

CONFOUNDED = "(confounded)"
# Singular values below this, relative to the largest, are zero.
DEPENDENT = 1e-8


def joint_tests(
    model: LinearMixedModel,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
) -> JointTests:
    """Test the terms of a model by contrasts of marginal means, as R's joint_tests.

    Use it like an ANOVA of type III: it does not depend on how factors are coded, tells what can be
    tested where combinations of levels are missing, and with ``by`` tests simple effects.

    Parameters
    ----------
    model : LinearMixedModel
    by : str or sequence of str, optional
        Test the other variables within every level of these.
    at, weights, ddf
        As in `emmeans`.

    Returns
    -------
    JointTests
        One row per term; columns: those of ``by``, num_df, den_df, f_value, p_value, note. A row
        ``(confounded)`` has what the data cannot attribute to any term.

    Raises
    ------
    UnknownVariableError, OptionError
        As in `emmeans`, and if there is nothing to test.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> joint_tests(m)
     term               df1 df2 F.ratio p.value
     recipe               2  42   0.249  0.7809
     temperature          5 210  20.520  <.0001
     recipe:temperature  10 210   1.006  0.4393
    """
    check_choice("ddf", ddf, DdfMethod)
    axes = grid_axes(model, at, spread=True)
    groups = names_of("by", by)
    check_variables(Specs((), groups), axes)
    grid = reference_grid(model, axes)
    nesting = find_nesting(grid, model.formula.fixed, coerced_variables(model))
    varying = [axis.name for axis in axes if len(axis.levels) > 1 and axis.name not in groups]
    if not varying:
        raise OptionError("there is no variable with several levels to test.")
    records: list[dict[str, Any]] = []
    tested: dict[tuple[Any, ...], list[FloatArray]] = {}
    for term in _terms(model, varying, nesting):
        outer = tuple(o for name in term for o in nesting.get(name, ()))
        functions = _comparisons(model, grid, term, groups, outer, weights, ddf)
        for key, rows in _groups(functions, groups):
            found = jointly(model, ddf, functions.L[rows], np.zeros(len(rows)))
            tested.setdefault(key, []).append(found.rows)
            if found.test.num_df:
                records.append(_record(":".join(term), groups, key, found))
    if model.dropped_columns and not nesting:
        records += _confounded(model, grid, groups, tested, ddf)
    if not records:
        raise OptionError("nothing can be tested: no contrast of marginal means is estimable.")
    keys = list(tested)
    records.sort(key=lambda record: keys.index(tuple(record[name] for name in groups)))
    return JointTests(pd.DataFrame(records).set_index("term"), groups)


def _terms(
    model: LinearMixedModel, varying: Sequence[str], nesting: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield the sets of variables that stand in a term together, small ones first."""
    together = [set(term.names) for term in model.formula.fixed.terms]
    together += [{name, *outer} for name, outer in nesting.items()]
    largest = max((len(names & set(varying)) for names in together), default=0)
    for size in range(1, largest + 1):
        for term in combinations(varying, size):
            inside = any(set(term) <= names for names in together)
            if inside and all(set(nesting.get(name, ())) <= set(term) for name in term):
                yield term


def _comparisons(
    model: LinearMixedModel,
    grid: Grid,
    term: tuple[str, ...],
    groups: tuple[str, ...],
    outer: tuple[str, ...],
    weights: Weighting | ArrayLike,
    ddf: DdfMethod,
) -> LinearFunctions:
    """Return the interaction contrasts of a term's marginal means."""
    means = averaged_functions(model, grid, Specs(term, groups), weights, ddf)
    return contrasts_of(means, None, tuple(dict.fromkeys([*groups, *outer])), None, "consec")


def _groups(
    functions: LinearFunctions, groups: tuple[str, ...]
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not len(functions):
        return
    if not groups:
        yield (), np.arange(len(functions))
        return
    labels = functions.labels[list(groups)]
    for rows in group_rows(labels):
        yield tuple(labels.iloc[rows[0]]), rows


def _record(
    term: str, groups: tuple[str, ...], key: tuple[Any, ...], found: RowsTest
) -> dict[str, Any]:
    return {"term": term, **dict(zip(groups, key, strict=True)), **found.record()}


def _confounded(
    model: LinearMixedModel,
    grid: Grid,
    groups: tuple[str, ...],
    tested: Mapping[tuple[Any, ...], Sequence[FloatArray]],
    ddf: DdfMethod,
) -> Iterator[dict[str, Any]]:
    """Test what differs between the cells of the grid beyond the terms, if anything."""
    names = tuple(name for name in grid.names if name not in groups)
    cells = averaged_functions(model, grid, Specs(names, groups), "equal", ddf)
    differences = contrasts_of(cells, "consec", groups)
    for key, rows in _groups(differences, groups):
        L = differences.L[rows]
        found = jointly(model, ddf, L, np.zeros(len(L)))
        rest = _beyond(model, ddf, found.rows, np.concatenate(tested[key]))
        if len(rest):
            own = jointly(model, ddf, rest, np.zeros(len(rest)))
            record = _record(CONFOUNDED, groups, key, own)
            yield {**record, "note": ""}


def _beyond(
    model: LinearMixedModel, ddf: DdfMethod, L: FloatArray, terms: FloatArray
) -> FloatArray:
    """Return a basis of the combinations of rows L that are uncorrelated with those of terms."""
    kept, (aliased, combinations) = model.problem.basis.kept, alias_matrix(model)
    root = np.linalg.cholesky(fixed_tests(model, ddf).vcov)
    # an orthonormal basis of all, in coordinates where the covariance matrix is the identity
    _, s, Q = np.linalg.svd(L[:, kept] @ root, full_matrices=False)
    Q = Q[s > DEPENDENT * s.max(initial=0.0)]
    U, s, _ = np.linalg.svd(Q @ (terms[:, kept] @ root).T, full_matrices=True)
    rank = int((s > DEPENDENT * s.max(initial=0.0)).sum())
    rest = U[:, rank:].T @ Q
    out = np.zeros((len(rest), L.shape[1]))
    out[:, kept] = np.linalg.solve(root.T, rest.T).T
    out[:, aliased] = out[:, kept] @ combinations
    return out
