"""One response of a design on its own: the ordinary objective with another response column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ranef.batch.responses import Responses
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.plan import Plan
from ranef.objective import Objective


def with_response(objective: Objective, responses: Responses, b: int) -> Objective:
    """Return the objective of the b-th response; structure and plan are shared.

    Cost: one copy of the border.
    """
    plan = objective.plan
    products = _replaced(plan.products, responses, b)
    border = plan.border.copy()
    if plan.dense:
        border[-1] = np.concatenate([products.C[g][-1].ravel() for g in plan.dense])
    return Objective(_with(plan, products, border), reml=objective.reml)


def _with(plan: Plan, products: CrossProducts, border: np.ndarray) -> Plan:
    return replace(plan, products=products, border=border)


def _replaced(products: CrossProducts, responses: Responses, b: int) -> CrossProducts:
    """Return the cross-products with the response's row replaced."""
    C = []
    for old, new in zip(products.C, responses.C, strict=True):
        whole = old.copy()
        whole[-1] = new[..., b]
        C.append(whole)
    D = products.D.copy()
    D[-1, :-1] = D[:-1, -1] = responses.Q[:, b]
    D[-1, -1] = responses.yy[b]
    return replace(products, C=tuple(C), D=D)
