"""The folder of a film's parts: made, found again after a crash, and taken away at the end.

::

    film.mp4.parts/
        manifest.json     of which film the parts are
        lock              held by the job that uses the folder
        000000.part       one finished segment each, see `rayanim.parts.part_file`
        000007.part.5e0a91b2.tmp    being written, or left by a job that was killed
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rayanim.errors import OutputError, PartsError, ResumeError
from rayanim.parts.disk import read_plain, write_whole
from rayanim.parts.lock import FolderLock
from rayanim.parts.manifest import BEGINS as MANIFEST_BEGINS
from rayanim.parts.manifest import Manifest
from rayanim.parts.part_file import PartInfo
from rayanim.parts.store import PartStore, index_of
from rayanim.video.segment import EncodedSegment

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
    """

    path: Path
    segments: int


class PartsFolder:
    """The parts of one film on disk, used by one job at a time.

    Made by `create` or `resume`; ended by `remove` when the film is whole, by
    `close` when it is not. As a context it closes.

    Parameters
    ----------
    store
        Where the parts are. It pickles, the folder does not: hand it to the
        process that writes.
    lock
        The folder's.
    set_aside
        What `create` found and kept.
    """

    def __init__(
        self, store: PartStore, lock: FolderLock, set_aside: SetAside | None = None
    ) -> None:
        self.store = store
        self.set_aside = set_aside
        self.rejected: dict[str, str] = {}
        """Why parts that `finished` found are not used, by file name."""
        self.not_compared: list[str] = []
        """Values of the source of which `resume` cannot say whether they have changed."""
        self._lock = lock

    @staticmethod
    def path_for(target: Path) -> Path:
        """The folder beside the file that `target` leads to: ``film.mp4.parts``."""
        real = Path(os.path.realpath(target))
        return real.with_name(real.name + ".parts")

    @classmethod
    def create(cls, target: Path, manifest: Manifest) -> Self:
        """A new and empty folder; finished parts of an earlier job are kept beside it.

        They are renamed to ``film.mp4.parts.old``, in place of those that were
        there before them.

        Raises
        ------
        OutputError
            If another job uses the folder, it cannot be made, or what is in
            its place is not rayanim's.
        EncodeError
            If the disk is full.
        """
        path = cls.path_for(target)
        set_aside = _set_aside(path)
        try:
            path.mkdir()
        except OSError as error:
            raise OutputError(f"{str(path)!r} cannot be made: {error.strerror}.") from error
        try:
            lock = FolderLock(path / LOCK)
        except OutputError:
            with contextlib.suppress(OSError):
                path.rmdir()
            raise
        folder = cls(PartStore(path, manifest.digest), lock, set_aside)
        try:
            text = manifest.to_json().encode()
            write_whole(path / MANIFEST, text, is_synced=True)
        except BaseException:
            folder.remove()
            raise
        return folder

    @classmethod
    def resume(cls, target: Path, manifest: Manifest) -> Self:
        """The folder that an earlier job left for the same film.

        Raises
        ------
        ResumeError
            If there is none, it is broken or not rayanim's, or it is another
            film's; every difference is named. It stays as it is.
        OutputError
            If another job uses it.
        """
        path = cls.path_for(target)
        _check_resumable(path)
        lock = FolderLock(path / LOCK)
        try:
            found = _same_film(path, manifest)
            _remove_unfinished(path)
        except BaseException:
            lock.close()
            raise
        # Its own digest: of values that cannot be told, the two manifests may have other ones.
        folder = cls(PartStore(path, found.digest), lock)
        folder.not_compared = found.not_compared(manifest)
        return folder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.store.path

    def put(self, index: int, start: int, batch_digest: str | None, segment: EncodedSegment) -> int:
        """Write one part, see `PartStore.put`."""
        return self.store.put(index, start, batch_digest, segment)

    def load(self, index: int) -> EncodedSegment:
        """Read one part, see `PartStore.load`."""
        return self.store.load(index)

    def finished(self) -> dict[int, PartInfo]:
        """The parts that are whole and of this film, by index; every byte of them is read.

        The others are in `rejected`; `put` replaces them.
        """
        found, self.rejected = self.store.examined()
        return found

    def count(self) -> int:
        """How many parts there are, going by their names."""
        return sum(1 for _ in self.store.indices())

    def remove(self) -> None:
        """Take away what is rayanim's; the folder goes too if nothing else is in it."""
        if not self._lock.is_held:
            return
        try:
            with contextlib.suppress(OSError):
                _remove_ours(self.path)
        finally:
            self._lock.close()

    def forget_set_aside(self) -> None:
        """Take away the parts that `create` put aside; what is not rayanim's stays."""
        if self.set_aside is not None:
            with contextlib.suppress(OSError, OutputError):
                _remove_old(self.set_aside.path)

    def close(self) -> None:
        """Let another job have the folder; without a finished part it goes."""
        if not self._lock.is_held:
            # What is there now may be another job's.
            return
        try:
            with contextlib.suppress(OSError, PartsError):
                if not self.count():
                    _remove_ours(self.path)
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _is_ours(name: str) -> bool:
    """Whether a file of this name is rayanim's, if it lies in a folder of parts."""
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished[1] if unfinished else name
    return name in (MANIFEST, LOCK) or index_of(name) is not None


