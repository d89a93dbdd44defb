"""Mappings from grouping factor to tables, whose views print names instead of tables.

``keys()`` of an ordinary `Mapping` shows the mapping within its brackets: a screen full of numbers
for somebody who asked which grouping factors there are.
"""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from typing import TypeVar

T = TypeVar("T")


class GroupMapping(Mapping[str, T]):
    """Mapping with short views; the rest is up to subclasses.

    Examples
    --------
    >>> class Squares(GroupMapping[int]):
    ...     def __getitem__(self, group):
    ...         return len(group) ** 2
    ...     def __iter__(self):
    ...         return iter(["a", "ab"])
    ...     def __len__(self):
    ...         return 2
    >>> Squares().keys(), Squares().items()
    (KeysView(['a', 'ab']), <ItemsView of a, ab>)
    """

    __slots__ = ()

    def keys(self) -> KeysView[str]:
        """Return the grouping factors."""
        return _Keys(self)

    def values(self) -> ValuesView[T]:
        """Return what belongs to the grouping factors, in their order."""
        return _Values(self)

    def items(self) -> ItemsView[str, T]:
        """Return pairs of a grouping factor and what belongs to it."""
        return _Items(self)


class _Keys(KeysView[str]):
    def __repr__(self) -> str:
        return f"KeysView({list(self)})"


class _Values(ValuesView[T]):
    def __init__(self, mapping: Mapping[str, T]) -> None:
        super().__init__(mapping)
        self._groups = tuple(mapping)

    def __repr__(self) -> str:
        return f"<ValuesView of {', '.join(self._groups)}>"


class _Items(ItemsView[str, T]):
    def __init__(self, mapping: Mapping[str, T]) -> None:
        super().__init__(mapping)
        self._groups = tuple(mapping)

    def __repr__(self) -> str:
        return f"<ItemsView of {', '.join(self._groups)}>"
