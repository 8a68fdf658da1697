"""Names values so that the same ones have the same name in every process.

Python's own `hash` differs from run to run, and pickles of equal values differ
by what they share. Here values are walked, each with its type and length, into
one BLAKE2b digest. What a pickle would hold decides: an object's class by name,
and its state. Code is not part of it, see `rayanim.parts.fingerprint`.
"""

from __future__ import annotations

import copyreg
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from rayanim.parts.part_file import DIGEST_BYTES

_PICKLE_PROTOCOL = 4


class UntellableError(Exception):
    """A value has no name that another process would find again."""


def batch_digest(numbers: Sequence[int], params: Sequence[Any] | None) -> str | None:
    """Digest of the frames of one segment: their numbers and their parameters.

    Parameters
    ----------
    numbers
        The frames' numbers.
    params
        One entry per frame, None where the source needs none.

    Returns
    -------
    str or None
        Hexadecimal digits; None where a parameter cannot be told, a lambda or
        an open file for example: the segment must then be drawn again.
    """
    walk = Walk()
    try:
        walk.add([int(number) for number in numbers])
        walk.add(None if params is None else list(params))
    except Exception:  # the user's own objects may raise anything: no digest is no harm
        return None
    return walk.hexdigest()


class Walk:
    """One walk through values, everything that is met going into one digest."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        # Where each container stands that the walk is inside of, for those that hold themselves.
        self._inside: dict[int, int] = {}

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        """Walk through `value`.

        Raises
        ------
        UntellableError
            If there is something in it that cannot be told.
        """
        kind = type(value)
        if kind in _SIMPLE:
            self._put(kind.__name__, _SIMPLE[kind](value))
        elif isinstance(value, type | FunctionType | BuiltinFunctionType):
            self._add_named(value)
        elif id(value) in self._inside:
            self._put("again", b"%d" % self._inside[id(value)])
        else:
            self._inside[id(value)] = len(self._inside)
            self._add_container(value, kind)
            del self._inside[id(value)]

    def _add_named(self, value: type | FunctionType | BuiltinFunctionType) -> None:
        """A class or a function."""
        self._put("by name", _importable_name(value))

    def _apart(self) -> Walk:
        """A walk of its own, for what has no order."""
        return Walk()

    def _digest_of(self, value: Any) -> bytes:
        walk = self._apart()
        walk.add(value)
        return walk.hexdigest().encode()

    def _add_container(self, value: Any, kind: type) -> None:
        if kind is list or kind is tuple:
            self._add_all(kind.__name__, value)
        elif kind is dict:
            self._add_all("dict", [each for item in value.items() for each in item])
        elif kind is set or kind is frozenset:
            self._put(kind.__name__, b"".join(sorted(map(self._digest_of, value))))
        elif kind is np.ndarray and not value.dtype.hasobject:
            self._add_array(value)
        else:
            self._add_reduced(value)

    def _add_array(self, array: npt.NDArray[Any]) -> None:
        self._put("array", repr((np.lib.format.dtype_to_descr(array.dtype), array.shape)).encode())
        for name in array.dtype.names or ():
            # Between the fields of a structure may lie whatever was in memory before.
            self.add(np.asarray(array[name]))
        if array.dtype.names is None:
            # As bytes: dates have no buffer of their own.
            flat = np.ascontiguousarray(array).reshape(-1)
            self._put("items", flat.view(np.uint8).data if array.nbytes else b"")

    def _add_reduced(self, value: Any) -> None:
        """What a pickle would hold of `value`."""
        registered = copyreg.dispatch_table.get(type(value))
        reduced: Any = registered(value) if registered else value.__reduce_ex__(_PICKLE_PROTOCOL)
        if isinstance(reduced, str):
            self._put("by name", f"{type(value).__module__} {reduced}".encode())
            return
        parts: list[Any] = [*reduced, None, None, None][:5]
        make, arguments, state, items, pairs = parts
        for each in (make, arguments, state):
            self.add(each)
        self._add_all("items", items or ())
        self._add_all("pairs", [each for pair in pairs or () for each in pair])

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        values = list(values)
        kinds = set(map(type, values))
        # One by one, a hundred thousand numbers would take longer than drawing them.
        if kinds == {float}:
            self._put(f"{kind} of floats", struct.pack(f"<{len(values)}d", *values))
        elif kinds == {int}:
            self._put(f"{kind} of ints", repr(values).encode())
        else:
            self._put(kind, b"%d" % len(values))
            for each in values:
                self.add(each)

    def _put(self, kind: str, content: bytes | memoryview) -> None:
        # The length keeps "ab", "c" and "a", "bc" apart.
        self._digest.update(f"{kind} {len(content)}:".encode())
        self._digest.update(content)


def _importable_name(value: Any) -> bytes:
    """The name under which another process finds a class or function."""
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not value:
        # A lambda, say: of several of that name, which one is meant?
        raise UntellableError(value.__qualname__)
    return f"{value.__module__} {value.__qualname__}".encode()


_SIMPLE: Mapping[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"",
    type(...): lambda value: b"",
    bool: lambda value: b"%d" % value,
    int: lambda value: hex(value).encode(),
    float: lambda value: struct.pack("<d", value),
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
    bytearray: bytes,
}
