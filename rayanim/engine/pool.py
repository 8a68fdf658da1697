"""Holds the render actors: asks for them, gives them chunks, sees them die."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rayanim.engine.actors import RenderActor, Reply, remote
from rayanim.engine.cluster import node_of_actor, usable_nodes
from rayanim.engine.draw import DrawnMeta
from rayanim.engine.placement import Need, actor_options
from rayanim.engine.plan import Chunk
from rayanim.engine.ray_session import FETCH_LIMIT_S, first_line, is_code_fault, plain_text
from rayanim.engine.scheduler import MAX_DEATHS, MAX_NODES_TRIED, ActorStarts, Assignment, Pace
from rayanim.engine.stats import JobName
from rayanim.errors import FarmStartError, FrameError, NotPicklableError, RayanimError
from rayanim.events import ActorAsked, ActorJoined, ActorReleased

YOUNG_TRANSFER_S = 1.0
"""A transfer younger than this is polled often, an older one at each tick."""

TRANSFER_POLL_S = 0.01
"""Seconds between two polls of young transfers; one takes about half a millisecond."""

USUAL_TRANSFER_S = 0.5
"""What a transfer may well take before any is known."""

FINISH_LIMIT_S = 60.0
"""What the user's ``finish()`` may take in an actor before it is ended."""

UNRESPONSIVE_FINISH_LIMIT_S = 5.0
"""What it may take, after that, on a node that does not answer."""

DIFFERENCE = (
    "The video's first frame has other pixels in a render actor than in this process, so frames "
    "may differ by who draws them. Usual causes: the order of a set, a module's variable that the "
    "script changed, random numbers from a generator without a seed, the time of day. "
    "With workers=1 one process draws all."
)
"""Reported once if a `Joined` differs. Actors draw that frame when they open the source."""


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor can draw; whether the first frame it drew differs from the driver's."""

    number: int
    differs: bool


@dataclass(frozen=True, slots=True)
class TransferBegan:
    """An actor has drawn a chunk, and so many bytes of it are being transferred here."""

    chunk: Chunk
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class LocalRef:
    """A reference to what was drawn, which lies on the driver's node.

    `frames` are raw frames, which Ray's object store holds as long as they are here.
    """

    ref: Any
    frames: Any = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """An actor has drawn a chunk, and it is here."""

    number: int
    node: str | None
    chunk: Chunk
    meta: DrawnMeta
    payload: LocalRef


@dataclass(frozen=True, slots=True)
class PayloadLost:
    """An actor has drawn a chunk, and it is gone with its node."""

    number: int
    node: str | None
    chunk: Chunk
    why: str


