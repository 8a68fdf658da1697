"""`rayanim run --watch`: what the page is sent, what it plays, and what ends with it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import harm
import psutil
import pytest
from browser import browser
from devtools import page as a_page
from harm import ACTORS, SEGMENT, Traced
from hypothesis import given
from hypothesis import strategies as st
from numbered import FPS, Numbered, read_numbers
from page_news import LIMIT_S, get, news_of

import rayanim
from rayanim.cli import main, watch_command
from rayanim.errors import FrameError
from rayanim.events import (
    ActorDied,
    ActorReleased,
    ChunkDrawn,
    ChunkSent,
    CopyDrawn,
    Event,
    JobFailed,
    JobStarted,
    Progressed,
    RayPassEnded,
    ScalingDecided,
    SegmentResumed,
    SegmentRetried,
    SegmentStored,
)
from rayanim.jobs.driver import JOB, LOG_FOLDER
from rayanim.jobs.watch import JobEvent, LogReader
from rayanim.overrides import Overrides, overriding
from rayanim.preview import live_report, submitted
from rayanim.preview.live_report import LiveReport, Spans
from rayanim.preview.pages import PageHandler
from rayanim.preview.submitted import ForwardedReport, SubmittedRender, spec_of, values_of
from rayanim.preview.watching import LEFT_S, WatchedRender, WatchServer
from rayanim.video.spec import Tracks

MODULES = os.pathsep.join([os.path.dirname(__file__), str(Path(rayanim.__file__).parents[1])])


def render(source: Any, path: Path | list[str], watch: Any, **options: Any) -> rayanim.Report:
    """A job whose events `watch` gets, as the command has it."""
    usual = {"progress": False, "engine": "local", "segment_frames": 10}
    with overriding(Overrides(watch=watch, on_report=watch.finish)):
        return rayanim.produce(source, FPS, outfile=path, **{**usual, **options})


class Seen(LiveReport):
    """Keeps what a page would be sent after each event, and the segments that it could play."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[dict[str, Any]] = []
        self.files: dict[int, tuple[bytes, str]] = {}

    def apply(self, event: Event) -> None:
        super().apply(event)
        assert not self._is_broken
        with self.changed:
            news = self.since(-1, 0)
        self.received.append(news)
        if news["state"] == "drawing":
            for index, *_ in news["segments"]:
                if index not in self.files and (found := self.segment(index, news["version"])):
                    self.files[index] = found


# ---- what is sent


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 9)), max_size=30),
)
def test_frames_are_added_and_removed(changes):
    spans, frames = Spans(), set()
    for is_added, start, length in changes:
        (spans.add if is_added else spans.remove)(start, start + length)
        changed = set(range(start, start + length))
        frames = frames | changed if is_added else frames - changed
        assert {each for start, stop in spans.all for each in range(start, stop)} == frames
        assert all(a < b for a, b in spans.all)
        assert all(before[1] < after[0] for before, after in pairwise(spans.all))


BEGUN = JobStarted(output="v.mp4", frames=99, resume=False, rayanim="1", host="here", pid=1)


def sent(actor: int, start: int, stop: int) -> Event:
    return ChunkSent(actor=actor, segment=0, start=start, stop=stop)


def drawn(actor: int, start: int, stop: int) -> Event:
    times = {"draw_s": 1.0, "convert_s": 1.0, "encode_s": 1.0}
    return ChunkDrawn(actor=actor, segment=0, start=start, stop=stop, **times)


GIVEN = [sent(1, 0, 10), sent(2, 10, 20), sent(1, 20, 30)]


