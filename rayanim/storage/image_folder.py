"""A video as a folder of images, one for each frame: ``frames/%04d.png``."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Address, Outfile, Output, Url, address_of, split_options
from rayanim.storage.lock import reason_of, remove_part, removed_on_failure
from rayanim.storage.output import Target
from rayanim.video.spec import CONTAINERS, IMAGES

# One number; any other % is doubled.
_PATTERN = re.compile(r"((?:[^%]|%%)*)%(?:0\d)?d((?:[^%]|%%)*)")
_SUFFIXES = tuple(each.suffix for each in CONTAINERS if each.muxer == IMAGES)

USUAL_NAMES = "%06d.png"
"""The images in a folder that is named alone."""


def is_image_pattern(name: str) -> bool:
    """Whether it names one image for each frame."""
    return name.lower().endswith(_SUFFIXES) and _PATTERN.fullmatch(name) is not None


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


class ImageFolder(Target):
    """The place of such a folder, which is replaced whole where it has one video's images alone.

    Else, and where it is a mount point, the images are put into it one by one, each whole.
    """

    def __init__(self, address: Address, storage_options: Mapping[str, Any] | None = None) -> None:
        if isinstance(address, Url):
            raise OutputError(
                f"{str(address)!r}: images go to a folder of this machine. Name a video there, "
                "such as a .mp4, or a folder here."
            )
        if not address.parent.name:
            raise OutputError(
                f"{str(address)!r}: images need a folder of their own, such as "
                f"'frames/{address.name}'."
            )
        super().__init__(address, storage_options)
        self._address = address
        before, after = (re.escape(each % ()) for each in _PATTERN.findall(address.name)[0])
        self._image_name = re.compile(rf"{before}([0-9]+){after}")

    @property
    def name(self) -> str:
        return self._folder.name

    @property
    def suffix(self) -> str:
        return self.address.name

    def exists(self) -> bool:
        return self._folder.is_dir() and bool(self._numbers_in(self._folder) - {None})

    def check(self, *, overwrite: bool) -> None:
        folder = str(self._folder)
        try:
            if self._folder.exists() and not self._folder.is_dir():
                raise OutputError(f"{folder!r} is a file, and no folder for images.")
            if not overwrite and self.exists():
                raise OutputError(
                    f"{folder!r} has such images. Choose another folder, or allow replacing them: "
                    "overwrite=True, or leave --no-overwrite out."
                )
            self._folder.parent.mkdir(parents=True, exist_ok=True)
        except OutputError:
            raise
        except (OSError, ValueError) as error:
            raise OutputError(f"{folder!r} cannot be a folder: {reason_of(error)}.") from error
        if not os.access(self._folder.parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {str(self._folder.parent)!r} is not writable.")

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        part = self._folder.with_name(self._folder.name + ".part")
        if os.path.lexists(part):
            is_ours = part.is_dir() and not part.is_symlink() and None not in self._numbers_in(part)
            if not is_ours:
                raise OutputError(
                    f"{str(part)!r} stands where the unfinished images must be written. Rename or "
                    "remove it."
                )
            remove_part(part)
        with removed_on_failure(part):
            yield part
        try:
            self._publish(part)
        except OSError as error:
            raise EncodeError(
                f"The finished images could not be put at {str(self._folder)!r}: "
                f"{error.strerror}. Those that are not there are kept in {str(part)!r}: move "
                "them from there."
            ) from error

    @functools.cached_property
    def _real(self) -> Address:
        return self._folder

    @functools.cached_property
    def _folder(self) -> Path:
        return Path(os.path.realpath(self._address.parent))

    def _numbers_in(self, folder: Path) -> set[int | None]:
        """The numbers of the images of this name in it; None for all else."""
        return {self._number_of(each.name) for each in folder.iterdir()}

    def _number_of(self, name: str) -> int | None:
        found = self._image_name.fullmatch(name)
        return int(found[1]) if found and self._image(int(found[1])) == name else None

    def _image(self, number: int) -> str:
        return self._address.name % number

    def _publish(self, part: Path) -> None:
        old = None
        if self._folder.exists():
            old = self._set_aside()
            if old is None:
                self._put_one_by_one(part)
                return
        try:
            part.rename(self._folder)
        except OSError:
            if old is not None:
                old.rename(self._folder)
            raise
        if old is not None:
            remove_part(old)

    def _set_aside(self) -> Path | None:
        """Where the folder is now; None where it stays, for what else is in it or where it is."""
        numbers = self._numbers_in(self._folder)
        if numbers != set(range(len(numbers))):
            return None
        old = self._folder.with_name(f"{self._folder.name}.{secrets.token_hex(4)}.old")
        try:
            return self._folder.rename(old)
        except OSError:  # a mount point, for example
            return None

    def _put_one_by_one(self, part: Path) -> None:
        images = sorted(part.iterdir())
        for each in images:
            _put(each, self._folder / each.name)
        # Those of a longer video. What comes after a gap need not be one's frame.
        number = len(images)
        while (image := self._folder / self._image(number)).is_file():
            image.unlink()
            number += 1
        part.rmdir()


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
