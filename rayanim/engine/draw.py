"""The render step: draws a chunk and converts its pixels. It stands here alone.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

import cloudpickle
import numpy as np
import numpy.typing as npt

from rayanim.engine.chunks import FRAMES_CHECKED
from rayanim.engine.machine import process_rss_bytes
from rayanim.engine.plan import Chunk
from rayanim.errors import (
    FrameError,
    HistoryError,
    RayanimError,
    ScriptError,
    SetupError,
)
from rayanim.figure.draw_stats import DrawMonitor, DrawStats, Note
from rayanim.parameters import Batch
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import RenderSettings
from rayanim.sources import Geometry, Source
from rayanim.video.spec import StreamSpec

if TYPE_CHECKING:
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

    def after(self, others: Timings) -> Timings:
        """These, with the time of `others`, whose frames were drawn in vain."""
        both = self + others
        return replace(both, frames=self.frames, draws=self.draws.after(others.draws))

    @property
    def busy_s(self) -> float:
        """Seconds in all."""
        return self.draw_s + self.convert_s + self.encode_s


NO_TIME = Timings(0.0, 0.0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSetup:
    """The settings, and what the first process found out, for all others to draw the same."""

    settings: RenderSettings
    geometry: Geometry
    spec: StreamSpec
    first: Batch
    first_digest: bytes | None = None
    open_s: float = 0.0
    in_full: bool = False
    replay: Replay | None = None


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
    """What is known of a drawn chunk without its pixels."""

    timings: Timings | None
    rss_bytes: int
    failure: RayanimError | None = None
    payload_bytes: int = 0
    difference: str | None = None
    batch_digest: str | None = None


class Worker:
    """Draws chunks of an open source, and encodes those that are whole segments."""

    def __init__(self, source: Source, setup: RenderSetup) -> None:
        self._setup = setup
        self._renderer = ChunkRenderer(source, setup.spec, setup.settings.seed)
        if setup.in_full:
            self._renderer.draw_in_full_from_now()
        self._check: HistoryCheck | None = (
            HistoryCheck(self._renderer, setup.spec, source.name)
            if setup.settings.checks_history and setup.replay is None
            else None
        )

    def draw_in_full_from_now(self) -> None:
        """No incremental draws any more: a difference from a full draw was found elsewhere."""
        self._renderer.draw_in_full_from_now()

    def first_frame_differs(self) -> bool:
        """Whether the video's first frame has other pixels here than in the first process."""
        setup = self._setup
        if setup.first_digest is None:
            return False
        frames, _ = self._renderer.render(Chunk(0, 0, 1, setup.first))
        return digest_of(frames[0]) != setup.first_digest

    def work(self, chunk: Chunk, *, is_checked: bool = False) -> tuple[Payload, DrawnMeta]:
        """Draw a chunk."""
        first: list[Frame] = []
        payload: Payload
        payload, timings = self._renderer.collect(chunk, self._collector(chunk), first)
        if self._renderer.differs_now():
            first = []
            payload, again = self._renderer.collect(chunk, self._collector(chunk), first)
            timings = again.after(timings)
        if self._check is not None:
            self._check.remember(chunk, first)
            timings = self._with_history(timings) if is_checked else timings
        return payload, DrawnMeta(
            timings,
            process_rss_bytes(),
            payload_bytes=payload.nbytes if isinstance(payload, np.ndarray) else payload.data_bytes,
            difference=self._renderer.difference,
            batch_digest=self._digest(chunk),
        )

    def _digest(self, chunk: Chunk) -> str | None:
        from rayanim.storage.fingerprint import batch_digest

        if not chunk.encodes:
            return None
        return batch_digest(chunk.batch.numbers, chunk.batch.params)

    def _collector(self, chunk: Chunk) -> Collector[Any]:
        if chunk.encodes:
            return EncodedFrames(self._setup.spec)
        return RawFrames(self._setup.spec, len(chunk))

    def _with_history(self, timings: Timings) -> Timings:
        """`timings`, with a note if a frame turns out to depend on those before it."""
        found = None if self._check is None else self._check.compare()
        if found is None:
            return timings
        if self._setup.settings.on_history != "warn":
            raise found
        self._check = None
        notes = (*timings.draws.notes, Note("history", found.message))
        return replace(timings, draws=replace(timings.draws, notes=notes))


