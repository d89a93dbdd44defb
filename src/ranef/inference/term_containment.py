"""Which terms of the fixed part contain which: the order in which effects give way to each other.

A term is contained in another that has all its variables and more, and the same covariates: ``A``
in ``A:B`` and ``x`` in ``A:x``, but not ``A`` in ``A:x``, because ``A`` is the difference between
groups at ``x = 0``, which the interaction leaves alone (SAS Institute, *The four types of
estimable functions*). Two points where lmerTest 3.1-3 differs or is silent:

* A covariate is a numeric expression of one column, however it was computed: ``scale(x)`` counts
  like ``x`` (not so in lmerTest, where it is a matrix). A basis of several columns (``poly``,
  ``bs``) has no common zero, and ``A`` is contained in ``A:poly(x, 2)``, as in lmerTest.
* In a nested model ``A + A:B``, ``A`` is contained in ``A:B``. lmerTest misses this where R codes
  ``A`` by indicators in ``A:B``, and then its type II and III tests of ``A`` hold for the first
  level of ``B`` only.
"""

from __future__ import annotations

from ranef.design.spec import ColumnSpec
from ranef.formula import Term


def containing_terms(spec: ColumnSpec) -> tuple[tuple[int, ...], ...]:
    """Return for every term the positions of the terms that contain it.

    Parameters
    ----------
    spec : ColumnSpec
        Of the fixed part.

    Returns
    -------
    tuple of tuple of int
        In the order of ``spec.terms``.
    """
    variables = [frozenset(factor.text for factor in block.term.factors) for block in spec.terms]
    covariates = [_covariates(spec, block.term) for block in spec.terms]
    count = range(len(variables))
    return tuple(
        tuple(j for j in count if variables[i] < variables[j] and covariates[i] == covariates[j])
        for i in count
    )


def _covariates(spec: ColumnSpec, term: Term) -> frozenset[str]:
    """Return the expressions of a term that are single numeric columns."""
    texts = (factor.text for factor in term.factors)
    return frozenset(
        text for text in texts if text not in spec.codings and len(spec.suffixes[text]) == 1
    )
