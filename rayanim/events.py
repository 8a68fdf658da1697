"""The events of a job, as values, and the log that writes them down as lines of JSON.

A job emits each event once; listeners apply it: stats, progress, metrics and the JSON log.
``docs/events.md`` lists the events that are logged; those under `InternalEvent` are only counted
and shown.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from rayanim.errors import OutputError
from rayanim.progress.base import QuietStream

if TYPE_CHECKING:
    from rayanim.engine.draw import Timings
    from rayanim.engine.stats import JobStats
    from rayanim.storage.segments import SegmentFolder
    from rayanim.video.spec import StreamSpec

Level = Literal["debug", "info", "warning", "error"]


NOT_LOGGED = {"is_logged": False}
"""Marks a field that listeners use and the log leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a job.

    A logged field holds a number, a text, a truth value or None, so that every
    reader of JSON understands it. Frames are ``[start, stop)``, as positions
    in the video.
    """

    # There are as many of ``debug`` as the video has segments, and few of the others.
    level: ClassVar[Level] = "info"

    @classmethod
    def name(cls) -> str:
        """The name of the kind, for example ``actor_died``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def logged_fields(cls) -> list[Field[Any]]:
        """The fields that are in the log."""
        return [each for each in fields(cls) if each.metadata.get("is_logged", True)]

    def values(self) -> dict[str, Any]:
        """What is logged of it, by name."""
        return {each.name: getattr(self, each.name) for each in self.logged_fields()}

    @property
    def message(self) -> str:
        """What people read of it, among the progress and in the report; mostly nothing."""
        return ""


