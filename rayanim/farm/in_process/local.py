"""Draws frames in this process, with the same render step as an actor.

It is also how every job begins: the first frames show the user's mistakes with
a clean traceback and measure what a frame costs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rayanim.drawing.ledger import Ledger
from rayanim.errors import ParametersError, RedrawError, ScriptError
from rayanim.farm.in_process.frame_cost import FrameCost
from rayanim.farm.job import Job, Tally
from rayanim.farm.planning.dispatch import Drawn
from rayanim.farm.planning.plan import Place, Segment
from rayanim.farm.rendering.collectors import RawFrames, RawPayload
from rayanim.farm.rendering.history import Dependence, HistoryBudget, HistoryCheck
from rayanim.farm.rendering.render import (
    Blueprint,
    SegmentRenderer,
    Timings,
    close_source,
    digest_of,
    measure_source,
    open_source,
)
from rayanim.farm.transport import choose_transport
from rayanim.feed import Batch, Feed, PushedBack

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

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

    Parameters
    ----------
    job
        The job.
    tally
        Where drawing times are counted.

    Raises
    ------
    ScriptError
        If the user's code raises, or there is no frame.
    """

    def __init__(self, job: Job, tally: Tally) -> None:
        self._job = job
        self._tally = tally
        self._at = 0
        self._index = 0
        self._is_open = False
        self._ahead: Batch = job.feed.take(1)
        if not len(self._ahead):
            raise ParametersError(
                "There is nothing to render: the film has no frames. "
                "Give param_by_frame at least one entry."
            )
        first = self._ahead
        number = first.numbers[0]
        params = None if first.params is None else first.params[0]
        began = time.perf_counter()
        open_source(job.source, job.seed, None)
        self.open_s = time.perf_counter() - began
        self._first = first
        self._first_digest: bytes | None = None
        self._is_open = True
        self._measured = Ledger()
        try:
            with self._measured.open(), self._measured.frame(number):
                self.geometry = measure_source(job.source, job.seed, number, params)
            self.spec: StreamSpec = job.make_spec(self.geometry)
            self.transport, self.transport_reason = choose_transport(self.spec, job.transport)
            self._probe()
        except BaseException:
            self.abandon()
            raise
        self._renderer = SegmentRenderer(job.source, self.spec, job.seed)
        if job.in_full:
            self._renderer.draw_in_full_from_now()
        self._history: HistoryCheck | None = None
        self._history_budget = HistoryBudget()
        told_ms = job.settings.draw_ms
        self.cost = FrameCost(None if told_ms is None else told_ms / 1000)

    def _probe(self) -> None:
        from rayanim.video.codecs import probe
        from rayanim.video.segment import segment_spec

        probe(self.spec if self.transport == "frames" else segment_spec(self.spec))

    @property
    def stays(self) -> str | None:
        """Why no frame may be drawn elsewhere, or None."""
        lays_out = self._measured.lays_out or self._renderer.lays_out
        return LAID_OUT if lays_out and not self._job.sequential else None

    @property
    def feed(self) -> Feed:
        """The frames that were not drawn yet."""
        return PushedBack(self._ahead, self._job.feed)

    @property
    def first_digest(self) -> bytes:
        """What `digest_of` gives for the film's first frame; after it was drawn."""
        return self._first_digest or b""

    @property
    def next_index(self) -> int:
        """Index of the segment that comes next."""
        return self._index

    @property
    def next_frame(self) -> int:
        """Position in the film of the frame that comes next."""
        return self._at

    def draw(self, count: int) -> Drawn[RawPayload] | None:
        """Draw the next frames, `count` at most; None at the film's end."""
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
        """Draw some frames of a segment.

        Returns
        -------
        payload or None
            None if drawing in parts was found to differ from a full draw: then
            the whole segment is to be drawn again.
        """
        payload, timings = self._renderer.collect(piece, RawFrames(self.spec, len(piece)))
        self._redraw_all()
        self._count(payload, timings)
        return None if self._renderer.differs_now() else payload

    def _redraw_all(self) -> None:
        """After a difference, have the frames drawn before it drawn again, too.

        Raises
        ------
        RedrawError
            If there was one, and all frames can be drawn again.
        """
        if self._renderer.difference is not None and self._job.may_redraw:
            raise RedrawError(self._renderer.difference)

    def place_of(self, segment: Segment) -> Place:
        """Where a segment stands, named by its frames and parameters."""
        from rayanim.parts.digest import batch_digest

        return segment.place(batch_digest(segment.batch.numbers, segment.batch.params))

    def history_of(self, segment: Segment, kept: list[RawPayload]) -> Dependence | None:
        """How the first frames of a segment depend on those drawn before, if they do.

        Parameters
        ----------
        segment
            What was just drawn.
        kept
            Its first frames.
        """
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

    def blueprint(self) -> Blueprint:
        """What render actors need to draw the same frames; after the first was drawn."""
        return Blueprint(
            self.geometry,
            self.spec,
            self._job.seed,
            self._first,
            self._first_digest,
            self.open_s,
            in_full=self._job.in_full or self._renderer.difference is not None,
            transport=self.transport,
            on_history="ignore" if self._job.sequential else self._job.on_history,
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
        """Let go of the source in this process.

        Raises
        ------
        ScriptError
            If the user's ``finish()`` raises.
        """
        if self._is_open:
            self._is_open = False
            close_source(self._job.source)

    def abandon(self) -> None:
        """Let go of the source after a failure, whose error is the one to tell."""
        with contextlib.suppress(ScriptError):
            self.close()
