"""Who draws: the render actors, how their nodes do, and what takes too long; PURE."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rayanim.engine.plan import Chunk


@dataclass(slots=True, eq=False)
class Member:
    """One render actor, as far as is known of it; a `Roster` changes it."""

    number: int
    asked_s: float = 0.0
    has_answered: bool = False
    node: str | None = None
    answered_s: float = 0.0
    is_open: bool = False
    held: deque[Chunk] = field(default_factory=deque)
    began_s: float = 0.0
    leaving: bool = False
    has_drawn: bool = False

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
        self._opening: dict[int, Member] = {}
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

    @property
    def opening(self) -> tuple[Member, ...]:
        """Members that have answered, and not opened their source."""
        return tuple(self._opening.values())

    def add(self, member: Member) -> None:
        """An actor was asked for."""
        self._members[member.number] = member
        self.requested += 1
        self._count_in(member)

    def answer(self, member: Member) -> None:
        """Its process is there."""
        if not member.has_answered:
            member.has_answered = True
            if not member.is_open:
                self._opening[member.number] = member
            self.answered += 1
            if member.node is not None:
                self._on_node[member.node] += 1

    def open(self, member: Member) -> None:
        """It can draw."""
        if not member.is_open:
            member.is_open = True
            self._opening.pop(member.number, None)
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
        self._opening.pop(member.number, None)
        self._count_out(member)
        self.answered -= member.has_answered
        if member.has_answered and member.node is not None:
            self._on_node[member.node] -= 1
            if not self._on_node[member.node]:
                del self._on_node[member.node]
        self.requested -= not member.leaving

    def working_nodes(self) -> set[str]:
        """Nodes with actors that can draw."""
        return {each.node for each in self if each.can_take and each.node is not None}

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


LATE = 2.0
"""After this many times the expected seconds an idle actor may draw a copy."""

VERY_LATE = 4.0
"""After this many times the expected seconds a copy goes before new chunks."""

GIVEN_UP = 10.0
"""After this many times the expected seconds an actor may be ended."""

SLACK_S = 2.0
"""What a call may take beyond drawing: Ray's own delays on a busy machine."""

COPIED_SHARE = 0.25
"""The share of the actors that may draw copies while there are new chunks."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long frames have taken so far, encoding included where actors encode.

    `patience_s` is the longest that a frame took in an actor that was ended
    before it finished: drawn elsewhere, it may take as long again.
    """

    frame_s: float | None = None
    slowest_s: float = 0.0
    patience_s: float = 0.0

    @property
    def known_s(self) -> float:
        """What a frame may well take, by those that were drawn; 0 before the first.

        In a video with heavy scenes the slowest chunk says more than the average.
        """
        return max(self.frame_s or 0.0, self.slowest_s / 2)

    def expected_s(self, frames: int) -> float | None:
        """What a chunk of so many frames may well take; None before one was drawn."""
        if self.frame_s is None:
            return None
        return frames * max(self.known_s, self.patience_s / 2)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A chunk that an actor draws or has yet to draw, or that is being transferred from it.

    `age_s` is None where the actor has not begun it.
    """

    actor: int
    node: str | None
    index: int
    age_s: float | None
    expected_s: float | None
    is_wanted: bool = True
    frames: int = 1
    in_transfer: bool = False

    def is_late(self, factor: float, slack_s: float = 0.0) -> bool:
        """Whether it has lasted so many times the expected, and the slack."""
        if self.age_s is None or self.expected_s is None:
            return False
        return self.age_s > factor * self.expected_s + slack_s

    @property
    def frame_s(self) -> float:
        """What a frame of it has taken so far."""
        return (self.age_s or 0.0) / max(1, self.frames)


@dataclass(frozen=True, slots=True)
class LateWork:
    """What is late at one moment: chunks, each with the nodes that draw it, and actors.

    `given_up` are actors to end, `copies_left` says how many copies may be
    drawn besides new chunks, `patience_s` is explained at `Pace`.
    """

    chunks: Mapping[int, frozenset[str | None]]
    very_late: Mapping[int, frozenset[str | None]]
    unresponsive_nodes: frozenset[str]
    given_up: tuple[int, ...]
    copies_left: int
    patience_s: float = 0.0


NOTHING_LATE = LateWork({}, {}, frozenset(), (), 0)


def find_late(
    assignments: Iterable[Assignment], answered_ago_s: Mapping[str, float], actors: int
) -> LateWork:
    """What is late, by all assignments and the seconds since each node's last answer."""
    all_assigned = list(assignments)
    drawing = [each for each in all_assigned if not each.in_transfer]
    far_actors = {each.actor for each in drawing if each.is_late(VERY_LATE, SLACK_S)}
    unresponsive = frozenset(_unresponsive_nodes(drawing, far_actors, answered_ago_s))
    wanted = [each for each in all_assigned if each.is_wanted]
    # What waits behind a late chunk is no better off.
    far = [
        each
        for each in wanted
        if (each.is_late(VERY_LATE, SLACK_S) if each.in_transfer else each.actor in far_actors)
    ]
    given_up = [
        each
        for each in drawing
        if each.is_late(GIVEN_UP, SLACK_S) and (not each.is_wanted or each.node in unresponsive)
    ]
    idle_worthy = [each for each in wanted if each.age_s is None or each.is_late(LATE)]
    copies = len(wanted) - len({each.index for each in wanted})
    return LateWork(
        chunks=_with_nodes([*idle_worthy, *far], wanted),
        very_late=_with_nodes(far, wanted),
        unresponsive_nodes=unresponsive,
        given_up=tuple(sorted({each.actor for each in given_up})),
        copies_left=max(0, 1 + int(actors * COPIED_SHARE) - copies),
        patience_s=max((each.frame_s for each in given_up if each.is_wanted), default=0.0),
    )


