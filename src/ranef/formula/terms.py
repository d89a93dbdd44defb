"""What a formula says, as data: response, fixed terms, random terms, offsets.

Everything here is frozen, hashable and free of the data. Terms are already expanded (`a * b` is
three terms) and in R's order: by the number of variables, then as written.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ranef.formula.expression import Expression
from ranef.formula.nodes import Span


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A product of expressions: ``a:log(x)``. Equal to ``log(x):a``.

    Attributes
    ----------
    factors : tuple of Expression
        In the order in which the variables first appear in the formula, as in R.
    """

    factors: tuple[Expression, ...]

    @property
    def label(self) -> str:
        """The term as R labels it: ``a:log(x)``."""
        return ":".join(factor.text for factor in self.factors)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in the term, each once."""
        return tuple(dict.fromkeys(name for factor in self.factors for name in factor.names))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Term):
            return NotImplemented
        return set(self.factors) == set(other.factors)

    def __hash__(self) -> int:
        return hash(frozenset(self.factors))

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class TermSum:
    """A sum of terms, with or without an intercept.

    Attributes
    ----------
    intercept : bool
    terms : tuple of Term
    """

    intercept: bool
    terms: tuple[Term, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the terms, ``1`` first where there is an intercept."""
        return (("1",) if self.intercept else ()) + tuple(term.label for term in self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in the sum, each once."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.names))

    def __str__(self) -> str:
        if self.intercept:
            return " + ".join(self.labels)
        return " + ".join(("0", *self.labels))


@dataclass(frozen=True, slots=True)
class GroupTerm:
    """A random term ``(effects | group)``.

    Attributes
    ----------
    effects : TermSum
        What varies between groups.
    group : tuple of str
        The variables whose combinations are the groups, in the order of the formula.
    correlated : bool
        False for ``||``.
    label : str
        The term as the user wrote it, one group at a time: ``(x | a/b)`` gives ``(x | a)`` and
        ``(x | a:b)``.
    span : tuple of int
        Where the term stands in the formula.
    """

    effects: TermSum
    group: tuple[Expression, ...]
    correlated: bool
    label: str = field(compare=False)
    span: Span = field(compare=False)

    @property
    def group_name(self) -> str:
        """The name of the grouping factor: ``a:b``."""
        return ":".join(variable.label for variable in self.group)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables on both sides of the bar, each once."""
        grouping = (name for variable in self.group for name in variable.names)
        return tuple(dict.fromkeys((*self.effects.names, *grouping)))

    def __str__(self) -> str:
        bar = "|" if self.correlated else "||"
        group = ":".join(variable.text for variable in self.group)
        return f"({self.effects} {bar} {group})"


@dataclass(frozen=True, slots=True, repr=False)
class ModelFormula:
    """A formula, read and expanded.

    Attributes
    ----------
    source : str
        The caller's string; spans are positions in it.
    response : Expression
    fixed : TermSum
    random : tuple of GroupTerm
        At least one.
    offsets : tuple of Expression
        The arguments of ``offset()``.
    text : str
        One line that reads back to the same terms; what ``str()`` gives.
    """

    source: str = field(compare=False)
    response: Expression
    fixed: TermSum
    random: tuple[GroupTerm, ...]
    offsets: tuple[Expression, ...]
    text: str = field(compare=False)

    def __repr__(self) -> str:
        return f"<ModelFormula: {self.text}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable of the formula, each once."""
        found = [name for expression in self.expressions for name in expression.names]
        found += [name for term in self.random for group in term.group for name in group.names]
        return tuple(dict.fromkeys(found))

    @property
    def functions(self) -> tuple[str, ...]:
        """Every function of the formula, each once."""
        found = (name for expression in self.expressions for name in expression.functions)
        return tuple(dict.fromkeys(found))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Everything that has to be evaluated, each once: all but the groups."""
        sums = (self.fixed, *(term.effects for term in self.random))
        factors = (factor for total in sums for term in total.terms for factor in term.factors)
        return tuple(dict.fromkeys((self.response, *self.offsets, *factors)))

    @property
    def expanded(self) -> str:
        """The formula written term by term: what ``a * b`` and ``a / b`` stand for."""
        parts = [str(self.fixed)]
        parts += [f"offset({offset})" for offset in self.offsets]
        parts += [str(term) for term in self.random]
        return f"{self.response} ~ {' + '.join(part for part in parts if part)}"

    def with_terms(
        self, *, fixed: TermSum | None = None, random: tuple[GroupTerm, ...] | None = None
    ) -> ModelFormula:
        """Return the formula with other fixed or random terms, written out term by term.

        Use it to drop or add terms. The result's ``source`` is its own text, so the spans of
        its terms no longer point into the caller's string.

        Parameters
        ----------
        fixed : TermSum, optional
        random : tuple of GroupTerm, optional

        Returns
        -------
        ModelFormula
        """
        changed = replace(
            self,
            fixed=self.fixed if fixed is None else fixed,
            random=self.random if random is None else random,
        )
        return replace(changed, source=changed.expanded, text=changed.expanded)

    def __str__(self) -> str:
        return self.text
