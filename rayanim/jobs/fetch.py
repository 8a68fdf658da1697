"""Brings a finished video from the cluster to this machine, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from rayanim.errors import JobError, OutputError
from rayanim.jobs.driver import JOB, LOG_FOLDER

_OFFERED_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Offer:
    """A video that can be fetched."""

    output: str
    relative: str
    name: str
    size_bytes: int
    sha256: str
    newlines: int
    ends_with_newline: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a job's log tells them."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The offer that a job's log tells."""
        return cls(**{name: values[name] for name in cls.__slots__})


def offer(video: Path, videos: Path) -> Offer | None:
    """Offer `video`, which lies on this node; None where this is no job's driver."""
    logs, job = os.environ.get(LOG_FOLDER), os.environ.get(JOB)
    if not logs or not job or not video.is_file():
        return None
    name = f"{job}-{hashlib.sha256(str(video).encode()).hexdigest()[:8]}{video.suffix}"
    _link(Path(logs) / name, video.resolve())
    relative = video.relative_to(videos) if video.is_relative_to(videos) else Path(video.name)
    return _described(video, relative.as_posix(), name)


def _link(link: Path, video: Path) -> None:
    try:
        link.symlink_to(video)
    except FileExistsError:
        link.unlink()
        link.symlink_to(video)


def _described(video: Path, relative: str, name: str) -> Offer:
    digest, newlines, size_bytes, last = hashlib.sha256(), 0, 0, b""
    with video.open("rb") as file:
        while block := file.read(_OFFERED_BLOCK_BYTES):
            digest.update(block)
            newlines += block.count(b"\n")
            size_bytes += len(block)
            last = block[-1:]
    found = digest.hexdigest()
    return Offer(str(video), relative, name, size_bytes, found, newlines, last == b"\n")


ATTEMPTS = 5
"""Connections in a row that bring nothing new before it is given up."""

PAUSE_S = 2.0

_BLOCK_BYTES = 2**20


class VideoReader(Protocol):
    """Where a video is read from: `JobsClient`."""

    def file(self, node_id: str, name: str, lines: int) -> AbstractContextManager[Iterator[bytes]]:
        """The last `lines` lines of a file, -1 for all."""


def fetch_video(
    source: VideoReader,
    node_id: str,
    offer: Offer,
    target: Path,
    *,
    on_bytes: Callable[[int], None] = lambda size_bytes: None,
    pause_s: float = PAUSE_S,
) -> None:
    """Bring the video of `offer` to `target`.

    It grows in ``TARGET.fetch`` and is renamed once its hash is right. What a
    broken connection or a stopped process has left there is gone on from, at
    the last newline in it.
    """
    try:
        growing = _Growing(target, offer)
        _grow(source, node_id, growing, on_bytes, pause_s)
        growing.finish()
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror}. The video is still on the cluster: "
            f"{offer.output}."
        ) from error


def _grow(
    source: VideoReader,
    node_id: str,
    growing: _Growing,
    on_bytes: Callable[[int], None],
    pause_s: float,
) -> None:
    failures = 0
    while growing.size_bytes != growing.offer.size_bytes:
        before_bytes = growing.size_bytes
        try:
            _receive(source, node_id, growing, on_bytes)
            return
        except JobError:
            failures = 0 if growing.size_bytes > before_bytes else failures + 1
            if failures >= ATTEMPTS:
                raise
            time.sleep(pause_s)


def _receive(
    source: VideoReader, node_id: str, growing: _Growing, on_bytes: Callable[[int], None]
) -> None:
    size_bytes = growing.offer.size_bytes
    with source.file(node_id, growing.offer.name, growing.lines_left()) as blocks:
        for block in blocks:
            growing.append(block)
            on_bytes(growing.size_bytes)
            if growing.size_bytes > size_bytes:
                return  # another video by now, as its hash will show
    if growing.size_bytes < size_bytes:
        raise JobError(
            f"Only {growing.size_bytes} of {size_bytes} bytes of {growing.offer.output} came; "
            "the connection has ended early."
        )


class _Growing:
    """A video as far as it is here."""

    def __init__(self, target: Path, offer: Offer) -> None:
        self.offer = offer
        self._target = target
        # The hash in its name: what is left of another video is not gone on from.
        self._path = target.with_name(f"{target.name}.{offer.sha256[:12]}.fetch")
        self.size_bytes = self._path.stat().st_size if self._path.exists() else 0

    def lines_left(self) -> int:
        """Cut what is here after its last newline, and say how many lines come after it."""
        newlines, kept_bytes = _newlines_in(self._path) if self.size_bytes else (0, 0)
        with self._path.open("ab") as file:
            file.truncate(kept_bytes)
        self.size_bytes = kept_bytes
        if not newlines:
            return -1
        return self.offer.newlines - newlines + (not self.offer.ends_with_newline)

    def append(self, block: bytes) -> None:
        """Take what comes next."""
        with self._path.open("ab") as file:
            file.write(block)
        self.size_bytes += len(block)

    def finish(self) -> None:
        """Put the video into its place."""
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        if digest.hexdigest() != self.offer.sha256:
            self._path.unlink()
            raise JobError(
                f"{self.offer.output} is not the video that the job has finished: it was written "
                f"to since. {self._target} was left as it was."
            )
        self._path.replace(self._target)


def _newlines_in(path: Path) -> tuple[int, int]:
    """How many newlines a file has, and how many bytes stand up to the last of them."""
    newlines = kept_bytes = read_bytes = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found = block.count(b"\n")
            if found:
                newlines += found
                kept_bytes = read_bytes + block.rindex(b"\n") + 1
            read_bytes += len(block)
    return newlines, kept_bytes
