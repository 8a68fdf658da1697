"""Puts the parts of an earlier job aside, beside the folder that a new one makes.

Of two jobs' parts the more are kept: ``film.mp4.parts.old`` is replaced only by
a folder that has as many.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from rayanim.errors import OutputError, PartsError
from rayanim.lock import FileLock
from rayanim.parts.disk import read_plain
from rayanim.parts.manifest import BEGINS as MANIFEST_BEGINS
from rayanim.parts.part_file import BEGINS as PART_BEGINS
from rayanim.parts.store import PartStore, index_of

MANIFEST, LOCK = "manifest.json", "lock"
_UNFINISHED = re.compile(r"(.+)\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class SetAside:
    """Parts of an earlier job that a new one did not take up.

    Attributes
    ----------
    path
        Where they are now.
    segments
        How many are finished.
    is_same_film
        Whether the new job could have gone on from them.
    """

    path: Path
    segments: int
    is_same_film: bool = False


def lock_of(path: Path) -> FileLock:
    """The lock of the folder `path`, held until it is closed.

    Raises
    ------
    OutputError
        If another job uses the folder.
    """
    taken = f"Another job is using the parts in {str(path)!r}. Wait for it, or choose another name."
    return FileLock(path / LOCK, taken)


def aside_of(path: Path) -> Path:
    """Where the parts in the folder `path` are put: ``film.mp4.parts.old``."""
    return path.with_name(path.name + ".old")


def set_aside(path: Path) -> SetAside | None:
    """Make room for a new folder at `path`.

    Finished parts that are there are put aside. Where more are aside already,
    those stay, and these go.

    Returns
    -------
    SetAside or None
        What is aside then; None where nothing was at `path`, or no finished part.

    Raises
    ------
    OutputError
        If another job uses it, or there is something that is not rayanim's.
    """
    if not os.path.lexists(path):
        return None
    try:
        if not _is_made_here(path):
            raise OutputError(
                f"{str(path)!r} is not a folder of rayanim's parts, but stands where one must be "
                "made. Rename or remove it."
            )
        with contextlib.closing(lock_of(path)):
            return _moved(path)
    except (OSError, PartsError) as error:
        raise OutputError(f"{str(path)!r} cannot be put aside: {error}.") from error


def put_back(aside: SetAside, path: Path) -> None:
    """Give parts that were put aside their name back, if nothing is at `path`."""
    with contextlib.suppress(OSError):
        if not os.path.lexists(path):
            aside.path.rename(path)


def remove_folder(path: Path) -> None:
    """Take away a folder of parts that no job uses; what is not rayanim's stays.

    Raises
    ------
    OutputError
        If another job uses it, or something stays.
    """
    if _is_made_here(path):
        with contextlib.closing(lock_of(path)):
            remove_ours(path)
    if os.path.lexists(path):
        raise OutputError(
            f"{str(path)!r} is in the way and holds what is not rayanim's. Rename or remove it."
        )


def remove_ours(path: Path) -> None:
    """Remove rayanim's files, and the folder if nothing else is in it.

    The manifest goes first: if this is interrupted, what remains is not taken
    for parts to go on from. The lock goes last.
    """
    names = [each.name for each in path.iterdir() if _is_ours(each.name)]
    for name in sorted(names, key=lambda name: (name == LOCK, name != MANIFEST)):
        with contextlib.suppress(OSError):
            (path / name).unlink()
    with contextlib.suppress(OSError):
        path.rmdir()


def remove_unfinished(path: Path) -> None:
    """Remove the files that a job was writing when it was killed."""
    with contextlib.suppress(OSError):
        for each in list(path.iterdir()):
            if _is_ours(each.name) and _UNFINISHED.fullmatch(each.name):
                each.unlink()


def count_usable(path: Path) -> int:
    """How many parts a folder has, going by their names; 0 where it has no manifest.

    Parts without one can never be used: a job was ended while removing them.
    """
    if path.is_symlink() or not (path / MANIFEST).exists():
        return 0
    with contextlib.suppress(PartsError):
        return sum(1 for _ in PartStore(path, "").indices())
    return 0


def _is_ours(name: str) -> bool:
    """Whether a file of this name is rayanim's, if it lies in a folder of parts."""
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished[1] if unfinished else name
    return name in (MANIFEST, LOCK) or index_of(name) is not None


def _is_made_here(path: Path) -> bool:
    """Whether a folder is one of ours, so that what has our files' names in it may be removed.

    It has our manifest, or our empty lock where a job ended before writing or
    while removing that; or nothing but parts, which an encoder that outlived its
    job may have left; or nothing at all.
    """
    if path.is_symlink() or not path.is_dir():
        return False
    lock = path / LOCK
    if lock.is_file() and not lock.is_symlink() and not lock.stat().st_size:
        return True
    with contextlib.suppress(PartsError):
        return read_plain(path / MANIFEST).startswith(MANIFEST_BEGINS)
    return all(_is_ours(each.name) and _is_part(each) for each in path.iterdir())


def _is_part(path: Path) -> bool:
    """Whether a file begins as a part does; also one that is being written."""
    try:
        begins = read_plain(path, len(PART_BEGINS))
    except PartsError:
        return False
    return begins == PART_BEGINS or not begins


def _moved(path: Path) -> SetAside | None:
    old = aside_of(path)
    segments, there = count_usable(path), count_usable(old)
    if segments and segments >= there:
        if os.path.lexists(old):
            remove_folder(old)
    else:
        remove_ours(path)
        if not path.exists():
            return SetAside(old, there) if segments else None
        if os.path.lexists(old):
            raise OutputError(
                f"{str(path)!r} holds what is not rayanim's, and {str(old)!r} is there already. "
                "Rename or remove one of them."
            )
    path.rename(old)
    return SetAside(old, segments)
