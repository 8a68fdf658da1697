"""Makes one video: its first frames in this process, the others where they are drawn sooner.

`VideoJob` begins in this process, and goes on with actors when its `Handover`
finds that to be quicker.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from rayanim.engine.audit import Auditor
from rayanim.engine.cached import CachedSegments
from rayanim.engine.choose import STORE_BYTES_PER_S, Choice, Chooser, Costs, in_process
from rayanim.engine.chunks import FrameTimes
from rayanim.engine.draw import Replay
from rayanim.engine.local import DEPENDS, Encoders, InProcess, Resumption, SpaceWatch
from rayanim.engine.messages import NothingDrawnError
from rayanim.engine.metrics import MetricsExporter
from rayanim.engine.packing import LARGE_BYTES, copied
from rayanim.engine.plan import Chunk, Segment, SegmentPlan
from rayanim.engine.ray_session import RaySession, ray_errors_explained
from rayanim.engine.stats import (
    FrameCountLog,
    JobEvents,
    JobName,
    JobStats,
    Outcome,
    ProgressListener,
)
from rayanim.engine.writing import FileWriter, SegmentWriter, Writer
from rayanim.errors import FarmStartError, FrameError, RayanimError, RedrawError
from rayanim.events import (
    CacheUnused,
    Listener,
    Listeners,
    Progressed,
    TransportChosen,
    VideoClosed,
    VideoOpened,
)
from rayanim.parameters import Feed, ParameterFeed
from rayanim.progress.base import Progress
from rayanim.randomness import kept_randomness
from rayanim.settings import RenderSettings
from rayanim.sources import Geometry, Source
from rayanim.storage.segments import SegmentStore
from rayanim.storage.video_folder import is_folder, shown
from rayanim.video.spec import has_palette, with_others

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherOutput:
    """Another file that a job makes of the frames of its video."""

    suffix: str
    settings: RenderSettings
    part_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A video to be made: its settings, what draws it, and the files that it is written to."""

    settings: RenderSettings
    source: Source
    feed: Feed
    suffix: str
    part_path: Path
    segment_store: SegmentStore
    others: tuple[OtherOutput, ...] = ()
    name: JobName = field(default_factory=JobName)
    in_full: bool = False
    again: Feed | None = None
    params: Iterable[Any] | None = None

    @property
    def may_redraw(self) -> bool:
        """Whether all its frames can be drawn once more."""
        return self.again is not None and self.again.from_start() is not None

    def replay(self) -> Replay | None:
        """What actors need to run the updates of the frames that they skip.

        None where parameters come once, cannot be pickled, or are too much for each actor.
        """
        if self.params is None:
            return Replay(None)
        if self.feed.again() is None:
            return None
        feed = ParameterFeed(self.params, self.settings.n_frames)
        try:
            some = feed.take(SOME_PARAMETERS)
            n_frames = feed.n_frames or len(some)
            if len(cloudpickle.dumps(some)) * n_frames > LARGE_BYTES * len(some):
                return None
            params = dict((some + feed.take(sys.maxsize)).frames())
            pickled = cloudpickle.dumps(params)
        except RayanimError:
            raise
        except Exception:  # reported, by frame, when they are sent with their frames
            return None
        return Replay(pickled) if len(pickled) <= LARGE_BYTES else None

    def params_by_number(self) -> dict[int, Any] | None:
        """What `update` gets for each frame of the whole video; None where there are none."""
        if self.params is None:
            return None
        batch = ParameterFeed(self.params, self.settings.n_frames).take(sys.maxsize)
        return dict(batch.frames())

    @property
    def label(self) -> str:
        """The video's name for the bar, as the report has it."""
        name = self.part_path.stem
        return shown(Path(name, self.suffix)) if is_folder(self.suffix) else name

    @property
    def suffixes(self) -> list[str]:
        return [self.suffix, *(each.suffix for each in self.others)]

    @property
    def part_paths(self) -> list[Path]:
        return [self.part_path, *(each.part_path for each in self.others)]

    def make_spec(self, geometry: Geometry, first: int) -> StreamSpec:
        """The stream for frames of the size that the first frame settled, which has this number."""
        from rayanim.video.codecs import make_spec

        all_settings = [self.settings, *(each.settings for each in self.others)]
        longest = self.settings.performance.frame_batch_amount or 0
        n_frames, fps = self.feed.n_frames, self.settings.fps
        main, *others = (
            replace(
                make_spec(suffix, settings, geometry.size, fps, n_frames=n_frames),
                segment_frames=longest,
            )
            for suffix, settings in zip(self.suffixes, all_settings, strict=True)
        )
        return with_others(main, others, first)


STORE_BYTES = 128 * 2**20
"""Ray's object store at least: hundreds of encoded segments."""