@pytest.mark.parametrize(
    ("events", "drawing", "are_drawn"),
    [
        ([], [(1, 0, 10), (2, 10, 20)], []),
        ([drawn(1, 0, 10)], [(1, 20, 30), (2, 10, 20)], [(0, 10)]),
        # A copy of what the first one draws: both go on to something else.
        (
            [
                drawn(2, 10, 20),
                sent(2, 0, 10),
                drawn(2, 0, 10),
                CopyDrawn(actor=1, segment=0, start=0, stop=10, rss_bytes=0),
            ],
            [(1, 20, 30)],
            [(0, 20)],
        ),
        (
            [
                drawn(1, 0, 10),
                drawn(2, 10, 20),
                SegmentRetried(segment=0, start=0, stop=10, reason="lost"),
            ],
            [(1, 20, 30)],
            [(10, 20)],
        ),
        ([ActorDied(actor=1, reason="killed")], [(2, 10, 20)], []),
        ([ActorReleased(actor=1)], [(2, 10, 20)], []),
        ([RayPassEnded()], [], []),
        ([SegmentResumed(segment=0, start=0, stop=20)], [(1, 20, 30)], []),
        ([JobFailed(error="FrameError", text="no", elapsed_s=1.0)], [], []),
    ],
)
def test_what_actors_draw(events, drawing, are_drawn):
    """What pages were sent stays as it is: they are sent it later, by another thread."""
    watched = LiveReport()
    for each in [BEGUN, *GIVEN, *events]:
        watched.apply(each)
    news = watched.now()
    watched.apply(drawn(2, 50, 60))
    watched.apply(sent(3, 60, 70))
    assert (news["drawing"], news["drawn"]) == (drawing, are_drawn)


FORMATS = {
    "video.mp4": "video/mp4",
    "video.mkv": "video/mp4",
    "video.webm": "video/webm",
    "video.gif": "image/gif",
    "video.webp": "image/webp",
}


@pytest.mark.parametrize("name", FORMATS)
def test_finished_segments_are_files_while_others_are_drawn(name, tmp_path):
    """Each with its own frames, however the video is shown in the end."""
    seen = Seen()
    timing = {} if name == "video.gif" else {"hold": "1s"}
    render(Numbered(40), tmp_path / name, seen, **timing)
    assert seen.files
    for index, (data, kind) in seen.files.items():
        path = tmp_path / f"segment{index}.{kind.partition('/')[2]}"
        path.write_bytes(data)
        assert kind == FORMATS[name]
        if name != "video.webp":  # which FFmpeg does not read
            assert read_numbers(path) == list(range(10 * index, 10 * index + 10))
    last = seen.received[-1]
    assert [each[0] for each in sorted(last["segments"])] == [0, 1, 2, 3]
    assert seen.now()["state"] == "finished"
    assert seen.now()["report"].startswith(str(tmp_path / name))
    assert seen.video == tmp_path / name


def test_the_report_is_the_job_s_own(tmp_path, monkeypatch):
    monkeypatch.setattr(live_report, "EVERY_S", 0)
    seen = Seen()
    render(Numbered(40), tmp_path / "video.mp4", seen)
    last = seen.received[-1]
    facts = dict(last["facts"])
    assert (last["done"], last["total"], last["share"]) == (40, 40, "100%")
    assert facts["Frames"] == "40/40" and facts["Drawn"] == "in this process"
    assert facts["Finished"].startswith("4 segments, ")
    assert [name for name, _ in last["rates"]] == ["Drawing", "Conversion", "Encoding"]
    assert "took longe" in last["bottleneck"]
    assert last["why_not"].startswith("The first 10 frames are a segment")
    # What is drawn is known before it is finished.
    assert any(each["drawn"] and not each["segments"] for each in seen.received if "drawn" in each)
    assert last["drawn"] == []


def test_the_report_says_why_there_are_so_many_actors(tmp_path, monkeypatch):
    monkeypatch.setattr(live_report, "EVERY_S", 0)
    watched = LiveReport()
    render(Numbered(10), tmp_path / "video.mp4", watched)
    watched.apply(ScalingDecided(target=4, delta=2, reason="frames are heavy"))
    watched.apply(Progressed(alive=2, target=4, queued_frames=7))
    facts = dict(watched.now()["facts"])
    assert (facts["Drawn"], facts["Reason"]) == ("by 2/4 actors", "frames are heavy")
    assert facts["Queue"] == "7 frames"


class FailsOnce(Numbered):
    """Frame 25 raises while there is no note that it has."""

    def __init__(self, note: Path) -> None:
        super().__init__(40)
        self.note = note

    def generate_at(self, time_ms: float) -> Any:
        if round(time_ms * FPS / 1000) == 25 and not self.note.exists():
            self.note.touch()
            raise ValueError("once")
        return super().generate_at(time_ms)


def test_segments_of_an_earlier_job_are_finished_from_the_start(tmp_path):
    source, failing, seen = FailsOnce(tmp_path / "note"), Seen(), Seen()
    with pytest.raises(FrameError):
        render(source, tmp_path / "video.mp4", failing)
    assert failing.now()["state"] == "failed" and "frame 25" in failing.now()["error"]
    render(source, tmp_path / "video.mp4", seen, resume=True)
    received = [
        ({each[0] for each in news["segments"]}, news.get("done")) for news in seen.received
    ]
    assert ({0, 1}, 20) in received and received[-1] == ({0, 1, 2, 3}, 40)


