"""A model taken apart, for packages that do not read lme4's formulas."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ranef.formula import GroupTerm, parse_formula


@dataclass(frozen=True)
class Model:
    """A formula and its parts.

    Attributes
    ----------
    formula : str
    reml : bool
    response : str
    fixed : str
        The right-hand side without the random terms.
    predictors : tuple of str
        Columns of the fixed effects, if these are nothing but columns; see `plain`.
    random : tuple of GroupTerm
        ``(effects | group)``; of nested factors one each.
    """

    formula: str
    reml: bool
    response: str
    fixed: str
    predictors: tuple[str, ...]
    plain: bool
    random: tuple[GroupTerm, ...]

    @property
    def only_intercepts(self) -> bool:
        """True if no random term has a slope."""
        return all(term.effects.labels == ("1",) for term in self.random)

    @property
    def one_term(self) -> GroupTerm | None:
        """The random term, if there is just one."""
        return self.random[0] if len(self.random) == 1 else None


def take_apart(formula: str, reml: bool) -> Model:
    """Return the parts of a formula."""
    parsed = parse_formula(formula)
    labels = parsed.fixed.labels
    return Model(
        formula=formula,
        reml=reml,
        response=str(parsed.response),
        fixed=" + ".join(labels),
        predictors=tuple(label for label in labels if label != "1"),
        plain=parsed.fixed.intercept and all(":" not in label for label in labels),
        random=parsed.random,
    )


def group_column(term: GroupTerm, data: pd.DataFrame) -> pd.Series:
    """Return the grouping factor of a term as one column of integers."""
    names = [expression.text for expression in term.group]
    return data.groupby(names, observed=True, sort=False).ngroup()
