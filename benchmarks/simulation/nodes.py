"""Nodes that come, go and are lost, and the actors on them: the pool that the controller sees."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rayanim.engine.plan import Segment
from rayanim.engine.pool import Member, Roster
from simulation.agenda import Agenda
from simulation.scenario import Scenario


@dataclass(slots=True, eq=False)
class Node:
    """A place for actors; `free` of them are left while it is there."""

    free: int
    is_there: bool = False
    is_coming: bool = False
    since_s: float = 0.0
    idle_since_s: float = 0.0
    members: dict[int, Member] = field(default_factory=dict)


class Nodes:
    """All render actors of a job and the nodes that they run on.

    Parameters
    ----------
    scenario, agenda
        What is simulated, and its clock.
    tell
        Told of an actor that can draw, or that is gone, when the driver could hear of it.
    """

    def __init__(
        self, scenario: Scenario, agenda: Agenda, tell: Callable[[str, Member], None]
    ) -> None:
        self._scenario, self._agenda, self._tell = scenario, agenda, tell
        self._random = random.Random(scenario.seed)
        self.roster = Roster()
        self._nodes = [Node(scenario.actors_per_node) for _ in range(scenario.nodes)]
        # Those with a place, as an ordered set; the last that was noted is filled first.
        self._roomy: dict[int, None] = {}
        self._pending: deque[Member] = deque()
        self._where: dict[int, Node] = {}
        self._names = 0
        self.dead: set[int] = set()
        self._paid_s = 0.0
        if not scenario.autoscaled:
            for number in range(len(self._nodes)):
                self._come(number)
        if scenario.loss_every_s:
            agenda.after(scenario.loss_every_s, self._lose_some)

    @property
    def requested(self) -> int:
        """As a pool's."""
        return self.roster.requested

    @property
    def alive(self) -> int:
        """As a pool's."""
        return self.roster.alive

    @property
    def nodes(self) -> int:
        """As a pool's."""
        return self.roster.nodes

    def apply(self, target: int) -> None:
        """Ask for actors, or release some."""
        for _ in range(target - self.requested):
            self._names += 1
            member = Member(self._names, None)
            self.roster.add(member)
            self._pending.append(member)
        for member in self.roster.to_release(self.requested - target):
            self.roster.leave(member)
            self.let_go(member)
        self._place()

    def let_go(self, member: Member) -> None:
        """End an actor that was told to leave, if it has nothing to draw."""
        if member.leaving and not member.held:
            self.roster.remove(member)
            self.dead.add(member.number)
            node = self._where.pop(member.number, None)
            if node is not None and node.members.pop(member.number, None):
                self._freed(node)

    def paid_s(self) -> float:
        """Seconds of nodes so far."""
        now_s = self._agenda.now_s
        return self._paid_s + sum(now_s - node.since_s for node in self._nodes if node.is_there)

    def _place(self) -> None:
        while self._pending and self._roomy:
            member = self._pending.popleft()
            if member.number in self.dead:
                continue
            number = next(reversed(self._roomy))
            node = self._nodes[number]
            node.free -= 1
            if not node.free:
                del self._roomy[number]
            member.node = str(number)
            node.members[member.number] = member
            self._where[member.number] = node
            start_s = self._scenario.costs.actor_start_s
            self._agenda.after(start_s, lambda each=member: self._ready(each))  # type: ignore[misc]
        if self._scenario.autoscaled:
            self._ask_for_nodes()

    def _ready(self, member: Member) -> None:
        if member.number not in self.dead:
            self._tell("joined", member)

    def _ask_for_nodes(self) -> None:
        size = self._scenario.actors_per_node
        coming = sum(node.is_coming for node in self._nodes)
        wanted = -(-len(self._pending) // size) - coming
        for number, node in enumerate(self._nodes):
            if wanted <= 0:
                return
            if not node.is_there and not node.is_coming:
                node.is_coming = True
                self._agenda.after(
                    self._scenario.node_start_s,
                    lambda each=number: self._come(each),  # type: ignore[misc]
                )
                wanted -= 1

    def _come(self, number: int) -> None:
        node = self._nodes[number]
        node.is_there, node.is_coming = True, False
        node.since_s = node.idle_since_s = self._agenda.now_s
        node.free = self._scenario.actors_per_node
        self._roomy[number] = None
        self._place()
        self._look_if_idle(number)

    def _freed(self, node: Node) -> None:
        node.free += 1
        number = self._nodes.index(node)
        self._roomy[number] = None
        if not node.members:
            node.idle_since_s = self._agenda.now_s
            self._look_if_idle(number)
        self._place()

    def _look_if_idle(self, number: int) -> None:
        if not self._scenario.autoscaled:
            return
        idle_s, node = self._scenario.node_idle_s, self._nodes[number]

        def look() -> None:
            is_idle = node.is_there and not node.members
            if is_idle and self._agenda.now_s - node.idle_since_s >= idle_s - 1e-6:
                self._leave(number)

        self._agenda.after(idle_s, look)

    def _leave(self, number: int) -> None:
        node = self._nodes[number]
        self._paid_s += self._agenda.now_s - node.since_s
        node.is_there = False
        self._roomy.pop(number, None)

    def _lose_some(self) -> None:
        scenario = self._scenario
        there = [number for number, node in enumerate(self._nodes) if node.is_there]
        count = min(len(there), max(1, round(scenario.loss_share * len(there))))
        for number in self._random.sample(there, count):
            self._lose(number)
        self._agenda.after(scenario.loss_every_s, self._lose_some)

    def _lose(self, number: int) -> None:
        node = self._nodes[number]
        self._leave(number)
        # Nothing is asked for in its place until it could be had again.
        node.is_coming = True
        back_s = self._random.uniform(*self._scenario.back_s)
        self._agenda.after(back_s, lambda: self._come(number))
        for member in node.members.values():
            self.dead.add(member.number)
            self._agenda.after(
                self._scenario.costs.detect_s,
                lambda each=member: self._tell("died", each),  # type: ignore[misc]
            )
        node.members.clear()

    def draw_s(self, segment: Segment) -> float:
        """What an actor takes for a segment."""
        scatter = max(0.1, self._random.gauss(1.0, self._scenario.scatter))
        return len(segment) * self._scenario.frame_s * scatter
