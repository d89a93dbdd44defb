"""The random-effects model matrix as a teacher would show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from ranef.design.types import RandomTerm


def random_matrix(terms: Sequence[RandomTerm]) -> sparse.csr_array:
    """Return Z (n, q): blocks by term, within a term by level, within a level by column.

    Cost: O(n sum k) time and memory.
    """
    blocks = []
    for term in terms:
        n, k = len(term.grouping.codes), len(term.names)
        columns = term.grouping.codes[:, None].astype(np.int64) * k + np.arange(k)
        values = np.column_stack(
            [np.ones(n) if column is None else column for column in term.columns]
        )
        blocks.append(
            sparse.csr_array(
                (values.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)),
                shape=(n, k * term.grouping.size),
            )
        )
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))
