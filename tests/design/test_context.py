"""A formula is data: it reaches the columns, the listed functions, and the caller's `context`."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from formulaic.transforms import stateful_transform

from ranef.design import build_design, fixed_columns
from ranef.errors import DataError, FormulaError, RanefError


def the_data() -> pd.DataFrame:
    """Return columns with names that mean something elsewhere."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "y": rng.normal(size=12),
            "x": rng.random(12) + 1,
            "g": list("aabbccddeeff"),
            "class": rng.random(12) + 1,
            "lambda": rng.random(12) + 1,
            "log": rng.random(12) + 1,
            "C": list("uvw") * 4,
            "I": rng.random(12),
            "np": rng.random(12),
            "pi": rng.random(12),
            "Intercept": rng.random(12),
            "total.fruits": rng.random(12),
            "my col": rng.random(12),
            "a:b": rng.random(12),
            "1": rng.random(12),
            "TRUE": rng.random(12),
        }
    )


NAMES = {
    "class": "class",
    "lambda": "lambda",
    "log": "log",
    "I": "I",
    "np": "np",
    "pi": "pi",
    "total.fruits": "total.fruits",
    "`my col`": "my col",
    "`a:b`": "a:b",
    "`1`": "1",
    "`TRUE`": "TRUE",
}


@pytest.mark.parametrize("written", NAMES)
def test_columns_may_have_any_name(written: str) -> None:
    """A column goes before a function or constant of the same name, also inside functions."""
    frame = the_data()
    values = frame[NAMES[written]]
    formula = f"y ~ {written} + log({written} + 1) + x:{written} + (0 + {written} | g)"
    design = build_design(formula, frame)
    name = NAMES[written]
    assert design.x_names[:2] == ("Intercept", name)
    np.testing.assert_array_equal(design.X[:, 1], values)
    np.testing.assert_allclose(design.X[:, 2], np.log(values + 1))
    np.testing.assert_allclose(design.X[:, 3], values * frame["x"])
    assert design.terms[0].names == (name,)


def test_a_factor_called_c_can_be_coded_by_c() -> None:
    """`C(C)` is the column C under the function C."""
    design = build_design("y ~ C(C, contr.sum) + (1 | g)", the_data())
    assert design.x_names[1:] == ("C(C, contr.sum)[S.u]", "C(C, contr.sum)[S.v]")


ATTACKS = [
    "__import__('os').system('touch {trap}')",
    "__import__('os')",
    "eval('1')",
    "exec('1')",
    "open('{trap}', 'w')",
    "getattr(x, 'shape')",
    "globals()",
    "np.log(x)",
    "np.load('{trap}')",
    "x.to_csv('{trap}')",
    "I(x.__class__)",
    "I(().__class__.__bases__)",
    "I((lambda: 0)())",
    "I([c for c in 'abc'])",
    "I(f'{{x}}')",
    "I(x := 3)",
    "I(*x)",
    "log(x)(x)",
    "Q('x')",
    "hashed(x)",
    "print(x)",
    "__builtins__",
    "I(__builtins__)",
    "log.__globals__",
    "{{x}}",
    "{{open('{trap}', 'w')}}",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["y ~ {} + (1 | g)", "y ~ ({} | g)", "{} ~ x + (1 | g)"])
def test_nothing_else_can_be_reached(
    place: str, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt is refused before anything happens."""
    trap = tmp_path / "trap"

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("the formula was compiled")

    formula = place.format(attack.format(trap=trap))
    data = the_data()
    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr(builtins, "exec", forbidden)
    with pytest.raises(FormulaError):
        build_design(formula, data)
    assert not trap.exists()


def test_numbers_cannot_exhaust_the_machine() -> None:
    """Arithmetic is in floating point: huge powers overflow at once."""
    with pytest.raises(DataError, match="not a finite number"):
        build_design("y ~ I(x * 9^9^9^9) + (1 | g)", the_data())


def double(values: Any) -> Any:
    """Return twice the values."""
    return 2 * values


def test_the_context_brings_functions_and_constants() -> None:
    """What the caller passes can be used; the name of a column goes first."""
    frame = the_data()
    design = build_design(
        "y ~ double(x) + I(x * factor) + C(C, coding) + (0 + double(x) | g)",
        frame,
        context={"double": double, "factor": 3.0, "coding": "sum", "x": None},
    )
    np.testing.assert_allclose(design.X[:, 1], 2 * frame["x"])
    np.testing.assert_allclose(design.X[:, 2], 3 * frame["x"])
    assert design.x_names[3:] == ("C(C, coding)[S.u]", "C(C, coding)[S.v]")
    np.testing.assert_allclose(fixed_columns(design, frame.iloc[:2]), design.X[:2])


RETURNED: dict[str, tuple[Any, list[str]]] = {
    "column": (lambda x: x, ["f(x)"]),
    "series": (pd.Series, ["f(x)"]),
    "matrix": (lambda x: np.column_stack([x, x**2]), ["f(x)[1]", "f(x)[2]"]),
    "frame": (lambda x: pd.DataFrame({"u": x, "v": x**2}), ["f(x)[u]", "f(x)[v]"]),
    "dict": (lambda x: {"u": x, "v": x**2}, ["f(x)[u]", "f(x)[v]"]),
    "booleans": (lambda x: x > 1.5, ["f(x)[T.True]"]),
    "text": (lambda x: np.where(x > 1.5, "hi", "lo"), ["f(x)[T.lo]"]),
    "categories": (lambda x: pd.cut(x, [0, 1.5, 9], labels=["lo", "hi"]), ["f(x)[.L]"]),
    "integers": (lambda x: (x * 10).astype(int), ["f(x)"]),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_functions_may_return_anything_with_a_row_per_row(kind: str) -> None:
    """Columns, matrices, frames and factors."""
    function, names = RETURNED[kind]
    design = build_design("y ~ f(x) + (1 | g)", the_data(), context={"f": function})
    assert list(design.x_names[1:]) == names


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:3], r"f\(x\) has shape \(3,\); expected \(12,\)"),
        (lambda x: 1 / 0, r"f\(x\) cannot be computed: division by zero"),
        (lambda x: np.full(12, np.nan), "not a finite number"),
        (lambda x, z: x, "cannot be computed"),
    ],
)
def test_functions_that_fail_are_named(function: Any, message: str) -> None:
    """The error says which call went wrong and why."""
    with pytest.raises(RanefError, match=message):
        build_design("y ~ f(x) + (1 | g)", the_data(), context={"f": function})


def test_stateful_functions_of_the_caller_keep_their_state() -> None:
    """Formulaic's `stateful_transform` works as in formulaic."""

    @stateful_transform
    def relative(data: Any, _state: Any = None) -> Any:
        _state.setdefault("top", data.max())
        return data / _state["top"]

    design = build_design("y ~ relative(x) + (1 | g)", the_data(), context={"relative": relative})
    one = the_data().iloc[[3]]
    np.testing.assert_allclose(fixed_columns(design, one), design.X[[3]])


def test_something_that_is_no_function_cannot_be_called() -> None:
    """A constant of the context is not a function."""
    with pytest.raises(FormulaError, match="is not a function"):
        build_design("y ~ f(x) + (1 | g)", the_data(), context={"f": 3})
