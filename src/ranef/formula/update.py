"""A formula made from another one: in R's template ``. ~ . + x`` a dot is what was there before.

The dots are replaced in the text, and the result is read like any formula, except that random terms
can be subtracted: equal terms, however they are written, share one placeholder in the algebra.
What is subtracted must be there. R ignores what is not, and so fits the old model where somebody
mistyped the name of a term.
"""

from __future__ import annotations

from formulaic.parser.types import OrderedSet, Token
from formulaic.parser.types import Term as RawTerm

from ranef.errors import FormulaError
from ranef.formula.expression import Expression
from ranef.formula.lexer import CLOSERS, Lexeme, check_brackets, lex
from ranef.formula.operators import RANDOM_PREFIX, Resolver, token_span
from ranef.formula.parser import find_tilde, parse_formula, read_response
from ranef.formula.reading import TermReader
from ranef.formula.terms import GroupTerm, ModelFormula
from ranef.formula.tokens import KIND, find_groups, name_token, read_tokens, span_of


def update_formula(formula: ModelFormula, template: str) -> ModelFormula:
    """Return the formula that a template makes of another formula.

    Use it to add, drop or replace terms; `ranef.LinearMixedModel.update` also fits the result.

    Parameters
    ----------
    formula : ModelFormula
    template : str
        A formula in which ``.`` stands for the old response to the left of ``~``, and for all old
        terms to the right. Nothing to the left of ``~`` keeps the response.

    Returns
    -------
    ModelFormula
        Written out term by term.

    Raises
    ------
    FormulaError
        If the result is no formula, or a term is subtracted that is not there.

    Examples
    --------
    >>> old = parse_formula("Reaction ~ Days + (Days | Subject)")
    >>> str(update_formula(old, "log(.) ~ . - (Days | Subject) + (1 | Subject)"))
    'log(Reaction) ~ 1 + Days + (1 | Subject)'
    """
    if not isinstance(template, str):
        raise FormulaError(
            f"a formula is a string such as '. ~ . + x'; got {type(template).__name__}."
        )
    text = _replace_dots(formula, template)
    tokens, expressions = read_tokens(text)
    tilde = find_tilde(tokens, text)
    response = read_response(tokens[:tilde], text)
    reader = TermReader(text, expressions, _Subtracting)
    right, known = _place_groups(reader, tokens[tilde + 1 :], response)
    if not right:
        raise FormulaError("there is nothing after '~'.", text, token_span(tokens[tilde]))
    left = {term.factors[0].expr for term in reader.read_terms(right)[0]}
    random = tuple(term for term, place in known.items() if place in left)
    fixed, offsets = reader.read_fixed(right, response)
    result = ModelFormula(text, response, fixed, random, offsets, text)
    # read once more: places must be those in the text that errors will show
    return parse_formula(result.expanded)


class _Subtracting(Resolver):
    """The usual operators, with a minus that takes random terms, too."""

    def _difference(
        self, left: OrderedSet[RawTerm], right: OrderedSet[RawTerm]
    ) -> OrderedSet[RawTerm]:
        if right and not any(term in left for term in right):
            first = next(iter(right)).factors[0].token
            raise FormulaError(
                "there is no such term to subtract.", self.formula, token_span(first)
            )
        return OrderedSet(term for term in left if term not in right)


def _replace_dots(formula: ModelFormula, template: str) -> str:
    """Return the template with the old response and terms in the places of the dots."""
    lexemes = list(lex(template))
    check_brackets(lexemes, template)
    tilde = next((i for i, lexeme in enumerate(lexemes) if lexeme.text == "~"), len(lexemes))
    pieces = [formula.response.text, " "] if tilde == 0 else []
    end = 0
    called: list[bool] = []  # for every open bracket: is it that of a function?
    before: Lexeme | None = None
    for i, lexeme in enumerate(lexemes):
        if lexeme.kind == "bracket" and lexeme.text in CLOSERS:
            called.append(before is not None and before.kind == "name" and lexeme.text == "(")
        elif lexeme.kind == "bracket":
            called.pop()
        elif lexeme.kind == "name" and lexeme.text == ".":
            if i > tilde and any(called):
                raise FormulaError(
                    "'.' cannot be used inside a function.", template, (lexeme.start, lexeme.end)
                )
            old = formula.response.text if i < tilde else _terms(formula)
            pieces += [template[end : lexeme.start], old if _is_alone(lexemes, i) else f"({old})"]
            end = lexeme.end
        before = lexeme
    return "".join([*pieces, template[end:]])


def _terms(formula: ModelFormula) -> str:
    """Return all terms; an intercept goes without saying, so that ``0 + .`` takes it away."""
    parts = [] if formula.fixed.intercept else ["0"]
    parts += [term.label for term in formula.fixed.terms]
    parts += [f"offset({offset})" for offset in formula.offsets]
    return " + ".join([*parts, *map(str, formula.random)])


def _is_alone(lexemes: list[Lexeme], i: int) -> bool:
    """Tell whether nothing binds to a dot but a plus, an end, a ``~`` or a pair of brackets."""
    neighbours = [lexemes[j].text for j in (i - 1, i + 1) if 0 <= j < len(lexemes)]
    return all(text in ("~", "+", "-", "(", ")") for text in neighbours[1:]) and (
        i == 0 or lexemes[i - 1].text in ("~", "+", "(")
    )


def _place_groups(
    reader: TermReader, tokens: list[Token], response: Expression
) -> tuple[list[Token], dict[GroupTerm, str]]:
    """Put a placeholder for every random term, the same for equal ones; return all of them."""
    left: list[Token] = []
    known: dict[GroupTerm, str] = {}
    position = 0
    for group in sorted(find_groups(tokens, reader.formula), key=lambda group: group.opening):
        left += tokens[position : group.opening]
        span = span_of(tokens[group.opening : group.closing + 1])
        left.append(Token("(", kind=KIND.CONTEXT, source_start=span[0], source_end=span[0]))
        for index, term in enumerate(reader.read_group(tokens, group, span, response)):
            if index:
                left.append(
                    Token("+", kind=KIND.OPERATOR, source_start=span[0], source_end=span[0])
                )
            place = known.setdefault(term, f"{RANDOM_PREFIX}{len(known)}")
            left.append(name_token(place, span))
        left.append(Token(")", kind=KIND.CONTEXT, source_start=span[1] - 1, source_end=span[1] - 1))
        position = group.closing + 1
    return left + tokens[position:], known