LINK_BYTES_PER_S = 500e6
"""Raw frames over the network to this process: half of what a link of 10 Gbit/s carries."""

SOME_PARAMETERS = 20
"""Frames whose parameters show how large those of all frames are."""

REPLAY_COSTS = 1.1
"""Actors run the updates that they skip where that takes a tenth longer at most."""

ENCODED_TO_MEASURE = 60
"""An encoder looks ahead: before so many frames its time says little."""


CLEAR = 0.7
"""Where Ray is predicted below this share of the time in process, one estimate is enough."""

FIRM_S = 2.0
"""Otherwise Ray must be predicted to be faster for so many seconds: single estimates are noisy."""


class Handover:
    """Decides when actors go on with what this process began."""

    def __init__(self, chooser: Chooser, inside: InProcess, encoders: Encoders) -> None:
        self._job = inside.job
        self._events = inside.events
        self._stats = inside.events.stats
        self._chooser = chooser
        self._inside = inside
        self._encoders = encoders
        self._choice: Choice | None = None
        self._for_ray_since_s: float | None = None
        self._session: RaySession | None = None

    def is_due(self, drawn_frames: int) -> bool:
        """Whether to hand over now; starts Ray as soon as that is quicker."""
        if self._session is None or self._inside.stays is not None:
            self._consider(drawn_frames)
        if self._session is None or self._inside.stays is not None:
            return False
        if self._job.settings.engine == "ray":
            self._session.wait()
            return True
        if not self._session.ready:
            return False
        try:
            self._session.wait()
        except FarmStartError as error:
            self._events.notice_once(f"{error.message} This process draws all frames.", "no Ray")
            self._choice = in_process("Ray did not start")
            return False
        # Now that Ray runs, frames may have become cheap.
        self._choice = self._choose(drawn_frames)
        return self._choice.engine == "ray"

    def choice(self, drawn_frames: int) -> Choice:
        """What was chosen; chosen now where nothing was."""
        return self._choice or self._choose(drawn_frames)

    def chosen_here(self, drawn_frames: int) -> Choice:
        """Why all was drawn in this process."""
        choice = self.choice(drawn_frames)
        if choice.engine == "local":
            return choice
        return in_process("all frames were drawn before actors would have been quicker")

    def stay(self) -> None:
        """All frames are drawn here after all."""
        self.stop()
        self._session = None
        self._consider(0)

    def stop(self) -> None:
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
        # Half as much again for what is being written and not yet counted.
        store_bytes = max(STORE_BYTES, self._chooser.limit_bytes * 3 // 2)
        self._session = self._chooser.session(store_bytes)
        self._session.start()

    def _choose(self, drawn_frames: int) -> Choice:
        total, resumed = self._stats.total, self._stats.resumed_frames
        left = None if total is None else max(0, total - resumed - drawn_frames)
        return self._chooser.choose(self._costs(), left)

    def frame_times(self) -> FrameTimes:
        """What a frame takes, as far as it is known by now."""
        costs, frame_bytes = self._costs(), self._inside.spec.frame_bytes
        is_far = self._chooser.link is not None
        return FrameTimes(
            draw_s=costs.draw_s,
            encode_s=costs.encode_s,
            transport_s=frame_bytes / STORE_BYTES_PER_S,
            link_s=frame_bytes / LINK_BYTES_PER_S if is_far else 0.0,
        )

    def _costs(self) -> Costs:
        inside, encode_s = self._inside, self._encoders.frame_s
        if encode_s is None or self._stats.frames < ENCODED_TO_MEASURE:
            encode_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, inside.cost.usual_s, encode_s, warm_up_s)


