"""Runs a job whose segments are encoded by who draws them, and joined at the end.

Theory of operation
-------------------
The plan depends on the film alone. This process draws its segments in order,
and goes on doing so until the model says that Ray would be quicker; then Ray is
started, and drawing goes on until it is there. The segment that is begun then
travels on with the frames that are drawn already. Whoever draws, each segment
is encoded by an encoder of its own and becomes a part on the disk.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rayanim.errors import FarmStartError, HistoryError
from rayanim.farm.choice import Choice, Costs
from rayanim.farm.choosing import Chooser, in_process
from rayanim.farm.collectors import RawPayload
from rayanim.farm.encoder_threads import EncoderThreads
from rayanim.farm.frame_cost import SAMPLE_FRAMES
from rayanim.farm.history import FRAMES_CHECKED
from rayanim.farm.job import Job, Tally
from rayanim.farm.local import InProcess, frames_per_look
from rayanim.farm.plan import GOP_FRAMES, Segment, closed_lengths, follow
from rayanim.farm.session import RaySession
from rayanim.farm.space import SpaceWatch
from rayanim.farm.writing import Parts
from rayanim.parts.keeper import Keeper

STORE_BYTES = 128 * 2**20
"""Ray's object store where only encoded segments go through it: hundreds of them."""

ENCODED_TO_MEASURE = 60
"""Frames before which an encoder's time tells little: it looks ahead."""


