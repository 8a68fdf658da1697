"""Decides what one package holds, what of it is named, and whether Ray takes it at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rayanim.errors import PackageError
from rayanim.report import size_text
from rayanim.travel.rules import LETS_OTHERS_IN

LARGE_FILE_BYTES = 10 * 2**20
"""From here on a file is named, as Ray itself does."""

FILES_NAMED = 5

MOST_FILES = 50_000
"""More are no project's own: a home folder, say, or an environment that nothing marks."""

_HEADERS_BYTES = 30 + 46 + 2 * 24
"""What a zip file needs for each file beside its content and twice its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that travels.

    Attributes
    ----------
    path
        Relative to the folder that travels.
    size_bytes
        Its size.
    """

    path: PurePosixPath
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A file or a whole folder that stays.

    Attributes
    ----------
    path
        Relative to the folder that travels.
    reason
        Which rule it fell under.
    is_folder
        Whether it is a folder; what it holds was not looked at.
    """

    path: PurePosixPath
    reason: str
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What a package will hold.

    Attributes
    ----------
    entries
        The files, by path.
    left
        What stays behind, by path.
    size_bytes
        The package's size at most; its files are also compressed.
    """

    entries: tuple[Entry, ...]
    left: tuple[LeftBehind, ...]
    size_bytes: int

    @property
    def large(self) -> tuple[Entry, ...]:
        """The files that are worth a word, the largest first."""
        return tuple(each for each in _largest(self.entries) if each.size_bytes >= LARGE_FILE_BYTES)

    def notes(self, target: PurePosixPath | None = None) -> list[str]:
        """What a person should know of it: what is large, and what of theirs stays behind.

        Parameters
        ----------
        target
            The film to be made, relative to the folder: nobody will miss the one that is there.
        """
        notes = []
        if self.large:
            notes.append(
                f"The package of {len(self.entries)} files ({size_text(self.size_bytes)}) holds "
                f"{_listed(self.large)}. What the script does not need can stay behind: "
                "name it in .rayignore, or with --exclude."
            )
        surprising = [
            each for each in self.left if each.reason in _WORTH_A_WORD and each.path != target
        ]
        if surprising:
            notes.append(_said_of(surprising))
        return notes


_WORTH_A_WORD = (LETS_OTHERS_IN, "a film", ".gitignore")
"""Reasons that people may not have thought of."""


def plan_package(
    entries: Iterable[Entry],
    left: Iterable[LeftBehind],
    *,
    limit_bytes: int,
    folder: str,
) -> PackagePlan:
    """Decide on a package of `entries`.

    Parameters
    ----------
    entries, left
        What travels and what stays behind, in any order.
    limit_bytes
        Ray refuses a package that is not smaller.
    folder
        Its name in the refusal.

    Raises
    ------
    PackageError
        If the package would be too large; the message names its largest files.
    """
    files = tuple(sorted(entries, key=lambda each: each.path))
    size_bytes = sum(each.size_bytes + _overhead_bytes(each) for each in files)
    if size_bytes >= limit_bytes:
        raise PackageError(
            f"{folder} is too large to travel: {len(files)} files, {size_text(size_bytes)}, and "
            f"Ray takes less than {size_text(limit_bytes)}. The largest: "
            f"{_listed(_largest(files))}. Leave out what the script does not need, by a line in "
            f".rayignore or with --exclude {_largest(files)[0].path}; or put the script into a "
            "folder of its own. What it does need and is this large belongs on a disk or bucket "
            "that the cluster reads."
        )
    return PackagePlan(files, tuple(sorted(left, key=lambda each: each.path)), size_bytes)


def _overhead_bytes(entry: Entry) -> int:
    return _HEADERS_BYTES + 2 * len(str(entry.path).encode())


def _largest(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: each.size_bytes, reverse=True)[:FILES_NAMED]


def _listed(entries: Iterable[Entry]) -> str:
    return ", ".join(f"{each.path} ({size_text(each.size_bytes)})" for each in entries)


def _said_of(left: Sequence[LeftBehind]) -> str:
    named = ", ".join(
        f"{each.path}{'/' if each.is_folder else ''} ({each.reason})" for each in left[:FILES_NAMED]
    )
    more = f" and {len(left) - FILES_NAMED} more" if len(left) > FILES_NAMED else ""
    return (
        f"Not taken along: {named}{more}. What the script reads of it goes along with "
        "a line such as !name in .rayignore."
    )
