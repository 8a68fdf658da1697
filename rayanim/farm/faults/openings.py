"""Judges how actors open their source: how long that takes, how often they die; PURE."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LOST = 3
"""Actors that may die while they start, in a row and for each node, before the job ends."""

MOST_NODES_TRIED = 4
"""Nodes on which actors may die while they start, before the job ends."""

LIMIT_S = 30.0
"""What opening the source may take, however quick others were."""

FACTOR = 10.0
"""How many times longer than the slowest so far it may take."""


@dataclass(slots=True)
class Openings:
    """What is known of the openings of one job's source.

    Attributes
    ----------
    lost
        Actors in a row that died while they started.
    slowest_s
        What the slowest took that could draw in the end; None before the first.
    """

    lost: int = 0
    slowest_s: float | None = None

    @property
    def limit_s(self) -> float:
        """What one may take; endless while nobody knows how long it should."""
        if self.slowest_s is None:
            return float("inf")
        return max(LIMIT_S, FACTOR * self.slowest_s)

    def done(self, took_s: float) -> None:
        """An actor can draw."""
        self.lost = 0
        self.slowest_s = max(self.slowest_s or 0.0, took_s)

    def too_many_lost(self, nodes: int) -> bool:
        """Whether it makes no sense to go on.

        Parameters
        ----------
        nodes
            Nodes that may have actors: there are others to go to.
        """
        return self.lost >= MAX_LOST * max(1, min(MOST_NODES_TRIED, nodes))