class SegmentsJob:
    """Draws a film in closed segments.

    Parameters
    ----------
    job, tally, chooser
        The job, its counts, and who decides where it is drawn.
    inside
        Its open source in this process.
    keeper
        Keeps what is finished.
    """

    def __init__(
        self, job: Job, tally: Tally, chooser: Chooser, inside: InProcess, keeper: Keeper
    ) -> None:
        self._job = job
        self._tally = tally
        self._chooser = chooser
        self._inside = inside
        self._keeper = keeper
        self._drawn_frames = 0
        # In segments that were finished here.
        self._done_frames = 0
        self._choice: Choice | None = None
        self._session: RaySession | None = None

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        longest = self._job.settings.frame_batch_amount
        plan = follow(self._inside.feed, closed_lengths(self._tally.total, longest))
        first = next(plan)
        opening = self._draw_first(first)
        self._open_parts(longest)
        spec = self._inside.spec
        self._parts = Parts(spec, self._job.part_path, self._store)
        self._space = SpaceWatch(
            self._job.part_path.parent, self._tally, with_parts=self._keeper.takes_disk
        )
        self._threads = EncoderThreads(
            spec,
            self._parts.open(),
            self._tally,
            cores=self._chooser.cores,
            limit_bytes=self._chooser.limit_bytes // 2,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._stop_session)
            stack.callback(self._threads.abort)
            return self._run(self._missing(itertools.chain([first], plan)), opening)

    def _stop_session(self) -> None:
        if self._session is not None:
            self._session.stop()

    def _open_parts(self, longest: int | None) -> None:
        self._store = self._keeper.open(
            self._inside.spec,
            n_frames=self._tally.total,
            segment_frames=(
                "by the number of frames" if longest is None else f"{longest} frames at most"
            ),
            seed=self._job.seed,
            sequential=self._job.sequential,
            source_name=self._job.source.name,
            first_frame=self._inside.first_digest.hex(),
            tell=self._tally.event,
        )
        resumed = self._keeper.resumed_frames
        if resumed:
            self._tally.resumed(resumed, self._keeper.resumed_bytes)
            of_all = "" if self._tally.total is None else f" of {self._tally.total:,}"
            self._tally.progress.message(f"{resumed:,}{of_all} frames are there already.")
            self._tally.tell()

    def _missing(self, plan: Iterator[Segment]) -> Iterator[Segment]:
        """The segments of which there is no part yet."""
        count = 0
        for segment in plan:
            count += 1
            is_there = self._keeper.take_up(segment)
            if is_there:
                continue
            if is_there is False:
                self._refuse_part(segment)
            yield segment
        self._tally.resumed(-self._keeper.end_at(count), 0)

    def _refuse_part(self, segment: Segment) -> None:
        info = self._keeper.info_of(segment)
        self._tally.resumed(-info.n_frames, -info.file_bytes)
        self._tally.event_once(
            f"The part of {segment.label} was drawn with other parameters, or with such "
            "as have no name to compare; it is drawn again.",
            "other parameters",
        )

    def _run(self, missing: Iterator[Segment], opening: RawPayload) -> tuple[Choice, int]:
        for segment in missing:
            begun = self._draw_segment(segment, opening if segment.start == 0 else None)
            if begun is not None:
                rest = itertools.chain([segment], missing)
                choice = self._choice or self._choose()
                return choice, self._on_ray(choice, rest, begun, len(segment))
        self._threads.finish()
        return self._chosen_here(), self._parts.join(self._tally.frames)

    def _chosen_here(self) -> Choice:
        """Why all was drawn in this process."""
        choice = self._choice or self._choose()
        if choice.engine == "local":
            return choice
        return in_process("all frames were drawn before actors would have been quicker")

    def _draw_segment(self, segment: Segment, opening: RawPayload | None) -> RawPayload | None:
        """Draw a segment here; what is drawn of it where it is better drawn on Ray."""
        pieces = _Pieces(self._kept_bytes())
        self._threads.begin()
        if opening is not None:
            pieces.add(opening)
            self._threads.add(opening)
        while pieces.drawn < len(segment):
            # Not where that means to draw more again than is left to draw.
            if pieces.dropped <= len(segment) - pieces.drawn and self._is_ray_ready():
                self._threads.drop()
                self._drawn_frames -= pieces.dropped
                return pieces.joined()
            piece = self._draw(segment, pieces.drawn, self._frames_per_look())
            if piece is None:
                # Drawing in parts differed from a full draw somewhere in this segment.
                self._threads.drop()
                return self._draw_segment(segment, None)
            pieces.add(piece)
            self._threads.add(piece)
            self._space.look()
            self._tally.tell(queued_frames=self._threads.queued_frames)
        self._check_history(segment, pieces)
        self._threads.end(self._inside.place_of(segment))
        self._done_frames += len(segment)
        return None

    def _kept_bytes(self) -> int:
        """Bytes of a segment that may be kept to travel: half the store where they come through."""
        if not self._chooser.may_travel:
            return 0
        return min(self._chooser.limit_bytes, STORE_BYTES) // 2

    def _draw(self, segment: Segment, offset: int, count: int) -> RawPayload | None:
        batch = segment.batch[offset : offset + count]
        start = segment.start + offset
        piece = self._inside.draw_piece(Segment(segment.index, start, start + len(batch), batch))
        self._drawn_frames += len(batch)
        return piece

    def _draw_first(self, segment: Segment) -> RawPayload:
        """The film's first frame; once more, in full, where it differed from a full draw."""
        while (frame := self._draw(segment, 0, 1)) is None:
            pass
        return frame

    def _check_history(self, segment: Segment, pieces: _Pieces) -> None:
        """Where frames are skipped, history counts in this process, too.

        They are in a job that is taken up again, and where some frames are selected.
        """
        skips = self._tally.resumed_frames or segment.batch.numbers[0] != segment.start
        if self._job.sequential or not skips:
            return
        if self._job.on_history == "ignore" or self._job.seed is None:
            self._tally.event_once(
                "Whether frames depend on those drawn before is not checked; a film in which "
                "they do is another one where some are skipped.",
                "unchecked",
            )
            return
        found = self._inside.history_of(segment, pieces.first_frames)
        if found is None:
            return
        if self._job.on_history == "error":
            raise HistoryError(found.text, frame=found.frame)
        self._tally.event_once(found.text, "history")

    def _frames_per_look(self) -> int:
        if not self._is_sampled():
            return 1
        return frames_per_look(self._draw_s(), self._inside.spec)

    def _is_sampled(self) -> bool:
        """Whether it is known what a frame costs."""
        return self._job.settings.draw_ms is not None or self._inside.cost.is_known

    def _draw_s(self) -> float:
        """Seconds to draw and convert a frame: measured lately, or told."""
        told_ms = self._job.settings.draw_ms
        cost = self._inside.cost
        if told_ms is not None and cost.frames < SAMPLE_FRAMES and not cost.is_known:
            return told_ms / 1000
        return cost.usual_s

    def _costs(self) -> Costs:
        inside, measured_s = self._inside, self._threads.frame_s
        if measured_s is None or self._tally.frames < ENCODED_TO_MEASURE:
            measured_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, self._draw_s(), measured_s, warm_up_s)

    def _choose(self, *, elapsed_s: float | None = None) -> Choice:
        total = self._tally.total
        left = None
        if total is not None:
            left = max(0, total - self._tally.resumed_frames - self._drawn_frames)
        return self._chooser.choose(self._costs(), left, elapsed_s=elapsed_s)

    def _is_ray_ready(self) -> bool:
        """Whether to hand over; starts Ray as soon as that pays."""
        asked = self._job.engine == "ray"
        if self._session is None and self._chooser.may_travel and (asked or self._is_sampled()):
            choice = self._choose()
            if self._choice is None or choice.engine == "ray":
                # Why it stayed is what the first look says: later ones see a shorter rest.
                self._choice = choice
            if choice.engine == "ray":
                self._start_ray()
        if self._session is None:
            return False
        if asked:
            self._session.wait()
            return True
        return self._session.ready and self._has_come(self._session) and self._still_pays()

    def _has_come(self, session: RaySession) -> bool:
        """Whether Ray started; where it did not, this process goes on alone."""
        try:
            session.wait()
        except FarmStartError as error:
            self._tally.event_once(f"{error.message} This process draws all frames.", "no Ray")
            self._choice = in_process("Ray did not start")
            return False
        return True

    def _still_pays(self) -> bool:
        """Whether Ray, now that it is there, is still worth it: frames may have become light."""
        self._choice = self._choose()
        return self._choice.engine == "ray"

    def _start_ray(self) -> None:
        # Where nothing can travel, that is said before Ray starts.
        _ = self._chooser.shipment
        self._session = RaySession(self._chooser.most_actors(), STORE_BYTES)
        self._session.start()

    def _on_ray(
        self, choice: Choice, plan: Iterator[Segment], begun: RawPayload, first_frames: int
    ) -> int:
        from rayanim.farm.run import Course, FarmRun

        if self._session is not None:
            self._session.wait()
        self._inside.close()
        done = self._tally.resumed_frames + self._done_frames
        longest = self._job.settings.frame_batch_amount or GOP_FRAMES
        run = FarmRun(
            replace(self._job, max_actors=self._chooser.most_actors()),
            self._tally,
            shipment=self._chooser.shipment,
            blueprint=self._inside.blueprint(),
            course=Course(
                plan=plan,
                writing=self._parts,
                segment_frames=min(longest, max(1, first_frames)),
                done_frames=done,
                frame_bytes=0,
                begun=begun if len(begun) else None,
                settle=self._settle,
            ),
            choice=choice,
            limit_bytes=self._chooser.limit_bytes,
        )
        return run.run()

    def _settle(self) -> bool:
        self._space.look()
        return self._threads.settle()


