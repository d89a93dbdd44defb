"""A model that was saved and loaded says what it said before, to the last digit."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ranef.design.build import rebuild_design
from ranef.formula import parse_formula
from ranef.model import LinearMixedModel
from ranef.storage import load, save
from storage import stored

TESTS = Path(__file__).parents[1]
READ_ALL = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from ranef.storage import load
from storage import stored
folder = Path(sys.argv[1])
facts = {{name: stored.facts(load(folder / f"{{i}}.ranef"), name)
          for i, name in enumerate(stored.NAMES)}}
(folder / "facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def models() -> dict[str, LinearMixedModel]:
    """Fit every model once."""
    return {name: stored.make(name) for name in stored.NAMES}


@pytest.fixture(scope="module")
def folder(models: dict[str, LinearMixedModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the models in a folder, and let another process write down what they say."""
    path = tmp_path_factory.mktemp("models")
    for i, name in enumerate(stored.NAMES):
        save(models[name], path / f"{i}.ranef")
    script = READ_ALL.format(tests=str(TESTS))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(path)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("name", stored.NAMES)
def test_another_process_finds_the_same_numbers(
    name: str, models: dict[str, LinearMixedModel], folder: Path
) -> None:
    """Summaries, estimates, predictions and columns for new data are equal, not only close.

    The same machine does the same operations on the same arrays, so there is nothing to round.
    """
    found = json.loads((folder / "facts.json").read_text())[name]
    expected = json.loads(json.dumps(stored.facts(models[name], name)))
    assert found == expected


@pytest.mark.parametrize("name", stored.NAMES)
def test_memory_is_shared_again(
    name: str, models: dict[str, LinearMixedModel], folder: Path
) -> None:
    """Random slopes that stand in X are views of it, and terms of one factor share their groups."""
    model, loaded = models[name], load(folder / f"{stored.NAMES.index(name)}.ranef")

    def shared(design: LinearMixedModel) -> list[bool]:
        X = design.design.X
        columns = [c for term in design.design.terms for c in term.columns if c is not None]
        columns += [c.values for c in design.design.variables.columns.values()]
        whole = X.data if sparse.issparse(X) else X
        return [np.shares_memory(column, whole) for column in columns]

    assert shared(loaded) == shared(model)
    groups = {term.grouping.name: term.grouping for term in loaded.design.terms}
    assert all(groups[term.grouping.name] is term.grouping for term in loaded.design.terms)


@pytest.mark.parametrize("name", ["slopes", "sparse", "poly"])
def test_what_is_loaded_cannot_be_changed(name: str, folder: Path) -> None:
    """Arrays of a loaded model are read-only, as those of a fitted one."""
    design = load(folder / f"{stored.NAMES.index(name)}.ranef").design
    arrays = [design.y, *(c.values for c in design.variables.columns.values())]
    arrays += [design.X.data] if sparse.issparse(design.X) else [design.X]
    arrays += [c for term in design.terms for c in (*term.columns, term.grouping.codes)
               if c is not None]  # fmt: skip
    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize("name", ["slopes", "dot", "missing", "contrast outside"])
def test_loaded_models_can_be_saved_pickled_and_refitted(name: str, folder: Path) -> None:
    """A loaded model is a model: its file is the same again, and its design can be changed."""
    path = folder / f"{stored.NAMES.index(name)}.ranef"
    loaded = load(path)
    save(loaded, folder / "again.ranef")
    assert (folder / "again.ranef").read_bytes() == path.read_bytes()
    assert (pickle.loads(pickle.dumps(loaded)).fitted == loaded.fitted).all()
    smaller = parse_formula(f"{loaded.formula.response} ~ 1 + (1 | g)")
    assert rebuild_design(loaded.design, smaller).x_names == ("Intercept",)


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    """Nothing in a file depends on when or where it was written."""
    for name in ("a", "b"):
        save(stored.make("slopes"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_row_labels_are_those_of_the_data(folder: Path) -> None:
    """Results per row carry the caller's index after loading too."""
    loaded = load(folder / f"{stored.NAMES.index('missing')}.ranef")
    pd.testing.assert_index_equal(loaded.fitted.index, stored.make("missing").fitted.index)
