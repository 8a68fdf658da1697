"""What a folder of parts must be able to do, on a disk or in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self, TypeVar

from rayanim.storage.address import Address

MANIFEST = "manifest.json"
"""The file without which parts count for nothing."""

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")


class Lock(Protocol):
    """Held from its making until `close`, or until it is lost."""

    @property
    def is_held(self) -> bool:
        """False once it was closed, or another job may have it."""

    def close(self) -> None:
        """Let others have it; nothing if that was done before."""


class Folder(Protocol):
    """One folder of files, which need not exist. It pickles.

    What fails raises an `OSError` unless said otherwise; its ``strerror`` is
    for people.
    """

    @property
    def path(self) -> Address:
        """Where it is, for people."""

    @property
    def is_on_disk(self) -> bool:
        """Whether it takes room on this machine's disk."""

    @property
    def width(self) -> int:
        """How many files are worth reading or writing at once."""

    @property
    def patience_s(self) -> float:
        """Seconds that writing a file may take before something is wrong."""

    def beside(self, suffix: str) -> Self:
        """The folder of this name and `suffix`."""

    def exists(self) -> bool:
        """Whether anything is in its place."""

    def is_plain(self) -> bool:
        """Whether it is a folder, and no link to one."""

    def was_locked_by_us(self) -> bool:
        """Whether a lock in it shows that rayanim made it."""

    def make(self) -> None:
        """Make it, empty, where nothing is."""

    def names(self) -> list[str]:
        """What is in it."""

    def has(self, name: str) -> bool:
        """Whether a file of this name is in it."""

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of a plain file; so many of them where `limit_bytes` is not negative.

        Raises
        ------
        PartsError
            If it is not there, no plain file, or cannot be read.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; one that is there is replaced.

        Raises
        ------
        EncodeError
            If it cannot be written; what was there stays.
        """

    def remove(self, names: Iterable[str]) -> None:
        """Take files away, as far as that is possible."""

    def discard(self) -> bool:
        """Take it away if nothing is in it; False if it stays."""

    def move_to(self, other: Self) -> None:
        """Give it another name, which nothing has."""

    def lock(self) -> Lock:
        """Keep other jobs from it.

        Raises
        ------
        OutputError
            If another job uses it.
        """

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in order, up to `width` of them ahead of time."""