class ChunkRenderer:
    """Draws chunks of one open source; keeps the converter and its buffers."""

    def __init__(self, source: Source, spec: StreamSpec, seed: int | None) -> None:
        from rayanim.video.convert import FrameConverter

        self._source = source
        self._spec = spec
        self._seed = seed
        self._converter = FrameConverter(spec)
        self._monitor = DrawMonitor()
        self._knows_difference = False

    @property
    def difference(self) -> str | None:
        """What an incremental draw was found to draw differently from a full draw, as text."""
        return self._monitor.difference

    @property
    def lays_out(self) -> bool:
        """Whether a layout has run in a frame that was drawn."""
        return self._monitor.lays_out

    def draw_in_full_from_now(self) -> None:
        """No incremental draws any more: a difference from a full draw was found elsewhere."""
        self._monitor.in_full = True

    def render(self, chunk: Chunk) -> tuple[RawPayload, Timings]:
        """Draw and convert all frames of `chunk`.

        Where a frame of it turns out to differ from a full draw, the chunk
        is drawn once more: all figures are drawn in full from then on.
        """
        payload, timings = self.collect(chunk, RawFrames(self._spec, len(chunk)))
        if self.differs_now():
            payload, again = self.collect(chunk, RawFrames(self._spec, len(chunk)))
            timings = again.after(timings)
        return payload, timings

    def differs_now(self) -> bool:
        """Whether a difference from a full draw has been found since the last call."""
        is_new = self.difference is not None and not self._knows_difference
        self._knows_difference = self.difference is not None
        return is_new

    def collect(
        self, chunk: Chunk, collector: Collector[Collected], first: list[Frame] | None = None
    ) -> tuple[Collected, Timings]:
        """Draw and convert all frames of `chunk` into `collector`, once.

        Copies of the first `FRAMES_CHECKED` are added to `first`.
        """
        watch = _Stopwatch()
        try:
            with self._monitor.open():
                compared = self._compared_place(chunk)
                for place, (number, params) in enumerate(_frames_of(chunk.batch)):
                    with self._monitor.frame(number, compared=place == compared):
                        drawn = self._drawn(number, params)
                    watch.lap("draw")
                    frame = collector.buffer()
                    self._converter.convert(drawn, frame)
                    if first is not None and place < FRAMES_CHECKED:
                        first.append(frame.copy())
                    watch.lap("convert")
                    collector.add()
                    watch.lap("encode")
            collected = collector.finish()
            watch.lap("encode")
        except BaseException:
            collector.abort()
            raise
        return collected, watch.timings(len(chunk), self._monitor.take())

    def draw_again(self, number: int, params: Any, out: Frame) -> None:
        """Draw frame `number` into `out` once more, without counting it."""
        with self._monitor.open():
            self._converter.convert(self._drawn(number, params), out)

    def _compared_place(self, chunk: Chunk) -> int:
        """Which frame of `chunk` is compared with a full draw: any, the same in each run."""
        rng = random.Random(f"{self._seed} {chunk.batch.numbers[0]}")
        return rng.randrange(len(chunk))

    def _drawn(self, number: int, params: Any) -> npt.NDArray[np.uint8]:
        seed_for(self._seed, number)
        return draw_frame(self._source, number, params, self._spec.source_size)


Collected = TypeVar("Collected", covariant=True)


class Collector(Protocol[Collected]):
    """Takes the frames of one chunk, in order."""

    def buffer(self) -> Frame:
        """Where the next frame is to be put, (frame_bytes,) uint8."""

    def add(self) -> None:
        """The frame is there."""

    def finish(self) -> Collected:
        """What the frames came to."""

    def abort(self) -> None:
        """Free what was collected."""


class RawFrames:
    """Keeps frames as they are."""

    def __init__(self, spec: StreamSpec, n_frames: int) -> None:
        self._frames = np.empty((n_frames, spec.frame_bytes), np.uint8)
        self._count = 0

    def buffer(self) -> Frame:
        frame: Frame = self._frames[self._count]
        return frame

    def add(self) -> None:
        self._count += 1

    def finish(self) -> RawPayload:
        return self._frames

    def abort(self) -> None:
        """Nothing: the frames go with this object."""


