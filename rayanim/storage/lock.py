"""Keeps two jobs from using one file at the same time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from rayanim.errors import OutputError

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


class FileLock:
    """An advisory lock on a file, held from its making until `close` or the process's end."""

    def __init__(self, path: Path, taken: str) -> None:
        try:
            flags = os.O_RDWR | os.O_CREAT | _CLOSE_ON_EXEC | _NO_LINKS
            self._descriptor: int | None = os.open(path, flags, 0o666)
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(path)!r} cannot be written: {why(error)}.") from error
        try:
            _lock(self._descriptor, taken)
            self._check_in_place(path)
        except BaseException:
            self.close()
            raise

    @property
    def is_held(self) -> bool:
        """False once it was closed."""
        return self._descriptor is not None

    def close(self) -> None:
        """Let others have it; nothing if that was done before."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A lock stays in its process; hand on what it guards.")

    def _check_in_place(self, path: Path) -> None:
        """See that the job which held the lock did not take the file away."""
        descriptor = self._descriptor
        try:
            is_same = descriptor is not None and os.path.samestat(
                os.fstat(descriptor), path.lstat()
            )
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise OutputError(f"Another job has just taken {str(path)!r} away. Begin again.")


def why(error: OSError | ValueError) -> str:
    """What the system says; Python's own words for a name that it never asked the system about."""
    return getattr(error, "strerror", None) or str(error)


def _lock(descriptor: int, taken: str) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks; two jobs with one target are not noticed
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OutputError(taken) from None
        # A file system without locks: go on without.


_unfinished: set[Path] = set()


@contextlib.contextmanager
def removed_on_failure(part: Path) -> Iterator[None]:
    """Remove a file if what is done inside fails, or if this process is told to end at once."""
    _unfinished.add(part)
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(part)


def remove_unfinished() -> None:
    """Remove the part files of this process, which is about to end without cleaning up."""
    for part in tuple(_unfinished):
        with contextlib.suppress(OSError):
            part.unlink()
