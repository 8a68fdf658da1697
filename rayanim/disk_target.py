"""A film's file on a disk: renamed into its place when it is finished."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.errors import EncodeError, OutputError
from rayanim.lock import FileLock, why
from rayanim.unfinished import removed_on_failure

if TYPE_CHECKING:
    from rayanim.parts.disk_folder import DiskFolder


class DiskTarget:
    """A file on a disk; see `rayanim.target.Target`.

    Parameters
    ----------
    address
        The file's path.
    """

    def __init__(self, address: Path) -> None:
        self.address = address

    @property
    def parts(self) -> DiskFolder:
        """The folder beside the file that the path leads to: ``film.mp4.parts``."""
        from rayanim.parts.disk_folder import DiskFolder

        real = _without_links(self.address)
        return DiskFolder(real.with_name(real.name + ".parts"))

    def exists(self) -> bool:
        """Whether something is there already."""
        return self.address.exists()

    def check_early(self, *, overwrite: bool) -> None:
        """`check`, where something is there."""
        if self.exists():
            self.check(overwrite=overwrite)

    def check(self, *, overwrite: bool) -> None:
        """Make the file's folder and see that a file can be put there.

        Raises
        ------
        OutputError
            If it is a folder, exists although `overwrite` is False, or its
            folder cannot be made or written to.
        """
        path = self.address
        try:
            real = _without_links(path)
            is_folder, exists = real.is_dir(), real.exists()
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(path)!r} cannot be a file: {why(error)}.") from error
        if is_folder:
            raise OutputError(f"{str(path)!r} is a folder. Name a file in it, such as film.mp4.")
        if exists and not overwrite:
            raise OutputError(
                f"{str(path)!r} exists. Choose another name, or allow replacing it: "
                "overwrite=True, or -y on the command line."
            )
        _make_writable(real.parent)

    def claimed(self) -> contextlib.AbstractContextManager[None]:
        """Nothing more: `part` locks the file, and the folder of parts has a lock of its own."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """The file beside it, renamed over it at the end.

        It is locked, so that two jobs with one target do not write into each
        other's. It goes when the job fails.

        Raises
        ------
        OutputError
            If another job is writing it, or it cannot be made.
        EncodeError
            If it cannot be renamed.
        """
        path = _without_links(self.address)
        part = path.with_name(path.name + ".part")
        # Not truncated by the lock: until it is ours, it may be another job's.
        taken = f"Another job is writing {str(part)!r}. Wait for it, or choose another name."
        # Only once it is locked is the file ours to remove.
        with contextlib.closing(FileLock(part, taken)), removed_on_failure(part):
            yield part
            _rename(part, path)


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {str(folder)!r} cannot be made: {why(error)}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {str(folder)!r} is not writable.")


def _rename(part: Path, path: Path) -> None:
    try:
        _write_through(part, os.O_RDWR)
        part.replace(path)
        # It is there; a folder that may be written, but not read, cannot be waited for.
        with contextlib.suppress(PermissionError):
            _write_through(path.parent, os.O_RDONLY)
    except OSError as error:
        raise EncodeError(
            f"The finished film could not be put at {str(path)!r}: {error.strerror}."
        ) from error


def _write_through(path: Path, flags: int) -> None:
    """Wait until a film, or the folder with its name, is on the disk and not in memory alone.

    Once per film: else a machine that loses its power soon after could have
    neither the old film nor the new one, whose parts go next.
    """
    if path.is_dir() and os.name == "nt":  # Windows opens no folder
        return
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(descriptor)


def _without_links(path: Path) -> Path:
    """The file that `path` leads to, absolute.

    An actor that writes it may run in another working folder, and renaming
    over a link would replace the link.
    """
    return Path(os.path.realpath(path))
