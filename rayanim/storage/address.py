"""Reads where a video goes: a path on this machine, or the URL of a store."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from rayanim.errors import OutputError, SettingsError

# Two letters at least: ``C:\\videos`` is a path.
_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.:-]+)://(?P<rest>.*)", re.DOTALL)
# What `Path` makes of a URL of a store: ``s3://bucket/video.mp4`` loses a slash.
_MANGLED = re.compile(r"(s3a?|gc?s|abfss?|az|adl|memory):/[^/]")

ON_THIS_MACHINE = ("file", "local")
"""Protocols of paths."""


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of an object, ``s3://bucket/video.mp4``, with the methods of `Path` that are used."""

    text: str

    @property
    def protocol(self) -> str:
        return self.text.partition("://")[0]

    @property
    def rest(self) -> str:
        """What comes after ``://``."""
        return self.text.partition("://")[2]

    @property
    def bucket(self) -> str:
        return self.rest.partition("/")[0]

    @property
    def name(self) -> str:
        """Empty where the URL ends with a slash."""
        return self.rest.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        return Url(self.text.removesuffix(self.name).rstrip("/"))

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def expanduser(self) -> Url:
        """The same: a store has no home folders."""
        return self

    def is_dir(self) -> bool:
        """Whether it ends as a folder's address does."""
        return not self.name

    def with_name(self, name: str) -> Url:
        return Url(self.text.removesuffix(self.name) + name)

    def with_suffix(self, suffix: str) -> Url:
        return self.with_name(self.stem + suffix)

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text.rstrip('/')}/{name}")

    def __rtruediv__(self, folder: object) -> Url:
        """As for an absolute path: a folder in front of it does not matter."""
        return self

    def __str__(self) -> str:
        return self.text


Address: TypeAlias = Path | Url

Outfile: TypeAlias = str | os.PathLike[str] | Url
"""An address as users write it."""


def address_of(given: Outfile) -> Address:
    """What a user wrote, read by its form; ``file://`` is a path on this machine."""
    if isinstance(given, Url):
        return given
    text = os.fspath(given)
    found = _URL.fullmatch(text) if isinstance(text, str) else None
    if isinstance(text, str) and text.endswith("/") and (found is None or _is_here(found)):
        raise OutputError(f"{text!r} is a folder. Name a file in it, such as {text}wave.mp4.")
    if found is None:
        _check_not_mangled(given, text)
        return Path(text)
    protocol, rest = found["protocol"].lower(), found["rest"]
    if _is_here(found):
        return _path_of(text, rest)
    if "::" in protocol or "::" in rest:
        raise OutputError(f"{text!r} joins addresses with '::'. Give that of the store alone.")
    return Url(f"{protocol}://{rest}")


def _is_here(found: re.Match[str]) -> bool:
    return found["protocol"].lower() in ON_THIS_MACHINE


def _path_of(text: str, rest: str) -> Path:
    path = rest.removeprefix("localhost")
    if not path.startswith("/"):
        raise OutputError(
            f"{text!r} must have three slashes and the whole path of a file on this machine, "
            f"such as 'file:///{path}'."
        )
    return Path(path)


def _check_not_mangled(given: object, text: str) -> None:
    if isinstance(given, Path) and _MANGLED.match(text):
        protocol, _colon, rest = text.partition(":/")
        raise OutputError(
            f"{text!r}: a Path loses one of a URL's slashes. Give the address as text: "
            f"'{protocol}://{rest}'."
        )


def check_names(addresses: Sequence[Address]) -> None:
    """Refuse several outputs of one name, or of several that lead to one file."""
    seen: dict[Address, Address] = {}
    for address in addresses:
        first = seen.get(file := _file_of(address))
        if first == address:
            raise SettingsError(f"Two outputs have the name {str(address)!r}.")
        if first is not None:
            raise SettingsError(f"Two outputs are one file: {str(first)!r} and {str(address)!r}.")
        seen[file] = address


def _file_of(address: Address) -> Address:
    """Where links lead."""
    try:
        return address if isinstance(address, Url) else Path(os.path.realpath(address))
    except (OSError, ValueError):  # a name that the system does not take
        return address


def with_default_suffix(path: Address, suffix: str) -> Address:
    """`path` with `suffix`, if it is a name without one and no folder."""
    # "video." and ".video" are slips.
    if path.suffix or not path.name.strip(".") or path.name.strip(".") != path.name:
        return path
    try:
        is_folder = path.is_dir()
    except OSError:  # a name that the system does not take
        is_folder = False
    return path if is_folder else path.with_name(path.name + suffix)


OUTPUT_OPTIONS: dict[str, type[str] | type[int] | type[float]] = {
    "width": int,
    "frame": int,
    "codec": str,
    "crf": float,
    "preset": str,
    "bitrate": float,
    "pixel_format": str,
    "hwaccel": str,
    "loop": int,
    "dither": str,
    "colors": int,
}
"""Settings that one output may have of its own, as text: ``small.gif:width=480,loop=1``."""

_OPTION = r"\w+=[^,:/\\]+"
_WITH_OPTIONS = re.compile(rf"(?P<name>.+?):(?P<options>{_OPTION}(?:,{_OPTION})*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Output:
    """One of the files that a run writes, with the settings that it has of its own."""

    address: Address
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.options)
        return f"{self.address}:{options}" if options else str(self.address)


def split_options(text: str) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """A file's name, and the settings behind it.

    What has other names is part of the file's, unless a file or folder is named before it: then
    it is a slip.
    """
    from rayanim.video.spec import CONTAINERS

    found = _WITH_OPTIONS.fullmatch(text)
    if found is None:
        return text, ()
    pairs = [pair.partition("=") for pair in found["options"].split(",")]
    ends = (*(each.suffix for each in CONTAINERS), "/")
    if not (
        found["name"].lower().endswith(ends) or all(name in OUTPUT_OPTIONS for name, *_ in pairs)
    ):
        return text, ()
    options = []
    for name, _, value in pairs:
        if name not in OUTPUT_OPTIONS:
            raise SettingsError(
                f"{text!r}: an output has no setting {name!r} of its own. It may have: "
                f"{', '.join(OUTPUT_OPTIONS)}."
            )
        try:
            options.append((name, OUTPUT_OPTIONS[name](value)))
        except ValueError:
            raise SettingsError(f"{text!r}: {name} must be a number, got {value!r}.") from None
    return found["name"], tuple(options)
