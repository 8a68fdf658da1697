"""What a submitting terminal shows of a job."""

from __future__ import annotations

import json

import pytest

from rayanim.cli.job_display import JobDisplay, JsonDisplay
from rayanim.jobs.watch import JobNotice, read_log

MARK = "[rayanim 1] "
REPORT = "wave.mp4: 180 frames of 640x480\nRendered in 0.98 s"


def job_log(*, prints: bool) -> str:
    """The log of a job whose script may print its report itself."""
    events = [
        {"event": "start", "label": "wave.mp4", "done": 0, "total": 180},
        {"event": "finish", "label": "wave.mp4", "done": 180, "total": 180},
        {"event": "report", "text": REPORT},
    ]
    marked = [MARK + json.dumps(each) for each in events]
    lines = ["hello", *marked, *([REPORT] if prints else [])]
    return "\n".join([*lines, "rayanim: a word of ours", "bye", ""])


def show(shown: JobDisplay, log: str) -> None:
    for item in read_log([log], MARK):
        shown.show(item)
    shown.show(JobNotice("the connection has broken."))
    shown.end()


@pytest.mark.parametrize("prints", [True, False])
def test_a_report_is_shown_once(prints: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the script prints it, or in the end."""
    show(JobDisplay(), job_log(prints=prints))
    shown = capsys.readouterr()
    ours = ["bye", *REPORT.splitlines()]
    theirs = [*REPORT.splitlines(), "bye"]
    assert shown.out.splitlines() == ["hello", *(theirs if prints else ours)]
    assert "rayanim: a word of ours\n" in shown.err
    assert "rayanim: the connection has broken.\n" in shown.err


def test_quiet_shows_what_the_script_prints_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither progress nor the report."""
    show(JobDisplay(quiet=True), job_log(prints=False))
    assert capsys.readouterr().out == "hello\nbye\n"


def test_programs_get_the_events_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """All else goes to standard error."""
    show(JsonDisplay(), job_log(prints=True))
    shown = capsys.readouterr()
    kinds = [json.loads(line)["event"] for line in shown.out.splitlines()]
    assert kinds == ["start", "finish", "report"]
    assert shown.err.startswith("hello\n") and REPORT in shown.err
