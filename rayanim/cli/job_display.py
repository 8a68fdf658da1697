"""Shows jobs of a cluster: one as it goes on and what Ctrl-C is to do to it, or a table of all."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from rayanim.cli.printing import ExpectedTexts, ending_signals, write_text
from rayanim.errors import JobError
from rayanim.jobs.client import STOP_WAIT_S, JobsClient, SubmittedJob
from rayanim.jobs.fetch import Offer
from rayanim.jobs.watch import JobEvent, JobNotice, JobWatch, Text, how_to_resume, outcome_of
from rayanim.progress import NoProgress, Progress, ProgressState, choose_progress
from rayanim.progress.base import QuietStream, count, duration, is_terminal, percent, sentence
from rayanim.progress.reporters import BarProgress

OWN_LINE = "rayanim: "
"""How each line begins that rayanim writes for people, here and on the cluster."""


def write_note(text: str) -> None:
    """Write a line of rayanim's own to standard error."""
    write_text(sys.stderr, f"{OWN_LINE}{text}")


class JobDisplay:
    """Shows people what a job does."""

    def __init__(self, *, quiet: bool = False, with_progress: bool = True) -> None:
        self.videos: list[Offer] = []
        self.error: dict[str, Any] | None = None
        self._quiet = quiet
        has_progress = with_progress and not quiet
        self._progress: Progress = choose_progress() if has_progress else NoProgress()
        self._reports = ExpectedTexts()
        self._label = ""
        self._state: ProgressState | None = None
        self._has_bar = False

    def show(self, item: Text | JobEvent | JobNotice) -> None:
        """Show a line of the log, or a word about the job."""
        if isinstance(item, Text):
            self._text(item.text)
        elif isinstance(item, JobEvent):
            self._event(item.kind, item.values)
        elif self._quiet:
            return
        elif self._state is not None:
            self._progress.message(f"{OWN_LINE}{item.text}")
        else:
            write_note(item.text)

    def pause(self) -> None:
        """Free the terminal: a sentence takes the bar's place."""
        if self._state is None or not self._has_bar:
            return
        self._has_bar = False
        if isinstance(self._progress, BarProgress):
            self._progress.leave()
            write_text(sys.stderr, sentence(self._state, self._label))

    def resume(self) -> None:
        """Show the bar again."""
        if self._state is not None:
            self._has_bar = True
            self._progress.start(self._state.total, self._label, self._state.done)

    def end(self) -> None:
        """The job has ended: print the reports that the script has not printed itself."""
        self.pause()
        for text in self._reports.take_unprinted():
            if not self._quiet:
                write_text(sys.stdout, text)

    def _text(self, text: str) -> None:
        """What the script prints goes to standard output, what rayanim says to standard error."""
        self._reports.printed(text)
        QuietStream(sys.stderr if text.startswith(OWN_LINE) else sys.stdout).write(text)

    def _event(self, kind: str, values: dict[str, Any]) -> None:
        if kind == "start":
            self._label, self._state = values.get("label") or "", state_of(values)
            self.resume()
        elif kind == "progress":
            self._state = state_of(values)
            self._progress.update(self._state)
        elif kind == "message":
            self._progress.message(values["text"])
        elif kind == "finish":
            self._state = None
            self._progress.finish(state_of(values))
        elif kind == "fail":
            self._state = None
            self._progress.fail()
        elif kind == "report":
            self._reports.expect(values["text"])
        elif kind == "video":
            self.videos.append(Offer.of(values))
        elif kind == "error":
            self.error = values  # the job has written the same for people


class JsonDisplay(JobDisplay):
    """Passes a job's events on to a program, and all else to standard error."""

    def __init__(self) -> None:
        super().__init__(with_progress=False)

    def _text(self, text: str) -> None:
        QuietStream(sys.stderr).write(text)

    def _event(self, kind: str, values: dict[str, Any]) -> None:
        super()._event(kind, values)
        if kind == "watch":
            return  # for a page: the other events have all that programs need
        write_text(sys.stdout, json.dumps({"event": kind, **values}))

    def end(self) -> None:
        """Nothing: every report was passed on."""


def state_of(values: dict[str, Any]) -> ProgressState:
    """How far a job is, of an event's values."""
    known = {each.name for each in fields(ProgressState)}
    return ProgressState(**{name: value for name, value in values.items() if name in known})


Answer = Literal["stop", "leave", "watch"]

QUESTION = "rayanim: stop the job, leave it running, or go on watching? [s/l/w] "

STOP_LIMIT_S = STOP_WAIT_S + 20.0
"""By then Ray has killed the driver's processes one by one, if it can at all."""


