"""Keeps two jobs here from writing one video, and removes unfinished files at exit."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from rayanim.errors import OutputError

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)

_TRIES = 100

_REFUSES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)
"""What a folder that is there answers where no file can be made in it; ``/proc`` the last."""

# The process that made each: one that was forked from it has this dictionary, too.
_unfinished: dict[Path, int] = {}
_locks: dict[Path, int] = {}


class FileLock:
    """A lock file, held from its making until `close` or the end of the process.

    The system releases the lock of a killed process; the empty file that it
    leaves is in nobody's way. Not by the library filelock: its import takes
    23 ms, a tenth of what a short video takes in all, and on a disk without
    locks it leaves files that do block the next job.
    """

    def __init__(self, path: Path, taken: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        for _ in range(_TRIES):
            descriptor = _opened(path)
            try:
                _lock(descriptor, taken)
                is_same = _is_at(descriptor, path)
            except BaseException:
                os.close(descriptor)
                raise
            if is_same:
                self._descriptor = descriptor
                _locks[path] = os.getpid()
                return
            os.close(descriptor)  # the job that held it has removed the file just now
        raise OutputError(taken)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def close(self) -> None:
        """Let others have it, and remove the file; nothing if that was done before."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _locks.pop(self._path, None)
        try:
            # A file with content is somebody else's.
            if not os.fstat(descriptor).st_size and _is_at(descriptor, self._path):
                with contextlib.suppress(OSError):
                    self._path.unlink()
        finally:
            os.close(descriptor)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A lock stays in its process.")


def reason_of(error: OSError | ValueError) -> str:
    """The system's words; Python's own for a name that the system was never asked about."""
    return getattr(error, "strerror", None) or str(error)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _CLOSE_ON_EXEC | _NO_LINKS, 0o666)
    except (OSError, ValueError) as error:
        refuses = isinstance(error, OSError) and error.errno in _REFUSES
        if refuses and path.parent.is_dir() and not os.path.lexists(path):
            video = str(path).removesuffix(".lock")
            raise OutputError(
                f"The folder {str(path.parent)!r} is not writable, so {video!r} cannot be made."
            ) from error
        raise OutputError(f"{str(path)!r} cannot be written: {reason_of(error)}.") from error


def _lock(descriptor: int, taken: str) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two jobs with one target are not noticed
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OutputError(taken) from None
        # A file system without locks: go on without.


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def remove_part(path: Path) -> None:
    """Remove an unfinished file, or an unfinished folder of images."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def removed_on_failure(path: Path) -> Iterator[None]:
    """Remove a file if the block fails, or if `remove_unfinished` is called meanwhile."""
    _unfinished[path] = os.getpid()
    try:
        yield
    except BaseException:
        # The error that ended the block is the one to report.
        if path in _unfinished:
            remove_part(path)
        raise
    finally:
        _unfinished.pop(path, None)


def keep(path: Path) -> None:
    """Leave there what `removed_on_failure` would remove."""
    _unfinished.pop(path, None)


def remove_unfinished() -> None:
    """Remove unfinished files and locks of this process, which is about to end without cleanup."""
    for path, process in (*_unfinished.items(), *_locks.items()):
        with contextlib.suppress(OSError):
            # A lock file with content is somebody else's.
            if process == os.getpid() and (path in _unfinished or not path.lstat().st_size):
                remove_part(path)
