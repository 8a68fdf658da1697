"""The render step: draws a chunk and converts its pixels; and what goes to an actor for it.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Union

import cloudpickle
import numpy as np
import numpy.typing as npt

from rayanim.engine.audit import (
    AUDIT_TIME,
    NOTED_SHARE,
    FrameMark,
    is_marked,
    pixel_digest,
)
from rayanim.engine.plan import Chunk
from rayanim.engine.reads import OpenedFiles
from rayanim.errors import FrameError, RayanimError, SetupError
from rayanim.figure.draw_stats import DrawMonitor, DrawStats
from rayanim.parameters import Batch
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import RenderSettings
from rayanim.sources import Geometry, Source, naming_frame, user_code
from rayanim.video.spec import StreamSpec

if TYPE_CHECKING:
    from rayanim.sources import SequentialSource
    from rayanim.video.encode import EncodedSegment

Frame = npt.NDArray[np.uint8]
"""(frame_bytes,) uint8: one planar frame, packed as `StreamSpec` says."""

RawPayload = npt.NDArray[np.uint8]
"""(frames, frame_bytes) uint8: such frames, one after the other."""

Payload = Union[RawPayload, "EncodedSegment"]
"""What an actor hands over of a chunk: its frames, or what they were encoded to."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a chunk went, in seconds."""

    draw_s: float
    convert_s: float
    frames: int
    encode_s: float = 0.0
    draws: DrawStats = field(default_factory=DrawStats)

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.draw_s + other.draw_s,
            self.convert_s + other.convert_s,
            self.frames + other.frames,
            self.encode_s + other.encode_s,
            self.draws + other.draws,
        )

    @property
    def busy_s(self) -> float:
        return self.draw_s + self.convert_s + self.encode_s


