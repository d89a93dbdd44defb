"""The formula language: a string becomes a `ModelFormula`.

    lexer ─ tokens ─┬─ response ──────────────────────────── expression
                    ├─ ( effects | group ) ─ cut out ─┬───── term algebra
                    └─ everything else ───────────────┴───── term algebra

The term algebra is formulaic's: its AST builder with the operators of `operators`. A random term
leaves a placeholder in the fixed part, so that `+`, `-` and parentheses around it mean the usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from formulaic.errors import FormulaicError
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import OrderedSet, Token
from formulaic.parser.types import Term as RawTerm

from ranef.errors import FormulaError
from ranef.formula.expression import Expression, parse_expression
from ranef.formula.lexer import lex
from ranef.formula.nodes import Call, Name, Span, walk
from ranef.formula.operators import RANDOM_PREFIX, Resolver, is_intercept, token_span
from ranef.formula.terms import GroupTerm, ModelFormula, Term, TermSum
from ranef.formula.tokens import (
    KIND,
    BarGroup,
    find_groups,
    name_token,
    read_tokens,
    span_of,
    with_intercept,
)

MAX_LENGTH = 100_000
_GROUP_FUNCTIONS = {"factor", "as.factor"}
_GROUP_OPERATORS = {":", "/", "*", "in"}


def parse_formula(formula: str, columns: Iterable[str] | None = None) -> ModelFormula:
    """Read a mixed-model formula in the language of R's lme4.

    Call it to inspect or change a formula; fitting does it for you. Formulas that were read
    before are remembered.

    Parameters
    ----------
    formula : str
        ``response ~ fixed terms + (effects | group) + ...``
    columns : iterable of str, optional
        The names of the data's columns; only a formula with ``.`` needs them.

    Returns
    -------
    ModelFormula

    Raises
    ------
    FormulaError
        If the formula cannot be read; the message points at the place.

    Examples
    --------
    >>> formula = parse_formula("Reaction ~ Days + (Days | Subject)")
    >>> formula.fixed.labels
    ('1', 'Days')
    >>> formula.random[0].group_name
    'Subject'
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"a formula is a string such as 'y ~ x + (x | g)'; got {type(formula).__name__}."
        )
    if len(formula) > MAX_LENGTH:
        raise FormulaError(f"the formula is longer than {MAX_LENGTH} characters.")
    wanted = tuple(columns) if columns is not None and "." in formula else None
    return _parse(formula, wanted)


@lru_cache(maxsize=512)
def _parse(formula: str, columns: tuple[str, ...] | None) -> ModelFormula:
    tokens, expressions = read_tokens(formula)
    tilde = _find_tilde(tokens, formula)
    response = _read_response(tokens[:tilde], formula)
    reader = _TermReader(formula, expressions)
    right = tokens[tilde + 1 :]
    if not right:
        raise FormulaError("there is nothing after '~'.", formula, token_span(tokens[tilde]))
    has_dot = any(_is_dot(token) for token in right)
    if has_dot:
        right = reader.expand_dots(right, response, columns)
    fixed_tokens, groups = reader.cut_out_groups(right)
    fixed, offsets, kept = reader.read_fixed(fixed_tokens, response)
    random = tuple(term for index, terms in enumerate(groups) if index in kept for term in terms)
    if not random:
        raise FormulaError(
            "the formula has no random term; ranef needs at least one, such as (1 | group). "
            "For a model without, use an ordinary regression.",
            formula,
            span_of(right),
        )
    _refuse_duplicates(random, formula)
    model = ModelFormula(formula, response, fixed, random, offsets, _one_line(formula))
    return model.with_terms() if has_dot else model


def _find_tilde(tokens: Sequence[Token], formula: str) -> int:
    places = [i for i, token in enumerate(tokens) if token.kind is KIND.OPERATOR and token == "~"]
    if not places:
        raise FormulaError(
            "a formula needs a '~' between the response and the terms: y ~ x + (x | g).",
            formula,
            (0, max(1, len(formula))),
        )
    if len(places) > 1:
        raise FormulaError("a formula has one '~'.", formula, token_span(tokens[places[1]]))
    if places[0] == 0:
        raise FormulaError(
            "there is no response: write its name before '~'.", formula, token_span(tokens[0])
        )
    return places[0]


