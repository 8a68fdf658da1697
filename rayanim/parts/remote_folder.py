"""A folder of parts in a store of objects: all that have its address before their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rayanim.errors import EncodeError, OutputError, PartsError
from rayanim.parts.folders import MANIFEST, Lock
from rayanim.storage.address import Url
from rayanim.storage.remote import RemoteStore

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")


class RemoteFolder:
    """A folder in a store; see `rayanim.parts.folders.Folder`.

    Parameters
    ----------
    store
        The store.
    path
        The folder's address.
    guard
        Keeps other jobs from the film, and so from the folder; it does not
        travel to other processes.
    """

    is_on_disk = False

    def __init__(self, store: RemoteStore, path: Url, guard: Lock | None = None) -> None:
        self.path = path
        self._store = store
        self._guard = guard

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_guard": None}

    @property
    def patience_s(self) -> float:
        """What all its tries may take, and as long again as one for what waits before them."""
        return self._store.patience_s

    @property
    def width(self) -> int:
        """How many files are worth reading or writing at once."""
        return self._store.width

    def beside(self, suffix: str) -> RemoteFolder:
        """The folder of this name and `suffix`."""
        path = self.path.with_name(self.path.name + suffix)
        return RemoteFolder(self._store, path, self._guard)

    def exists(self) -> bool:
        """Whether any object is in it, or has its name."""
        return self._store.look(self.path) is not None

    def is_plain(self) -> bool:
        """Whether any object is in it; in a store there are no links."""
        return bool(self._store.names(self.path))

    def was_locked_by_us(self) -> bool:
        """Nothing in the folder tells that: locks lie elsewhere."""
        return False

    def make(self) -> None:
        """Nothing: a folder is there as soon as something is in it."""

    def names(self) -> list[str]:
        """What is in it, folders too."""
        return self._store.names(self.path)

    def has(self, name: str) -> bool:
        """Whether there is an object of this name in it."""
        return self._store.has(self.path / name)

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of an object.

        Raises
        ------
        PartsError
            If it is not there, or the store does not give it.
        """
        try:
            return self._store.read(self.path / name, limit_bytes)
        except OSError as error:
            raise PartsError(f"it cannot be read: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Write an object; it is in the store for good when this returns.

        Raises
        ------
        EncodeError
            If the store does not take it; what was there stays.
        """
        url = self.path / name
        try:
            self._store.write(url, data)
        except OSError as error:
            raise EncodeError(f"Cannot write {str(url)!r}: {error.strerror}.") from error

    def remove(self, names: Iterable[str]) -> None:
        """Take objects away, as far as that is possible; a manifest first."""
        for some in reversed(_manifest_last(names)):
            self._store.remove(self.path / name for name in some)

    def discard(self) -> bool:
        """Nothing to do: a folder is gone as soon as nothing is in it."""
        return True

    def move_to(self, other: RemoteFolder) -> None:
        """Copy all objects, and take them away here.

        Wherever this is interrupted, one of the two is whole, and the other
        counts for nothing or is as whole.
        """
        groups = _manifest_last(self.names())

        def copy(name: str) -> None:
            self._store.copy(self.path / name, other.path / name)

        for some in groups:
            for _ in self._store.each(copy, some):
                pass
        for some in reversed(groups):
            self.remove(some)

    def lock(self) -> Lock:
        """As long as the film is this job's, so is the folder of its parts.

        Raises
        ------
        OutputError
            If it is not, any more.
        """
        if self._guard is not None and not self._guard.is_held:
            raise OutputError(f"Another job has taken {str(self.path)!r} over. Begin again.")
        return _Guarded(self._guard)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in order, up to `width` of them ahead of time."""
        return self._store.each(call, items)


class _Guarded:
    """A lock that another one implies.

    Parameters
    ----------
    guard
        The other one; None where there is nobody to fear.
    """

    def __init__(self, guard: Lock | None) -> None:
        self._guard = guard
        self._is_closed = False

    @property
    def is_held(self) -> bool:
        """False once it was closed, or the other one is lost."""
        return not self._is_closed and (self._guard is None or self._guard.is_held)

    def close(self) -> None:
        """The other one stays."""
        self._is_closed = True


def _manifest_last(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """`names` in two: what counts for nothing without a manifest, and that."""
    names = list(names)
    is_there = [MANIFEST] if MANIFEST in names else []
    return [name for name in names if name != MANIFEST], is_there
