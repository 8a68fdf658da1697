"""Makes one video: its first frames in this process, the others where they are drawn sooner.

`FramesJob` hands raw frames to one encoder. `SegmentsJob` has segments encoded
where they are drawn, and joins them; it begins in this process and goes on with
actors when its `Handover` finds that to be quicker. `JobRunner` takes the one that
the stream allows.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.engine.choose import Choice, Chooser, Costs, in_process
from rayanim.engine.draw import NO_TIME, BegunSegment, RawPayload, Timings
from rayanim.engine.local import EncoderThread, EncoderThreads, InProcess, Resumption, SpaceWatch
from rayanim.engine.metrics import MetricsExporter
from rayanim.engine.plan import GOP_FRAMES, Segment, closed_lengths, cut, follow
from rayanim.engine.ray_session import RaySession, ray_errors_explained
from rayanim.engine.scheduler import Drawn, chunk_frames
from rayanim.engine.stats import (
    FrameCountLog,
    JobEvents,
    JobName,
    JobStats,
    Outcome,
    ProgressListener,
)
from rayanim.engine.writing import FrameWriter, SegmentWriter
from rayanim.errors import EncoderLostError, FarmStartError
from rayanim.events import (
    FramesDiscarded,
    Listener,
    NoLog,
    Progressed,
    TransportChosen,
    VideoClosed,
    VideoRestarted,
)
from rayanim.parameters import Feed
from rayanim.progress.base import Progress
from rayanim.randomness import kept_randomness
from rayanim.settings import RenderSettings
from rayanim.sources import Geometry, Source
from rayanim.storage.segments import SegmentStore

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

ENCODER_RESTARTS = 1
"""How often a video is started again after its encoder actor died."""

Head = deque[Drawn[RawPayload]]
"""What was drawn in this process and is not encoded yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A video to be made: its settings, what draws it, and the file that it is written to."""

    settings: RenderSettings
    source: Source
    feed: Feed
    suffix: str
    part_path: Path
    segment_store: SegmentStore
    name: JobName = field(default_factory=JobName)
    in_full: bool = False
    may_redraw: bool = False

    def make_spec(self, geometry: Geometry) -> StreamSpec:
        """The stream for frames of the size that the first frame settled."""
        from rayanim.video.codecs import make_spec

        return make_spec(self.suffix, self.settings, geometry.size, self.settings.fps)


class FramesJob:
    """Draws a video and hands raw frames to one encoder."""

    def __init__(self, job: Job, events: JobEvents, chooser: Chooser, inside: InProcess) -> None:
        self._job = job
        self._events = events
        self._stats = events.stats
        self._chooser = chooser
        self._inside = inside
        self._head: Head = deque()

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        self._head.extend(self._sample())
        choice = self._choose()
        if self._stats.total is None and choice.engine == "local":
            choice = self._wait_and_see(choice)
        self._events.engine_chosen(choice.engine, choice.reason, choice.actors)
        if choice.engine == "local":
            return choice, self._run_locally()
        return self._run_on_ray(choice)

    def _choose(self, *, elapsed_s: float | None = None) -> Choice:
        if self._inside.stays is not None:
            return self._chooser.stay(self._inside.stays)
        total = self._job.feed.n_frames
        left = None if total is None else total - self._inside.next_frame
        return self._chooser.choose(self._costs(), left, elapsed_s=elapsed_s)

    def _costs(self) -> Costs:
        inside = self._inside
        encode_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, self._inside.cost.usual_s, encode_s, warm_up_s)

    def _wait_and_see(self, choice: Choice) -> Choice:
        """Draw on while the length is unknown: Ray is started once it would have paid."""
        if self._choose(elapsed_s=math.inf).engine == "local":
            return choice
        count = self._inside.frames_per_step()
        while choice.engine == "local" and self._has_room():
            drawn = self._inside.draw(count)
            if drawn is None:
                return choice
            self._head.append(drawn)
            self._events.emit(Progressed(queued_frames=self._inside.next_frame))
            choice = self._choose()
        return self._choose(elapsed_s=math.inf)

    def _has_room(self) -> bool:
        """Whether more frames may be held while it is not known where they are encoded."""
        held_bytes = self._inside.next_frame * self._inside.spec.frame_bytes
        return held_bytes < self._chooser.limit_bytes // 2

    def _sample(self) -> Iterator[Drawn[RawPayload]]:
        """The first frames: one where the cost is known or Ray is asked for, else a few.

        None where they are drawn in this process whatever they cost.
        """
        if not self._chooser.may_use_ray:
            return
        known = self._job.settings.performance.draw_ms is not None
        if known or self._job.settings.engine == "ray":
            first = self._inside.draw(1)
            if first is not None:
                yield first
            return
        for drawn in self._inside.sample():
            yield drawn
            self._events.emit(Progressed())
            if not self._has_room():
                return

    def _run_locally(self) -> int:
        encoder = EncoderThread(self._inside.spec, self._job.part_path, self._events)
        try:
            while self._head:
                encoder.put(self._head.popleft().payload)
            while (drawn := self._inside.draw(self._inside.frames_per_step())) is not None:
                encoder.put(drawn.payload)
                self._events.emit(Progressed(queued_frames=encoder.queued_frames))
            return encoder.finish()
        except BaseException:
            encoder.abort()
            raise

    def _run_on_ray(self, choice: Choice) -> tuple[Choice, int]:
        # An error before Ray starts, where the source cannot be sent.
        _ = self._chooser.packed_source
        limit_bytes = self._chooser.limit_bytes
        # Half as much again for what is being written and not yet counted.
        session = self._chooser.session(max(128 * 2**20, limit_bytes * 3 // 2))
        session.start()
        try:
            # Drawing goes on while Ray starts: these frames are the video's beginning.
            self._head.extend(self._draw_until_ready(session))
            session.wait()
            self._inside.close()
            return choice, self._on_ray(choice)
        except FarmStartError as error:
            if self._job.settings.engine != "auto" or not self._inside.is_open:
                raise
            self._events.notice_once(f"{error.message} This process draws all frames.", "no Ray")
        finally:
            session.stop()
        return in_process("Ray did not start"), self._run_locally()

    def _draw_until_ready(self, session: RaySession) -> Iterator[Drawn[RawPayload]]:
        if self._job.settings.engine == "ray":
            return
        count = self._inside.frames_per_step()
        while not session.ready and self._has_room():
            drawn = self._inside.draw(count)
            if drawn is None:
                return
            yield drawn
            self._events.emit(Progressed(queued_frames=self._inside.next_frame))

    def _on_ray(self, choice: Choice) -> int:
        """Run on Ray; start again once if the encoder actor dies."""
        feed, first = self._job.feed, (self._inside.next_index, self._inside.next_frame)
        restarts = 0
        while True:
            try:
                return self._pass(choice, feed, first)
            except EncoderLostError as error:
                again = feed.again()
                if again is None or restarts == ENCODER_RESTARTS:
                    raise
                restarts += 1
                self._events.notice(f"{error.message} The video is begun anew.")
                self._events.emit(VideoRestarted())
                feed, first = again, (0, 0)
                self._head.clear()

    def _pass(self, choice: Choice, feed: Feed, first: tuple[int, int]) -> int:
        from rayanim.engine.distributed import RayRun, RemainingWork

        spec, most = self._inside.spec, self._chooser.most_actors()
        limit_bytes = self._chooser.limit_bytes
        left = None if feed.n_frames is None else feed.n_frames - first[1]
        frames = self._job.settings.performance.frame_batch_amount or chunk_frames(
            spec.frame_bytes,
            self._inside.cost.usual_s,
            left,
            max_actors=most,
            in_flight_bytes=limit_bytes,
            queue_size=self._job.settings.performance.worker_queue_size,
        )
        run = RayRun(
            self._job,
            self._events,
            packed_source=self._chooser.packed_source,
            setup=self._inside.setup(),
            work=RemainingWork(
                plan=cut(feed, frames, 2 * most, index=first[0], start=first[1]),
                writing=FrameWriter(spec, self._job.part_path),
                segment_frames=frames,
                done_frames=first[1],
                frame_bytes=spec.frame_bytes,
                frame_s=self._inside.cost.usual_s,
                first_index=first[0],
                head=_drained(self._head),
            ),
            choice=choice,
            max_actors=most,
            limit_bytes=limit_bytes,
            link=self._chooser.link,
        )
        return run.run()


def _drained(head: Head) -> Iterator[Drawn[RawPayload]]:
    while head:
        yield head.popleft()


STORE_BYTES = 128 * 2**20
"""Ray's object store where only encoded segments go through it: hundreds of them."""