def _read_response(tokens: Sequence[Token], formula: str) -> Expression:
    start, end = span_of(tokens)
    for token in tokens:
        if token.token in ("|", "||"):
            raise FormulaError(
                "a random term stands to the right of '~'.", formula, token_span(token)
            )
        if _is_dot(token):
            raise FormulaError("'.' cannot be the response.", formula, token_span(token))
    response = parse_expression(formula, start, end)
    if not response.names:
        raise FormulaError("the response names no variable.", formula, (start, end))
    for node in walk(response.node):
        if isinstance(node, Call) and node.function in ("cbind", "offset"):
            raise FormulaError(
                f"{node.function}() cannot be used in the response; give one variable.",
                formula,
                node.span,
            )
    return response


@dataclass(frozen=True, slots=True)
class _TermReader:
    """Turns token lists of one formula into terms."""

    formula: str
    expressions: dict[str, Expression]

    def read_terms(self, tokens: Sequence[Token]) -> OrderedSet[RawTerm]:
        """Apply the term algebra to tokens with an explicit intercept."""
        try:
            tree = tokens_to_ast(tokens, Resolver(self.formula))
        except FormulaicError as error:
            raise self._translate(error, tokens) from None
        terms: OrderedSet[RawTerm] = tree.to_terms()  # type: ignore[union-attr, assignment]
        return terms

    def read_sum(self, tokens: Sequence[Token]) -> tuple[TermSum, list[RawTerm]]:
        """Return the terms of a token list, and the placeholders of random terms apart."""
        raw = self.read_terms(with_intercept(tokens))
        order = self._variable_order(tokens)
        terms: list[Term] = []
        placeholders: list[RawTerm] = []
        intercept = False
        for term in raw:
            if is_intercept(term):
                self._check_one(term)
                intercept = True
            elif term.factors[0].expr.startswith(RANDOM_PREFIX):
                placeholders.append(term)
            else:
                factors = [f for f in term.factors if f.expr in self.expressions]
                if len(factors) < len(term.factors):
                    self._check_one(term)
                factors.sort(key=lambda factor: order[factor.expr])
                terms.append(Term(tuple(self.expressions[f.expr] for f in factors)))
        terms.sort(key=lambda term: len(term.factors))
        return TermSum(intercept, tuple(terms)), placeholders

    def read_fixed(
        self, tokens: Sequence[Token], response: Expression
    ) -> tuple[TermSum, tuple[Expression, ...], set[int]]:
        """Return fixed terms, offsets, and which random terms are kept (``-`` removes them)."""
        total, placeholders = self.read_sum(tokens)
        kept = {int(term.factors[0].expr.removeprefix(RANDOM_PREFIX)) for term in placeholders}
        offsets = []
        terms = []
        for term in total.terms:
            if any(factor.is_offset for factor in term.factors):
                offsets.append(self._read_offset(term))
            elif term.factors != (response,):  # R drops the response from the right-hand side
                terms.append(term)
        return TermSum(total.intercept, tuple(terms)), tuple(offsets), kept

    def cut_out_groups(
        self, tokens: Sequence[Token]
    ) -> tuple[list[Token], list[tuple[GroupTerm, ...]]]:
        """Read every ``( | )`` and leave a placeholder in its place."""
        left: list[Token] = []
        groups: list[tuple[GroupTerm, ...]] = []
        position = 0
        for group in sorted(find_groups(tokens, self.formula), key=lambda g: g.opening):
            left += tokens[position : group.opening]
            span = span_of(tokens[group.opening : group.closing + 1])
            left.append(name_token(f"{RANDOM_PREFIX}{len(groups)}", span))
            groups.append(self._read_group(tokens, group, span))
            position = group.closing + 1
        left += tokens[position:]
        return left, groups

    def expand_dots(
        self, tokens: Sequence[Token], response: Expression, columns: tuple[str, ...] | None
    ) -> list[Token]:
        """Replace ``.`` by the sum of all columns that the response does not use."""
        result: list[Token] = []
        for token in tokens:
            if not _is_dot(token):
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

    def _read_group(
        self, tokens: Sequence[Token], group: BarGroup, span: Span
    ) -> tuple[GroupTerm, ...]:
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
        effects, _ = self.read_sum(inside)
        if not effects.intercept and not effects.terms:
            raise FormulaError("this random term has no effects.", self.formula, span)
        for term in effects.terms:
            if any(factor.is_offset for factor in term.factors):
                raise FormulaError(
                    "an offset belongs to the fixed part.", self.formula, term.factors[0].span
                )
        bar = tokens[group.bar].token
        text = _one_line(self.formula[slice(*span_of(inside))])
        return tuple(
            GroupTerm(effects, variables, bar == "|", f"({text} {bar} {_join(variables)})", span)
            for variables in self._read_grouping(behind)
        )

    def _read_grouping(self, tokens: Sequence[Token]) -> list[tuple[Expression, ...]]:
        for token in tokens:
            span = token_span(token)
            if token.kind is KIND.VALUE or _is_dot(token):
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
                    "a group is a column, or factor() of a column; compute others in the data.",
                    self.formula,
                    span,
                )
        # the order in which the user wrote the variables is kept: a:b is not b:a
        return [
            tuple(self.expressions[factor.expr] for factor in term.factors)
            for term in self.read_terms(tokens)
        ]

    def _read_offset(self, term: Term) -> Expression:
        node = term.factors[0].node
        if len(term.factors) > 1:
            raise FormulaError("an offset cannot be part of an interaction.", self.formula, node.span)
        if not isinstance(node, Call) or len(node.arguments) != 1 or node.named:
            raise FormulaError("offset() takes one argument.", self.formula, node.span)
        return Expression.from_node(node.arguments[0])

    def _variable_order(self, tokens: Sequence[Token]) -> dict[str, int]:
        names = (token.token for token in tokens if token.kind is KIND.NAME)
        return {name: index for index, name in enumerate(dict.fromkeys(names))}

    def _check_one(self, term: RawTerm) -> None:
        for factor in term.factors:
            if factor.expr not in self.expressions and factor.expr != "1":
                raise FormulaError(
                    f"the number {factor.expr} is not a term; only 1 (the intercept) and 0 (none) "
                    "are. Arithmetic goes inside I(...).",
                    self.formula,
                    token_span(factor.token),
                )

    def _translate(self, error: FormulaicError, tokens: Sequence[Token]) -> FormulaError:
        """Say in our words where formulaic's AST builder stopped."""
        before: Token | None = None
        for token in tokens:
            if _starts_operand(token) and before is not None and _ends_operand(before):
                return FormulaError(
                    "an operator such as '+' is missing before this.",
                    self.formula,
                    token_span(token),
                )
            if _is_infix(token) and (before is None or not _ends_operand(before)):
                return FormulaError(
                    f"there is nothing before this {token.token!r}.",
                    self.formula,
                    token_span(token),
                )
            if token.token == ")" and before is not None and not _ends_operand(before):
                return FormulaError("something is missing here.", self.formula, token_span(before))
            before = token
        if before is not None and not _ends_operand(before):
            return FormulaError(
                "something is missing after this.", self.formula, token_span(before)
            )
        text = str(error).partition("\n")[0]
        return FormulaError(f"the formula cannot be read: {text}", self.formula, span_of(tokens))


