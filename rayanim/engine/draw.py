"""The render step: draws a segment and converts its pixels. It stands here alone.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, Union

import cloudpickle
import numpy as np
import numpy.typing as npt

from rayanim.engine.plan import Segment
from rayanim.errors import (
    FrameError,
    HistoryError,
    NotPicklableError,
    RayanimError,
    ScriptError,
    SetupError,
)
from rayanim.figure.draw_stats import Account, Ledger, Note
from rayanim.figure.style import Style, apply_style, capture_style
from rayanim.parameters import Batch
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import RenderSettings, Transport
from rayanim.sources import Geometry, Source
from rayanim.video.spec import StreamSpec

if TYPE_CHECKING:
    from rayanim.video.encode import EncodedSegment

Frame = npt.NDArray[np.uint8]
"""(frame_bytes,) uint8: one planar frame, packed as `StreamSpec` says."""

RawPayload = npt.NDArray[np.uint8]
"""(frames, frame_bytes) uint8: such frames, one after the other."""

Collected = TypeVar("Collected")
Given = TypeVar("Given", covariant=True)


class Collector(Protocol[Given]):
    """Takes the frames of one segment, in order."""

    def buffer(self) -> Frame:
        """Where the next frame is to be put, (frame_bytes,) uint8."""

    def add(self) -> None:
        """The frame is there."""

    def finish(self) -> Given:
        """What the frames came to."""

    def abort(self) -> None:
        """Let go of what was collected."""


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
        self._count = 0


class EncodedFrames:
    """Encodes frames into a closed segment, in the thread that draws them."""

    def __init__(self, spec: StreamSpec, done: RawPayload | None = None) -> None:
        from rayanim.video.encode import SegmentEncoder

        self._encoder = SegmentEncoder(spec)
        # One frame at a time: 250 of them in 1920x1080 would take 775 MB.
        self._frame = np.empty((1, spec.frame_bytes), np.uint8)
        if done is not None:
            self._encoder.encode(done)

    def buffer(self) -> Frame:
        frame: Frame = self._frame[0]
        return frame

    def add(self) -> None:
        self._encoder.encode(self._frame)

    def finish(self) -> EncodedSegment:
        return self._encoder.finish()

    def abort(self) -> None:
        self._encoder.abort()


class Remembering(Generic[Given]):
    """Hands frames on to a collector, and keeps the first few."""

    def __init__(self, inner: Collector[Given], count: int) -> None:
        self._inner = inner
        self._count = count
        self.kept: list[Frame] = []

    def buffer(self) -> Frame:
        return self._inner.buffer()

    def add(self) -> None:
        if len(self.kept) < self._count:
            self.kept.append(self._inner.buffer().copy())
        self._inner.add()

    def finish(self) -> Given:
        return self._inner.finish()

    def abort(self) -> None:
        self._inner.abort()


Payload = Union[RawPayload, "EncodedSegment"]
"""What an actor hands over of a segment: its frames, or what they were encoded to."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a segment went, in seconds."""

    draw_s: float
    convert_s: float
    frames: int
    encode_s: float = 0.0
    account: Account = field(default_factory=Account)

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.draw_s + other.draw_s,
            self.convert_s + other.convert_s,
            self.frames + other.frames,
            self.encode_s + other.encode_s,
            self.account + other.account,
        )

    def after(self, others: Timings) -> Timings:
        """These, with the time of `others`, whose frames were drawn in vain."""
        both = self + others
        return replace(both, frames=self.frames, account=self.account.after(others.account))

    @property
    def busy_s(self) -> float:
        """Seconds in all."""
        return self.draw_s + self.convert_s + self.encode_s


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSetup:
    """The settings, and what the first process found out, for all others to draw the same."""

    settings: RenderSettings
    geometry: Geometry
    spec: StreamSpec
    transport: Transport
    first: Batch
    first_digest: bytes | None = None
    open_s: float = 0.0
    in_full: bool = False