ENCODED_TO_MEASURE = 60
"""An encoder looks ahead: before so many frames its time says little."""


CLEAR = 0.7
"""Where Ray is predicted below this share of the time in process, one estimate is enough."""

FIRM_S = 2.0
"""Otherwise Ray must be predicted to be faster for so many seconds: single estimates are noisy."""


class Handover:
    """Decides when actors go on with what this process began."""

    def __init__(
        self,
        job: Job,
        events: JobEvents,
        chooser: Chooser,
        inside: InProcess,
        threads: EncoderThreads,
    ) -> None:
        self._job = job
        self._events = events
        self._stats = events.stats
        self._chooser = chooser
        self._inside = inside
        self._threads = threads
        self._choice: Choice | None = None
        self._for_ray_since_s: float | None = None
        self._session: RaySession | None = None

    def is_due(self, drawn_frames: int) -> bool:
        """Whether to hand over now; starts Ray as soon as that is quicker."""
        if self._session is None:
            self._consider(drawn_frames)
        if self._session is None:
            return False
        if self._job.settings.engine == "ray":
            self._session.wait()
            return True
        return (
            self._session.ready and self._has_come(self._session) and self._still_pays(drawn_frames)
        )

    def choice(self, drawn_frames: int) -> Choice:
        """What was chosen; chosen now where nothing was."""
        return self._choice or self._choose(drawn_frames)

    def chosen_here(self, drawn_frames: int) -> Choice:
        """Why all was drawn in this process."""
        choice = self.choice(drawn_frames)
        if choice.engine == "local":
            return choice
        return in_process("all frames were drawn before actors would have been quicker")

    def wait(self) -> None:
        """Wait for the Ray that was started."""
        if self._session is not None:
            self._session.wait()

    def stop(self) -> None:
        """Stop the Ray that was started."""
        if self._session is not None:
            self._session.stop()

    def _consider(self, drawn_frames: int) -> None:
        if self._inside.stays is not None:
            self._choice = self._chooser.stay(self._inside.stays)
            return
        known = self._job.settings.engine == "ray" or self._inside.cost.is_known
        if not self._chooser.may_use_ray or not known:
            return
        choice = self._choose(drawn_frames)
        goes = self._is_firm(choice)
        if self._choice is None or goes:
            # The first estimate is the reason to stay: later ones see fewer frames left.
            self._choice = choice
        if goes or choice.engine == "local":
            self._events.engine_chosen(choice.engine, choice.reason, choice.actors)
        if goes:
            self._start_ray()

    def _is_firm(self, choice: Choice) -> bool:
        """Whether Ray is chosen, and not by one wrong estimate."""
        if choice.engine == "local":
            self._for_ray_since_s = None
            return False
        now_s = self._stats.elapsed_s
        if self._for_ray_since_s is None:
            self._for_ray_since_s = now_s
        here_s, there_s = choice.predicted_local_s, choice.predicted_ray_s
        if self._job.settings.engine == "ray" or here_s is None or there_s is None:
            return True
        return there_s < CLEAR * here_s or now_s - self._for_ray_since_s >= FIRM_S

    def _start_ray(self) -> None:
        # An error before Ray starts, where the source cannot be sent.
        _ = self._chooser.packed_source
        self._session = self._chooser.session(STORE_BYTES)
        self._session.start()

    def _has_come(self, session: RaySession) -> bool:
        """Whether Ray started; where it did not, this process draws all frames."""
        try:
            session.wait()
        except FarmStartError as error:
            self._events.notice_once(f"{error.message} This process draws all frames.", "no Ray")
            self._choice = in_process("Ray did not start")
            return False
        return True

    def _still_pays(self, drawn_frames: int) -> bool:
        """Whether Ray, now that it runs, is still quicker: frames may have become cheap."""
        self._choice = self._choose(drawn_frames)
        return self._choice.engine == "ray"

    def _choose(self, drawn_frames: int) -> Choice:
        total = self._stats.total
        left = None
        if total is not None:
            left = max(0, total - self._stats.resumed_frames - drawn_frames)
        return self._chooser.choose(self._costs(), left)

    def _costs(self) -> Costs:
        inside, encode_s = self._inside, self._threads.frame_s
        if encode_s is None or self._stats.frames < ENCODED_TO_MEASURE:
            encode_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, inside.cost.usual_s, encode_s, warm_up_s)