class _Pieces:
    """What is drawn of a segment, kept as long as it may have to travel.

    Parameters
    ----------
    limit_bytes
        Bytes that may be kept. What comes after is drawn again by an actor.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._first: list[RawPayload] = []
        self._kept: list[RawPayload] = []
        self._kept_bytes = 0
        self._kept_frames = 0
        self.drawn = 0

    @property
    def dropped(self) -> int:
        """Frames that were drawn and are not kept."""
        return self.drawn - self._kept_frames

    def add(self, piece: RawPayload) -> None:
        """The next frames."""
        # Copies: a frame on its own would keep all that were drawn with it.
        missing = FRAMES_CHECKED - len(self._first)
        self._first += [frame.copy() for frame in piece[:missing]]
        if not self.dropped and self._kept_bytes + piece.nbytes <= self._limit_bytes:
            self._kept.append(piece)
            self._kept_bytes += piece.nbytes
            self._kept_frames += len(piece)
        self.drawn += len(piece)

    def joined(self) -> RawPayload:
        """The first frames of the segment, as many as are kept."""
        return np.concatenate(self._kept) if self._kept else np.empty((0, 0), np.uint8)

    @property
    def first_frames(self) -> list[RawPayload]:
        """The first frames of the segment, as many as a check of its history takes."""
        return self._first