def digest_of(frame: npt.NDArray[np.uint8]) -> bytes:
    """A short name for the bytes of one converted frame."""
    return hashlib.blake2b(frame.data, digest_size=16).digest()


NO_TIME = Timings(0.0, 0.0, 0)


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


class SegmentRenderer:
    """Draws segments of one open source; keeps the converter and its buffers."""

    def __init__(self, source: Source, spec: StreamSpec, seed: int | None) -> None:
        from rayanim.video.convert import FrameConverter

        self._source = source
        self._spec = spec
        self._seed = seed
        self._converter = FrameConverter(spec)
        self._ledger = Ledger()
        self._knows_difference = False

    @property
    def difference(self) -> str | None:
        """What drawing in parts was found to draw differently from a full draw, as text."""
        return self._ledger.difference

    @property
    def lays_out(self) -> bool:
        """Whether a layout has run in a frame that was drawn."""
        return self._ledger.lays_out

    def draw_in_full_from_now(self) -> None:
        """Draw no figure in parts any more, for a difference was found elsewhere."""
        self._ledger.in_full = True

    def render(self, segment: Segment) -> tuple[RawPayload, Timings]:
        """Draw and convert all frames of `segment`.

        Where a frame of it turns out to differ from a full draw, the segment
        is drawn once more: all figures are drawn in full from then on.
        """
        payload, timings = self.collect(segment, RawFrames(self._spec, len(segment)))
        if self.differs_now():
            payload, again = self.collect(segment, RawFrames(self._spec, len(segment)))
            timings = again.after(timings)
        return payload, timings

    def differs_now(self) -> bool:
        """Whether a difference from a full draw has been found since the last call."""
        is_new = self.difference is not None and not self._knows_difference
        self._knows_difference = self.difference is not None
        return is_new

    def collect(
        self, segment: Segment, collector: Collector[Collected]
    ) -> tuple[Collected, Timings]:
        """Draw and convert all frames of `segment` into `collector`, once."""
        watch = Stopwatch()
        try:
            with self._ledger.open():
                compared = self._compared_place(segment)
                for place, (number, params) in enumerate(frames_of(segment.batch)):
                    self._add(number, params, collector, watch, compared=place == compared)
            collected = collector.finish()
            watch.lap("encode")
        except BaseException:
            collector.abort()
            raise
        return collected, watch.timings(len(segment), self._ledger.take())

    def draw_again(self, number: int, params: Any, out: Frame) -> None:
        """Draw frame `number` into `out` once more, without counting it."""
        with self._ledger.open():
            self._converter.convert(self._drawn(number, params), out)

    def _compared_place(self, segment: Segment) -> int:
        """Which frame of `segment` is compared with a full draw: any, the same in each run."""
        rng = random.Random(f"{self._seed} {segment.batch.numbers[0]}")
        return rng.randrange(len(segment))

    def _add(
        self,
        number: int,
        params: Any,
        collector: Collector[Any],
        watch: Stopwatch,
        *,
        compared: bool,
    ) -> None:
        with self._ledger.frame(number, compared=compared):
            frame = self._drawn(number, params)
        watch.lap("draw")
        self._converter.convert(frame, collector.buffer())
        watch.lap("convert")
        collector.add()
        watch.lap("encode")

    def _drawn(self, number: int, params: Any) -> npt.NDArray[np.uint8]:
        seed_for(self._seed, number)
        return draw_frame(self._source, number, params, self._spec.source_size)


class Stopwatch:
    """Adds up the seconds between laps, by what they were spent on."""

    def __init__(self) -> None:
        self._spent_s = {"draw": 0.0, "convert": 0.0, "encode": 0.0}
        self._last_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the lap before went into `stage`."""
        now_s = time.perf_counter()
        self._spent_s[stage] += now_s - self._last_s
        self._last_s = now_s

    def timings(self, frames: int, account: Account) -> Timings:
        """What was spent on so many frames."""
        spent_s = self._spent_s
        return Timings(spent_s["draw"], spent_s["convert"], frames, spent_s["encode"], account)


def frames_of(batch: Batch) -> Iterator[tuple[int, Any]]:
    """Each frame's number and its parameters, None where the source needs none."""
    params = itertools.repeat(None) if batch.params is None else batch.params
    return zip(batch.numbers, params, strict=False)


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


