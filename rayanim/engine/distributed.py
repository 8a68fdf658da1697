"""The loop of a job on Ray: gives the scheduler events, and carries out its actions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rayanim.engine import messages
from rayanim.engine.audit import Auditor
from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.choose import ACTOR_START_S, Choice, Chooser
from rayanim.engine.chunks import ChunkQueue, ChunkSizes, Drawn, FrameTimes
from rayanim.engine.draw import RenderSetup
from rayanim.engine.encoder import EncoderLink
from rayanim.engine.plan import Chunk
from rayanim.engine.pool import RenderPool, unpicklable_parameters_named
from rayanim.engine.ray_session import node_label
from rayanim.engine.scheduler import Scheduler, SchedulerSettings
from rayanim.errors import EncoderLostError, FarmStartError, RedrawError, ScriptError
from rayanim.events import (
    ChunkSent,
    EncoderLost,
    EncoderRevived,
    Progressed,
    RayPassEnded,
    RayPassStarted,
    SegmentStored,
)
from rayanim.events import Event as JobEvent

if TYPE_CHECKING:
    from rayanim.engine.job import VideoJob
    from rayanim.engine.packing import PackedSource

TURN_S = 0.1
"""The longest wait of the loop."""

ENCODER_POLL_S = 0.02
"""The same while encoders in this process have frames: a chunk takes one some 100 ms."""

SETTLE_S = 5.0
"""For what is still being written when a job fails: a segment takes milliseconds."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""

ROOM_LIMIT_S = 120.0
"""Where there is room for an actor, it is there in seconds, unless others hold that room."""

NODE_LIMIT_S = 900.0
"""Where a cluster has to add a node first: clouds take one to five minutes, large images longer."""


