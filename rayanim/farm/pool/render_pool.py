"""Holds the render actors: asks for them, gives them segments, sees them die."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from rayanim.errors import RayanimError
from rayanim.events import ActorAsked, ActorJoined, ActorReleased, Listener, Nobody
from rayanim.farm.actors import DrawnMeta, Greeting, Opened, RenderActor, remote
from rayanim.farm.connection.blame import ANSWER_LIMIT_S, first_line, is_code_fault
from rayanim.farm.connection.ray_internals import node_of_actor
from rayanim.farm.faults.openings import Openings
from rayanim.farm.faults.overdue import Holding, Pace
from rayanim.farm.naming import JobName
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.arrivals import Arrivals, Arrived, Fetched, PayloadLost, Travelling
from rayanim.farm.pool.closing import Closing
from rayanim.farm.pool.events import Died, Event, Joined, OnItsWay, Refused
from rayanim.farm.pool.holdings import all_holdings
from rayanim.farm.pool.placing import options
from rayanim.farm.pool.roster import Member, Roster
from rayanim.farm.pool.sending import Asked, failed_call, travelling
from rayanim.farm.pool.starts import count_lost_start
from rayanim.farm.scaling.fleet import Need


class RenderPool:
    """The render actors of one job.

    Parameters
    ----------
    make_arguments
        The constructor's first arguments of a new actor.
    name
        What the job and its actors are called.
    log
        Who is told of actors that come and go.
    need
        What an actor takes of a cluster's node; None where Ray runs on this
        machine alone.
    here
        The driver's node: what is drawn there has no way to go.
    pins_payloads
        Whether what was drawn is kept in the object store until it is encoded.
    """

    def __init__(
        self,
        make_arguments: Callable[[], tuple[Any, ...]],
        name: JobName,
        log: Listener | None = None,
        need: Need | None = None,
        *,
        here: str | None = None,
        pins_payloads: bool = False,
    ) -> None:
        self._make_arguments = make_arguments
        self._name = name
        self._log = log or Nobody()
        self._here = here
        self._arrivals = Arrivals(pins=pins_payloads)
        self._left_out: list[str] = []
        self._heard_s: dict[str, float] = {}
        self._class = remote(RenderActor, num_cpus=1, max_restarts=0, max_task_retries=0)
        self.need = need
        self._roster = Roster()
        self._asked: dict[Any, Asked] = {}
        self._closing = Closing()
        self._numbers = 0
        self._openings = Openings()
        self._in_full = False

    @property
    def requested(self) -> int:
        """Actors asked for, those included that have answered."""
        return self._roster.requested

    @property
    def alive(self) -> int:
        """Actors that can draw and were not told to leave."""
        return self._roster.alive

    @property
    def answered(self) -> int:
        """Actors whose process is there, those included that still open their source."""
        return self._roster.answered

    @property
    def nodes(self) -> int:
        """Nodes on which there are actors."""
        return self._roster.nodes

    @property
    def idle(self) -> list[int]:
        """Actors that could draw and have nothing to."""
        return self._roster.idle()

    def held_by(self, number: int) -> Collection[Segment]:
        """What actor `number` draws and is to draw."""
        return self._roster[number].held

    def drawing(self) -> list[Segment]:
        """What is being drawn now, one segment per busy actor."""
        return self._roster.drawing()

    def refs(self) -> list[Any]:
        """What to wait for."""
        return list(self._asked)

    def apply(self, target: int) -> None:
        """Ask for actors, or release some, until `target` are requested."""
        for _ in range(target - self.requested):
            self._add()
        for member in self._roster.to_release(self.requested - target):
            self._roster.leave(member)
            self._let_go_if_idle(member)

    def free_places(self, depth: int) -> Iterator[int]:
        """See `Roster.free_places`."""
        return self._roster.free_places(depth)

    def node_of(self, number: int) -> str | None:
        """Where actor `number` lives."""
        return self._roster[number].node

    def working_nodes(self) -> set[str]:
        """Nodes with actors that can draw."""
        return {each.node for each in self._roster if each.can_take and each.node is not None}

    def heard_ago_s(self) -> dict[str, float]:
        """Seconds since something came from each node that has actors."""
        now_s = time.perf_counter()
        working = self.working_nodes()
        return {node: now_s - self._heard_s.get(node, now_s) for node in working}

    def holdings(self, pace: Pace, is_wanted: Callable[[Segment], bool]) -> Iterator[Holding]:
        """What all actors hold, and what is on its way from them.

        Parameters
        ----------
        pace
            How long segments take.
        is_wanted
            Whether nobody has drawn a segment.
        """
        return all_holdings(self._roster, self._arrivals, pace, is_wanted)

    def submit(
        self, number: int, segment: Segment, done_ref: Any = None, *, is_checked: bool = False
    ) -> None:
        """Give a segment to actor `number`.

        Parameters
        ----------
        number, segment
            Who draws what.
        done_ref
            Reference to its first frames, where they were drawn before.
        is_checked
            Whether to see if its frames depend on those drawn before.

        Raises
        ------
        NotPicklableError
            If the parameters of its frames cannot travel.
        """
        member = self._roster[number]
        # Without a name of its own: Ray keeps nine series of metrics for each name it meets.
        render = member.handle.render.options(num_returns=2)
        with travelling(segment):
            meta_ref, payload_ref = render.remote(segment, self._in_full, done_ref, is_checked)
        if not member.held:
            member.began_s = time.perf_counter()
        self._roster.begin(member, segment)
        self._note(meta_ref, Asked(member, "render", segment, payload_ref))

    def take(self, ref: Any) -> Event | None:
        """What the ready `ref` says; None where it belongs to an actor that is gone.

        Raises
        ------
        FarmStartError
            If actors die while they start.
        """
        import ray

        asked = self._asked.pop(ref, None)
        if asked is None:
            return None
        member = asked.member
        member.refs.discard(ref)
        try:
            answer = ray.get(ref, timeout=ANSWER_LIMIT_S)
        except ray.exceptions.RayError as error:
            if is_code_fault(error):
                return self._refuse(member, asked.segment, failed_call(asked, error))
            return self._bury(member, error)
        if asked.what == "hello":
            self._greet(member, answer)
            return None
        self._heard(member)
        if asked.segment is None:
            return self._welcome(member, answer)
        return self._collect(member, asked.segment, asked.payload_ref, answer)

    def arrived(self) -> list[Arrived | PayloadLost]:
        """What was drawn and is here now."""
        return self._arrivals.take()

    def look_again_s(self, otherwise_s: float) -> float:
        """Seconds to wait for other things at most before `arrived` is asked again."""
        return self._arrivals.look_again_s(otherwise_s)

    def give_up(self, number: int, why: str) -> Died | None:
        """End an actor that nobody waits for; None where it is gone already."""
        if number not in self._roster:
            return None
        member = self._roster[number]
        self._end(member)
        held = tuple(member.held)
        return Died(number, member.node, why, held[0] if held else None, held[1:])

    def leave_out(self, node: str) -> list[Segment]:
        """End all actors on `node`, and ask for no more there; the segments that they held."""
        self._left_out.append(node)
        there = [member for member in self._roster if member.node == node]
        for member in there:
            self._end(member)
        return [segment for member in there for segment in member.held]

    def slow_to_open(self) -> list[int]:
        """Actors that have been opening their source for far longer than any other took."""
        limit_s = self._openings.limit_s
        now_s = time.perf_counter()
        return [
            member.number
            for member in self._roster
            if member.has_answered and not member.is_open and now_s - member.answered_s > limit_s
        ]

    def close(self, silent_nodes: Collection[str] = ()) -> None:
        """Let every actor finish its source, then end them.

        One that still draws what another has drawn meanwhile is just ended, and
        so are those on nodes that say nothing.

        Parameters
        ----------
        silent_nodes
            Such nodes.

        Raises
        ------
        ScriptError
            If the user's ``finish()`` raised in one of them, those included
            that were released before.
        """
        for each in self._roster:
            if each.is_open and not each.held:
                self._closing.add(each.handle, each.node)
        answers = self._closing.wait(silent_nodes)
        self.kill()
        for failure in answers:
            raise failure

    def kill(self) -> None:
        """End all actors at once; does not wait for any, so that frozen ones do no harm."""
        import ray

        for member in self._roster:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(member.handle)
        self._roster = Roster()
        self._asked.clear()
        self._closing.kill()
        self._arrivals.clear()

    def _add(self) -> None:
        self._numbers += 1
        number, name = self._numbers, self._name
        actor_class = self._class.options(
            **options(self.need, self._left_out), name=name.render_actor(number)
        )
        handle = actor_class.remote(*self._make_arguments(), f"{number} of {name.film}")
        member = Member(number, handle, asked_s=time.perf_counter())
        self._log.tell(ActorAsked(actor=number))
        self._roster.add(member)
        self._note(handle.hello.remote(), Asked(member, "hello"))
        self._note(handle.open.remote(), Asked(member, "open"))

    def _note(self, ref: Any, asked: Asked) -> None:
        self._asked[ref] = asked
        asked.member.refs.add(ref)

    def _let_go_if_idle(self, member: Member) -> None:
        if member.held:
            return
        self._log.tell(ActorReleased(actor=member.number))
        if not member.is_open:
            # Calls that wait would keep it: Ray would go on to find it a node, and start it.
            self._end(member)
            return
        self._closing.add(member.handle, member.node)
        # Queued after `close`: the user's finish() runs first.
        member.handle.__ray_terminate__.remote()
        self._forget(member)

    def _greet(self, member: Member, greeting: Greeting) -> None:
        member.node = greeting.node
        member.answered_s = time.perf_counter()
        self._heard(member)
        self._roster.answer(member)
        if member.node in self._left_out:
            # It was asked for before its node was left out, and nothing was asked of it yet.
            self._log.tell(ActorReleased(actor=member.number))
            self._end(member)

    def _heard(self, member: Member) -> None:
        if member.node is not None:
            self._heard_s[member.node] = time.perf_counter()

    def _welcome(self, member: Member, opened: Opened) -> Event:
        if opened.failure is not None:
            return self._refuse(member, None, opened.failure)
        now_s = time.perf_counter()
        self._openings.done(now_s - member.answered_s)
        self._roster.open(member)
        waited_s = now_s - member.asked_s
        self._log.tell(ActorJoined(actor=member.number, waited_s=waited_s))
        return Joined(member.number, opened.differs)

    def _collect(
        self, member: Member, segment: Segment, payload_ref: Any, meta: DrawnMeta
    ) -> Event | None:
        if meta.failure is not None:
            return self._refuse(member, segment, meta.failure)
        # One actor has found a difference from full draws: all others stop drawing in parts.
        self._in_full = self._in_full or meta.difference is not None
        self._put_down(member, segment)
        if member.node == self._here:
            return Arrived(member.number, member.node, segment, meta, Fetched(payload_ref))
        since_s = time.perf_counter()
        self._arrivals.add(
            payload_ref, Travelling(member.number, member.node, segment, meta, since_s)
        )
        return OnItsWay(segment, meta.payload_bytes)

    def _put_down(self, member: Member, segment: Segment) -> None:
        self._roster.end(member, segment)
        member.began_s = time.perf_counter()
        if member.leaving:
            self._let_go_if_idle(member)

    def _refuse(self, member: Member, segment: Segment | None, failure: RayanimError) -> Event:
        if segment is None:
            self._end(member)
        else:
            self._put_down(member, segment)
        return Refused(member.number, member.node, segment, failure)

    def _bury(self, member: Member, error: Exception) -> Event:
        why = first_line(error)
        self._end(member)
        held = tuple(member.held)
        # One that has never said where it lives died there all the same.
        node = member.node or node_of_actor(member.handle)
        if not member.is_open:
            count_lost_start(self._openings, node, error, need=self.need, alive=self.alive)
        return Died(member.number, node, why, held[0] if held else None, held[1:])

    def _end(self, member: Member) -> None:
        import ray

        ray.kill(member.handle)
        self._forget(member)

    def _forget(self, member: Member) -> None:
        self._roster.remove(member)
        for ref in member.refs:
            self._asked.pop(ref, None)