@dataclass(frozen=True, slots=True)
class Died:
    """An actor is gone."""

    number: int
    node: str | None
    why: str
    drawing: Chunk | None
    waiting: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Code failed in an actor; `chunk` is None where it failed to open its source."""

    number: int
    node: str | None
    chunk: Chunk | None
    failure: RayanimError


Event = Joined | TransferBegan | Arrived | PayloadLost | Died | CallFailed


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
    ) -> None:
        self._make_arguments = make_arguments
        self._name = name
        self._emit = emit
        self._here = here
        self._excluded: list[str] = []
        self._answered_s: dict[str, float] = {}
        self._class = remote(RenderActor, num_cpus=1, max_restarts=0, max_task_retries=0)
        self.need = need
        self._roster = Roster()
        self._calls: dict[Any, _Call] = {}
        # Calls of `close`: the actor, and its node.
        self._closing: dict[Any, tuple[Any, str | None]] = {}
        self._transfers: dict[Any, _Transfer] = {}
        self._slowest_transfer_s = USUAL_TRANSFER_S
        self._numbers = 0
        self._starts = ActorStarts()
        self._in_full = False

    @property
    def requested(self) -> int:
        """Actors asked for, those included that have answered."""
        return self._roster.requested

    @property
    def alive(self) -> int:
        """Actors that can draw and were not asked to leave."""
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

    def held_by(self, number: int) -> Collection[Chunk]:
        """What actor `number` draws and is to draw."""
        return self._roster[number].held

    def drawing(self) -> list[Chunk]:
        """What is being drawn now, one chunk per busy actor."""
        return self._roster.drawing()

    def free_places(self, depth: int) -> Iterator[int]:
        """See `Roster.free_places`."""
        return self._roster.free_places(depth)

    def node_of(self, number: int) -> str | None:
        """Where actor `number` lives."""
        return self._roster[number].node

    def working_nodes(self) -> set[str]:
        """Nodes with actors that can draw."""
        return {each.node for each in self._roster if each.can_take and each.node is not None}

    def answered_ago_s(self) -> dict[str, float]:
        """Seconds since the last answer from each node that has actors."""
        now_s = time.perf_counter()
        working = self.working_nodes()
        return {node: now_s - self._answered_s.get(node, now_s) for node in working}

    def assignments(self, pace: Pace, is_wanted: Callable[[Chunk], bool]) -> Iterator[Assignment]:
        """What all actors draw and have yet to draw, and what is being transferred from them."""
        now_s = time.perf_counter()
        for member in self._roster:
            for position, chunk in enumerate(member.held):
                yield Assignment(
                    member.number,
                    member.node,
                    chunk.index,
                    now_s - member.began_s if position == 0 else None,
                    pace.expected_s(len(chunk)),
                    is_wanted(chunk),
                    len(chunk),
                )
        for transfer in self._transfers.values():
            yield Assignment(
                transfer.number,
                transfer.node,
                transfer.chunk.index,
                now_s - transfer.since_s,
                self._slowest_transfer_s,
                is_wanted(transfer.chunk),
                len(transfer.chunk),
                in_transfer=True,
            )

    def apply(self, target: int) -> None:
        """Ask for actors, or release some, until `target` are requested."""
        for _ in range(target - self.requested):
            self._add()
        for member in self._roster.to_release(self.requested - target):
            self._roster.leave(member)
            self._release_if_idle(member)

    def submit(self, number: int, chunk: Chunk, *, is_checked: bool = False) -> None:
        """Give a chunk to actor `number`."""
        member = self._roster[number]
        # Without a name of its own: Ray keeps nine series of metrics for each name it meets.
        render = member.handle.render.options(num_returns=2)
        with unpicklable_parameters_named(chunk):
            meta_ref, payload_ref = render.remote(chunk, self._in_full, is_checked)
        if not member.held:
            member.began_s = time.perf_counter()
        self._roster.begin(member, chunk)
        self._remember(meta_ref, _Call(member, "render", chunk, payload_ref))

    def refs(self) -> list[Any]:
        """What to wait for."""
        return list(self._calls)

    def take(self, ref: Any) -> Event | None:
        """What the ready `ref` means; None where it belongs to an actor that is gone."""
        import ray

        call = self._calls.pop(ref, None)
        if call is None:
            return None
        member = call.member
        member.refs.discard(ref)
        try:
            answer = ray.get(ref, timeout=FETCH_LIMIT_S)
        except ray.exceptions.RayError as error:
            if is_code_fault(error):
                return self._failed(member, call.chunk, _call_error(call.chunk, error))
            return self._died(member, error)
        if call.method == "hello":
            self._process_started(member, answer)
            return None
        self._node_answered(member)
        if call.chunk is None:
            return self._opened(member, answer)
        return self._drawn(member, call.chunk, call.payload_ref, answer)

    def poll_s(self, otherwise_s: float) -> float:
        """Seconds to wait for other things at most before `arrived` is asked again."""
        if not self._transfers:
            return otherwise_s
        # The youngest was added last.
        youngest_s = next(reversed(self._transfers.values())).since_s
        is_young = time.perf_counter() - youngest_s < YOUNG_TRANSFER_S
        return TRANSFER_POLL_S if is_young else otherwise_s

    def arrived(self) -> list[Arrived | PayloadLost]:
        """The chunks that are here now, and those that never will be."""
        import ray

        if not self._transfers:
            return []
        refs = list(self._transfers)
        # Begins to fetch what is not here, and does not wait for it.
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=True)[0]
        return [self._transferred(ref) for ref in ready]

    def give_up(self, number: int, why: str) -> Died | None:
        """End an actor; None where it is gone already."""
        if number not in self._roster:
            return None
        member = self._roster[number]
        self._end(member)
        held = tuple(member.held)
        return Died(number, member.node, why, held[0] if held else None, held[1:])

    def exclude(self, node: str) -> list[Chunk]:
        """End all actors on `node`, and ask for no more there; the chunks that they held."""
        self._excluded.append(node)
        there = [member for member in self._roster if member.node == node]
        for member in there:
            self._end(member)
        return [chunk for member in there for chunk in member.held]

    def slow_to_open(self) -> list[int]:
        """Actors that have been opening their source for far longer than any other took."""
        limit_s = self._starts.limit_s
        now_s = time.perf_counter()
        return [
            member.number
            for member in self._roster
            if member.has_answered and not member.is_open and now_s - member.answered_s > limit_s
        ]

    def close(self, unresponsive_nodes: Collection[str] = ()) -> None:
        """Let every actor finish its source, then end them.

        One that still draws what another has drawn meanwhile is just ended, and
        so are those that do not finish in time.
        """
        for each in self._roster:
            if each.is_open and not each.held:
                self._close_source(each)
        failures = self._finish_failures(unresponsive_nodes)
        self.kill()
        for failure in failures:
            raise failure

    def kill(self) -> None:
        """End all actors at once; does not wait for any, so that frozen ones do no harm."""
        import ray

        handles = [member.handle for member in self._roster]
        for handle in (*handles, *(handle for handle, _ in self._closing.values())):
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        self._roster = Roster()
        self._calls.clear()
        self._closing.clear()
        self._transfers.clear()

    def _add(self) -> None:
        self._numbers += 1
        number, name = self._numbers, self._name
        actor_class = self._class.options(
            **actor_options(self.need, self._excluded), name=name.render_actor(number)
        )
        handle = actor_class.remote(*self._make_arguments(), f"{number} of {name.video}")
        member = Member(number, handle, asked_s=time.perf_counter())
        self._emit(ActorAsked(actor=number))
        self._roster.add(member)
        self._remember(handle.hello.remote(), _Call(member, "hello"))
        self._remember(handle.open.remote(), _Call(member, "open"))

    def _remember(self, ref: Any, call: _Call) -> None:
        self._calls[ref] = call
        call.member.refs.add(ref)

    def _release_if_idle(self, member: Member) -> None:
        if member.held:
            return
        self._emit(ActorReleased(actor=member.number))
        if not member.is_open:
            # Calls that wait would keep it: Ray would go on to find it a node, and start it.
            self._end(member)
            return
        self._close_source(member)
        # Queued after `close`: the user's finish() runs first.
        member.handle.__ray_terminate__.remote()
        self._forget(member)

    def _close_source(self, member: Member) -> None:
        self._closing[member.handle.close.remote()] = member.handle, member.node

    def _finish_failures(self, unresponsive_nodes: Collection[str]) -> list[RayanimError]:
        """How the user's ``finish()`` failed in the actors that answer in time."""
        import ray

        by_node = [(ref, node) for ref, (_, node) in self._closing.items()]
        likely = [ref for ref, node in by_node if node not in unresponsive_nodes]
        unlikely = [ref for ref, node in by_node if node in unresponsive_nodes]
        ready: list[Any] = []
        for refs, limit_s in ((likely, FINISH_LIMIT_S), (unlikely, UNRESPONSIVE_FINISH_LIMIT_S)):
            if refs:
                ready += ray.wait(refs, num_returns=len(refs), timeout=limit_s)[0]
        failures: list[RayanimError] = []
        for ref in ready:
            # An actor that is gone by now has nothing to report.
            with contextlib.suppress(ray.exceptions.RayError):
                failure = ray.get(ref, timeout=FETCH_LIMIT_S)
                if failure is not None:
                    failures.append(failure)
        return failures

    def _process_started(self, member: Member, node: str) -> None:
        member.node = node
        member.answered_s = time.perf_counter()
        self._node_answered(member)
        self._roster.answer(member)
        if member.node in self._excluded:
            # It was asked for before its node was excluded, and has nothing to draw yet.
            self._emit(ActorReleased(actor=member.number))
            self._end(member)

    def _node_answered(self, member: Member) -> None:
        if member.node is not None:
            self._answered_s[member.node] = time.perf_counter()

    def _opened(self, member: Member, opened: Reply[bool]) -> Event:
        if opened.failure is not None:
            return self._failed(member, None, opened.failure)
        now_s = time.perf_counter()
        self._starts.opened(now_s - member.answered_s)
        self._roster.open(member)
        waited_s = now_s - member.asked_s
        self._emit(ActorJoined(actor=member.number, waited_s=waited_s))
        return Joined(member.number, opened.value)

    def _drawn(
        self, member: Member, chunk: Chunk, payload_ref: Any, meta: DrawnMeta
    ) -> Event | None:
        if meta.failure is not None:
            return self._failed(member, chunk, meta.failure)
        # One actor has found a difference from full draws: all others draw in full from now on.
        self._in_full = self._in_full or meta.difference is not None
        self._stopped_drawing(member, chunk)
        number, node = member.number, member.node
        transfer = _Transfer(number, node, chunk, meta, time.perf_counter())
        if node == self._here:
            return self._arrived(payload_ref, transfer)
        self._transfers[payload_ref] = transfer
        return TransferBegan(chunk, meta.payload_bytes)

    def _transferred(self, ref: Any) -> Arrived | PayloadLost:
        each = self._transfers.pop(ref)
        took_s = time.perf_counter() - each.since_s
        self._slowest_transfer_s = max(self._slowest_transfer_s, took_s)
        return self._arrived(ref, each)

    def _arrived(self, ref: Any, each: _Transfer) -> Arrived | PayloadLost:
        import ray

        frames = None
        if not each.chunk.encodes:
            try:
                frames = ray.get(ref, timeout=FETCH_LIMIT_S)
            except ray.exceptions.RayError as error:
                return PayloadLost(each.number, each.node, each.chunk, first_line(error))
        return Arrived(each.number, each.node, each.chunk, each.meta, LocalRef(ref, frames))

    def _stopped_drawing(self, member: Member, chunk: Chunk) -> None:
        self._roster.end(member, chunk)
        member.began_s = time.perf_counter()
        if member.leaving:
            self._release_if_idle(member)

    def _failed(self, member: Member, chunk: Chunk | None, failure: RayanimError) -> Event:
        if chunk is None:
            self._end(member)
        else:
            self._stopped_drawing(member, chunk)
        return CallFailed(member.number, member.node, chunk, failure)

    def _died(self, member: Member, error: Exception) -> Event:
        why = first_line(error)
        self._end(member)
        held = tuple(member.held)
        # It may have died before it answered: Ray knows where.
        node = member.node or node_of_actor(member.handle)
        if not member.is_open:
            self._died_while_starting(node, error)
        return Died(member.number, node, why, held[0] if held else None, held[1:])

    def _died_while_starting(self, node: str | None, error: Exception) -> None:
        usable = usable_nodes(self.need)
        if node is not None and node not in usable:
            # Its machine has gone, and all on it: that is not the source's fault.
            return
        starts = self._starts
        starts.deaths += 1
        if starts.deaths < MAX_DEATHS:
            return
        if starts.too_many_deaths(MAX_NODES_TRIED if self.alive else len(usable)):
            raise FarmStartError(
                f"{starts.deaths} render actors in a row died while they opened the source "
                f"({first_line(error)}). Does setup() or start() need more memory than there is? "
                "Try workers=1."
            ) from error

    def _end(self, member: Member) -> None:
        import ray

        ray.kill(member.handle)
        self._forget(member)

    def _forget(self, member: Member) -> None:
        self._roster.remove(member)
        for ref in member.refs:
            self._calls.pop(ref, None)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that an actor has not answered yet; the last two fields are of `render` alone."""

    member: Member
    method: Literal["hello", "open", "render"]
    chunk: Chunk | None = None
    payload_ref: Any = None


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A drawn chunk that is being transferred to the driver's node."""

    number: int
    node: str | None
    chunk: Chunk
    meta: DrawnMeta
    since_s: float