def test_the_first_output_that_browsers_play_is_played(tmp_path):
    outputs = [str(tmp_path / "video.mov:codec=prores"), str(tmp_path / "small.mp4")]
    seen = Seen()
    report = render(Numbered(30), outputs, seen)
    (tmp_path / "segment.mp4").write_bytes(seen.files[1][0])
    assert read_numbers(tmp_path / "segment.mp4") == list(range(10, 20))
    assert seen.video == tmp_path / "small.mp4"
    # Also where the other one has no bytes that are known.
    seen.video = None
    seen.finish(replace(report, file_bytes=0))
    assert seen.video == tmp_path / "small.mp4"


def test_two_videos_are_shown_one_after_the_other(tmp_path):
    """Of the first nothing is left; a folder of images is no file that a page shows."""
    seen = Seen()
    render(Numbered(30), tmp_path / "one.mp4", seen)
    first, seen.files = seen.now()["output"], {}
    render(Numbered(10), tmp_path / "%04d.png", seen)
    assert first == str(tmp_path / "one.mp4")
    assert seen.received[-1]["segments"] == [(0, 0, 10)]
    assert (seen.files, seen.video, seen.now()["video"]) == ({}, None, None)


@pytest.mark.parametrize(
    ("name", "options", "why_not"),
    [
        ("video.mov", {"codec": "prores"}, "Browsers play no prores_ks segments"),
        ("video.mkv", {"codec": "ffv1"}, "Browsers play no ffv1 segments"),
        ("video.mp4", {"transport": "frames"}, "One encoder makes the whole video"),
    ],
)
def test_where_nothing_can_be_played_the_page_says_so(name, options, why_not, tmp_path):
    seen = Seen()
    render(Numbered(30), tmp_path / name, seen, **options)
    assert seen.files == {} and seen.received[-1]["kind"] is None
    assert seen.received[-1]["why_not"].startswith(why_not)
    assert dict(seen.received[-1]["facts"])["Frames"] == "30/30"


def test_a_stream_s_values_come_back_from_json(tmp_path):
    """As they are sent from a cluster."""
    seen = Seen()
    render(Numbered(30), tmp_path / "video.mp4", seen, hold="1s", metadata={"title": "x"})
    spec = seen.playing.spec
    found = spec_of(json.loads(json.dumps(values_of(spec))))
    assert (found.size, found.rate, found.options) == (spec.size, spec.rate, spec.options)
    assert (found.timing, found.tracks) == (None, Tracks())


