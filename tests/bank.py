"""The reference fits in tests/data: models fitted by R, in the words of ranef.

`cases` yields what R computed together with the call of `ranef.fit` that asks for the same model,
and `pairs` nested models that R compared; `load` gives the data R used. R and ranef name things
differently (``recipeB`` and ``recipe[T.B]``, ``cask:batch`` and ``batch:cask``), so a `Case` also
translates names. Numbers are never touched: ``case.results`` is as R wrote it, with R's names.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from formulaic.transforms.contrasts import (
    Contrasts,
    HelmertContrasts,
    PolyContrasts,
    SumContrasts,
    TreatmentContrasts,
)

FOLDER = Path(__file__).parent / "data"

# lme4 does not split a factor at `||`, ranef does: this is lme4's model written out for ranef.
REWRITTEN = {
    "score ~ Machine + (Machine || Worker)": (
        "score ~ Machine + (1 | Worker) + (0 + Machine | Worker)"
    ),
}
CODINGS: dict[str, Contrasts] = {
    "treatment": TreatmentContrasts(),
    "sum": SumContrasts(),
    "helmert": HelmertContrasts(),
    "poly": PolyContrasts(),
}


def load(name: str) -> pd.DataFrame:
    """Return a fresh data frame of the reference data, with the derived columns R used."""
    return _frame(name).copy()


@cache
def _frame(name: str) -> pd.DataFrame:
    types = _frames()[name]["columns"]
    frame = pd.read_csv(
        FOLDER / "frames" / f"{name}.csv.gz",
        dtype=str,
        keep_default_na=False,
        na_values=[""],
    )
    return frame.apply(lambda column: _typed(column, *types[column.name]))


def cases(kind: str = "lmm") -> Iterator[Case]:
    """Yield the reference fits of one kind, in the order of their ids."""
    with gzip.open(FOLDER / f"{kind}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield _case(json.loads(line))


def case(name: str) -> Case:
    """Return the reference fit with this id."""
    return next(found for found in cases() if found.id == name)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two nested models that R compared by a likelihood-ratio test.

    Attributes
    ----------
    id, dataset, formula_null, formula : str
    reml : bool
        Whether R compared REML fits.
    results : dict
        ``chisq, df, p``, and per model ``npar, AIC, BIC, logLik, deviance``.
    """

    id: str
    dataset: str
    formula_null: str
    formula: str
    reml: bool
    results: dict[str, Any]

    def __str__(self) -> str:
        return self.id


