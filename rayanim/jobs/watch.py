"""Follows a job to its end, through broken connections, and tells a listener what its log says."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any, Protocol

from rayanim.errors import JobError
from rayanim.jobs.client import RESUME_KEY, SubmittedJob

Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    # As large as a signed 64-bit number at most: whoever divides it has to stay below infinity.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_amount(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and isfinite(value) and value >= 0)


def _or_nothing(check: Check) -> Check:
    return lambda value: value is None or check(value)


_OPTIONAL_STATE: Mapping[str, Check] = MappingProxyType(
    {
        "label": _or_nothing(_is_text),
        "total": _or_nothing(_is_count),
        "fps": _or_nothing(_is_amount),
        "eta_s": _or_nothing(_is_amount),
        "actors_alive": _is_count,
        "actors_target": _is_count,
        "queued_frames": _is_count,
    }
)
_STATE: Mapping[str, Check] = MappingProxyType({"done": _is_count})
_OFFER: Mapping[str, Check] = MappingProxyType(
    {
        "output": _is_text,
        "relative": _is_text,
        "name": _is_text,
        "size_bytes": _is_count,
        "sha256": _is_text,
        "newlines": _is_count,
        "ends_with_newline": lambda value: isinstance(value, bool),
    }
)

EVENTS: Mapping[str, Mapping[str, Check]] = MappingProxyType(
    {
        "start": _STATE,
        "progress": _STATE,
        "message": {**_STATE, "text": _is_text},
        "finish": _STATE,
        "fail": _STATE,
        "report": {"text": _is_text},
        "video": _OFFER,
        "error": {"text": _is_text},
    }
)
"""The events of ``rayanim run --json``, and ``video``, which only a job tells; what each must say.

A script may print lines like them: those that say something else are its own.
"""

LONGEST_LINE_CHARS = 2**20
"""What is longer is no event, and is passed on in pieces: 4 MB at most are held."""

_MARK = '{"event": "'

# What Ray's supervisor of the job writes into the same log.
_RAYS_OWN = re.compile(r"Running entrypoint for job |[-\d]+ [:,\d]+\tINFO job_manager\.py:\d+ -- ")


@dataclass(frozen=True, slots=True)
class Text:
    """A line that the script, or Ray, has printed, with its end of line."""

    text: str


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that rayanim reports."""

    kind: str
    values: dict[str, Any]


class LogReader:
    """Reads a log piece by piece, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> Iterator[Text | JobEvent]:
        """What the lines that end in `piece` say."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            yield from read_line(line + "\n")
        if len(self._rest) > LONGEST_LINE_CHARS:
            yield from self.end()

    def end(self) -> Iterator[Text | JobEvent]:
        """What the last line says, which nothing has ended."""
        rest, self._rest = self._rest, ""
        if rest:
            yield from read_line(rest)


def read_log(pieces: Iterable[str]) -> Iterator[Text | JobEvent]:
    """What a whole log says."""
    reader = LogReader()
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


def read_line(line: str) -> Iterator[Text | JobEvent]:
    """What one line says; an event may follow text that the script left without an end."""
    before, mark, after = line.rpartition(_MARK)
    event = _event(mark + after) if mark else None
    if event is None:
        before = line
    if before and not _RAYS_OWN.match(before):
        yield Text(before)
    if event is not None:
        yield event


def _event(text: str) -> JobEvent | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets without end
        return None
    kind = values.pop("event")
    return JobEvent(kind, values) if _is_ours(kind, values) else None


def _is_ours(kind: Any, values: dict[str, Any]) -> bool:
    if not isinstance(kind, str) or kind not in EVENTS:
        return False
    needed = EVENTS[kind]
    optional = _OPTIONAL_STATE if "done" in needed else {}
    return all(name in values and check(values[name]) for name, check in needed.items()) and all(
        check(values[name]) for name, check in optional.items() if name in values
    )


DONE, FAILED, LOST, STOPPED = 0, 1, 3, 143

LONGEST_CHARS = 2000
"""Of Ray's own message, what is shown."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job has ended, for the one who submitted it."""

    exit_code: int
    text: str = ""


def outcome_of(job: SubmittedJob, error: Mapping[str, Any] | None) -> JobOutcome:
    """What the end of `job` means."""
    name = job.submission_id
    if job.status == "SUCCEEDED":
        return JobOutcome(DONE)
    if job.status == "STOPPED":
        return JobOutcome(STOPPED, f"{name} was stopped.{how_to_go_on(job)}")
    code = job.exit_code
    if job.was_never_started:
        return JobOutcome(LOST, f"{name} could not be started: {_shortened(job.message)}")
    if code is None:
        why = (job.message or "its node is gone").rstrip(".")
        return JobOutcome(LOST, f"{name} was lost: {why}.{how_to_go_on(job)}")
    if code < 0 or code in (137, 139):
        return JobOutcome(
            LOST,
            f"{name}: its driver was ended by {_signal_name(code)}, as happens where memory runs "
            f"out.{how_to_go_on(job)}",
        )
    if error is not None:
        return JobOutcome(code, hint(error))
    if code == 127:
        return JobOutcome(
            LOST,
            f"{name}: the head has no python on its PATH. Activate the environment that Ray is "
            "installed in before ray start, or use an image that has one.",
        )
    return JobOutcome(code or FAILED, f"{name} failed with exit code {code}.")


