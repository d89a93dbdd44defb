"""Both passes, from a source to a problem that the ordinary optimisers solve."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ranef.design.build import used_context
from ranef.errors import DataError
from ranef.estimation import Problem
from ranef.formula import ModelFormula, parse_formula
from ranef.streaming.finish import finish, improve
from ranef.streaming.layout import Layout, make_layout
from ranef.streaming.learn import prototype_design
from ranef.streaming.passes import reduce_source
from ranef.streaming.plan import ScanPlan, make_plan
from ranef.streaming.rowless import StreamedDesign
from ranef.streaming.scan import Scan, merge_scans, scan_chunk
from ranef.streaming.source import Source
from ranef.streaming.sums import Sums, merge_sums, sum_chunk
from ranef.typing import NaAction

# More passes than this do not help: the second set of coordinates is made from all rows.
MOST_PASSES = 3


def stream_problem(
    formula: ModelFormula | str,
    source: Source,
    *,
    reml: bool,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: NaAction = "drop",
    context: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> tuple[StreamedDesign, Problem]:
    """Read the source twice and return the model in sums.

    Memory is bounded by the levels, not by the rows (except for ``poly``, ``bs`` and the like).

    Parameters
    ----------
    formula : ModelFormula or str
    source : Source
    reml : bool
    weights, offset : str, optional
        Columns.
    contrasts, na_action, context
        As in `ranef.fit`.
    progress : bool
        Show a progress bar.

    Raises
    ------
    FormulaError
        If the formula cannot be read or streamed, or names what does not exist.
    DataError
        If the data cannot be used, or change while they are read.
    FitError
        If the model is not identified, or the crossed factors do not fit into memory.
    """
    before = source.fingerprint()
    names = source.names()
    if not isinstance(formula, ModelFormula):
        formula = parse_formula(formula, names)
    _check_folders(source, formula, names)
    plan = make_plan(formula, names, weights, offset, used_context(context, formula))
    scan = _first_pass(source, plan, progress)
    prototype = prototype_design(scan, plan, contrasts, na_action)
    layout = make_layout(prototype, plan, scan.numbers)
    for number in range(2, 2 + MOST_PASSES):
        _check_same(source, before)
        sums = _next_pass(source, layout, progress, number)
        _check_same(source, before)
        _check_same_rows(scan, sums)
        better = improve(layout, sums) if number <= MOST_PASSES else None
        if better is None:
            break
        layout = better
    return finish(layout, sums, scan, prototype, reml=reml)


def _check_folders(source: Source, formula: ModelFormula, names: tuple[str, ...]) -> None:
    groups = [name for term in formula.random for v in term.group for name in v.names]
    for name in (*formula.names, *groups):
        if name not in names and name in source.folders:
            raise DataError(
                f"{name!r} stands in the names of folders ({name}=...), not in the files; give "
                "pyarrow.dataset.dataset(path, partitioning='hive'), which makes it a column."
            )


def _first_pass(source: Source, plan: ScanPlan, progress: bool) -> Scan:
    return reduce_source(  # type: ignore[no-any-return]
        source,
        plan.variables,
        partial(scan_chunk, plan=plan),
        partial(merge_scans, plan=plan),
        progress="pass 1" if progress else "",
    )


def _next_pass(source: Source, layout: Layout, progress: bool, number: int) -> Sums:
    return reduce_source(
        source,
        layout.plan.variables,
        partial(sum_chunk, layout=layout),
        merge_sums,
        progress=f"pass {number}" if progress else "",
    )


def _check_same_rows(scan: Scan, sums: Sums) -> None:
    if (sums.n_total, sums.n) != (scan.n_total, scan.n_used):
        raise DataError(
            f"the data changed while they were read: first {scan.n_total} rows, of which "
            f"{scan.n_used} could be used, then {sums.n_total} and {sums.n}."
        )
    if sums.print != scan.print:
        raise DataError(
            "the data changed while they were read: the same number of rows, but with other "
            "values. They are read more than once and must come out the same every time: fix the "
            "seed of random numbers, or write the data to a file first."
        )


def _check_same(source: Source, before: object) -> None:
    if source.fingerprint() != before:
        raise DataError(
            f"{source.description} changed while it was read; wait until it is complete."
        )
