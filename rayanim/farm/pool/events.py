"""What render actors let the driver know."""

from __future__ import annotations

from dataclasses import dataclass

from rayanim.errors import RayanimError
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.arrivals import Arrived, PayloadLost

DIFFERENCE = (
    "The film's first frame has other pixels in a render actor than in this process, so frames "
    "may differ by who draws them. Usual causes: the order of a set, a module's variable that the "
    "script changed, random numbers from a generator without a seed, the time of day. "
    "With workers=1 one process draws all."
)
"""Told once of a `Joined` that differs. Actors draw that frame when they open the source."""


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor can draw.

    Attributes
    ----------
    differs
        Whether the film's first frame has other pixels there.
    """

    number: int
    differs: bool


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """An actor has drawn a segment, and so many bytes of it come here."""

    segment: Segment
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Died:
    """An actor is gone.

    Attributes
    ----------
    node
        Where it lived; None where that is not known.
    drawing
        The segment that it was drawing, if any.
    waiting
        Segments that it had not begun.
    """

    number: int
    node: str | None
    why: str
    drawing: Segment | None
    waiting: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Code failed in an actor.

    Attributes
    ----------
    node
        Where it lives.
    segment
        What it was to draw, None where it was to open its source.
    failure
        What the user is told of it.
    """

    number: int
    node: str | None
    segment: Segment | None
    failure: RayanimError


Event = Joined | OnItsWay | Arrived | PayloadLost | Died | Refused