FRAMES_CHECKED = 3
"""First frames of a segment that are drawn again, the last of them first.

One alone may show what was just set: a plot that is replaced every third frame
looks the same in the frame that replaces it, whatever came before.
"""

DRAWN_PER_CHECKED = 100
"""A frame in so many is drawn again: a hundredth of the time of a long job."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """A frame that depends on the frames drawn before it, with what to tell of it."""

    frame: int
    text: str


@dataclass(frozen=True, slots=True)
class DrawnFrame:
    """A frame as it was drawn."""

    number: int
    params: Any
    packed: Frame


class HistoryBudget:
    """Says when to look, for all who draw together."""

    def __init__(self) -> None:
        self._checked = 0

    def is_due(self, drawn_frames: int) -> bool:
        """Whether the next segment is to be checked, after so many frames; counts it if so."""
        if self._checked * DRAWN_PER_CHECKED > drawn_frames:
            return False
        self._checked += FRAMES_CHECKED
        return True


class HistoryCheck:
    """Looks at segments of one open source."""

    def __init__(self, renderer: SegmentRenderer, spec: StreamSpec, name: str) -> None:
        self._renderer = renderer
        self._spec = spec
        self._name = name
        self._drawn: deque[DrawnFrame] = deque(maxlen=FRAMES_CHECKED)

    def remember(self, segment: Segment, kept: Sequence[Frame]) -> None:
        """A segment was drawn, of which these are the first frames, converted.

        They take the place of those of segments before, as far as there are
        enough of them: a segment of one frame has no history of its own.
        """
        for (number, params), packed in zip(frames_of(segment.batch), kept, strict=False):
            self._drawn.append(DrawnFrame(number, params, packed))

    def compare(self) -> Dependence | None:
        """Draw what is remembered again, the last first."""
        again = np.empty(self._spec.frame_bytes, np.uint8)
        for drawn in reversed(self._drawn):
            self._renderer.draw_again(drawn.number, drawn.params, again)
            if not np.array_equal(drawn.packed, again):
                box = _box(drawn.packed, again, self._spec)
                return Dependence(drawn.number, self._told(drawn.number, box))
        return None

    def _told(self, number: int, box: str) -> str:
        return (
            f"Frame {number} of {self._name} depends on the frames drawn before it: drawn again "
            f"after others it has other pixels{box}. Spread over actors, the video is not what "
            "drawing all frames in order gives. With sequential=True (--sequential, or "
            "`sequential = True` on an Animator) each actor runs the updates that it skips, "
            "and the video is exact. If it shows the time of day, or random numbers of a "
            "generator without a seed, only drawing from the frame's number or parameters helps."
        )


def _box(first: Frame, again: Frame, spec: StreamSpec) -> str:
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


class Pieces:
    """What is drawn of a segment so far."""

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


LARGE_BYTES = 64 * 2**20
"""A source above this is worth a warning: every actor holds a copy."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A source that was not opened yet, ready to travel."""

    pickled: bytes
    search_path: tuple[str, ...]
    folder: str


def pack(source: Source) -> Shipment:
    """Pack a source that was not opened yet."""
    try:
        pickled = cloudpickle.dumps((source, capture_style()))
    except Exception as error:
        culprit = _culprit(source)
        raise NotPicklableError(
            f"{source.name} cannot be sent to actors: {culprit or error}. Make it in setup() or "
            "start(), which run in the actor, or draw in this process with workers=1.",
            traceback_text=traceback.format_exc(),
        ) from error
    return Shipment(pickled, tuple(sys.path), str(Path.cwd()))


