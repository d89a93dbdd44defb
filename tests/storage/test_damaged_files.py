"""Ten thousand damaged files: each is refused in words, or is harmless and loads as it should."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ranef
from ranef.errors import FitError, StorageError
from ranef.storage import load, save
from storage import damage

Damage = Callable[[bytes, np.random.Generator], bytes]
# Nobody could have noticed the first four kinds but for the checksums; the others have right ones.
RANDOM: dict[str, tuple[Damage, int]] = {
    "one bit": (damage.flipped, 3000),
    "many bits": (partial(damage.flipped, count=30), 500),
    "cut": (damage.truncated, 1000),
    "overwritten": (damage.overwritten, 1000),
    "swapped": (partial(damage.swapped, sign=False), 500),
}
SIGNED: dict[str, tuple[Damage, int]] = {
    "swapped": (partial(damage.swapped, sign=True), 500),
    "junk in the description": (damage.bent, 2000),
    "bits of a member": (damage.flipped_inside, 1500),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, ranef.LinearMixedModel]]:
    """Two small files with factors, a spline, text labels and weights."""
    folder = tmp_path_factory.mktemp("whole")
    cake = ranef.datasets.load("cake").head(90)
    cake["w"] = 1.0 + np.arange(len(cake)) % 3
    cake.index = [f"row {i}" for i in range(len(cake))]
    found = []
    for formula, options in (
        ("angle ~ recipe + poly(temp, 2) + (1 | replicate)", {"weights": "w"}),
        ("angle ~ temperature + (1 + temp || replicate) + (1 | recipe:replicate)", {}),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ranef.fit(formula, cake, **options)
        save(model, folder / "m.ranef")
        found.append(((folder / "m.ranef").read_bytes(), model))
    return found


@pytest.mark.parametrize("kind", RANDOM)
def test_damage_is_found_or_harmless(
    kind: str, files: list[tuple[bytes, ranef.LinearMixedModel]], tmp_path: Path
) -> None:
    """A damaged file gives StorageError; if it loads, the model is the one that was saved."""
    harm, count = RANDOM[kind]
    rng = np.random.default_rng(8)
    path = tmp_path / "m.ranef"
    refused = 0
    for i in range(count):
        whole, model = files[i % 2]
        path.write_bytes(harm(whole, rng))
        try:
            loaded = load(path)
        except StorageError:
            refused += 1
        else:  # dates and the like, which are in no checksum
            assert (loaded.fitted == model.fitted).all()
            assert str(loaded) == str(model)
    assert refused > 0.8 * count


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.filterwarnings("ignore")  # numbers may be absurd, and numpy may say so
def test_files_that_others_put_together(
    kind: str, files: list[tuple[bytes, ranef.LinearMixedModel]], tmp_path: Path
) -> None:
    """With right checksums too, only the documented errors come up, and models that load print."""
    harm, count = SIGNED[kind]
    rng = np.random.default_rng(9)
    path = tmp_path / "m.ranef"
    for i in range(count):
        path.write_bytes(harm(files[i % 2][0], rng))
        try:
            loaded = load(path)
        except (StorageError, FitError) as error:
            assert str(path) in str(error) or isinstance(error, FitError)
        else:
            assert loaded.coef_table(ddf="normal").shape[1] == 7