def _unresponsive_nodes(
    drawing: list[Assignment], far_actors: set[int], answered_ago_s: Mapping[str, float]
) -> set[str]:
    """Nodes without an answer for half of the time that a late chunk has lasted.

    Never all of them: then the video's frames take that long, and no other node
    could do their work. So a single node is never unresponsive.
    """
    unresponsive = {
        each.node
        for each in drawing
        if each.actor in far_actors
        and each.age_s is not None
        and each.node is not None
        and answered_ago_s.get(each.node, 0.0) > max(SLACK_S, each.age_s / 2)
    }
    return unresponsive if set(answered_ago_s) - unresponsive else set()


def _with_nodes(
    chosen: list[Assignment], wanted: list[Assignment]
) -> Mapping[int, frozenset[str | None]]:
    """The nodes on which each chosen chunk is being drawn."""
    nodes: dict[int, set[str | None]] = {each.index: set() for each in chosen}
    for each in wanted:
        if each.index in nodes:
            nodes[each.index].add(each.node)
    return {index: frozenset(names) for index, names in nodes.items()}


MAX_FAILURES = 3
"""Failures that exclude a node, unless what it drew outweighs them."""

FORGIVEN_BY = 10
"""Chunks drawn that make good for one failure: machines fail now and then."""


class NodeFailures:
    """Which nodes failed, which are excluded, and where each chunk has failed."""

    def __init__(self) -> None:
        self.excluded: list[str] = []
        self.counts: Counter[str] = Counter()
        """Failures of each node."""
        # How much each node's failures weigh beside what it drew.
        self._weights: dict[str, float] = {}
        # The next attempt at a chunk is made elsewhere.
        self._failed_on: dict[int, set[str]] = {}

    def seen(self, node: str) -> None:
        """An actor lives there."""
        self._weights.setdefault(node, 0.0)

    def drawn(self, node: str | None, index: int) -> None:
        """An actor there has drawn chunk `index`."""
        self._failed_on.pop(index, None)
        if node in self._weights:
            self._weights[node] = max(0.0, self._weights[node] - 1 / FORGIVEN_BY)

    def failed(self, node: str | None, *, index: int | None = None, weight: int = 1) -> bool:
        """An actor there died or failed; whether the node is excluded from now on."""
        if node is None:
            return False
        self.seen(node)
        if index is not None:
            self._failed_on.setdefault(index, set()).add(node)
        self.counts[node] += 1
        self._weights[node] += weight
        is_enough = self._weights[node] >= MAX_FAILURES
        if node in self.excluded or not is_enough or not self._others_do_well(node):
            return False
        self.exclude(node)
        return True

    def exclude(self, node: str) -> None:
        """No more actors there, however the others do."""
        if node not in self.excluded:
            self.excluded.append(node)

    @property
    def has_failures(self) -> bool:
        """Whether some chunk has failed somewhere, and is not drawn yet."""
        return bool(self._failed_on)

    def has_failed_before(self, index: int) -> bool:
        """Whether chunk `index` has failed, on whichever node."""
        return index in self._failed_on

    def to_avoid(self, node: str | None, working: Collection[str]) -> frozenset[int]:
        """Chunks that failed on `node` and that another working node can try."""
        if not self._failed_on or node is None:
            return frozenset()
        return frozenset(
            index
            for index, failed_on in self._failed_on.items()
            if node in failed_on and any(other not in failed_on for other in working)
        )

    def _others_do_well(self, node: str) -> bool:
        return any(
            weight < 1
            for other, weight in self._weights.items()
            if other != node and other not in self.excluded
        )


MAX_DEATHS = 3
"""Actors that may die while they start, in a row and for each node, before the job ends."""

MAX_NODES_TRIED = 4
"""Nodes on which actors may die while they start, before the job ends."""

OPENING_LIMIT_S = 30.0
"""What opening the source may take, however quick others were."""

OPENING_FACTOR = 10.0
"""How many times longer than the slowest so far opening it may take."""


@dataclass(slots=True)
class ActorStarts:
    """How the actors of one job opened its source: deaths in a row, and the slowest opening."""

    deaths: int = 0
    slowest_s: float | None = None

    @property
    def limit_s(self) -> float:
        """What one may take; endless before the first has opened it."""
        if self.slowest_s is None:
            return float("inf")
        return max(OPENING_LIMIT_S, OPENING_FACTOR * self.slowest_s)

    def opened(self, took_s: float) -> None:
        """An actor can draw."""
        self.deaths = 0
        self.slowest_s = max(self.slowest_s or 0.0, took_s)

    def too_many_deaths(self, nodes: int) -> bool:
        """Whether more attempts make no sense."""
        return self.deaths >= MAX_DEATHS * max(1, min(MAX_NODES_TRIED, nodes))
