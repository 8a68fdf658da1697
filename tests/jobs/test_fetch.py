"""A video comes whole or not at all, however often the connection breaks."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rayanim.cli.job_commands import fetch_videos
from rayanim.cli.printing import Stopped
from rayanim.errors import JobError, OutputError, SettingsError
from rayanim.jobs.client import SubmittedJob
from rayanim.jobs.driver import JOB, LOG_FOLDER
from rayanim.jobs.fetch import ATTEMPTS, Offer, check_free, fetch_video, offer, targets


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("rayanim.jobs.fetch.PAUSE_S", 0.0)


VIDEO = random.Random(7).randbytes(300_000)


def offer_of(content: bytes) -> Offer:
    return Offer(
        output="/videos/wave.mp4",
        relative="wave.mp4",
        name="job-1.mp4",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


class FakeClient:
    """Gives a file as Ray's dashboard does, and breaks off when told to.

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
        self.connections = 0

    def file(self, node_id: str, name: str) -> Iterator[bytes]:
        assert (node_id, name) == ("node-1", "job-1.mp4")
        self.connections += 1
        limit = self.breaks.pop(0) if self.breaks else len(self.content)
        for start in range(0, min(limit, len(self.content)), 4096):
            yield self.content[start : min(start + 4096, limit)]
        if limit < len(self.content):
            raise JobError("The connection has broken.")


@pytest.mark.parametrize("content", [VIDEO, b"", b"one block"])
def test_a_video_arrives_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Whatever its bytes are, and nothing else is left beside it."""
    target, seen = tmp_path / "wave.mp4", list[int]()
    fetch_video(FakeClient(content), "node-1", offer_of(content), target, on_bytes=seen.append)
    assert target.read_bytes() == content
    assert seen == sorted(seen) and (not content or seen[-1] == len(content))
    assert list(tmp_path.iterdir()) == [target]


def test_a_connection_that_breaks_starts_again(tmp_path: Path) -> None:
    """Until then the target is as it was."""
    client = FakeClient(VIDEO, breaks=(100_000, 0, 299_999))
    target = tmp_path / "wave.mp4"
    target.write_bytes(b"the video of yesterday")
    seen = list[bytes]()
    fetch_video(
        client,
        "node-1",
        offer_of(VIDEO),
        target,
        on_bytes=lambda _: seen.append(target.read_bytes()),
    )
    assert target.read_bytes() == VIDEO and client.connections == 4
    assert set(seen) == {b"the video of yesterday"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_connection_that_breaks_later_each_time_is_not_given_up(tmp_path: Path) -> None:
    """However often: only tries that get no further count."""
    further = tuple(range(20_000, 20_000 + 1000 * 3 * ATTEMPTS, 1000))
    client = FakeClient(VIDEO, breaks=tuple(each for at in further for each in (at, 0)))
    fetch_video(client, "node-1", offer_of(VIDEO), tmp_path / "wave.mp4")
    assert client.connections == 2 * len(further) + 1
    assert (tmp_path / "wave.mp4").read_bytes() == VIDEO


def test_a_connection_that_always_breaks_is_given_up(tmp_path: Path) -> None:
    """The target is as it was, and nothing else is left beside it."""
    target = tmp_path / "wave.mp4"
    target.write_bytes(b"the video of yesterday")
    client = FakeClient(VIDEO, breaks=(100_000,) * 100)
    with pytest.raises(JobError, match="broken"):
        fetch_video(client, "node-1", offer_of(VIDEO), target)
    assert client.connections == ATTEMPTS
    assert target.read_bytes() == b"the video of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_two_fetches_at_once_do_not_mix(tmp_path: Path) -> None:
    """Each has a file of its own, whichever of them ends first."""
    target, other = tmp_path / "wave.mp4", VIDEO[::-1]

    class Interrupted(FakeClient):
        def file(self, node_id: str, name: str) -> Iterator[bytes]:
            for number, block in enumerate(super().file(node_id, name)):
                yield block
                if number == 40:
                    fetch_video(FakeClient(VIDEO), node_id, offer_of(VIDEO), target)
                    assert target.read_bytes() == VIDEO

    fetch_video(Interrupted(VIDEO), "node-1", offer_of(VIDEO), target)
    assert target.read_bytes() == VIDEO
    fetch_video(Interrupted(other), "node-1", offer_of(other), target)
    assert target.read_bytes() == other
    assert list(tmp_path.iterdir()) == [target]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    """Not of what came: somebody else may have written into the file."""
    target = tmp_path / "wave.mp4"

    def spoil(size_bytes: int) -> None:
        if size_bytes == len(VIDEO):
            [growing] = tmp_path.iterdir()
            with growing.open("r+b") as file:
                file.write(b"something else")

    with pytest.raises(JobError, match="has changed since the job finished it"):
        fetch_video(FakeClient(VIDEO), "node-1", offer_of(VIDEO), target, on_bytes=spoil)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch ends with that signal's exit code."""
    monkeypatch.chdir(tmp_path)
    # In place of the default, which would end the tests where nobody catches the signal.
    before = signal.signal(number, lambda *_: None)

    class Signalled(FakeClient):
        def file(self, node_id: str, name: str) -> Iterator[bytes]:
            for block in super().file(node_id, name):
                yield block
                assert [each.suffix for each in tmp_path.iterdir()] == [".fetch"]
                os.kill(os.getpid(), number)

    job = SubmittedJob("job-1", "SUCCEEDED", "", 0, "node-1", None, None, {})
    try:
        with pytest.raises(Stopped) as caught:
            fetch_videos(Signalled(VIDEO), job, [offer_of(VIDEO)], None, quiet=True)
    finally:
        signal.signal(number, before)
    assert caught.value.exit_code == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_video_with_another_hash_is_refused(tmp_path: Path) -> None:
    """One byte is enough; the target stays, and what has come does not."""
    target = tmp_path / "wave.mp4"
    target.write_bytes(b"the video of yesterday")
    spoilt = bytearray(VIDEO)
    spoilt[150_000] ^= 1
    with pytest.raises(JobError, match="has changed since the job finished it"):
        fetch_video(FakeClient(bytes(spoilt)), "node-1", offer_of(VIDEO), target)
    assert target.read_bytes() == b"the video of yesterday"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", [VIDEO + b"more", VIDEO[:-1]])
