"""What is known about the bundled data sets: the contents of `registry.toml`, with types.

The registry is the only place that knows titles, references and level orders; the loader, the
page docs/datasets.md and `describe` all read it, so they cannot disagree. It is parsed once, on
first use, which keeps it out of the cost of ``import ranef``.
"""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeAlias

from ranef.errors import OptionError

ColumnType: TypeAlias = Literal["number", "integer", "factor", "ordered"]


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column of a bundled data set.

    Attributes
    ----------
    name : str
    type : {"number", "integer", "factor", "ordered"}
        float64, int64, categorical, or ordered categorical.
    text : str
        What was measured, and in which unit.
    levels : tuple of str, "numeric", or None
        Levels in order; "numeric" where the labels are whole numbers, in increasing order;
        None for a column of numbers.
    """

    name: str
    type: ColumnType
    text: str
    levels: tuple[str, ...] | Literal["numeric"] | None


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """What a bundled data set is, and where it comes from; prints as a short text.

    Attributes
    ----------
    name, title, text : str
        Name for `load`, one line, and a few sentences.
    rows : int
    columns : tuple of ColumnDescription
        In the order of the data frame.
    source : str
        The R package, its version, and the object that holds the same numbers there.
    reference : str
        The publication that reports the data.
    licence : str
        Under which terms the numbers come.
    example : str or None
        A model that is commonly fitted to these data.
    """

    name: str
    title: str
    text: str
    rows: int
    columns: tuple[ColumnDescription, ...]
    source: str
    reference: str
    licence: str
    example: str | None

    def __str__(self) -> str:
        """Return the description as plain text, wrapped at 88 characters."""
        width = max(len(column.name) for column in self.columns)
        wrap = textwrap.TextWrapper(88, break_on_hyphens=False)
        lines = [f"{self.name}: {self.title}", "", *wrap.wrap(self.text), ""]
        lines += [f"{self.rows} rows, {len(self.columns)} columns:"]
        lines += [
            f"  {column.name:<{width}}  {column.type:<7}  {column.text}" for column in self.columns
        ]
        lines.append("")
        if self.example is not None:
            lines.append(f"Example: {self.example}")
        for label, text in self._provenance():
            lines += wrap.wrap(f"{label}: {text}")
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return the description as a section of Markdown, as in the documentation."""
        lines = [f"## `{self.name}`: {self.title}", "", self.text, ""]
        lines += ["| column | type | what |", "|---|---|---|"]
        lines += [f"| `{column.name}` | {column.type} | {column.text} |" for column in self.columns]
        lines += ["", f"{self.rows} rows."]
        if self.example is not None:
            lines += ["", f"Example: `{self.example}`"]
        for label, text in self._provenance():
            lines += ["", f"{label}: {text}"]
        return "\n".join(lines) + "\n"

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _provenance(self) -> tuple[tuple[str, str], ...]:
        return (
            ("Source", self.source),
            ("Reference", self.reference),
            ("Licence", self.licence),
        )


def names() -> list[str]:
    """Return the names of the bundled data sets, sorted.

    Use it to see what `load` accepts.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import ranef.datasets
    >>> ranef.datasets.list()[:4]
    ['alfalfa', 'bodyweight', 'cake', 'cbpp']
    """
    return sorted(_registry())


def describe(name: str) -> DatasetDescription:
    """Return what a bundled data set is: its columns, source, reference and licence.

    Use it before quoting a data set, or to learn what its columns mean.

    Parameters
    ----------
    name : str
        One of `list()`, in any case.

    Returns
    -------
    DatasetDescription
        Prints as text; ``to_markdown()`` gives the section of the documentation.

    Raises
    ------
    OptionError
        If there is no data set of that name.

    Examples
    --------
    >>> from ranef import datasets
    >>> rail = datasets.describe("rail")
    >>> rail.rows, [column.name for column in rail.columns]
    (18, ['Rail', 'travel'])
    >>> rail.source
    'data set Rail of the R package nlme 3.1-162'
    """
    registry = _registry()
    key = str(name).lower()
    if key not in registry:
        raise OptionError.from_choice("the name of a bundled data set", key, sorted(registry))
    return registry[key]


def folder() -> Traversable:
    """Return the folder of the installed package that holds the registry and the files."""
    return resources.files("ranef.datasets")


@lru_cache(maxsize=1)
def _registry() -> dict[str, DatasetDescription]:
    content = tomllib.loads(folder().joinpath("registry.toml").read_text(encoding="utf-8"))
    return {
        name: _description(name, entry, content["packages"][entry["package"]])
        for name, entry in content["datasets"].items()
    }


def _description(name: str, entry: dict[str, Any], package: dict[str, str]) -> DatasetDescription:
    return DatasetDescription(
        name=name,
        title=entry["title"],
        text=entry["description"],
        rows=entry["rows"],
        columns=tuple(_column(column, about) for column, about in entry["columns"].items()),
        source=f"data set {entry['object']} of the R package {entry['package']}"
        f" {package['version']}",
        reference=entry["reference"],
        licence=f"the R package is distributed under {package['licence']}; the numbers are facts"
        " reported by the source named here",
        example=entry.get("example"),
    )


def _column(name: str, about: dict[str, Any]) -> ColumnDescription:
    levels = about.get("levels")
    return ColumnDescription(
        name=name,
        type=about["type"],
        text=about["text"],
        levels=tuple(levels) if isinstance(levels, list) else levels,
    )
