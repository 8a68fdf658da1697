"""The JSON log: each event a line, bounded, and never the job's end."""

from __future__ import annotations

import errno
import json
import os
import re
import sys

import pytest
from numbered import FPS, Numbered, read_numbers

import rayanim
from rayanim import events
from rayanim.cli import main
from rayanim.errors import FrameError, OutputError
from rayanim.events import KINDS, ActorAsked, EventLog, JobFailed, Notice, SegmentStored

KEPT = SegmentStored(segment=1, start=8, stop=16, written_bytes=100)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def complaints():
    return []


@pytest.fixture
def log(tmp_path, complaints):
    with EventLog(tmp_path / "log", "wave", "3f2a", complaints.append) as log:
        yield log


def test_a_line_holds_the_event_and_when_it_was(log, tmp_path):
    """ISO 8601 in UTC, the job's names, and the event's own fields."""
    log.apply(KEPT)
    (line,) = lines_of(tmp_path / "log")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "debug",
        "event": "segment_stored",
        "job": "wave",
        "run": "3f2a",
        "segment": 1,
        "start": 8,
        "stop": 16,
        "written_bytes": 100,
    }


def test_what_the_file_holds_stays(tmp_path, complaints):
    """Two videos of a script, and two runs, share a log."""
    for run in ("a", "b"):
        with EventLog(tmp_path / "log", "wave", run, complaints.append) as log:
            log.apply(KEPT)
    assert [line["run"] for line in lines_of(tmp_path / "log")] == ["a", "b"]


def test_any_text_stays_on_its_line(log, tmp_path):
    """Line ends, other alphabets and undecodable bytes of file names; the longest are cut."""
    texts = ["two\nlines", "Zürich 🎬", "name \udcff", "x" * 5000]
    for text in texts:
        log.apply(Notice(text=text))
    found = [line["text"] for line in lines_of(tmp_path / "log")]
    assert found[:3] == texts[:3]
    assert found[3] == "x" * (events.LONGEST_TEXT - 1) + "…"


def test_a_process_without_standard_error_logs_nothing(complaints, monkeypatch):
    """As under pythonw: nobody reads it, and the job goes on."""
    monkeypatch.setattr(sys, "stderr", None)
    with EventLog("-", "wave", "3f2a", complaints.append) as log:
        log.apply(KEPT)
    assert complaints == []


def test_numbers_that_json_lacks_are_null(log, tmp_path):
    """Infinity would make the line unreadable."""
    log.apply(JobFailed(error="E", text="t", elapsed_s=float("inf")))
    assert lines_of(tmp_path / "log")[0]["elapsed_s"] is None


def test_a_log_that_cannot_be_opened_is_refused(tmp_path):
    """Before any work starts, and with what to do."""
    with pytest.raises(OutputError, match=r"No such file or directory.*--log-json"):
        EventLog(tmp_path / "nowhere" / "log", "wave", "3f2a", print)


def test_routine_lines_end_first_and_the_last_line_is_always_written(
    log, tmp_path, monkeypatch, complaints
):
    """The log's size is bounded; what is missing is counted."""
    monkeypatch.setattr(events, "ROUTINE_BYTES", 1000)
    monkeypatch.setattr(events, "ALL_BYTES", 2000)
    for _ in range(100):
        log.apply(KEPT)
    log.apply(ActorAsked(actor=1))
    for _ in range(100):
        log.apply(Notice(text="again"))
    log.apply(JobFailed(error="E", text="t", elapsed_s=1.0))
    lines = lines_of(tmp_path / "log")
    kinds = [line["event"] for line in lines]
    assert kinds[kinds.index("log_gap") + 1] == "actor_asked"
    assert kinds[-2:] == ["log_gap", "job_failed"]
    gaps = sum(line["lines"] for line in lines if line["event"] == "log_gap")
    assert gaps + len(kinds) - kinds.count("log_gap") == 202
    assert (tmp_path / "log").stat().st_size < 2000 + 600
    assert complaints == []


class FullDisk:
    """Takes so many bytes more, then none until there is room."""

    def __init__(self, room_bytes):
        self.room_bytes = room_bytes
        self.write = os.write

    def __call__(self, file, line):
        if self.room_bytes == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = line[: self.room_bytes]
        self.room_bytes -= len(taken)
        return self.write(file, taken)


def test_a_full_disk_is_warned_of_once_and_costs_only_lines(log, tmp_path, monkeypatch, complaints):
    """The line that was cut short spoils no other, and the gap is counted."""
    disk = FullDisk(40)
    monkeypatch.setattr(events.os, "write", disk)
    for _ in range(5):
        log.apply(KEPT)
    disk.room_bytes = 10_000
    log.apply(ActorAsked(actor=7))
    torn, gap, asked = (tmp_path / "log").read_text().splitlines()
    assert torn.startswith('{"time"') and not torn.endswith("}")
    assert json.loads(gap)["lines"] == 5
    assert "No space left" in json.loads(gap)["reason"]
    assert json.loads(asked)["actor"] == 7
    assert len(complaints) == 1 and "video goes on" in complaints[0]


