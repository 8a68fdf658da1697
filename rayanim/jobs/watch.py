"""Follows a job to its end, through broken connections: its log, its events, how it ended.

The driver of a job writes its events into the job's log, each as a line of
JSON behind a mark that is random and the job's own, so that no line of the
script is taken for one by accident. It is no protection against a script that
means to write events: the mark is in the environment that its process began with.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.errors import JobError
from rayanim.jobs.client import RESUME_KEY, SubmittedJob

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient

LONGEST_LINE_CHARS = 2**20
"""A longer line is no event, and is passed on in pieces: 4 MB at most are held."""

# What Ray's supervisor of the job writes into the same log.
_RAYS_OWN = re.compile(r"Running entrypoint for job |[-\d]+ [:,\d]+\tINFO job_manager\.py:\d+ -- ")


@dataclass(frozen=True, slots=True)
class Text:
    """A line that the script, or Ray, has printed, with its end of line."""

    text: str


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of ``rayanim run --json``, ``video``, or ``watch``: what `rayanim watch` shows."""

    kind: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobNotice:
    """Something about the job or the connection to it."""

    text: str


class LogReader:
    """Reads a log piece by piece, wherever the pieces are cut."""

    def __init__(self, event_mark: str = "") -> None:
        self.event_mark = event_mark
        self._rest = ""

    def feed(self, piece: str) -> Iterator[Text | JobEvent]:
        """Read the lines that end in `piece`."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            yield from self._read(line + "\n")
        if len(self._rest) > LONGEST_LINE_CHARS:
            yield from self.end()

    def end(self) -> Iterator[Text | JobEvent]:
        """Read a last line that has no end."""
        rest, self._rest = self._rest, ""
        yield from self._read(rest)

    def _read(self, line: str) -> Iterator[Text | JobEvent]:
        """Read one line; an event may follow text that the script left without an end."""
        before, event = line, None
        if self.event_mark and self.event_mark in line:
            before, _, after = line.rpartition(self.event_mark)
            event = _event_of(after)
            if event is None:  # the driver was killed while it wrote the line, or it is no event
                before = line
        if before and not _RAYS_OWN.match(before):
            yield Text(before)
        if event is not None:
            yield event


_STATE = {
    "label": str | None, "total": int | None, "fps": float | int | None,
    "eta_s": float | int | None, "actors_alive": int | None, "actors_target": int | None,
    "queued_frames": int | None,
}  # fmt: skip
_FIELDS: dict[str, dict[str, Any]] = {
    "start": {"done": int, **_STATE},
    "progress": {"done": int, **_STATE},
    "finish": {"done": int, **_STATE},
    "fail": {"done": int, **_STATE},
    "message": {"done": int, "text": str, **_STATE},
    "report": {"text": str},
    "error": {"text": str},
    "video": {"output": str, "relative": str, "name": str, "size_bytes": int, "sha256": str},
    "watch": {"state": str, "version": int, "segments": list},
}
"""The events, and the kinds of the values that are read of them."""

_LARGEST_NUMBER = 1e15


def _event_of(text: str) -> JobEvent | None:
    """The event that is written in `text`; None where it is none that can be shown."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    kind = values.pop("event", None) if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        return None
    for name, expected in _FIELDS[kind].items():
        value = values.get(name)
        if not isinstance(value, expected):
            return None
        if isinstance(value, int | float) and not 0 <= value < _LARGEST_NUMBER:
            return None
    return JobEvent(kind, values)


def read_log(pieces: Iterable[str], event_mark: str) -> Iterator[Text | JobEvent]:
    """Read a whole log."""
    reader = LogReader(event_mark)
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


LOST_AFTER_S = 60.0
"""A cluster is given up that does not answer for so long; its job may well go on."""

RECONNECT_S = 2.0

CHECK_S = 10.0
"""How often the status of a silent job is asked for: a connection may be dead without an error."""

SILENT_S = 60.0
"""A connection is made anew after so long without a piece, for the log may go on without it."""


Item = Text | JobEvent | JobNotice | SubmittedJob | None
"""What following a job gives: at last the job as it ended, and None while nothing comes."""


