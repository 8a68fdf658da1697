"""What rayanim reports and what the script prints are told apart, wherever the log is cut."""

from __future__ import annotations

import json

import pytest

from rayanim.jobs.watch import LONGEST_LINE_CHARS, JobEvent, LogReader, Text, read_log

LOG = (
    "2026-01-01 12:00:00,000\tINFO job_manager.py:568 -- Runtime env is setting up.\n"
    "Running entrypoint for job rayanim-wave-1: exec python -m rayanim.jobs.driver\n"
    "hello\n"
    '{"event": "start", "label": "wave.mp4", "done": 0}\n'
    'no end{"event": "progress", "done": 3}\n'
    '{"event": "lunch"}\n'
    '{"event": "progress", \n'
    "{}\n"
    "ümlaut 🎬\n"
    "last"
)

TOLD = [
    Text("hello\n"),
    JobEvent("start", {"label": "wave.mp4", "done": 0}),
    Text("no end"),
    JobEvent("progress", {"done": 3}),
    Text('{"event": "lunch"}\n'),
    Text('{"event": "progress", \n'),
    Text("{}\n"),
    Text("ümlaut 🎬\n"),
    Text("last"),
]


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
def test_a_log_says_the_same_however_it_is_cut(size: int) -> None:
    """Ray's own lines are left out; what only looks like an event is text."""
    pieces = [LOG[start : start + size] for start in range(0, len(LOG), size)]
    assert list(read_log(pieces)) == TOLD


def test_a_line_without_end_is_bounded() -> None:
    """A bar of the script's own, which never ends its line, is passed on in pieces."""
    reader, told = LogReader(), list[str]()
    for _ in range(100):
        told += [each.text for each in reader.feed("\rfoo" * 10_000) if isinstance(each, Text)]
        assert len(reader._rest) <= LONGEST_LINE_CHARS
    told += [each.text for each in reader.end() if isinstance(each, Text)]
    assert "".join(told) == "\rfoo" * 1_000_000


def test_values_keep_what_json_keeps() -> None:
    """Whatever a script's texts hold."""
    values = {"text": 'a "quoted"\n{"event": "x"} line', "frame": None}
    [told] = read_log([json.dumps({"event": "error", **values}) + "\n"])
    assert told == JobEvent("error", values)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "progress"}',
        '{"event": "progress", "done": "half"}',
        '{"event": "start", "done": 1, "total": "all"}',
        '{"event": "finish", "done": 1, "fps": NaN}',
        '{"event": "video", "output": "/videos/wave.mp4"}',
        '{"event": "error", "text": 7}',
        '{"event": "", "event": ["start"]}',
    ],
)
def test_an_event_that_lacks_what_ours_say_is_the_scripts(line: str) -> None:
    """It is passed on as text, and nobody looks for what it does not hold."""
    assert list(read_log([line + "\n"])) == [Text(line + "\n")]
