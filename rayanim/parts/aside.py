"""Puts the parts of an earlier job aside, beside the folder that a new one makes.

Of two jobs' parts the more are kept: ``film.mp4.parts.old`` is replaced only by
a folder that has as many.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from rayanim.errors import OutputError, PartsError
from rayanim.parts.disk_folder import LOCK
from rayanim.parts.folders import MANIFEST, Folder, Lock
from rayanim.parts.manifest import BEGINS as MANIFEST_BEGINS
from rayanim.parts.part_file import BEGINS as PART_BEGINS
from rayanim.parts.store import PartStore, index_of
from rayanim.storage.address import Address

_UNFINISHED = re.compile(r"(.+)\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class SetAside:
    """Parts of an earlier job that a new one did not take up.

    Attributes
    ----------
    folder
        Where they are now.
    segments
        How many are finished.
    is_same_film
        Whether the new job could have gone on from them.
    """

    folder: Folder
    segments: int
    is_same_film: bool = False

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self.folder.path


def aside_of(folder: Folder) -> Folder:
    """Where the parts in `folder` are put: ``film.mp4.parts.old``."""
    return folder.beside(".old")


def set_aside(folder: Folder) -> SetAside | None:
    """Make room for a new folder in the place of `folder`.

    Finished parts that are there are put aside. Where more are aside already,
    those stay, and these go.

    Returns
    -------
    SetAside or None
        What is aside then; None where nothing was there, or no finished part.

    Raises
    ------
    OutputError
        If another job uses it, or there is something that is not rayanim's.
    """
    try:
        if not folder.exists():
            return None
        if not _is_made_here(folder):
            raise OutputError(
                f"{str(folder.path)!r} is not a folder of rayanim's parts, but stands where one "
                "must be made. Rename or remove it."
            )
        with contextlib.closing(folder.lock()) as lock:
            return _moved(folder, lock)
    except (OSError, PartsError) as error:
        raise OutputError(f"{str(folder.path)!r} cannot be put aside: {_why(error)}.") from error


def put_back(aside: SetAside, folder: Folder) -> None:
    """Give parts that were put aside their name back, if nothing has it."""
    with contextlib.suppress(OSError):
        if not folder.exists():
            aside.folder.move_to(folder)


def remove_folder(folder: Folder) -> None:
    """Take away a folder of parts that no job uses; what is not rayanim's stays.

    Raises
    ------
    OutputError
        If another job uses it, or something stays.
    """
    if _is_made_here(folder):
        with contextlib.closing(folder.lock()) as lock:
            remove_ours(folder, lock)
    if folder.exists():
        raise OutputError(
            f"{str(folder.path)!r} is in the way and holds what is not rayanim's. Rename or "
            "remove it."
        )


def remove_ours(folder: Folder, lock: Lock) -> None:
    """Remove rayanim's files, and the folder if nothing else is in it.

    The manifest goes first: if this is interrupted, what remains is not taken
    for parts to go on from. The lock goes last.

    Parameters
    ----------
    folder
        The folder.
    lock
        Its lock, held; it is let go where that is what keeps the folder: NFS
        has another name for a file that is removed while it is open.
    """
    names = [name for name in folder.names() if _is_ours(name)]
    folder.remove(sorted(names, key=lambda name: (name == LOCK, name != MANIFEST)))
    if not folder.discard():
        lock.close()
        folder.discard()


def remove_unfinished(folder: Folder) -> None:
    """Remove the files that a job was writing when it was killed."""
    with contextlib.suppress(OSError):
        names = folder.names()
        folder.remove([name for name in names if _is_ours(name) and _UNFINISHED.fullmatch(name)])


def count_usable(folder: Folder) -> int:
    """How many parts a folder has, going by their names; 0 where it has no manifest.

    Parts without one can never be used: a job was ended while removing them.
    """
    if not folder.has(MANIFEST) or not folder.is_plain():
        return 0
    with contextlib.suppress(PartsError):
        return sum(1 for _ in PartStore(folder, "").indices())
    return 0


def _is_ours(name: str) -> bool:
    """Whether a file of this name is rayanim's, if it lies in a folder of parts."""
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished[1] if unfinished else name
    return name in (MANIFEST, LOCK) or index_of(name) is not None


def _is_made_here(folder: Folder) -> bool:
    """Whether a folder is one of ours, so that what has our files' names in it may be removed.

    It has our manifest, or our empty lock where a job ended before writing or
    while removing that; or nothing but parts, which an encoder that outlived its
    job may have left; or nothing at all.
    """
    if not folder.is_plain():
        return False
    if folder.was_locked_by_us():
        return True
    with contextlib.suppress(PartsError):
        return folder.read(MANIFEST).startswith(MANIFEST_BEGINS)
    return all(_is_ours(name) and _is_part(folder, name) for name in folder.names())


def _is_part(folder: Folder, name: str) -> bool:
    """Whether a file begins as a part does; also one that is being written."""
    try:
        begins = folder.read(name, len(PART_BEGINS))
    except PartsError:
        return False
    return begins == PART_BEGINS or not begins


def _moved(folder: Folder, lock: Lock) -> SetAside | None:
    old = aside_of(folder)
    segments, there = count_usable(folder), count_usable(old)
    if segments and segments >= there:
        if old.exists():
            remove_folder(old)
    else:
        remove_ours(folder, lock)
        if not folder.exists():
            return SetAside(old, there) if segments else None
        if old.exists():
            raise OutputError(
                f"{str(folder.path)!r} holds what is not rayanim's, and {str(old.path)!r} is there "
                "already. Rename or remove one of them."
            )
    folder.move_to(old)
    return SetAside(old, segments)


def _why(error: OSError | PartsError) -> str:
    return getattr(error, "strerror", None) or str(error)