class FakeCluster:
    """Serves files of a log folder, as a cluster's dashboard does."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs

    def job(self, submission_id: str) -> Any:
        return SimpleNamespace(node_id="node-1")

    def file(self, node_id: str, name: str) -> Iterator[bytes]:
        yield (self.logs / name).read_bytes()


def test_the_log_of_a_submitted_job_makes_the_same_page(tmp_path, monkeypatch):
    """Its segments are read through the cluster; its video counts when it is here."""
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv(LOG_FOLDER, str(tmp_path / "logs"))
    monkeypatch.setenv(JOB, "job-1")
    monkeypatch.setattr(submitted, "EVERY_S", 0)
    here = SubmittedRender(FakeCluster(tmp_path / "logs"), "job-1")  # type: ignore[arg-type]
    played, shown = {}, []

    def emit(kind: str, values: dict[str, Any]) -> None:
        [event] = LogReader("mark ").feed(f"mark {json.dumps({'event': kind, **values})}\n")
        assert isinstance(event, JobEvent) and event.kind == "watch"
        here.take(event.values)
        news = here.since(-1, 0)
        shown.append(news)
        for index, *_ in news["segments"] if news["state"] == "drawing" else ():
            played[index] = here.segment(index, news["version"])

    there = ForwardedReport(emit)
    render(Numbered(30), tmp_path / "video.mp4", there)
    for index, found in played.items():
        (tmp_path / "segment.mp4").write_bytes(found[0])
        assert read_numbers(tmp_path / "segment.mp4") == list(range(10 * index, 10 * index + 10))
    assert played
    assert not list((tmp_path / "logs").iterdir())
    assert [each[0] for each in shown[-1]["segments"]] == [0, 1, 2]
    assert dict(shown[-1]["facts"])["Frames"] == "30/30"
    assert (shown[-1]["state"], shown[-1]["video"]) == ("fetching", None)
    here.finish(tmp_path / "video.mp4")
    assert (here.shown["state"], here.shown["video"]) == ("finished", "video/mp4")
    # What the script might write there is no news.
    here.take({"state": "drawing", "version": 9, "segments": ["x"]})
    assert here.shown["state"] == "finished"


def test_news_in_a_job_s_log_are_bounded(tmp_path, monkeypatch):
    """In all, the end aside; and many segments at once are news in several lines."""
    monkeypatch.setattr(submitted, "EVERY_S", 1e9)
    monkeypatch.setattr(submitted, "SEGMENTS_PER_LINE", 2)
    here = SubmittedRender(FakeCluster(tmp_path), "job-1")  # type: ignore[arg-type]
    lines: list[dict[str, Any]] = []

    def emit(kind: str, values: dict[str, Any]) -> None:
        lines.append(values)
        here.take(values)

    there = ForwardedReport(emit)
    render(Numbered(50), tmp_path / "video.mp4", there)
    assert [len(each["segments"]) for each in lines if each["state"] == "finished"] == [2, 2, 1]
    assert here.stored == there.stored and len(here.stored) == 5
    monkeypatch.setattr(submitted, "EVERY_S", 0)
    monkeypatch.setattr(submitted, "ROUTINE_BYTES", 0)
    lines.clear()
    render(Numbered(50), tmp_path / "video.mp4", there)
    assert {each["state"] for each in lines} == {"finished"}


def test_a_script_that_fails_leaves_no_link_in_the_log_folder(tmp_path, monkeypatch):
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv(LOG_FOLDER, str(tmp_path / "logs"))
    monkeypatch.setenv(JOB, "job-1")
    there = ForwardedReport(lambda kind, values: None)
    with pytest.raises(FrameError):
        render(FailsOnce(tmp_path / "note"), tmp_path / "video.mp4", there)
    assert list((tmp_path / "logs").iterdir())
    there.fail("once")
    assert not list((tmp_path / "logs").iterdir())


@pytest.mark.parametrize("name", ["..", ".", "../logs", "a/b", ""])
def test_a_log_names_no_other_folder(name, tmp_path):
    """As another job of the cluster might have it."""
    seen = Seen()
    render(Numbered(10), tmp_path / "video.mp4", seen)
    here = SubmittedRender(FakeCluster(tmp_path), "job-1")  # type: ignore[arg-type]
    news = {"state": "drawing", "version": 1, "segments": [(0, 0, 10)], "kind": "video"}
    here.take(news | {"segments_at": name, "spec": values_of(seen.playing.spec)})
    assert (here.shown["kind"], here.playing) == (None, None)


# ---- it is no concern of the engine


def test_an_error_of_the_page_s_own_does_not_end_the_job(tmp_path, monkeypatch):
    seen = LiveReport()
    monkeypatch.setattr(seen, "_report", lambda: 1 / 0)
    render(Numbered(30), tmp_path / "video.mp4", seen)
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


def test_a_page_that_takes_nothing_stops_nobody(tmp_path, monkeypatch):
    """Neither the job nor its end; when it listens again, it gets what is true then."""
    monkeypatch.setattr("rayanim.preview.watching.FLUSH_S", 0.1)
    watched = LiveReport()
    slow = watched.news()
    assert next(slow)["state"] == "starting"
    render(Numbered(30), tmp_path / "video.mp4", watched)
    watched.close()
    assert next(slow)["state"] == "finished"
    assert list(slow) == []


class Meanwhile(Numbered):
    """Another thread renders a video while this one is drawn."""

    def __init__(self, render: Callable[[], Any]) -> None:
        super().__init__(30)
        self.render = render

    def generate_at(self, time_ms: float) -> Any:
        if round(time_ms * FPS / 1000) == 15:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(self.render).result(LIMIT_S)
        return super().generate_at(time_ms)


def test_of_two_jobs_at_once_the_first_is_shown(tmp_path):
    """Whatever the other one is: it is none of the first one's outputs."""
    watched = LiveReport()
    source = Meanwhile(lambda: render(Numbered(20), tmp_path / "other.mp4", watched))
    render(source, [str(tmp_path / "a.mov:codec=prores"), str(tmp_path / "small.mp4")], watched)
    assert watched.video == tmp_path / "small.mp4"
    assert [each[0] for each in watched.stored] == [0, 1, 2]
    assert watched.now()["output"] == str(tmp_path / "small.mp4")
    assert read_numbers(tmp_path / "other.mp4") == list(range(20))
    # The next one is shown again.
    render(Numbered(10), tmp_path / "last.mp4", watched)
    assert watched.video == tmp_path / "last.mp4"