class Stretch(Protocol):
    """Frames that follow each other in one segment."""

    @property
    def segment_index(self) -> int: ...

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
        return cls(segment=stretch.segment_index, start=stretch.start, stop=stretch.stop, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """A job begins. `frames` is null while the end of the parameters is not known."""

    output: str
    frames: int | None
    resume: bool
    rayanim: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(Event):
    """The video is finished and at its target."""

    output: str
    frames: int
    resumed_frames: int
    file_bytes: int
    elapsed_s: float
    engine: str
    actors_peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(Event):
    """The job ended without a video; `error` is the class of the exception."""

    level: ClassVar[Level] = "error"

    error: str
    text: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResumed(Event):
    """Finished frames of an earlier job were found; `cached_frames` of them in the cache."""

    frames: int
    cached_frames: int = 0
    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUnused(Event):
    """No frame came from the cache, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChosen(Event):
    """Where frames are drawn from now on: ``local``, or ``ray`` with `actors` at first."""

    engine: str
    reason: str
    actors: int
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecided(Event):
    """The wanted number of render actors is now `target`, which is `delta` more than before."""

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
    """A render actor died; `start` and `stop` are what it was drawing, null if it was idle."""

    level: ClassVar[Level] = "warning"

    actor: int
    reason: str
    start: int | None = None
    stop: int | None = None
    message: str = field(default="", metadata=NOT_LOGGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorReleased(Event):
    """A render actor was released: it has nothing more to do."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChanged(Event):
    """The number of nodes with render actors has changed; `actors` of them can draw."""

    actors: int
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkDrawn(SegmentEvent):
    """Frames of a segment were drawn; `actor` is null in the calling process."""

    level: ClassVar[Level] = "debug"

    actor: int | None
    draw_s: float
    convert_s: float
    encode_s: float
    timings: Timings | None = field(default=None, metadata=NOT_LOGGED)
    rss_bytes: int = field(default=0, metadata=NOT_LOGGED)

    @classmethod
    def timed(cls, stretch: Stretch, timings: Timings, **fields: Any) -> Self:
        """The event for frames that took so long."""
        return cls.of(
            stretch,
            draw_s=timings.draw_s,
            convert_s=timings.convert_s,
            encode_s=timings.encode_s,
            timings=timings,
            **fields,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRetried(SegmentEvent):
    """What was drawn of a segment is lost, so it is drawn again."""

    level: ClassVar[Level] = "warning"

    reason: str
    message: str = field(default="", metadata=NOT_LOGGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEncoded(SegmentEvent):
    """An encoder of the calling process has taken these frames of a segment."""

    level: ClassVar[Level] = "debug"

    encode_s: float
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStored(SegmentEvent):
    """An encoded segment is stored, and a job with `--resume` would start from it."""

    level: ClassVar[Level] = "debug"

    written_bytes: int
    encode_s: float = field(default=0.0, metadata=NOT_LOGGED)
    wait_s: float = field(default=0.0, metadata=NOT_LOGGED)
    write_s: float = field(default=0.0, metadata=NOT_LOGGED)
    rss_bytes: int = field(default=0, metadata=NOT_LOGGED)
    # Whether the encoder actor has written it: its frames were not counted before.
    by_actor: bool = field(default=False, metadata=NOT_LOGGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLost(Event):
    """The encoder actor died."""

    level: ClassVar[Level] = "warning"

    reason: str
    message: str = field(default="", metadata=NOT_LOGGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRevived(Event):
    """Another encoder actor has taken the place of the one that died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Something that a person should know of, in words."""

    level: ClassVar[Level] = "warning"

    text: str

    @property
    def message(self) -> str:
        """The text itself."""
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGap(Event):
    """Lines are missing before this one: how many, and why."""

    level: ClassVar[Level] = "warning"

    lines: int
    reason: str


KINDS: tuple[type[Event], ...] = (
    JobStarted,
    JobFinished,
    JobFailed,
    JobResumed,
    CacheUnused,
    EngineChosen,
    ScalingDecided,
    ActorAsked,
    ActorJoined,
    ActorDied,
    ActorReleased,
    FleetChanged,
    ChunkDrawn,
    SegmentRetried,
    SegmentEncoded,
    SegmentStored,
    EncoderLost,
    EncoderRevived,
    Notice,
    LogGap,
)
"""Every kind that is logged, in the order of ``docs/events.md``."""


class InternalEvent(Event):
    """An event that is counted or shown, and not logged."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportChosen(InternalEvent):
    """What goes to the encoder, ``segments`` or ``frames``, and why."""

    transport: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOpened(InternalEvent):
    """All is ready to draw: a first try, or all anew.

    `store` has the segments as they are finished; None where one encoder makes the whole video.
    """

    spec: StreamSpec
    store: SegmentFolder | None
    stats: JobStats


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentResumed(SegmentEvent, InternalEvent):
    """An earlier job has finished a segment, which is in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSent(SegmentEvent, InternalEvent):
    """A render actor was given these frames to draw."""

    actor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAudited(InternalEvent):
    """A frame that an actor had drawn was drawn again in the calling process, and compared."""

    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDrawn(SegmentEvent, InternalEvent):
    """An actor has drawn frames of a segment that another one had drawn before."""

    actor: int
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesRejected(InternalEvent):
    """Frames that were resumed do not fit this job after all: they are drawn again."""

    frames: int
    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoClosed(InternalEvent):
    """The file has its end: what was left in the encoder, or the last segments."""

    write_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RayPassStarted(InternalEvent):
    """Actors are about to draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayPassEnded(InternalEvent):
    """No actor draws any more, however that came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed(InternalEvent):
    """How many actors and waiting frames there are at this moment."""

    alive: int = 0
    requested: int = 0
    target: int = 0
    queued_frames: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusShown(InternalEvent):
    """Something to read while the job runs, and of no interest afterwards."""

    text: str

    @property
    def message(self) -> str:
        """The text itself."""
        return self.text


class Listener(Protocol):
    """Someone to whom a job passes its events, from its thread alone."""

    def apply(self, event: Event) -> None:
        """This has just happened."""


class Listeners:
    """Several listeners, or none, as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def apply(self, event: Event) -> None:
        """Pass it on, in their order."""
        for each in self._listeners:
            each.apply(event)


STANDARD_ERROR = "-"
"""The name of the log that goes to standard error."""

ROUTINE_BYTES = 64 * 2**20
"""Limit for the lines of ``debug``: at some 500 bytes for the two lines of a segment of 250
frames, a video of 30 million frames."""

ALL_BYTES = 2 * ROUTINE_BYTES
"""Limit for all lines but the job's last one."""

LONGEST_TEXT = 2000
"""Characters of a text, for example of an error, that are written."""


class EventLog:
    """The log of one job: a line of JSON for each event, added to what the file holds.

    It never ends the job and never waits. If lines cannot be written, `warn` is
    called once, and a `LogGap` counts them as soon as lines can be written. On every
    line are `job`, the video's name, and `run`, which job for it this is.
    """

    def __init__(
        self, path: str | os.PathLike[str], job: str, run: str, warn: Callable[[str], None]
    ) -> None:
        self._path = os.fspath(path)
        self._names = {"job": job, "run": run}
        self._warn = warn
        self._has_warned = False
        self._written_bytes = 0
        self._missing_lines = 0
        self._missing_why = ""
        self._is_torn = False
        self._file = None if self._path == STANDARD_ERROR else _opened(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def apply(self, event: Event) -> None:
        """Write `event` down, unless the log is as long as it may be."""
        if isinstance(event, InternalEvent):
            return
        if not self._has_room(event):
            self._missing_lines += 1
            self._missing_why = f"the log has {self._written_bytes} bytes already"
            return
        if self._missing_lines:
            gap = LogGap(lines=self._missing_lines, reason=self._missing_why)
            if not self._write(gap):
                self._missing_lines += 1  # the event's
                return
            self._missing_lines = 0
        if not self._write(event):
            self._missing_lines += 1

    def _has_room(self, event: Event) -> bool:
        if isinstance(event, JobFinished | JobFailed):
            return True
        limit_bytes = ROUTINE_BYTES if event.level == "debug" else ALL_BYTES
        return self._written_bytes < limit_bytes

    def _write(self, event: Event) -> bool:
        """Whether the event is in the log."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {name: _plain(value) for name, value in event.values().items()}
        line = {"time": time, "level": event.level, "event": event.name(), **self._names, **values}
        try:
            self._put(json.dumps(line, default=str) + "\n")
        except (OSError, ValueError) as error:
            self._missing_why = f"{type(error).__name__}: {error}"
            if not self._has_warned:
                self._has_warned = True
                self._warn(
                    f"The log {self._path!r} cannot be written ({error}); the video goes on. "
                    "Lines are missing until it can."
                )
            return False
        return True

    def _put(self, line: str) -> None:
        if self._path == STANDARD_ERROR:
            self._written_bytes += QuietStream(sys.stderr).write(line)
            return
        if self._file is None:
            raise ValueError("the log is closed")
        # What a full disk has cut short must not spoil the line after it.
        rest = (b"\n" if self._is_torn else b"") + line.encode("ascii")
        while rest:
            written = os.write(self._file, rest)
            self._written_bytes += written
            self._is_torn = written < len(rest)
            rest = rest[written:]


def _opened(path: str) -> int:
    """The file's descriptor; a pipe that nobody reads is refused, and none is waited for."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise OutputError(
            f"The log {path!r} cannot be opened: {why}. Give --log-json a file in a folder that "
            "exists and may be written to."
        ) from error


def _plain(value: Any) -> Any:
    """What JSON can hold: no infinity, no text without end, no more digits than are read."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
