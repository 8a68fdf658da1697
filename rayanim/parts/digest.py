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
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from rayanim.parts.part_file import DIGEST_BYTES

_PICKLE_PROTOCOL = 4


class _UntellableError(Exception):
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
    walk = _Walk()
    try:
        walk.add([int(number) for number in numbers])
        walk.add(None if params is None else list(params))
    except Exception:  # the user's own objects may raise anything: no digest is no harm
        return None
    return walk.hexdigest()


def frame_digest(pixels: npt.NDArray[Any]) -> str:
    """Digest of one frame.

    Parameters
    ----------
    pixels
        Drawn or converted, any shape and type of numbers.
    """
    walk = _Walk()
    walk.add(pixels)
    return walk.hexdigest()


class _Walk:
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
        _UntellableError
            If there is something in it that cannot be told.
        """
        kind = type(value)
        if kind in _SIMPLE:
            Mapping[type, Any] = {
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
