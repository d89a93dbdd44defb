"""Which factor of which term is coded in full: R's rule.

A factor in a term is coded by contrasts if an earlier term contains everything else in the term,
and by indicators of all levels if not. Without an intercept the first factor found is coded in
full. (This is R's rule with its known flaw: `~ a:b` gives columns that add up to the intercept;
they are dropped later, as in R.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ranef.formula import Term


def full_codings(
    terms: Sequence[Term], factors: Collection[str], intercept: bool
) -> tuple[tuple[bool, ...], ...]:
    """Return for every factor of every term whether all its levels get a column.

    Parameters
    ----------
    terms : sequence of Term
        In the order of the model.
    factors : collection of str
        Texts of the expressions that are factors; the others are numeric.
    intercept : bool

    Returns
    -------
    tuple of tuple of bool
        One for each term, one for each of its factors; False for numeric ones.
    """
    texts = [frozenset(factor.text for factor in term.factors) for term in terms]
    needs_full = not intercept
    codings = []
    for position, term in enumerate(terms):
        full = []
        for factor in term.factors:
            if factor.text not in factors:
                full.append(False)
                continue
            rest = texts[position] - {factor.text}
            covered = not rest or any(rest <= earlier for earlier in texts[:position])
            full.append(needs_full or not covered)
            needs_full = False
        codings.append(tuple(full))
    return tuple(codings)
