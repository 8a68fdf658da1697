"""Holds the render actors: asks for them, gives them segments, sees them die."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rayanim.engine.actors import DrawnMeta, Greeting, Opened, RenderActor, remote
from rayanim.engine.cluster import node_of_actor, usable_nodes
from rayanim.engine.placement import Need, options
from rayanim.engine.plan import Segment
from rayanim.engine.ray_session import ANSWER_LIMIT_S, first_line, is_code_fault, plain_text
from rayanim.engine.scheduler import MAX_LOST, MOST_NODES_TRIED, Holding, Openings, Pace
from rayanim.engine.stats import JobName
from rayanim.errors import FarmStartError, FrameError, NotPicklableError, RayanimError
from rayanim.events import ActorAsked, ActorJoined, ActorReleased

EAGER_S = 1.0
"""A payload on its way for less than this is looked for often, an older one at each tick."""

EAGER_LOOK_S = 0.01
"""Seconds between two looks for it; one costs about half a millisecond."""

USUAL_S = 0.5
"""What a payload's way may well take before any is known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A payload that is on the driver's node."""

    ref: Any
    pin: Any = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """An actor has drawn a segment, and it is here."""

    number: int
    node: str | None
    segment: Segment
    meta: DrawnMeta
    payload: Fetched


@dataclass(frozen=True, slots=True)
class PayloadLost:
    """An actor has drawn a segment, and it is gone with its node."""

    number: int
    node: str | None
    segment: Segment
    why: str


@dataclass(frozen=True, slots=True)
class Travelling:
    """A drawn segment on its way, since when and from where."""

    number: int
    node: str | None
    segment: Segment
    meta: DrawnMeta
    since_s: float


class Arrivals:
    """Payloads on their way to the driver's node."""

    def __init__(self, *, pins: bool) -> None:
        self._pins = pins
        self._coming: dict[Any, Travelling] = {}
        self.slowest_s = USUAL_S

    def __iter__(self) -> Iterator[Travelling]:
        return iter(self._coming.values())

    def add(self, ref: Any, travelling: Travelling) -> None:
        """A payload begins its way."""
        self._coming[ref] = travelling

    def look_again_s(self, otherwise_s: float) -> float:
        """Seconds to wait for other things at most before the next look."""
        if not self._coming:
            return otherwise_s
        # The youngest was added last.
        youngest_s = next(reversed(self._coming.values())).since_s
        return EAGER_LOOK_S if time.perf_counter() - youngest_s < EAGER_S else otherwise_s

    def take(self) -> list[Arrived | PayloadLost]:
        """What has come, and what never will."""
        import ray

        if not self._coming:
            return []
        refs = list(self._coming)
        # Begins to fetch what is not here, and does not wait for it.
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=True)[0]
        return [self._arrived(ref) for ref in ready]

    def clear(self) -> None:
        """Nothing is waited for any more."""
        self._coming.clear()

    def _arrived(self, ref: Any) -> Arrived | PayloadLost:
        import ray

        each = self._coming.pop(ref)
        pin = None
        if self._pins:
            try:
                pin = ray.get(ref, timeout=ANSWER_LIMIT_S)
            except ray.exceptions.RayError as error:
                return PayloadLost(each.number, each.node, each.segment, first_line(error))
        self.slowest_s = max(self.slowest_s, time.perf_counter() - each.since_s)
        return Arrived(each.number, each.node, each.segment, each.meta, Fetched(ref, pin))


FINISH_LIMIT_S = 60.0
"""What the user's ``finish()`` may take in an actor before it is ended."""

SILENT_LIMIT_S = 5.0
"""What it may take, after that, on a node that says nothing."""


