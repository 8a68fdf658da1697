"""Decides what is drawn next, by whom, and what the encoder may have; PURE.

Theory of operation
-------------------
A chunk is *open* from the moment it is given to an actor until the encoder
has acknowledged it; only the bytes of open chunks exist anywhere. No new
chunk is given out while they fill the window.

It cannot deadlock: chunks are given out in order, a lost one before all
others, and one is always given out when none is open. So the chunk that the
encoder waits for is open, drawn or about to be drawn, and its acknowledgement
frees room for the next.

A chunk of raw frames takes its bytes of the window when it is given out,
since they fill up as it is drawn: at 1920x1080 a yuv420p frame has 3.1 MB, so
the default window of 256 MiB holds 86 of them. An encoded chunk's bytes are
known, and exist, when it has been drawn (`frame_bytes` 0): they count from then
on, also while they are being transferred from another node.

A chunk that is overdue may be given out once more, as a *copy*, while its
actor goes on. The first to finish counts, the other is ignored. The bytes of a
copy of raw frames come on top of the window: while there are new chunks, at
most one actor and a quarter of all draw copies.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rayanim.engine.plan import Chunk, Plan
from rayanim.errors import SegmentLostError

Item = TypeVar("Item")
Payload = TypeVar("Payload")

MAX_ATTEMPTS = 3
"""A chunk that ends its actor's process this often ends the job."""

MAX_COPIES = 2
"""Actors that may draw the same chunk at once."""


@dataclass(frozen=True, slots=True)
class Drawn(Generic[Payload]):
    """A chunk with what its actor handed back."""

    chunk: Chunk
    payload: Payload


@dataclass(slots=True)
class _Open:
    """An open chunk: how many actors draw it, whether one has, and its bytes."""

    chunk: Chunk
    held_bytes: int
    drawing: int = 0
    is_drawn: bool = False


