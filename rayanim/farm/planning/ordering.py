"""Puts what arrives in any order back in order; PURE."""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ordering(Generic[Item]):
    """Holds items back until all before them have come.

    Parameters
    ----------
    first
        The index that is released first.
    """

    def __init__(self, first: int = 0) -> None:
        self._next = first
        self._early: dict[int, Item] = {}

    def __len__(self) -> int:
        return len(self._early)

    def put(self, index: int, item: Item) -> list[Item]:
        """Take the item of `index`, and release what is in order now.

        Raises
        ------
        ValueError
            If `index` came before: an item is never released twice.
        """
        if index < self._next or index in self._early:
            raise ValueError(f"item {index} came twice")
        self._early[index] = item
        released: list[Item] = []
        while self._next in self._early:
            released.append(self._early.pop(self._next))
            self._next += 1
        return released


class Prefix:
    """How far indices that come in any order, some of them twice, are there without a gap.

    Attributes
    ----------
    next
        The first index that was not taken.
    """

    def __init__(self) -> None:
        self.next = 0
        self._early: set[int] = set()

    def add(self, index: int) -> bool:
        """Note that `index` is there; False if it was before."""
        is_new = index >= self.next and index not in self._early
        if is_new:
            self._early.add(index)
        return is_new

    @property
    def is_ready(self) -> bool:
        """Whether there is one to take."""
        return self.next in self._early

    def take(self) -> range:
        """All that follow those taken before without a gap."""
        first = self.next
        while self.next in self._early:
            self._early.remove(self.next)
            self.next += 1
        return range(first, self.next)
