"""Runs a job whose segments are encoded by who draws them, and joined to the film.

Theory of operation
-------------------
The plan depends on the film alone. This process draws its segments in order,
and goes on doing so until the model says that Ray would be quicker; then Ray is
started, and drawing goes on until it is there. The segment that is begun then
travels on with the frames that are drawn already. Whoever draws, each segment
is encoded by an encoder of its own and becomes a part on the disk. Parts are
joined while others are drawn: in the encoder actor, or here where no Ray can
come. Where one can and does not, they are joined at the end.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

from rayanim.errors import HistoryError
from rayanim.farm.choosing.handover import STORE_BYTES, Handover
from rayanim.farm.choosing.look import Chooser
from rayanim.farm.choosing.model import Choice
from rayanim.farm.in_process.encoder_threads import EncoderThreads
from rayanim.farm.in_process.local import InProcess
from rayanim.farm.job import Job, Tally
from rayanim.farm.planning.plan import GOP_FRAMES, Segment, closed_lengths, follow
from rayanim.farm.rendering.collectors import RawPayload
from rayanim.farm.rendering.pieces import Pieces
from rayanim.farm.rendering.render import NO_TIME, Timings
from rayanim.farm.resumption import Resumption
from rayanim.farm.space import SpaceWatch
from rayanim.farm.writing.writers import Parts, PartWriter
from rayanim.parts.keeper import Keeper


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

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        longest = self._job.settings.frame_batch_amount
        plan = follow(self._inside.feed, closed_lengths(self._tally.total, longest))
        first = next(plan)
        opening = self._draw_first(first)
        resumption = Resumption(self._job, self._tally, self._inside, self._keeper)
        store = resumption.open()
        spec = self._inside.spec
        self._parts = Parts(spec, self._job.part_path, store)
        self._space = SpaceWatch(
            self._job.part_path, self._tally, with_parts=self._keeper.takes_disk
        )
        # What may go on elsewhere is joined there: one process writes the film.
        self._writer = PartWriter(self._parts, joins=not self._chooser.may_travel)
        self._threads = EncoderThreads(
            spec,
            self._writer,
            self._tally,
            cores=self._chooser.cores,
            limit_bytes=self._chooser.limit_bytes // 2,
        )
        self._handover = Handover(
            self._job, self._tally, self._chooser, self._inside, self._threads
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
        began_s = self._tally.elapsed_s
        file_bytes = self._writer.finish(self._tally.frames)
        self._tally.ended(self._tally.elapsed_s - began_s, is_encoding=False)
        return choice, file_bytes

    def _draw_segment(self, segment: Segment, opening: RawPayload | None) -> RawPayload | None:
        """Draw a segment here; what is drawn of it where it is better drawn on Ray."""
        pieces = Pieces(self._kept_bytes())
        # The opening is all that was drawn before it is given.
        begun = (NO_TIME, 0) if opening is not None else (self._tally.timings, self._drawn_frames)
        self._threads.begin()
        if opening is not None:
            pieces.add(opening)
            self._threads.add(opening)
        while pieces.drawn < len(segment):
            # Not where that means to draw more again than is left to draw.
            pays = pieces.dropped <= len(segment) - pieces.drawn
            if pays and self._handover.is_due(self._drawn_frames):
                self._threads.drop()
                self._drawn_frames -= pieces.dropped
                return pieces.joined()
            piece = self._draw(segment, pieces.drawn, self._frames_per_look())
            if piece is None:
                # Drawing in parts differed from a full draw somewhere in this segment.
                self._threads.drop()
                self._forget_since(*begun)
                return self._draw_segment(segment, None)
            pieces.add(piece)
            self._threads.add(piece)
            self._space.look()
            self._tally.tell(queued_frames=self._threads.queued_frames)
        self._check_history(segment, pieces)
        self._tally.drawn_here(segment, begun[0])
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
            self._forget_since(NO_TIME, 0)
        return frame

    def _forget_since(self, timings: Timings, drawn_frames: int) -> None:
        """Frames that are drawn again count once; their time was spent all the same."""
        self._tally.drawn_in_vain_since(timings)
        self._drawn_frames = drawn_frames

    def _check_history(self, segment: Segment, pieces: Pieces) -> None:
        """Where frames are skipped, history counts in this process, too.

        They are in a job that is taken up again, and where some frames are selected.
        """
        selected = self._job.feed.is_selection and segment.batch.numbers[0] != segment.start
        skips = self._tally.resumed_frames or selected
        if self._job.sequential or self._inside.stays is not None or not skips:
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
        return self._inside.frames_per_look() if self._inside.cost.is_known else 1

    def _on_ray(
        self, choice: Choice, plan: Iterator[Segment], begun: RawPayload, first_frames: int
    ) -> int:
        from rayanim.farm.running.course import Course
        from rayanim.farm.running.run import FarmRun

        self._handover.wait()
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
                frame_s=self._inside.cost.usual_s,
                begun=begun if len(begun) else None,
                settle=self._settle,
                found=self._writer.take_found,
            ),
            choice=choice,
            limit_bytes=self._chooser.limit_bytes,
            link=self._chooser.link,
        )
        return run.run()

    def _settle(self) -> bool:
        self._space.look()
        return self._threads.settle()
