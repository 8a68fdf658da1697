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
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Literal

from rayanim.engine.draw import (
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
from rayanim.engine.stats import JobEvents
from rayanim.engine.writing import Writer
from rayanim.errors import (
    HistoryError,
    OutputError,
    ParametersError,
    RedrawError,
    ScriptError,
    SettingsError,
)
from rayanim.events import (
    FramesDrawn,
    FramesEncoded,
    FramesRejected,
    JobResumed,
    PartKept,
    Progressed,
    StatusShown,
    VideoClosed,
)
from rayanim.figure.draw_stats import DrawMonitor
from rayanim.parameters import Batch, Feed, PushedBack
from rayanim.settings import Transport

if TYPE_CHECKING:
    from rayanim.engine.job import Job
    from rayanim.storage.segments import SegmentFolder, SegmentStore
    from rayanim.video.encode import SegmentEncoder
    from rayanim.video.spec import StreamSpec

LAID_OUT = "a layout engine runs in every frame, from where the frame before left the axes"
"""Why all frames of such a figure are drawn in one process."""

STEP_S = 0.2
"""Seconds of drawing between two updates of progress and of the choice where to draw."""

STEP_BYTES = 16 * 2**20
"""Bytes of frames drawn in one step: five frames at 1920x1080 yuv420p."""

STEP_FRAMES = 64
"""Frames drawn in one step at most."""


class InProcess:
    """Draws the frames of a job in this process.

    Opening the source, measuring its first frame and trying the encoder out
    happen here, so whatever is wrong with them is reported before an actor starts.
    """

    def __init__(self, job: Job, events: JobEvents) -> None:
        self._job = job
        settings = job.settings
        self._events = events
        self._at = 0
        self._index = 0
        self._is_open = False
        self._made_s = 0.0
        self._ahead: Batch = self._take(1)
        if not len(self._ahead):
            has_parameters = job.feed.name == "param_by_frame"
            advice = " Give param_by_frame at least one entry." if has_parameters else ""
            raise ParametersError(f"There is nothing to render: the video has no frames.{advice}")
        first = self._ahead
        number = first.numbers[0]
        params = None if first.params is None else first.params[0]
        began = time.perf_counter()
        open_source(job.source, settings.seed, None)
        self.open_s = time.perf_counter() - began
        self._first = first
        self._first_digest: bytes | None = None
        self._is_open = True
        self._measured = DrawMonitor()
        try:
            with self._measured.open(), self._measured.frame(number):
                self.geometry = measure_source(job.source, settings.seed, number, params)
            self.spec: StreamSpec = job.make_spec(self.geometry)
            self.transport, self.transport_reason = choose_transport(
                self.spec, settings.transport, job.source.stays
            )
            self._probe_encoder()
        except BaseException:
            self.abandon()
            raise
        self._renderer = SegmentRenderer(job.source, self.spec, settings.seed)
        if job.in_full:
            self._renderer.draw_in_full_from_now()
        self._history: HistoryCheck | None = None
        self._history_budget = HistoryBudget()
        known_ms = job.settings.performance.draw_ms
        self.cost = FrameCost(None if known_ms is None else known_ms / 1000)

    def _probe_encoder(self) -> None:
        from rayanim.video.codecs import probe
        from rayanim.video.encode import segment_spec

        probe(self.spec if self.transport == "frames" else segment_spec(self.spec))

    @property
    def stays(self) -> str | None:
        """Why no frame may be drawn elsewhere, or None."""
        if self._job.source.stays is not None:
            return self._job.source.stays
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
            batch = self._take(count)
        if not len(batch):
            return None
        segment = Segment(self._index, self._at, self._at + len(batch), batch)
        before = self._events.stats.timings
        payload, timings = self._renderer.render(segment)
        timings = replace(timings, draw_s=timings.draw_s + self._made_s)
        self._redraw_all()
        self._index += 1
        self._at = segment.stop
        self._count(payload, timings)
        self._events.drawn_here(segment, before)
        return Drawn(segment, payload)

    def _take(self, count: int) -> Batch:
        """The next frames of the feed."""
        began_s = time.perf_counter()
        batch = self._job.feed.take(count)
        # A generator of frames draws in here.
        self._made_s = 0.0 if self._job.source.stays is None else time.perf_counter() - began_s
        return batch

    def draw_some(self, frames: Segment) -> RawPayload | None:
        """Draw some frames of a segment; None where one was found to differ from a full draw."""
        payload, timings = self._renderer.collect(frames, RawFrames(self.spec, len(frames)))
        self._redraw_all()
        self._count(payload, timings)
        return None if self._renderer.differs_now() else payload

    def sample(self) -> Iterator[Drawn[RawPayload]]:
        """Draw single frames until their cost is known."""
        while not self.cost.is_known:
            drawn = self.draw(1)
            if drawn is None:
                return
            yield drawn

    def frames_per_step(self) -> int:
        """Frames to draw until progress and the choice where to draw are updated."""
        if not self.cost.is_known:
            return 1
        by_time = int(STEP_S / max(1e-6, self.cost.usual_s))
        return max(1, min(STEP_FRAMES, by_time, STEP_BYTES // self.spec.frame_bytes))

    def place_of(self, segment: Segment) -> Place:
        """Where a segment stands, named by its frames and parameters."""
        from rayanim.storage.fingerprint import batch_digest

        return segment.place(batch_digest(segment.batch.numbers, segment.batch.params))

    def history_of(self, segment: Segment, first: list[RawPayload]) -> HistoryError | None:
        """The error for a frame that depends on those drawn before, if one is checked and does."""
        if self._history is None:
            self._history = HistoryCheck(self._renderer, self.spec, self._job.source.name)
        self._history.remember(segment, first)
        is_due = self._history_budget.is_due(self._events.stats.timings.frames)
        return self._history.compare() if is_due else None

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

    @property
    def is_open(self) -> bool:
        """Whether frames can be drawn here."""
        return self._is_open

    def close(self) -> None:
        """Close the source in this process."""
        if self._is_open:
            self._is_open = False
            close_source(self._job.source)

    def abandon(self) -> None:
        """Close the source after a failure, whose error is the one to report."""
        with contextlib.suppress(ScriptError):
            self.close()

    def _redraw_all(self) -> None:
        """After a difference, have the frames drawn before it drawn again, too."""
        if self._renderer.difference is not None and self._job.may_redraw:
            raise RedrawError(self._renderer.difference)

    def _count(self, payload: RawPayload, timings: Timings) -> None:
        self._events.emit(FramesDrawn(timings=timings))
        self.cost.add(timings.frames, timings.draw_s + timings.convert_s)
        if self._first_digest is None:
            self._first_digest = digest_of(payload[0])


SAMPLE_S = 0.5
"""Seconds of drawing after which the cost of a frame is known."""

SAMPLE_FRAMES = 9
"""Frames that are drawn for it at least.

The first one fills matplotlib's caches, and up to the fifth a figure that is
drawn incrementally is drawn in full, to record its artists and to compare: they
take ten times what the others do.
"""

SAMPLE_LIMIT_S = 3.0
"""Seconds after which fewer frames must do: of slow drawing, which Ray will repay."""

RECENT_STEPS = 5
"""Steps whose median is the cost of a frame: single full draws and pauses do not count."""


class FrameCost:
    """Seconds per frame, measured as frames are drawn, or known from the settings."""

    def __init__(self, known_s: float | None = None) -> None:
        self._known_s = known_s
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._first: list[float] = []
        self._frames = 0
        self._spent_s = 0.0

    def add(self, frames: int, busy_s: float) -> None:
        """So many frames took `busy_s`."""
        if frames <= 0:
            return
        if self._frames < SAMPLE_FRAMES:
            self._first += [busy_s / frames] * frames
        self._recent.append(busy_s / frames)
        self._frames += frames
        self._spent_s += busy_s

    @property
    def is_known(self) -> bool:
        """Whether enough was drawn, or the settings say it."""
        return self._known_s is not None or self._is_measured

    @property
    def _is_measured(self) -> bool:
        if self._spent_s >= SAMPLE_LIMIT_S:
            return self._frames > 1
        return self._frames >= SAMPLE_FRAMES and self._spent_s >= SAMPLE_S

    @property
    def usual_s(self) -> float:
        """Seconds that a frame has taken recently; 0 before the first where nothing is known."""
        if self._known_s is not None and self._frames < SAMPLE_FRAMES and not self._is_measured:
            return self._known_s
        return self._recent_s

    @property
    def warm_up_s(self) -> float:
        """What the first frames took more than usual: each actor will need it, too."""
        return sum(max(0.0, cost_s - self._recent_s) for cost_s in self._first)

    @property
    def _recent_s(self) -> float:
        return median(self._recent) if self._recent else 0.0


def choose_transport(
    spec: StreamSpec, asked: Transport | Literal["auto"], stays: str | None = None
) -> tuple[Transport, str]:
    """The transport, and why; `stays` as in `Source`."""
    from rayanim.video.encode import why_not_joinable

    if stays is not None:
        return "frames", stays
    reason = why_not_joinable(spec)
    if asked == "segments" and reason is not None:
        raise SettingsError(f"transport='segments' does not go here: {reason}. Use 'frames'.")
    if asked != "auto":
        return asked, f"transport={asked!r} was asked for"
    if reason is not None:
        return "frames", reason
    return "segments", "closed segments of this stream can be joined"


MAX_THREADS = 4
"""Segments encoded at once: each costs the memory of an encoder."""


@dataclass(slots=True)
class _Incoming:
    """A segment whose frames go to its thread; its place ends it, None drops it."""

    queue: SimpleQueue[RawPayload | Place | None] = field(default_factory=SimpleQueue)
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A segment that was encoded and written."""

    place: Place
    encode_s: float
    write_s: float
    written_bytes: int


class EncoderThreads:
    """Takes segments some frames at a time, and has each encoded and written."""

    def __init__(
        self, spec: StreamSpec, writer: Writer, events: JobEvents, *, cores: int, limit_bytes: int
    ) -> None:
        self._spec = spec
        self._writer = writer
        self._events = events
        self._limit_bytes = max(limit_bytes, spec.frame_bytes)
        self._executor = ThreadPoolExecutor(
            min(MAX_THREADS, max(1, cores)), thread_name_prefix="rayanim-encoder"
        )
        self._pending: deque[Future[_Encoded | None]] = deque()
        self._incoming: _Incoming | None = None
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
        """The frames that follow belong to a new segment."""
        self._incoming = _Incoming()
        self._pending.append(self._executor.submit(self._encode, self._incoming))

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
        self._send(frames)

    def end(self, place: Place) -> None:
        """All frames of the segment were given."""
        self._send(place)
        self._incoming = None

    def drop(self) -> None:
        """Forget the segment that was begun."""
        if self._incoming is not None:
            self._incoming.is_dropped = True
            self._send(None)
            self._incoming = None

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
        """Stop. Segments of which all frames were given are still written."""
        self.drop()
        self._executor.shutdown(wait=True)

    def _has_room(self) -> bool:
        return self._failure is not None or self._waiting_bytes < self._limit_bytes

    def _send(self, item: RawPayload | Place | None) -> None:
        if self._incoming is not None:
            self._incoming.queue.put(item)

    def _count(self, future: Future[_Encoded | None]) -> None:
        encoded = future.result()
        if encoded is None:
            return
        self._events.emit(
            PartKept.of(
                encoded.place,
                written_bytes=encoded.written_bytes,
                encode_s=encoded.encode_s,
                write_s=encoded.write_s,
            )
        )

    def _encode(self, incoming: _Incoming) -> _Encoded | None:
        """Encode and write one segment, in a thread; None where it was dropped."""
        from rayanim.video.encode import SegmentEncoder

        encode_s = 0.0
        try:
            encoder = SegmentEncoder(self._spec)
            try:
                while not isinstance(item := incoming.queue.get(), Place):
                    if item is None:
                        return None
                    if incoming.is_dropped:
                        self._free(item)
                    else:
                        encode_s += self._encode_frames(encoder, item)
                began_s = time.perf_counter()
                segment = encoder.finish()
                encoded_s = time.perf_counter()
                encode_s += encoded_s - began_s
                written_bytes = self._writer.put(item, segment)
                write_s = time.perf_counter() - encoded_s
                return _Encoded(item, encode_s, write_s, written_bytes)
            finally:
                encoder.abort()
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    def _encode_frames(self, encoder: SegmentEncoder, frames: RawPayload) -> float:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        try:
            encoder.encode(frames)
        finally:
            took_s = time.perf_counter() - began_s
            cpu_s = time.thread_time() - began_cpu_s
            self._free(frames)
        with self._changed:
            self._busy_s += cpu_s
            self._encoded_frames += len(frames)
        return took_s

    def _free(self, frames: RawPayload) -> None:
        with self._changed:
            self._waiting_bytes -= frames.nbytes
            self._changed.notify_all()


ENCODER_QUEUE = 2
"""Segments that wait for the encoder's thread. At 1080p and eight frames a
segment that is 50 MB. It cannot deadlock: the thread waits for nothing else."""


class EncoderThread:
    """The video's one encoder, in a thread of its own.

    FFmpeg releases Python's lock while it works.
    """

    def __init__(self, spec: StreamSpec, path: Path, events: JobEvents) -> None:
        from rayanim.video.encode import VideoEncoder

        self._encoder = VideoEncoder(spec, path)
        self._events = events
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
        encode_s = time.perf_counter() - began
        self._executor.shutdown()
        in_all_s = time.perf_counter() - self._began_s
        wait_s = max(0.0, in_all_s - self._events.stats.encode_s - encode_s)
        self._events.emit(VideoClosed(encode_s=encode_s, wait_s=wait_s))
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
        self._events.emit(FramesEncoded(frames=frames, encode_s=future.result()))


class Resumption:
    """What a job finds of an earlier one."""

    def __init__(
        self, job: Job, events: JobEvents, inside: InProcess, segment_store: SegmentStore
    ) -> None:
        self._job = job
        self._events = events
        self._inside = inside
        self._segment_store = segment_store

    def open(self) -> SegmentFolder:
        """Where segment files are put; counts and reports what is there."""
        settings = self._job.settings
        longest = settings.performance.frame_batch_amount
        store = self._segment_store.open(
            self._inside.spec,
            n_frames=self._events.stats.total,
            segment_frames=(
                "by the number of frames" if longest is None else f"{longest} frames at most"
            ),
            seed=settings.seed,
            sequential=settings.sequential,
            source_name=self._job.source.name,
            first_frame=self._inside.first_digest.hex(),
            log=self._events.notice,
        )
        if self._segment_store.resumed_frames:
            self._report()
        return store

    def _report(self) -> None:
        resumed = self._segment_store.resumed_frames
        written_bytes = self._segment_store.resumed_bytes
        self._events.emit(JobResumed(frames=resumed, written_bytes=written_bytes))
        total = self._events.stats.total
        of_all = "" if total is None else f" of {total:,}"
        self._events.emit(StatusShown(text=f"Resuming: {resumed:,}{of_all} frames are finished."))
        self._events.emit(Progressed())

    def missing(
        self, plan: Iterator[Segment], found: Callable[[tuple[int]], None]
    ) -> Iterator[Segment]:
        """The segments of `plan` that have no file; `found` is called for each other."""
        count = 0
        for segment in plan:
            count += 1
            is_there = self._segment_store.take_up(segment)
            if is_there:
                found((segment.index,))
                continue
            if is_there is False:
                self._draw_again(segment)
            yield segment
        surplus = self._segment_store.end_at(count)
        if surplus:
            self._events.emit(FramesRejected(frames=surplus, written_bytes=0))

    def _draw_again(self, segment: Segment) -> None:
        info = self._segment_store.info_of(segment)
        self._events.emit(FramesRejected(frames=info.n_frames, written_bytes=info.file_bytes))
        self._events.notice_once(
            f"The part of {segment.label} has another length or was drawn with other "
            "parameters, or with such as have no name to compare; it is drawn again.",
            "other parameters",
        )


MIN_MEASURED_FRAMES = 48
"""Written frames after which the size of the whole video is estimated."""

RELIABLE_SHARE = 0.1
"""A full disk ends the job only after this share of the video: earlier estimates are unreliable."""

CHECK_EVERY_S = 10.0
"""Other programs write to the disk, too."""


class SpaceWatch:
    """Checks now and then whether the disk has room for the rest of the video."""

    def __init__(self, video: Path, events: JobEvents, *, with_parts: bool = True) -> None:
        from rayanim.storage.store import check_space

        self._video = video
        self._events = events
        self._with_parts = with_parts
        self._next_check_s = 0.0
        check_space(video.parent, 1)

    def check(self) -> None:
        """Check, if it is time to."""
        from rayanim.storage.store import check_space, expected_bytes

        stats, now_s = self._events.stats, time.perf_counter()
        if stats.total is None or stats.written_frames < MIN_MEASURED_FRAMES:
            return
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + CHECK_EVERY_S
        needed_bytes = expected_bytes(
            stats.written_bytes,
            stats.written_frames,
            stats.total,
            joined_bytes=self._video.stat().st_size if self._video.exists() else 0,
            with_parts=self._with_parts,
        )
        try:
            check_space(self._video.parent, needed_bytes)
        except OutputError as error:
            if stats.written_frames >= RELIABLE_SHARE * stats.total:
                raise
            self._events.notice_once(
                f"If all frames are like the first ones: {error.message}", "space"
            )
