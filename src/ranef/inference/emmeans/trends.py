"""Marginal trends: how fast the mean changes with a number, for levels of factors.

Rows of the grid are differentiated with respect to the variable: exact for straight lines and for
polynomials up to degree four, and to about ten digits for logarithms and splines, by the
difference quotient of five points. (emmeans takes the quotient of two points at a distance of a
thousandth of the range, which for curves differs in the third digit or so.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ranef.design.evaluate import Evaluator
from ranef.design.frame import open_frame
from ranef.design.values import as_number
from ranef.errors import DataError, OptionError
from ranef.formula import Expression, parse_expression
from ranef.formula.nodes import Name
from ranef.inference.emmeans.adjust import Adjustment
from ranef.inference.emmeans.axes import Axis, grid_axes, unknown_variable
from ranef.inference.emmeans.grid import Grid, Weighting, model_rows, reference_grid
from ranef.inference.emmeans.links import transformed_response
from ranef.inference.emmeans.means import averaged_functions, check_variables, with_contrasts
from ranef.inference.emmeans.population import population
from ranef.inference.emmeans.results import MarginalMeans
from ranef.inference.emmeans.specs import parse_specs
from ranef.typing import DdfMethod, FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Step of the difference quotient relative to the range of the variable; smaller ones are tried
# where a function has no value so far away.
STEPS = (2e-4, 1e-6, 1e-8)
# f'(x) = sum of weight f(x + multiple h) / h
STENCIL = ((-2.0, 1.0 / 12.0), (-1.0, -2.0 / 3.0), (1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0))


def emtrends(
    model: LinearMixedModel,
    specs: str | Sequence[str],
    var: str,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    adjust: Adjustment | None = None,
    infer: bool | tuple[bool, bool] | None = None,
) -> MarginalMeans:
    """Return estimated slopes of a number, as R's emtrends.

    Use it for interactions of a factor with a number: how steep is the line in every group, and do
    the slopes differ?

    Parameters
    ----------
    model : LinearMixedModel
    specs : str or sequence of str
        As in `emmeans`; ``"1"`` for the overall slope.
    var : str
        The variable, or a function of it: ``"log(conc)"`` for slopes per unit of log(conc).
    by, at, weights, ddf, level, adjust, infer
        As in `emmeans`. Curves have different slopes at different values; without ``at`` that is
        the mean.

    Returns
    -------
    MarginalMeans
        Columns: the variables, trend, std_error, df, conf_low, conf_high.

    Raises
    ------
    UnknownVariableError
        If a variable is not one of the fixed effects.
    OptionError
        If ``var`` is a factor, and as in `emmeans`.

    Examples
    --------
    >>> import ranef
    >>> orthodont = ranef.datasets.load("orthodont")
    >>> m = ranef.fit("distance ~ age * Sex + (age | Subject)", orthodont)
    >>> emtrends(m, "Sex", "age")
     Sex    trend    SE df lower.CL upper.CL
     Male   0.784 0.086 25    0.607    0.961
     Female 0.480 0.104 25    0.266    0.693
    <BLANKLINE>
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    <BLANKLINE>
    Trends are slopes per unit of age.
    """
    axes = grid_axes(model, at)
    expression = _variable(model, var, axes)
    wanted = parse_specs(specs, by, [axis.name for axis in axes])
    check_variables(wanted, axes)
    grid = reference_grid(model, axes)
    name = expression.names[0]
    slopes = replace(
        grid,
        L=_slopes(model, axes, grid, expression),
        offset=np.zeros(len(grid.offset)),
    )
    functions = averaged_functions(model, slopes, wanted, weights, ddf, trend=name)
    response = transformed_response(model)
    what = "slopes" if response is None else f"slopes of {response}"
    remark = f"Trends are {what} per unit of {expression.label}."
    functions = replace(functions, remarks=(*functions.remarks, remark))
    return with_contrasts(functions, wanted, level, "link", adjust, infer)


def _variable(model: LinearMixedModel, var: str, axes: Sequence[Axis]) -> Expression:
    """Return the variable, or the function of one variable, whose slopes are asked for."""
    names = [axis.name for axis in axes]
    if not isinstance(var, str):
        raise OptionError(f"var must be the name of a variable; got {var!r}.")
    if var in names:
        expression = Expression.from_node(Name(var, (0, len(var))))
    else:
        expression = parse_expression(var)
        unknown = [name for name in expression.names if name not in names]
        if unknown:
            raise unknown_variable(unknown[0], names)
        if len(expression.names) != 1:
            raise OptionError(f"var must be a function of one variable; got {var!r}.")
    name = expression.names[0]
    known = population(model)
    number = name in known.numbers or known.columns[name].kind == "numeric"
    plain = any(
        name in factor.names and factor.text not in model.design.spec.codings
        for term in model.formula.fixed.terms
        for factor in term.factors
    )
    if not number or not plain:
        raise OptionError(f"var must be a number, and {name!r} is a factor in the model.")
    return expression


def _slopes(
    model: LinearMixedModel, axes: Sequence[Axis], grid: Grid, expression: Expression
) -> FloatArray:
    """Return the derivatives of the rows of the grid, (m, P)."""
    name = expression.names[0]
    at = [axis.name for axis in axes].index(name)
    values = np.asarray(axes[at].levels, dtype=np.float64)[grid.codes[:, at]]
    width = population(model).range(name) or 1.0
    for step in STEPS:
        h = step * width
        L, change = np.zeros_like(grid.L), np.zeros(len(values))
        for multiple, weight in STENCIL:
            x = values + multiple * h
            L += weight / h * model_rows(model, axes, grid.codes, {name: x})
            change += weight / h * _evaluate(model, expression, x)
        if np.isfinite(L).all() and np.isfinite(change).all() and (change != 0).all():
            return L / change[:, None]
    raise DataError(
        f"the slope in {expression.label} cannot be computed where the model is evaluated; see at=."
    )


def _evaluate(model: LinearMixedModel, expression: Expression, x: FloatArray) -> FloatArray:
    spec = model.design.spec
    frame = open_frame({expression.names[0]: x})
    states = {text: dict(state) for text, state in spec.states.items()}
    evaluator = Evaluator(frame, expression.text, spec.context, states)
    evaluator.check(expression)
    found: FloatArray = np.asarray(as_number(evaluator.evaluate(expression)), dtype=np.float64)
    return found