def test_an_error_after_the_video_is_finished_is_the_page_s_own(tmp_path, monkeypatch):
    watched = LiveReport()
    monkeypatch.setattr(live_report, "media_type", lambda path: 1 / 0)
    render(Numbered(10), tmp_path / "video.mp4", watched)
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))


# ---- how long the page is waited for


@pytest.fixture
def clock(monkeypatch) -> Any:
    """The time for what waits for pages, which goes on while something is waited for."""
    now = SimpleNamespace(s=100.0)

    def wait(self: Any, timeout_s: float) -> bool:
        now.s += timeout_s
        return False

    monkeypatch.setattr("rayanim.preview.watching.time", SimpleNamespace(monotonic=lambda: now.s))
    monkeypatch.setattr(threading.Condition, "wait", wait)
    return now


def test_the_first_page_is_waited_for_until_its_time_is_over(clock):
    watched = WatchedRender()
    assert not watched.wait_for_page(99)
    watched.wait_until_left()
    assert clock.s == 100
    assert not watched.wait_for_page(110)
    assert clock.s == 110


def test_a_page_may_be_loaded_anew(clock):
    """So the last one counts as closed after a while."""
    watched = WatchedRender()
    news = watched.news()
    next(news)
    assert watched.wait_for_page(200)
    news.close()
    assert not watched.wait_for_page(200)
    assert clock.s == 100
    watched.wait_until_left()
    assert 100 + LEFT_S <= clock.s < 101 + LEFT_S


# ---- over HTTP


@pytest.fixture
def finished(tmp_path) -> Iterator[WatchServer]:
    """A server whose job has made its video."""
    watched = LiveReport()
    with WatchServer(watched, "script.py") as server:
        render(Numbered(30), tmp_path / "video.mp4", watched)
        yield server


@pytest.mark.parametrize("path", ["", "news", "video", "segment/1/0", "wrong"])
def test_a_wrong_token_gets_nothing(finished, path):
    root = finished.url.removesuffix(f"/{finished.token}/")
    for refused in (
        get(f"{root}/wrong/{path}"),
        get(f"{finished.url}{path}", Host="evil.example"),
    ):
        assert (refused[0], refused[2], refused[1]["Content-Type"]) == (403, b"", None)


def test_the_whole_video_is_sent_in_parts(finished, tmp_path):
    data, path = (tmp_path / "video.mp4").read_bytes(), f"{finished.url}video"
    status, headers, body = get(path)
    assert (status, headers["Content-Type"], body) == (200, "video/mp4", data)
    status, headers, body = get(path, Range="bytes=100-199")
    assert (status, body) == (206, data[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(data)}"
    assert get(path, Range="bytes=100-")[2] == data[100:]
    assert get(path, Range=f"bytes={len(data)}-")[0] == 416
    (tmp_path / "video.mp4").unlink()
    assert get(path)[0] == 404


def test_segments_that_are_gone_are_not_found(finished):
    """With the video finished they are; nor is there another version's, or any other file."""
    for path in ("segment/2/0", "segment/1/0", "segment/2/99", "segment/2/-1", "../../etc/passwd"):
        assert get(f"{finished.url}{path}")[::2] == (404, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such descriptors")
def test_a_page_leaves_also_where_many_files_are_open():
    """`select` takes no descriptors from 1024 on."""
    import fcntl
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(2048, limits[0]), limits[1]))
    server, page = socket.socketpair()
    try:
        with server, page:
            high = socket.socket(fileno=fcntl.fcntl(server, fcntl.F_DUPFD, 1100))
            with high:
                handler: Any = SimpleNamespace(connection=high)
                assert not PageHandler._has_left(handler)
                page.close()
                assert PageHandler._has_left(handler)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# ---- the command