class Dispatcher(Generic[Payload]):
    """The state of every chunk between the plan and the encoder."""

    def __init__(
        self,
        plan: Iterator[Chunk],
        *,
        frame_bytes: int,
        limit_bytes: int,
        first_frame: int = 0,
        begun: Chunk | None = None,
    ) -> None:
        self.first_frame = first_frame
        self._plan = plan
        self._frame_bytes = frame_bytes
        self._limit_bytes = limit_bytes
        self._peeked: Chunk | None = None
        self._exhausted = False
        # Indices of open chunks that no actor draws any more, as a heap.
        self._again: list[int] = []
        self._open: dict[int, _Open] = {}
        # Acknowledged chunks of which actors still draw so many copies.
        self._needless_copies: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._pulled = begun
        # Segments of which raw frames go to an encoder, by index.
        self._fed: dict[int, _Fed[Payload]] = {}
        if begun is not None:
            self._fed[begun.segment.index] = _Fed(Ordering(begun.index + 1), begun.index)
        self.drawn_frames = 0
        self.drawing_frames = 0
        self.drawing_chunks = 0
        # Kept as running sums: with thousands of actors, thousands of chunks are open.
        self.in_flight_bytes = 0
        self.queued_frames = 0

    @property
    def finished(self) -> bool:
        """Whether every chunk of the plan was acknowledged."""
        return not self._open and self._peek() is None

    @property
    def all_handed_out(self) -> bool:
        """Whether no chunk is left to give out, lost ones included."""
        return not self._again and self._peek() is None

    @property
    def last_places(self) -> int:
        """Actors that may still have something to draw once all is given out.

        An idle one may soon be wanted for each chunk that turns out to be slow.
        """
        return MAX_COPIES * self.drawing_chunks

    def take(self, avoid: Container[int] = ()) -> Chunk | None:
        """The next chunk to draw, or None while there is none or no room."""
        again = self._pop_again(avoid)
        if again is not None:
            return self._give_out(self._open[again])
        segment_or_none = self._peek()
        if segment_or_none is None or not self._fits(segment_or_none):
            return None
        chunk, self._peeked = segment_or_none, None
        self._open[chunk.index] = each = _Open(chunk, 0)
        self._set_bytes(each, self._raw_bytes(chunk))
        return self._give_out(each)

    def take_copy(self, among: Collection[int]) -> Chunk | None:
        """The first chunk still being drawn, for one more actor; None if there is none."""
        first = min(filter(self._may_be_copied, among), default=None)
        if first is None:
            return None
        self._open[first].drawing += 1
        return self._open[first].chunk

    def is_wanted(self, chunk: Chunk) -> bool:
        """Whether `chunk` has not been drawn yet."""
        each = self._open.get(chunk.index)
        return each is not None and not each.is_drawn

    def give_back(self, chunk: Chunk) -> None:
        """Take back a chunk that an actor was given and did not finish."""
        if self._is_done_without(chunk):
            return
        self._set_bytes(self._open[chunk.index], self._raw_bytes(chunk))
        self.drawing_frames -= len(chunk)
        self.drawing_chunks -= 1
        heapq.heappush(self._again, chunk.index)

    def lost(self, chunk: Chunk, why: str) -> None:
        """Take back a chunk whose actor died while drawing it."""
        if not self.is_wanted(chunk):
            self._is_done_without(chunk)
            return
        attempts = self._attempts.get(chunk.index, 0) + 1
        self._attempts[chunk.index] = attempts
        if attempts >= MAX_ATTEMPTS:
            first, last = chunk.batch.numbers[0], chunk.batch.numbers[-1]
            what, how, them, frames = (f"Frame {first}", "To see why", "it", f"{first}")
            if last > first:
                what, how, them = f"A frame from {first} to {last}", "To see which", "them"
                frames = f"{first}-{last}"
            raise SegmentLostError(
                f"{what} ended the actor's process, {attempts} times ({why}). {how}, draw {them} "
                f"in one process: rayanim run SCRIPT --frames {frames} --engine local.",
                start=first,
                stop=last + 1,
                attempts=attempts,
            )
        self.give_back(chunk)

    def on_its_way(self, chunk: Chunk, payload_bytes: int) -> None:
        """A chunk is drawn on another node and being transferred: its bytes count already.

        Nothing changes where they were counted before, or another copy has been drawn.
        """
        each = self._open.get(chunk.index)
        if each is not None and not each.is_drawn and chunk.encodes:
            self._set_bytes(each, max(each.held_bytes, payload_bytes))

    def drawn(self, chunk: Chunk, payload: Payload, payload_bytes: int) -> list[Drawn[Payload]]:
        """Take a drawn chunk; what may now go to an encoder, or be written."""
        each = self._open.get(chunk.index)
        if each is None or each.is_drawn:
            self._is_done_without(chunk)
            return []
        each.drawing -= 1
        each.is_drawn = True
        self._set_bytes(each, payload_bytes)
        self.drawing_frames -= len(chunk)
        self.drawing_chunks -= 1
        self.drawn_frames += len(chunk)
        self.queued_frames += len(chunk)
        self._attempts.pop(chunk.index, None)
        drawn = Drawn(chunk, payload)
        if chunk.encodes:
            return [drawn]
        fed = self._fed[chunk.segment.index]
        released = fed.ordering.put(chunk.index, drawn)
        if released:
            fed.released = released[-1].chunk.index
        return released

    def ended(self) -> list[Chunk]:
        """The last chunks of segments whose frames were all released, each once."""
        self._peek()
        ended = [fed.last for fed in self._fed.values() if fed.last and fed.is_complete]
        for last in ended:
            del self._fed[last.segment.index]
        return ended

    def payload_lost(self, chunk: Chunk) -> None:
        """An encoded segment was lost before it was written."""
        each = self._open[chunk.index]
        each.is_drawn = False
        self._set_bytes(each, 0)
        self.drawn_frames -= len(chunk)
        self.queued_frames -= len(chunk)
        if each.drawing:
            # A copy is still being drawn: it counts again.
            self.drawing_frames += len(chunk)
            self.drawing_chunks += 1
            return
        heapq.heappush(self._again, chunk.index)

    def encoded(self, chunk: Chunk) -> None:
        """The encoder has acknowledged `chunk`: its bytes are free."""
        each = self._open.pop(chunk.index)
        self.in_flight_bytes -= each.held_bytes
        self.queued_frames -= len(chunk)
        if each.drawing:
            self._needless_copies[chunk.index] = each.drawing

    def _pop_again(self, avoid: Container[int]) -> int | None:
        """The first lost chunk that is not in `avoid`; None if there is none."""
        if not self._again:
            return None
        if self._again[0] not in avoid:
            return heapq.heappop(self._again)
        index = min((index for index in self._again if index not in avoid), default=None)
        if index is not None:
            self._again.remove(index)
            heapq.heapify(self._again)
        return index

    def _give_out(self, each: _Open) -> Chunk:
        each.drawing += 1
        self.drawing_frames += len(each.chunk)
        self.drawing_chunks += 1
        return each.chunk

    def _set_bytes(self, each: _Open, held_bytes: int) -> None:
        self.in_flight_bytes += held_bytes - each.held_bytes
        each.held_bytes = held_bytes

    def _may_be_copied(self, index: int) -> bool:
        each = self._open.get(index)
        return each is not None and not each.is_drawn and 0 < each.drawing < MAX_COPIES

    def _is_done_without(self, chunk: Chunk) -> bool:
        """An actor stops drawing `chunk`; whether it is drawn, or another draws it."""
        each = self._open.get(chunk.index)
        if each is None:
            left = self._needless_copies.pop(chunk.index) - 1
            if left:
                self._needless_copies[chunk.index] = left
            return True
        each.drawing -= 1
        return each.is_drawn or each.drawing > 0

    def _fits(self, chunk: Chunk) -> bool:
        wanted_bytes = self.in_flight_bytes + self._raw_bytes(chunk)
        return not self._open or wanted_bytes <= self._limit_bytes

    def _peek(self) -> Chunk | None:
        if self._peeked is None and not self._exhausted:
            self._peeked = next(self._plan, None)
            self._exhausted = self._peeked is None
            self._note_end(self._pulled, self._peeked)
            self._pulled = self._peeked
        return self._peeked

    def _note_end(self, before: Chunk | None, after: Chunk | None) -> None:
        """`after` follows `before`: maybe one segment ends, and the next one begins."""
        if after is not None and not after.encodes:
            self._fed.setdefault(after.segment.index, _Fed(Ordering(after.index)))
        if before is None or before.encodes:
            return
        if after is None or after.segment.index != before.segment.index:
            self._fed[before.segment.index].last = before

    def _raw_bytes(self, chunk: Chunk) -> int:
        """Bytes of its frames, which fill up while it is drawn; 0 where they are encoded there."""
        return 0 if chunk.encodes else len(chunk) * self._frame_bytes


