"""Shows in a terminal what a job on a cluster does, and asks what Ctrl-C means there."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields
from types import FrameType
from typing import Any, Literal

from rayanim.cli.output import Awaited, write_text
from rayanim.cli.signals import ending_signals
from rayanim.jobs.log import Event
from rayanim.jobs.offer import Offer
from rayanim.progress import NoProgress, Progress, ProgressState, choose_progress
from rayanim.progress.streams import QuietStream, is_terminal
from rayanim.progress.terminal import BarProgress
from rayanim.progress.wording import sentence

Answer = Literal["stop", "leave", "watch"]

QUESTION = "rayanim: stop the job, leave it running, or go on watching? [s/l/w] "

OWN_LINE = "rayanim: "
"""How each line begins that rayanim writes for people."""


class Shown:
    """Shows people what a job does: a listener of `rayanim.jobs.watch.Watch`.

    Parameters
    ----------
    quiet
        Whether only errors and what the script prints are shown.
    with_progress
        Whether there is a bar, or lines.

    Attributes
    ----------
    films
        What the job has offered.
    error
        What it has reported of a failure, as plain values; None for nothing.
    """

    def __init__(self, *, quiet: bool = False, with_progress: bool = True) -> None:
        self.films: list[Offer] = []
        self.error: dict[str, Any] | None = None
        self._quiet = quiet
        self._progress: Progress = NoProgress()
        if with_progress and not quiet:
            self._progress = choose_progress()
        self._reports = Awaited()
        self._label = ""
        self._state: ProgressState | None = None
        self._has_bar = False

    def text(self, text: str) -> None:
        """What the script prints goes to standard output, what rayanim says to standard error."""
        self._reports.hear(text)
        QuietStream(sys.stderr if text.startswith(OWN_LINE) else sys.stdout).write(text)

    def event(self, event: Event) -> None:
        """Show or remember what rayanim reports."""
        tell = {
            "start": self._start,
            "progress": self._update,
            "message": self._message,
            "finish": self._finish,
            "fail": self._fail,
            "report": self._report,
            "film": self._film,
            "error": self._error,
        }
        tell[event.kind](event.values)

    def notice(self, text: str) -> None:
        """Something about the job."""
        if self._quiet:
            return
        if self._state is not None:
            self._progress.message(f"rayanim: {text}")
        else:
            write_text(sys.stderr, f"rayanim: {text}")

    def pause(self) -> None:
        """Free the terminal: how far the job is stands there in words, in the bar's place."""
        if self._state is None or not self._has_bar:
            return
        self._has_bar = False
        if isinstance(self._progress, BarProgress):
            self._progress.leave()
            write_text(sys.stderr, sentence(self._state, self._label))

    def go_on(self) -> None:
        """Show the bar again."""
        if self._state is not None:
            self._has_bar = True
            self._progress.start(self._state.total, self._label, self._state.done)

    def end(self) -> None:
        """The job has ended: say what it has reported."""
        self.pause()
        for text in self._reports.unheard():  # others the script has printed itself
            if not self._quiet:
                write_text(sys.stdout, text)

    def _start(self, values: dict[str, Any]) -> None:
        self._label = values.get("label") or ""
        self._state = state_of(values)
        self.go_on()

    def _update(self, values: dict[str, Any]) -> None:
        self._state = state_of(values)
        self._progress.update(self._state)

    def _message(self, values: dict[str, Any]) -> None:
        self._progress.message(str(values.get("text")))

    def _finish(self, values: dict[str, Any]) -> None:
        self._state = None
        self._progress.finish(state_of(values))

    def _fail(self, values: dict[str, Any]) -> None:
        self._state = None
        self._progress.fail()

    def _report(self, values: dict[str, Any]) -> None:
        self._reports.wait_for(str(values.get("text") or values.get("output")))

    def _film(self, values: dict[str, Any]) -> None:
        self.films.append(Offer.of(values))

    def _error(self, values: dict[str, Any]) -> None:
        # The job has written the same for people, beside this event.
        self.error = values


class ShownAsJson(Shown):
    """Passes a job's events on to a program, and all else to standard error."""

    def __init__(self) -> None:
        super().__init__(with_progress=False)

    def text(self, text: str) -> None:
        """Standard output is the program's."""
        QuietStream(sys.stderr).write(text)

    def event(self, event: Event) -> None:
        """A line of its own."""
        super().event(event)
        write_text(sys.stdout, json.dumps({"event": event.kind, **event.values}))

    def end(self) -> None:
        """Nothing: every report was passed on."""


def state_of(values: dict[str, Any]) -> ProgressState:
    """How far a job is, as an event tells it."""
    known = {each.name for each in fields(ProgressState)}
    return ProgressState(**{name: value for name, value in values.items() if name in known})


class Interruption:
    """Remembers a signal, for whoever looks at it at the next good moment."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number

    def has_come(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    def forget(self) -> None:
        """Wait for another one."""
        self.number = None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended."""
        return 128 + (self.number or signal.SIGINT)


@contextlib.contextmanager
def remembering_signals() -> Iterator[Interruption]:
    """Remember SIGINT, SIGTERM and SIGHUP inside, where they would end this process."""
    interruption = Interruption()
    before: dict[int, Any] = {}
    for number in map(int, ending_signals()):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interruption)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask(interruption: Interruption) -> Answer:
    """Ask what a signal is to do to the job.

    Only Ctrl-C asks, and only where somebody can answer; all else leaves the
    job running, as does another Ctrl-C in place of an answer.
    """
    asks = interruption.number == signal.SIGINT
    if not asks or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return "leave"
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _answer()
    except (KeyboardInterrupt, EOFError):
        write_text(sys.stderr, "\n")
        return "leave"
    finally:
        signal.signal(signal.SIGINT, handler)


def _answer() -> Answer:
    answers: dict[str, Answer] = {"s": "stop", "l": "leave", "w": "watch"}
    sys.stderr.write("\n")
    while True:
        sys.stderr.write(QUESTION)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return "leave"
        if line.strip().lower()[:1] in answers:
            return answers[line.strip().lower()[:1]]
