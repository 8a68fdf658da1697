"""Draws frames in this process, with the same render step as an actor.

It is also how every job begins: the first frames show the user's mistakes with
a clean traceback and measure what a frame costs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Literal

from rayanim.engine.draw import (
    Dependence,
    HistoryBudget,
    HistoryCheck,
    RawFrames,
    RawPayload,
    RenderSetup,
    SegmentRenderer,
    Timings,
    close_source,
    digest_of,
    measure_source,
    open_source,
)
from rayanim.engine.plan import Place, Segment
from rayanim.engine.scheduler import Drawn
from rayanim.engine.stats import Tally
from rayanim.engine.writing import Writer
from rayanim.errors import OutputError, ParametersError, RedrawError, ScriptError, SettingsError
from rayanim.events import PartKept
from rayanim.figure.draw_stats import Ledger
from rayanim.parameters import Batch, Feed, PushedBack
from rayanim.settings import Transport

if TYPE_CHECKING:
    from rayanim.engine.job import Job
    from rayanim.storage.segments import Keeper, PartStore
    from rayanim.video.encode import SegmentEncoder
    from rayanim.video.spec import StreamSpec

LATELY = 5
"""Pieces of video whose cost is looked at: the middle one is taken, guards and pauses are not."""

SAMPLE_S = 0.5
"""Seconds of drawing that tell what a frame costs."""

SAMPLE_FRAMES = 9
"""Frames that are drawn for it at least.

