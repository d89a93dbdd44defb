"""Ways to damage a file: at random, and on purpose with every checksum put right again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Members = dict[str, bytes]
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 3, 2**31, 10**30, 1.5, "", "x", "\ud800", "../../etc/passwd", [], [[]], {},
    {"array": "y"}, {"array": "x", "column": 99}, {"column": 0}, {"float": "nan"}, {"tuple": [1]},
    {"numpy": "int8", "value": 10**9}, {"sparse": {}}, {"values": {"array": "y"}}, {"label": 0},
    {"range": [0, 10**18, 1]}, {"contrast": ["sum", None, None]}, {"dict": [[1]]},
)  # fmt: skip


def members_of(data: bytes) -> Members:
    """Return the members of a file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a file with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def signed(members: Members) -> bytes:
    """Return a file with these members and a manifest that vouches for them."""
    rest = {name: data for name, data in members.items() if name != "manifest.json"}
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in rest.items()
    }
    return packed({"manifest.json": json.dumps(manifest).encode(), **rest})


def with_json(members: Members, change: Callable[[Any], None]) -> bytes:
    """Return a signed file whose model.json was changed."""
    content = json.loads(members["model.json"])
    change(content)
    return signed({**members, "model.json": json.dumps(content).encode()})


def flipped(data: bytes, rng: np.random.Generator, count: int = 1) -> bytes:
    """Return the bytes with some bits changed."""
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the beginning, the end, or what is left without a piece."""
    start, stop = sorted(rng.integers(0, len(data), 2).tolist())
    return (data[:start], data[stop:], data[:start] + data[stop:])[rng.integers(3)]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with a run of zeros or of noise."""
    start = int(rng.integers(len(data)))
    length = min(int(rng.integers(1, 200)), len(data) - start)
    run = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return data[:start] + run + data[start + length :]


def swapped(data: bytes, rng: np.random.Generator, *, sign: bool) -> bytes:
    """Return the file with the contents of two members exchanged."""
    members = members_of(data)
    names = [name for name in members if name != "manifest.json"]
    first, second = rng.choice(names, 2, replace=False).tolist()
    members[first], members[second] = members[second], members[first]
    return signed(members) if sign else packed(members)


def bent(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the file with junk, or with nothing, somewhere in model.json; signed."""
    members = members_of(data)
    content = json.loads(members["model.json"])
    places: list[tuple[Any, Any]] = []
    stack = [content]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    node, key = places[rng.integers(len(places))]
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = JUNK[rng.integers(len(JUNK))]
    return signed({**members, "model.json": json.dumps(content).encode()})


def flipped_inside(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the file with bits of one member changed, or some of its bytes lost; signed."""
    members = members_of(data)
    names = [name for name in members if name != "manifest.json"]
    name = str(rng.choice(names))
    member = members[name]
    if rng.random() < 0.3:
        member = member[: rng.integers(len(member))]
    else:  # the first bytes are the header, where a change matters most
        head = len(member) if rng.random() < 0.5 else min(len(member), 128)
        member = flipped(member[:head], rng) + member[head:]
    return signed({**members, name: member})
