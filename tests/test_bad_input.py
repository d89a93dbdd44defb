"""Bad calls: each gives one clear error of ranef that names what was got and what is allowed.

Nothing of a hostile formula is executed, no call takes a second, and no warning is issued on the
way to an error.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import DataError, FormulaError, OptionError, RanefError, UnknownVariableError

N = 60
GOOD = "y ~ x + (1 | g)"


def good_data() -> pd.DataFrame:
    """Return data on which every column can be used."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.standard_normal(N),
            "x": rng.standard_normal(N),
            "g": np.repeat(list("abcdef"), N // 6),
            "h": np.tile(np.arange(5), N // 5),
            "one": "a",
            "id": np.arange(N),
            "w": rng.uniform(0.5, 2.0, N),
            "text": ["t", "u"] * (N // 2),
        }
    )


def changed(column: str, value: Any, row: int | None = None) -> pd.DataFrame:
    """Return the data with a column, or one of its cells, replaced."""
    data = good_data()
    if row is None:
        data[column] = value
    else:
        data.loc[row, column] = value
    return data


class Bad(NamedTuple):
    """A call that must fail: with which error, and what the message must say."""

    formula: Any
    error: type[RanefError]
    says: tuple[str, ...]
    data: Callable[[], Any] = good_data
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


FORMULAS = [
    Bad("", FormulaError, ("'~'",)),
    Bad(3, FormulaError, ("string", "int")),
    Bad(None, FormulaError, ("string", "NoneType")),
    Bad("y ~ x", FormulaError, ("no random term", "(1 | group)")),
    Bad("~ x + (1|g)", FormulaError, ("no response", "^")),
    Bad("y x (1|g)", FormulaError, ("'~'", "^")),
    Bad("y ~ x ~ (1|g)", FormulaError, ("one '~'", "^")),
    Bad("y ~ x + (1|g", FormulaError, ("never closed", "^")),
    Bad("y ~ x + (1|g))", FormulaError, ("closes nothing", "^")),
    Bad("y ~ x + 1|g)", FormulaError, ("closes nothing", "^")),
    Bad("y ~ x | g", FormulaError, ("in parentheses", "(x | g)", "^")),
    Bad("y ~ x + (1|)", FormulaError, ("no group", "^")),
    Bad("y ~ x + (|g)", FormulaError, ("nothing before the bar", "^")),
    Bad("y ~ x + (0|g)", FormulaError, ("no effects", "^")),
    Bad("y ~ x + (1|g|h)", FormulaError, ("one bar", "^")),
    Bad("y ~ x + (1|g) + (1|g)", FormulaError, ("occurs twice", "^")),
    Bad("y ~ x:(1|g)", FormulaError, ("cannot be part of an interaction", "^")),
    Bad("y ~ ((1|g)|h)", FormulaError, ("cannot hold another", "^")),
    Bad("y ~ x + (1|1)", FormulaError, ("name a column", "^")),
    Bad("y ~ x + (1|g+h)", FormulaError, ("(x | a) + (x | b)", "^")),
    Bad("y ~ x + (1|g) +", FormulaError, ("missing", "^")),
    Bad("y ~ 2*x + (1|g)", FormulaError, ("2", "I(...)", "^")),
    Bad("y ~ x^2.5 + (1|g)", FormulaError, ("positive whole number", "I(x^2)")),
    Bad('y ~ "x" + (1|g)', FormulaError, ("string", "^")),
    Bad("y ~ y + (1|g)", FormulaError, ("also a predictor", "^")),
    Bad("cbind(y, x) ~ x + (1|g)", FormulaError, ("cbind", "one variable")),
    Bad("y ~ foo(x) + (1|g)", FormulaError, ("unknown function 'foo'", "context", "^")),
    Bad("y ~ sqr(x) + (1|g)", FormulaError, ("Did you mean 'sqrt'",)),
    Bad("(" * 500 + "y" + ")" * 500 + " ~ x + (1|g)", FormulaError, ("too deeply",)),
    Bad("y ~ x # comment + (1|g)", FormulaError, ("'#'", "^")),
    Bad("y ~ ex + (1|g)", UnknownVariableError, ("'ex'", "Did you mean 'x'", "Columns: y", "^")),
    Bad("y ~ x + (1|gg)", UnknownVariableError, ("'gg'", "Did you mean 'g'", "^")),
    Bad("Y ~ x + (1|g)", UnknownVariableError, ("'Y'", "Columns: y", "^")),
    Bad("y ~ x + (z|g)", UnknownVariableError, ("'z'", "^")),
    Bad("y ~ x + (1|g:nope)", UnknownVariableError, ("'nope'", "^")),
    Bad("y ~ x + offset(nope) + (1|g)", UnknownVariableError, ("'nope'", "^")),
]

DATA = [
    Bad(GOOD, DataError, ("data must be", "int"), lambda: 5),
    Bad(GOOD, DataError, ("data must be", "ndarray"), lambda: np.zeros((3, 3))),
    Bad(GOOD, DataError, ("data must be", "NoneType"), lambda: None),
    Bad(GOOD, DataError, ("empty",), lambda: good_data().iloc[:0]),
    Bad(GOOD, DataError, ("2 columns named",), lambda: pd.concat([good_data()] * 2, axis=1)[
        ["y", "x", "g"]
    ]),
    Bad(GOOD, DataError, ("length", "2"), lambda: {"y": [1.0, 2.0, 3.0], "x": [1, 2], "g": "aab"}),
    Bad(GOOD, DataError, ("'x'", "missing in every row"), lambda: changed("x", np.nan)),
    Bad(GOOD, DataError, ("'g'", "missing in every row"), lambda: changed("g", None)),
    Bad(GOOD, DataError, ("'x'", "infinite", "3"), lambda: changed("x", np.inf, 3)),
    Bad(GOOD, DataError, ("'y'", "infinite", "5"), lambda: changed("y", -np.inf, 5)),
    Bad(GOOD, DataError, ("'y'", "constant"), lambda: changed("y", 1.0)),
    Bad(GOOD, DataError, ("'y'", "not numeric"), lambda: changed("y", "a")),
    Bad(GOOD, DataError, ("'y'", "complex"), lambda: changed("y", 1j)),
    Bad(GOOD, DataError, ("'x'", "mixed"), lambda: changed("x", [[1]] * N)),
    Bad("y ~ x + (1|one)", DataError, ("'one'", "single level", "at least two")),
    Bad("y ~ x + (1|id)", DataError, ("'id'", "60 levels for 60 observations")),
    Bad("y ~ x + (x|h:g)", DataError, ("(x | h:g)", "60 effects", "60 observations")),
    Bad("y ~ one + (1|g)", DataError, ("'one'", "single level")),
    Bad("y ~ log(x) + (1|g)", DataError, ("'log(x)'", "not a finite number", "rows")),
    Bad("log(y) ~ x + (1|g)", DataError, ("'log(y)'", "not a finite number")),
    Bad("y ~ poly(x, 200) + (1|g)", DataError, ("poly(x, 200)", "degree")),
    Bad("y ~ I(text * 2) + (1|g)", DataError, ("'text'", "factor")),
]  # fmt: skip

OPTIONS = [
    Bad(GOOD, DataError, ("weights", "positive"), options={"weights": np.full(N, -1.0)}),
    Bad(GOOD, DataError, ("weights", "zero", "drop"), options={"weights": np.zeros(N)}),
    Bad(GOOD, DataError, ("weights", "5", "60"), options={"weights": np.ones(5)}),
    Bad(GOOD, DataError, ("'text'", "numbers"), options={"weights": "text"}),
    Bad(GOOD, UnknownVariableError, ("'ww'", "Did you mean 'w'"), options={"weights": "ww"}),
    Bad(GOOD, DataError, ("offset", "5", "60"), options={"offset": np.ones(5)}),
    Bad(GOOD, DataError, ("offset", "infinite"), options={"offset": np.full(N, np.inf)}),
    Bad(GOOD, UnknownVariableError, ("'o'",), options={"offset": "o"}),
    Bad(GOOD, OptionError, ("optimizer", "'newton'", "bobyca", "Did you mean"),
        options={"optimizer": "bobyca"}),
    Bad(GOOD, OptionError, ("na_action", "'drop'", "'omit'"), options={"na_action": "omit"}),
    Bad(GOOD, DataError, ("missing", "'x' in 1"), lambda: changed("x", np.nan, 3),
        {"na_action": "raise"}),
    Bad(GOOD, OptionError, ("reml", "'yes'"), options={"reml": "yes"}),
    Bad(GOOD, OptionError, ("start", "1 finite", "g.Intercept"), options={"start": [1.0, 2.0]}),
    Bad(GOOD, OptionError, ("start", "'a'"), options={"start": "a"}),
    Bad(GOOD, OptionError, ("start", "nan"), options={"start": [np.nan]}),
    Bad(GOOD, OptionError, ("control", "ranef.Control", "3"), options={"control": 3}),
    Bad(GOOD, OptionError, ("contrasts", "dict", "'sum'"), options={"contrasts": "sum"}),
    Bad("y ~ text + (1|g)", OptionError, ("'treatment'", "'foo'"),
        options={"contrasts": {"text": "foo"}}),
    Bad(GOOD, UnknownVariableError, ("'zz'",), options={"contrasts": {"zz": "sum"}}),
]  # fmt: skip

HOSTILE = [
    "y ~ ().__class__ + (1|g)",
    "y ~ ().__class__.__bases__[0].__subclasses__() + (1|g)",
    "y ~ x.__class__ + (1|g)",
    "y ~ __import__('os').system('touch PWNED') + (1|g)",
    "y ~ open('PWNED', 'w') + (1|g)",
    "y ~ exec('1') + (1|g)",
    "y ~ eval(x) + (1|g)",
    "y ~ getattr(x, 'sum') + (1|g)",
    "y ~ globals() + (1|g)",
    "y ~ (lambda: open('PWNED', 'w'))() + (1|g)",
    "y ~ I(lambda: 1) + (1|g)",
    "y ~ [i for i in x] + (1|g)",
    "y ~ I([open('PWNED', 'w') for i in x]) + (1|g)",
    "y ~ {open('PWNED', 'w')} + (1|g)",
    "y ~ I(x.mean()) + (1|g)",
    "y ~ I(x[0]) + (1|g)",
    "y ~ np.log(x) + (1|g)",
    "y ~ pd.read_csv('PWNED') + (1|g)",
    "y ~ log(x, __builtins__) + (1|g)",
    "y ~ I(f'{open(1)}') + (1|g)",
    "y ~ I((z := 3)) + (1|g)",
    "y ~ I(*x) + (1|g)",
    "y ~ x + (1|open('PWNED', 'w'))",
    "y ~ x + (open('PWNED', 'w')|g)",
    "open('PWNED', 'w') ~ x + (1|g)",
    "y ~ x + offset(open('PWNED', 'w')) + (1|g)",
    "y ~ I(9**9**9**9) + (1|g)",
    "y ~ (x + g + h + one + w)^1000 * (x + h)^1000 + (1|g)",
]


@pytest.fixture(autouse=True)
def _no_warning_and_quick() -> Iterator[None]:
    """Turn warnings into failures, and refuse calls that take a second."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert time.perf_counter() - start < 1.0


def _name(case: Bad) -> str:
    return f"{str(case.formula)[:30]} {' '.join(case.says)[:40]}"


@pytest.mark.parametrize("case", [*FORMULAS, *DATA, *OPTIONS], ids=_name)
def test_a_bad_call_gives_one_clear_error(case: Bad) -> None:
    """The error has the right class and says what was got and what is allowed."""
    data = case.data()
    with pytest.raises(case.error) as caught:
        ranef.fit(case.formula, data, **case.options)

    message = str(caught.value)
    assert [part for part in case.says if part not in message] == []
    assert "Traceback" not in message


@pytest.mark.parametrize("formula", HOSTILE)
def test_a_hostile_formula_is_refused_and_nothing_runs(
    formula: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file appears, no module is imported, and the error points into the formula."""
    monkeypatch.chdir(tmp_path)
    data = good_data()
    before = set(sys.modules)
    with pytest.raises(RanefError):
        ranef.fit(formula, data)

    assert list(tmp_path.iterdir()) == []
    assert {name for name in set(sys.modules) - before if not name.startswith("ranef")} == set()


def test_bad_input_leaves_the_data_as_they_were() -> None:
    """A failed call changes nothing in the caller's frame."""
    data = changed("x", np.inf, 3)
    copy = data.copy(deep=True)
    with pytest.raises(DataError):
        ranef.fit(GOOD, data)

    pd.testing.assert_frame_equal(data, copy)


def test_own_functions_need_the_context() -> None:
    """What a formula cannot call by itself, it can once the caller passes it in."""
    data = good_data()
    model = ranef.fit("y ~ halve(x) + (1 | g)", data, context={"halve": lambda x: x / 2})
    plain = ranef.fit(GOOD, data)

    # exact: dividing by 2 is exact, and conditioning removes the scale
    assert model.fixef["halve(x)"] == pytest.approx(2 * plain.fixef["x"], rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"max_evaluations": 2.5}, "2.5"),
        ({"max_evaluations": True}, "True"),
        ({"tol": 0.0}, "tol"),
        ({"tol": float("nan")}, "nan"),
        ({"tol": "small"}, "'small'"),
    ],
)
def test_a_bad_control_is_refused(arguments: dict[str, Any], says: str) -> None:
    """Settings that make no sense are refused where they are made."""
    with pytest.raises(OptionError, match=says):
        ranef.Control(**arguments)


