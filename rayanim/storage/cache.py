"""Finished segments of all videos on this machine, so that an edit has the others drawn again.

::

    ~/.cache/rayanim/segments/
        0a3f...c2.part    a segment file, linked from the folder of the video that it was made for
        0a3f...c2.json    what is known of it, see `ABOUT`
        77b0...1d.last    of a video the digests of what it was drawn from, for messages

Files are named by their key, which stands for all that decides about the segment's frames. They are
replaced as a whole, and go by age: the one that was not used for the longest time first. Whatever
fails here is as if nothing were there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

ABOUT = {"marks", "next_state"}
"""What is known of a segment: digests of some frames' pixels by number, and the fingerprint of the
source after its updates, or null."""

LIMIT_BYTES = 2 * 2**30
"""Two million frames of plots in 640x480, or some hours of full HD."""

MOST_LAST = 500
"""Some 10 KB each."""

_TAKEN_AS_COPY = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES)
"""What a disk answers where a file cannot have another name."""


def cache_folder() -> Path:
    """Where the user's cache is; it need not exist."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path counts as none (XDG Base Directory Specification).
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    return base / "rayanim" / "segments"


class KeptSegment(NamedTuple):
    """A segment file in the cache."""

    key: str
    status: os.stat_result


class SegmentCache:
    """The segments in one folder, by their keys."""

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = cache_folder() if folder is None else folder
        self.limit_bytes = limit_bytes

    @property
    def is_usable(self) -> bool:
        """Whether segments can be put there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self.folder, os.W_OK | os.X_OK)

    def about(self, key: str) -> dict[str, Any] | None:
        """What is known of a segment; None where the cache has it not."""
        try:
            found = json.loads(self._path(key, ".json").read_bytes())
            is_whole = found.keys() == ABOUT and bool(found["marks"])
            for number, digest in found["marks"].items():
                int(number), bytes.fromhex(digest)
            is_whole &= isinstance(found["next_state"], str | None)
            return found if is_whole and self._path(key, ".part").is_file() else None
        except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
            return None

    def take(self, key: str, to: Path) -> bool:
        """Put a segment file at `to`, where none is; whether that went well."""
        part = self._path(key, ".part")
        try:
            _link(part, to)
            # What was used last goes last.
            os.utime(part)
        except OSError:
            return False
        return True

    def keep(self, key: str, segment: Path, about: Mapping[str, Any]) -> None:
        """Keep a segment file, with what is known of it, in the place of one that is there.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        part = self._path(key, ".part")
        with self._unfinished(key) as unfinished:
            # First what a segment is of no use without.
            unfinished.write_text(json.dumps(about))
            unfinished.replace(self._path(key, ".json"))
            _link(segment, unfinished)
            unfinished.replace(part)
            os.utime(part)

    def last(self, name: str) -> dict[str, str] | None:
        """Digests of what the video `name` was drawn from when it was rendered last."""
        try:
            found = json.loads(self._path(name, ".last").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def keep_last(self, name: str, digests: Mapping[str, str]) -> None:
        """Keep them.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        with self._unfinished(name) as unfinished:
            unfinished.write_text(json.dumps(digests))
            unfinished.replace(self._path(name, ".last"))
        kept = sorted(self.folder.glob("*.last"), key=_time_of)
        for path in kept[:-MOST_LAST]:
            path.unlink(missing_ok=True)

    def drop(self, beginning: str) -> None:
        """Forget the segments whose key begins so."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"{beginning}*"):
                path.unlink()

    def shrink(self) -> None:
        """Forget the segments that were not used for the longest time, until the rest fits."""
        left_bytes = self.limit_bytes
        by_last_use = sorted(self._segments(), key=lambda each: -each.status.st_mtime)
        for each in by_last_use:
            left_bytes -= each.status.st_size
            if left_bytes < 0:
                self.drop(each.key)

    def size(self) -> tuple[int, int]:
        """How many segments there are, and their bytes."""
        # One segment may have several keys.
        found = {each.status.st_ino: each.status.st_size for each in self._segments()}
        return len(found), sum(found.values())

    def clear(self) -> None:
        """Remove all of it.

        Raises
        ------
        OSError
            If something of it cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _segments(self) -> list[KeptSegment]:
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.name.endswith(".part"):
                        key = entry.name.removesuffix(".part")
                        # Not the entry's own, which has no inode on Windows.
                        found.append(KeptSegment(key, os.stat(entry)))  # noqa: PTH116
        return found

    @contextlib.contextmanager
    def _unfinished(self, key: str) -> Iterator[Path]:
        """Where to write a file until it is whole; what is left there is removed."""
        path = self._path(key, f".{secrets.token_hex(4)}.tmp")
        try:
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / (key + suffix)


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def short_digests(digests: Mapping[str, str]) -> dict[str, str]:
    """Digests of texts, for a file of the cache's."""
    return {key: blake2b(each.encode()).hexdigest()[:16] for key, each in digests.items()}


def _link(source: Path, to: Path) -> None:
    """Give a file another name, or copy it where that cannot be."""
    try:
        os.link(source, to)
    except OSError as error:
        if error.errno not in _TAKEN_AS_COPY:
            raise
        shutil.copyfile(source, to)
