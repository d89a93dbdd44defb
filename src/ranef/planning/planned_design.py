"""A study that has not been made: its design without a response, and parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ranef.covariance.chart import Factors
from ranef.design import Design, build_design
from ranef.design.column import Column
from ranef.design.frame import Frame, open_frame
from ranef.errors import DataError, OptionError, UnknownVariableError
from ranef.estimation import Problem
from ranef.formula import Expression, ModelFormula, parse_formula
from ranef.formula.nodes import Name
from ranef.inference.parameters import VarianceParameter, variance_parameters
from ranef.typing import FloatArray

# A covariance matrix may miss being positive semi-definite by rounding, relative to its size.
NEGATIVE = 1e-10
# An error names so many rows.
SHOWN = 5


def planned_design(formula: str, data: Any, **options: Any) -> Design:
    """Return the design of planned rows; its response is noise that stands for one.

    Parameters
    ----------
    formula : str
    data : data frame or dict of columns
        Values of the response are not looked at.
    **options
        Of `build_design`.

    Raises
    ------
    DataError
        If something is missing in a row.
    """
    frame = open_frame(data)
    parsed = parse_formula(formula, frame.names)
    label = parsed.response.label
    # simulated values are those of log(y) where the formula says so: they become a column
    node = Name(label, parsed.response.node.span)
    planned = ModelFormula(
        parsed.source, Expression.from_node(node), parsed.fixed, parsed.random, parsed.offsets,
        parsed.text,
    )  # fmt: skip
    noise = np.random.default_rng(0).standard_normal(frame.size)
    others = tuple(name for name in frame.names if name != label)

    def read(_: int, name: str) -> Column:
        return Column(label, "numeric", noise) if name == label else frame.column(name)

    rows = Frame((*others, label), frame.size, frame.index, frame.labelled, read)
    design = build_design(planned, rows, **options)
    if design.dropped:
        columns = ", ".join(map(repr, design.dropped))
        gone = frame.index[~frame.index.isin(design.index)]
        labels = ", ".join(map(str, gone[:SHOWN])) + (", ..." if len(gone) > SHOWN else "")
        raise DataError(
            f"planned rows have missing values in {columns}"
            f"{f' (rows {labels})' if len(gone) else ''}: they would be left out, and the power "
            "be that of a smaller study. Fill these values, or take the rows out of the plan."
        )
    return design


def read_coefficients(design: Design, problem: Problem, beta: Any) -> FloatArray:
    """Return the coefficients (p,) in the order of the columns.

    Raises
    ------
    OptionError
        If they are not one finite number for each column, or columns determine others.
    UnknownVariableError
        If a name is none of them.
    """
    names = list(design.x_names)
    if len(problem.basis.kept) < len(names):
        kept = {names[j] for j in problem.basis.kept}
        dropped = ", ".join(name for name in names if name not in kept)
        raise OptionError(
            f"the planned rows do not determine all coefficients: leave {dropped} out of the "
            "formula, or plan other rows."
        )
    values = beta
    if isinstance(beta, Mapping | pd.Series):
        values = _by_name("beta", dict(beta.items()), names, required=names)
    return _numbers("beta", values, names)


def read_roots(problem: Problem, theta: Any, sigma: float) -> Factors:
    """Return factors of the covariance matrices of the random effects, in the user's units.

    Parameters
    ----------
    problem : Problem
    theta : array (m,), Series or mapping
        Relative covariance parameters, or standard deviations and correlations by name.
    sigma : float

    Raises
    ------
    OptionError
        If numbers are missing, of the wrong kind, or no covariance matrix.
    UnknownVariableError
        If a name is no parameter.
    """
    names = problem.theta_names()
    if not isinstance(theta, Mapping | pd.Series):
        return _scaled(problem, _numbers("theta", theta, names), sigma)
    given = {str(name): value for name, value in theta.items()}
    if set(given) == set(names):
        return _scaled(problem, _numbers("theta", [given[name] for name in names], names), sigma)
    parameters = [p for p in variance_parameters(problem) if p.kind != "sigma"]
    required = [p.name for p in parameters if p.kind == "sd"]
    values = _by_name("theta", given, [p.name for p in parameters], required=required)
    return _from_parameters(
        problem, parameters, _numbers("theta", values, [p.name for p in parameters])
    )


def _scaled(problem: Problem, theta: FloatArray, sigma: float) -> Factors:
    return tuple(sigma * factor for factor in problem.raw_factors(theta))


def _from_parameters(
    problem: Problem, parameters: list[VarianceParameter], values: FloatArray
) -> Factors:
    Sigma = [np.zeros((group.width, group.width)) for group in problem.groups]
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.kind == "sd" and value < 0.0:
            raise OptionError(f"theta: {parameter.name} must not be negative; got {value:g}.")
        if parameter.kind == "cor" and abs(value) > 1.0:
            raise OptionError(f"theta: {parameter.name} must lie in -1 .. 1; got {value:g}.")
        block, a, b = Sigma[parameter.factor], parameter.row, parameter.col
        if parameter.kind == "sd":
            block[a, a] = value
        else:  # standard deviations come first in every term
            block[a, b] = block[b, a] = value * block[a, a] * block[b, b]
    roots = []
    for group, matrix in zip(problem.groups, Sigma, strict=True):
        np.fill_diagonal(matrix, np.diagonal(matrix) ** 2)
        sizes, vectors = np.linalg.eigh(matrix)
        if sizes.min() < -NEGATIVE * sizes.max():
            raise OptionError(
                f"theta: the correlations of {group.name!r} contradict each other; no random "
                "effects have this covariance matrix."
            )
        roots.append(vectors * np.sqrt(np.maximum(sizes, 0.0)))
    return tuple(roots)


def _by_name(
    argument: str, given: dict[Any, Any], names: list[str], *, required: list[str]
) -> list[Any]:
    """Return values in the order of ``names``; 0 for what is not required and not given."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UnknownVariableError(
            f"{argument} names {unknown[0]!r}, which the model does not have. It has "
            f"{', '.join(names)}."
        )
    missing = [name for name in required if name not in given]
    if missing:
        raise OptionError(f"{argument} lacks {', '.join(missing)}.")
    return [given.get(name, 0.0) for name in names]


def _numbers(argument: str, values: Any, names: list[str]) -> FloatArray:
    try:
        found: FloatArray = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(0, np.nan)
    if found.shape != (len(names),) or not np.isfinite(found).all():
        raise OptionError(
            f"{argument} must be {len(names)} finite numbers ({', '.join(names)}); got {values!r}."
        )
    return found