class EncodedFrames:
    """Encodes the frames of a segment, in the thread that draws them."""

    def __init__(self, spec: StreamSpec) -> None:
        from rayanim.video.encode import SegmentEncoder

        self._encoder = SegmentEncoder(spec)
        # One frame at a time: 250 of them in 1920x1080 would take 775 MB.
        self._frame = np.empty((1, spec.frame_bytes), np.uint8)

    def buffer(self) -> Frame:
        frame: Frame = self._frame[0]
        return frame

    def add(self) -> None:
        self._encoder.encode(self._frame)

    def finish(self) -> EncodedSegment:
        return self._encoder.finish()

    def abort(self) -> None:
        self._encoder.abort()


class _Stopwatch:
    """Adds up the seconds between laps, by what they were spent on."""

    def __init__(self) -> None:
        self._spent_s = {"draw": 0.0, "convert": 0.0, "encode": 0.0}
        self._last_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the lap before went into `stage`."""
        now_s = time.perf_counter()
        self._spent_s[stage] += now_s - self._last_s
        self._last_s = now_s

    def timings(self, frames: int, draws: DrawStats) -> Timings:
        """What was spent on so many frames."""
        spent_s = self._spent_s
        return Timings(spent_s["draw"], spent_s["convert"], frames, spent_s["encode"], draws)


def digest_of(frame: npt.NDArray[np.uint8]) -> bytes:
    """A short name for the bytes of one converted frame."""
    return hashlib.blake2b(frame.data, digest_size=16).digest()


def open_source(source: Source, seed: int | None, geometry: Geometry | None) -> None:
    """Open `source` in this process, with random numbers that are the same in each."""
    seed_for(seed, SETUP)
    try:
        source.open(geometry)
    except RayanimError:
        raise
    except Exception as error:
        raise SetupError(
            f"Setting up {source.name} raised {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error


def close_source(source: Source) -> None:
    """Close `source` in this process."""
    try:
        source.close()
    except RayanimError:
        raise
    except Exception as error:
        raise ScriptError(
            f"{source.name}: closing it raised {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error


def measure_source(source: Source, seed: int | None, number: int, params: Any) -> Geometry:
    """What the video's first frame settles for all."""
    seed_for(seed, number)
    try:
        return source.measure(number, params)
    except ScriptError as error:
        raise _with_frame(error, number) from error
    except RayanimError:
        raise
    except Exception as error:
        raise _frame_error(source, number, error) from error