class Ordering(Generic[Item]):
    """Holds items back until all before them have come."""

    def __init__(self, first: int = 0) -> None:
        self._next = first
        self._early: dict[int, Item] = {}

    def __len__(self) -> int:
        return len(self._early)

    def put(self, index: int, item: Item) -> list[Item]:
        """Take the item of `index`, and release what is in order now."""
        self._early[index] = item
        released: list[Item] = []
        while self._next in self._early:
            released.append(self._early.pop(self._next))
            self._next += 1
        return released


@dataclass(slots=True)
class _Fed(Generic[Payload]):
    """A segment of which raw frames go to an encoder: up to which chunk, and which is its last."""

    ordering: Ordering[Drawn[Payload]]
    released: int = -1
    last: Chunk | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all of it was released."""
        return self.last is not None and self.last.index == self.released


class Prefix:
    """How far indices that come in any order, some of them twice, are there without a gap."""

    def __init__(self) -> None:
        self.next = 0
        self._early: set[int] = set()

    def add(self, index: int) -> bool:
        """Note that `index` is there; False if it was before."""
        is_new = index >= self.next and index not in self._early
        if is_new:
            self._early.add(index)
        return is_new

    @property
    def is_ready(self) -> bool:
        """Whether there is one to take."""
        return self.next in self._early

    def take(self) -> range:
        """All that follow those taken before without a gap."""
        first = self.next
        while self.next in self._early:
            self._early.remove(self.next)
            self.next += 1
        return range(first, self.next)


OVERDUE = 2.0
"""After this many times the expected seconds an idle actor may draw a copy."""

FAR_OVERDUE = 4.0
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
class OverdueWork:
    """What is overdue at one moment: chunks, each with the nodes that draw it, and actors.

    `given_up` are actors to end, `copies_left` says how many copies may be
    drawn besides new chunks, `patience_s` is explained at `Pace`.
    """

    overdue: Mapping[int, frozenset[str | None]]
    far_overdue: Mapping[int, frozenset[str | None]]
    unresponsive_nodes: frozenset[str]
    given_up: tuple[int, ...]
    copies_left: int
    patience_s: float = 0.0


NOTHING_OVERDUE = OverdueWork({}, {}, frozenset(), (), 0)


def find_overdue(
    assignments: Iterable[Assignment], answered_ago_s: Mapping[str, float], actors: int
) -> OverdueWork:
    """What is overdue, by all assignments and the seconds since each node's last answer."""
    all_assigned = list(assignments)
    drawing = [each for each in all_assigned if not each.in_transfer]
    far_actors = {each.actor for each in drawing if each.is_late(FAR_OVERDUE, SLACK_S)}
    unresponsive = frozenset(_unresponsive_nodes(drawing, far_actors, answered_ago_s))
    wanted = [each for each in all_assigned if each.is_wanted]
    # What waits behind an overdue chunk is no better off.
    far = [
        each
        for each in wanted
        if (each.is_late(FAR_OVERDUE, SLACK_S) if each.in_transfer else each.actor in far_actors)
    ]
    given_up = [
        each
        for each in drawing
        if each.is_late(GIVEN_UP, SLACK_S) and (not each.is_wanted or each.node in unresponsive)
    ]
    idle_worthy = [each for each in wanted if each.age_s is None or each.is_late(OVERDUE)]
    copies = len(wanted) - len({each.index for each in wanted})
    return OverdueWork(
        overdue=_with_nodes([*idle_worthy, *far], wanted),
        far_overdue=_with_nodes(far, wanted),
        unresponsive_nodes=unresponsive,
        given_up=tuple(sorted({each.actor for each in given_up})),
        copies_left=max(0, 1 + int(actors * COPIED_SHARE) - copies),
        patience_s=max((each.frame_s for each in given_up if each.is_wanted), default=0.0),
    )


