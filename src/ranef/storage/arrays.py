"""Arrays as .npy members: numbers and booleans in little-endian order, never Python objects.

An array is written once, however many parts of the model share its memory, and shared again after
loading. A column of a matrix that is written whole is referred to as such: the model matrix X and
the random slopes in it are the same numbers.

Reading does not trust the header. It must be what numpy writes for numbers, to the letter, which
leaves no room for pickled objects; and kind and shape must account for exactly the bytes that are
there, so that no header can make numpy allocate more than the file has. (numpy's own reader hands
headers to Python's parser and allocates what they say.)
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ranef.errors import StorageError

# bool, integers and floats that exist on every machine
KINDS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
LONGEST_HEADER = 1000  # at least eight times as long as any that is needed
_MAGIC = b"\x93NUMPY\x01\x00"
_PREFIX = struct.Struct("<8sH")
_HEADER = (
    rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,15},)?|\d{1,15}(?:, \d{1,15}){1,2})\), \} *\n"
)
_NAME = r"[a-z0-9_]{1,60}"

Reference = dict[str, Any]
Members = dict[str, bytes]


class ArrayWriter:
    """Collects the arrays of a model under names, each once.

    Attributes
    ----------
    members : dict of str to bytes
        The .npy files.
    """

    def __init__(self) -> None:
        self.members: Members = {}
        self._known: dict[tuple[object, ...], Reference] = {}
        self._alive: list[NDArray[Any]] = []  # what is known by its address must not be freed

    def add(self, array: NDArray[Any], name: str = "values", *, columns: bool = False) -> Reference:
        """Write an array, unless it is known, and return how to refer to it.

        Parameters
        ----------
        array : array of numbers or booleans
        name : str
            What to call it; a number is added if the name is taken.
        columns : bool
            Let columns of this matrix be recognised.
        """
        key = _identity(array)
        if key not in self._known:
            self._alive.append(array)
            unique = self._unique(name)
            self.members[f"arrays/{unique}.npy"] = encode_array(array)
            self._known[key] = {"array": unique}
            if columns:
                for j in range(array.shape[1]):
                    self._known[_identity(array[:, j])] = {"array": unique, "column": j}
        return self._known[key]

    def _unique(self, name: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "values"
        unique, count = plain, 1
        while f"arrays/{unique}.npy" in self.members:
            count += 1
            unique = f"{plain}_{count}"
        return unique


class ArrayReader:
    """Gives the arrays of a file by their references; what was shared is shared again.

    Parameters
    ----------
    members : mapping of str to bytes
        Verified members of a file.
    """

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self._members = members
        self._read: dict[str, NDArray[Any]] = {}

    def get(self, reference: Any) -> NDArray[Any]:
        """Return the array, or the column of an array, that is referred to. Read-only.

        Raises
        ------
        StorageError
            If there is none.
        """
        if not isinstance(reference, dict) or not reference.keys() <= {"array", "column"}:
            raise StorageError(f"this is not a reference to an array: {reference!r:.60}")
        name, column = reference.get("array"), reference.get("column")
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise StorageError(f"there is no array {name!r:.60}")
        if name not in self._read:
            data = self._members.get(f"arrays/{name}.npy")
            if data is None:
                raise StorageError(f"there is no array {name!r}")
            self._read[name] = decode_array(data, name)
        array = self._read[name]
        if "column" not in reference:
            return array
        if array.ndim != 2 or type(column) is not int or not 0 <= column < array.shape[1]:
            raise StorageError(f"the array {name!r} has no column {column!r:.20}")
        return array[:, column]


def encode_array(array: NDArray[Any]) -> bytes:
    """Return the .npy file of an array of numbers or booleans; extended precision becomes double.

    Raises
    ------
    StorageError
        If the array holds something else.
    """
    kind = array.dtype.str[1:]
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array, kind = array.astype(np.float64), "f8"
    if kind not in KINDS:
        raise StorageError(f"an array of {array.dtype} cannot be saved; only numbers can.")
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"))
    file = io.BytesIO()
    npy.write_array(file, little, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def decode_array(data: bytes, name: str) -> NDArray[Any]:
    """Read a .npy file.

    Returns
    -------
    array
        In the memory order it was written in; read-only.

    Raises
    ------
    StorageError
        If it holds anything but numbers and booleans, or not as many as it says.
    """
    head = data[: _PREFIX.size]
    magic, length = _PREFIX.unpack(head) if len(head) == _PREFIX.size else (b"", 0)
    start = _PREFIX.size + length
    header = re.fullmatch(_HEADER, data[_PREFIX.size : start])
    if magic != _MAGIC or length > LONGEST_HEADER or header is None:
        raise StorageError(f"the header of the array {name!r} cannot be read")
    kind, fortran, extents = (part.decode("ascii") for part in header.groups())
    if kind[1:] not in KINDS:
        raise StorageError(f"the array {name!r} holds {kind}, which is not a kind of number")
    dtype = np.dtype(kind)
    shape = tuple(int(extent) for extent in extents.split(",") if extent.strip())
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise StorageError(f"the array {name!r} is not as long as its header says")
    flat = np.frombuffer(data, dtype, offset=start)
    if dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise StorageError(f"the array {name!r} holds truth values that are neither")
    array = flat.astype(dtype.newbyteorder("="), copy=True).reshape(
        shape, order="F" if fortran == "True" else "C"
    )
    array.flags.writeable = False
    return array


def _identity(array: NDArray[Any]) -> tuple[object, ...]:
    """Return what two views of the same numbers have in common."""
    if array.size == 0:
        return ("empty", array.shape, array.dtype.str)
    address = array.__array_interface__["data"][0]
    # the stride of an axis of length one says nothing
    strides = tuple(s for s, extent in zip(array.strides, array.shape, strict=True) if extent > 1)
    return (address, array.shape, strides, array.dtype.str)
