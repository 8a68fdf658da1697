"""What a report tells of render actors over time: how many were wanted, and how many there were."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActorChange:
    """One decision of the controller.

    Parameters
    ----------
    at_s
        Seconds after the job began.
    actors
        Render actors wanted from then on.
    reason
        Why, for people.
    """

    at_s: float
    actors: int
    reason: str


@dataclass(frozen=True, slots=True)
class FleetSize:
    """How many actors there were, and on how many nodes.

    Parameters
    ----------
    at_s
        Seconds after the job began.
    actors
        Render actors that could draw from then on.
    nodes
        Nodes on which render actors ran, those included that only started.
    """

    at_s: float
    actors: int
    nodes: int