SLOW = """
import sys, time
from pathlib import Path
import rayanim
from numbered import Numbered
class Slow(Numbered):
    def generate_at(self, time_ms):
        if not Path("hurry").exists():
            time.sleep(0.05)
        return super().generate_at(time_ms)
rayanim.produce(Slow(400), 30, outfile="video.mp4", segment_frames=20, engine="local")
"""


@contextlib.contextmanager
def watching(folder: Path, text: str = SLOW, *options: str) -> Iterator[Any]:
    """The command that renders a script; its process, and the page's address.

    The script is called as a module of the standard library is that rayanim uses.
    """
    (folder / "wave.py").write_text(text)
    code = "from rayanim.cli import main; main()"
    words = ["run", "wave.py", "--watch", "--no-open", "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": MODULES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        event = json.loads(process.stdout.readline())
        assert event["event"] == "watch"
        yield process, event["url"]
    finally:
        process.kill()
        process.communicate()


def run_here(script: Path) -> int:
    return main.main(["run", str(script), "--watch", "--no-open"], standalone_mode=False)


def test_without_a_page_the_command_ends_with_the_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hurry").touch()
    (tmp_path / "short.py").write_text(SLOW.replace("400", "30"))
    assert run_here(tmp_path / "short.py") == 0
    shown = capsys.readouterr()
    assert re.search(r"to watch \S+short.py: http://127\.0\.0\.1:\d+/\S+/\n", shown.err)
    assert "30 frames" in shown.out


def test_a_page_shows_why_a_script_failed_and_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fails.py").write_text(SLOW.replace("return super()", "return 1 / 0 #"))
    received: list[dict[str, Any]] = []
    threads = []

    def show(server: WatchServer, *_: Any, **__: Any) -> float:
        threads.append(threading.Thread(target=lambda: received.extend(news_of(server.url))))
        threads[0].start()
        assert server.watched.wait_for_page(time.monotonic() + LIMIT_S)
        return 0.0

    monkeypatch.setattr(watch_command, "_show", show)
    assert run_here(tmp_path / "fails.py") == 1
    threads[0].join(LIMIT_S)
    assert (received[-1]["state"], received[-1]["is_over"]) == ("failed", True)
    assert "ZeroDivisionError" in received[-1]["error"]


class ComesLate(LiveReport):
    """A page asks for news when the command waits for one."""

    received: ClassVar[list[dict[str, Any]]] = []
    is_expected: ClassVar[bool] = False

    def wait_for_page(self, until_s: float) -> bool:
        type(self).is_expected = until_s > time.monotonic() + LIMIT_S / 2
        thread = threading.Thread(target=lambda: self.received.extend(filter(None, self.news())))
        thread.start()
        return super().wait_for_page(until_s)


@pytest.mark.parametrize(
    ("text", "error"),
    [("1 / 0", "ZeroDivisionError"), ("import sys; sys.exit('no data')", "no data")],
)
def test_a_page_that_opens_after_the_script_has_failed_shows_why(
    text, error, tmp_path, monkeypatch, capsys
):
    (tmp_path / "fails.py").write_text(text)
    monkeypatch.setattr(watch_command, "FIRST_PAGE_S", LIMIT_S)
    monkeypatch.setattr(watch_command, "open_on_desktop", lambda url: None)
    monkeypatch.setattr(live_report, "LiveReport", ComesLate)
    monkeypatch.setattr(ComesLate, "received", [])
    assert main.main(["run", str(tmp_path / "fails.py"), "--watch"], standalone_mode=False) == 1
    assert ComesLate.is_expected
    assert (ComesLate.received[-1]["state"], ComesLate.received[-1]["is_over"]) == ("failed", True)
    assert error in ComesLate.received[-1]["error"]
    assert "the page shows the video" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
def test_ctrl_c_ends_the_job_and_the_page(tmp_path):
    """No process is left, and the segments are kept."""
    with watching(tmp_path) as (process, url):
        received = news_of(url)
        news = next(each for each in received if each["segments"])
        assert news["state"] == "drawing"
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGINT)
        last = list(received)[-1]
        assert (last["state"], last["is_over"]) == ("stopped", True)
        assert process.wait(LIMIT_S) == 130
        assert not [each for each in family[1:] if each.is_running()]
    assert (tmp_path / "video.mp4.parts" / "000000.part").exists()


