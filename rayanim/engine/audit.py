"""Audits: some frames are drawn again, in full, by the script's own process, and compared.

Three kinds of error show there: an incremental draw that misses a change, a frame
that depends on frames which its actor did not draw, and an actor whose process is
not quite the script's. On a difference all frames are drawn again a safer way.

Where no actors are used only the first kind is possible: frames are compared with a
full draw of the same figure there, see `rayanim.figure.canvas`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rayanim.errors import RayanimError, RedrawError, ScriptError
from rayanim.events import FrameAudited
from rayanim.parameters import Batch

if TYPE_CHECKING:
    from rayanim.engine.cached import CachedSegments
    from rayanim.engine.local import Reference
    from rayanim.engine.plan import Chunk
    from rayanim.engine.stats import JobEvents
    from rayanim.video.spec import StreamSpec

MARKED_SHARE = 0.1
"""Frames that may be audited: to mark one takes half a millisecond at 640x480."""

NOTED_SHARE = 0.02
"""Frames whose pixels are noted for the cache, beside those at the ends of segments."""

AUDIT_TIME = 0.05
"""Audits take at most this share of the time that drawing takes in all."""

FIRST_AUDITS, FIRST_S = 6, 0.5
"""So many are made however long they take, and as many as take half a second: that is 20 of a plain
figure, which find an error in a tenth of the frames in 7 of 8 jobs, in half of them always. Time
is the processor's, so that a busy machine makes as many."""

MOST_WAITING = 20
"""Marked frames that wait for their audit, 12 KB each at 1920x1080, with what `update` gets for
the frames of their chunks."""

MOST_OFFERED = 64
"""Chunks that wait for one before them; with more, that one is left out: 20 MB at 1920x1080."""

LONGEST_SEARCH_S = 30.0
"""The cause of a difference is looked for where that takes no longer."""


def is_marked(seed: int | None, number: int, share: float | None) -> bool:
    """Whether frame `number` may be audited: the same in each process and each run."""
    share = MARKED_SHARE if share is None else share
    digest = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32


def pixel_digest(frame: npt.NDArray[np.uint8]) -> bytes:
    """Digest of a converted frame, (frame_bytes,) uint8."""
    return hashlib.blake2b(frame.data, digest_size=16).digest()


@dataclass(frozen=True, slots=True, eq=False)
class FrameMark:
    """What one process must know of a frame's pixels to compare them with another's.

    `rows` and `columns` are sums over the first plane: they show where frames differ.
    """

    number: int
    digest: bytes
    rows: npt.NDArray[np.uint32]
    columns: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, number: int, frame: npt.NDArray[np.uint8], spec: StreamSpec) -> FrameMark:
        """The mark of a converted frame, (frame_bytes,) uint8."""
        width_px, height_px = spec.size
        row_bytes = width_px * spec.layout.sample_bytes
        plane = frame[: row_bytes * height_px].reshape(height_px, row_bytes)
        return cls(
            number,
            pixel_digest(frame),
            plane.sum(1, dtype=np.uint32),
            plane.sum(0, dtype=np.uint32).reshape(width_px, -1).sum(1, dtype=np.uint32),
        )

    def same_as(self, other: FrameMark) -> bool:
        return self.digest == other.digest

    def where(self, other: FrameMark) -> str:
        """Where the two frames differ, in words; empty where only their colours do."""
        rows = np.flatnonzero(self.rows != other.rows)
        columns = np.flatnonzero(self.columns != other.columns)
        if not len(rows) or not len(columns):
            return ""
        return f" in columns {columns[0]} to {columns[-1]} and rows {rows[0]} to {rows[-1]}"


IN_FULL = "drawing only what changed has missed a change"

DRAWING = (
    "what a frame shows depends on the frames drawn before it, not only on their updates: "
    "a norm that scales itself when it is first drawn, for example"
)

PROCESS = (
    "the actor's process is not quite this one. Usual causes: the order of a set, random numbers "
    "of a generator without a seed, the time of day, a font"
)

UPDATES = "it seems to depend on the frames before it"


@dataclass(frozen=True, slots=True)
class _Marked:
    """A marked frame that an actor has drawn, and the frames of its chunk up to it."""

    mark: FrameMark
    batch: Batch
    is_cached: bool = False