def _is_dot(token: Token) -> bool:
    return token.kind is KIND.NAME and token.token == "."


def _is_group(node: object) -> bool:
    if isinstance(node, Call):
        only_name = len(node.arguments) == 1 and isinstance(node.arguments[0], Name)
        return node.function in _GROUP_FUNCTIONS and only_name and not node.named
    return isinstance(node, Name)


def _is_infix(token: Token) -> bool:
    return token.kind is KIND.OPERATOR and token.token not in ("+", "-")


def _starts_operand(token: Token) -> bool:
    return token.kind in (KIND.NAME, KIND.VALUE) or token.token == "("


def _ends_operand(token: Token) -> bool:
    return token.kind in (KIND.NAME, KIND.VALUE) or token.token == ")"


def _join(variables: Iterable[Expression]) -> str:
    return ":".join(variable.text for variable in variables)


def _one_line(formula: str) -> str:
    """Return the text with single spaces, leaving what stands in quotes alone."""
    pieces: list[str] = []
    end = 0
    for lexeme in lex(formula):
        if pieces and lexeme.start > end:
            pieces.append(" ")
        pieces.append(formula[lexeme.start : lexeme.end])
        end = lexeme.end
    return "".join(pieces)


def _refuse_duplicates(random: Sequence[GroupTerm], formula: str) -> None:
    seen: set[GroupTerm] = set()
    for term in random:
        if term in seen:
            raise FormulaError(
                f"the random term {term.label} occurs twice; its variance could be split between "
                "the two in any way.",
                formula,
                term.span,
            )
        seen.add(term)
