"""The events of a job, as values with typed fields; PURE.

Each kind is a class, whose name in small letters is the event's name. The
engine tells a `Listener` of them as they happen; `rayanim.events` writes
them down. ``docs/events.md`` lists them for readers of the log.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self

from rayanim.errors import OutputError
from rayanim.progress.base import QuietStream

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a job.

    A field holds a number, a text, a truth value or None, so that every
    reader of JSON understands it. Frames are ``[start, stop)``, as positions
    in the video.

    Attributes
    ----------
    level
        How much it matters. There are as many of ``debug`` as the video has
        segments, and few of the others.
    """

    level: ClassVar[Level] = "info"

    @classmethod
    def name(cls) -> str:
        """The name of the kind, ``actor_died`` say."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def values(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Stretch(Protocol):
    """Frames of the video: a segment, or where one stands."""

    @property
    def index(self) -> int: ...

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEvent(Event):
    """Something that happened to the frames `[start, stop)`, the video's `segment`, from 0."""

    segment: int
    start: int
    stop: int

    @classmethod
    def of(cls, stretch: Stretch, **fields: Any) -> Self:
        """This kind of event, for the frames of `stretch`."""
        return cls(segment=stretch.index, start=stretch.start, stop=stretch.stop, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """A video is to be made.

    `frames` is None while the end of its parameters is not known.
    """

    output: str
    frames: int | None
    resume: bool
    rayanim: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(Event):
    """The video has its name."""

    output: str
    frames: int
    resumed_frames: int
    file_bytes: int
    elapsed_s: float
    engine: str
    actors_peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(Event):
    """The job ended without its video; `error` is the exception's class."""

    level: ClassVar[Level] = "error"

    error: str
    text: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResumed(Event):
    """Frames are there from an earlier job of the same video."""

    frames: int
    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChosen(Event):
    """Where the rest is drawn: ``local`` or ``ray``; `actors` to begin with, 0 in process."""

    engine: str
    reason: str
    actors: int
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecided(Event):
    """The controller wants another number of render actors: `delta` more."""

    target: int
    delta: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorAsked(Event):
    """Ray was asked for a render actor."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorJoined(Event):
    """A render actor has opened the source, `waited_s` after it was asked for."""

    actor: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorDied(Event):
    """A render actor is gone; `start` and `stop` are None where it was idle."""

    level: ClassVar[Level] = "warning"

    actor: int
    reason: str
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorReleased(Event):
    """A render actor was told to leave: it has nothing more to do."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChanged(Event):
    """There are render actors on another number of nodes; so many of them can draw."""

    actors: int
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDrawn(SegmentEvent):
    """A segment was drawn; `actor` is None in the calling process."""

    level: ClassVar[Level] = "debug"

    actor: int | None
    draw_s: float
    convert_s: float
    encode_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRetried(SegmentEvent):
    """What was drawn of a segment is lost; it is drawn again."""

    level: ClassVar[Level] = "warning"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEncoded(SegmentEvent):
    """The encoder actor of a video of raw frames has taken a segment."""

    level: ClassVar[Level] = "debug"

    encode_s: float
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartKept(SegmentEvent):
    """An encoded segment is on the disk: `--resume` would go on from it."""

    level: ClassVar[Level] = "debug"

    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLost(Event):
    """The encoder actor is gone."""

    level: ClassVar[Level] = "warning"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRevived(Event):
    """Another encoder actor has taken its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Something that a person should know of, in words."""

    level: ClassVar[Level] = "warning"

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGap(Event):
    """So many lines are missing before this one, and why."""

    level: ClassVar[Level] = "warning"

    lines: int
    reason: str


KINDS: tuple[type[Event], ...] = (
    JobStarted,
    JobFinished,
    JobFailed,
    JobResumed,
    EngineChosen,
    ScalingDecided,
    ActorAsked,
    ActorJoined,
    ActorDied,
    ActorReleased,
    FleetChanged,
    SegmentDrawn,
    SegmentRetried,
    SegmentEncoded,
    PartKept,
    EncoderLost,
    EncoderRevived,
    Notice,
    LogGap,
)
"""Every kind, in the order of ``docs/events.md``."""


class Listener(Protocol):
    """Someone who is told what happens in a job, from its thread alone."""

    def tell(self, event: Event) -> None:
        """This has just happened."""


class Nobody:
    """Does not listen."""

    def tell(self, event: Event) -> None:
        """Nothing."""


STANDARD_ERROR = "-"
"""The name of the log that goes to standard error."""

ROUTINE_BYTES = 64 * 2**20
"""After so many bytes the segments' own lines end: at some 500 bytes for a segment's two lines
and 250 frames in it, a video of 30 million frames."""

ALL_BYTES = 2 * ROUTINE_BYTES
"""After so many bytes only the job's end is written."""

LONGEST_TEXT = 2000
"""Characters of a text, an error's say, that are written."""


class EventLog:
    """The log of one job: lines are added to what the file holds, and none is ever waited for.

    A log that cannot be written does not end the job. That is told once, and
    the log goes on with a `LogGap` as soon as it can be written again.

    Parameters
    ----------
    path
        The file; `STANDARD_ERROR` writes to standard error.
    job, run
        What the video is called, and which job for it this is: on every line.
    complain
        Told once, in words, if lines cannot be written.

    Raises
    ------
    OutputError
        If the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: str,
        run: str,
        complain: Callable[[str], None],
    ) -> None:
        self._path = os.fspath(path)
        self._names = {"job": job, "run": run}
        self._complain = complain
        self._written_bytes = 0
        self._missing = 0
        self._why = ""
        self._is_torn = False
        self._has_complained = False
        self._file = None if self._path == STANDARD_ERROR else _opened(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def tell(self, event: Event) -> None:
        """Write `event` down, unless the log is as long as it may be."""
        if not self._has_room(event):
            self._missing += 1
            self._why = f"the log has {self._written_bytes} bytes already"
        elif self._catch_up():
            self._write(event)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _has_room(self, event: Event) -> bool:
        if isinstance(event, JobFinished | JobFailed):
            return True
        limit_bytes = ROUTINE_BYTES if event.level == "debug" else ALL_BYTES
        return self._written_bytes < limit_bytes

    def _catch_up(self) -> bool:
        """Say how many lines are missing before the next one; whether that one may follow."""
        if not self._missing:
            return True
        missing, self._missing = self._missing, 0
        if self._write(LogGap(lines=missing, reason=self._why)):
            return True
        # Neither the line about the gap nor the one that was to follow.
        self._missing += missing
        return False

    def _write(self, event: Event) -> bool:
        line = line_of(event, datetime.now(UTC), self._names)
        try:
            self._put(line.encode("ascii"))
        except (OSError, ValueError) as error:
            self._missing += 1
            self._why = f"{type(error).__name__}: {error}"
            self._complain_once(error)
            return False
        return True

    def _put(self, line: bytes) -> None:
        if self._path == STANDARD_ERROR:
            QuietStream(sys.stderr).write(line.decode("ascii"))
            self._written_bytes += len(line)
            return
        if self._file is None:
            raise ValueError("the log is closed")
        # What a full disk has cut short must not spoil the line after it.
        rest = b"\n" + line if self._is_torn else line
        while rest:
            written = os.write(self._file, rest)
            self._written_bytes += written
            self._is_torn = written < len(rest)
            rest = rest[written:]

    def _complain_once(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._complain(
                f"The log {self._path!r} cannot be written ({error}); the video goes on. "
                "Lines are missing until it can."
            )


def _opened(path: str) -> int:
    """The file's descriptor; a pipe's writer that waits for nobody."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise OutputError(
            f"The log {path!r} cannot be opened: {why}. Give --log-json a file in a folder that "
            "exists and may be written to."
        ) from error


def line_of(event: Event, when: datetime, names: dict[str, str]) -> str:
    """The line for `event`, of ASCII characters and with its end.

    Parameters
    ----------
    event
        What happened.
    when
        When, in UTC.
    names
        What stands on every line.
    """
    fields = {name: _plain(value) for name, value in event.values().items()}
    time = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": time, "level": event.level, "event": event.name(), **names, **fields}
    return json.dumps(line, default=str) + "\n"


def _plain(value: Any) -> Any:
    """What JSON can hold: no infinity, no text without end, no more digits than are read."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