class VideoJob:
    """Draws a video here, and has actors go on with it when that is quicker.

    One encoder for each segment gets its frames in order, whoever draws them. A
    stream that cannot be joined from segments is one segment.
    """

    def __init__(self, chooser: Chooser, inside: InProcess) -> None:
        self.job = inside.job
        self.events = inside.events
        self._stats = inside.events.stats
        self._chooser = chooser
        self._inside = inside
        self.cached = inside.cached
        self._is_joined = inside.transport == "segments"
        self._drawn_frames = 0
        self._replay: Replay | None = None
        self._writer: Writer

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        from rayanim.video.spec import gop_frames

        self._inside.draw_first()
        longest = gop_frames(self._inside.spec)
        self.plan = SegmentPlan(self._inside.feed, longest if self._is_joined else None)
        self._open_writer(longest)
        self.encoders = Encoders(
            self._inside.spec,
            self._writer,
            self.events,
            cores=self._chooser.cores,
            limit_bytes=self._chooser.limit_bytes // 2,
        )
        self._handover = Handover(self._chooser, self._inside, self.encoders)
        with contextlib.ExitStack() as stack:
            stack.callback(self._handover.stop)
            stack.callback(self._writer.abort)
            stack.callback(self.encoders.abort)
            return self._draw()

    def _open_writer(self, longest: int) -> None:
        spec, paths = self._inside.spec, self.job.part_paths
        self._space: SpaceWatch | None = None
        self._resumption: Resumption | None = None
        if not self._is_joined:
            self.job.segment_store.pass_over(self._inside.transport_reason, self.events.notice)
            # One output may need it alone.
            is_of_one = self.job.settings.transport == "auto" and self.job.source.stays is None
            n_frames = self.job.feed.n_frames
            self._writer = FileWriter(spec, *paths, cuts=is_of_one, n_frames=n_frames)
            self.events.emit(VideoOpened(spec=spec, store=None, stats=self._stats))
            return
        resumption = Resumption(self._inside)
        self._store = resumption.open(longest)
        self.events.emit(VideoOpened(spec=spec, store=self._store, stats=self._stats))
        self._space = SpaceWatch(paths, self.events, with_parts=self.job.segment_store.takes_disk)
        # What actors may go on with is joined at the end, by one process.
        writer = self._segment_writer(joins=not self._chooser.may_use_ray)
        writer.open()
        resumption.leave_out_finished(self.plan, writer)
        self._resumption = resumption
        self._writer = writer

    def _draw(self) -> tuple[Choice, int]:
        last: Chunk | None = None
        while (chunk := self._inside.take(self.plan)) is not None:
            if not self._inside.is_held(chunk):
                self._inside.cross_gap(chunk)
            frames = self._inside.draw(chunk)
            self._drawn_frames += len(chunk)
            self.encoders.wait_for_room()
            self.encoders.add(chunk, frames)
            last = chunk if chunk.stop < chunk.segment.stop else None
            if last is None:
                self.encoders.end(self.segment_of(chunk))
            self.look_around()
            self.events.emit(Progressed(queued_frames=self.encoders.queued_frames))
            if self._handover.is_due(self._drawn_frames) and self._finds_way():
                try:
                    return self._handover.choice(self._drawn_frames), self._on_ray(last)
                except NothingDrawnError as nothing:
                    self._go_on_here(nothing)
        if last is not None:
            self.encoders.end(self.segment_of(last))
        self.encoders.finish()
        choice = self._handover.chosen_here(self._drawn_frames)
        return choice, self.finish()

    def segment_of(self, last: Chunk) -> Segment:
        """The segment that ends with chunk `last`, named by its frames and parameters."""
        digest = self.plan.take_digest(last.segment.index)
        return replace(last.segment, stop=last.stop, batch_digest=digest)

    def look_around(self) -> bool:
        """Count what is encoded, and check the disk; whether all is encoded."""
        if self._space is not None:
            self._space.check()
        return self.encoders.settle()

    def finish(self, finish: Callable[[int], int] | None = None) -> int:
        """Have the video's end written, by this process or by `finish`; its bytes."""
        if self._resumption is not None:
            self._resumption.end_at(self.plan.n_begun)
        began_s = self._stats.elapsed_s
        file_bytes = (finish or self._writer.finish)(self._stats.frames)
        self.events.emit(VideoClosed(write_s=self._stats.elapsed_s - began_s))
        return file_bytes

    def _on_ray(self, begun: Chunk | None) -> int:
        from rayanim.engine.distributed import RayRun

        if self._resumption is not None:
            self._resumption.audits_here = False
        run = RayRun(
            self,
            setup=replace(self._inside.setup(), replay=self._replay, begun=self.plan.next_frame),
            times=self._handover.frame_times(),
            begun=begun,
            choice=self._handover.choice(self._drawn_frames),
            auditor=self._auditor(),
            chooser=self._chooser,
        )
        return run.run()

    def _go_on_here(self, nothing: NothingDrawnError) -> None:
        """Draw on in this process: no actor can draw the source."""
        if nothing.taken is not None:
            self.plan.put_back(nothing.taken)
        why = nothing.why.rstrip(".")
        self.events.notice_once(f"{why}. This process goes on, and draws all frames.", "stays")
        self._inside.must_stay = "render actors cannot draw it as this process does"
        self._handover.stay()

    def _auditor(self) -> Auditor | None:
        """What compares frames of actors with this process's; None where it was turned off."""
        settings, packed = self.job.settings, self._inside.pristine
        if settings.audit == 0 or packed is None:
            return None
        return Auditor(
            self._inside.reference(packed, self._replay),
            self.events,
            share=settings.audit,
            replays=self._replay is not None or settings.sequential,
            last=self._inside.last,
            start=self.plan.n_chunks,
            cached=self.cached,
        )

    def _finds_way(self) -> bool:
        """Find how actors come to their frames; False where more must be drawn here first.

        They run the updates that they skip where that is cheap, or where frames
        turn out to depend on those before. They jump where it is not.
        """
        settings, inside = self.job.settings, self._inside
        if settings.sequential or settings.independent:
            return True
        replay = self._possible_replay
        if replay is None or not self._replay_is_cheap():
            pristine, test = inside.pristine, inside.order_test
            if not test.has_enough(inside.cost.usual_s) and self.plan.frames_left != 0:
                return False
            if pristine is not None and not test.order_matters(copied(pristine), inside.geometry):
                return True
        if replay is None:
            inside.must_stay = DEPENDS
            self._handover.stay()
            return False
        self._replay = replay
        return True

    @functools.cached_property
    def _possible_replay(self) -> Replay | None:
        return self.job.replay()

    def _replay_is_cheap(self) -> bool:
        """Whether running all updates in each actor costs little beside drawing."""
        times, advance_s = self._handover.frame_times(), self.job.source.advance_s
        actors = max(1, self._handover.choice(self._drawn_frames).actors)
        if advance_s is None:
            return False
        frame_s = times.draw_s + times.encode_s
        replayed_s = advance_s + max(0.0, frame_s - advance_s) / actors
        return replayed_s < REPLAY_COSTS * frame_s / actors

    def writer_for_actor(self) -> SegmentWriter | None:
        """What an actor is to join the video with; None where one encoder makes all of it."""
        return self._segment_writer() if self._is_joined else None

    def _segment_writer(self, *, joins: bool = True) -> SegmentWriter:
        path, *others = self.job.part_paths
        return SegmentWriter(
            self._inside.spec, path, self._store, others=tuple(others), joins=joins
        )

    def take_found(self) -> list[int]:
        """The segments of which files were written or found here since the last call."""
        return self._writer.take_found() if isinstance(self._writer, SegmentWriter) else []


