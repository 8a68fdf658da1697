"""The folder of a film's parts: made, found again after a crash, and taken away at the end.

::

    film.mp4.parts/
        manifest.json     of which film the parts are
        lock              held by the job that uses the folder; on a disk only
        000000.part       one finished segment each, see `rayanim.parts.part_file`
        000007.part.5e0a91b2.tmp    being written, or left by a job that was killed
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Self

from rayanim.errors import OutputError, PartsError, ResumeError
from rayanim.parts.aside import (
    SetAside,
    aside_of,
    count_usable,
    put_back,
    remove_folder,
    remove_ours,
    remove_unfinished,
    set_aside,
)
from rayanim.parts.folders import MANIFEST, Folder, Lock
from rayanim.parts.manifest import Manifest
from rayanim.parts.part_file import PartInfo
from rayanim.parts.store import PartStore
from rayanim.storage.address import Address


class PartsFolder:
    """The parts of one film, used by one job at a time.

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

    def __init__(self, store: PartStore, lock: Lock, set_aside: SetAside | None = None) -> None:
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
        self._needless: list[Folder] = []

    @classmethod
    def create(cls, place: Folder, manifest: Manifest) -> Self:
        """A new and empty folder in `place`; finished parts of an earlier job are kept beside it.

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
        aside = set_aside(place)
        old = aside_of(place)
        try:
            if aside is None and _is_same_film(old, manifest):
                aside = SetAside(old, count_usable(old))
            if aside is not None:
                aside = replace(aside, is_same_film=_is_same_film(aside.folder, manifest))
            place.make()
        except OSError as error:
            raise OutputError(f"{str(place.path)!r} cannot be made: {error.strerror}.") from error
        try:
            lock = place.lock()
        except OutputError:
            place.discard()
            raise
        folder = cls(PartStore(place, manifest.digest), lock, aside)
        try:
            place.write(MANIFEST, manifest.to_json().encode())
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def resume(cls, place: Folder, manifest: Manifest) -> Self:
        """The folder that an earlier job of the same film left in `place`.

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
        try:
            return cls._resumed(place, manifest)
        except OSError as error:
            raise ResumeError(
                f"The parts in {str(place.path)!r} cannot be gone on from: "
                f"{error.strerror or error}."
            ) from error

    @classmethod
    def _resumed(cls, place: Folder, manifest: Manifest) -> Self:
        used, chosen = _best(place, manifest)
        _check_resumable(used)
        lock = used.lock()
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
        if used is place and _is_same_film(aside_of(place), manifest):
            folder._needless.append(aside_of(place))
        return folder

    @property
    def path(self) -> Address:
        """Where it is, for people."""
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
                remove_ours(self.store.folder, self._lock)
        finally:
            self._lock.close()

    def forget_set_aside(self) -> None:
        """Take away other parts that the film, now whole, was not made from.

        Those that `create` put aside, and those of the same film that `resume`
        found beside its own. What is not rayanim's stays.
        """
        if self.set_aside is not None:
            self._needless.append(self.set_aside.folder)
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
                    remove_ours(self.store.folder, self._lock)
            if aside is not None:
                put_back(aside, self.store.folder)
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _best(folder: Folder, manifest: Manifest) -> tuple[Folder, str | None]:
    """The folder of the same film with the most parts, and why it is not `folder` where it is not.

    Where none is of the same film, the one to tell of.
    """
    old = aside_of(folder)
    if not _is_same_film(old, manifest):
        is_only = old.exists() and not folder.exists()
        return (old if is_only else folder), None
    is_same, segments = _is_same_film(folder, manifest), count_usable(old)
    if is_same and count_usable(folder) >= segments:
        return folder, None
    if is_same or not count_usable(folder):
        # Fewer, of the same film: all that is lost is a little time.
        with contextlib.suppress(OutputError):
            remove_folder(folder)
    reason = (
        f"{segments} finished segments that were put aside in {str(old.path)!r} are gone on from"
    )
    if folder.exists():
        why = "holds what is not rayanim's" if is_same else "is not of this film"
        return old, f"{reason}; {str(folder.path)!r} {why}, and stays."
    old.move_to(folder)
    return folder, f"{reason}, and have their name back: {str(folder.path)!r}."


def _is_same_film(folder: Folder, manifest: Manifest) -> bool:
    """Whether a folder has parts of this film."""
    if not count_usable(folder):
        return False
    try:
        return not _read_manifest(folder).differences(manifest)
    except PartsError:
        return False


def _read_manifest(folder: Folder) -> Manifest:
    # What cannot be decoded is no manifest, and is told as such.
    return Manifest.from_json(folder.read(MANIFEST).decode("ascii", "replace"))


def _check_resumable(folder: Folder) -> None:
    path = str(folder.path)
    if not folder.exists():
        raise ResumeError(
            f"There is nothing to go on from: no folder {path!r}. Render without resuming."
        )
    if not folder.is_plain():
        raise ResumeError(f"{path!r} is a link or a file, and no folder of parts.")
    if not folder.has(MANIFEST):
        raise ResumeError(
            f"{path!r} has no {MANIFEST}: it holds no parts to go on from. Render without resuming."
        )


def _same_film(folder: Folder, manifest: Manifest) -> Manifest:
    """The manifest that is there, if it is of the same film."""
    try:
        found = _read_manifest(folder)
    except PartsError as error:
        raise ResumeError(
            f"{str(folder.path / MANIFEST)!r} cannot be used: {error.message}. Render without "
            "resuming."
        ) from error
    differences = found.differences(manifest)
    if differences:
        raise ResumeError(
            f"The parts in {str(folder.path)!r} are of another film: {'; '.join(differences)}. "
            "Undo that, or render without resuming: they are then kept as "
            f"{aside_of(folder).path.name!r}."
        )
    return found