class Auditor:
    """Draws marked frames of actors again, and compares.

    `share` are the frames to audit, None for as many as take `AUDIT_TIME`. `replays`:
    actors run the updates of the frames that they skip. `last` is the last frame that
    this process has drawn, and `start` the index of the actors' first chunk.

    Where updates are run, frames are audited in their order: a chunk waits until those
    before it were offered.
    """

    def __init__(
        self,
        reference: Reference,
        events: JobEvents,
        *,
        share: float | None,
        replays: bool,
        last: int,
        start: int = 0,
        cached: CachedSegments | None = None,
    ) -> None:
        self._reference = reference
        self._events = events
        self._share = share
        self._replays = replays
        self._last = last
        self._waiting: list[_Marked] = []
        self._cached = cached
        # By the index of its chunk, until all before it were offered: its first frame, and marks.
        self._offered: dict[int, tuple[int, list[_Marked]]] = {}
        self._start = start
        self._done = 0
        self._spent_s = 0.0
        self._usual_s = 0.0

    def offer(self, chunk: Chunk, marks: Iterable[FrameMark]) -> None:
        """An actor has drawn a chunk."""
        batch = chunk.batch
        marked = [_Marked(mark, batch[: batch.numbers.index(mark.number) + 1]) for mark in marks]
        if chunk.index >= self._start:
            self._offered[chunk.index] = batch.numbers[0], marked
        if len(self._offered) > MOST_OFFERED:
            self._start = min(self._offered)
        while self._start in self._offered:
            first, marked = self._offered.pop(self._start)
            self._wait_for_cached(first)
            self._wait(marked)
            self._start += 1

    def _wait_for_cached(self, stop: int | None = None) -> None:
        """The frames of the cache before frame `stop` are next."""
        if self._cached is not None:
            for mark, batch in self._cached.take_marked(stop):
                self._waiting.append(_Marked(mark, batch, is_cached=True))

    def _wait(self, marked: list[_Marked]) -> None:
        self._waiting += marked
        while len(drawn := [each for each in self._waiting if not each.is_cached]) > MOST_WAITING:
            if self._share is None:
                # Any of them, and the same ones in each run.
                self._waiting.remove(max(drawn, key=lambda each: each.mark.digest))
            else:
                self._audit_next()

    def is_drawn_here(self, number: int | None, batch: Batch) -> bool:
        """Whether a frame that an actor could not draw can be drawn in this process."""
        if number is None or number not in batch.numbers:
            return False
        if self._replays and number <= self._last:
            return False
        try:
            self._reference.draw(number, dict(batch.frames())[number])
        except RayanimError:
            return False
        return True

    def step(self) -> None:
        """Audit one frame, if there is one and it is time to."""
        if self._waiting and (self._is_among_first() or self._has_time()):
            self._audit_next()

    def finish(self) -> None:
        """All frames are drawn: audit what must be."""
        self._wait_for_cached()
        must_all = self._share is not None
        while self._waiting and (
            must_all or self._is_among_first() or any(each.is_cached for each in self._waiting)
        ):
            self._audit_next()

    def _is_among_first(self) -> bool:
        return self._done < FIRST_AUDITS or self._spent_s + self._usual_s < FIRST_S

    def _has_time(self) -> bool:
        drawn_s = self._events.stats.timings.busy_s
        return self._spent_s + self._usual_s < AUDIT_TIME * drawn_s

    def _audit_next(self) -> None:
        marked = min(self._waiting, key=lambda each: each.mark.number)
        self._waiting.remove(marked)
        if self._replays and marked.mark.number <= self._last:
            # Its update has run already, and to begin again would take long.
            return
        began_s = time.thread_time()
        params = marked.batch.params
        try:
            here = self._reference.draw(marked.mark.number, None if params is None else params[-1])
        except ScriptError as error:
            raise self._not_drawn(marked, error) from error
        self._usual_s = time.thread_time() - began_s
        self._spent_s += self._usual_s
        self._done += 1
        self._last = max(self._last, marked.mark.number)
        self._events.emit(FrameAudited(frame=marked.mark.number))
        if marked.is_cached and self._cached is not None:
            self._cached.check(here, marked.mark)
        elif not here.same_as(marked.mark):
            raise self._failed(marked, here)

    def _not_drawn(self, marked: _Marked, error: ScriptError) -> RedrawError:
        """Drawn in order, the video will show whether the frame can be drawn at all."""
        message = (
            f"Frame {marked.mark.number}, which a render actor has drawn, cannot be drawn in this "
            f"process: {error.message.rstrip('.')}"
        )
        replays = self._replays
        return RedrawError(message, in_sequence=not replays, in_process=replays, in_full=replays)

    def _failed(self, marked: _Marked, here: FrameMark) -> RedrawError:
        """What a difference ends with: drawing all again, a safer way."""
        safer = self._safer(marked, here)
        safer.message = (
            f"Frame {marked.mark.number} has other pixels in a render actor than in this process"
            f"{marked.mark.where(here)}: {safer.message}"
        )
        return safer

    def _safer(self, marked: _Marked, here: FrameMark) -> RedrawError:
        """The safer way, by what the frame looks like when it is drawn here as in an actor."""
        if not self._replays:
            return RedrawError(UPDATES, in_sequence=True)
        if self._usual_s * len(marked.batch) > LONGEST_SEARCH_S:
            return RedrawError(PROCESS, in_process=True, in_full=True)
        try:
            as_actor = self._reference.draw_as_actor(marked.batch, in_full=False)
            if not as_actor.same_as(marked.mark):
                return RedrawError(PROCESS, in_process=True, in_full=not as_actor.same_as(here))
            in_full = self._reference.draw_as_actor(marked.batch, in_full=True)
        except RayanimError:
            return RedrawError(PROCESS, in_process=True, in_full=True)
        if in_full.same_as(here):
            return RedrawError(IN_FULL, in_full=True)
        return RedrawError(DRAWING, in_process=True, in_full=not in_full.same_as(as_actor))