class JobRunner:
    """Runs one job."""

    def __init__(
        self, job: Job, progress: Progress, log: Listener | None = None, notice: str | None = None
    ) -> None:
        self._job = job
        self._notice = notice
        self._progress = progress
        self._stats = JobStats(job.feed.n_frames)
        log_every = (job.settings.drawing_log_interval, job.settings.encoding_log_interval)
        self._events = JobEvents(
            self._stats,
            log or Listeners(),
            ProgressListener(self._stats, progress),
            FrameCountLog(self._stats, log_every),
            MetricsExporter(self._stats, job.name),
        )
        self._chooser = Chooser(job, self._events)
        self._cached = CachedSegments(job)

    def run(self) -> Outcome:
        job = self._job
        self._progress.start(self._stats.total, job.label)
        if self._notice is not None:
            self._events.notice_once(self._notice)
        link = self._chooser.link
        try:
            if link is not None:
                # Returns when the address is checked: connecting goes on while frames are drawn.
                link.connect()
            has_gif = any(map(has_palette, job.suffixes))
            # Frames may turn out to depend on others that this process does not draw.
            skips = (job.feed.is_selection or job.settings.resume) and not job.settings.sequential
            skips = skips and job.source.stays is None
            needs_copy = skips or self._cached.needs_copy or has_gif
            if self._chooser.may_use_ray or needs_copy:
                # Before the source is opened: what setup() makes may not be picklable.
                self._chooser.pack()
            # Without a seed the generators are left to the script.
            kept = kept_randomness() if job.settings.seed is not None else contextlib.nullcontext()
            with kept, ray_errors_explained():
                outcome = self._run()
            self._progress.finish(self._stats.state())
            return outcome
        except FarmStartError as error:
            self._progress.fail()
            if link is not None or job.settings.engine == "ray" or not job.may_redraw:
                raise
            again = RedrawError(error.message.rstrip("."), in_process=True)
            again.packed = self._chooser.pristine
            raise again from error
        except RedrawError as error:
            self._cached.drop()
            error.packed = self._chooser.pristine
            self._progress.fail()
            if not job.may_redraw:
                raise FrameError(
                    f"{error.message}. The parameters come once, so the frames cannot be drawn "
                    "again: give them as a list, or draw in one process with workers=1."
                ) from error
            raise
        except BaseException:
            self._progress.fail()
            raise
        finally:
            if link is not None:
                link.stop()

    def _run(self) -> Outcome:
        inside = InProcess(self._job, self._events, self._cached, self._chooser.pristine)
        self._events.emit(
            TransportChosen(transport=inside.transport, reason=inside.transport_reason)
        )
        try:
            choice, file_bytes = VideoJob(self._chooser, inside).run()
        except BaseException:
            inside.abandon()
            raise
        inside.close()
        if why := self._cached.why_unused:
            self._events.emit(CacheUnused(reason=why))
        self._events.engine_chosen(choice.engine, choice.reason, choice.actors)
        return self._outcome(inside, choice, file_bytes)

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
