"""Events that the scheduler is given, and actions that it returns; PURE."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from rayanim.engine.chunks import Drawn, Payload
from rayanim.engine.plan import Chunk
from rayanim.events import Event as JobEvent

if TYPE_CHECKING:
    from rayanim.engine.draw import DrawnMeta
    from rayanim.errors import RayanimError

# ---- what happens


@dataclass(frozen=True, slots=True)
class Begin:
    """The job begins with so many actors."""

    actors: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. `encoder_silence_s` is how long an encoder has owed an answer."""

    encoder_silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """An actor's process is there, on `node`, and about to open its source."""

    number: int
    node: str


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor can draw."""

    number: int


@dataclass(frozen=True, slots=True)
class TransferBegan:
    """An actor has drawn a chunk, and so many bytes of it are being transferred here."""

    number: int
    chunk: Chunk
    meta: DrawnMeta


@dataclass(frozen=True, slots=True)
class Arrived(Generic[Payload]):
    """What an actor has drawn is here."""

    number: int
    chunk: Chunk
    meta: DrawnMeta
    payload: Payload


@dataclass(frozen=True, slots=True)
class PayloadLost:
    """What an actor has drawn is gone with its node."""

    number: int
    chunk: Chunk
    why: str


@dataclass(frozen=True, slots=True)
class Died:
    """An actor is gone; `usable` are the nodes that could have one, where it was starting."""

    number: int
    node: str | None
    why: str
    usable: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Code failed in an actor; `chunk` is None where it failed to open its source."""

    number: int
    chunk: Chunk | None
    failure: RayanimError
    usable: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """An encoder has taken a chunk, or a segment was written: its bytes are free."""

    chunk: Chunk
    busy_s: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class WriteLost:
    """An encoded segment was lost on its way to the actor that writes it."""

    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything is drawn: no actor is needed any more."""


Event = (
    Begin
    | Tick
    | Answered
    | Joined
    | TransferBegan
    | Arrived[Any]
    | PayloadLost
    | Died
    | CallFailed
    | Taken
    | WriteLost
    | Finish
)

# ---- what is to be done


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask Ray for an actor."""

    number: int


@dataclass(frozen=True, slots=True)
class Submit:
    """Have an actor draw a chunk."""

    number: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Release:
    """Let an actor close its source, and end."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """End an actor at once."""

    number: int


@dataclass(frozen=True, slots=True)
class Exclude:
    """Ask for no more actors on a node."""

    node: str


@dataclass(frozen=True, slots=True)
class EndSegment:
    """All frames of a segment were given to its encoder; `last` is its last chunk."""

    last: Chunk


@dataclass(frozen=True, slots=True)
class NoticeOnce:
    """Notice something once, however often it is found."""

    text: str
    key: str


Action = Ask | Submit | Release | End | Exclude | Drawn[Any] | EndSegment | NoticeOnce | JobEvent
"""What is to be done: what was drawn is to be handed on, an event of the job to be emitted."""


class NothingDrawnError(Exception):
    """No actor can draw the source; `taken` is what was taken from the plan for them."""

    def __init__(self, why: str, taken: Chunk | None) -> None:
        super().__init__(why)
        self.why = why
        self.taken = taken