NO_TIME = Timings(0.0, 0.0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSetup:
    """The settings, and what the first process found out, for all others to draw the same."""

    settings: RenderSettings
    geometry: Geometry
    spec: StreamSpec
    first: Batch
    first_mark: FrameMark | None = None
    open_s: float = 0.0
    in_full: bool = False
    replay: Replay | None = None
    begun: int = 0
    """The position of the first frame that actors draw."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Actors run the updates of the frames that they skip, with these parameters by number."""

    pickled: bytes | None

    def of(self, source: Source, seed: int | None, again: Callable[[], Source]) -> Source | None:
        """`source`, which draws each frame in the state that a serial run would have.

        None where the parameters cannot be unpickled: that is reported, by frame,
        when they come with their frames. `again` gives the source anew.
        """
        from rayanim.sources import SequentialSource

        params: Mapping[int, Any] | None = None
        if self.pickled is not None:
            try:
                params = cloudpickle.loads(self.pickled)
            except Exception:
                return None
        return SequentialSource(source, seed, params, again)


@dataclass(frozen=True, slots=True)
class DrawnMeta:
    """What is known of a drawn chunk without its pixels; `marks` are of frames to audit."""

    timings: Timings
    rss_bytes: int
    payload_bytes: int = 0
    marks: tuple[FrameMark, ...] = ()
    batch_digest: str | None = None
    noted: Mapping[int, bytes] = field(default_factory=dict)
    opened: str | None = None


class ChunkRenderer:
    """Draws chunks of one open source; keeps the converter and its buffers.

    With `is_audited` it marks frames for the process that audits them, and leaves
    comparing to it; otherwise it compares some frames with full draws. `in_full`: a
    difference from a full draw was found elsewhere.
    """

    def __init__(
        self,
        source: Source,
        spec: StreamSpec,
        settings: RenderSettings,
        *,
        is_audited: bool = False,
        in_full: bool = False,
        begun: int = -1,
        opened: OpenedFiles | None = None,
    ) -> None:
        from rayanim.video.convert import FramePacker

        self._source = source
        self._spec = spec
        self._seed = settings.seed
        self._share = settings.audit
        self._is_audited = is_audited
        self._begun = begun
        self._packer = FramePacker(spec)
        self._monitor = DrawMonitor(0.0 if is_audited else comparing_share(settings.audit))
        self._monitor.in_full = in_full
        self.marks: list[FrameMark] = []
        """Of the frames drawn by the last call."""
        self.noted: dict[int, bytes] = {}
        """Of those, digests of some frames for the cache."""
        self._is_noting = settings.cache
        self.opened = opened or OpenedFiles(is_on=settings.cache)
        """Whether the script's code has opened a file while it drew."""

    @property
    def difference(self) -> str | None:
        """What an incremental draw was found to draw differently from a full draw, as text."""
        return self._monitor.difference

    @property
    def lays_out(self) -> bool:
        """Whether a layout has run in a frame that was drawn."""
        return self._monitor.lays_out

    def render(self, chunk: Chunk) -> tuple[RawPayload, Timings]:
        """Draw and convert all frames of `chunk`.

        From a frame on that turns out to differ from a full draw, all are drawn in full.
        """
        frames = np.empty((len(chunk), self._spec.frame_bytes), np.uint8)
        return frames, self._draw(chunk, frames)

    def encode(self, chunk: Chunk) -> tuple[EncodedSegment, Timings]:
        """Draw and convert the frames of a segment, and encode them in the same thread."""
        from rayanim.video.formats import segment_encoder

        encoder = segment_encoder(self._spec, len(chunk.segment))
        # One frame at a time: 250 of them in 1920x1080 would take 775 MB.
        frame = np.empty((1, self._spec.frame_bytes), np.uint8)
        try:
            timings = self._draw(chunk, frame, encoder.encode)
            began_s = time.perf_counter()
            encoded = encoder.finish()
            finish_s = time.perf_counter() - began_s
        finally:
            encoder.abort()
        return encoded, replace(timings, encode_s=timings.encode_s + finish_s)

    def _draw(
        self, chunk: Chunk, frames: RawPayload, encode: Callable[[RawPayload], None] | None = None
    ) -> Timings:
        """Draw and convert all frames of `chunk` into `frames`, where each has room, or in turn."""
        draw_s = convert_s = encode_s = 0.0
        last_s = time.perf_counter()
        self.marks, self.noted = [], {}
        edges = (chunk.segment.start - chunk.start, chunk.segment.stop - 1 - chunk.start)
        # All frames before that one were drawn by the process that audits it: where drawing
        # keeps state, it differs most.
        first = chunk.batch.numbers[0] if chunk.start == self._begun and self._share != 0 else None
        with self._monitor.open(), self.opened:
            for at, (number, params) in enumerate(chunk.batch.frames()):
                is_chosen = number == first or is_marked(self._seed, number, self._share)
                is_compared = is_chosen and not self._is_audited
                with self._monitor.frame(number, compared=is_compared):
                    drawn = self._drawn(number, params)
                drawn_s = time.perf_counter()
                frame = frames[at % len(frames)]
                self._packer.pack(drawn, frame, number)
                if is_chosen and self._is_audited:
                    self.marks.append(FrameMark.of(number, frame, self._spec))
                if self._is_noting and (at in edges or is_marked(self._seed, number, NOTED_SHARE)):
                    self.noted[number] = pixel_digest(frame)
                converted_s = time.perf_counter()
                if encode is not None:
                    encode(frames)
                draw_s, convert_s = draw_s + drawn_s - last_s, convert_s + converted_s - drawn_s
                last_s = time.perf_counter()
                encode_s += last_s - converted_s
        return Timings(draw_s, convert_s, len(chunk), encode_s, self._monitor.take())

    def draw_again(self, number: int, params: Any, out: Frame) -> None:
        """Draw frame `number` into `out` once more, without counting it."""
        with self._monitor.open():
            self._packer.pack(self._drawn(number, params), out, number)

    def mark(self, number: int, params: Any) -> FrameMark:
        """The same, for the pixels' mark."""
        frame = np.empty(self._spec.frame_bytes, np.uint8)
        self.draw_again(number, params, frame)
        return FrameMark.of(number, frame, self._spec)

    def _drawn(self, number: int, params: Any) -> npt.NDArray[np.uint8]:
        seed_for(self._seed, number)
        return draw_frame(self._source, number, params, self._spec.source_size)


def comparing_share(audit: float | None) -> float:
    """The share of its time that a canvas may spend on comparing with full draws."""
    if audit is None:
        return AUDIT_TIME
    return math.inf if audit else 0.0


def open_source(source: Source, seed: int | None, geometry: Geometry | None) -> None:
    """Open `source` in this process, with random numbers that are the same in each."""
    seed_for(seed, SETUP)
    with user_code(f"Setting up {source.name}", SetupError):
        source.open(geometry)


def close_source(source: Source) -> None:
    with user_code(f"{source.name}: closing it"):
        source.close()


@contextlib.contextmanager
def opened(source: Source, seed: int | None, geometry: Geometry) -> Iterator[Source]:
    """A source that is open for a while; how closing it fails does not matter."""
    try:
        open_source(source, seed, geometry)
        yield source
    finally:
        with contextlib.suppress(RayanimError):
            close_source(source)


def measure_source(source: Source, seed: int | None, number: int, params: Any) -> Geometry:
    """What the video's first frame settles for all."""
    seed_for(seed, number)
    with naming_frame(source, number):
        return source.measure(number, params)


def draw_frame(
    source: Source, number: int, params: Any, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Draw one frame of an open source and check its size."""
    with naming_frame(source, number):
        frame = source.draw(number, params)
    if frame.shape[1::-1] != size:
        raise FrameError(
            f"Frame {number} of {source.name} is {frame.shape[1]}x{frame.shape[0]} pixels, the "
            f"first one was {size[0]}x{size[1]}. All frames of a video have one size: do not "
            "change the figure's size or dpi.",
            frame=number,
        )
    return frame


MOST_DRAWN, FEWEST_DRAWN, DRAW_S = 12, 2, 1.0
"""First frames of a video after which `OrderTest` is possible: as many as take a second."""

TESTED_FRAMES = 4
"""The last of them are tested."""


class OrderTest:
    """Draws some of a video's first frames without those before: do they look the same?"""

    def __init__(self, spec: StreamSpec, settings: RenderSettings) -> None:
        self._spec = spec
        self._settings = settings
        self._count = 0
        # Parameters and mark.
        self._drawn: deque[tuple[Any, FrameMark]] = deque(maxlen=TESTED_FRAMES)

    def has_enough(self, frame_s: float) -> bool:
        """Whether there are enough frames, where one takes so long."""
        wanted = DRAW_S / frame_s if frame_s > 0 else MOST_DRAWN
        return self._count >= min(MOST_DRAWN, max(FEWEST_DRAWN, wanted))

    def remember(self, chunk: Chunk, frames: RawPayload) -> None:
        """These frames follow those before."""
        for (number, params), frame in zip(chunk.batch.kept().frames(), frames, strict=True):
            if self._count == MOST_DRAWN:
                return
            self._count += 1
            self._drawn.append((params, FrameMark.of(number, frame, self._spec)))

    def order_matters(self, fresh: AbstractContextManager[Source], geometry: Geometry) -> bool:
        """Whether `fresh`, a source that has drawn nothing, draws one with other pixels."""
        seed = self._settings.seed
        try:
            with fresh as copy, opened(copy, seed, geometry) as source:
                renderer = ChunkRenderer(source, self._spec, self._settings, is_audited=True)
                return not all(
                    renderer.mark(mark.number, params).same_as(mark)
                    for params, mark in reversed(self._drawn)
                )
        except RayanimError:
            return True  # it cannot do without the frames before


COSTLY = 0.5
"""Updates that take more than this share of a frame are not run for nothing."""


def find_jump(
    source: SequentialSource,
    index: int,
    renderer: ChunkRenderer,
    test: OrderTest,
    fresh: AbstractContextManager[Source],
    geometry: Geometry,
    costly_s: float = math.inf,
) -> None:
    """Before frame `index` is drawn: have `source` skip costly updates, if frames do without them.

    Updates of `costly_s` are costly, too. Draws some of the frames before it, and again with a
    `fresh` source.
    """
    if source.jumps or len(source.skipped(index)) <= TESTED_FRAMES:
        return
    for number, params in list(itertools.islice(source.skipped_frames(index), 1 + TESTED_FRAMES)):
        one = Chunk(0, number, number + 1, Batch([number], [params]))
        frames, timings = renderer.render(one)
        test.remember(one, frames)
    if (source.advance_s or 0.0) > min(COSTLY * timings.busy_s, costly_s):
        source.jumps = not test.order_matters(fresh, geometry)
