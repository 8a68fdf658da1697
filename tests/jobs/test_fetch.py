"""A video comes whole or not at all, however often the connection breaks."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rayanim.cli.job_commands import check_free, targets
from rayanim.errors import JobError, OutputError, SettingsError
from rayanim.jobs.fetch import ATTEMPTS, Offer, fetch_video

VIDEO = random.Random(7).randbytes(300_000)


def offer_of(content: bytes) -> Offer:
    return Offer(
        output="/videos/wave.mp4",
        relative="wave.mp4",
        name="job-1.mp4",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        newlines=content.count(b"\n"),
        ends_with_newline=content.endswith(b"\n"),
    )


class LineServer:
    """Gives the last lines of a file as Ray's dashboard does, and breaks off when told to.

    Parameters
    ----------
    content
        The file's.
    breaks
        After how many bytes each connection breaks; those after them hold.
    """

    def __init__(self, content: bytes, breaks: tuple[int, ...] = ()) -> None:
        self.content = content
        self.breaks = list(breaks)
        self.asked: list[int] = []
        self.sent_bytes = 0

    @contextlib.contextmanager
    def file(self, node_id: str, name: str, lines: int) -> Iterator[Iterator[bytes]]:
        assert (node_id, name) == ("node-1", "job-1.mp4")
        self.asked.append(lines)
        yield self._blocks(lines)

    def _blocks(self, lines: int) -> Iterator[bytes]:
        kept = _lines(self.content)
        rest = self.content if lines < 0 else b"".join(kept[len(kept) - lines :])
        limit = self.breaks.pop(0) if self.breaks else len(rest)
        for start in range(0, min(limit, len(rest)), 4096):
            block = rest[start : min(start + 4096, limit)]
            self.sent_bytes += len(block)
            yield block
        if limit < len(rest):
            raise JobError("The connection has broken.")


def _lines(content: bytes) -> list[bytes]:
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@pytest.mark.parametrize("content", [VIDEO, VIDEO + b"\n", b"no newline", b"\n\n\n"])
def test_a_video_arrives_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Whatever its bytes are, and nothing else is left beside it."""
    target = tmp_path / "wave.mp4"
    fetch_video(LineServer(content), "node-1", offer_of(content), target)
    assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", [VIDEO, VIDEO + b"\n", b"\n" * 10_000])
def test_a_connection_that_breaks_is_gone_on_from(tmp_path: Path, content: bytes) -> None:
    """At the last newline that has come, so that hardly a byte comes twice."""
    server = LineServer(content, breaks=(len(content) // 3, len(content) // 4))
    target, seen = tmp_path / "wave.mp4", list[int]()
    fetch_video(server, "node-1", offer_of(content), target, on_bytes=seen.append, pause_s=0)
    assert target.read_bytes() == content
    assert server.asked[0] == -1 and len(server.asked) == 3 and min(server.asked[1:]) > 0
    longest = max(map(len, _lines(content)))
    assert server.sent_bytes <= len(content) + 2 * longest
    assert seen[-1] == len(content)


def test_a_fetch_that_was_killed_is_gone_on_from_by_the_next(tmp_path: Path) -> None:
    """What lies there counts; the target is as it was until the video is whole."""
    target = tmp_path / "wave.mp4"
    target.write_bytes(b"the video of yesterday")
    server = LineServer(VIDEO, breaks=(100_000, *(0,) * ATTEMPTS))
    with pytest.raises(JobError, match="broken"):
        fetch_video(server, "node-1", offer_of(VIDEO), target, pause_s=0)
    assert target.read_bytes() == b"the video of yesterday"
    again = LineServer(VIDEO)
    fetch_video(again, "node-1", offer_of(VIDEO), target)
    assert target.read_bytes() == VIDEO
    assert again.sent_bytes < 201_000
    assert list(tmp_path.iterdir()) == [target]


def test_a_video_with_another_hash_is_refused(tmp_path: Path) -> None:
    """One byte is enough; the target stays, and what has come does not."""
    target = tmp_path / "wave.mp4"
    target.write_bytes(b"the video of yesterday")
    spoilt = bytearray(VIDEO)
    spoilt[150_000] ^= 1
    with pytest.raises(JobError, match="not the video that the job has finished"):
        fetch_video(LineServer(bytes(spoilt)), "node-1", offer_of(VIDEO), target)
    assert target.read_bytes() == b"the video of yesterday"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", [VIDEO + b"more", VIDEO[:-1]])
def test_a_video_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    """Longer or shorter than what was offered, it is another one by now."""
    target = tmp_path / "wave.mp4"
    with pytest.raises(JobError):
        fetch_video(LineServer(content), "node-1", offer_of(VIDEO), target, pause_s=0)
    assert not target.exists()


def test_what_is_left_of_another_video_is_not_gone_on_from(tmp_path: Path) -> None:
    """The same target, another hash: it is read from its beginning."""
    target, old = tmp_path / "wave.mp4", VIDEO[::-1]
    with pytest.raises(JobError):
        broken = LineServer(old, breaks=(50_000, *(0,) * ATTEMPTS))
        fetch_video(broken, "node-1", offer_of(old), target, pause_s=0)
    server = LineServer(VIDEO)
    fetch_video(server, "node-1", offer_of(VIDEO), target)
    assert server.asked == [-1] and target.read_bytes() == VIDEO


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With where the video still is."""
    with pytest.raises(OutputError, match=r"still on the cluster: /videos/wave\.mp4"):
        fetch_video(LineServer(VIDEO), "node-1", offer_of(VIDEO), tmp_path / "no" / "wave.mp4")


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ("a/wave.mp4", "a/wave.mp4"),
        ("/etc/wave.mp4", "wave.mp4"),
        ("../../wave.mp4", "wave.mp4"),
        ("a/../../wave.mp4", "wave.mp4"),
    ],
)
def test_a_video_stays_below_the_current_folder(told: str, target: str) -> None:
    """Whatever path the job's log tells, which any of its programs can write."""
    offer = replace(offer_of(VIDEO), relative=told)
    assert targets([offer], None) == [(offer, Path(target))]


@pytest.mark.parametrize("told", ["", "..", "/", "a/.."])
def test_a_path_that_names_no_file_is_refused(told: str) -> None:
    """Nothing can be written there."""
    with pytest.raises(SettingsError, match="names no file"):
        targets([replace(offer_of(VIDEO), relative=told)], None)


def test_of_a_video_that_was_made_again_the_last_one_comes() -> None:
    """The first one is not there any more."""
    first, last = offer_of(b"preview"), offer_of(VIDEO)
    assert targets([first, last], None) == [(last, Path("wave.mp4"))]
    assert targets([first, last], Path("a.mp4")) == [(last, Path("a.mp4"))]


def test_no_video_replaces_another_one_of_its_job() -> None:
    """Two that lie elsewhere on the cluster may have one name here."""
    videos = [replace(offer_of(VIDEO), output=f"/{each}/wave.mp4") for each in "ab"]
    with pytest.raises(SettingsError, match=r"/a/wave\.mp4 and /b/wave\.mp4"):
        targets(videos, None)


def test_a_file_that_must_not_be_replaced_is_kept(tmp_path: Path) -> None:
    """How the video comes all the same is said."""
    video = tmp_path / "wave.mp4"
    check_free([(offer_of(VIDEO), video)], "rayanim fetch job-1")
    video.touch()
    with pytest.raises(OutputError, match="rayanim fetch job-1 -o FILE"):
        check_free([(offer_of(VIDEO), video)], "rayanim fetch job-1")