def ask(number: int) -> Answer:
    """Ask what a signal is to do to the job.

    Only Ctrl-C asks, and only where somebody can answer; all else leaves the
    job running, as does another Ctrl-C in place of an answer.
    """
    if number != signal.SIGINT or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return "leave"
    answers: dict[str, Answer] = {"s": "stop", "l": "leave", "w": "watch"}
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write("\n")
        while True:
            sys.stderr.write(QUESTION)
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                return "leave"
            if line.strip().lower()[:1] in answers:
                return answers[line.strip().lower()[:1]]
    except (KeyboardInterrupt, EOFError):
        write_text(sys.stderr, "\n")
        return "leave"
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Note SIGINT, SIGTERM and SIGHUP in a list, where they would end this process."""
    noted: list[int] = []
    before: dict[int, Any] = {}
    for number in map(int, ending_signals()):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow_job(
    client: JobsClient, name: str, display: JobDisplay, asks: Callable[[int], Answer] = ask
) -> tuple[int, SubmittedJob | None]:
    """Show a job until it ends or a signal comes; gives an exit code, and the job if it ended."""
    items = JobWatch(client, name).follow()
    try:
        with noted_signals() as signals:
            while True:
                item = next(items)
                if signals:
                    number = signals[-1]
                    display.pause()
                    answer = asks(number)
                    signals.clear()
                    if answer != "watch":
                        write_note(
                            stop_job(client, name) if answer == "stop" else _left(client, name)
                        )
                        return 128 + number, None
                    display.resume()
                if isinstance(item, SubmittedJob):
                    break
                if item is not None:
                    display.show(item)
    except JobError as error:
        again = client.command(f"logs -f {name}")
        raise JobError(f"{error.message} If {name} still runs: {again}") from error
    finally:
        display.pause()
    display.end()
    outcome = outcome_of(item, display.error)
    if outcome.text:
        write_note(f"error: {outcome.text}")
    return outcome.exit_code, item


def _left(client: JobsClient, name: str) -> str:
    """How to come back to a job that nobody watches any more."""
    return (
        f"{name} goes on.\n"
        f"  to see it:       {client.command(f'logs -f {name}')}\n"
        f"  to end it:       {client.command(f'stop {name}')}\n"
        f"  to bring a video: {client.command(f'fetch {name}')}"
    )


def stop_job(client: JobsClient, name: str) -> str:
    """Stop a job, wait until it has ended, and say what came of it."""
    client.stop(name)
    deadline_s = time.monotonic() + STOP_LIMIT_S
    while not (job := client.job(name)).has_ended:
        if time.monotonic() > deadline_s:
            raise JobError(
                f"{name} still runs {STOP_LIMIT_S:.0f} s after it was asked to stop. "
                f"Its state: {client.command(f'status {name}')}"
            )
        time.sleep(0.5)
    if job.status == "STOPPED":
        return f"{name} was stopped.{how_to_resume(job)}"
    return f"{name} had ended before: {job.status.lower()}."


@dataclass(slots=True)
class JobStatus:
    """What is known of a job."""

    job: SubmittedJob
    label: str = ""
    state: ProgressState | None = None
    reports: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    error: str = ""

    def learn(self, items: Iterable[Text | JobEvent]) -> None:
        """Take in what a job's log says."""
        for item in items:
            if isinstance(item, Text):
                continue
            if item.kind == "report":
                self.reports.append(item.values["text"])
            elif item.kind == "video":
                self.videos.append(item.values["output"])
            elif item.kind == "error":
                self.error = item.values["text"]
            elif item.kind != "watch" and "done" in item.values:
                self.label, self.state = item.values.get("label") or "", state_of(item.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        job, state = self.job, self.state
        return {
            "job": job.submission_id,
            "status": job.status,
            "script": job.script,
            "started_s": job.started_s,
            "ended_s": job.ended_s,
            "exit_code": job.exit_code,
            "label": self.label,
            "done": state.done if state else None,
            "total": state.total if state else None,
            "videos": self.videos,
            "error": self.error or None,
        }

    def describe(self, fetching: str) -> str:
        """All of it, in lines for people."""
        job = self.job
        lines = [f"{job.submission_id}: {job.status.lower()}, {job.script}, {_times(job)}"]
        if self.state is not None and not self.reports:
            lines.append(sentence(self.state, self.label))
        lines += self.reports
        if self.error:
            lines.append(f"error: {self.error}")
        elif job.message and job.status in ("PENDING", "FAILED"):
            lines.append(job.message.splitlines()[0])
        if self.videos:
            lines.append(f"To bring it here: {fetching}")
        elif job.has_ended and (again := how_to_resume(job)):
            lines.append(again.strip())
        return "\n".join(lines)


def print_table(known: Sequence[JobStatus], address: str) -> None:
    """Print a table of jobs to standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Cell

    table = Table("job", "status", "script", "frames", "when", box=None, pad_edge=False)
    for each in known:
        job, frames = each.job, ""
        if each.state is not None:
            share = percent(each.state)
            frames = count(each.state) + (f" ({share})" if share else "")
        cells = (job.submission_id, job.status.lower(), job.script, frames, _times(job))
        table.add_row(*(Cell(text, overflow="fold") for text in cells))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    console.print(table if known else f"rayanim has submitted no job to {address}.")


def _times(job: SubmittedJob) -> str:
    if job.started_s is None:
        return "not started"
    began = f"{datetime.fromtimestamp(job.started_s):%Y-%m-%d %H:%M:%S}"
    if job.ended_s is None:
        return f"since {began}"
    return f"{began}, took {duration(job.ended_s - job.started_s)}"
