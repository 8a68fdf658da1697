"""A folder of parts on a disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rayanim.lock import FileLock
from rayanim.parts.disk import PATIENCE_S, read_plain, write_whole

LOCK = "lock"
"""The file that is locked, in the folder."""

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class DiskFolder:
    """A folder on a disk; see `rayanim.parts.folders.Folder`.

    Nothing is synced: what a power failure cut short must show that by itself.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path
    is_on_disk = True
    width = 1
    patience_s = PATIENCE_S

    def beside(self, suffix: str) -> DiskFolder:
        """The folder of this name and `suffix`."""
        return DiskFolder(self.path.with_name(self.path.name + suffix))

    def exists(self) -> bool:
        """Whether anything is in its place, be it a broken link."""
        return os.path.lexists(self.path)

    def is_plain(self) -> bool:
        """Whether it is a folder, and no link to one."""
        return self.path.is_dir() and not self.path.is_symlink()

    def was_locked_by_us(self) -> bool:
        """Whether it has our empty lock."""
        lock = self.path / LOCK
        return lock.is_file() and not lock.is_symlink() and not lock.stat().st_size

    def make(self) -> None:
        """Make it, empty, where nothing is."""
        self.path.mkdir()

    def names(self) -> list[str]:
        """What is in it, folders too."""
        return [each.name for each in self.path.iterdir()]

    def has(self, name: str) -> bool:
        """Whether something of this name is in it."""
        return (self.path / name).exists()

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of a plain file; see `read_plain`."""
        return read_plain(self.path / name, limit_bytes)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; see `write_whole`."""
        write_whole(self.path / name, data)

    def remove(self, names: Iterable[str]) -> None:
        """Take files away, as far as that is possible."""
        for name in names:
            with contextlib.suppress(OSError):
                (self.path / name).unlink()

    def discard(self) -> bool:
        """Take it away if nothing is in it; False if it stays."""
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True

    def move_to(self, other: DiskFolder) -> None:
        """Give it another name, which nothing has."""
        self.path.rename(other.path)

    def lock(self) -> FileLock:
        """The lock of the folder, held until it is closed or this process ends.

        Raises
        ------
        OutputError
            If another job uses the folder.
        """
        taken = (
            f"Another job is using the parts in {str(self.path)!r}. Wait for it, or choose "
            "another name."
        )
        return FileLock(self.path / LOCK, taken)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, one after the other."""
        return map(call, items)