def test_the_command_ends_when_the_page_is_closed(tmp_path):
    """After the video is finished, and not before."""
    (tmp_path / "hurry").touch()
    with watching(tmp_path, SLOW.replace("400", "40")) as (process, url):
        received = news_of(url)
        assert (
            next(each for each in received if each["state"] == "finished")["video"] == "video/mp4"
        )
        assert process.poll() is None
        received.close()
        assert process.wait(LIMIT_S) == 0


def test_options_of_the_page_need_a_page(tmp_path, capsys):
    (tmp_path / "script.py").write_text("")
    for options in (["--port", "1"], ["--no-open"], ["--watch", "--dry-run"]):
        words = ["run", str(tmp_path / "script.py"), *options]
        assert main.main(words, standalone_mode=False) == 2
    assert "--port and --no-open go with --watch" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(tmp_path, capsys):
    (tmp_path / "script.py").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["run", str(tmp_path / "script.py"), "--watch", "--no-open", "--port", port]
        assert main.main(words, standalone_mode=False) == 2
    assert f"Port {port} of this machine cannot be used" in capsys.readouterr().err


# ---- the page

PLAYED = """
window.playedSegments = [];
new MutationObserver(() => window.playedSegments.push(document.body.dataset.shown))
  .observe(document.body, {attributeFilter: ["data-shown"]});
"""


@pytest.mark.skipif(browser() is None, reason="there is no Chromium on the PATH")
@pytest.mark.timeout(240)
def test_a_browser_plays_what_is_finished_and_then_the_whole_video(tmp_path):
    with watching(tmp_path) as (process, url), a_page() as page:
        page.open(url)
        page.wait_for("typeof news === 'object' && news.version > 0")
        page.value(PLAYED)
        # The first segment plays while others are drawn, then the next one.
        page.wait_for("document.body.dataset.shown === '0' && front.currentTime > 0.1")
        page.wait_for("document.body.dataset.shown === '1'")
        assert page.value("news.state") == "drawing"
        assert page.value("news.done < news.total")
        facts = page.value("document.getElementById('facts').innerText")
        assert re.search(r"Frames\s+\d+/400\s", facts) and "in this process" in facts
        page.wait_for(
            "/Drawing\\s+[\\d.]+ frames/.test(document.getElementById('rates').innerText)"
        )
        assert page.value("document.getElementById('status').innerText").startswith("drawing ")
        # It waits where nothing is finished, and goes on when it is.
        page.value("go(399)")
        page.wait_for("document.getElementById('frame').innerText === 'waiting for frame 399'")
        page.value("go(25)")
        page.wait_for("document.body.dataset.shown === '1' && !front.paused")
        (tmp_path / "hurry").touch()
        page.wait_for("document.body.dataset.shown === 'whole' && front.currentTime > 0.5")
        assert page.value("front.duration") == pytest.approx(400 / 30, abs=0.05)
        assert page.value("front.currentTime") < 400 / 30
        assert "400 frames" in page.value("document.querySelector('#report pre').innerText")
        played = page.value("window.playedSegments")
        assert played.index("0") < played.index("1") < played.index("whole")
        # A frame by its number.
        page.press("k")
        page.value("(wants = false, front.pause(), go(123))")
        page.wait_for("document.getElementById('frame').innerText === 'Frame 123'")
        page.wait_for("!front.seeking && Math.floor(front.currentTime * 30) === 123")
        assert process.poll() is None
        page.open("about:blank")
        assert process.wait(LIMIT_S) == 0


