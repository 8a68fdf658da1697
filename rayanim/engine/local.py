"""Draws frames in this process, with the same render step as an actor.

It is also how every job begins: the first frames show the user's mistakes with
a clean traceback and measure what a frame costs.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from rayanim.animations import is_animation_source
from rayanim.engine.audit import FrameMark
from rayanim.engine.draw import (
    ChunkRenderer,
    Frame,
    OrderTest,
    RawPayload,
    RenderSetup,
    Replay,
    close_source,
    find_jump,
    measure_source,
    open_source,
    opened,
)
from rayanim.engine.packing import PackedSource, classes_apart, copied, unpickled
from rayanim.engine.plan import Chunk, Segment, SegmentPlan
from rayanim.engine.stats import JobEvents
from rayanim.engine.writing import SegmentWriter, Writer
from rayanim.errors import (
    EncodeError,
    OutputError,
    ParametersError,
    RedrawError,
    ScriptError,
    SettingsError,
)
from rayanim.events import (
    ChunkDrawn,
    FrameAudited,
    FramesRejected,
    JobResumed,
    Progressed,
    SegmentEncoded,
    SegmentResumed,
    SegmentStored,
    StatusShown,
)
from rayanim.figure.draw_stats import DrawMonitor
from rayanim.parameters import Batch, Feed, PushedBack
from rayanim.settings import Transport
from rayanim.sources import SequentialSource, only_forward

if TYPE_CHECKING:
    from rayanim.engine.cached import CachedSegments
    from rayanim.engine.job import Job
    from rayanim.sources import Source
    from rayanim.storage.segments import SegmentFolder
    from rayanim.video.spec import StreamSpec

DEPENDS = (
    "frames depend on those before them, and actors cannot be given the parameters of the "
    "frames that they skip"
)
"""Why all frames of such a video are drawn in one process."""

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

    def __init__(
        self,
        job: Job,
        events: JobEvents,
        cached: CachedSegments,
        pristine: PackedSource | None = None,
    ) -> None:
        from rayanim.video.codecs import probe
        from rayanim.video.encode import segment_spec

        self.job = job
        self.cached = cached
        self.pristine = pristine
        """The source as it was before it was opened, where that is known."""
        settings = job.settings
        self.events = events
        self._is_open = False
        self.must_stay: str | None = None
        """Why frames cannot be drawn elsewhere, as far as that was found out."""
        began_s = time.perf_counter()
        self._first = first = job.feed.take(1)
        self._made_s = 0.0 if job.source.stays is None else time.perf_counter() - began_s
        if not len(first):
            has_parameters = job.feed.name == "param_by_frame"
            advice = " Give param_by_frame at least one entry." if has_parameters else ""
            raise ParametersError(f"There is nothing to render: the video has no frames.{advice}")
        ((number, params),) = first.frames()
        self._source = self._source_of(job)
        began_s = time.perf_counter()
        with cached.opened_by_setup:
            open_source(self._source, settings.seed, None)
        self.open_s = time.perf_counter() - began_s
        self.first_mark: FrameMark
        """Of the video's first frame, once it was drawn."""
        self.first_draw_s = 0.0
        """Seconds that the first frame took."""
        self.last = -1
        """The last frame that was drawn here."""
        # Frames that were drawn before their turn, by position, and what they were drawn from.
        self._held: dict[int, RawPayload] = {}
        self._ahead = first.kept()
        self._is_open = True
        self._measured = DrawMonitor()
        try:
            with self._measured.open(), self._measured.frame(number), cached.opened:
                self.geometry = measure_source(self._source, settings.seed, number, params)
            self.spec: StreamSpec = job.make_spec(self.geometry, number)
            self.transport, self.transport_reason = choose_transport(
                self.spec, settings.transport, job.source.stays
            )
            probe(self.spec if self.transport == "frames" else segment_spec(self.spec))
        except BaseException:
            self.abandon()
            raise
        cached.begin(self._source)
        self._drawing_settings = replace(settings, cache=cached.is_active)
        """Those of what draws: without the cache, nothing is noted for it."""
        self._renderer = ChunkRenderer(
            self._source,
            self.spec,
            self._drawing_settings,
            in_full=job.in_full,
            opened=cached.opened,
        )
        self.order_test = OrderTest(self.spec, settings)
        known_ms = job.settings.performance.draw_ms
        self.cost = FrameCost(None if known_ms is None else known_ms / 1000)

    def _source_of(self, job: Job) -> Source:
        """The source; where frames are left out, their updates run all the same."""
        settings, source = job.settings, job.source
        skips = job.feed.is_selection or settings.resume or self.cached.is_active
        if not skips or settings.independent or settings.sequential or source.stays is not None:
            return source
        return SequentialSource(source, settings.seed, job.params_by_number(), only_forward)

    @property
    def stays(self) -> str | None:
        """Why no frame may be drawn elsewhere, or None."""
        if self.job.source.stays is not None:
            return self.job.source.stays
        if self.must_stay is not None:
            return self.must_stay
        lays_out = self._measured.lays_out or self._renderer.lays_out
        return LAID_OUT if lays_out and not self.job.settings.sequential else None

    @property
    def feed(self) -> Feed:
        """The video's frames; to be asked for once."""
        return PushedBack(self._ahead, self.job.feed)

    def draw_first(self) -> None:
        """Draw the video's first frame, and what the palette of a GIF is chosen from.

        They stay in `feed`.
        """
        self._draw_ahead(self._first, 0)
        self.first_mark = FrameMark.of(self._first.numbers[0], self.held(0), self.spec)
        if any(each.container == "gif" for each in self.spec.outputs):
            from rayanim.engine.palette import with_palettes

            self.spec = with_palettes(self)

    def draw_ahead(self, position: int) -> bool:
        """Have the frame there drawn before its turn, after all before it; False without one."""
        if position in self._held:
            return True
        batch = self.job.feed.take(1)
        if len(batch):
            self._ahead += batch.kept()
            self._draw_ahead(batch, position)
        return bool(len(batch))

    def _draw_ahead(self, batch: Batch, at: int) -> None:
        chunk = Chunk(at, at, at + 1, batch)
        self.cross_gap(chunk)
        self._held[at] = self.draw(chunk)

    def is_held(self, chunk: Chunk) -> bool:
        """Whether `chunk` is a frame that was drawn before its turn."""
        return len(chunk) == 1 and chunk.start in self._held

    def held(self, position: int) -> Frame:
        """A frame that was drawn before its turn."""
        frame: Frame = self._held[position][0]
        return frame

    def draw(self, chunk: Chunk) -> RawPayload:
        if self.is_held(chunk):
            return self._held.pop(chunk.start)
        frames, timings = self._renderer.render(chunk)
        if self._renderer.difference is not None and self.job.may_redraw:
            # The frames before may be wrong as well.
            raise RedrawError(self._renderer.difference, in_full=True)
        timings = replace(timings, draw_s=timings.draw_s + self._made_s)
        self._made_s = 0.0
        self.cost.add(timings.frames, timings.draw_s + timings.convert_s)
        self.first_draw_s = self.first_draw_s or timings.draw_s
        self.cached.note(self._renderer.noted)
        self.events.emit(ChunkDrawn.timed(chunk, timings, actor=None))
        self.order_test.remember(chunk, frames)
        self.last = chunk.batch.numbers[-1]
        return frames

    def audit_cached(self, batch: Batch) -> None:
        """Draw some frames of a segment that the cache has, and compare."""
        for before, one in self.cached.take_marked(batch.numbers[-1] + 1):
            ((number, params),) = one.frames()
            here = self._renderer.mark(number, params)
            self.last = number
            self.events.emit(FrameAudited(frame=number))
            self.cached.check(here, before)

    def take(self, plan: SegmentPlan) -> Chunk | None:
        """The chunk to draw next, as long as fits between two updates of progress."""
        began_s = time.perf_counter()
        # The first frames may have been drawn, each alone.
        is_first = not plan.next_frame or plan.next_frame in self._held
        chunk = plan.take(1 if is_first else self.frames_per_step())
        # A generator of frames draws in here.
        self._made_s = 0.0 if self.job.source.stays is None else time.perf_counter() - began_s
        return chunk

    def frames_per_step(self) -> int:
        """Frames to draw until progress and the choice where to draw are updated."""
        # The script's own animation can be drawn again as it stands, but not reached again, and
        # a generator may go on changing what it has given.
        is_animation = is_animation_source(self.job.source)
        if not self.cost.is_known or is_animation or self._first.is_borrowed:
            return 1
        by_time = int(STEP_S / max(1e-6, self.cost.usual_s))
        return max(1, min(STEP_FRAMES, by_time, STEP_BYTES // self.spec.frame_bytes))

    def setup(self) -> RenderSetup:
        """What render actors need to draw the same frames; after the first was drawn."""
        return RenderSetup(
            settings=self._drawing_settings,
            geometry=self.geometry,
            spec=self.spec,
            first=self._ahead[:1],
            first_mark=self.first_mark,
            open_s=self.open_s,
            in_full=self.job.in_full or self._renderer.difference is not None,
        )

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            close_source(self._source)

    def abandon(self) -> None:
        """Close the source after a failure, whose error is the one to report."""
        with contextlib.suppress(ScriptError):
            self.close()

    def cross_gap(self, chunk: Chunk) -> None:
        """Before `chunk` is drawn: find whether costly updates up to it must run."""
        index, source = chunk.batch.numbers[0], self._source
        job, settings = self.job, self.job.settings
        # For the cache a test on some frames is no proof.
        skips = (job.feed.is_selection or settings.resume) and not settings.sequential
        if isinstance(source, SequentialSource) and skips and self.pristine is not None:
            fresh = copied(self.pristine)
            find_jump(source, index, self._renderer, self.order_test, fresh, self.geometry)

    def reference(self, packed: PackedSource, replay: Replay | None) -> Reference:
        """What the frames of actors are compared with; this process's source serves it from now."""
        source = self._source
        if replay is None and isinstance(source, SequentialSource) and self.cached.is_active:
            # What was put before it runs the updates that are skipped; actors jump.
            source = self.job.source
        return Reference(self.job, self.setup(), source, packed, replay, self.last)


class Reference:
    """Draws frames that actors have drawn, in this process."""

    def __init__(
        self,
        job: Job,
        setup: RenderSetup,
        source: Source,
        packed: PackedSource,
        replay: Replay | None,
        last: int,
    ) -> None:
        self._setup = setup
        self._packed = packed
        self._replay = replay
        if replay is not None:
            params = job.params_by_number()
            source = SequentialSource(
                source, job.settings.seed, params, only_forward, done=last + 1
            )
        self._renderer = self._renderer_of(source, in_full=True)

    def draw(self, number: int, params: Any) -> FrameMark:
        """Draw a frame in full, going on from those that were drawn here."""
        return self._renderer.mark(number, params)

    def draw_as_actor(self, batch: Batch, *, in_full: bool) -> FrameMark:
        """Begin again with a new source, as an actor does, and draw `batch`; its last frame."""
        setup, seed = self._setup, self._setup.settings.seed
        with classes_apart(), copied(self._packed) as source:
            if self._replay is not None:
                again = functools.partial(unpickled, self._packed)
                source = self._replay.of(source, seed, again) or source
            with opened(source, seed, setup.geometry):
                renderer = self._renderer_of(source, in_full=in_full)
                for number, params in [*setup.first.frames(), *batch.frames()]:
                    mark = renderer.mark(number, params)
                return mark

    def _renderer_of(self, source: Source, *, in_full: bool) -> ChunkRenderer:
        setup = self._setup
        return ChunkRenderer(source, setup.spec, setup.settings, is_audited=True, in_full=in_full)


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
    return "segments", "this kind of video allows it"


MAX_THREADS = 4
"""Segments encoded at once: each costs the memory of an encoder."""


WhenEncoded = Callable[[Chunk, float, float], None]
"""Called with a chunk, the seconds that its encoder took, and those it had waited."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames on their way to an encoder; `when_encoded` frees what they hold."""

    chunk: Chunk
    frames: RawPayload
    when_encoded: WhenEncoded | None


class Encoders:
    """An encoder for each segment, in threads of this process, fed with its frames in order.

    FFmpeg releases Python's lock while it works. The frames may have been drawn
    here or by actors: the encoder gets the same, so it gives the same.
    """

    def __init__(
        self, spec: StreamSpec, writer: Writer, events: JobEvents, *, cores: int, limit_bytes: int
    ) -> None:
        self._frame_bytes = spec.frame_bytes
        self._writer = writer
        self._events = events
        self._limit_bytes = max(limit_bytes, spec.frame_bytes)
        self.width = min(MAX_THREADS, max(1, cores))
        """Segments that are encoded at once."""
        self._executor = ThreadPoolExecutor(self.width, thread_name_prefix="rayanim-encoder")
        # The frames of each segment that is not ended; it ends with the segment, or with None.
        self._incoming: dict[int, SimpleQueue[_Frames | Segment | None]] = {}
        self._running: list[Future[None]] = []
        # What the threads have done, to be called by the thread that gives frames.
        self._done: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._busy_s = 0.0
        self._encoded_frames = 0
        self._failure: BaseException | None = None

    @property
    def queued_frames(self) -> int:
        return self._waiting_bytes // self._frame_bytes

    @property
    def frame_s(self) -> float | None:
        """Seconds for which a frame kept its encoder busy so far; None before any was.

        By the clock: libx264 and libvpx work in threads of their own, whose processor
        time is not this thread's.
        """
        return self._busy_s / self._encoded_frames if self._encoded_frames else None

    def add(
        self, chunk: Chunk, frames: RawPayload, when_encoded: WhenEncoded | None = None
    ) -> None:
        """The next frames of a segment; `when_encoded` is called by `settle`."""
        self._check()
        incoming = self._incoming.get(chunk.segment.index)
        if incoming is None:
            incoming = self._incoming[chunk.segment.index] = SimpleQueue()
            n_frames = len(chunk.segment)
            self._running.append(self._executor.submit(self._work, incoming, n_frames))
        with self._changed:
            self._waiting_bytes += frames.nbytes
        incoming.put(_Frames(chunk, frames, when_encoded))

    def end(self, segment: Segment) -> None:
        """All frames of `segment` were given."""
        self._incoming.pop(segment.index).put(segment)

    def wait_for_room(self) -> None:
        """Wait while too many frames wait."""
        while True:
            with self._changed:
                if self._changed.wait_for(self._has_room, STEP_S):
                    return
            self._events.emit(Progressed(queued_frames=self.queued_frames))

    def settle(self) -> bool:
        """Count what is encoded; whether that is all."""
        self._running = [each for each in self._running if not each.done()]
        while not self._done.empty():
            self._done.get()()
        self._check()
        return not self._running and self._done.empty()

    def finish(self) -> None:
        """Wait until everything is encoded and written; each segment was ended."""
        while not self.settle():
            wait(self._running, timeout=STEP_S)
            self._events.emit(Progressed(queued_frames=self.queued_frames))
        self._executor.shutdown()

    def abort(self) -> None:
        """Stop. Segments of which all frames were given are still written, others dropped."""
        for incoming in self._incoming.values():
            with contextlib.suppress(Empty):
                while True:
                    incoming.get_nowait()
            incoming.put(None)
        self._incoming.clear()
        self._executor.shutdown(wait=True)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _has_room(self) -> bool:
        return self._failure is not None or self._waiting_bytes < self._limit_bytes

    def _taken(self, sent: _Frames, encode_s: float, wait_s: float) -> None:
        self._events.emit(SegmentEncoded.of(sent.chunk, encode_s=encode_s, wait_s=wait_s))
        if sent.when_encoded is not None:
            sent.when_encoded(sent.chunk, encode_s, wait_s)

    def _work(self, incoming: SimpleQueue[_Frames | Segment | None], n_frames: int) -> None:
        """Encode and write one segment, in a thread."""
        try:
            encoder = self._writer.encoder(n_frames)
            try:
                self._encode(encoder, incoming)
            finally:
                encoder.abort()
        except BaseException as error:
            # Raised by the next call of the thread that gives frames.
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()

    def _encode(self, encoder: Any, incoming: SimpleQueue[_Frames | Segment | None]) -> None:
        at: int | None = None
        waits_since_s = time.perf_counter()
        while isinstance(item := incoming.get(), _Frames):
            began_s = time.perf_counter()
            _check_order(item.chunk.start, item.chunk.segment.start if at is None else at)
            encoder.encode(item.frames)
            wait_s, waits_since_s = began_s - waits_since_s, time.perf_counter()
            encode_s, at = waits_since_s - began_s, item.chunk.stop
            self._count(item.frames, encode_s)
            self._done.put(functools.partial(self._taken, item, encode_s, wait_s))
        if item is None:
            return
        _check_order(item.stop, at)
        began_s = time.perf_counter()
        encoded = encoder.finish()
        encoded_s = time.perf_counter()
        with self._changed:
            self._busy_s += encoded_s - began_s
        written_bytes = self._writer.put(item, encoded)
        stored = SegmentStored.of(
            item,
            written_bytes=written_bytes,
            encode_s=encoded_s - began_s,
            write_s=time.perf_counter() - encoded_s,
        )
        self._done.put(functools.partial(self._events.emit, stored))

    def _count(self, frames: RawPayload, encode_s: float) -> None:
        """An encoder has taken frames: their bytes are free."""
        with self._changed:
            self._busy_s += encode_s
            self._encoded_frames += len(frames)
            self._waiting_bytes -= frames.nbytes
            self._changed.notify_all()


def _check_order(frame: int, expected: int | None) -> None:
    """An encoder would take frames in any order, and the video would be another one."""
    if frame != expected:
        raise EncodeError(f"Frame {frame} came to the encoder where {expected} was expected.")


class Resumption:
    """What a job finds of an earlier one."""

    def __init__(self, inside: InProcess) -> None:
        self._inside = inside
        self._events = inside.events
        self._segment_store = inside.job.segment_store
        self.audits_here = True
        """Whether this process draws the frames that follow, and frames of the cache with them."""

    def open(self, longest: int) -> SegmentFolder:
        """Where segment files are put; counts and reports what is there."""
        settings = self._inside.job.settings
        asked = settings.performance.frame_batch_amount
        store = self._segment_store.open(
            self._inside.spec,
            n_frames=self._events.stats.total,
            segment_frames=(
                "by the number of frames" if asked is None else f"{asked} frames at most"
            ),
            seed=settings.seed,
            source_name=self._inside.job.source.name,
            first_frame=self._inside.first_mark.digest.hex(),
            log=self._events.notice,
        )
        inside = self._inside
        found = inside.cached.find(inside, longest, store, inside.pristine)
        self._segment_store.take_up_cached(found, inside.cached.keep)
        if self._segment_store.finished:
            self._report(is_cached=bool(found))
        return store

    def _report(self, *, is_cached: bool) -> None:
        finished = self._segment_store.finished.values()
        resumed = sum(info.n_frames for info in finished)
        written_bytes = sum(info.file_bytes for info in finished)
        cached = resumed if is_cached else 0
        event = JobResumed(frames=resumed, cached_frames=cached, written_bytes=written_bytes)
        self._events.emit(event)
        total = self._events.stats.total
        of_all = "" if total is None else f" of {total:,}"
        text = f"Resuming: {resumed:,}{of_all} frames are finished."
        if is_cached:
            text = f"{resumed:,}{of_all} frames are in the cache."
        self._events.emit(StatusShown(text=text))
        self._events.emit(Progressed())

    def leave_out_finished(self, plan: SegmentPlan, writer: SegmentWriter) -> None:
        """Have `plan` leave out the segments that an earlier job has finished."""

        def is_done(segment: Segment, batch: Batch) -> bool:
            is_there = self._segment_store.take_up(segment, batch)
            if is_there:
                if self.audits_here:
                    self._inside.audit_cached(batch)
                writer.found((segment.index,))
                self._events.emit(SegmentResumed.of(segment))
            else:
                self._draw_again(segment.index, Chunk(0, segment.start, segment.stop, batch))
            return bool(is_there)

        plan.leave_out(self._segment_store.finished.__contains__, is_done)

    def end_at(self, segments: int) -> None:
        """The video has so many segments: those of an earlier job beyond them go."""
        surplus = self._segment_store.end_at(segments)
        if surplus:
            self._events.emit(FramesRejected(frames=surplus, written_bytes=0))

    def _draw_again(self, index: int, chunk: Chunk) -> None:
        info = self._segment_store.finished[index]
        self._events.emit(FramesRejected(frames=info.n_frames, written_bytes=info.file_bytes))
        self._events.notice_once(
            f"The segment of {chunk.label} has another length or was drawn with other "
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
    """Checks now and then whether the disks of all outputs have room for the rest of the video.

    Segments are on that of the first output.
    """

    def __init__(
        self, outputs: Sequence[Path], events: JobEvents, *, with_parts: bool = True
    ) -> None:
        from rayanim.storage.store import check_space

        self._disks: dict[int, list[Path]] = {}
        self._events = events
        self._with_parts = with_parts
        self._next_check_s = 0.0
        for each in outputs:
            check_space(each.parent, 1)
            self._disks.setdefault(each.parent.stat().st_dev, []).append(each)

    def check(self) -> None:
        from rayanim.storage.output import bytes_of
        from rayanim.storage.store import check_space

        stats, now_s = self._events.stats, time.perf_counter()
        if stats.total is None or stats.written_frames < MIN_MEASURED_FRAMES:
            return
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + CHECK_EVERY_S
        joined = {
            disk: sum(bytes_of(each) or 0 for each in outputs)
            for disk, outputs in self._disks.items()
        }
        joined_bytes = sum(joined.values())
        # What is to come is taken to be like what is done. Segments stay until the video is whole.
        video_bytes = -(-stats.written_bytes * stats.total // stats.written_frames)
        rest_bytes = max(0, video_bytes - joined_bytes)
        parts_bytes = max(0, video_bytes - stats.written_bytes) if self._with_parts else 0
        first, *others = self._disks
        # It is shared out like what is joined.
        needed = {disk: rest_bytes * joined[disk] // max(1, joined_bytes) for disk in others}
        needed[first] = parts_bytes + rest_bytes - sum(needed.values())
        try:
            for disk, outputs in self._disks.items():
                check_space(outputs[0].parent, needed[disk])
        except OutputError as error:
            if stats.written_frames >= RELIABLE_SHARE * stats.total:
                raise
            self._events.notice_once(
                f"If all frames are like the first ones: {error.message}", "space"
            )