class SegmentsJob:
    """Draws a video in closed segments."""

    def __init__(self, job: Job, events: JobEvents, chooser: Chooser, inside: InProcess) -> None:
        self._job = job
        self._events = events
        self._stats = events.stats
        self._chooser = chooser
        self._inside = inside
        self._segment_store = job.segment_store
        self._drawn_frames = 0
        # In segments that were finished here.
        self._done_frames = 0

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        longest = self._job.settings.performance.frame_batch_amount
        plan = follow(self._inside.feed, closed_lengths(self._stats.total, longest))
        first = next(plan)
        opening = self._draw_first(first)
        resumption = Resumption(self._job, self._events, self._inside, self._segment_store)
        store = resumption.open()
        spec = self._inside.spec
        self._store = store
        self._space = SpaceWatch(
            self._job.part_path, self._events, with_parts=self._segment_store.takes_disk
        )
        # What actors may go on with is joined by an actor: one process writes the video.
        self._writer = SegmentWriter(
            spec, self._job.part_path, store, joins=not self._chooser.may_use_ray
        )
        self._writer.open()
        self._threads = EncoderThreads(
            spec,
            self._writer,
            self._events,
            cores=self._chooser.cores,
            limit_bytes=self._chooser.limit_bytes // 2,
        )
        self._handover = Handover(
            self._job, self._events, self._chooser, self._inside, self._threads
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._handover.stop)
            stack.callback(self._writer.abort)
            stack.callback(self._threads.abort)
            missing = resumption.missing(itertools.chain([first], plan), self._writer.found)
            return self._run(missing, opening)

    def _run(self, missing: Iterator[Segment], opening: RawPayload) -> tuple[Choice, int]:
        for segment in missing:
            begun = self._draw_segment(segment, opening if segment.start == 0 else None)
            if begun is not None:
                rest = itertools.chain([segment], missing)
                choice = self._handover.choice(self._drawn_frames)
                return choice, self._on_ray(choice, rest, begun, len(segment))
        self._threads.finish()
        choice = self._handover.chosen_here(self._drawn_frames)
        began_s = self._stats.elapsed_s
        file_bytes = self._writer.finish(self._stats.frames)
        self._events.emit(VideoClosed(write_s=self._stats.elapsed_s - began_s))
        return choice, file_bytes

    def _draw_segment(self, segment: Segment, opening: RawPayload | None) -> RawPayload | None:
        """Draw a segment here; what was drawn of it where actors are to go on."""
        pieces = BegunSegment(self._kept_bytes())
        # What was drawn before a segment; nothing before the first one.
        begun = (NO_TIME, 0) if opening is not None else (self._stats.timings, self._drawn_frames)
        self._threads.begin()
        if opening is not None:
            pieces.add(opening)
            self._threads.add(opening)
        while pieces.drawn < len(segment):
            # Not where more would be drawn again than is left to draw.
            pays = pieces.dropped <= len(segment) - pieces.drawn
            if pays and self._handover.is_due(self._drawn_frames):
                self._threads.drop()
                self._drawn_frames -= pieces.dropped
                return pieces.joined()
            piece = self._draw(segment, pieces.drawn, self._inside.frames_per_step())
            if piece is None:
                # An incremental draw differed from a full one somewhere in this segment.
                self._threads.drop()
                self._forget_since(*begun)
                return self._draw_segment(segment, None)
            pieces.add(piece)
            self._threads.add(piece)
            self._space.check()
            self._events.emit(Progressed(queued_frames=self._threads.queued_frames))
        self._check_history(segment, pieces)
        self._events.drawn_here(segment, begun[0])
        self._threads.end(self._inside.place_of(segment))
        self._done_frames += len(segment)
        return None

    def _kept_bytes(self) -> int:
        """Bytes of a segment that may be kept for actors: half the object store."""
        if not self._chooser.may_use_ray:
            return 0
        return min(self._chooser.limit_bytes, STORE_BYTES) // 2

    def _draw(self, segment: Segment, offset: int, count: int) -> RawPayload | None:
        batch = segment.batch[offset : offset + count]
        start = segment.start + offset
        piece = self._inside.draw_some(Segment(segment.index, start, start + len(batch), batch))
        self._drawn_frames += len(batch)
        return piece

    def _draw_first(self, segment: Segment) -> RawPayload:
        """The video's first frame; once more, in full, where it differed from a full draw."""
        while (frame := self._draw(segment, 0, 1)) is None:
            self._forget_since(NO_TIME, 0)
        return frame

    def _forget_since(self, timings: Timings, drawn_frames: int) -> None:
        """Frames that are drawn again count once, their time twice."""
        self._events.emit(FramesDiscarded(kept=timings))
        self._drawn_frames = drawn_frames

    def _check_history(self, segment: Segment, pieces: BegunSegment) -> None:
        """Check whether frames depend on those before, where this process skips some.

        It does in a job that is resumed, and where some frames are selected.
        """
        selected = self._job.feed.is_selection and segment.batch.numbers[0] != segment.start
        skips = self._stats.resumed_frames or selected
        if self._job.settings.sequential or self._inside.stays is not None or not skips:
            return
        if not self._job.settings.checks_history:
            self._events.notice_once(
                "Whether frames depend on those drawn before is not checked; a video in which "
                "they do is another one where some are skipped.",
                "unchecked",
            )
            return
        found = self._inside.history_of(segment, pieces.first_frames)
        if found is None:
            return
        if self._job.settings.on_history == "error":
            raise found
        self._events.notice_once(found.message, "history")

    def _on_ray(
        self, choice: Choice, plan: Iterator[Segment], begun: RawPayload, first_frames: int
    ) -> int:
        from rayanim.engine.distributed import RayRun, RemainingWork

        self._handover.wait()
        self._inside.close()
        done = self._stats.resumed_frames + self._done_frames
        longest = self._job.settings.performance.frame_batch_amount or GOP_FRAMES
        run = RayRun(
            self._job,
            self._events,
            packed_source=self._chooser.packed_source,
            setup=self._inside.setup(),
            work=RemainingWork(
                plan=plan,
                writing=SegmentWriter(self._inside.spec, self._job.part_path, self._store),
                segment_frames=min(longest, max(1, first_frames)),
                done_frames=done,
                frame_bytes=0,
                frame_s=self._inside.cost.usual_s,
                begun=begun if len(begun) else None,
                settle=self._settle,
                found=self._writer.take_found,
            ),
            choice=choice,
            max_actors=self._chooser.most_actors(),
            limit_bytes=self._chooser.limit_bytes,
            link=self._chooser.link,
        )
        return run.run()

    def _settle(self) -> bool:
        self._space.check()
        return self._threads.settle()