def draw_frame(
    source: Source, number: int, params: Any, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Draw one frame of an open source and check its size."""
    try:
        frame = source.draw(number, params)
    except ScriptError as error:
        raise _with_frame(error, number) from error
    except RayanimError:
        raise
    except Exception as error:
        raise _frame_error(source, number, error) from error
    if frame.shape[1::-1] != size:
        raise FrameError(
            f"Frame {number} of {source.name} is {frame.shape[1]}x{frame.shape[0]} pixels, the "
            f"first one was {size[0]}x{size[1]}. All frames of a video have one size: do not "
            "change the figure's size or dpi.",
            frame=number,
        )
    return frame


def _frames_of(batch: Batch) -> Iterator[tuple[int, Any]]:
    """Each frame's number and its parameters, None where the source needs none."""
    params = itertools.repeat(None) if batch.params is None else batch.params
    return zip(batch.numbers, params, strict=False)


def _with_frame(error: ScriptError, number: int) -> ScriptError:
    """The same error, naming the frame where it did not."""
    if error.frame is not None:
        return error
    return FrameError(
        f"Frame {number}: {error.message}", frame=number, traceback_text=error.traceback_text
    )


def _frame_error(source: Source, number: int, error: Exception) -> FrameError:
    return FrameError(
        f"Drawing frame {number} of {source.name} raised {type(error).__name__}: {error}",
        frame=number,
        traceback_text=traceback.format_exc(),
    )


class HistoryCheck:
    """Draws frames of one open source again, to see whether they depend on those before."""

    def __init__(self, renderer: ChunkRenderer, spec: StreamSpec, name: str) -> None:
        self._renderer = renderer
        self._spec = spec
        self._name = name
        # Number, parameters and pixels.
        self._drawn: deque[tuple[int, Any, Frame]] = deque(maxlen=FRAMES_CHECKED)

    def remember(self, chunk: Chunk, first: Sequence[Frame]) -> None:
        """A chunk was drawn, of which these are the first frames, converted.

        They take the place of those of chunks before, as far as there are
        enough of them: a chunk of one frame has no history of its own.
        """
        for (number, params), frame in zip(_frames_of(chunk.batch), first, strict=False):
            self._drawn.append((number, params, frame))

    def compare(self) -> HistoryError | None:
        """Draw what is remembered again, the last first; the error for one that differs."""
        again = np.empty(self._spec.frame_bytes, np.uint8)
        for number, params, frame in reversed(self._drawn):
            self._renderer.draw_again(number, params, again)
            if not np.array_equal(frame, again):
                return self._error(number, _difference_text(frame, again, self._spec))
        return None

    def _error(self, number: int, where: str) -> HistoryError:
        return HistoryError(
            f"Frame {number} of {self._name} depends on the frames drawn before it: drawn again "
            f"after others it has other pixels{where}. Spread over actors, the video is not what "
            "drawing all frames in order gives. With sequential=True (--sequential, or "
            "`sequential = True` on an Animator) each actor runs the updates that it skips, "
            "and the video is exact. If it shows the time of day, or random numbers of a "
            "generator without a seed, only drawing from the frame's number or parameters helps.",
            frame=number,
        )


MOST_DRAWN, FEWEST_DRAWN, DRAW_S = 12, 2, 1.0
"""First frames of a video after which `OrderTest` is possible: as many as take a second."""

TESTED_FRAMES = 4
"""The last of them are tested: 12 MB at 1920x1080."""


class OrderTest:
    """Draws some of a video's first frames without those before: do they look the same?"""

    def __init__(self, spec: StreamSpec, seed: int | None) -> None:
        self._spec = spec
        self._seed = seed
        self._count = 0
        # Number, parameters and pixels.
        self._drawn: deque[tuple[int, Any, Frame]] = deque(maxlen=TESTED_FRAMES)

    def has_enough(self, frame_s: float) -> bool:
        """Whether there are enough frames, where one takes so long."""
        wanted = DRAW_S / frame_s if frame_s > 0 else MOST_DRAWN
        return self._count >= min(MOST_DRAWN, max(FEWEST_DRAWN, wanted))

    def remember(self, chunk: Chunk, frames: RawPayload) -> None:
        """These frames follow those before."""
        for (number, params), frame in zip(_frames_of(chunk.batch), frames, strict=True):
            if self._count == MOST_DRAWN:
                return
            self._count += 1
            self._drawn.append((number, params, frame.copy()))

    def order_matters(self, fresh: Source, geometry: Geometry) -> bool:
        """Whether `fresh`, a source that has drawn nothing, draws one with other pixels."""
        again = np.empty(self._spec.frame_bytes, np.uint8)
        try:
            open_source(fresh, self._seed, geometry)
            renderer = ChunkRenderer(fresh, self._spec, self._seed)
            for number, params, frame in reversed(self._drawn):
                renderer.draw_again(number, params, again)
                if not np.array_equal(frame, again):
                    return True
        except RayanimError:
            return True  # it cannot do without the frames before
        finally:
            with contextlib.suppress(RayanimError):
                close_source(fresh)
        return False


def _difference_text(first: Frame, again: Frame, spec: StreamSpec) -> str:
    """Where two frames differ in their first plane, in words; empty where they do not."""
    width_px, height_px = spec.size
    sample_bytes = spec.layout.sample_bytes
    plane = slice(0, width_px * height_px * sample_bytes)
    samples = (first[plane] != again[plane]).reshape(height_px, width_px, sample_bytes)
    differs = samples.any(2)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return ""
    return f", in columns {columns[0]} to {columns[-1]} and rows {rows[0]} to {rows[-1]}"
