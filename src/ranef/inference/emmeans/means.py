"""Estimated marginal means: what the model says for levels of some factors, averaged over others.

Unlike raw means they do not depend on how unequally the data fill the cells, and unlike
coefficients they do not depend on how factors are coded. Predictions are made at all combinations
of the factors (numbers at their means) and averaged with equal weights, unless asked otherwise
(Searle, Speed and Milliken 1980, The American Statistician 34). As R's emmeans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ranef.errors import OptionError
from ranef.inference.emmeans.adjust import Adjustment, adjustment_name
from ranef.inference.emmeans.axes import Axis, coerced_variables, grid_axes, unknown_variable
from ranef.inference.emmeans.functions import LinearFunctions
from ranef.inference.emmeans.grid import Grid, Weighting, reference_grid
from ranef.inference.emmeans.links import find_link, required_link, transformed_response
from ranef.inference.emmeans.nesting import describe, find_nesting, nested_margin
from ranef.inference.emmeans.results import MarginalMeans
from ranef.inference.emmeans.specs import OVERALL, Specs, parse_specs
from ranef.inference.emmeans.summaries import Question, Scale, wanted_parts
from ranef.typing import DdfMethod, check_choice

RESULT_COLUMNS = frozenset(
    {"emmean", "trend", "response", "ratio", "estimate", "contrast", "std_error", "df", "null"}
    | {"conf_low", "conf_high", "statistic", "p_value", "num_df", "den_df", "f_value", "note"}
)

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def emmeans(
    model: LinearMixedModel,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weighting | ArrayLike = "equal",
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    adjust: Adjustment | None = None,
    infer: bool | tuple[bool, bool] | None = None,
    type: Scale = "link",
) -> MarginalMeans:
    """Return estimated marginal means, as R's emmeans.

    Use them to say what the model predicts for levels of factors, averaged over everything else,
    and to compare levels with each other.

    Parameters
    ----------
    model : LinearMixedModel
    specs : str or sequence of str
        Variables, whose combinations get a mean: ``"A"``, ``["A", "B"]``; or a formula: ``"~ A *
        B"``, ``"A | B"`` (means of A in groups by B), ``"pairwise ~ A | B"`` (with contrasts).
        ``"1"`` is the overall mean.
    by : str or sequence of str, optional
        Variables that form groups; means are compared within them.
    at : mapping of str to value or sequence, optional
        Values at which variables are held. By default factors take all their levels, and numbers
        their mean over the used rows (or both values, if there are only two).
    weights : str or array
        What combinations of the averaged factors count: ``equal``; ``proportional`` to how often
        they occur; ``outer``, the product of how often their levels occur; ``cells``, how often
        they occur together with the levels of the mean; ``flat``, equal where they occur at all;
        or numbers, one per combination, the first variable varying fastest.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom, as in `coef_table`.
    level : float
        Coverage of the intervals.
    adjust : str, optional
        Adjustment of the comparisons of ``"pairwise ~ A"``, as in the method ``contrasts`` of the
        result; without comparisons, of the means' own intervals and tests.
    infer : bool or (bool, bool), optional
        True for intervals and tests in one table, False for neither, or which of the two; by
        default means have intervals, and comparisons tests.
    type : {"link", "response"}
        ``response`` transforms means of log(y), sqrt(y) and the like back to the scale of y.

    Returns
    -------
    MarginalMeans
        Prints like emmeans; columns: the variables, emmean, std_error, df, conf_low, conf_high.
        Means that the data do not determine are NaN.

    Raises
    ------
    UnknownVariableError
        If a variable is not one of the fixed effects.
    FormulaError, OptionError
        For specs that cannot be read, levels that do not exist, options that are not allowed,
        and if none of the means can be estimated.

    Examples
    --------
    >>> import ranef
    >>> cake = ranef.datasets.load("cake")
    >>> m = ranef.fit("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> emmeans(m, "recipe")
     recipe emmean   SE df lower.CL upper.CL
     A        33.1 1.74 42     29.6     36.6
     B        31.6 1.74 42     28.1     35.1
     C        31.6 1.74 42     28.1     35.1
    <BLANKLINE>
    Results are averaged over the levels of: temperature
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    <BLANKLINE>
    Results may be misleading: recipe is also in recipe:temperature.

    References
    ----------
    Searle, Speed, Milliken 1980, The American Statistician 34(4).
    """
    check_choice("type", type, Scale)
    axes = grid_axes(model, at)
    wanted = parse_specs(specs, by, [axis.name for axis in axes])
    check_variables(wanted, axes)
    link = find_link(model) if type == "link" else required_link(model)
    grid = reference_grid(model, axes)
    functions = averaged_functions(model, grid, wanted, weights, ddf)
    response = transformed_response(model)
    if link is None and response is not None:
        remark = f"Results are given on the {response} (not the response) scale."
        functions = replace(functions, remarks=(*functions.remarks, remark))
    return with_contrasts(replace(functions, link=link), wanted, level, type, adjust, infer)


def with_contrasts(
    functions: LinearFunctions,
    specs: Specs,
    level: float,
    scale: Scale,
    adjust: Adjustment | None,
    infer: bool | tuple[bool, bool] | None,
) -> MarginalMeans:
    """Return means, with the contrasts that were asked for."""
    intervals, tests = wanted_parts(infer, intervals=True, tests=False)
    if specs.contrast is None and adjust is not None:
        functions = replace(functions, adjust=adjustment_name(adjust))
    question = Question(intervals, tests, level=level)
    means = MarginalMeans.answer(functions.check(), question, scale)
    if specs.contrast is None:
        return means
    found = means.contrasts(specs.contrast, adjust=adjust, infer=infer)
    return replace(means, comparisons=found)


def check_variables(specs: Specs, axes: Sequence[Axis]) -> None:
    """Raise UnknownVariableError unless all variables are those of the grid."""
    names = [axis.name for axis in axes]
    for name in specs.all:
        if name not in names and name != OVERALL:
            raise unknown_variable(name, names)


def averaged_functions(
    model: LinearMixedModel,
    grid: Grid,
    specs: Specs,
    weights: Weighting | ArrayLike,
    ddf: DdfMethod,
    trend: str | None = None,
) -> LinearFunctions:
    """Average the rows of a grid; nesting is found and respected.

    Parameters
    ----------
    model : LinearMixedModel
    grid : Grid
    specs : Specs
    weights : str or array
    ddf : str
    trend : str, optional
        The variable whose slopes the rows are.
    """
    check_choice("ddf", ddf, DdfMethod)
    taken = [name for name in specs.all if name in RESULT_COLUMNS]
    if taken:
        raise OptionError(
            f"the result has a column {taken[0]!r} of its own; rename the variable of this name."
        )
    nesting = find_nesting(grid, model.formula.fixed, coerced_variables(model))
    if OVERALL in specs.all and OVERALL not in grid.names:
        grid = grid.with_overall()
    averaged, found, over = nested_margin(grid, specs, nesting, weights)
    remarks = [f"Nesting was found in the model: {describe(nesting)}."] if nesting else []
    remarks += _interactions(model, {*found.all} | ({trend} if trend else set()), nesting)
    return LinearFunctions(
        model,
        ddf,
        averaged.labels(),
        found.by,
        averaged.L,
        averaged.offset,
        "emmean" if trend is None else "trend",
        "prediction",
        "none",
        None,
        over,
        tuple(remarks),
    )


def _interactions(
    model: LinearMixedModel, names: set[str], nesting: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Warn of averages over variables that the means depend on."""
    if OVERALL in names:
        return []
    for term in model.formula.fixed.terms:
        others = set(term.names) - names
        inner = {name for name in others if names & {*nesting.get(name, ())}}
        if names <= set(term.names) and others - inner:
            shown = ", ".join(name for name in term.names if name in names)
            verb = "is" if len(names) == 1 else "are"
            return [f"Results may be misleading: {shown} {verb} also in {term.label}."]
    return []
