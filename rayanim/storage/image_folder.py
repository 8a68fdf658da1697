"""A video as a folder of images, one for each frame: ``frames/%04d.png``."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Address, Url
from rayanim.storage.lock import reason_of, remove_part, removed_on_failure
from rayanim.storage.output import Target

_NUMBER = re.compile(r"%(?:0\d)?d")

USUAL_NAMES = "%06d.png"
"""The images in a folder that is named alone."""


def is_image_pattern(name: str) -> bool:
    """Whether it names one file for each frame."""
    return "%" in name and name.replace("%%", "").count("%") == 1 and bool(_NUMBER.search(name))


class ImageFolder(Target):
    """The place of such a folder, which is replaced whole where nothing else is in it.

    Else the images are put into it one by one, each whole.
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
        before, _, after = address.name.partition(_NUMBER.findall(address.name)[0])
        self._image_name = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")

    @property
    def name(self) -> str:
        return self._folder.name

    @property
    def suffix(self) -> str:
        return self.address.name

    def exists(self) -> bool:
        return any(self._images())

    def check(self, *, overwrite: bool) -> None:
        folder = str(self._folder)
        try:
            if self._folder.exists() and not self._folder.is_dir():
                raise OutputError(f"{folder!r} is a file, and no folder for images.")
            if not overwrite and self.exists():
                raise OutputError(
                    f"{folder!r} has such images. Choose another folder, or allow replacing them: "
                    "overwrite=True, or -y on the command line."
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
            is_ours = part.is_dir() and not part.is_symlink() and not self._others_in(part)
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
                    f"{error.strerror}."
                ) from error

    @functools.cached_property
    def _real(self) -> Address:
        return self._folder

    @functools.cached_property
    def _folder(self) -> Path:
        return Path(os.path.realpath(self._address.parent))

    def _images(self) -> Iterator[Path]:
        """The images of this name that are there."""
        if self._folder.is_dir():
            for each in self._folder.iterdir():
                if self._image_name.fullmatch(each.name):
                    yield each

    def _others_in(self, folder: Path) -> bool:
        return any(not self._image_name.fullmatch(each.name) for each in folder.iterdir())

    def _publish(self, part: Path) -> None:
        folder = self._folder
        if folder.exists() and self._others_in(folder):
            new = {each.name for each in part.iterdir()}
            for each in part.iterdir():
                each.replace(folder / each.name)
            for each in list(self._images()):
                if each.name not in new:
                    each.unlink()
            part.rmdir()
            return
        old = folder.with_name(folder.name + ".old")
        if folder.exists():
            folder.rename(old)
        try:
            part.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        remove_part(old)