class JobWatch:
    """Follows one job, and reads each line of its log once however often it connects."""

    def __init__(
        self,
        client: JobsClient,
        submission_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._id = submission_id
        self._clock = clock
        self._reader = LogReader()
        self._read_chars = 0
        self._failing_since_s: float | None = None
        self._has_broken = False
        self._may_lack_text = False
        self._has_waited = False

    def follow(self) -> Iterator[Item]:
        """Follow the job to its end; gives something about four times a second."""
        ended: SubmittedJob | None = None
        while True:
            try:
                ended = ended or (yield from self._read_on())
                if ended is not None:
                    yield from self._finish(ended)
                    yield ended
                    return
            except JobError as error:
                now_s = self._clock()
                if self._failing_since_s is None:
                    self._failing_since_s = now_s
                if now_s - self._failing_since_s >= LOST_AFTER_S:
                    if ended is None:
                        raise
                    yield JobNotice(f"the end of its log cannot be read. {error.message}")
                    yield ended
                    return
                if not self._has_broken:
                    yield JobNotice("the connection has broken, the job goes on; trying again.")
                self._has_broken = self._may_lack_text = True
            yield None
            time.sleep(RECONNECT_S)

    def _read_on(self) -> Generator[Item, None, SubmittedJob | None]:
        """Read the log until the job ends, which gives the job, or the connection seems dead."""
        job = yield from self._check()
        if job.has_ended and self._may_lack_text:
            return job  # all of its log is read at once
        checked_s = heard_s = self._clock()
        for piece in self._new(self._client.tail(self._id)):
            yield None
            if piece is not None:
                heard_s = self._clock()
                yield from self._reader.feed(piece)
            elif self._clock() - checked_s >= CHECK_S:
                checked_s = self._clock()
                job = yield from self._check()
                if job.has_ended or checked_s - heard_s >= SILENT_S:
                    self._may_lack_text = True
                    return job if job.has_ended else None
        job = yield from self._check()
        return job if job.has_ended else None

    def _new(self, pieces: Iterable[str]) -> Iterator[str | None]:
        """What was not read yet of a log that comes from its beginning; None where nothing came."""
        at_chars = 0
        for piece in pieces:
            if not piece:
                yield None
                continue
            self._failing_since_s = None
            new = piece[max(0, self._read_chars - at_chars) :]
            at_chars += len(piece)
            self._read_chars = max(self._read_chars, at_chars)
            yield new

    def _check(self) -> Generator[Item, None, SubmittedJob]:
        """Ask for the job's status."""
        job = self._client.job(self._id)
        self._failing_since_s = None
        self._reader.event_mark = job.event_mark
        if job.status == "PENDING" and not self._has_waited:
            self._has_waited = True
            yield JobNotice(f"the job waits to be started. {job.message}".rstrip())
        return job

    def _finish(self, job: SubmittedJob) -> Iterator[Text | JobEvent]:
        """Read the end of the log, with what a dead connection has kept back."""
        if self._may_lack_text:
            for piece in self._new(self._client.log(job)):
                yield from self._reader.feed(piece or "")
        yield from self._reader.end()


DONE, FAILED, LOST, STOPPED = 0, 1, 3, 143

LONGEST_CHARS = 2000
"""Of Ray's own message, what is shown."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job has ended, for the one who submitted it."""

    exit_code: int
    text: str = ""


def outcome_of(job: SubmittedJob, error: Mapping[str, Any] | None) -> JobOutcome:
    """What the end of `job` means, whose log has reported `error`."""
    name = job.submission_id
    if job.status == "SUCCEEDED":
        return JobOutcome(DONE)
    if job.status == "STOPPED":
        return JobOutcome(STOPPED, f"{name} was stopped.{how_to_resume(job)}")
    code = job.exit_code
    if job.was_never_started:
        return JobOutcome(LOST, f"{name} could not be started: {_shortened(job.message)}")
    if code is None:
        why = (job.message or "its node is gone").rstrip(".")
        return JobOutcome(LOST, f"{name} was lost: {why}.{how_to_resume(job)}")
    if code < 0 or code in (137, 139):
        return JobOutcome(
            LOST,
            f"{name}: its driver was ended by {_signal_name(code)}, as happens where memory runs "
            f"out.{how_to_resume(job)}",
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
    text = str(error.get("text"))
    if found := re.search(r"No module named '(\w+)", text):
        return (
            f"The cluster's Python has no module {found[1]!r}. A package is installed for this "
            "job by --pip NAME; a module of yours is sent if it lies in the script's folder, or "
            "in the one that --working-dir names."
        )
    if found := re.search(r"No such file or directory: '([^']+)'", text):
        return (
            f"The script's folder was sent without what .gitignore and .rayignore name, secrets "
            f"and videos. If {found[1]!r} is one of those, add !NAME to .rayignore; for what "
            ".gitignore names, set RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1 here."
        )
    return ""


def how_to_resume(job: SubmittedJob) -> str:
    """A sentence with the command that resumes a job; empty where none is known."""
    command = job.metadata.get(RESUME_KEY)
    return f" To resume it: {command}" if command else ""


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