class Closing:
    """Actors that were told to close their source."""

    def __init__(self) -> None:
        # By what they were asked: who they are, and where.
        self._asked: dict[Any, tuple[Any, str | None]] = {}

    def add(self, handle: Any, node: str | None) -> None:
        """Tell an actor to close its source, after all that it was told before."""
        self._asked[handle.close.remote()] = handle, node

    def kill(self) -> None:
        """End those that have not answered; nothing is waited for any more."""
        import ray

        for handle, _ in self._asked.values():
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        self._asked.clear()

    def wait(self, silent_nodes: Collection[str]) -> list[RayanimError]:
        """How closing failed in those that answered in time; the others are ended."""
        import ray

        likely = [ref for ref, (_, node) in self._asked.items() if node not in silent_nodes]
        unlikely = [ref for ref, (_, node) in self._asked.items() if node in silent_nodes]
        ready: list[Any] = []
        for refs, limit_s in ((likely, FINISH_LIMIT_S), (unlikely, SILENT_LIMIT_S)):
            if refs:
                ready += ray.wait(refs, num_returns=len(refs), timeout=limit_s)[0]
        failures: list[RayanimError] = []
        for ref in ready:
            del self._asked[ref]
            # An actor that is gone by now has nothing more to say.
            with contextlib.suppress(ray.exceptions.RayError):
                failure = ray.get(ref, timeout=ANSWER_LIMIT_S)
                if failure is not None:
                    failures.append(failure)
        self.kill()
        return failures


DIFFERENCE = (
    "The video's first frame has other pixels in a render actor than in this process, so frames "
    "may differ by who draws them. Usual causes: the order of a set, a module's variable that the "
    "script changed, random numbers from a generator without a seed, the time of day. "
    "With workers=1 one process draws all."
)
"""Told once of a `Joined` that differs. Actors draw that frame when they open the source."""


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor can draw."""

    number: int
    differs: bool


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """An actor has drawn a segment, and so many bytes of it come here."""

    segment: Segment
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Died:
    """An actor is gone."""

    number: int
    node: str | None
    why: str
    drawing: Segment | None
    waiting: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Code failed in an actor."""

    number: int
    node: str | None
    segment: Segment | None
    failure: RayanimError


Event = Joined | OnItsWay | Arrived | PayloadLost | Died | Refused


@dataclass(slots=True, eq=False)
class Member:
    """One render actor as the driver sees it; a `Roster` changes it."""

    number: int
    handle: Any
    asked_s: float = 0.0
    has_answered: bool = False
    node: str | None = None
    answered_s: float = 0.0
    is_open: bool = False
    held: deque[Segment] = field(default_factory=deque)
    began_s: float = 0.0
    leaving: bool = False
    refs: set[Any] = field(default_factory=set)

    @property
    def can_take(self) -> bool:
        """Whether it may get segments."""
        return self.is_open and not self.leaving


