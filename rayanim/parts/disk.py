"""Writes files whole or not at all, and tells whether there is room for more."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path

from rayanim.errors import EncodeError, OutputError, PartsError

PATIENCE_S = 120.0
"""A disk may be busy with other things for so long."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_space(folder: Path, needed_bytes: int) -> None:
    """See that a folder's disk has room.

    Parameters
    ----------
    folder
        Where will be written; it need not exist yet.
    needed_bytes
        How much.

    Raises
    ------
    OutputError
        If less is free.
    """
    try:
        total_bytes, _used_bytes, free_bytes = shutil.disk_usage(_existing(folder))
    except OSError:  # writing will tell
        return
    # Some file systems of networks do not know their size.
    if total_bytes and free_bytes < needed_bytes:
        raise OutputError(
            f"The disk of {str(folder)!r} has {_megabytes(free_bytes)} free, but the film and its "
            f"parts need about {_megabytes(needed_bytes)} more. Free some space, or write "
            "elsewhere."
        )


def expected_bytes(
    done_bytes: int,
    done_frames: int,
    total_frames: int,
    *,
    joined_bytes: int = 0,
    with_parts: bool = True,
) -> int:
    """How much is still to be written: the parts that are missing, and the rest of the film.

    Both are there at once, as the parts go when the film is whole. What is to
    come is taken to be like what is done.

    Parameters
    ----------
    done_bytes, done_frames
        The parts that are on disk already; without frames nothing can be told: 0.
    total_frames
        Frames of the whole film.
    joined_bytes
        What is in the film already.
    with_parts
        Whether the parts are on this disk.
    """
    if done_frames <= 0:
        return 0
    film_bytes = -(-done_bytes * total_frames // done_frames)
    parts_bytes = max(0, film_bytes - done_bytes) if with_parts else 0
    return parts_bytes + max(0, film_bytes - joined_bytes)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is whole or not there.

    Nothing waits for the disk: after a power failure the file may be there and
    cut short, so what is in it must prove itself.

    Parameters
    ----------
    path
        The file; one that is there is replaced.
    data
        What is to be in it.

    Raises
    ------
    EncodeError
        If the disk is full or does not take it; what was there stays.
    """
    # Its own for each writer: two that write the same file do not mix.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_new(part, data)
        part.replace(path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def read_plain(path: Path, limit_bytes: int = -1) -> bytes:
    """The bytes of a file that is neither a link nor anything but a file.

    Parameters
    ----------
    path
        The file.
    limit_bytes
        How many from its beginning; all where it is negative.

    Raises
    ------
    PartsError
        If it is not there, no plain file, or the disk does not give it.
    """
    try:
        # A pipe would keep the job waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _NO_LINKS | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PartsError("it is no plain file")
            return file.read(limit_bytes)
    except OSError as error:
        raise PartsError(f"it cannot be read: {error.strerror}") from error


def _write_new(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)


def _explained(error: OSError, path: Path) -> EncodeError:
    if error.errno in _FULL:
        return EncodeError(
            f"The disk is full, or the file too large for it, at {str(path)!r} "
            f"({error.strerror}). Free some space; the parts that are finished stay."
        )
    return EncodeError(f"Cannot write {str(path)!r}: {error.strerror}.")


def _existing(folder: Path) -> Path:
    """`folder`, or the first folder above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _megabytes(count_bytes: int) -> str:
    return f"{count_bytes / 2**20:,.1f} MB"
