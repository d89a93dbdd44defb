"""The same rows under another model or criterion: what comparisons of models are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ranef.design import rebuild_design
from ranef.fit import fit_design, fit_problem
from ranef.formula import ModelFormula
from ranef.objective import Objective
from ranef.streaming import StreamedDesign, submodel

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def refit_ml(model: LinearMixedModel) -> LinearMixedModel:
    """Return the model fitted by maximum likelihood; the model itself if it is already.

    The search starts at the REML estimate, which is near.
    """
    if not model.reml:
        return model
    objective = Objective(model.problem.objective.plan, reml=False)
    problem = replace(model.problem, objective=objective)  # the same sums over the same rows
    return fit_problem(model.design, problem, start=model.theta)


def refit_formula(
    model: LinearMixedModel, formula: ModelFormula, *, reml: bool | None = None
) -> LinearMixedModel:
    """Return the fit of another formula to the same rows, response, weights and offset.

    Parameters
    ----------
    model : LinearMixedModel
    formula : ModelFormula
        See `ModelFormula.with_terms`; uses no variables but those of the model.
    reml : bool, optional
        The model's own criterion by default.

    Raises
    ------
    DataError, FitError
        If the formula cannot be fitted to these rows.
    NoRowsError
        If the data were streamed, and the formula has columns that the model does not have.
    """
    reml = model.reml if reml is None else reml
    if isinstance(model.design, StreamedDesign):
        streamed, problem = submodel(model.design, model.problem, formula, reml=reml)
        return fit_problem(streamed, problem)
    return fit_design(rebuild_design(model.design, formula), reml=reml)
