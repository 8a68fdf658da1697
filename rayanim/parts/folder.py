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
from dataclasses import replace
from pathlib import Path
from typing import Self

from rayanim.errors import OutputError, PartsError, ResumeError
from rayanim.lock import FileLock
from rayanim.parts.aside import (
    MANIFEST,
    SetAside,
    aside_of,
    count_usable,
    lock_of,
    put_back,
    remove_folder,
    remove_ours,
    remove_unfinished,
    set_aside,
)
from rayanim.parts.disk import read_plain, write_whole
from rayanim.parts.manifest import Manifest
from rayanim.parts.part_file import PartInfo
from rayanim.parts.store import PartStore


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

    def __init__(self, store: PartStore, lock: FileLock, set_aside: SetAside | None = None) -> None:
        self.store = store
        self.set_aside = set_aside
        self.rejected: dict[str, str] = {}
        """Why parts that `finished` found are not used, by file name."""
        self.not_compared: list[str] = []
        """Values of the source of which `resume` cannot say whether they have changed."""
        self.chosen: str | None = None
        """Why `resume` went on from parts that were put aside, where it did."""
        self._lock = lock
        # Of the same film, with nothing in it that is needed once that is whole.
        self._needless: list[Path] = []

    @staticmethod
    def path_for(target: Path) -> Path:
        """The folder beside the file that `target` leads to: ``film.mp4.parts``."""
        real = Path(os.path.realpath(target))
        return real.with_name(real.name + ".parts")

    @classmethod
    def create(cls, target: Path, manifest: Manifest) -> Self:
        """A new and empty folder; finished parts of an earlier job are kept beside it.

        They are renamed to ``film.mp4.parts.old``, where they take the place of
        fewer parts; of fewer than are there, nothing is kept. If this job ends
        with fewer still, `close` gives them their name back.

        Raises
        ------
        OutputError
            If another job uses the folder, it cannot be made, or what is in
            its place is not rayanim's.
        EncodeError
            If the disk is full.
        """
        path = cls.path_for(target)
        aside = set_aside(path)
        old = aside_of(path)
        if aside is None and _is_same_film(old, manifest):
            aside = SetAside(old, count_usable(old))
        if aside is not None:
            aside = replace(aside, is_same_film=_is_same_film(aside.path, manifest))
        try:
            path.mkdir()
        except OSError as error:
            raise OutputError(f"{str(path)!r} cannot be made: {error.strerror}.") from error
        try:
            lock = lock_of(path)
        except OutputError:
            with contextlib.suppress(OSError):
                path.rmdir()
            raise
        folder = cls(PartStore(path, manifest.digest), lock, aside)
        try:
            write_whole(path / MANIFEST, manifest.to_json().encode())
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def resume(cls, target: Path, manifest: Manifest) -> Self:
        """The folder that an earlier job left for the same film.

        Where one was put aside that has more parts of it, that one, which takes
        the other's place unless this is of another film.

        Raises
        ------
        ResumeError
            If there is none, it is broken or not rayanim's, or it is another
            film's; every difference is named. It stays as it is.
        OutputError
            If another job uses it.
        """
        path = cls.path_for(target)
        used, chosen = _best(path, manifest)
        _check_resumable(used)
        lock = lock_of(used)
        try:
            found = _same_film(used, manifest)
            remove_unfinished(used)
        except BaseException:
            lock.close()
            raise
        # Its own digest: of values that cannot be told, the two manifests may have other ones.
        folder = cls(PartStore(used, found.digest), lock)
        folder.not_compared = found.not_compared(manifest)
        folder.chosen = chosen
        if used == path and _is_same_film(aside_of(path), manifest):
            folder._needless.append(aside_of(path))
        return folder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.store.path

    def finished(self) -> dict[int, PartInfo]:
        """The parts that are whole and of this film, by index; every byte of them is read.

        The others are in `rejected`; `PartStore.put` replaces them.
        """
        found, self.rejected = self.store.examined()
        return found

    def count(self) -> int:
        """How many parts there are, going by their names."""
        return sum(1 for _ in self.store.indices())

    @property
    def gives_way(self) -> bool:
        """Whether `close` puts back what `create` put aside: there are more parts in that.

        Another film's take the place of none.
        """
        if self.set_aside is None:
            return False
        count = 0
        # A folder that something else removed has none.
        with contextlib.suppress(PartsError):
            count = self.count()
        return count < (self.set_aside.segments if self.set_aside.is_same_film else 1)

    def remove(self) -> None:
        """Take away what is rayanim's; the folder goes too if nothing else is in it."""
        if not self._lock.is_held:
            return
        try:
            with contextlib.suppress(OSError):
                remove_ours(self.path)
        finally:
            self._lock.close()

    def forget_set_aside(self) -> None:
        """Take away other parts that the film, now whole, was not made from.

        Those that `create` put aside, and those of the same film that `resume`
        found beside its own. What is not rayanim's stays.
        """
        if self.set_aside is not None:
            self._needless.append(self.set_aside.path)
            self.set_aside = None
        while self._needless:
            with contextlib.suppress(OSError, OutputError):
                remove_folder(self._needless.pop())

    def close(self) -> None:
        """Let another job have the folder; without a finished part it goes.

        So it does if more parts were put aside, which then take its place.
        """
        if not self._lock.is_held:
            # What is there now may be another job's.
            return
        try:
            aside = self.set_aside if self.gives_way else None
            with contextlib.suppress(OSError, PartsError):
                if aside is not None or not self.count():
                    remove_ours(self.path)
            if aside is not None:
                put_back(aside, self.path)
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _best(path: Path, manifest: Manifest) -> tuple[Path, str | None]:
    """The folder of the same film with the most parts, and why it is not `path` where it is not.

    Where none is of the same film, the one to tell of.
    """
    old = aside_of(path)
    if not _is_same_film(old, manifest):
        is_only = os.path.lexists(old) and not os.path.lexists(path)
        return (old if is_only else path), None
    is_same, segments = _is_same_film(path, manifest), count_usable(old)
    if is_same and count_usable(path) >= segments:
        return path, None
    if is_same or not count_usable(path):
        # Fewer, of the same film: all that is lost is a little time.
        with contextlib.suppress(OutputError):
            remove_folder(path)
    reason = f"{segments} finished segments that were put aside in {str(old)!r} are gone on from"
    if os.path.lexists(path):
        return old, f"{reason}; {str(path)!r} is not of this film, and stays."
    old.rename(path)
    return path, f"{reason}, and have their name back: {str(path)!r}."


def _is_same_film(path: Path, manifest: Manifest) -> bool:
    """Whether a folder has parts of this film."""
    if not count_usable(path):
        return False
    try:
        return not _read_manifest(path).differences(manifest)
    except PartsError:
        return False


def _read_manifest(path: Path) -> Manifest:
    # What cannot be decoded is no manifest, and is told as such.
    return Manifest.from_json(read_plain(path / MANIFEST).decode("ascii", "replace"))


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
        found = _read_manifest(path)
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
