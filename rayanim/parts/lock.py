"""Keeps two jobs from using one folder of parts at the same time."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

from rayanim.errors import OutputError

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


class FolderLock:
    """An advisory lock on a file, held from its making until `close` or the process's end.

    Parameters
    ----------
    path
        The file; it is made, and stays.

    Raises
    ------
    OutputError
        If another job holds it, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o666
            )
        except OSError as error:
            raise OutputError(f"{str(path)!r} cannot be written: {error.strerror}.") from error
        try:
            _lock(self._descriptor, path.parent)
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
        raise TypeError("A lock stays in its process; hand on the folder's store.")

    def _check_in_place(self, path: Path) -> None:
        """See that the job which held the lock did not take the file away with its folder."""
        descriptor = self._descriptor
        try:
            is_same = descriptor is not None and os.path.samestat(
                os.fstat(descriptor), path.lstat()
            )
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise OutputError(f"Another job has just taken {str(path.parent)!r} away. Begin again.")


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks; two jobs with one target are not noticed
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OutputError(
                f"Another job is using the parts in {str(folder)!r}. Wait for it, or choose "
                "another name."
            ) from None
        # A file system without locks: go on without.