@pytest.mark.parametrize("context", [3, "half", [("half", abs)], abs])
def test_a_context_is_a_dict(context: Any) -> None:
    """Anything else is refused where it is given, not where the formula would use it."""
    with pytest.raises(OptionError, match="context must be a dict"):
        ranef.fit(GOOD, good_data(), context=context)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [("Y ~ x + (1|g)", "y"), ("y ~ X + (1|g)", "x"), ("y ~ TEXT + (1|g)", "text")],
)
def test_a_name_in_the_wrong_case_is_recognised(formula: str, wanted: str) -> None:
    """One letter is enough to be sure, if only the case differs."""
    with pytest.raises(UnknownVariableError, match=f"Did you mean '{wanted}'\\?"):
        ranef.fit(formula, good_data())


@pytest.mark.parametrize("name", ["None", "True", "False", "TRUE", "FALSE", "NULL", "Inf"])
def test_columns_named_like_constants_need_backquotes(name: str) -> None:
    """The error says how to write the column, and it can be written so everywhere."""
    data = good_data().rename(columns={"x": name, "h": f"{name}2"})
    for formula in (f"y ~ {name} + (1|g)", f"y ~ w:{name} + (1|g)", f"y ~ ({name}|g)"):
        with pytest.raises(FormulaError, match=f"in backquotes: `{name}`"):
            ranef.fit(formula, data)
    model = ranef.fit(f"y ~ `{name}` + log(`{name}` + 9) + (1|g)", data)
    assert model.fixef.index[1] == name
    data = good_data().rename(columns={"g": name})
    with pytest.raises(FormulaError, match=r"(in|into) backquotes"):
        ranef.fit(f"y ~ x + (1|{name})", data)
    assert ranef.fit(f"y ~ x + (1|`{name}`)", data).ngroups == {name: 6}


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.predict(interval="confidence", theta_uncertainty="x"),
        lambda m: m.equations(estimates="no"),
        lambda m: ranef.table(m, stars="x"),
        lambda m: ranef.table(3),
        lambda m: m.influence(exact="no"),
        lambda m: ranef.Control(progress="x"),  # type: ignore[arg-type]
    ],
)
def test_flags_and_models_are_checked(call: Callable[[ranef.LinearMixedModel], object]) -> None:
    """A text such as "no" is not a flag, and a number not a model."""
    model = ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))
    with pytest.raises(OptionError):
        call(model)