def _set_aside(path: Path) -> SetAside | None:
    """Put away the folder of an earlier job; one without finished parts just goes."""
    if not os.path.lexists(path):
        return None
    try:
        if not _is_made_here(path):
            raise OutputError(
                f"{str(path)!r} is not a folder of rayanim's parts, but stands where one must be "
                "made. Rename or remove it."
            )
        with contextlib.closing(FolderLock(path / LOCK)):
            return _renamed(path)
    except (OSError, PartsError) as error:
        raise OutputError(f"{str(path)!r} cannot be put aside: {error}.") from error


def _is_made_here(path: Path) -> bool:
    """Whether a folder is one of ours, so that what has our files' names in it may be removed.

    It has our manifest, or our empty lock where a job ended before writing or
    while removing that; or nothing at all.
    """
    if path.is_symlink() or not path.is_dir():
        return False
    lock = path / LOCK
    if lock.is_file() and not lock.is_symlink() and not lock.stat().st_size:
        return True
    with contextlib.suppress(PartsError):
        return read_plain(path / MANIFEST).startswith(MANIFEST_BEGINS)
    return not any(path.iterdir())


def _renamed(path: Path) -> SetAside | None:
    segments = sum(1 for _ in PartStore(path, "").indices())
    if not segments or not (path / MANIFEST).exists():
        # Parts without a manifest can never be used: a job was ended while removing them.
        _remove_ours(path)
        if not path.exists():
            return None
    old = path.with_name(path.name + ".old")
    if os.path.lexists(old):
        _remove_old(old)
    path.rename(old)
    return SetAside(old, segments)


def _remove_old(old: Path) -> None:
    if _is_made_here(old):
        _remove_ours(old)
    if os.path.lexists(old):
        raise OutputError(
            f"{str(old)!r} is in the way and holds what is not rayanim's. Rename or remove it."
        )


def _remove_ours(path: Path) -> None:
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


def _remove_unfinished(path: Path) -> None:
    with contextlib.suppress(OSError):
        for each in list(path.iterdir()):
            if _is_ours(each.name) and _UNFINISHED.fullmatch(each.name):
                each.unlink()


def _check_resumable(path: Path) -> None:
    if not os.path.lexists(path):
        raise ResumeError(
            f"There is nothing to go on from: no folder {str(path)!r}. Render without resuming."
        )
    if path.is_symlink() or not path.is_dir():
        raise ResumeError(f"{str(path)!r} is a link or a file, and no folder of parts.")
    if not (path / MANIFEST).exists():
        raise ResumeError(
            f"{str(path)!r} has no {MANIFEST}: it holds no parts to go on from. Render without "
            "resuming."
        )


def _same_film(path: Path, manifest: Manifest) -> Manifest:
    """The manifest that is there, if it is of the same film."""
    try:
        # What cannot be decoded is no manifest, and is told as such.
        text = read_plain(path / MANIFEST).decode("ascii", "replace")
        found = Manifest.from_json(text)
    except PartsError as error:
        raise ResumeError(
            f"{str(path / MANIFEST)!r} cannot be used: {error.message}. Render without resuming."
        ) from error
    differences = found.differences(manifest)
    if differences:
        raise ResumeError(
            f"The parts in {str(path)!r} are of another film: {'; '.join(differences)}. Undo "
            "that, or render without resuming: they are then kept as "
            f"{path.name + '.old'!r}."
        )
    return found
