"""A video as a folder of files: images, ``frames/%04d.png``, or a playlist, ``talk/index.m3u8``."""

from __future__ import annotations

import errno
import functools
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Address, Outfile, Output, Url, address_of, split_options
from rayanim.storage.lock import keep, remove_part, removed_on_failure
from rayanim.storage.output import Target
from rayanim.video.spec import CONTAINERS, IMAGES, PLAYLIST, playlist_files

# One number; any other % is doubled.
_PATTERN = re.compile(r"((?:[^%]|%%)*)%(?:0\d)?d((?:[^%]|%%)*)")
_SUFFIXES = tuple(each.suffix for each in CONTAINERS if each.muxer == IMAGES)
_PLAYLISTS = tuple(each.suffix for each in CONTAINERS if each.muxer == PLAYLIST)

USUAL_NAMES = "%06d.png"
"""The images in a folder that is named alone."""


def is_image_pattern(name: str) -> bool:
    """Whether it names one image for each frame."""
    return name.lower().endswith(_SUFFIXES) and _PATTERN.fullmatch(name) is not None


def is_folder(name: str) -> bool:
    """Whether a video of that name has many files: images, or segments and their playlist."""
    return is_image_pattern(name) or name.lower().endswith(_PLAYLISTS)


def shown(address: Address) -> str:
    """The address for people; of images their folder, since no file has the name of them all."""
    return f"{address.parent}/" if is_image_pattern(address.name) else str(address)


def is_image(address: Address) -> bool:
    """Whether it names an image of one frame."""
    return address.suffix.lower() in _SUFFIXES and not is_image_pattern(address.name)


def output_of(given: Outfile | Output) -> Output:
    """One output as a user wrote it; a folder, ``frames/``, gets names of images."""
    if isinstance(given, Output):
        return given
    name, options = split_options(given) if isinstance(given, str) else (given, ())
    if isinstance(name, str) and name.endswith("/"):
        name = f"{name}{USUAL_NAMES}"
    return Output(address_of(name), options)


def with_number(address: Address, number: int) -> Address:
    """The image of frame `number` where it names one for each; else `address`."""
    name = address.name
    return address.with_name(name % number) if is_image_pattern(name) else address


class VideoFolder(Target):
    """The place of such a folder, which is replaced whole where it has one video's files alone.

    Into a folder with other files they are put one by one, each whole, a playlist after its
    segments. The same is done with a mount point. The same is done in a store.
    """

    def __init__(self, address: Address, storage_options: Mapping[str, Any] | None = None) -> None:
        folder = address.parent
        # What is beside the folder until it is whole cannot be beside a bucket.
        if not folder.name or (isinstance(folder, Url) and "/" not in folder.rest):
            if isinstance(address, Url) and "/" not in address.rest:
                folder = Url(f"{address.protocol}://bucket")
            raise OutputError(
                f"{str(address)!r} has many files, which need a folder of their own, such as "
                f"{str(folder / 'video' / address.name)!r}."
            )
        super().__init__(address, storage_options)
        self._numbered, self._others = address.name, tuple[str, ...]()
        if not is_image_pattern(address.name):
            self._numbered, header = playlist_files(address.name)
            self._others = header, address.name
        before, after = (re.escape(each % ()) for each in _PATTERN.findall(self._numbered)[0])
        self._name = re.compile(rf"{before}([0-9]+){after}")

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def suffix(self) -> str:
        return self.address.name

    def exists(self) -> bool:
        if self._kind(self._real) != "directory":
            return False
        names = self.store.names(self._real)
        return any(each in self._others or self._number_of(each) is not None for each in names)

    @functools.cached_property
    def _real(self) -> Address:
        folder = self.address.parent
        return folder if isinstance(folder, Url) else Path(os.path.realpath(folder))

    def _check_found(self, kind: str | None, *, overwrite: bool) -> None:
        folder = str(self._real)
        if kind not in (None, "directory"):
            raise OutputError(f"{folder!r} is a file, and no folder.")
        if not overwrite and self.exists():
            raise OutputError(
                f"{folder!r} has files of such names, and overwrite=False keeps them from being "
                "replaced. Leave that out, or choose another folder."
            )

    def _clear(self, part: Path) -> None:
        if part.is_dir() and not part.is_symlink() and None not in self._numbers_in(part):
            remove_part(part)

    def _numbers_in(self, folder: Address) -> set[int | None]:
        """The numbers of the files of this name in it; None for what is not this video's."""
        names = set(self.store.names(folder)) - set(self._others)
        return {self._number_of(each) for each in names}

    def _number_of(self, name: str) -> int | None:
        found = self._name.fullmatch(name)
        return int(found[1]) if found and self._numbered % int(found[1]) == name else None

    def _move(self, part: Path, path: Path) -> None:
        try:
            self._replace(part, path)
        except OSError as error:
            kept = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
            try:
                part.rename(kept)
            except OSError:
                keep(kept := part)
            raise EncodeError(
                f"The finished files could not be put at {str(path)!r}: {error.strerror}. Those "
                f"that are not there are kept in {str(kept)!r}: move them from there."
            ) from error

    def _replace(self, part: Path, folder: Path) -> None:
        old = None
        if folder.exists():
            old = self._set_aside(folder)
            if old is None:
                numbered, others = self._files_of(part)
                for each in (*numbered, *others):
                    _put(each, folder / each.name)
                self.store.remove(self._left_over(len(numbered)))
                part.rmdir()
                return
        try:
            part.rename(folder)
        except OSError:
            if old is not None:
                old.rename(folder)
            raise
        if old is not None:
            remove_part(old)

    def _set_aside(self, folder: Path) -> Path | None:
        """Where the folder is now; None where it stays, for what else is in it or where it is."""
        numbers = self._numbers_in(folder)
        if numbers != set(range(len(numbers))):
            return None
        old = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.old")
        try:
            return folder.rename(old)
        except OSError:  # a mount point, for example
            return None

    def _upload(self, part: Path, url: Url) -> None:
        numbered, others = self._files_of(part)

        def upload(file: Path) -> None:
            self.store.upload(file, url / file.name)

        for _ in self.store.each(upload, numbered):
            pass
        for each in others:
            upload(each)
        self.store.remove(self._left_over(len(numbered)))

    def _files_of(self, part: Path) -> tuple[list[Path], list[Path]]:
        """Those with a number, and what must come after them."""
        numbered = sorted(each for each in part.iterdir() if each.name not in self._others)
        return numbered, [part / name for name in self._others]

    def _left_over(self, count: int) -> list[Address]:
        """Files of a longer video. What comes after a gap need not be one's."""
        names = set(self.store.names(self._real))
        found = list[Address]()
        while (name := self._numbered % (count + len(found))) in names:
            found.append(self._real / name)
        return found


def _put(image: Path, path: Path) -> None:
    """Move an image, whole, to a folder that may be of another file system."""
    try:
        image.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with removed_on_failure(copy):
            shutil.copyfile(image, copy)
            copy.replace(path)
        image.unlink()
