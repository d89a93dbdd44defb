"""Files that are no models, or were made to do harm: refused in words, executing nothing."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ranef
from ranef.errors import OptionError, RanefError, StorageError
from ranef.storage import load, save
from storage.damage import Members, members_of, packed, signed, with_json


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """Return the members of a sound file."""
    path = tmp_path_factory.mktemp("sound") / "m.ranef"
    formula = "Reaction ~ scale(Days) + (Days | Subject)"
    save(ranef.fit(formula, ranef.datasets.load("sleepstudy")), path)
    return members_of(path.read_bytes())


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def npy(array: Any) -> bytes:
    """Return a .npy file, pickled if need be."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(text: str, data: bytes = bytes(1440)) -> bytes:
    """Return a .npy file with any header."""
    head = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def refuse(path: Path, data: bytes, said: str) -> None:
    """Check that the file is refused with these words, without much memory."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match=said):
            load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # members, their copies as arrays, and a parsed description: nothing that a header asked for
    assert peak < 10 * len(data) + 5_000_000


def test_the_fixture_is_sound(members: Members, tmp_path: Path) -> None:
    """What is not changed loads, signed anew or not."""
    for data in (packed(members), signed(members)):
        (tmp_path / "m").write_bytes(data)
        assert load(tmp_path / "m").nobs == 180


@pytest.mark.parametrize("shape", [(), (1,), (180,)])
def test_pickles_are_not_read(members: Members, tmp_path: Path, shape: tuple[int, ...]) -> None:
    """An array of Python objects is refused before anything is unpickled."""
    mark = tmp_path / "executed"
    array = np.full(shape, Bomb(mark), dtype=object)
    assert pickle.loads(pickle.dumps(Bomb(mark))) is None and mark.exists()  # the bomb works
    mark.unlink()
    refuse(tmp_path / "m", signed({**members, "arrays/y.npy": npy(array)}), "header of the array")
    assert not mark.exists()


HEADERS = {
    "terabytes": "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "overflow": "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "empty but long": "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000), }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (180,), }",
    "text": "{'descr': '<U2', 'fortran_order': False, 'shape': (180,), }",
    "records": "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (180,), }",
    "code": "{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (180,), }",
    "brackets": "(" * 900,
    "long": "{'descr': '<f8', 'fortran_order': False, 'shape': (180,), }" + " " * 60_000,
    "big-endian": "{'descr': '>f8', 'fortran_order': False, 'shape': (180,), }",
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-180,), }",
    "nothing": "",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_not_trusted(name: str, members: Members, tmp_path: Path) -> None:
    """Kind and shape must be those of numbers, and account for the bytes that are there."""
    changed = {**members, "arrays/y.npy": header(HEADERS[name])}
    refuse(tmp_path / "m", signed(changed), "'y'|y has the shape|y does not hold")


def test_compressed_members(members: Members, tmp_path: Path) -> None:
    """A gigabyte of zeros takes a megabyte in a zip file; models are not compressed."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("manifest.json", members["manifest.json"])
        with archive.open("model.json", "w", force_zip64=True) as member:
            for _ in range(200):
                member.write(bytes(1_000_000))
    refuse(tmp_path / "m", bomb.getvalue(), "compressed")
    refuse(tmp_path / "m", packed(members, zipfile.ZIP_DEFLATED), "compressed")


def test_overlapping_members(members: Members, tmp_path: Path) -> None:
    """Members that share their bytes claim to be more than the file has."""
    names, data = [f"arrays/big_{i}.npy" for i in range(50)], npy(np.zeros(50_000))
    manifest = json.loads(members["manifest.json"])
    manifest["members"] |= {name: {"size": len(data), "sha256": ""} for name in names}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, member)
        archive.writestr(names[0], data)
        first = archive.getinfo(names[0])
        for name in names[1:]:  # the directory lists the same bytes under every name
            copy = zipfile.ZipInfo(name)
            copy.header_offset, copy.CRC = first.header_offset, first.CRC
            copy.file_size = copy.compress_size = first.file_size
            archive.filelist.append(copy)
    refuse(tmp_path / "m", file.getvalue(), "larger than the file")


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "arrays/../x.npy", "arrays/A.npy", "x"])
def test_names_of_members(name: str, members: Members, tmp_path: Path) -> None:
    """Names are of one form, and nothing is ever written by them."""
    refuse(tmp_path / "m", signed({**members, name: b""}), "members that models do not have")
    refuse(tmp_path / "m", packed({**members, name: b""}), "not those that the manifest lists")


def test_members_that_are_missing(members: Members, tmp_path: Path) -> None:
    """A manifest without its members, and members without a manifest."""
    without = {name: data for name, data in members.items() if name != "arrays/y.npy"}
    refuse(tmp_path / "m", packed(without), "not those that the manifest lists")
    refuse(tmp_path / "m", signed(without), "no array 'y'")
    without = {name: data for name, data in members.items() if name != "model.json"}
    refuse(tmp_path / "m", signed(without), "model.json is missing")