class RayRun:
    """The frames of a job that are drawn on Ray."""

    def __init__(
        self,
        video: VideoJob,
        *,
        setup: RenderSetup,
        times: FrameTimes,
        begun: Chunk | None,
        choice: Choice,
        auditor: Auditor | None,
        chooser: Chooser,
    ) -> None:
        """`begun` is the last chunk that was drawn in this process, where its segment goes on."""
        job, events = video.job, video.events
        performance = job.settings.performance
        frame_bytes, max_actors = setup.spec.frame_bytes, chooser.most_actors()
        self._video = video
        self._events = events
        self._auditor = auditor
        self._choice = choice
        self._link = chooser.link
        # What the encoder actor writes with: None where the video is one segment, of raw frames.
        self._writer = video.writer_for_actor()
        self._sizes = ChunkSizes(
            times,
            frame_bytes=frame_bytes,
            frames_left=video.plan.frames_left,
            limit_bytes=chooser.limit_bytes,
            max_actors=max_actors,
            queue_size=performance.worker_queue_size,
            encoders=video.encoders.width,
            asked=performance.frame_batch_amount,
            may_encode=self._writer is not None,
        )
        events.engine_chosen("ray", choice.reason, choice.actors)
        self._name = job.name.in_pass(events.stats.ray_passes + 1)
        self._encoder: EncoderLink | None = None
        self._pool = self._make_pool(chooser.packed_source, setup)
        self._scheduler: Scheduler[Any] = Scheduler(
            ChunkQueue(
                self._chunks(),
                frame_bytes=frame_bytes,
                limit_bytes=chooser.limit_bytes,
                first_frame=video.plan.next_frame,
                begun=begun,
            ),
            SchedulerSettings(
                limits=ScalingLimits(
                    min_actors=min(performance.min_workers, max_actors),
                    max_actors=max_actors,
                    hold_s=HOLD_S,
                    settle_s=performance.perf_delay,
                ),
                limit_bytes=chooser.limit_bytes,
                likely_frames=lambda: self._sizes.likely(video.plan),
                window_s=performance.window_size,
                actor_start_s=ACTOR_START_S + setup.open_s,
                depth=performance.worker_queue_size if self._writer is None else None,
                frame_s=times.draw_s,
                open_s=setup.open_s,
                replays=setup.replay is not None or job.settings.sequential,
                total=events.stats.total,
                label=node_label,
            ),
            now_s=time.perf_counter(),
        )
        # How long a job may be without an actor; found each time that there is none.
        self._actor_limit_s: float | None = None

    def _chunks(self) -> Iterator[Chunk]:
        """What is left of the video, cut as it is asked for."""
        plan = self._video.plan
        while (chunk := plan.take(self._sizes.next_length(plan))) is not None:
            yield chunk

    def _make_pool(self, packed_source: PackedSource, setup: RenderSetup) -> RenderPool:
        import ray

        source_ref = ray.put(packed_source)
        with unpicklable_parameters_named(Chunk(0, 0, 1, setup.first)):
            setup_ref = ray.put(setup)
        return RenderPool(
            (source_ref, setup_ref),
            self._name,
            None if self._link is None else self._link.need(),
            here=ray.get_runtime_context().get_node_id(),
        )

    def run(self) -> int:
        """Draw and encode everything; the video's bytes."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._events.emit, RayPassEnded())
            stack.callback(self._stop_encoder)
            stack.callback(self._pool.kill)
            self._events.emit(RayPassStarted())
            self._draw_all()
            # Nodes may go while the video is joined.
            self._on(messages.Finish())
            self._count_fleet()
            file_bytes = self._video.finish(None if self._encoder is None else self._join)
            self._pool.close(self._scheduler.unresponsive_nodes)
            return file_bytes

    def _draw_all(self) -> None:
        self._on(messages.Begin(self._choice.actors, self._choice.reason))
        while not self._is_done():
            self._on(messages.Tick(self._encoder_silence_s()))
            for event in self._answers():
                self._on(event)
                self._offer(event)
            if self._auditor is not None:
                self._auditor.step()
            self._check_actors()
            self._show_progress()
        if self._auditor is not None:
            self._auditor.finish()

    def _offer(self, event: messages.Event) -> None:
        """Have the auditor and the cache know what an actor has drawn."""
        if not isinstance(event, messages.Arrived):
            return
        self._video.cached.drawn(event.meta)
        if self._auditor is not None:
            self._auditor.offer(event.chunk, event.meta.marks)

    def _is_done(self) -> bool:
        is_encoded = self._video.look_around()
        if self._encoder is not None:
            self._encoder.found(self._video.take_found())
        return is_encoded and self._scheduler.queue.finished

    def _count_fleet(self) -> None:
        self._events.counted(self._scheduler.roster.alive, self._scheduler.roster.nodes)

    def _show_progress(self) -> None:
        self._count_fleet()
        self._events.emit(
            Progressed(
                alive=self._scheduler.roster.alive,
                requested=self._scheduler.roster.requested,
                target=self._scheduler.target,
                queued_frames=self._scheduler.queue.queued_frames,
            )
        )

    # ---- actions

    def _on(self, event: messages.Event) -> None:
        try:
            actions = self._scheduler.on(event, time.perf_counter())
        except (ScriptError, RedrawError) as failure:
            if isinstance(event, messages.CallFailed):
                self._check_failure(event, failure)
            raise
        for action in actions:
            self._carry_out(action)

    def _check_failure(
        self, event: messages.CallFailed, failure: ScriptError | RedrawError
    ) -> None:
        """Raise another error where what failed in an actor goes well in this process."""
        queue, auditor = self._scheduler.queue, self._auditor
        # This process has opened the source, and drawn the first frame.
        is_well_here = event.chunk is None
        if event.chunk is None and queue.is_untouched:
            raise messages.NothingDrawnError(failure.message, queue.peeked)
        if event.chunk is not None and auditor is not None and isinstance(failure, ScriptError):
            is_well_here = auditor.is_drawn_here(failure.frame, event.chunk.batch)
        if is_well_here and isinstance(failure, ScriptError):
            message = f"{failure.message.rstrip('.')}, in render actors only"
            raise RedrawError(message, in_process=True) from failure

    def _carry_out(self, action: messages.Action) -> None:
        match action:
            case messages.Ask():
                self._pool.ask(action.number)
            case messages.Submit():
                self._pool.submit(action.number, action.chunk)
                self._events.emit(ChunkSent.of(action.chunk, actor=action.number))
            case messages.Release():
                self._pool.release(action.number)
            case messages.End():
                self._pool.end(action.number)
            case messages.Exclude():
                self._pool.exclude(action.node)
            case Drawn() if action.chunk.encodes:
                self._encoder_actor().put(action)
            case Drawn():
                self._video.encoders.add(action.chunk, action.payload, self._encoded)
            case messages.EndSegment():
                self._video.encoders.end(self._video.segment_of(action.last))
            case messages.NoticeOnce():
                self._events.notice_once(action.text, action.key)
            case JobEvent():
                self._events.emit(action)

    def _encoded(self, chunk: Chunk, busy_s: float, wait_s: float) -> None:
        self._on(messages.Taken(chunk, busy_s, wait_s))

    # ---- events

    def _answers(self) -> Iterator[messages.Event]:
        """Wait for answers, a moment at most."""
        import ray

        encoder_refs = [] if self._encoder is None else self._encoder.refs()
        refs = self._pool.refs() + encoder_refs
        patience_s = self._pool.poll_s(TURN_S)
        if self._video.encoders.queued_frames:
            # They do not wake this loop; what they have taken makes room for more frames.
            patience_s = min(patience_s, ENCODER_POLL_S)
        if not refs:
            time.sleep(patience_s)
        else:
            ready, _ = ray.wait(refs, num_returns=1, timeout=patience_s, fetch_local=False)
            if ready and len(refs) > 1:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            for ref in ready:
                event = self._written(ref) if ref in encoder_refs else self._pool.take(ref)
                if event is not None:
                    yield event
        # Drawn chunks may be on their way while nothing else is.
        yield from self._pool.arrived()

    def _written(self, ref: Any) -> messages.Event | None:
        """What the encoder actor answered."""
        try:
            acknowledged = self._encoder_actor().take(ref)
        except EncoderLostError as error:
            self._revive_encoder(error)
            return None
        if acknowledged is None:
            return None
        chunk, answer = acknowledged
        if answer is None:
            return messages.WriteLost(chunk)
        # What was encoded by who drew it is only written here.
        stored = SegmentStored.of(
            chunk,
            write_s=answer.encode_s,
            wait_s=answer.wait_s,
            written_bytes=answer.written_bytes,
            rss_bytes=answer.rss_bytes,
            by_actor=True,
        )
        self._events.emit(stored)
        return messages.Taken(chunk, answer.encode_s, answer.wait_s)

    def _check_actors(self) -> None:
        """End a job for which no actor ever has a process."""
        waited_s = self._scheduler.without_actors_s
        if not waited_s:
            self._actor_limit_s = None
            return
        if self._actor_limit_s is None:
            # Asked again each time that all are gone: nodes may have gone with them.
            has_room = self._link is None or self._link.room() > 0
            self._actor_limit_s = ROOM_LIMIT_S if has_room else NODE_LIMIT_S
        if waited_s > self._actor_limit_s:
            raise self._scheduler.refusal or self._none_came(waited_s)

    def _none_came(self, waited_s: float) -> FarmStartError:
        import ray

        there, free = ray.cluster_resources(), ray.available_resources()
        return FarmStartError(
            no_actor_text(
                self._scheduler.roster.requested, waited_s, there.get("CPU", 0), free.get("CPU", 0)
            )
        )

    # ---- the encoder actor

    def _encoder_actor(self) -> EncoderLink:
        """The encoder actor, which is started for the first segment that it gets."""
        if self._encoder is None:
            if self._writer is None:
                raise RuntimeError("the video has one encoder, which is in this process")
            self._encoder = EncoderLink(self._writer, self._name)
            self._encoder.start()
        return self._encoder

    def _stop_encoder(self) -> None:
        if self._encoder is not None:
            # What ends the job early is no reason to lose what is drawn.
            self._encoder.settle(SETTLE_S)
            self._encoder.kill()

    def _join(self, n_frames: int) -> int:
        while True:
            try:
                return self._encoder_actor().finish(n_frames)
            except EncoderLostError as error:
                self._revive_encoder(error)

    def _revive_encoder(self, error: EncoderLostError) -> None:
        if not self._encoder_actor().restart():
            raise error
        message = f"{error.message} Another one goes on from what it had written."
        self._events.emit(EncoderLost(reason=error.message, message=message))
        self._events.emit(EncoderRevived())

    def _encoder_silence_s(self) -> float:
        if self._encoder is None:
            return 0.0
        try:
            return self._encoder.waiting_s()
        except EncoderLostError as error:
            self._revive_encoder(error)
            return 0.0


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
