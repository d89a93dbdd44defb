"""Where in the equations a column leads, and the numbers that make subscripts of it.

A path has the parts of a column by level, from level 1 upwards; each step chooses a predictor of
one equation. In subscripts 0 stands for the intercept of an equation, other predictors are counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from ranef.explain.columns import Part

Key = tuple[Part, ...]
Path = tuple[Key, ...]


class Numbers:
    """Numbers of the predictors of every equation.

    Parameters
    ----------
    paths : iterable of Path
        Of all columns, fixed ones first: predictors are counted as they come.

    Attributes
    ----------
    children : dict of Path to list of Key
        The predictors of the equation that a path leads to, the intercept first.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.children: dict[Path, list[Key]] = {}
        for path in paths:
            for depth, key in enumerate(path):
                known = self.children.setdefault(path[:depth], [])
                if key not in known:
                    known.append(key)
        for known in self.children.values():
            known.sort(key=lambda key: key != ())  # a stable sort: the others stay in order

    def text(self, path: Path) -> str:
        """Return the subscript of what a path leads to."""
        found = []
        for depth, key in enumerate(path):
            others = [known for known in self.children[path[:depth]] if known != ()]
            found.append(0 if key == () else 1 + others.index(key))
        return ("," if any(number > 9 for number in found) else "").join(map(str, found))