def test_a_pipe_that_nobody_reads_is_refused_and_never_waited_for(tmp_path):
    """A reader that hangs may not hang the video."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="cannot be opened"):
        EventLog(tmp_path / "pipe", "wave", "3f2a", print)


def render(source, path, **options):
    return rayanim.produce(source, FPS, outfile=path, **{"progress": False, **options})


@pytest.mark.slow
def test_a_video_on_ray_is_logged_from_start_to_end(on_ray, tmp_path):
    """Every segment is drawn and kept once in the log, an actor's death included."""
    source = Numbered(120, delay_s=0.002, kill=(20,), scratch=tmp_path)
    log = tmp_path / "log"
    render(source, tmp_path / "video.mp4", engine="ray", workers=2, log_json=log)
    lines = lines_of(log)
    assert read_numbers(tmp_path / "video.mp4") == list(range(120))
    assert {line["event"] for line in lines} <= {kind.name() for kind in KINDS}
    assert lines[0]["event"] == "job_started" and lines[-1]["event"] == "job_finished"
    by_kind = {}
    for line in lines:
        by_kind.setdefault(line["event"], []).append(line)
    assert by_kind["engine_chosen"][0]["reason"] == "engine='ray' was asked for"
    # A third is asked for only where enough of the video is left when one dies.
    assert [line["actor"] for line in by_kind["actor_asked"]][:2] == [1, 2]
    assert by_kind["actor_died"][0]["start"] <= 20 < by_kind["actor_died"][0]["stop"]
    assert len(by_kind["segment_retried"]) == 1
    for kind in ("chunk_drawn", "segment_stored"):
        stretches = sorted((line["start"], line["stop"]) for line in by_kind[kind])
        assert [start for start, _ in stretches] == [0, *(stop for _, stop in stretches[:-1])]
        assert stretches[-1][1] == 120
    assert by_kind["job_finished"][0]["frames"] == 120


def test_a_video_in_process_is_logged_from_start_to_end(tmp_path):
    """The same events, without any actor's."""
    options = {"engine": "local", "segment_frames": 20}
    render(Numbered(60), tmp_path / "video.mp4", log_json=tmp_path / "log", **options)
    lines = lines_of(tmp_path / "log")
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "job_started" and kinds[-1] == "job_finished"
    assert kinds.count("segment_stored") == 3
    # As many frames in each line as were drawn in one go; two segments are encoded at once.
    for kind in ("chunk_drawn", "segment_encoded"):
        stretches = sorted((line["start"], line["stop"]) for line in lines if line["event"] == kind)
        assert [start for start, _ in stretches] == [0, *(stop for _, stop in stretches[:-1])]
        assert stretches[-1][1] == 60
    assert "engine_chosen" in kinds and "actor_asked" not in kinds
    assert all(line["actor"] is None for line in lines if line["event"] == "chunk_drawn")


def test_a_job_that_fails_ends_in_its_error(tmp_path):
    """The last line says what the caller's exception says."""
    with pytest.raises(FrameError):
        render(Numbered(60, fail=30), tmp_path / "video.mp4", log_json=tmp_path / "log")
    last = lines_of(tmp_path / "log")[-1]
    assert (last["event"], last["level"], last["error"]) == ("job_failed", "error", "FrameError")
    assert "no frame 30 today" in last["text"]


def test_a_full_disk_under_the_log_does_not_fail_the_video(tmp_path):
    """/dev/full refuses every line; people read one warning."""
    report_lines = []

    class Shown(rayanim.progress.NoProgress):
        def message(self, text):
            report_lines.append(text)

    render(Numbered(60), tmp_path / "video.mp4", log_json="/dev/full", progress=Shown())
    assert read_numbers(tmp_path / "video.mp4") == list(range(60))
    assert len([text for text in report_lines if "/dev/full" in text]) == 1


def test_the_command_logs_beside_its_json_lines(tmp_path, capfd, monkeypatch):
    """``--json`` has standard output, the log its file; a script is never taken for one."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "video.py"
    script.write_text("import rayanim\nfrom numbered import Numbered\nvideo = Numbered(20)\n")
    assert main(["run", "video.py", "--json", "--log-json", "log"], standalone_mode=False) == 0
    assert lines_of(tmp_path / "log")[-1]["event"] == "job_finished"
    out = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert out[-1]["event"] == "report"
    assert main(["run", "--log-json", "video.py"], standalone_mode=False) == 2
    assert "into the script" in capfd.readouterr().err
    assert main(["run", "video.py", "--log-json"], standalone_mode=False) == 0
    assert '"event": "job_finished"' in capfd.readouterr().err