def hint(error: Mapping[str, Any]) -> str:
    """What to do about an error that a script meets on a cluster and not at home; else nothing."""
    found = re.search(r"No module named '(\w+)", str(error.get("text")))
    if found is None:
        return ""
    return (
        f"The cluster's Python has no module {found[1]!r}. A package is installed for this job by "
        "--pip NAME; a module of yours goes along if it lies in the script's folder, or in the "
        "one that --working-dir names."
    )


def how_to_go_on(job: SubmittedJob) -> str:
    """A sentence with the command that goes on from a job's parts; empty where none is known."""
    command = job.metadata.get(RESUME_KEY)
    return f" To go on from its parts: {command}" if command else ""


def _shortened(message: str) -> str:
    """Its beginning and its end: what pip says fills pages, and says the cause last."""
    if len(message) <= LONGEST_CHARS:
        return message
    return f"{message[: LONGEST_CHARS // 4]} [...] {message[-3 * LONGEST_CHARS // 4 :]}"


def _signal_name(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


LOST_AFTER_S = 60.0
"""A cluster that does not answer for so long is given up; its job may well go on."""

RECONNECT_S = 2.0

LOOK_S = 10.0
"""How often a silent job is looked at: a connection may have died without a word."""

SILENT_S = 60.0
"""A connection that has said nothing for so long is made anew, for the log may go on without it."""


class JobListener(Protocol):
    """Someone who is told what a job does."""

    def text(self, text: str) -> None:
        """Something that the script has printed."""

    def event(self, event: JobEvent) -> None:
        """Something that rayanim has reported."""

    def notice(self, text: str) -> None:
        """Something about the job or the connection."""


class JobsCluster(Protocol):
    """What is asked of a cluster: `JobsClient`."""

    def job(self, submission_id: str) -> SubmittedJob:
        """What is known of a job."""

    def tail(self, submission_id: str) -> Iterator[str | None]:
        """The log from its beginning until the job ends; None while there is nothing."""

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        """The log as it is."""


class JobWatch:
    """One job that is followed; it may be left and taken up again."""

    def __init__(
        self,
        cluster: JobsCluster,
        submission_id: str,
        listener: JobListener,
        *,
        lost_after_s: float = LOST_AFTER_S,
        reconnect_s: float = RECONNECT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._id = submission_id
        self._listener = listener
        self._lost_after_s = lost_after_s
        self._reconnect_s = reconnect_s
        self._clock = clock
        self._reader = LogReader()
        self._told_chars = 0
        self._answered_s = clock()
        self._heard_s = clock()
        self._has_broken = False
        self._may_lack_text = False
        self._waits_told = False

    def follow(self, is_over: Callable[[], bool]) -> SubmittedJob | None:
        """Follow the job until it ends."""
        self._answered_s = self._clock()
        ended: SubmittedJob | None = None
        while not is_over():
            try:
                if ended is None:
                    self._read(is_over)
                    if is_over():
                        break
                    job = self._look()
                    ended = job if job.has_ended else None
                if ended is not None:
                    self._finish(ended)
                    return ended
            except JobError as error:
                if self._is_lost():
                    if ended is None:
                        raise
                    self._listener.notice(f"the end of its log cannot be read. {error.message}")
                    return ended
            if not is_over():
                time.sleep(self._reconnect_s)
        return None

    def _read(self, is_over: Callable[[], bool]) -> None:
        """Read the log until the job ends or the connection seems dead."""
        looked_s = self._heard_s = self._clock()
        for piece in self._new(self._cluster.tail(self._id)):
            if is_over():
                return
            if piece:
                self._tell(piece)
            elif self._clock() - looked_s >= LOOK_S:
                looked_s = self._clock()
                if self._look().has_ended or looked_s - self._heard_s >= SILENT_S:
                    self._may_lack_text = True
                    return

    def _new(self, pieces: Iterator[str | None]) -> Iterator[str]:
        """What was not told yet of a log that is told from its beginning; may be empty."""
        at_chars = 0
        for piece in pieces:
            text = piece or ""
            if text:
                self._answered_s = self._heard_s = self._clock()
            yield text[max(0, self._told_chars - at_chars) :]
            at_chars += len(text)

    def _tell(self, piece: str) -> None:
        self._told_chars += len(piece)
        self._pass_on(self._reader.feed(piece))

    def _pass_on(self, told: Iterator[Text | JobEvent]) -> None:
        for each in told:
            if isinstance(each, Text):
                self._listener.text(each.text)
            else:
                self._listener.event(each)

    def _look(self) -> SubmittedJob:
        job = self._cluster.job(self._id)
        self._answered_s = self._clock()
        if job.status == "PENDING" and not self._waits_told:
            self._waits_told = True
            self._listener.notice(f"the job waits to be started. {job.message}".rstrip())
        return job

    def _is_lost(self) -> bool:
        """Whether a connection that has broken is given up."""
        if self._clock() - self._answered_s >= self._lost_after_s:
            return True
        if not self._has_broken:
            self._listener.notice("the connection has broken, the job goes on; trying again.")
        self._has_broken = self._may_lack_text = True
        return False

    def _finish(self, job: SubmittedJob) -> None:
        """Tell the end of the log, what a dead connection has kept back included."""
        if self._may_lack_text:
            for piece in self._new(self._cluster.log(job)):
                self._tell(piece)
        self._pass_on(self._reader.end())