def _call_error(chunk: Chunk | None, error: Exception) -> RayanimError:
    """The error for code that raised where the user's drawing did not."""
    what = "Opening the source" if chunk is None else f"Drawing {chunk.label}"
    return FrameError(
        f"{what} failed in the actor: {first_line(error)}",
        frame=None if chunk is None else chunk.batch.numbers[0],
        traceback_text=plain_text(error),
    )


@contextlib.contextmanager
def unpicklable_parameters_named(chunk: Chunk) -> Iterator[None]:
    """Say which frames' parameters cannot be pickled, where sending them fails."""
    import ray

    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:
        # Ray's own text lists every object on the way to the culprit.
        raise NotPicklableError(
            f"The parameters of {chunk.label} cannot be sent to an actor: "
            f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
            "or draw in this process with workers=1.",
            frame=chunk.batch.numbers[0],
        ) from error


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
    held: deque[Chunk] = field(default_factory=deque)
    began_s: float = 0.0
    leaving: bool = False
    refs: set[Any] = field(default_factory=set)

    @property
    def can_take(self) -> bool:
        """Whether it may get chunks."""
        return self.is_open and not self.leaving


class Roster:
    """All render actors of a job, with counts that are kept up to date at each change."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        # Those that can take chunks, by how many they hold; dicts are ordered sets.
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
        self._count_in(member)

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
            self._count_in(member)

    def leave(self, member: Member) -> None:
        """It was asked to leave, and gets nothing more."""
        if not member.leaving:
            self._count_out(member)
            member.leaving = True
            self.requested -= 1

    def begin(self, member: Member, chunk: Chunk) -> None:
        """It was given a chunk."""
        self._count_out(member)
        member.held.append(chunk)
        self._count_in(member)

    def end(self, member: Member, chunk: Chunk) -> None:
        """It has drawn a chunk."""
        self._count_out(member)
        member.held.remove(chunk)
        self._count_in(member)

    def remove(self, member: Member) -> None:
        """It is gone, or ended; nothing happens where it is not known any more."""
        if self._members.pop(member.number, None) is None:
            return
        self._count_out(member)
        self.answered -= member.has_answered
        if member.has_answered and member.node is not None:
            self._on_node[member.node] -= 1
            if not self._on_node[member.node]:
                del self._on_node[member.node]
        self.requested -= not member.leaving

    def idle(self) -> list[int]:
        """Numbers of the actors that could draw and have nothing to."""
        return list(self._by_held[0])

    def drawing(self) -> list[Chunk]:
        """What is being drawn now, one chunk per busy actor."""
        return [member.held[0] for member in self if member.held]

    def free_places(self, depth: int) -> Iterator[int]:
        """Actors that can take a chunk, the idlest first; once per free place.

        What they get in the meantime changes nothing.
        """
        by_held = [list(numbers) for numbers in self._by_held[:depth]]
        for level in range(depth):
            for numbers in by_held[: level + 1]:
                yield from numbers

    def to_release(self, count: int) -> list[Member]:
        """The members to release first: those not open yet, then those with the least to do.

        Of those the ones on nodes with the fewest actors go first, so that nodes
        are soon empty and can go.
        """
        if count <= 0:
            return []
        staying = [member for member in self if not member.leaving]
        staying.sort(key=self._release_order)
        return staying[:count]

    def _release_order(self, member: Member) -> tuple[bool, int, int, str, int]:
        node = member.node or ""
        return member.is_open, len(member.held), self._on_node[node], node, -member.number

    def _count_in(self, member: Member) -> None:
        if member.can_take:
            while len(self._by_held) <= len(member.held):
                self._by_held.append({})
            self._by_held[len(member.held)][member.number] = None
            self.alive += 1

    def _count_out(self, member: Member) -> None:
        if member.can_take:
            del self._by_held[len(member.held)][member.number]
            self.alive -= 1


ROOM_LIMIT_S = 120.0
"""Where there is room for an actor, it is there in seconds, unless others hold that room."""

NODE_LIMIT_S = 900.0
"""Where a cluster has to add a node first: clouds take one to five minutes, large images longer."""

MAX_NAMED = 3
"""Chunks that a message names, of the many that are being drawn."""


def first_actor_limit_s(has_room: bool) -> float:
    """Seconds that a job waits without any render actor, by whether there was room for one."""
    return ROOM_LIMIT_S if has_room else NODE_LIMIT_S


def wait_text(drawing: Sequence[Chunk], answered: int, requested: int) -> str:
    """What a job waits for that has finished no chunk for a while, as a sentence."""
    if drawing:
        named = [chunk.label for chunk in drawing[:MAX_NAMED]]
        more = len(drawing) - len(named)
        others = f", and {more} other chunks" if more else ""
        return f"Still drawing {', '.join(named)}{others}."
    if answered:
        return "Still opening the source in render actors."
    actors = "a render actor" if requested == 1 else f"{requested} render actors"
    return f"Still waiting for Ray to find room for {actors}; `ray status` shows what it waits for."


def no_actor_text(requested: int, waited_s: float, cpus: float, free_cpus: float) -> str:
    """What is wrong where no actor started."""
    what_to_do = (
        "Free some, or draw in this process with workers=1."
        if cpus
        else "Does the cluster's autoscaler run, and may it add nodes? See `ray status`."
    )
    return (
        f"No render actor started within {waited_s:.0f} s: {requested} were asked for, and this "
        f"Ray has {cpus:g} CPUs in all, {free_cpus:g} of them free. {what_to_do}"
    )
