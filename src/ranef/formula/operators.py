"""The algebra of terms: R's operators on ordered sets of formulaic's terms, with limits.

formulaic's resolver says how operators bind; what they do is said here. `b %in% a` is the
interaction (formulaic adds the main effect), powers are built up step by step, a random term is
added and nothing else, and a product of thousands of terms is an error: a short string must not
be able to fill the memory. `expand` applies the operators, and finds the intercept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, reduce
from operator import mul
from typing import Any, TypeAlias

from formulaic.parser import DefaultOperatorResolver
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token

from ranef.errors import FormulaError

TermSet = OrderedSet[Term]
Tree: TypeAlias = Any  # a Token or an ASTNode of formulaic, whose arguments are untyped
MAX_TERMS = 4000
RANDOM_PREFIX = "\0random"  # cannot occur in a formula; marks the place of a random term
_BAD_EXPONENT = (
    "the exponent must be a positive whole number; write I(x^2) for the square of a variable."
)
_PRODUCTS = {"*": "*", "/": "/", ":": ":", "in": "%in%"}


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
            "-": (100, "left", self._difference),
            "*": (200, "left", self._cross),
            "/": (200, "left", self._nest),
            "in": (250, "left", self._interact),
            ":": (300, "left", self._interact),
            "^": (500, "right", self._power),
        }
        prefix: dict[str, Callable[[TermSet], TermSet]] = {
            "+": lambda terms: terms,
            "-": lambda terms: self._difference(OrderedSet(), terms),
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

    def _difference(self, left: TermSet, right: TermSet) -> TermSet:
        self._refuse_random(right, "leave it out instead of subtracting it")
        return OrderedSet(term for term in left if term not in right)

    def _interact(self, left: TermSet, right: TermSet) -> TermSet:
        self._refuse_random((*left, *right))
        self._limit(len(left) * len(right), left)
        return OrderedSet(a * b for a in left for b in right)

    def _cross(self, left: TermSet, right: TermSet) -> TermSet:
        return _union(_union(left, right), self._interact(left, right))

    def _nest(self, parents: TermSet, nested: TermSet) -> TermSet:
        self._refuse_random((*parents, *nested))
        common = reduce(mul, parents)
        products: TermSet = OrderedSet(common * term for term in nested)
        return _union(parents, products)

    def _power(self, terms: TermSet, exponent: TermSet) -> TermSet:
        self._refuse_random(terms)
        times = _positive_integer(exponent)
        if times is None:
            raise FormulaError(_BAD_EXPONENT, self.formula, _span(exponent))
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

    def _refuse_random(
        self, terms: Iterable[Term], advice: str = "it cannot be part of an interaction"
    ) -> None:
        for term in terms:
            if term.factors[0].expr.startswith(RANDOM_PREFIX):
                raise FormulaError(
                    f"a random term can only be added with '+'; {advice}.",
                    self.formula,
                    _span([term]),
                )


def expand(tree: Tree, formula: str) -> tuple[TermSet, bool]:
    """Return the terms that a tree of operators stands for, and whether an intercept is there.

    As in R, the numbers 0 and 1 are no terms: wherever they stand, each switches the intercept
    off or on, the other way round behind a minus, and the last one of the formula decides. So
    ``x + (z - 1)`` has no intercept, and ``x - (z - 1)`` has one.

    Parameters
    ----------
    tree : Token or ASTNode
    formula : str
        For errors that point into it.

    Raises
    ------
    FormulaError
        At other numbers, and where there is nothing to multiply.
    """
    intercept = True
    done: list[TermSet] = []
    exponents: set[int] = set()
    # a stack instead of recursion, which long sums would exhaust
    waiting: list[tuple[Tree, bool, bool]] = [(tree, True, False)]
    while waiting:
        node, positive, ready = waiting.pop()
        if isinstance(node, Token):
            if id(node) in exponents:
                done.append(node.to_terms())
            elif node.kind is Token.Kind.VALUE:
                intercept = _read_switch(node, formula) == positive
                done.append(OrderedSet())
            else:
                done.append(node.to_terms())
        elif ready:
            count = len(node.args)
            arguments = done[-count:]
            _check_arguments(node, arguments, formula)
            done[-count:] = [node.operator.to_terms(*arguments)]
        else:
            waiting.append((node, positive, True))
            switched = positive != (node.operator.symbol == "-")
            *before, last = node.args
            if node.operator.symbol == "^":
                exponents.add(id(last))
            waiting.append((last, switched, False))
            waiting += [(argument, positive, False) for argument in before]
    return done[0], intercept


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


def _read_switch(token: Token, formula: str) -> bool:
    if token.token not in ("0", "1"):
        raise FormulaError(
            f"the number {token.token} is not a term; only 1 (the intercept) and 0 (none) "
            "are. Arithmetic goes inside I(...).",
            formula,
            token_span(token),
        )
    return token.token == "1"


def _check_arguments(node: Tree, arguments: Sequence[TermSet], formula: str) -> None:
    if node.operator.symbol == "^" and not isinstance(node.args[1], Token):
        raise FormulaError(_BAD_EXPONENT, formula, _tree_span(node.args[1]))
    if node.operator.symbol not in _PRODUCTS:
        return
    for part, terms in zip(node.args, arguments, strict=True):
        if not terms:
            raise FormulaError(
                f"there is no variable here for {_PRODUCTS[node.operator.symbol]!r}. 0 and 1 (no "
                "intercept, an intercept) are added or subtracted; arithmetic goes inside I(...).",
                formula,
                _tree_span(part),
            )


def _tree_span(tree: Tree) -> tuple[int, int] | None:
    spans = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Token):
            spans.append(token_span(node) or (0, 1))
        else:
            waiting += node.args
    return (min(s for s, _ in spans), max(e for _, e in spans))


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