class SeenByAPage(LiveReport):
    """Waits until a page shows the picture of each segment when it is finished."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.page = page
        self.drops = False

    def news(self) -> Iterator[dict[str, Any] | None]:
        for each in super().news():
            yield each
            if self.drops:
                return

    def apply(self, event: Event) -> None:
        super().apply(event)
        if isinstance(event, SegmentStored) and self.shown["kind"] == "image":
            address = f"segment/{self.version}/{event.segment}"
            self.page.wait_for(f"image.getAttribute('src') === '{address}'")


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="there is no Chromium on the PATH")
@pytest.mark.timeout(240)
def test_a_browser_shows_one_video_after_the_other(tmp_path):
    """A second GIF in the place of the first; it steps also where frames last differently."""
    numbered = "['back', 'next', 'scrub', 'frame'].map((id) => $(id).hidden)"
    with a_page() as page:
        watched = SeenByAPage(page)
        with WatchServer(watched, "script.py") as server:
            page.open(server.url)
            page.wait_for("typeof news === 'object' && news.version > 0")
            for name in ("one.gif", "two.gif"):
                render(Numbered(10), tmp_path / name, watched)
                page.wait_for(f"image.getAttribute('src') === 'video?{watched.version}'")
            held = {"hold": "4=1s,last=1s", "ping_pong": True}
            render(Numbered(10), tmp_path / "held.mp4", watched, **held)
            page.wait_for("document.body.dataset.shown === 'whole' && front.duration > 3")
            assert page.value(numbered) == [False] * 4
            length_s = page.value("front.duration")
            assert page.value("$('about').textContent").endswith(f"10 frames, {length_s:.2f} s")
            # The neighbouring frame, however long this one lasts; then all come again in reverse.
            page.value("(wants = false, front.pause(), go(3))")
            for key, number, begins_s in [
                ("ArrowRight", 4, 4 / FPS),
                ("ArrowRight", 5, 5 / FPS + 1),
                ("ArrowLeft", 4, 4 / FPS),
                ("End", 0, length_s - 1 / FPS),
                ("ArrowLeft", 1, length_s - 2 / FPS),
            ]:
                page.press(key)
                page.wait_for(f"$('frame').textContent === 'Frame {number}' && !front.seeking")
                assert page.value("$('time').textContent") == f"{begins_s:.2f} s"
                assert page.value(f"front.currentTime - {begins_s}") > 0
            render(Numbered(10), tmp_path / "even.mp4", watched)
            page.wait_for("document.body.dataset.shown === 'whole' && front.duration < 1")
            assert page.value(numbered) == [False] * 4
            # A connection that breaks is made anew, until there is nothing to connect to.
            watched.drops = True
            page.wait_for("source.readyState === EventSource.CONNECTING")
            watched.drops = False
            render(Numbered(20), tmp_path / "longer.mp4", watched)
            page.wait_for("news.total === 20 && news.state === 'finished'")
            assert not page.value("news.is_over")
            watched.close = lambda: None
        watched.drops = True
        page.wait_for("$('status').textContent === 'finished, the command has ended'")


# ---- on a cluster


@pytest.fixture
def shared_cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with harm.small_cluster() as cluster:
        yield cluster


@pytest.mark.clusters
@pytest.mark.timeout(240)
def test_a_render_on_three_nodes_is_watched_while_one_is_killed(shared_cluster, tmp_path):
    """The page goes on to the end, says what happened, and plays the right frames."""
    n_frames = 240
    watched = LiveReport()
    received: list[dict[str, Any]] = []
    segments: dict[int, bytes] = {}
    with WatchServer(watched, "script.py") as server:

        def watch() -> None:
            for news in news_of(server.url):
                received.append(news)
                for index, *_ in news["segments"]:
                    status, _, body = get(f"{server.url}segment/{news['version']}/{index}")
                    if status == 200:
                        segments[index] = body

        thread = threading.Thread(target=watch)
        thread.start()

        def kill_a_node() -> None:
            node = next(iter(shared_cluster.worker_nodes))
            harm.send(harm.processes_of(node), signal.SIGKILL)

        once = harm.Once(kill_a_node, tmp_path)
        render(
            Traced(n_frames, tmp_path, delay_s=0.05),
            tmp_path / "video.mp4",
            watched,
            workers=ACTORS,
            address=shared_cluster.address,
            engine="ray",
            transport="segments",
            segment_frames=SEGMENT,
            audit=0,
            progress=once,
        )
        assert once.is_done
    thread.join(LIMIT_S)
    assert received[-1]["state"] == "finished" and received[-1]["is_over"]
    assert {span[0] for news in received for span in news["drawing"] if "drawing" in news}
    assert max(len(news["drawing"]) for news in received) == ACTORS
    assert any(re.search("died|lost|gone", text) for text in received[-1]["messages"])
    assert sorted(index for news in received for index, *_ in news["segments"]) == list(
        range(n_frames // SEGMENT)
    )
    assert segments
    for index, data in segments.items():
        (tmp_path / "segment.mp4").write_bytes(data)
        wanted = list(range(index * SEGMENT, (index + 1) * SEGMENT))
        assert read_numbers(tmp_path / "segment.mp4") == wanted
    assert read_numbers(tmp_path / "video.mp4") == list(range(n_frames))