def pairs() -> Iterator[Pair]:
    """Yield the comparisons of nested models, in the order of their ids."""
    with gzip.open(FOLDER / "lrt.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            yield Pair(**{name: entry[name] for name in Pair.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Case:
    """A model that R fitted, what ranef should be asked, and what R found.

    Attributes
    ----------
    id, dataset, note : str
    formula, r_formula : str
        For ranef and for lme4; they differ only where ranef differs on purpose.
    reml : bool
    weights, offset : str or None
        Names of columns.
    contrasts : dict or None
        For ranef: ``{"recipe": "sum"}``.
    na_rows_dropped : int
    software : dict
        Versions of R and its packages.
    results : dict
        R's numbers with R's names; tests/data/README.md lists the blocks.
    """

    id: str
    dataset: str
    note: str
    formula: str
    r_formula: str
    reml: bool
    weights: str | None
    offset: str | None
    contrasts: dict[str, str] | None
    na_rows_dropped: int
    software: dict[str, str]
    results: dict[str, Any]

    def __str__(self) -> str:
        return self.id

    def frame(self) -> pd.DataFrame:
        """Return the data as a fresh data frame."""
        return load(self.dataset)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `ranef.fit` beyond the formula and the data."""
        return {
            "reml": self.reml,
            "weights": self.weights,
            "offset": self.offset,
            "contrasts": self.contrasts,
        }

    def columns(self, r_names: Sequence[str]) -> list[str]:
        """Translate names of model-matrix columns; pass all columns of one matrix together."""
        parts = {part for name in r_names for part in _split(name)}
        names = {
            r_name: ranef_name
            for factor, column in _frame(self.dataset).items()
            for r_name, ranef_name in self._dummies(str(factor), _levels(column), parts).items()
        }
        names["(Intercept)"] = "Intercept"
        return [":".join(names.get(part, part) for part in _split(name)) for name in r_names]

    def group(self, r_name: str) -> str:
        """Translate the name of a grouping factor, also with the ``.1`` of a further term."""
        base, dot, number = r_name.partition(".")
        return ":".join(self._variables(base)) + dot + number

    def group_levels(self, r_name: str, r_levels: Sequence[str]) -> list[str]:
        """Translate the labels of the levels of a grouping factor; the order stays R's."""
        variables = r_name.split(":")
        wanted = self._variables(r_name)
        if variables == wanted:
            return list(r_levels)
        pairs = _frame(self.dataset)[variables].drop_duplicates().astype(str)
        labels = {
            ":".join(row[name] for name in variables): ":".join(row[name] for name in wanted)
            for row in pairs.to_dict("records")
        }
        return [labels[level] for level in r_levels]

    def theta_names(self) -> list[str]:
        """Return names in the order of lme4's theta: ``Subject.Days.Intercept``."""
        return [
            ".".join((self.group(term["group"]), *dict.fromkeys((row, column))))
            for term in self.results["terms_order"]
            for columns in [self.columns(term["columns"])]
            for j, column in enumerate(columns)
            for row in columns[j:]
        ]

    def _variables(self, r_name: str) -> list[str]:
        """Return the variables of a grouping factor in the order of the formula.

        lme4 writes ``b:a`` for the second factor of ``a/b``, and what was written otherwise.
        """
        variables = r_name.split(":")
        nested = "/".join(reversed(variables))
        written = self.r_formula.replace(" ", "")
        return variables[::-1] if len(variables) > 1 and nested in written else variables

    def _dummies(self, factor: str, levels: list[Any], parts: set[str]) -> dict[str, str]:
        """Map R's names of the columns of one factor to ranef's, for the coding in use."""
        if not levels:
            return {}
        labels = [str(level).upper() if isinstance(level, bool) else level for level in levels]
        in_full = all(factor + label in parts for label in labels)
        used = (self.results.get("contrasts_used") or {}).get(factor)
        coding = "treatment" if used is None or in_full else used.removeprefix("contr.")
        numbers = [str(1 + i) for i in range(len(levels) - 1)]
        suffixes = {
            "treatment": labels if in_full else labels[1:],
            "sum": numbers,
            "helmert": numbers,
            "poly": [".L", ".Q", ".C", *(f"^{1 + i}" for i in range(3, len(levels)))],
        }[coding]
        contrasts = CODINGS[coding]
        fields = contrasts.get_coding_column_names(levels, reduced_rank=not in_full)
        form = contrasts.get_factor_format(levels, reduced_rank=not in_full)
        return {
            factor + suffix: form.format(name=factor, field=field)
            for suffix, field in zip(suffixes, fields, strict=False)
        }


def _case(entry: dict[str, Any]) -> Case:
    contrasts = entry["contrasts"]
    return Case(
        id=entry["id"],
        dataset=entry["dataset"],
        note=entry["note"],
        formula=REWRITTEN.get(entry["formula"], entry["formula"]),
        r_formula=entry["formula"],
        reml=entry["reml"],
        weights=entry["weights"],
        offset=entry["offset"],
        contrasts=contrasts and {k: v.removeprefix("contr.") for k, v in contrasts.items()},
        na_rows_dropped=entry["na_rows_dropped"],
        software=entry["software"],
        results=entry["results"],
    )


@cache
def _frames() -> dict[str, Any]:
    return json.loads((FOLDER / "frames.json").read_text(encoding="utf-8"))


def _typed(column: pd.Series, kind: str, levels: list[str] | None = None) -> pd.Series:
    if kind in {"factor", "ordered"}:
        return column.astype(pd.CategoricalDtype(levels, ordered=kind == "ordered"))
    missing = bool(column.isna().any())
    if kind == "logical":
        return column.map({"TRUE": True, "FALSE": False}).astype("boolean" if missing else bool)
    if kind == "integer" and not missing:
        return column.astype("int64")
    # Python's float rounds correctly; the parsers of pandas need not
    return column.map(float, na_action="ignore").astype("float64")


def _levels(column: pd.Series) -> list[Any]:
    """Return the levels of a column that R treats as a factor, none for numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.remove_unused_categories().cat.categories)
    return [False, True] if pd.api.types.is_bool_dtype(column.dtype) else []


def _split(name: str) -> list[str]:
    """Split a column name at the colons outside of parentheses."""
    parts, depth = [""], 0
    for character in name:
        depth += (character == "(") - (character == ")")
        if character == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