def _unresponsive_nodes(
    drawing: list[Assignment], far_actors: set[int], answered_ago_s: Mapping[str, float]
) -> set[str]:
    """Nodes without an answer for half of the time that an overdue chunk has lasted.

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


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A node gets no more actors."""

    node: str
    failures: int
    why: str


@dataclass(slots=True)
class _NodeRecord:
    """What happened on one node."""

    failures: int = 0
    weight: float = 0.0


@dataclass(slots=True)
class NodeFailures:
    """Which nodes failed, which are excluded, and where each chunk has failed."""

    excluded: list[str] = field(default_factory=list)
    _records: dict[str, _NodeRecord] = field(default_factory=dict)
    # The next attempt at a chunk is made elsewhere.
    _failed_on: dict[int, set[str]] = field(default_factory=dict)

    def seen(self, node: str) -> None:
        """An actor lives there."""
        self._records.setdefault(node, _NodeRecord())

    def drawn(self, node: str | None, index: int) -> None:
        """An actor there has drawn chunk `index`."""
        self._failed_on.pop(index, None)
        if node in self._records:
            record = self._records[node]
            record.weight = max(0.0, record.weight - 1 / FORGIVEN_BY)

    def failed(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> Exclusion | None:
        """An actor there died or failed; whether the node is excluded from now on."""
        if node is None:
            return None
        self.seen(node)
        if index is not None:
            self._failed_on.setdefault(index, set()).add(node)
        record = self._records[node]
        record.failures += 1
        record.weight += weight
        if node in self.excluded or record.weight < MAX_FAILURES or not self._others_do_well(node):
            return None
        self.exclude(node)
        return Exclusion(node, record.failures, why)

    def exclude(self, node: str) -> None:
        """No more actors there, however the others do."""
        self.seen(node)
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
            record.weight < 1
            for other, record in self._records.items()
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


MIN_TIMEOUT_S = 900.0
"""However quick the drawing is: a machine may be that busy with other things."""

SLOW_FRAME_S = 14.0
"""What any frame may take. Only whole chunks are reported, and a video that was light
so far may come to a heavy scene."""

TIMEOUT_FACTOR = 20.0
"""How many times longer than it took so far a frame, or opening the source, may take."""


def timeout_s(chunk_frames: int, frame_s: float, open_s: float) -> float:
    """Seconds without any answer after which the job ends."""
    chunk_s = chunk_frames * max(SLOW_FRAME_S, TIMEOUT_FACTOR * frame_s)
    return max(MIN_TIMEOUT_S, chunk_s, TIMEOUT_FACTOR * open_s)


CHUNK_DRAW_S = 0.25
"""Seconds of drawing per chunk of raw frames: Ray's 2 to 3 ms for each are then 1 %."""

MAX_CHUNK_FRAMES = 64
"""Raw frames per chunk at most: beyond it there is nothing left to save."""

CHUNKS_PER_ACTOR = 4
"""Chunks that each actor should get, so that none waits long for the last."""

CLEARLY = 0.95
"""Whole segments must be predicted to be faster by a twentieth: chunks are lost less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """Seconds that a frame takes to draw, to encode, and to pass through Ray's object store.

    `link_s` is what its way over the network takes, where all frames share one
    link; 0 on one machine.
    """

    draw_s: float
    encode_s: float
    transport_s: float
    link_s: float = 0.0


class ChunkSizes:
    """How long the next chunk is, and whether it is a whole segment that its actor encodes.

    Bytes do not depend on it, so it may follow measured costs. In a long video
    whole segments cost the least: only packets travel. In a short one, or of
    heavy frames, chunks let all actors draw until the end.
    """

    def __init__(
        self,
        times: FrameTimes,
        *,
        frame_bytes: int,
        frames_left: int | None,
        limit_bytes: int,
        max_actors: int,
        queue_size: int,
        encoders: int,
        asked: int | None = None,
        may_encode: bool = True,
    ) -> None:
        self._times = times
        self._actors = max(1, max_actors)
        self._encoders = encoders
        self._may_encode = may_encode
        self._window_frames = limit_bytes // max(1, frame_bytes)
        # Each actor holds queue_size chunks, the encoder one, and one waits for
        # its turn. At 1080p (3.1 MB in yuv420p), 256 MiB and 8 actors with 2 each
        # that is 18 chunks of 4 frames. A single frame per chunk may pass the
        # limit where even that is too large; the dispatcher then gives out fewer.
        by_bytes = self._window_frames // (2 + queue_size * self._actors)
        by_time = MAX_CHUNK_FRAMES
        if times.draw_s > 0:
            by_time = int(min(MAX_CHUNK_FRAMES, CHUNK_DRAW_S / times.draw_s))
        by_actors = by_time
        if frames_left is not None:
            by_actors = frames_left // (CHUNKS_PER_ACTOR * self._actors)
        self.usual = asked or max(1, min(by_time, by_bytes, by_actors))
        """Raw frames of a chunk, until the last."""

    def next_length(self, plan: Plan) -> int | None:
        """Raw frames of the next chunk; None for a whole segment.

        Towards the end chunks shrink to a part of what is left, so that all actors
        finish together: guided self-scheduling (Polychronopoulos and Kuck, IEEE
        Transactions on Computers C-36, 1987).
        """
        if self._may_encode and plan.is_between and self._encoding_is_faster(plan):
            return None
        left = plan.frames_left
        if left is None:
            return self.usual
        return max(1, min(self.usual, -(-left // (2 * self._actors))))

    def _encoding_is_faster(self, plan: Plan) -> bool:
        """Whether the segments that are left are drawn sooner by actors that also encode."""
        times, frames = self._times, plan.segment_frames
        # Where the end is unknown, as many are expected as there were.
        segments = plan.segments_left or max(1, plan.n_begun)
        whole_s = -(-segments // self._actors) * (times.draw_s + times.encode_s)
        at_once = min(self._encoders, segments, 1 + self._window_frames // frames)
        chunk_s = segments * max(
            (times.draw_s + times.transport_s + times.encode_s) / self._actors,
            times.encode_s / at_once,
            times.link_s,
        )
        return whole_s < CLEARLY * chunk_s
