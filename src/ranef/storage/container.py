"""The file itself: a zip archive whose members are verified before anybody looks into them.

    manifest.json      format, version, and for every other member its size and SHA-256
    model.json         the model without its arrays
    arrays/NAME.npy    the arrays

Members are stored, not compressed, and this is checked: so the members together are no larger than
the file, and no file can make the reader allocate more than its own size. The manifest is protected
by the archive's CRC-32, everything else by SHA-256 too. That finds damage; it does not prove who
wrote the file, and need not: whatever a file says, reading it runs no code.

Files are written under another name beside the target and moved there when they are complete: an
interrupted `save` leaves what was there before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ranef.errors import StorageError

FORMAT = "ranef model"
VERSION = 1
MANIFEST = "manifest.json"
MEMBER = r"model\.json|arrays/[a-z0-9_]{1,60}\.npy"  # compiled at first use: imports are cheap
# A manifest has about 150 bytes per array, and models have an array or two per column.
LARGEST_MANIFEST = 64_000_000
# What zipfile raises, by its documentation or in fact, for archives that are damaged.
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, KeyError,
    OSError, OverflowError, RuntimeError, ValueError, RecursionError,
)  # fmt: skip


def write_container(path: Path, members: Mapping[str, bytes], writer: str) -> None:
    """Write the members and their manifest to ``path``, all or nothing.

    Parameters
    ----------
    path : Path
        Replaced if it exists; a symbolic link is followed.
    members : mapping of str to bytes
    writer : str
        The version of ranef, for readers who wonder.

    Raises
    ------
    OSError
        If the file cannot be written; what was at ``path`` is still there.
    """
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "writer": writer,
        "members": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        },
    }
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode())
                for name, data in members.items():
                    _add(archive, name, data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError) and error.filename == str(draft):
            error.filename = str(target)  # what the caller named, not the draft beside it
        raise


def read_container(path: Path) -> dict[str, bytes]:
    """Read and verify all members.

    Returns
    -------
    dict of str to bytes
        Without the manifest.

    Raises
    ------
    OSError
        If the file cannot be opened.
    StorageError
        If it is not a model saved by ranef, was written in a later version of the format, or is
        damaged.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path)
        except StorageError:
            raise
        except _DAMAGE as error:
            raise _damaged(path, str(error) or type(error).__name__) from None


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # always the same date: the same model gives the same file
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def _read(file: BinaryIO, path: Path) -> dict[str, bytes]:
    size = file.seek(0, os.SEEK_END)
    if not zipfile.is_zipfile(file):
        raise StorageError(f"{path} is not a model saved by ranef; ranef.load reads those only.")
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if MANIFEST not in infos:
            raise StorageError(
                f"{path} is a zip archive, but not a model saved by ranef: it has no {MANIFEST}."
            )
        manifest = infos[MANIFEST]
        _check_entry(manifest, min(size, LARGEST_MANIFEST), path)
        members = _members(_json(archive.read(manifest)), path)
        if len(infos) != len(archive.infolist()) or infos.keys() != {MANIFEST, *members}:
            raise _damaged(path, "its members are not those that the manifest lists")
        if sum(info.file_size for info in infos.values()) > size:
            raise _damaged(path, "its members claim to be larger than the file")
        return {
            name: _verified(archive, infos[name], entry, path) for name, entry in members.items()
        }


def _json(data: bytes) -> Any:
    return json.loads(data.decode("utf-8"))


def _members(manifest: Any, path: Path) -> dict[str, Any]:
    """Return what the manifest lists, after a look at its format and version."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StorageError(f"{path} is not a model saved by ranef: its manifest says otherwise.")
    version = manifest.get("version")
    if type(version) is not int or version < 1:
        raise _damaged(path, f"its version is {version!r}")
    if version > VERSION:
        writer = ascii(manifest.get("writer"))[:30]
        raise StorageError(
            f"{path} was written by ranef {writer} in version {version} of the format; this ranef "
            f"reads versions up to {VERSION}. Update ranef to load it."
        )
    members = manifest.get("members")
    if not isinstance(members, dict) or not all(re.fullmatch(MEMBER, name) for name in members):
        raise _damaged(path, "the manifest lists members that models do not have")
    if "model.json" not in members:
        raise _damaged(path, "model.json is missing")
    return members


def _check_entry(info: zipfile.ZipInfo, largest: int, path: Path) -> None:
    plain = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    if not plain or info.flag_bits & 0x1:
        raise _damaged(path, f"{info.filename} is compressed or encrypted")
    if info.file_size > largest:
        raise _damaged(path, f"{info.filename} claims to be larger than the file")


def _verified(archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: Any, path: Path) -> bytes:
    if not isinstance(entry, dict) or entry.get("size") != info.file_size:
        raise _damaged(path, f"{info.filename} has another size than the manifest says")
    _check_entry(info, info.file_size, path)
    data = archive.read(info)
    if len(data) != info.file_size or hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise _damaged(path, f"{info.filename} has another content than the manifest says")
    return data


def _damaged(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"{path} cannot be read: {reason}. The file is damaged or was changed; use a copy, or fit "
        "the model again."
    )