def test_later_versions(members: Members, tmp_path: Path) -> None:
    """A file of a later format says so, whatever else is in it."""
    later = {"format": "ranef model", "version": 2, "writer": "9.1.0", "anything": ["else"]}
    data = packed({"manifest.json": json.dumps(later).encode(), "new": b""})
    refuse(tmp_path / "m", data, "written by ranef '9.1.0' in version 2 .* Update ranef")
    for version in (0, "1", None, True):
        changed = {**json.loads(members["manifest.json"]), "version": version}
        data = packed({**members, "manifest.json": json.dumps(changed).encode()})
        refuse(tmp_path / "m", data, "its version is")


def foreign() -> dict[str, bytes]:
    """Return files that people may take for a model."""
    npz, excel = io.BytesIO(), packed({"xl/workbook.xml": b"<x/>", "[Content_Types].xml": b""})
    np.savez(npz, y=np.zeros(3))
    return {
        "empty": b"",
        "text": b"Reaction ~ Days",
        "csv": pd.DataFrame({"a": [1]}).to_csv().encode(),
        "pickle": pickle.dumps({"a": 1}),
        "npz": npz.getvalue(),
        "xlsx": excel,
        "json": b'{"format": "ranef model", "version": 1}',
        "other manifest": packed({"manifest.json": b'{"format": "other", "version": 1}'}),
        "list": packed({"manifest.json": b"[]"}),
    }


@pytest.mark.parametrize("name", foreign())
def test_foreign_files(name: str, tmp_path: Path) -> None:
    """Anything else is said not to be a model."""
    refuse(tmp_path / "m", foreign()[name], "not a model saved by ranef")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5_000, "\xff", "{", ""])
def test_strange_descriptions(text: str, members: Members, tmp_path: Path) -> None:
    """JSON that exhausts its reader, or is none."""
    data = text.encode("latin1")
    refuse(tmp_path / "m", signed({**members, "model.json": data}), "cannot be loaded")
    refuse(tmp_path / "m", packed({**members, "manifest.json": data}), "cannot be read|says other")


def _with(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


LONG_RANGE = {"kind": "range", "range": [0, 10**15, 1], "name": None}
LABELS = {"kind": "datetime", "values": {"array": "y"}, "unit": "ns", "frequency": None}
CHANGES: dict[str, tuple[Callable[[Any], None], str]] = {
    "rows": (_with("rows", value=10**15), "range is longer|row labels for"),
    "a long range": (_with("labels", 0, value=LONG_RANGE), "range is longer than the data"),
    "a zone that is a path": (
        _with("labels", 0, value={**LABELS, "zone": "dateutil//etc/localtime", "name": None}),
        "is not a time zone",
    ),
    "an unknown kind of labels": (_with("labels", 0, "kind", value="evil"), "kind of labels"),
    "another formula": (
        _with("formula", "source", value="Reaction ~ 1 + (Days | Subject)"),
        "not the terms of the formula",
    ),
    "no formula": (_with("formula", "source", value="Reaction ~"), "nothing after"),
    "another group": (
        _with("formula", "source", value="Reaction ~ scale(Days) + (Days | Days)"),
        "no 'Days'",
    ),
    "another criterion": (_with("objective", value=1700.0), "that of the saved one was 1700"),
    "another theta": (_with("theta", value={"array": "y"}), "has not the parameters"),
    "names of others": (_with("theta_names", 0, value="x"), "has not the parameters"),
    "y from X": (_with("design", "y", value={"array": "x", "column": 0}), "cannot be those of"),
    "a status that is none": (_with("convergence", "status", value="fine"), "parts disagree"),
    "an optimizer that is none": (_with("convergence", "optimizer", value="magic"), "disagree"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_parts_that_do_not_belong_together(name: str, members: Members, tmp_path: Path) -> None:
    """Every part is checked against the others; checksums are right in all of these files."""
    change, said = CHANGES[name]
    refuse(tmp_path / "m", with_json(members, change), said)


def test_theta_and_factors_must_agree(members: Members, tmp_path: Path) -> None:
    """What is reported and what is computed with are the same covariance matrix."""
    theta = np.frombuffer(members["arrays/theta.npy"][-24:]) * 1.01
    data = signed({**members, "arrays/theta.npy": npy(theta)})
    refuse(tmp_path / "m", data, "theta and the covariance factor of Subject disagree")


def test_formulas_are_not_code(members: Members, tmp_path: Path) -> None:
    """A call of a function that nobody listed is refused when it would be evaluated."""
    mark = tmp_path / "executed"
    call = f"__import__('pathlib').Path('{mark}').touch()"

    def change(content: Any) -> None:
        content["formula"]["source"] = f"Reaction ~ I({call}) + (Days | Subject)"

    refuse(tmp_path / "m", with_json(members, change), "formula cannot be read")

    def call_only(content: Any) -> None:
        content["formula"]["source"] = "Reaction ~ system('touch') + (Days | Subject)"

    (tmp_path / "m").write_bytes(with_json(members, call_only))
    model = load(tmp_path / "m")
    from ranef.design.newdata import fixed_columns

    with pytest.raises(RanefError, match="unknown function 'system'"):
        fixed_columns(model.design, {"Days": [1.0], "Subject": [308]})
    assert not mark.exists()


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    """The operating system's errors stay what they are; other types are no paths."""
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.ranef")
    with pytest.raises(OSError):  # what exactly depends on the system
        load(tmp_path)
    for path in (0, None, b"m.ranef"):
        with pytest.raises(OptionError, match="path must be"):
            load(path)  # type: ignore[arg-type]
