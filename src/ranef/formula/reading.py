"""Turns the token lists of one formula into terms.

Fixed terms, the effects of random terms and the groups behind their bars all pass through the same
algebra: formulaic's AST builder with the operators of `operators`. A random term leaves a
placeholder in the fixed part, so that `+`, `-` and parentheses around it mean the usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from formulaic.errors import FormulaicError
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import OrderedSet, Token
from formulaic.parser.types import Term as RawTerm

from ranef.errors import FormulaError
from ranef.formula.expression import Expression, backquote_hint, constant_names
from ranef.formula.lexer import one_line
from ranef.formula.nodes import Call, Name, Node, Span, is_plain_name
from ranef.formula.operators import RANDOM_PREFIX, Resolver, expand, token_span
from ranef.formula.terms import GroupTerm, Term, TermSum
from ranef.formula.tokens import (
    KIND,
    BarGroup,
    find_groups,
    is_dot,
    merge_signs,
    name_token,
    span_of,
)

_GROUP_FUNCTIONS = {"factor", "as.factor"}
_GROUP_OPERATORS = {":", "/", "*", "in"}


@dataclass(frozen=True, slots=True)
class TermReader:
    """Reads the parts of one formula.

    Attributes
    ----------
    formula : str
        The whole formula, for errors that point into it.
    expressions : dict of str to Expression
        What every name token stands for.
    resolver : type
        What the operators mean.
    """

    formula: str
    expressions: dict[str, Expression]
    resolver: type[Resolver] = Resolver

    def read_terms(self, tokens: Sequence[Token]) -> tuple[OrderedSet[RawTerm], bool]:
        """Apply the term algebra; say also whether there is an intercept."""
        try:
            tree = tokens_to_ast(merge_signs(tokens, self.formula), self.resolver(self.formula))
        except FormulaicError as error:
            raise _explain(error, tokens, self.formula) from None
        if tree is None:
            raise FormulaError(
                "there is nothing in these parentheses.", self.formula, span_of(tokens)
            )
        return expand(tree, self.formula)

    def read_sum(self, tokens: Sequence[Token], response: Expression) -> TermSum:
        """Return the terms of a token list, without the placeholders of random terms."""
        raw, intercept = self.read_terms(tokens)
        order = self._variable_order(tokens)
        terms: list[Term] = []
        for term in raw:
            if term.factors[0].expr.startswith(RANDOM_PREFIX):
                continue
            factors = sorted(term.factors, key=lambda factor: order[factor.expr])
            terms.append(Term(tuple(self.expressions[f.expr] for f in factors)))
            if terms[-1].factors == (response,):
                # R drops it with a warning; a model that was not asked for is worse than an error
                raise FormulaError(
                    f"the response {response.label!r} is also a predictor; remove it from the "
                    "right-hand side.",
                    self.formula,
                    token_span(factors[0].token),
                )
        terms.sort(key=lambda term: len(term.factors))
        return TermSum(intercept, tuple(terms))

    def read_fixed(
        self, tokens: Sequence[Token], response: Expression
    ) -> tuple[TermSum, tuple[Expression, ...]]:
        """Return fixed terms and offsets."""
        total = self.read_sum(tokens, response)
        offsets = []
        terms = []
        for term in total.terms:
            if any(factor.is_offset for factor in term.factors):
                offsets.append(self._read_offset(term))
            else:
                terms.append(term)
        return TermSum(total.intercept, tuple(terms)), tuple(offsets)

    def cut_out_groups(
        self, tokens: Sequence[Token], response: Expression
    ) -> tuple[list[Token], list[GroupTerm]]:
        """Read every ``( | )`` and leave a placeholder in its place."""
        left: list[Token] = []
        groups: list[GroupTerm] = []
        position = 0
        for group in sorted(find_groups(tokens, self.formula), key=lambda g: g.opening):
            left += tokens[position : group.opening]
            span = span_of(tokens[group.opening : group.closing + 1])
            left.append(name_token(f"{RANDOM_PREFIX}{len(groups)}", span))
            groups += self.read_group(tokens, group, span, response)
            position = group.closing + 1
        left += tokens[position:]
        return left, groups

    def expand_dots(
        self, tokens: Sequence[Token], response: Expression, columns: tuple[str, ...] | None
    ) -> list[Token]:
        """Replace ``.`` by the sum of all columns that the response does not use."""
        result: list[Token] = []
        for token in tokens:
            if not is_dot(token):
                result.append(token)
                continue
            span = token_span(token) or (0, 1)
            if columns is None:
                raise FormulaError(
                    "'.' stands for the columns of the data, which are not known here; "
                    "pass columns=.",
                    self.formula,
                    span,
                )
            others = [column for column in columns if column not in response.names]
            if not others:
                raise FormulaError("'.' stands for no column.", self.formula, span)
            result.append(Token("(", kind=KIND.CONTEXT, source_start=span[0]))
            for index, column in enumerate(others):
                expression = Expression.from_node(Name(column, span))
                self.expressions.setdefault(expression.text, expression)
                if index:
                    result.append(Token("+", kind=KIND.OPERATOR, source_start=span[0]))
                result.append(name_token(expression.text, span))
            result.append(Token(")", kind=KIND.CONTEXT, source_start=span[0]))
        return result

    def read_group(
        self, tokens: Sequence[Token], group: BarGroup, span: Span, response: Expression
    ) -> tuple[GroupTerm, ...]:
        """Return the terms of one ``( | )``: one for each grouping factor."""
        inside = tokens[group.opening + 1 : group.bar]
        behind = tokens[group.bar + 1 : group.closing]
        if not inside:
            raise FormulaError(
                "there is nothing before the bar; write (1 | g) for a random intercept.",
                self.formula,
                span,
            )
        if not behind:
            raise FormulaError("there is no group after the bar.", self.formula, span)
        effects = self.read_sum(inside, response)
        if not effects.intercept and not effects.terms:
            raise FormulaError("this random term has no effects.", self.formula, span)
        for term in effects.terms:
            if any(factor.is_offset for factor in term.factors):
                raise FormulaError(
                    "an offset belongs to the fixed part.", self.formula, term.factors[0].span
                )
        bar = tokens[group.bar].token
        text = one_line(self.formula[slice(*span_of(inside))])
        return tuple(
            GroupTerm(effects, variables, bar == "|", f"({text} {bar} {_join(variables)})", span)
            for variables in self._read_grouping(behind)
        )

    def _read_grouping(self, tokens: Sequence[Token]) -> list[tuple[Expression, ...]]:
        for token in tokens:
            span = token_span(token)
            if token.kind is KIND.VALUE or is_dot(token):
                raise FormulaError(
                    f"{token.token!r} cannot be a group; name a column.", self.formula, span
                )
            if token.kind is KIND.OPERATOR and token.token not in _GROUP_OPERATORS:
                raise FormulaError(
                    f"{token.token!r} cannot be used in a group. Write (x | a) + (x | b) for two "
                    "factors, (x | a:b) for their combinations, (x | a/b) for b within a.",
                    self.formula,
                    span,
                )
            node = self.expressions[token.token].node if token.kind is KIND.NAME else None
            if node is not None and not _is_group(node):
                raise FormulaError(
                    "a group is a column, or factor() of a column; compute others in the data."
                    + _constant_hint(node),
                    self.formula,
                    span,
                )
        # the order in which the user wrote the variables is kept: a:b is not b:a
        return [
            tuple(self.expressions[factor.expr] for factor in term.factors)
            for term in self.read_terms(tokens)[0]
        ]

    def _read_offset(self, term: Term) -> Expression:
        node = term.factors[0].node
        if len(term.factors) > 1:
            raise FormulaError(
                "an offset cannot be part of an interaction.", self.formula, node.span
            )
        if not isinstance(node, Call) or len(node.arguments) != 1 or node.named:
            raise FormulaError("offset() takes one argument.", self.formula, node.span)
        return Expression.from_node(node.arguments[0])

    def _variable_order(self, tokens: Sequence[Token]) -> dict[str, int]:
        names = (token.token for token in tokens if token.kind is KIND.NAME)
        return {name: index for index, name in enumerate(dict.fromkeys(names))}


def _is_group(node: object) -> bool:
    if isinstance(node, Call):
        only_name = len(node.arguments) == 1 and isinstance(node.arguments[0], Name)
        return node.function in _GROUP_FUNCTIONS and only_name and not node.named
    return isinstance(node, Name)


def _constant_hint(node: Node) -> str:
    return " A column of this name goes into backquotes." if constant_names(node) else ""


def _explain(error: FormulaicError, tokens: Sequence[Token], formula: str) -> FormulaError:
    """Say in our words where formulaic's AST builder stopped."""
    before: Token | None = None
    for token in tokens:
        complete = before is not None and _ends_operand(before)
        if complete and _starts_operand(token):
            message = "an operator such as '+' is missing before this."
            if before is not None and before.kind is KIND.NAME and token.kind is KIND.NAME:
                # what the user wrote, not the tokens: a random term is a placeholder here
                first, second = (formula[slice(*span_of([one]))] for one in (before, token))
                if is_plain_name(first) and is_plain_name(second):
                    message += backquote_hint(first, second)
            return FormulaError(message, formula, token_span(token))
        infix = token.kind is KIND.OPERATOR and (
            token.token not in ("+", "-") or (before is not None and _is_infix(before))
        )
        if infix and not complete:
            message = f"there is nothing before this {token.token!r}."
            return FormulaError(message, formula, token_span(token))
        if token.token == ")" and not complete:
            return FormulaError("something is missing here.", formula, token_span(before))
        before = token
    if before is not None and not _ends_operand(before):
        return FormulaError("something is missing after this.", formula, token_span(before))
    text = str(error).partition("\n")[0]
    return FormulaError(f"the formula cannot be read: {text}", formula, span_of(tokens))


def _is_infix(token: Token) -> bool:
    return token.kind is KIND.OPERATOR and token.token not in ("+", "-")


def _starts_operand(token: Token) -> bool:
    return token.kind in (KIND.NAME, KIND.VALUE) or token.token == "("


def _ends_operand(token: Token) -> bool:
    return token.kind in (KIND.NAME, KIND.VALUE) or token.token == ")"


def _join(variables: Iterable[Expression]) -> str:
    return ":".join(variable.text for variable in variables)
