"""Brings a finished video from the cluster to this machine, whole or not at all.

An *offer* is a video that a driver has linked into its node's log folder, from which Ray's
dashboard serves files, with its hash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from rayanim.errors import JobError, OutputError, SettingsError
from rayanim.jobs.driver import JOB, LOG_FOLDER
from rayanim.storage.lock import removed_on_failure
from rayanim.storage.video_folder import is_folder

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient

ATTEMPTS = 5
"""So many tries in a row that bring no more bytes than one before them end a download."""

PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A video that can be fetched."""

    output: str
    relative: str
    name: str
    size_bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the job's log."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The offer in a job's log."""
        return cls(**{name: values[name] for name in cls.__slots__})


def linked(path: Path) -> str | None:
    """The name by which the dashboard serves `path`, which lies on this node, a file or a folder.

    None where this is no job's driver.
    """
    logs, job = os.environ.get(LOG_FOLDER), os.environ.get(JOB)
    if not logs or not job:
        return None
    name = f"{job}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}{path.suffix}"
    link = Path(logs) / name
    link.unlink(missing_ok=True)
    link.symlink_to(path.resolve())
    return name


def unlink(name: str) -> None:
    """Have the dashboard serve no more what it served by that name."""
    Path(os.environ[LOG_FOLDER], name).unlink(missing_ok=True)


def offer(video: Path, videos: Path) -> Offer | None:
    """Offer `video`, which lies on this node; None where this is no job's driver."""
    is_one_file = video.is_file() and not is_folder(video.name)
    name = linked(video) if is_one_file else None
    if name is None:
        return None
    relative = video.relative_to(videos) if video.is_relative_to(videos) else Path(video.name)
    return Offer(str(video), relative.as_posix(), name, video.stat().st_size, _digest(video))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def targets(videos: Sequence[Offer], output: Path | None) -> list[tuple[Offer, Path]]:
    """Where each video goes on this machine.

    Of a video that its job has made again, the last one counts.
    """
    videos = list({video.output: video for video in videos}.values())
    if output is not None and len(videos) > 1:
        names = ", ".join(video.relative for video in videos)
        raise SettingsError(
            f"-o names one file, and the job has made several videos ({names}). Leave -o out."
        )
    found: dict[Path, Offer] = {}
    for video in videos:
        target = output or _below_here(video)
        if target in found:
            raise SettingsError(
                f"{found[target].output} and {video.output} would both be {str(target)!r} here. "
                "They are still on the cluster; give them different names in the script, or "
                "paths that are relative."
            )
        found[target] = video
    return [(video, target) for target, video in found.items()]


def _below_here(video: Offer) -> Path:
    """Where `video` goes below the current folder, which its path must not lead out of."""
    path = PurePosixPath(video.relative)
    if not path.name or "\0" in video.relative or path.name == "..":
        raise SettingsError(
            f"The job calls its video {video.relative!r}, which is no file name here. Give -o FILE."
        )
    return Path(path.name) if path.is_absolute() or ".." in path.parts else Path(path)


def check_free(found: Sequence[tuple[Offer, Path]], again: str) -> None:
    """See that no video would replace a file."""
    for _, target in found:
        if target.exists():
            raise OutputError(
                f"{str(target)!r} exists, and --no-overwrite keeps it. The video is still on the "
                f"cluster: {again} -o FILE"
            )


def fetch_video(
    client: JobsClient,
    node_id: str,
    offer: Offer,
    target: Path,
    *,
    on_bytes: Callable[[int], None] = lambda size_bytes: None,
) -> None:
    """Bring the video of `offer` to `target`.

    It grows in a file of its own, ``TARGET.RANDOM.fetch``, which is renamed once
    its hash is right. A download that breaks starts again.
    """
    growing = target.with_name(f"{target.name}.{secrets.token_hex(6)}.fetch")
    try:
        with removed_on_failure(growing):
            _download(client, node_id, offer, growing, on_bytes)
            if _digest(growing) != offer.sha256:
                raise JobError(
                    f"{offer.output} has changed since the job finished it, so it was not "
                    f"fetched. {target} was left as it was."
                )
            growing.replace(target)
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror}. The video is still on the cluster: "
            f"{offer.output}."
        ) from error


def _download(
    client: JobsClient,
    node_id: str,
    offer: Offer,
    growing: Path,
    on_bytes: Callable[[int], None],
) -> None:
    """Bring the video into `growing`."""
    failures = most_bytes = 0
    while True:
        try:
            with growing.open("wb") as file:
                _write(client.file(node_id, offer.name), offer, file, on_bytes)
            return
        except JobError:
            came_bytes = growing.stat().st_size
            failures = 1 if came_bytes > most_bytes else failures + 1
            most_bytes = max(most_bytes, came_bytes)
            if failures == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)


def _write(
    blocks: Iterator[bytes], offer: Offer, file: BinaryIO, on_bytes: Callable[[int], None]
) -> None:
    size_bytes = 0
    for block in blocks:
        file.write(block)
        size_bytes += len(block)
        on_bytes(size_bytes)
        if size_bytes > offer.size_bytes:
            break  # another video by now, which may be much longer
    if size_bytes < offer.size_bytes:
        raise JobError(
            f"Only {size_bytes} of {offer.size_bytes} bytes of {offer.output} came; the "
            "connection has ended early."
        )