The first one fills matplotlib's caches, and up to the fifth a figure that is
drawn in parts is drawn whole, to learn its parts and to compare: they take ten
times what the others do.
"""

SAMPLE_LIMIT_S = 3.0
"""Seconds after which fewer frames must do: of slow drawing, which Ray will repay."""


class FrameCost:
    """Seconds per frame, measured as frames are drawn."""

    def __init__(self, told_s: float | None = None) -> None:
        self._told_s = told_s
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._first: list[float] = []
        self._frames = 0
        self._spent_s = 0.0

    def add(self, frames: int, busy_s: float) -> None:
        """So many frames took `busy_s`."""
        if frames <= 0:
            return
        if self._frames < SAMPLE_FRAMES:
            self._first += [busy_s / frames] * frames
        self._lately.append(busy_s / frames)
        self._frames += frames
        self._spent_s += busy_s

    @property
    def is_known(self) -> bool:
        """Whether enough was drawn to tell, or it was told."""
        return self._told_s is not None or self._is_measured

    @property
    def _is_measured(self) -> bool:
        if self._spent_s >= SAMPLE_LIMIT_S:
            return self._frames > 1
        return self._frames >= SAMPLE_FRAMES and self._spent_s >= SAMPLE_S

    @property
    def frames(self) -> int:
        """Frames measured."""
        return self._frames

    @property
    def usual_s(self) -> float:
        """Seconds that a frame takes lately; 0 before the first where nothing was told."""
        if self._told_s is not None and self._frames < SAMPLE_FRAMES and not self._is_measured:
            return self._told_s
        return self._lately_s

    @property
    def warm_up_s(self) -> float:
        """What the first frames took more than usual: whoever else draws pays it too."""
        return sum(max(0.0, cost_s - self._lately_s) for cost_s in self._first)

    @property
    def _lately_s(self) -> float:
        return median(self._lately) if self._lately else 0.0


def choose_transport(spec: StreamSpec, asked: Transport | Literal["auto"]) -> tuple[Transport, str]:
    """The transport, and why."""
    from rayanim.video.encode import why_not_joinable

    reason = why_not_joinable(spec)
    if asked == "segments" and reason is not None:
        raise SettingsError(f"transport='segments' does not go here: {reason}. Use 'frames'.")
    if asked != "auto":
        return asked, f"transport={asked!r} was asked for"
    if reason is not None:
        return "frames", reason
    return "segments", "closed segments of this stream can be joined"


LAID_OUT = "a layout engine runs in every frame, from where the frame before left the axes"
"""Why all frames of such a figure are drawn in one process."""

LOOK_S = 0.2
"""Seconds of drawing between two looks at the clock."""

LOOK_BYTES = 16 * 2**20
"""Bytes of what is drawn between them: five frames at 1920x1080 yuv420p."""

LOOK_FRAMES = 64
"""Frames drawn between them at most."""


class InProcess:
    """Draws the frames of a job in this process.

    Opening the source, measuring its first frame and trying the encoder out
    happen here, so whatever is wrong with them is said before an actor starts.
    """

    def __init__(self, job: Job, tally: Tally) -> None:
        self._job = job
        settings = job.settings
        self._tally = tally
        self._at = 0
        self._index = 0
        self._is_open = False
        self._ahead: Batch = job.feed.take(1)
        if not len(self._ahead):
            raise ParametersError(
                "There is nothing to render: the video has no frames. "
                "Give param_by_frame at least one entry."
            )
        first = self._ahead
        number = first.numbers[0]
        params = None if first.params is None else first.params[0]
        began = time.perf_counter()
        open_source(job.source, settings.seed, None)
        self.open_s = time.perf_counter() - began
        self._first = first
        self._first_digest: bytes | None = None
        self._is_open = True
        self._measured = Ledger()
        try:
            with self._measured.open(), self._measured.frame(number):
                self.geometry = measure_source(job.source, settings.seed, number, params)
            self.spec: StreamSpec = job.make_spec(self.geometry)
            self.transport, self.transport_reason = choose_transport(self.spec, settings.transport)
            self._probe()
        except BaseException:
            self.abandon()
            raise
        self._renderer = SegmentRenderer(job.source, self.spec, settings.seed)
        if job.in_full:
            self._renderer.draw_in_full_from_now()
        self._history: HistoryCheck | None = None
        self._history_budget = HistoryBudget()
        told_ms = settings.performance.draw_ms
        self.cost = FrameCost(None if told_ms is None else told_ms / 1000)

    def _probe(self) -> None:
        from rayanim.video.codecs import probe
        from rayanim.video.encode import segment_spec

        probe(self.spec if self.transport == "frames" else segment_spec(self.spec))

    @property
    def stays(self) -> str | None:
        """Why no frame may be drawn elsewhere, or None."""
        lays_out = self._measured.lays_out or self._renderer.lays_out
        return LAID_OUT if lays_out and not self._job.settings.sequential else None

    @property
    def feed(self) -> Feed:
        """The frames that were not drawn yet."""
        return PushedBack(self._ahead, self._job.feed)

    @property
    def first_digest(self) -> bytes:
        """What `digest_of` gives for the video's first frame; after it was drawn."""
        return self._first_digest or b""

    @property
    def next_index(self) -> int:
        """Index of the segment that comes next."""
        return self._index

    @property
    def next_frame(self) -> int:
        """Position in the video of the frame that comes next."""
        return self._at

    def draw(self, count: int) -> Drawn[RawPayload] | None:
        """Draw the next frames, `count` at most; None at the video's end."""
        batch, self._ahead = self._ahead, Batch((), None)
        if not len(batch):
            batch = self._job.feed.take(count)
        if not len(batch):
            return None
        segment = Segment(self._index, self._at, self._at + len(batch), batch)
        before = self._tally.timings
        payload, timings = self._renderer.render(segment)
        self._redraw_all()
        self._index += 1
        self._at = segment.stop
        self._count(payload, timings)
        self._tally.drawn_here(segment, before)
        return Drawn(segment, payload)

    def draw_piece(self, piece: Segment) -> RawPayload | None:
        """Draw some frames of a segment."""
        payload, timings = self._renderer.collect(piece, RawFrames(self.spec, len(piece)))
        self._redraw_all()
        self._count(payload, timings)
        return None if self._renderer.differs_now() else payload

    def _redraw_all(self) -> None:
        """After a difference, have the frames drawn before it drawn again, too."""
        if self._renderer.difference is not None and self._job.may_redraw:
            raise RedrawError(self._renderer.difference)

    def place_of(self, segment: Segment) -> Place:
        """Where a segment stands, named by its frames and parameters."""
        from rayanim.storage.fingerprint import batch_digest

        return segment.place(batch_digest(segment.batch.numbers, segment.batch.params))

    def history_of(self, segment: Segment, kept: list[RawPayload]) -> Dependence | None:
        """How the first frames of a segment depend on those drawn before, if they do."""
        if self._history is None:
            self._history = HistoryCheck(self._renderer, self.spec, self._job.source.name)
        self._history.remember(segment, kept)
        is_due = self._history_budget.is_due(self._tally.timings.frames)
        return self._history.compare() if is_due else None

    def _count(self, payload: RawPayload, timings: Timings) -> None:
        self._tally.drawn(timings)
        self.cost.add(timings.frames, timings.draw_s + timings.convert_s)
        if self._first_digest is None:
            self._first_digest = digest_of(payload[0])

    def setup(self) -> RenderSetup:
        """What render actors need to draw the same frames; after the first was drawn."""
        return RenderSetup(
            settings=self._job.settings,
            geometry=self.geometry,
            spec=self.spec,
            transport=self.transport,
            first=self._first,
            first_digest=self._first_digest,
            open_s=self.open_s,
            in_full=self._job.in_full or self._renderer.difference is not None,
        )

    def sample(self) -> Iterator[Drawn[RawPayload]]:
        """Draw single frames until their cost is known."""
        while not self.cost.is_known:
            drawn = self.draw(1)
            if drawn is None:
                return
            yield drawn

    def frames_per_look(self) -> int:
        """Frames to draw between two looks at the clock."""
        by_time = int(LOOK_S / max(1e-6, self.cost.usual_s))
        return max(1, min(LOOK_FRAMES, by_time, LOOK_BYTES // self.spec.frame_bytes))

    @property
    def is_open(self) -> bool:
        """Whether frames can be drawn here."""
        return self._is_open

    def close(self) -> None:
        """Let go of the source in this process."""
        if self._is_open:
            self._is_open = False
            close_source(self._job.source)

    def abandon(self) -> None:
        """Let go of the source after a failure, whose error is the one to tell."""
        with contextlib.suppress(ScriptError):
            self.close()


MAX_THREADS = 4
"""Segments encoded at once: each costs the memory of an encoder."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one segment came to."""

    frames: int
    encode_s: float
    written_bytes: int
    place: Place | None = None
    write_s: float = 0.0


class _Inflow:
    """The frames of one segment on their way to its thread; None ends it."""

    def __init__(self) -> None:
        self.frames: SimpleQueue[RawPayload | Place | None] = SimpleQueue()
        self.is_dropped = False


class EncoderThreads:
    """Takes segments piece by piece, and has each encoded and written."""

    def __init__(
        self, spec: StreamSpec, writer: Writer, tally: Tally, *, cores: int, limit_bytes: int
    ) -> None:
        self._spec = spec
        self._writer = writer
        self._tally = tally
        self._limit_bytes = max(limit_bytes, spec.frame_bytes)
        self._executor = ThreadPoolExecutor(
            min(MAX_THREADS, max(1, cores)), thread_name_prefix="rayanim-encoder"
        )
        self._pending: deque[Future[_Told]] = deque()
        self._inflow: _Inflow | None = None
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._busy_s = 0.0
        self._encoded_frames = 0
        self._failure: BaseException | None = None

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be encoded."""
        return self._waiting_bytes // self._spec.frame_bytes

    @property
    def frame_s(self) -> float | None:
        """Processor seconds that a frame took to encode so far; None before any was.

        Not those of the clock: the thread shares the cores with the drawing.
        """
        return self._busy_s / self._encoded_frames if self._encoded_frames else None

    def begin(self) -> None:
        """The pieces that follow belong to a new segment."""
        inflow = self._inflow = _Inflow()
        self._pending.append(self._executor.submit(self._encode, inflow))

    def add(self, frames: RawPayload) -> None:
        """Frames of the segment that was begun; waits while too many wait."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            failure = self._failure
            self._waiting_bytes += 0 if failure else frames.nbytes
        if failure is not None:
            # Maybe of a segment behind a slow one, which is not settled for long.
            raise failure
        self.settle()
        self._into(frames)

    def end(self, place: Place) -> None:
        """All pieces of the segment were given."""
        self._into(place)
        self._inflow = None

    def drop(self) -> None:
        """Forget the segment that was begun."""
        if self._inflow is not None:
            self._inflow.is_dropped = True
            self._into(None)
            self._inflow = None

    def settle(self) -> bool:
        """Count what is encoded; whether that is all."""
        while self._pending and self._pending[0].done():
            self._count(self._pending.popleft())
        return not self._pending

    def finish(self) -> None:
        """Wait until everything is encoded and written."""
        while self._pending:
            self._count(self._pending.popleft())
        self._executor.shutdown()

    def abort(self) -> None:
        """Stop. Segments of which all pieces were given are still written."""
        self.drop()
        self._executor.shutdown(wait=True)

    def _has_room(self) -> bool:
        return self._failure is not None or self._waiting_bytes < self._limit_bytes

    def _into(self, piece: RawPayload | Place | None) -> None:
        if self._inflow is not None:
            self._inflow.frames.put(piece)

    def _count(self, future: Future[_Told]) -> None:
        told = future.result()
        self._tally.encoded(told.frames, told.encode_s, 0.0)
        self._tally.written(told.frames, told.written_bytes, told.write_s)
        if told.place is not None:
            self._tally.log.tell(PartKept.of(told.place, written_bytes=told.written_bytes))

    def _encode(self, inflow: _Inflow) -> _Told:
        from rayanim.video.encode import SegmentEncoder

        encode_s = 0.0
        try:
            encoder = SegmentEncoder(self._spec)
            try:
                while isinstance(piece := inflow.frames.get(), Place) is False:
                    if piece is None:
                        return _Told(0, 0.0, 0)
                    if inflow.is_dropped:
                        self._let_go(piece)  # type: ignore[arg-type]
                    else:
                        encode_s += self._encode_piece(encoder, piece)  # type: ignore[arg-type]
                began_s = time.perf_counter()
                segment = encoder.finish()
                encoded_s = time.perf_counter()
                encode_s += encoded_s - began_s
                written_bytes = self._writer.put(piece, segment)  # type: ignore[arg-type]
                write_s = time.perf_counter() - encoded_s
                return _Told(segment.n_frames, encode_s, written_bytes, piece, write_s)  # type: ignore[arg-type]
            finally:
                encoder.abort()
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    def _encode_piece(self, encoder: SegmentEncoder, piece: RawPayload) -> float:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        try:
            encoder.encode(piece)
        finally:
            took_s = time.perf_counter() - began_s
            cpu_s = time.thread_time() - began_cpu_s
            self._let_go(piece)
        with self._changed:
            self._busy_s += cpu_s
            self._encoded_frames += len(piece)
        return took_s

    def _let_go(self, piece: RawPayload) -> None:
        with self._changed:
            self._waiting_bytes -= piece.nbytes
            self._changed.notify_all()


ENCODER_QUEUE = 2
"""Segments that wait for the encoder's thread. At 1080p and eight frames a
segment that is 50 MB. It cannot deadlock: the thread waits for nobody."""


class EncoderThread:
    """The video's one encoder, in a thread of its own.

    FFmpeg releases Python's lock while it works.
    """

    def __init__(self, spec: StreamSpec, path: Path, tally: Tally) -> None:
        from rayanim.video.encode import VideoEncoder

        self._encoder = VideoEncoder(spec, path)
        self._tally = tally
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rayanim-encoder")
        self._pending: deque[tuple[int, Future[float]]] = deque()
        self._began_s = time.perf_counter()

    @property
    def queued_frames(self) -> int:
        """Frames that wait for the encoder."""
        return sum(frames for frames, _ in self._pending)

    def put(self, payload: RawPayload) -> None:
        """Hand over a segment, after those before it."""
        while len(self._pending) > ENCODER_QUEUE:
            self._settle()
        self._pending.append((len(payload), self._executor.submit(self._encode, payload)))
        while self._pending and self._pending[0][1].done():
            self._settle()

    def finish(self) -> int:
        """Encode what is left and close the file."""
        while self._pending:
            self._settle()
        began = time.perf_counter()
        file_bytes = self._executor.submit(self._encoder.finish).result()
        self._tally.encode_s += time.perf_counter() - began
        self._executor.shutdown()
        in_all_s = time.perf_counter() - self._began_s
        self._tally.wait_s = max(0.0, in_all_s - self._tally.encode_s)
        return file_bytes

    def abort(self) -> None:
        """Stop and remove the file."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._encoder.abort()

    def _encode(self, payload: RawPayload) -> float:
        began = time.perf_counter()
        self._encoder.encode(payload)
        return time.perf_counter() - began

    def _settle(self) -> None:
        frames, future = self._pending.popleft()
        self._tally.encoded(frames, future.result(), 0.0)


class Resumption:
    """What a job finds of an earlier one."""

    def __init__(self, job: Job, tally: Tally, inside: InProcess, keeper: Keeper) -> None:
        self._job = job
        self._tally = tally
        self._inside = inside
        self._keeper = keeper

    def open(self) -> PartStore:
        """Where parts are put; counts and tells what is there."""
        settings = self._job.settings
        longest = settings.performance.frame_batch_amount
        store = self._keeper.open(
            self._inside.spec,
            n_frames=self._tally.total,
            segment_frames=(
                "by the number of frames" if longest is None else f"{longest} frames at most"
            ),
            seed=settings.seed,
            sequential=settings.sequential,
            source_name=self._job.source.name,
            first_frame=self._inside.first_digest.hex(),
            tell=self._tally.event,
        )
        if self._keeper.resumed_frames:
            self._tell()
        return store

    def _tell(self) -> None:
        resumed = self._keeper.resumed_frames
        self._tally.resumed(resumed, self._keeper.resumed_bytes)
        of_all = "" if self._tally.total is None else f" of {self._tally.total:,}"
        self._tally.progress.message(f"{resumed:,}{of_all} frames are there already.")
        self._tally.tell()

    def missing(
        self, plan: Iterator[Segment], found: Callable[[tuple[int]], None]
    ) -> Iterator[Segment]:
        """The segments of `plan` of which there is no part; `found` is told of each other."""
        count = 0
        for segment in plan:
            count += 1
            is_there = self._keeper.take_up(segment)
            if is_there:
                found((segment.index,))
                continue
            if is_there is False:
                self._refuse(segment)
            yield segment
        self._tally.resumed(-self._keeper.end_at(count), 0)

    def _refuse(self, segment: Segment) -> None:
        info = self._keeper.info_of(segment)
        self._tally.resumed(-info.n_frames, -info.file_bytes)
        self._tally.event_once(
            f"The part of {segment.label} has another length or was drawn with other "
            "parameters, or with such as have no name to compare; it is drawn again.",
            "other parameters",
        )


FIRST_LOOK_FRAMES = 48
"""Frames that tell what a video takes."""

BORNE_OUT = 0.1
"""The share of the video that says enough of the rest."""

LOOK_EVERY_S = 10.0
"""Others write to the disk, too."""


class SpaceWatch:
    """Looks at the free space now and then."""

    def __init__(self, video: Path, tally: Tally, *, with_parts: bool = True) -> None:
        from rayanim.storage.store import check_space

        self._video = video
        self._tally = tally
        self._with_parts = with_parts
        self._next_look_s = 0.0
        check_space(video.parent, 1)

    def look(self) -> None:
        """Look, if it is time to."""
        from rayanim.storage.store import check_space, expected_bytes

        tally, now_s = self._tally, time.perf_counter()
        if tally.total is None or tally.written_frames < FIRST_LOOK_FRAMES:
            return
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        needed_bytes = expected_bytes(
            tally.written_bytes,
            tally.written_frames,
            tally.total,
            joined_bytes=self._video.stat().st_size if self._video.exists() else 0,
            with_parts=self._with_parts,
        )
        try:
            check_space(self._video.parent, needed_bytes)
        except OutputError as error:
            if tally.written_frames >= BORNE_OUT * tally.total:
                raise
            tally.event_once(f"If all frames are like the first ones: {error.message}", "space")
