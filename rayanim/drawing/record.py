"""Holds the state of many objects, by identity and by value, and tells whether it is the same.

A `Record` is filled by `watch.Watch`. `Record.same` is one pass in C for each
kind of state and is what runs in nearly every frame; only where it says no,
`Record.differs` looks item by item for what is a change and what is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat
from operator import getitem, is_
from typing import Any

import numpy as np
import numpy.typing as npt

from rayanim.drawing.private import NOISE

Names = tuple[str, ...]
AnyArray = npt.NDArray[Any]

MOST_BYTES = 64 << 20
"""Arrays larger than this are compared by a sample: what it misses, the guard finds.

All others are compared whole, against a copy: 0.1 ms for each MB, which is
little beside the drawing of so much.
"""

SAMPLE = 4096
"""Items in such a sample."""

SMALL_BYTES = 1 << 15
"""Up to here an array's bytes are compared as a string, which has the least overhead."""


class Mark:
    """What stands in an artist's stale flag while nothing has set it and nobody has drawn it."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


class Record:
    """The state of many objects as it was at one time."""

    def __init__(self) -> None:
        self._mark = Mark()
        self._pick_owners: list[dict[str, Any]] = []
        self._pick_names: list[str] = []
        self._picked: list[Any] = []
        self._leaf_owners: list[dict[str, Any]] = []
        self._leaf_names: list[str] = []
        self._leaf_bytes: list[bytes] = []
        self._arrays: list[AnyArray] = []
        self._array_bytes: list[bytes] = []
        self._large: list[AnyArray] = []
        self._large_copies: list[AnyArray] = []
        self._flagged: list[dict[str, Any]] = []
        self._flagged_kept: list[dict[str, Any]] = []
        self._marks: list[Mark] = []
        self._views: list[Any] = []
        self._names: list[Names | None] = []
        self._lengths: list[int] = []
        self._values: list[Any] = []

    @classmethod
    def joined(cls, records: Iterable[Record]) -> Record:
        """One that is the same as long as all of these are; only for `same`."""
        joined = cls()
        lists = [value for value in vars(joined).values() if isinstance(value, list)]
        for record in records:
            theirs = (value for value in vars(record).values() if isinstance(value, list))
            for mine, more in zip(lists, theirs, strict=True):
                mine.extend(more)
        return joined

    def pick(self, attributes: dict[str, Any], name: str) -> None:
        """Keep one attribute of an object."""
        self._pick_owners.append(attributes)
        self._pick_names.append(name)
        self._picked.append(attributes[name])

    def leaf(self, attributes: dict[str, Any], name: str) -> None:
        """Keep one attribute of an object, an array, by value: it may be another one later."""
        self._leaf_owners.append(attributes)
        self._leaf_names.append(name)
        self._leaf_bytes.append(attributes[name].tobytes())

    def array(self, array: AnyArray) -> None:
        """Keep what is in an array."""
        if array.nbytes > MOST_BYTES:
            array = _sample(array)
        if array.nbytes > SMALL_BYTES and not array.dtype.hasobject:
            self._large.append(array)
            self._large_copies.append(_words(array).copy())
        else:
            self._arrays.append(array)
            self._array_bytes.append(array.tobytes())

    def view(self, view: Any, names: Names | None = None) -> None:
        """Keep what a list, a set or a dictionary's keys or values hold, by identity."""
        kept = list(view)
        self._views.append(view)
        self._names.append(names)
        self._lengths.append(len(kept))
        self._values += kept

    def flag(self, artist: Any) -> None:
        """Keep an artist's attributes, to be looked at only after a setter or a draw of it."""
        attributes = vars(artist)
        attributes["_stale"] = self._mark
        self._flagged.append(attributes)
        self._flagged_kept.append(dict(attributes))
        self._marks.append(self._mark)

    def same(self) -> bool:
        """Whether everything is as it was; False also where that would take a closer look."""
        try:
            return (
                all(map(is_, map(getitem, self._pick_owners, self._pick_names), self._picked))
                and all(map(is_, map(getitem, self._flagged, repeat("_stale")), self._marks))
                and self._same_arrays()
                and list(map(len, self._views)) == self._lengths
                and all(map(is_, chain.from_iterable(self._views), self._values))
            )
        except (KeyError, AttributeError):
            return False

    def differs(self) -> bool:
        """Whether anything changed: numbers set anew to the same value are no change."""
        try:
            return (
                self._picks_differ()
                or not self._same_arrays()
                or list(map(len, self._views)) != self._lengths
                or self._views_differ()
                or self._flagged_differ()
            )
        except (KeyError, AttributeError):
            return True

    def _same_arrays(self) -> bool:
        leaves = map(getitem, self._leaf_owners, self._leaf_names)
        return (
            [leaf.tobytes() for leaf in leaves] == self._leaf_bytes
            and [array.tobytes() for array in self._arrays] == self._array_bytes
            and all(
                np.array_equal(_words(array), copy)
                for array, copy in zip(self._large, self._large_copies, strict=True)
            )
        )

    def _picks_differ(self) -> bool:
        now = list(map(getitem, self._pick_owners, self._pick_names))
        if all(map(same_value, now, self._picked)):
            self._picked = now
            return False
        return True

    def _views_differ(self) -> bool:
        position = 0
        for view, names in zip(self._views, self._names, strict=True):
            for offset, value in enumerate(view):
                kept = self._values[position]
                if value is not kept:
                    name = names[offset] if names is not None else ""
                    if name not in NOISE and not same_value(value, kept):
                        return True
                    self._values[position] = value
                position += 1
        return False

    def _flagged_differ(self) -> bool:
        for attributes, kept in zip(self._flagged, self._flagged_kept, strict=True):
            if attributes["_stale"] is not self._mark:
                if _looks_differ(attributes, kept):
                    return True
                attributes["_stale"] = self._mark
        return False


def same_value(value: Any, kept: Any) -> bool:
    """Whether two are one thing, or numbers or texts of one kind and value."""
    if value is kept:
        return True
    if type(value) is not type(kept):
        return False
    if isinstance(value, tuple):
        return len(value) == len(kept) and all(map(same_value, value, kept))
    return isinstance(value, int | float | str | bytes | np.generic) and bool(value == kept)


def _looks_differ(attributes: dict[str, Any], kept: dict[str, Any]) -> bool:
    if not attributes.get("_visible", True) and not kept.get("_visible", True):
        # Hidden, it draws nothing, and what is set on it shows only with its visibility.
        return False
    return attributes.keys() != kept.keys() or any(
        not same_value(value, kept[name])
        for name, value in attributes.items()
        if name != "_stale" and name not in NOISE
    )


def _sample(array: AnyArray) -> AnyArray:
    whole = array.flags.forc
    flat = array.reshape(-1, order="A") if whole else array[:: len(array) // 64 + 1]
    return flat[:: max(1, flat.size // SAMPLE)]


def _words(array: AnyArray) -> AnyArray:
    """The bytes of `array` in memory order, eight at a time where they can be."""
    flat = array.ravel(order="K").view(np.uint8)
    return flat.view(np.uint64) if flat.nbytes % 8 == 0 else flat
