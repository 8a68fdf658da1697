"""What a submitting terminal shows of a job."""

from __future__ import annotations

import json

import pytest

from rayanim.cli.job_commands import Shown, ShownAsJson
from rayanim.jobs.watch import Text, read_log

REPORT = "wave.mp4: 180 frames of 640x480\nRendered in 0.98 s"


def job_log(*, prints: bool) -> str:
    """The log of a job whose script may print its report itself."""
    events = [
        {"event": "start", "label": "wave.mp4", "done": 0, "total": 180},
        {"event": "finish", "label": "wave.mp4", "done": 180, "total": 180},
        {"event": "report", "text": REPORT},
    ]
    lines = ["hello", *map(json.dumps, events), *([REPORT] if prints else [])]
    return "\n".join([*lines, "rayanim: a word of ours", "bye", ""])


def show(shown: Shown, log: str) -> None:
    for each in read_log([log]):
        if isinstance(each, Text):
            shown.text(each.text)
        else:
            shown.event(each)
    shown.end()


@pytest.mark.parametrize("prints", [True, False])
def test_a_report_is_shown_once(prints: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the script prints it, or in the end."""
    show(Shown(), job_log(prints=prints))
    told = capsys.readouterr()
    ours = ["bye", *REPORT.splitlines()]
    theirs = [*REPORT.splitlines(), "bye"]
    assert told.out.splitlines() == ["hello", *(theirs if prints else ours)]
    assert "rayanim: a word of ours\n" in told.err


def test_quiet_shows_what_the_script_prints_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither progress nor the report."""
    show(Shown(quiet=True), job_log(prints=False))
    assert capsys.readouterr().out == "hello\nbye\n"


def test_programs_get_the_events_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """All else goes to standard error."""
    show(ShownAsJson(), job_log(prints=True))
    told = capsys.readouterr()
    kinds = [json.loads(line)["event"] for line in told.out.splitlines()]
    assert kinds == ["start", "finish", "report"]
    assert told.err.startswith("hello\n") and REPORT in told.err
