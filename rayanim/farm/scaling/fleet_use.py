"""Counts a job's actors and nodes over time, and the time that it held nodes; PURE."""

from __future__ import annotations

from dataclasses import dataclass, field

from rayanim.actor_history import FleetSize

MOST_SIZES = 500
"""Sizes that are kept, 20 KB of a report: a job of days must not grow by what comes and goes."""

SHORTEST_STEP_S = 1.0
"""How far apart sizes are, at least, once there were too many."""

HOUR_S = 3600.0


@dataclass(slots=True)
class FleetUse:
    """The render actors and their nodes over time.

    Where there are too many changes, those that follow within `step_s` of
    another one are told as one; the peaks and the time count all.

    Attributes
    ----------
    sizes
        Each change, the latest last; none before the first actor came.
    nodes_peak
        The most nodes at once.
    node_s
        Seconds for which nodes were held, of all nodes together: from a node's
        first render actor to its last one's end.
    step_s
        Seconds between two sizes at least.
    """

    sizes: list[FleetSize] = field(default_factory=list)
    nodes_peak: int = 0
    node_s: float = 0.0
    step_s: float = 0.0
    _now: FleetSize = field(default_factory=lambda: FleetSize(0.0, 0, 0))

    @property
    def node_hours(self) -> float:
        """`node_s` in hours."""
        return self.node_s / HOUR_S

    def note(self, at_s: float, actors: int, nodes: int) -> bool:
        """There are so many now; whether the number of nodes is another one.

        Parameters
        ----------
        at_s
            Seconds after the job began; never less than before.
        actors, nodes
            See `FleetSize`.
        """
        before, self._now = self._now, FleetSize(at_s, actors, nodes)
        self.node_s += before.nodes * (at_s - before.at_s)
        self.nodes_peak = max(self.nodes_peak, nodes)
        if (actors, nodes) != (before.actors, before.nodes):
            self._keep(self._now)
        return nodes != before.nodes

    def _keep(self, size: FleetSize) -> None:
        if self.sizes and size.at_s - self.sizes[-1].at_s < self.step_s:
            size = FleetSize(self.sizes.pop().at_s, size.actors, size.nodes)
        self.sizes.append(size)
        if len(self.sizes) > MOST_SIZES:
            self._thin()

    def _thin(self) -> None:
        self.step_s = max(SHORTEST_STEP_S, 2 * self.step_s)
        sizes, self.sizes = self.sizes, []
        for size in sizes:
            self._keep(size)