class Roster:
    """All render actors of a job."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        # Those that can take segments, by how many they hold; dicts are ordered sets.
        self._by_held: list[dict[int, None]] = [{}]
        self._on_node: Counter[str] = Counter()
        self.requested = 0
        self.alive = 0
        self.answered = 0

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, number: int) -> bool:
        return number in self._members

    def __getitem__(self, number: int) -> Member:
        return self._members[number]

    @property
    def nodes(self) -> int:
        """Nodes on which actors have answered."""
        return len(self._on_node)

    def add(self, member: Member) -> None:
        """An actor was asked for."""
        self._members[member.number] = member
        self.requested += 1
        self._enlist(member)

    def answer(self, member: Member) -> None:
        """Its process is there."""
        if not member.has_answered:
            member.has_answered = True
            self.answered += 1
            if member.node is not None:
                self._on_node[member.node] += 1

    def open(self, member: Member) -> None:
        """It can draw."""
        if not member.is_open:
            member.is_open = True
            self._enlist(member)

    def leave(self, member: Member) -> None:
        """It was told to leave, and gets nothing more."""
        if not member.leaving:
            self._strike(member)
            member.leaving = True
            self.requested -= 1

    def begin(self, member: Member, segment: Segment) -> None:
        """It was given a segment."""
        self._strike(member)
        member.held.append(segment)
        self._enlist(member)

    def end(self, member: Member, segment: Segment) -> None:
        """It has drawn a segment."""
        self._strike(member)
        member.held.remove(segment)
        self._enlist(member)

    def remove(self, member: Member) -> None:
        """It is gone, or ended; nothing happens where it is not known any more."""
        if self._members.pop(member.number, None) is None:
            return
        self._strike(member)
        self.answered -= member.has_answered
        if member.has_answered and member.node is not None:
            self._on_node[member.node] -= 1
            if not self._on_node[member.node]:
                del self._on_node[member.node]
        self.requested -= not member.leaving

    def idle(self) -> list[int]:
        """Numbers of the actors that could draw and have nothing to."""
        return list(self._by_held[0])

    def drawing(self) -> list[Segment]:
        """What is being drawn now, one segment per busy actor."""
        return [member.held[0] for member in self if member.held]

    def free_places(self, depth: int) -> Iterator[int]:
        """Actors that can take a segment, the idlest first; once per free place.

        What they get in the meantime changes nothing.
        """
        by_held = [list(numbers) for numbers in self._by_held[:depth]]
        for level in range(depth):
            for numbers in by_held[: level + 1]:
                yield from numbers

    def to_release(self, count: int) -> list[Member]:
        """The members to let go first: such as have not answered, then those with the least to do.

        Of those the ones on nodes with the fewest actors go first, so that nodes
        are empty soon, and can go.
        """
        if count <= 0:
            return []
        staying = [member for member in self if not member.leaving]
        staying.sort(key=self._dispensability)
        return staying[:count]

    def _dispensability(self, member: Member) -> tuple[bool, int, int, str, int]:
        node = member.node or ""
        return member.is_open, len(member.held), self._on_node[node], node, -member.number

    def _enlist(self, member: Member) -> None:
        if member.can_take:
            while len(self._by_held) <= len(member.held):
                self._by_held.append({})
            self._by_held[len(member.held)][member.number] = None
            self.alive += 1

    def _strike(self, member: Member) -> None:
        if member.can_take:
            del self._by_held[len(member.held)][member.number]
            self.alive -= 1


def all_holdings(
    roster: Roster, arrivals: Arrivals, pace: Pace, is_wanted: Callable[[Segment], bool]
) -> Iterator[Holding]:
    """What all actors hold, and what is on its way from them."""
    now_s = time.perf_counter()
    for member in roster:
        for position, segment in enumerate(member.held):
            yield Holding(
                member.number,
                member.node,
                segment.index,
                now_s - member.began_s if position == 0 else None,
                pace.expected_s(len(segment)),
                is_wanted(segment),
                len(segment),
            )
    for each in arrivals:
        yield Holding(
            each.number,
            each.node,
            each.segment.index,
            now_s - each.since_s,
            arrivals.slowest_s,
            is_wanted(each.segment),
            len(each.segment),
            travels=True,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an actor has not answered yet.

    `segment` and `payload_ref` are None where it is not one of `render`.
    """

    member: Member
    what: Literal["hello", "open", "render"]
    segment: Segment | None = None
    payload_ref: Any = None


def failed_call(asked: Asked, error: Exception) -> RayanimError:
    """What to tell when code raised that is not the user's drawing."""
    what = "Opening the source" if asked.segment is None else f"Drawing {asked.segment.label}"
    return FrameError(
        f"{what} failed in the actor: {first_line(error)}",
        frame=None if asked.segment is None else asked.segment.batch.numbers[0],
        traceback_text=plain_text(error),
    )


@contextlib.contextmanager
def travelling(segment: Segment) -> Iterator[None]:
    """Say whose parameters cannot travel, where they do not."""
    import ray

    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:
        # Ray's own text lists every object on the way to the culprit.
        raise NotPicklableError(
            f"The parameters of {segment.label} cannot be sent to an actor: "
            f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
            "or draw in this process with workers=1.",
            frame=segment.batch.numbers[0],
        ) from error


