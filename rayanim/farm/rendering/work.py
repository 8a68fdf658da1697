"""Turns segments into what travels to the encoder: a render actor's work, without Ray."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rayanim.drawing.account import Note
from rayanim.errors import HistoryError
from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.collectors import (
    Collector,
    EncodedFrames,
    RawFrames,
    RawPayload,
    Remembering,
)
from rayanim.farm.rendering.history import FRAMES_CHECKED, HistoryCheck
from rayanim.farm.rendering.render import Blueprint, Payload, SegmentRenderer, Timings, digest_of

if TYPE_CHECKING:
    from rayanim.source import Source


@dataclass(frozen=True, slots=True)
class Work:
    """A segment that was drawn, and what is to be said about it.

    Attributes
    ----------
    payload
        Raw frames, or the encoded segment.
    timings
        Where the time went.
    difference
        See `SegmentRenderer`.
    batch_digest
        Names the frames and their parameters, for closed segments.
    """

    payload: Payload
    timings: Timings
    difference: str | None = None
    batch_digest: str | None = None


class Worker:
    """Draws segments of an open source, and encodes them where the blueprint says so.

    Parameters
    ----------
    source
        An open source.
    blueprint
        What the first process settled.
    """

    def __init__(self, source: Source, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._renderer = SegmentRenderer(source, blueprint.spec, blueprint.seed)
        if blueprint.in_full:
            self._renderer.draw_in_full_from_now()
        # Without a seed, random numbers would be taken for history.
        watched = blueprint.on_history != "ignore" and blueprint.seed is not None
        self._check: HistoryCheck | None = (
            HistoryCheck(self._renderer, blueprint.spec, source.name) if watched else None
        )

    def draw_in_full_from_now(self) -> None:
        """Draw no figure in parts any more, for a difference was found elsewhere."""
        self._renderer.draw_in_full_from_now()

    def first_frame_differs(self) -> bool:
        """Whether the film's first frame has other pixels here than in the first process."""
        blueprint = self._blueprint
        if blueprint.first_digest is None:
            return False
        frames, _ = self._renderer.render(Segment(0, 0, 1, blueprint.first))
        return digest_of(frames[0]) != blueprint.first_digest

    def work(
        self, segment: Segment, done: RawPayload | None = None, *, is_checked: bool = False
    ) -> Work:
        """Draw a segment.

        Parameters
        ----------
        segment
            The segment.
        done
            Its first frames, where they were drawn before; for closed segments.
        is_checked
            Whether to see if its frames depend on those drawn before.

        Raises
        ------
        FrameError
            If a frame cannot be drawn or has another size than the first.
        HistoryError
            If a frame depends on those drawn before it, where that is an error.
        EncodeError
            If FFmpeg refuses a frame.
        """
        skipped = 0 if done is None else len(done)
        rest = replace(segment, start=segment.start + skipped, batch=segment.batch[skipped:])
        collector = Remembering(self._collector(rest, done), FRAMES_CHECKED)
        payload: Payload
        payload, timings = self._renderer.collect(rest, collector)
        if self._renderer.differs_now():
            collector = Remembering(self._collector(segment, None), FRAMES_CHECKED)
            payload, again = self._renderer.collect(segment, collector)
            timings, rest = again.after(timings), segment
        if self._check is not None:
            self._check.remember(rest, collector.kept)
            timings = self._with_history(timings) if is_checked else timings
        return Work(
            payload,
            timings,
            self._renderer.difference,
            self._digest(segment),
        )

    def _digest(self, segment: Segment) -> str | None:
        from rayanim.parts.digest import batch_digest

        if self._blueprint.transport == "frames":
            return None
        return batch_digest(segment.batch.numbers, segment.batch.params)

    def _collector(self, segment: Segment, done: RawPayload | None) -> Collector[Any]:
        if self._blueprint.transport == "segments":
            return EncodedFrames(self._blueprint.spec, done)
        return RawFrames(self._blueprint.spec, len(segment))

    def _with_history(self, timings: Timings) -> Timings:
        """`timings`, with a note where a frame turns out to depend on those before it."""
        found = None if self._check is None else self._check.compare()
        if found is None:
            return timings
        if self._blueprint.on_history == "error":
            raise HistoryError(found.text, frame=found.frame)
        self._check = None
        notes = (*timings.account.notes, Note("history", found.text))
        return replace(timings, account=replace(timings.account, notes=notes))
