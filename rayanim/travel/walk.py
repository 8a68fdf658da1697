"""Lists a folder's files, without going where nothing travels from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rayanim.errors import PackageError
from rayanim.travel.plan import MOST_FILES, Entry, LeftBehind
from rayanim.travel.rules import (
    ENVIRONMENT_MARKS,
    IGNORE_FILES,
    Rules,
    default_rules,
    reason_to_leave,
)


@dataclass(slots=True)
class Listing:
    """What was found below a folder.

    Attributes
    ----------
    entries, left
        The files that travel, and the paths that stay; at most `MOST_FILES` together.
    """

    entries: list[Entry] = field(default_factory=list)
    left: list[LeftBehind] = field(default_factory=list)


def list_folder(folder: Path, excludes: Sequence[str] = ()) -> Listing:
    """List what of `folder` travels.

    Parameters
    ----------
    folder
        The folder; links below it are followed, but no folder is entered twice.
    excludes
        Gitignore patterns, relative to it, that come before all others.

    Raises
    ------
    PackageError
        If `folder` is none, cannot be read, or holds more files than a project does.
    """
    if not folder.is_dir():
        raise PackageError(f"The working folder {str(folder)!r} is not there, or no folder.")
    walk = _Walk(folder, Rules.of(PurePosixPath(), "--exclude", excludes))
    try:
        walk.enter(PurePosixPath(), default_rules())
    except OSError as error:
        raise PackageError(
            f"{error.filename} cannot be read ({error.strerror}), so that {folder} cannot "
            "travel whole. Make it readable, or leave it out: --exclude NAME."
        ) from error
    return walk.listing


class _Walk:
    """One walk through a folder, depth first."""

    def __init__(self, folder: Path, given: Rules) -> None:
        self.listing = Listing()
        self._folder = folder
        self._given = given
        self._entered: set[tuple[int, int]] = set()

    def enter(self, path: PurePosixPath, rules: list[Rules]) -> None:
        """List the folder at `path`, where `rules` hold, the strongest last."""
        status = (self._folder / path).stat()
        if (status.st_dev, status.st_ino) in self._entered:
            return  # a link that leads back
        self._entered.add((status.st_dev, status.st_ino))
        rules = [*rules, *self._rules_in(path)]
        for child in sorted(os.scandir(self._folder / path), key=lambda each: each.name):
            self._take(path / child.name, child, rules)

    def _take(self, path: PurePosixPath, child: os.DirEntry[str], rules: list[Rules]) -> None:
        self._check_count()
        is_folder = child.is_dir()
        reason = self._why_left(path, is_folder, rules)
        if reason is not None:
            self.listing.left.append(LeftBehind(path, reason, is_folder))
        elif is_folder:
            self.enter(path, rules)
        elif child.is_symlink() and not Path(child.path).exists():
            self.listing.left.append(LeftBehind(path, "a broken link"))
        elif stat.S_ISREG(child.stat().st_mode):
            _check_readable(child.path)
            self.listing.entries.append(Entry(path, child.stat().st_size))

    def _why_left(self, path: PurePosixPath, is_folder: bool, rules: list[Rules]) -> str | None:
        reason = reason_to_leave(path, is_folder, [*rules, self._given])
        if reason is None and is_folder and self._is_environment(path):
            return "an environment"
        return reason

    def _is_environment(self, path: PurePosixPath) -> bool:
        return any((self._folder / path / mark).exists() for mark in ENVIRONMENT_MARKS)

    def _rules_in(self, path: PurePosixPath) -> Iterator[Rules]:
        """The rules of a folder's own ignore files."""
        for name in IGNORE_FILES:
            file = self._folder / path / name
            if name == ".gitignore" and os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") == "1":
                continue
            if file.is_file():
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
                yield Rules.of(path, name, lines)

    def _check_count(self) -> None:
        if len(self.listing.entries) + len(self.listing.left) >= MOST_FILES:
            raise PackageError(
                f"{self._folder} holds more than {MOST_FILES:,} files, which is more than a "
                "project's own. Put the script into a folder of its own, name that folder with "
                "--working-dir, or leave folders out: --exclude NAME/."
            )


def _check_readable(file: str) -> None:
    if not os.access(file, os.R_OK):
        raise PermissionError(13, "no permission", file)
