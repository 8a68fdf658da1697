"""Nodes that come, go and are lost, and the actors on them, which answer as Ray's would."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rayanim.engine.draw import DrawnMeta, Timings
from rayanim.engine.messages import Answered, Arrived, Died, Event, Joined, TransferBegan
from rayanim.engine.plan import Chunk
from simulation.agenda import Agenda
from simulation.scenario import Scenario


@dataclass(slots=True, eq=False)
class Node:
    """A place for actors; `free` of them are left while it is there."""

    number: int
    free: int = 0
    is_there: bool = False
    is_coming: bool = False
    times: int = 0
    since_s: float = 0.0
    idle_since_s: float = 0.0
    # Each actor with the time at which it will have drawn what it was given.
    actors: dict[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its id: another one each time that it comes."""
        return f"{self.number}-{self.times}"


class Nodes:
    """All render actors of a job and the nodes that they run on.

    Parameters
    ----------
    scenario, agenda
        What is simulated, and its clock.
    tell
        Gets what actors answer, and that they are gone, when the driver could know.
    slower
        How many times longer everything takes, for the cores that are shared.
    """

    def __init__(
        self,
        scenario: Scenario,
        agenda: Agenda,
        tell: Callable[[Event], None],
        slower: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._scenario, self._agenda, self._tell, self._slower = scenario, agenda, tell, slower
        self._random = random.Random(scenario.seed)
        self._nodes = [Node(number) for number in range(scenario.nodes)]
        # Those with a place, as an ordered set; the last that was noted is filled first.
        self._roomy: dict[Node, None] = {}
        self._pending: deque[int] = deque()
        self._where: dict[int, Node] = {}
        self._lost: set[int] = set()
        self._paid_s = 0.0
        if not scenario.autoscaled:
            for node in self._nodes:
                self._come(node)
        if scenario.loss_every_s:
            agenda.after(scenario.loss_every_s, self._lose_some)

    def ask(self, number: int) -> None:
        """An actor is wanted."""
        self._pending.append(number)
        self._place()

    def end(self, number: int) -> None:
        """An actor is wanted no more."""
        node = self._where.pop(number, None)
        if node is not None:
            del node.actors[number]
            self._freed(node)
        elif number in self._pending:
            self._pending.remove(number)

    def submit(self, number: int, chunk: Chunk, sent_s: float) -> None:
        """An actor is given a chunk, which it draws after those that it was given before."""
        node = self._where.get(number)
        if node is None:
            return
        scenario, costs = self._scenario, self._scenario.costs
        scatter = max(0.1, self._random.gauss(1.0, scenario.scatter)) * self._slower()
        draw_s = len(chunk) * scenario.draw_s * scatter
        encode_s = len(chunk) * scenario.encode_s * scatter if chunk.encodes else 0.0
        size = len(chunk) * (scenario.frame_bytes if chunk.encodes else scenario.raw_bytes)
        store_s = 0.0 if chunk.encodes else size * costs.store_byte_s
        begin_s = max(sent_s + costs.call_s / 2, node.actors[number])
        node.actors[number] = begin_s + draw_s + encode_s + store_s
        meta = DrawnMeta(Timings(draw_s, 0.0, len(chunk), encode_s), 0, payload_bytes=size)
        answer: Event = TransferBegan(number, chunk, meta)
        if scenario.cores is not None:
            answer = Arrived(number, chunk, meta, None)
        after_s = node.actors[number] + costs.call_s / 2 - self._agenda.now_s
        self._agenda.after(after_s, lambda: self._answer(number, answer))

    def is_lost(self, number: int) -> bool:
        """Whether an actor's node was lost."""
        return number in self._lost

    @property
    def drawing(self) -> int:
        """Actors that draw now."""
        now_s = self._agenda.now_s
        return sum(until_s > now_s for node in self._nodes for until_s in node.actors.values())

    def paid_s(self) -> float:
        """Seconds of nodes so far."""
        now_s = self._agenda.now_s
        return self._paid_s + sum(now_s - node.since_s for node in self._nodes if node.is_there)

    def _answer(self, number: int, *answers: Event) -> None:
        if number in self._where:
            for answer in answers:
                self._tell(answer)

    def _place(self) -> None:
        while self._pending and self._roomy:
            number, node = self._pending.popleft(), next(reversed(self._roomy))
            node.free -= 1
            if not node.free:
                del self._roomy[node]
            node.actors[number] = 0.0
            self._where[number] = node
            answers = Answered(number, node.name), Joined(number)
            start_s = self._scenario.costs.actor_start_s
            self._agenda.after(
                start_s,
                lambda number=number, answers=answers: self._answer(number, *answers),  # type: ignore[misc]
            )
        if self._scenario.autoscaled:
            self._ask_for_nodes()

    def _ask_for_nodes(self) -> None:
        coming = sum(node.is_coming for node in self._nodes)
        wanted = -(-len(self._pending) // self._scenario.actors_per_node) - coming
        idle = [node for node in self._nodes if not node.is_there and not node.is_coming]
        for node in idle[: max(0, wanted)]:
            self._send_for(node, self._scenario.node_start_s)

    def _send_for(self, node: Node, after_s: float) -> None:
        node.is_coming = True
        self._agenda.after(after_s, lambda: self._come(node))

    def _come(self, node: Node) -> None:
        node.is_there, node.is_coming = True, False
        node.times += 1
        node.since_s = node.idle_since_s = self._agenda.now_s
        node.free = self._scenario.actors_per_node
        self._roomy[node] = None
        self._place()
        self._leave_if_idle(node)

    def _freed(self, node: Node) -> None:
        node.free += 1
        self._roomy[node] = None
        if not node.actors:
            node.idle_since_s = self._agenda.now_s
            self._leave_if_idle(node)
        self._place()

    def _leave_if_idle(self, node: Node) -> None:
        idle_s = self._scenario.node_idle_s

        def look() -> None:
            is_idle = node.is_there and not node.actors
            if is_idle and self._agenda.now_s - node.idle_since_s >= idle_s - 1e-6:
                self._leave(node)

        if self._scenario.autoscaled:
            self._agenda.after(idle_s, look)

    def _leave(self, node: Node) -> None:
        self._paid_s += self._agenda.now_s - node.since_s
        node.is_there = False
        self._roomy.pop(node, None)

    def _lose_some(self) -> None:
        scenario = self._scenario
        there = [node for node in self._nodes if node.is_there]
        count = min(len(there), max(1, round(scenario.loss_share * len(there))))
        for node in self._random.sample(there, count):
            self._lose(node)
        self._agenda.after(scenario.loss_every_s, self._lose_some)

    def _lose(self, node: Node) -> None:
        self._leave(node)
        name, lost, node.actors = node.name, node.actors, {}
        for number in lost:
            del self._where[number]
        self._lost.update(lost)
        # Nothing is asked for in its place until it could be had again.
        self._send_for(node, self._random.uniform(*self._scenario.back_s))

        def noticed() -> None:
            usable = tuple(each.name for each in self._nodes if each.is_there)
            for number in lost:
                self._tell(Died(number, name, "its node was lost", usable))

        self._agenda.after(self._scenario.costs.detect_s, noticed)