def count_lost_start(
    openings: Openings, node: str | None, error: Exception, *, need: Need | None, alive: int
) -> None:
    """An actor died that could not draw yet."""
    usable = usable_nodes(need)
    if node is not None and node not in usable:
        # Its machine has gone, and all on it: that says nothing of the source.
        return
    openings.lost += 1
    if openings.lost < MAX_LOST:
        return
    if openings.too_many_lost(MOST_NODES_TRIED if alive else len(usable)):
        raise FarmStartError(
            f"{openings.lost} render actors in a row died while they opened the source "
            f"({first_line(error)}). Does setup() or start() need more memory than there is? "
            "Try workers=1."
        ) from error


class RenderPool:
    """The render actors of one job."""

    def __init__(
        self,
        make_arguments: Callable[[], tuple[Any, ...]],
        name: JobName,
        emit: Callable[[Any], None] = lambda event: None,
        need: Need | None = None,
        *,
        here: str | None = None,
        pins_payloads: bool = False,
    ) -> None:
        self._make_arguments = make_arguments
        self._name = name
        self._emit = emit
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
        """What all actors hold, and what is on its way from them."""
        return all_holdings(self._roster, self._arrivals, pace, is_wanted)

    def submit(
        self, number: int, segment: Segment, done_ref: Any = None, *, is_checked: bool = False
    ) -> None:
        """Give a segment to actor `number`."""
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
        """What the ready `ref` says; None where it belongs to an actor that is gone."""
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
        handle = actor_class.remote(*self._make_arguments(), f"{number} of {name.video}")
        member = Member(number, handle, asked_s=time.perf_counter())
        self._emit(ActorAsked(actor=number))
        self._roster.add(member)
        self._note(handle.hello.remote(), Asked(member, "hello"))
        self._note(handle.open.remote(), Asked(member, "open"))

    def _note(self, ref: Any, asked: Asked) -> None:
        self._asked[ref] = asked
        asked.member.refs.add(ref)

    def _let_go_if_idle(self, member: Member) -> None:
        if member.held:
            return
        self._emit(ActorReleased(actor=member.number))
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
            self._emit(ActorReleased(actor=member.number))
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
        self._emit(ActorJoined(actor=member.number, waited_s=waited_s))
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


ROOM_LIMIT_S = 120.0
"""Where there is room for an actor, it is there in seconds, unless others hold that room."""

MOST_NAMED = 3
"""Segments that a message names, of the many that are being drawn."""

NODE_LIMIT_S = 900.0
"""Where a cluster has to add a node first: clouds take one to five minutes, large images longer."""


def limit_s(has_room: bool) -> float:
    """Seconds that a job goes on without any render actor, by whether there was room for one."""
    return ROOM_LIMIT_S if has_room else NODE_LIMIT_S


def what_lasts(drawing: Sequence[Segment], answered: int, requested: int) -> str:
    """What a job does that has been silent for a while, as a sentence."""
    if drawing:
        named = [segment.label for segment in drawing[:MOST_NAMED]]
        more = len(drawing) - len(named)
        others = f", and {more} other segments" if more else ""
        return f"Still drawing {', '.join(named)}{others}."
    if answered:
        return "Still opening the source in render actors."
    actors = "a render actor" if requested == 1 else f"{requested} render actors"
    return f"Still waiting for Ray to find room for {actors}; `ray status` tells what it waits for."


def none_came(requested: int, waited_s: float, cpus: float, free_cpus: float) -> str:
    """What is wrong where no actor came."""
    what_to_do = (
        "Free some, or draw in this process with workers=1."
        if cpus
        else "Does the cluster's autoscaler run, and may it add nodes? `ray status` tells."
    )
    return (
        f"No render actor started within {waited_s:.0f} s: {requested} were asked for, and this "
        f"Ray has {cpus:g} CPUs in all, {free_cpus:g} of them free. {what_to_do}"
    )
