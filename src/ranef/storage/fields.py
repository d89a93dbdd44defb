"""Typed access to what JSON says: every look-up checks, so that readers can be short.

JSON has no types beyond its own, and a file may say anything. `Fields` wraps one object of it and
raises StorageError, naming the place, for whatever is missing or of another kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ranef.errors import StorageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of JSON.

    Attributes
    ----------
    values : object
        What was read; anything but a dict is an error.
    where : str
        How to name the object in errors.
    """

    values: Any
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise StorageError(f"{self.where} is not an object")
        self._check_texts(self.values)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str) -> Any:
        """Return a value of any kind."""
        if key not in self.values:
            raise StorageError(f"{self.where} has no {key!r}")
        return self.values[key]

    def text(self, key: str) -> str:
        """Return a string."""
        found = self._typed(key, str, "text")
        self._check_texts([found])
        return found

    def integer(self, key: str) -> int:
        """Return a whole number."""
        return self._typed(key, int, "a whole number")

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return self._typed(key, bool, "true or false")

    def items(self, key: str) -> list[Any]:
        """Return a list."""
        return self._typed(key, list, "a list")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        found = self.items(key)
        if not all(type(item) is str for item in found):
            raise StorageError(f"{self.where}: {key!r} is not a list of texts")
        self._check_texts(found)
        return tuple(found)

    def fields(self, key: str) -> Fields:
        """Return an object inside this one."""
        return Fields(self.get(key), f"{self.where}: {key}")

    def each(self, key: str) -> Iterator[Fields]:
        """Yield the objects of a list."""
        for number, item in enumerate(self.items(key)):
            yield Fields(item, f"{self.where}: {key} {number}")

    def named(self) -> Iterator[tuple[str, Fields]]:
        """Yield name and value of every entry, all of them objects."""
        for name in self.values:
            yield name, self.fields(name)

    def _check_texts(self, texts: Iterable[str]) -> None:
        """Refuse half characters, which JSON can spell and no file or terminal can hold."""
        for text in texts:
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise StorageError(f"{self.where}: {text!a:.40} is not text")

    def _typed(self, key: str, kind: type[T], what: str) -> T:
        value = self.get(key)
        if type(value) is not kind:
            raise StorageError(f"{self.where}: {key!r} is not {what}")
        return value
