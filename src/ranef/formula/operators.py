"""The algebra of terms: formulaic's operators, with R's `%in%` and with limits.

formulaic's resolver does `+ - * / : ^` on ordered sets of terms. Differences here: `b %in% a` is
the interaction (formulaic adds the main effect), powers are built up step by step, a random term
inside a product is an error with its place, and so is a product of thousands of terms: a short
string must not be able to fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, reduce

from formulaic.parser import DefaultOperatorResolver
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token

from ranef.errors import FormulaError

TermSet = OrderedSet[Term]
MAX_TERMS = 4000
RANDOM_PREFIX = "\0random"  # cannot occur in a formula; marks the place of a random term


class Resolver(DefaultOperatorResolver):
    """formulaic's operators as R defines them, for one formula.

    Parameters
    ----------
    formula : str
        For errors that point into it.
    """

    def __init__(self, formula: str) -> None:
        super().__init__()
        self.formula = formula

    @cached_property
    def operators(self) -> list[Operator]:
        """The operators; formulaic builds a table of them by symbol."""
        infix: dict[str, tuple[int, str, Callable[[TermSet, TermSet], TermSet]]] = {
            "+": (100, "left", _append),
            "-": (100, "left", _difference),
            "*": (200, "left", self._cross),
            "/": (200, "left", self._nest),
            "in": (250, "left", self._interact),
            ":": (300, "left", self._interact),
            "^": (500, "right", self._power),
        }
        prefix: dict[str, Callable[[TermSet], TermSet]] = {
            "+": lambda terms: terms,
            "-": lambda _: OrderedSet(),
        }
        return [
            Operator(symbol, arity=2, precedence=level, associativity=side, to_terms=function)
            for symbol, (level, side, function) in infix.items()
        ] + [
            Operator(
                symbol,
                arity=1,
                precedence=100,
                associativity="right",
                fixity="prefix",
                to_terms=function,
            )
            for symbol, function in prefix.items()
        ]

    def _interact(self, left: TermSet, right: TermSet) -> TermSet:
        self._refuse_random((*left, *right))
        self._limit(len(left) * len(right), left)
        return OrderedSet(_multiply(a, b) for a in left for b in right)

    def _cross(self, left: TermSet, right: TermSet) -> TermSet:
        return _union(_union(left, right), self._interact(left, right))

    def _nest(self, parents: TermSet, nested: TermSet) -> TermSet:
        self._refuse_random((*parents, *nested))
        if not parents:
            return nested
        common = reduce(_multiply, parents)
        products: TermSet = OrderedSet(_multiply(common, term) for term in nested)
        return _union(parents, products)

    def _power(self, terms: TermSet, exponent: TermSet) -> TermSet:
        self._refuse_random(terms)
        times = _positive_integer(exponent)
        if times is None:
            raise FormulaError(
                "the exponent must be a positive whole number; "
                "write I(x^2) for the square of a variable.",
                self.formula,
                _span(exponent),
            )
        result = terms
        for _ in range(times - 1):
            larger = _union(result, self._interact(result, terms))
            if len(larger) == len(result):  # every product is there: more changes nothing
                break
            result = larger
        return result

    def _limit(self, count: int, terms: TermSet) -> None:
        if count > MAX_TERMS:
            raise FormulaError(
                f"this product has more than {MAX_TERMS} terms.", self.formula, _span(terms)
            )

    def _refuse_random(self, terms: Iterable[Term]) -> None:
        for term in terms:
            if term.factors and term.factors[0].expr.startswith(RANDOM_PREFIX):
                raise FormulaError(
                    "a random term can only be added with '+'; "
                    "it cannot be part of an interaction.",
                    self.formula,
                    _span([term]),
                )


def is_intercept(term: Term) -> bool:
    """Tell whether the term is ``1``."""
    return all(factor.eval_method is Factor.EvalMethod.LITERAL for factor in term.factors)


def token_span(token: Token | None) -> tuple[int, int] | None:
    """Return where a token stands, as start and exclusive end."""
    if token is None or token.source_start is None or token.source_end is None:
        return None
    return (token.source_start, token.source_end + 1)


def _append(left: TermSet, right: TermSet) -> TermSet:
    """Return the union in ``left``, which nobody else holds: long sums take linear time."""
    left.values.update(right.values)
    return left


def _union(left: TermSet, right: TermSet) -> TermSet:
    return OrderedSet((*left, *right))


def _difference(left: TermSet, right: TermSet) -> TermSet:
    return OrderedSet(term for term in left if term not in right)


def _multiply(left: Term, right: Term) -> Term:
    """Multiply two terms; ``1`` is neutral."""
    if is_intercept(left):
        return right
    return left if is_intercept(right) else left * right


def _positive_integer(terms: TermSet) -> int | None:
    factors = [factor for term in terms for factor in term.factors]
    if len(factors) != 1 or factors[0].eval_method is not Factor.EvalMethod.LITERAL:
        return None
    text = factors[0].expr
    return int(text) if text.isdecimal() and 0 < int(text) <= 1000 else None


def _span(terms: Iterable[Term]) -> tuple[int, int] | None:
    spans = [token_span(factor.token) for term in terms for factor in term.factors]
    known = [span for span in spans if span is not None]
    return (min(s for s, _ in known), max(e for _, e in known)) if known else None
