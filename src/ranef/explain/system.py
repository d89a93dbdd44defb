"""The equations of a model, level by level, and put together.

Every column of X is a product of parts, and every part belongs to a level. The parts of level 1
name a coefficient of the first equation; those of level 2 tell to which predictor of that
coefficient's own equation the column belongs, and so on up. So the interaction ``Days:treatment``,
with a treatment that is the same for all observations of a subject, appears in the equation of the
slope of Days. A random effect adds to the equation that its column's parts lead to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranef.design.newdata import fixed_offset
from ranef.explain.columns import ModelColumn, model_columns
from ranef.explain.hierarchy import Hierarchy, Placement, make_hierarchy
from ranef.explain.notation import (
    Distribution,
    Equation,
    Line,
    Parameter,
    Product,
    Section,
    Symbol,
    System,
    Variable,
)
from ranef.explain.paths import Key, Numbers, Path
from ranef.explain.random_parts import random_parts
from ranef.streaming import StreamedDesign, is_given

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def make_system(model: LinearMixedModel, style: str) -> System:
    """Return the equations of a model.

    Parameters
    ----------
    model : LinearMixedModel
    style : {"levels", "mixed"}
    """
    builder = _Builder(model)
    sections = builder.levels() if style == "levels" else builder.mixed()
    return System(sections, builder.parameters(), model.dropped_columns)


class _Builder:
    """Everything about one model that both styles need."""

    def __init__(self, model: LinearMixedModel) -> None:
        self.model = model
        self.hierarchy: Hierarchy = make_hierarchy(model)
        columns = model_columns(model.design.spec)
        self.placement = Placement(model, self.hierarchy, columns)
        self.columns: list[ModelColumn] = [columns[j] for j in model.problem.basis.kept]
        terms = [model_columns(slot.term.spec) for slot in model.problem.slots]
        random = [column for term in terms for column in term]
        self.numbers = Numbers(self.path(column) for column in (*self.columns, *random))
        beta = model.problem.coefficients(model.state)
        gamma = self.hierarchy.coefficients[-1]
        self.fixed: dict[Path, Symbol] = {}
        for column, value in zip(self.columns, beta, strict=True):
            path = self.path(column)
            self.fixed[path] = Symbol(gamma, self.numbers.text(path), value=float(value))
        self.random = random_parts(model, self.hierarchy, self.numbers, self.path, terms)
        self.effects = [effect for part in self.random for effect in part.effects]

    def path(self, column: ModelColumn) -> Path:
        """Return the parts of a column by level, from level 1 upwards."""
        levels = range(1, self.hierarchy.height + 1)
        place = self.placement.level
        return tuple(tuple(p for p in column.parts if place(p) == level) for level in levels)

    def variables(self, key: Key) -> tuple[Variable, ...]:
        """Return parts as variables with subscripts."""
        return tuple(Variable(p.label, self.placement.index(p), p.indicator) for p in key)

    def coefficient(self, path: Path) -> Symbol:
        """Return the coefficient that a path leads to; at the top it is a fixed effect."""
        depth = len(path)
        if depth == self.hierarchy.height:
            return self.fixed[path]
        name = self.hierarchy.coefficients[depth - 1]
        return Symbol(name, self.numbers.text(path), self.hierarchy.units(depth + 1))

    def parameters(self) -> tuple[Parameter, ...]:
        """Return what the symbols stand for."""
        fixed = [
            Parameter(self.fixed[self.path(column)], "fixed", "", column.name)
            for column in self.columns
        ]
        residual = Parameter(self._sigma2, "residual variance", "Residual", "")
        variances = [variance for part in self.random for variance in part.variances]
        return (*fixed, *variances, residual)

    @property
    def _sigma2(self) -> Symbol:
        return Symbol("sigma", squared=True, value=float(self.model.state.sigma2))

    def _error(self) -> Distribution:
        e = Symbol("e", index=self.hierarchy.observation)
        weighted = is_given(self.model.design, "weights")
        divisor = Symbol("w", index=self.hierarchy.observation) if weighted else None
        return Distribution((e,), ((self._sigma2,),), divisor)

    def _tail(self) -> list[Product]:
        """Return offset and residual."""
        index = self.hierarchy.observation
        offsets = [Product(None, (Variable(name, index),)) for name in offset_names(self.model)]
        return [*offsets, Product(Symbol("e", index=index))]

    @property
    def _response(self) -> Variable:
        return Variable(self.model.design.response, self.hierarchy.observation)

    def levels(self) -> tuple[Section, ...]:
        """Return one section for every level."""
        sections = []
        parents: list[Path] = [()]
        for level in range(1, self.hierarchy.height + 1):
            lines: list[Line] = []
            children: list[Path] = []
            for parent in parents:
                keys = self.numbers.children.get(parent, [])
                own = [(*parent, key) for key in keys if self._exists((*parent, key))]
                right = [Product(self.coefficient(path), self.variables(path[-1])) for path in own]
                right += self._effects_at(parent, level)
                if level == 1:
                    lines.append(Equation(self._response, (*right, *self._tail())))
                else:
                    lines.append(Equation(self.coefficient(parent), tuple(right)))
                children += own
            if level == 1:
                lines.append(self._error())
            for part in self.random:
                lines += part.distributions if part.factor.level == level else ()
            sections.append(Section(f"Level {level}", self._units(level), tuple(lines)))
            parents = children
        return tuple(sections)

    def mixed(self) -> tuple[Section, ...]:
        """Return the one equation that the levels add up to."""
        right = [
            Product(self.fixed[path], self._all(path)) for path in map(self.path, self.columns)
        ]
        right += [
            Product(effect.symbol, (*self._all(effect.path), *self.variables(effect.rest)))
            for effect in self.effects
        ]
        equation = Equation(self._response, (*right, *self._tail()))
        random = [distribution for part in self.random for distribution in part.distributions]
        return (Section("", (), (equation, *random, self._error())),)

    def _all(self, path: Path) -> tuple[Variable, ...]:
        return tuple(variable for key in path for variable in self.variables(key))

    def _exists(self, path: Path) -> bool:
        """Tell whether a coefficient has fixed or random parts; effects lead only so far up."""
        return any(fixed[: len(path)] == path for fixed in self.fixed) or any(
            effect.path[: len(path)] == path and len(effect.path) >= len(path)
            for effect in self.effects
        )

    def _effects_at(self, parent: Path, level: int) -> list[Product]:
        """Return the random effects that are added in the equation of a coefficient."""
        return [
            Product(effect.symbol, self.variables(effect.rest))
            for effect in self.effects
            if effect.path == parent and len(parent) == level - 1 and level > 1
        ]

    def _units(self, level: int) -> tuple[tuple[str, str], ...]:
        if level == 1:
            return (("observation", "i"),)
        members = sorted(
            self.hierarchy.members(level), key=lambda factor: (len(factor.index), factor.index)
        )
        return tuple((factor.name, factor.index) for factor in members)


def offset_names(model: LinearMixedModel) -> list[str]:
    """Return how the parts of the offset are called; one that was given as numbers has no name."""
    design = model.design
    if not is_given(design, "offset"):
        return []
    names = [offset.label for offset in design.spec.offsets]
    if design.spec.offset_column is not None:
        names.append(design.spec.offset_column)
    if not names:
        return ["offset"]
    if isinstance(design, StreamedDesign) or design.offset is None:
        return names  # streamed data have offsets with names only
    known = fixed_offset(design, design.variables.to_frame())
    same = known is not None and np.allclose(known, design.offset, rtol=1e-9, atol=0.0)
    return names if same else [*names, "offset"]
