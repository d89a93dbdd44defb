"""Saving is all or nothing, and what cannot be saved is named."""

from __future__ import annotations

import os
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranef
from ranef.design.newdata import fixed_columns
from ranef.errors import OptionError, StorageError
from ranef.storage import load, save


@pytest.fixture(scope="module")
def model() -> ranef.LinearMixedModel:
    """Return a small model."""
    return ranef.fit("Yield ~ 1 + (1 | Batch)", ranef.datasets.load("dyestuff"))


def half(x: Any) -> Any:
    """Divide by two."""
    return x / 2


def learned(x: Any, _state: dict[str, Any]) -> Any:
    """Subtract what was the mean of the training data."""
    return x - _state.setdefault("parts", {"mean": np.array([np.mean(x)])})["mean"][0]


learned.__is_stateful_transform__ = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), MemoryError()])
def test_a_save_that_fails_leaves_the_old_file(
    error: BaseException,
    model: ranef.LinearMixedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The target is replaced by a complete file or not at all, and nothing is left beside it."""
    path = tmp_path / "m.ranef"
    path.write_text("old")
    whole = zipfile.ZipFile.writestr

    def fail(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *rest: Any) -> None:
        if info.filename == "model.json":
            raise error
        whole(archive, info, *rest)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(type(error)):
        save(model, path)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["m.ranef"]


def test_errors_of_the_system(model: ranef.LinearMixedModel, tmp_path: Path) -> None:
    """A folder that is not there, a folder in the place of the file, and no path at all."""
    with pytest.raises(FileNotFoundError):
        save(model, tmp_path / "no" / "m.ranef")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # what exactly depends on the system
        save(model, tmp_path / "folder")
    with pytest.raises(OptionError, match="path must be"):
        save(model, 7)  # type: ignore[arg-type]
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]


def test_paths(model: ranef.LinearMixedModel, tmp_path: Path) -> None:
    """Text or Path, any suffix, replacing what is there."""
    for path in (str(tmp_path / "a.ranef"), tmp_path / "b", tmp_path / "b"):
        save(model, path)
        assert load(path).objective == model.objective


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions of POSIX")
def test_links_and_permissions(model: ranef.LinearMixedModel, tmp_path: Path) -> None:
    """A symbolic link is written through, and the file is as readable as any other new file."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    save(model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "target").nobs == 30
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("target", "other")]
    assert modes[0] == modes[1]


def test_functions_are_refused_and_named(tmp_path: Path) -> None:
    """Functions of the context are code; constants are not."""
    data = ranef.datasets.load("sleepstudy")
    context = {"half": half, "shift": 2.0, "unused": print}
    model = ranef.fit(
        "Reaction ~ half(Days) + I(Days^shift) + (1 | Subject)", data, context=context
    )
    path = tmp_path / "m.ranef"
    with pytest.raises(StorageError, match=r"'half' \(function\) of your own.*omit_functions"):
        save(model, path)
    assert not path.exists()
    save(model, path, omit_functions=True)
    with pytest.raises(StorageError, match=r"'half' of your own.*context=\{'half': half\}"):
        load(path)
    loaded = load(path, context={"half": half, "shift": 77.0})
    assert (loaded.fitted == model.fitted).all()
    new = {"Days": [3.0, 4.5]}
    X = fixed_columns(loaded.design, new)
    np.testing.assert_array_equal(X, fixed_columns(model.design, new))
    assert loaded.design.spec.context["shift"] == 2.0  # what was stored is not replaced
    with pytest.raises(OptionError, match="context must be a dict"):
        load(path, context=half)  # type: ignore[arg-type]


def test_transforms_of_the_caller_keep_what_they_learned(tmp_path: Path) -> None:
    """The state of a stateful transform of one's own comes back, arrays included."""
    data = ranef.datasets.load("sleepstudy")
    context = {"learned": learned}
    model = ranef.fit("Reaction ~ learned(Days) + (1 | Subject)", data, context=context)
    save(model, tmp_path / "m.ranef", omit_functions=True)
    loaded = load(tmp_path / "m.ranef", context=context)
    X = fixed_columns(loaded.design, {"Days": [10.0]})
    np.testing.assert_array_equal(X, [[1.0, 5.5]])


@pytest.mark.parametrize(
    "value",
    [3, 2.5, True, np.float64(1.5), np.int8(4), np.arange(180) % 5, np.arange(180) / 7.0],
    ids=repr,
)
def test_constants_are_kept_with_their_types(value: Any, tmp_path: Path) -> None:
    """Numbers and arrays of the context are stored."""
    data = ranef.datasets.load("sleepstudy")
    model = ranef.fit("Reaction ~ I(Days * k) + (1 | Subject)", data, context={"k": value})
    save(model, tmp_path / "m.ranef")
    found = load(tmp_path / "m.ranef").design.spec.context["k"]
    assert type(found) is type(value)
    np.testing.assert_array_equal(found, value)


def test_saving_does_not_touch_the_model(model: ranef.LinearMixedModel, tmp_path: Path) -> None:
    """A model is the same before and after."""
    before = str(model)
    save(model, tmp_path / "m.ranef")
    assert str(model) == before
