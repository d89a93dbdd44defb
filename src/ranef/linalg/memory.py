"""What factorising takes, in bytes, and the error where that is more than there is."""

from __future__ import annotations

from dataclasses import dataclass

from ranef.errors import FitError
from ranef.linalg.crossproducts import CrossProducts

# Peak bytes (two evaluations live at once), measured on blocks of 2 500 to 3 700 rows: for a cell
# of a matrix that LAPACK factorises, of one whose values are all stored besides, and for a stored
# element of a pattern; for a column of the border; for a pair of neighbours in a round.
BYTES_PER_CELL = 35.0
BYTES_PER_STORED_CELL = 75.0
BYTES_PER_ELEMENT = 100.0
BYTES_PER_BORDER = 40.0
BYTES_PER_PAIR = 20.0


def numbers(size: int) -> str:
    """Return what a dense block is called in messages."""
    return f"a dense block of {size} x {size} numbers"


@dataclass(frozen=True, slots=True)
class Limit:
    """The bytes that are left for these factors, and those spent on them before."""

    products: CrossProducts
    dense: tuple[int, ...]
    left: float
    spent: float = 0.0

    def less(self, needed: float, what: str) -> Limit:
        """Return what is left after so many bytes; raise FitError if they are too many."""
        if needed > self.left:
            A, names = self.products.A, self.products.names
            factors = [f"{names[g]} ({A[g].shape[0] * A[g].shape[2]} effects)" for g in self.dense]
            total, available = (self.spent + needed) / 1e9, (self.spent + self.left) / 1e9
            raise FitError(
                f"the grouping factors are crossed, and {', '.join(factors) or 'none of them'} "
                f"would need {what}, beside {self.products.p} fixed effects: about {total:.1f} GB; "
                f"{available:.1f} GB are available. Use fewer levels, random-effects columns or "
                "fixed effects there, or a machine with more memory."
            )
        return Limit(self.products, self.dense, self.left - needed, self.spent + needed)
