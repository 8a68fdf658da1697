"""The film's file: checked before work starts, replaced whole or left as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rayanim.errors import EncodeError, OutputError
from rayanim.lock import FileLock, why

# Of this process, for a signal handler that has no time for the jobs' own cleaning up.
_unfinished: set[Path] = set()


def check_target(path: Path, *, overwrite: bool) -> None:
    """Make the folder of `path` and see that a file can be put there.

    Raises
    ------
    OutputError
        If `path` is a folder, exists although `overwrite` is False, or its
        folder cannot be made or written to.
    """
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
    folder = real.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {str(folder)!r} cannot be made: {why(error)}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {str(folder)!r} is not writable.")


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """The file to write while the film is not finished; renamed over `path` at the end.

    It is locked, so that two jobs with one target do not write into each
    other's. It goes when the job fails.

    Raises
    ------
    OutputError
        If another job is writing it, or it cannot be made.
    """
    path = _without_links(path)
    part = path.with_name(path.name + ".part")
    # Not truncated by the lock: until it is ours, it may be another job's.
    taken = f"Another job is writing {str(part)!r}. Wait for it, or choose another name."
    with contextlib.closing(FileLock(part, taken)):
        try:
            # Only from here on is the file ours to remove.
            with _removed_on_failure(part):
                _unfinished.add(part)
                yield part
                _rename(part, path)
        finally:
            _unfinished.discard(part)


def remove_unfinished() -> None:
    """Remove the part files of this process, which is about to end without cleaning up."""
    for part in tuple(_unfinished):
        with contextlib.suppress(OSError):
            part.unlink()


def check_whole(part: Path, file_bytes: int) -> None:
    """See that the file to be renamed is the one that the encoder finished.

    Raises
    ------
    EncodeError
        If its size is not what the encoder wrote.
    """
    found_bytes = part.stat().st_size if part.exists() else None
    if found_bytes != file_bytes:
        raise EncodeError(
            f"The encoder finished {file_bytes} bytes, but {str(part)!r} has {found_bytes}. Does "
            "something else write or remove it?"
        )


@contextlib.contextmanager
def _removed_on_failure(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _rename(part: Path, path: Path) -> None:
    try:
        part.replace(path)
    except OSError as error:
        raise EncodeError(
            f"The finished film could not be put at {str(path)!r}: {error.strerror}."
        ) from error


def _without_links(path: Path) -> Path:
    """The file that `path` leads to, absolute.

    An actor that writes it may run in another working folder, and renaming
    over a link would replace the link.
    """
    return Path(os.path.realpath(path))