def test_a_video_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    """Longer or shorter than what was offered, it is another one by now."""
    target = tmp_path / "wave.mp4"
    with pytest.raises(JobError):
        fetch_video(FakeClient(content), "node-1", offer_of(VIDEO), target)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With where the video still is."""
    with pytest.raises(OutputError, match=r"still on the cluster: /videos/wave\.mp4"):
        fetch_video(FakeClient(VIDEO), "node-1", offer_of(VIDEO), tmp_path / "no" / "wave.mp4")


def test_a_driver_offers_what_it_has_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link in its log folder, which a second offer of the same video replaces."""
    video, logs = tmp_path / "videos" / "a" / "wave.mp4", tmp_path / "logs"
    video.parent.mkdir(parents=True)
    logs.mkdir()
    video.write_bytes(VIDEO)
    assert offer(video, tmp_path / "videos") is None
    monkeypatch.setenv(LOG_FOLDER, str(logs))
    monkeypatch.setenv(JOB, "job-1")
    for content in (b"preview", VIDEO):
        video.write_bytes(content)
        made = offer(video, tmp_path / "videos")
        assert made is not None and made.relative == "a/wave.mp4"
        assert (logs / made.name).read_bytes() == content
        assert replace(offer_of(content), output=str(video), relative="a/wave.mp4") == replace(
            made, name="job-1.mp4"
        )
    assert Offer.of(made.to_dict()) == made and len(list(logs.iterdir())) == 1
    playlist = video.with_name("index.m3u8")
    playlist.write_text("")
    assert offer(playlist, tmp_path / "videos") is None  # without its segments it is of no use


@pytest.mark.parametrize(
    ("relative", "target"),
    [
        ("a/wave.mp4", "a/wave.mp4"),
        ("/etc/wave.mp4", "wave.mp4"),
        ("../../wave.mp4", "wave.mp4"),
        ("a/../../wave.mp4", "wave.mp4"),
    ],
)
def test_a_video_stays_below_the_current_folder(relative: str, target: str) -> None:
    """Whatever path the job's log tells, which any of its programs can write."""
    video = replace(offer_of(VIDEO), relative=relative)
    assert targets([video], None) == [(video, Path(target))]


@pytest.mark.parametrize("relative", ["", "..", "/", "a/.."])
def test_a_path_that_names_no_file_is_refused(relative: str) -> None:
    """Nothing can be written there."""
    with pytest.raises(SettingsError, match="is no file name here"):
        targets([replace(offer_of(VIDEO), relative=relative)], None)


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
