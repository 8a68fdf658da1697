"""What rayanim reports and what the script prints are told apart, wherever the log is cut."""

from __future__ import annotations

import io
import json
from typing import Any, TextIO

import pytest

from rayanim.cli.job_display import JobDisplay
from rayanim.cli.printing import write_json
from rayanim.jobs.driver import MarkedStream
from rayanim.jobs.fetch import Offer
from rayanim.jobs.watch import LONGEST_LINE_CHARS, JobEvent, LogReader, Text, read_log
from rayanim.progress import JsonProgress
from rayanim.progress.base import ProgressState

MARK = "[rayanim 0123456789abcdef] "

LOG = (
    "2026-01-01 12:00:00,000\tINFO job_manager.py:568 -- Runtime env is setting up.\n"
    "Running entrypoint for job rayanim-wave-1: exec python -m rayanim.jobs.driver\n"
    "hello\n"
    f'{MARK}{{"event": "start", "label": "wave.mp4", "done": 0}}\n'
    f'no end{MARK}{{"event": "progress", "done": 3}}\n'
    '{"event": "progress", "done": 4}\n'
    '[rayanim 0123456789abcde0] {"event": "progress", "done": 4}\n'
    f'{MARK}{{"event": "progress", \n'
    "ümlaut 🎬\n"
    "last"
)

ITEMS = [
    Text("hello\n"),
    JobEvent("start", {"label": "wave.mp4", "done": 0}),
    Text("no end"),
    JobEvent("progress", {"done": 3}),
    Text('{"event": "progress", "done": 4}\n'),
    Text('[rayanim 0123456789abcde0] {"event": "progress", "done": 4}\n'),
    Text(f'{MARK}{{"event": "progress", \n'),
    Text("ümlaut 🎬\n"),
    Text("last"),
]


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
def test_a_log_is_read_the_same_however_it_is_cut(size: int) -> None:
    """Ray's own lines are left out; a line without the job's mark is the script's."""
    pieces = [LOG[start : start + size] for start in range(0, len(LOG), size)]
    assert list(read_log(pieces, MARK)) == ITEMS


def test_a_job_without_a_mark_has_no_events() -> None:
    """Whatever its lines look like."""
    line = '{"event": "progress", "done": 4}\n'
    assert list(read_log([line], "")) == [Text(line)]


def test_a_line_without_end_is_bounded() -> None:
    """A bar of the script's own, which never ends its line, is passed on in pieces."""
    reader, texts = LogReader(MARK), list[str]()
    for _ in range(100):
        texts += [each.text for each in reader.feed("\rfoo" * 10_000) if isinstance(each, Text)]
        assert len(reader._rest) <= LONGEST_LINE_CHARS
    texts += [each.text for each in reader.end() if isinstance(each, Text)]
    assert "".join(texts) == "\rfoo" * 1_000_000


def test_values_keep_what_json_keeps() -> None:
    """Whatever a script's texts hold, through the driver's own stream."""
    values = {"text": 'a "quoted"\n{"event": "x"} line', "frame": None}
    log = io.StringIO()
    MarkedStream(log, MARK).write(json.dumps({"event": "error", **values}) + "\n")
    assert list(read_log([log.getvalue()], MARK)) == [JobEvent("error", values)]


VIDEO: dict[str, Any] = {
    "output": "/a.mp4",
    "relative": "a.mp4",
    "name": "1.mp4",
    "size_bytes": 1,
    "sha256": "0",
}


@pytest.mark.parametrize(
    "line",
    [
        "5",
        "[]",
        "null",
        "{}",
        '{"event": 5}',
        '{"event": "unknown"}',
        '{"event": "video"}',
        json.dumps({"event": "video", **VIDEO, "size_bytes": "1"}),
        '{"event": "message", "done": 1, "text": null}',
        '{"event": "report"}',
        '{"event": "error", "text": 5}',
        '{"event": "start"}',
        '{"event": "start", "done": "1"}',
        '{"event": "start", "done": 1, "label": 5}',
        '{"event": "progress", "done": 1, "eta_s": NaN}',
        '{"event": "progress", "done": 1, "fps": 1e999}',
        '{"event": "finish", "done": -1}',
        '{"event": "fail", "done": []}',
        "[" * 100_000,
    ],
)
def test_a_marked_line_that_is_no_event_is_text(line: str) -> None:
    """Whoever has written it: reading a log never fails."""
    log = f"{MARK}{line}\n"
    assert list(read_log([log], MARK)) == [Text(log)]


def test_all_kinds_of_events_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    """As they are shown and summed up, with the values that they have."""
    log = io.StringIO()
    stream: TextIO = MarkedStream(log, MARK)  # type: ignore[assignment]
    progress = JsonProgress(stream, every_s=0.001)
    progress.start(None, "wave.mp4")
    progress.message("a word")
    progress.update(ProgressState(1, 2, 3.0, 4.5, 1, 2, 3))
    progress.fail()
    progress.finish(ProgressState(2, 2))
    for kind, values in (("report", {"text": "made"}), ("error", {"text": "no"}), ("video", VIDEO)):
        write_json(stream, kind, values)
    events = list(read_log([log.getvalue()], MARK))
    kinds = [each.kind for each in events if isinstance(each, JobEvent)]
    assert {"start", "message", "fail", "finish", "report", "error", "video"} <= set(kinds)
    assert len(kinds) == len(events)
    display = JobDisplay()
    for each in events:
        display.show(each)
    display.end()
    assert display.videos == [Offer(**VIDEO)] and display.error == {"text": "no"}
    assert "made" in capsys.readouterr().out