class JobRunner:
    """Runs one job."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        log: Listener | None = None,
        notice: str | None = None,
    ) -> None:
        self._job = job
        self._notice = notice
        self._progress = progress
        self._stats = JobStats(job.feed.n_frames)
        log_every = (job.settings.drawing_log_interval, job.settings.encoding_log_interval)
        self._events = JobEvents(
            self._stats,
            log or NoLog(),
            ProgressListener(self._stats, progress),
            FrameCountLog(self._stats, log_every),
            MetricsExporter(self._stats, job.name),
        )
        self._chooser = Chooser(job, self._events)

    def run(self) -> Outcome:
        """Make the part file."""
        job = self._job
        self._progress.start(self._stats.total, job.part_path.stem)
        if self._notice is not None:
            self._events.notice_once(self._notice)
        link = self._chooser.link
        try:
            if link is not None:
                # Returns when the address is checked: connecting goes on while frames are drawn.
                link.start()
            if self._chooser.may_use_ray:
                # Before the source is opened: what setup() makes may not be picklable.
                self._chooser.pack()
            # Without a seed the generators are left to the script.
            kept = kept_randomness() if job.settings.seed is not None else contextlib.nullcontext()
            with kept, ray_errors_explained():
                outcome = self._run()
            self._progress.finish(self._stats.state())
            return outcome
        except BaseException:
            self._progress.fail()
            raise
        finally:
            if link is not None:
                link.session.stop()

    def _run(self) -> Outcome:
        inside = InProcess(self._job, self._events)
        self._events.emit(
            TransportChosen(transport=inside.transport, reason=inside.transport_reason)
        )
        try:
            choice, file_bytes = self._runner(inside).run()
        except BaseException:
            inside.abandon()
            raise
        inside.close()
        self._events.engine_chosen(choice.engine, choice.reason, choice.actors)
        return self._outcome(inside, choice, file_bytes)

    def _runner(self, inside: InProcess) -> FramesJob | SegmentsJob:
        if inside.transport == "frames":
            self._job.segment_store.pass_over(inside.transport_reason, self._events.notice)
            return FramesJob(self._job, self._events, self._chooser, inside)
        return SegmentsJob(self._job, self._events, self._chooser, inside)

    def _outcome(self, inside: InProcess, choice: Choice, file_bytes: int) -> Outcome:
        stats = self._stats
        self._events.counted(actors=0, nodes=0)
        timings = stats.timings
        found = self._job.settings.performance.replace(
            draw_ms=1000 * (timings.draw_s + timings.convert_s) / max(1, timings.frames),
            encode_ms=1000 * stats.encode_s / max(1, stats.frames - stats.resumed_frames),
        )
        if choice.engine == "ray":
            found = found.replace(num_workers=stats.usual_actors())
        return Outcome(inside.spec, file_bytes, choice.engine, choice.reason, found, stats)
