"""The formula language: a string becomes a `ModelFormula`.

    lexer ─ tokens ─┬─ response ──────────────────────────── expression
                    ├─ ( effects | group ) ─ cut out ─┬───── term algebra
                    └─ everything else ───────────────┴───── term algebra

Reading knows nothing of the data, except for the names that ``.`` stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from formulaic.parser.types import Token

from ranef.errors import FormulaError
from ranef.formula.expression import Expression, constant_names, parse_expression
from ranef.formula.lexer import one_line
from ranef.formula.nodes import Call, walk
from ranef.formula.operators import token_span
from ranef.formula.reading import TermReader
from ranef.formula.terms import GroupTerm, ModelFormula
from ranef.formula.tokens import KIND, is_dot, read_tokens, span_of

MAX_LENGTH = 100_000


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
    tilde = find_tilde(tokens, formula)
    response = read_response(tokens[:tilde], formula)
    reader = TermReader(formula, expressions)
    right = tokens[tilde + 1 :]
    if not right:
        raise FormulaError("there is nothing after '~'.", formula, token_span(tokens[tilde]))
    has_dot = any(is_dot(token) for token in right)
    if has_dot:
        right = reader.expand_dots(right, response, columns)
    fixed_tokens, random = reader.cut_out_groups(right, response)
    fixed, offsets = reader.read_fixed(fixed_tokens, response)
    if not random:
        raise FormulaError(
            "the formula has no random term; ranef needs at least one, such as (1 | group). "
            "For a model without, use an ordinary regression.",
            formula,
            span_of(right),
        )
    _refuse_duplicates(random, formula)
    model = ModelFormula(formula, response, fixed, tuple(random), offsets, one_line(formula))
    return model.with_terms() if has_dot else model


def find_tilde(tokens: Sequence[Token], formula: str) -> int:
    """Return the place of the ``~`` among the tokens."""
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


def read_response(tokens: Sequence[Token], formula: str) -> Expression:
    """Return what the tokens to the left of ``~`` say."""
    start, end = span_of(tokens)
    for token in tokens:
        if token.token in ("|", "||"):
            raise FormulaError(
                "a random term stands to the right of '~'.", formula, token_span(token)
            )
        if is_dot(token):
            raise FormulaError("'.' cannot be the response.", formula, token_span(token))
    response = parse_expression(formula, start, end)
    if not response.names:
        hint = " A column of this name goes into backquotes." * bool(constant_names(response.node))
        raise FormulaError(f"the response names no variable.{hint}", formula, (start, end))
    for node in walk(response.node):
        if isinstance(node, Call) and node.function in ("cbind", "offset"):
            raise FormulaError(
                f"{node.function}() cannot be used in the response; give one variable.",
                formula,
                node.span,
            )
    return response


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
