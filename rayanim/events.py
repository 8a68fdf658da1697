"""The events of a job, as values with typed fields; PURE.

Each kind is a class, whose name in small letters is the event's name. The
engine tells a `Listener` of them as they happen; `rayanim.event_log` writes
them down. ``docs/events.md`` lists them for readers of the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a job.

    A field holds a number, a text, a truth value or None, so that every
    reader of JSON understands it. Frames are ``[start, stop)``, as positions
    in the film.

    Attributes
    ----------
    level
        How much it matters. There are as many of ``debug`` as the film has
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
    """Frames of the film: a segment, or where one stands."""

    @property
    def index(self) -> int: ...

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEvent(Event):
    """Something that happened to the frames `[start, stop)`, the film's `segment`, from 0."""

    segment: int
    start: int
    stop: int

    @classmethod
    def of(cls, stretch: Stretch, **fields: Any) -> Self:
        """This kind of event, for the frames of `stretch`."""
        return cls(segment=stretch.index, start=stretch.start, stop=stretch.stop, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """A film is to be made.

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
    """The film has its name."""

    output: str
    frames: int
    resumed_frames: int
    file_bytes: int
    elapsed_s: float
    engine: str
    actors_peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(Event):
    """The job ended without its film; `error` is the exception's class."""

    level: ClassVar[Level] = "error"

    error: str
    text: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResumed(Event):
    """Frames are there from an earlier job of the same film."""

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
    """The encoder actor of a film of raw frames has taken a segment."""

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
