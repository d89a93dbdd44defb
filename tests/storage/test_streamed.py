"""Models without rows in a file: the same to the last bit, and damaged files are refused."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranef
from ranef.errors import NoRowsError, StorageError
from ranef.storage import load, save
from storage.damage import members_of, with_json
from streams import cut, make_data

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "crossed": ("y ~ x + scale(z) + f + (x | g) + (1 | h)", {}),
    "weighted, nested, aliased": (
        "y ~ x + I(2 * x) + poly(z, 2) + (1 | g/s)", {"weights": "w", "offset": "o"}
    ),
    "contrasts": ("y ~ f * x + (x || g)", {"contrasts": {"f": "sum"}, "reml": False}),
}  # fmt: skip


@cache
def streamed(name: str) -> ranef.LinearMixedModel:
    """Return a model that keeps no rows."""
    formula, options = MODELS[name]
    return ranef.fit(formula, cut(make_data(400), [150]), **options)


@pytest.mark.filterwarnings("ignore::ranef.errors.RankDeficiencyWarning")
@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    """Everything comes back; a second save gives the same file."""
    model, path = streamed(name), tmp_path / "m.ranef"
    save(model, path)
    again = load(path)
    assert again.objective == model.objective
    assert again.vcov.equals(model.vcov)
    assert str(again.summary()) == str(model.summary())
    assert str(again.emmeans("1")) == str(model.emmeans("1"))
    for ask in ("r2", "icc", "drop1", "ranova", "equations"):
        assert str(getattr(again, ask)()) == str(getattr(model, ask)())
    assert again.confint("wald").equals(model.confint("wald"))
    if "offset" not in MODELS[name][1]:
        new = make_data(30, seed=2).dropna()
        assert again.predict(new).equals(model.predict(new))
    with pytest.raises(NoRowsError):
        again.fitted  # noqa: B018
    save(again, tmp_path / "again.ranef")
    assert (tmp_path / "again.ranef").read_bytes() == path.read_bytes()


def test_another_process(tmp_path: Path) -> None:
    """The numbers do not depend on what the process did before."""
    model = streamed("crossed")
    model.save(tmp_path / "m.ranef")
    code = (
        "import ranef, sys; m = ranef.load(sys.argv[1]); "
        "print(m.objective.hex(), *(v.hex() for v in m.fixef), m.r2().marginal.hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.ranef")],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [model.objective, *model.fixef, model.r2().marginal]
    assert done.stdout.split() == [float(value).hex() for value in expected]


def test_size(tmp_path: Path) -> None:
    """A file does not grow with the rows."""
    data, sizes = make_data(400), []
    for times in (1, 30):
        ranef.fit("y ~ x + (x | g)", [data] * times).save(tmp_path / "m.ranef")
        sizes.append((tmp_path / "m.ranef").stat().st_size)
    assert sizes[1] < 1.02 * sizes[0]


PLACES = {
    "R": lambda parts: (parts["basis"], "R"),
    "kept": lambda parts: (parts["basis"], "kept"),
    "A": lambda parts: (parts["factors"][0], "A"),
    "C": lambda parts: (parts["factors"][1], "C"),
    "whitening": lambda parts: (parts["factors"][0], "whitening"),
    "rows of pairs": lambda parts: (parts["pairs"][0], "rows"),
    "pairs": lambda parts: (parts["pairs"][0], "values"),
    "spread": lambda parts: (parts["facts"], "spread"),
    "counts": lambda parts: (parts["facts"]["cells"], "counts"),
    "numbers": lambda parts: (parts, "numbers"),
    "n": lambda parts: (parts, "n"),
    "prints": lambda parts: (parts["facts"], "prints"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [{"array": "theta"}, None, -1, [], "x"])
def test_other_values_are_refused(tmp_path: Path, place: str, value: Any) -> None:
    """Every part of the sums is checked: its kind, its shape, what it points at."""
    path = tmp_path / "m.ranef"
    save(streamed("crossed"), path)

    def change(content: Any) -> None:
        where, key = PLACES[place](content["streamed"])
        where[key] = value

    path.write_bytes(with_json(members_of(path.read_bytes()), change))
    with pytest.raises(StorageError):
        load(path)


@pytest.mark.parametrize("key", ["fixed", "terms", "groupings", "factors", "pairs", "facts", "n"])
def test_missing_parts(tmp_path: Path, key: str) -> None:
    """A part that is missing is named."""
    path = tmp_path / "m.ranef"
    save(streamed("crossed"), path)
    members = members_of(path.read_bytes())
    path.write_bytes(with_json(members, lambda content: content["streamed"].pop(key)))
    with pytest.raises(StorageError, match=key):
        load(path)


def test_functions_of_your_own(tmp_path: Path) -> None:
    """They are code, which is asked for again."""
    context = {"half": lambda x: np.asarray(x) / 2.0}
    model = ranef.fit("y ~ half(x) + (1 | g)", [make_data(200)], context=context)
    with pytest.raises(StorageError, match="omit_functions"):
        model.save(tmp_path / "m.ranef")
    model.save(tmp_path / "m.ranef", omit_functions=True)
    assert load(tmp_path / "m.ranef", context=context).fixef.equals(model.fixef)