def unpack(shipment: Shipment) -> Source:
    """Make this process fit to draw, then unpack the source."""
    # Before any user code is imported: there may be no display here.
    os.environ["MPLBACKEND"] = "agg"
    sys.path.extend(entry for entry in shipment.search_path if entry not in sys.path)
    if Path(shipment.folder).is_dir():
        os.chdir(shipment.folder)
    try:
        source: Source
        style: Style | None
        source, style = cloudpickle.loads(shipment.pickled)
    except Exception as error:
        raise SetupError(
            f"The source could not be unpickled in the actor: {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error
    apply_style(style)
    return source


def large_attributes(source: Source, shipment: Shipment) -> str | None:
    """A warning that names what makes `shipment` large, or None where it is not."""
    if len(shipment.pickled) < LARGE_BYTES:
        return None
    sizes = sorted(((_size(value), name) for name, value in _attributes(source)), reverse=True)
    named = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for size, name in sizes[:3])
    return (
        f"{source.name} takes {len(shipment.pickled) / 2**20:.0f} MB in each actor, most of it "
        f"in {named}. Load it in setup(), or give it frame by frame through param_by_frame."
    )


def _attributes(source: Source) -> list[tuple[str, Any]]:
    """The attributes of the user's own object, or of the adapter where it has none."""
    for name in ("_animator", "_generator", "_function"):
        inner = getattr(source, name, None)
        if inner is not None:
            found = list(getattr(inner, "__dict__", {}).items())
            return [(f"self.{key}", value) for key, value in found] or [(source.name, inner)]
    return list(vars(source).items())


def _culprit(source: Source) -> str | None:
    for name, value in _attributes(source):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            return f"{name} = {value!r:.80} cannot be pickled ({error})"
    return None


def _size(value: Any) -> int:
    try:
        return len(cloudpickle.dumps(value))
    except Exception:  # a size for a message; what cannot be pickled was reported before
        return 0


@dataclass(frozen=True, slots=True)
class Work:
    """A segment that was drawn, and what is to be said about it."""

    payload: Payload
    timings: Timings
    difference: str | None = None
    batch_digest: str | None = None


class Worker:
    """Draws segments of an open source, and encodes them where that is the transport."""

    def __init__(self, source: Source, setup: RenderSetup) -> None:
        self._setup = setup
        self._renderer = SegmentRenderer(source, setup.spec, setup.settings.seed)
        if setup.in_full:
            self._renderer.draw_in_full_from_now()
        self._check: HistoryCheck | None = (
            HistoryCheck(self._renderer, setup.spec, source.name)
            if setup.settings.checks_history
            else None
        )

    def draw_in_full_from_now(self) -> None:
        """Draw no figure in parts any more, for a difference was found elsewhere."""
        self._renderer.draw_in_full_from_now()

    def first_frame_differs(self) -> bool:
        """Whether the video's first frame has other pixels here than in the first process."""
        setup = self._setup
        if setup.first_digest is None:
            return False
        frames, _ = self._renderer.render(Segment(0, 0, 1, setup.first))
        return digest_of(frames[0]) != setup.first_digest

    def work(
        self, segment: Segment, done: RawPayload | None = None, *, is_checked: bool = False
    ) -> Work:
        """Draw a segment."""
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
        from rayanim.storage.fingerprint import batch_digest

        if self._setup.transport == "frames":
            return None
        return batch_digest(segment.batch.numbers, segment.batch.params)

    def _collector(self, segment: Segment, done: RawPayload | None) -> Collector[Any]:
        if self._setup.transport == "segments":
            return EncodedFrames(self._setup.spec, done)
        return RawFrames(self._setup.spec, len(segment))

    def _with_history(self, timings: Timings) -> Timings:
        """`timings`, with a note where a frame turns out to depend on those before it."""
        found = None if self._check is None else self._check.compare()
        if found is None:
            return timings
        if self._setup.settings.on_history == "error":
            raise HistoryError(found.text, frame=found.frame)
        self._check = None
        notes = (*timings.account.notes, Note("history", found.text))
        return replace(timings, account=replace(timings.account, notes=notes))
