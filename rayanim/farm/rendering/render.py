"""The render step: draws a segment and converts its pixels. It stands here alone.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from rayanim.drawing.account import Account
from rayanim.drawing.ledger import Ledger
from rayanim.errors import FrameError, RayanimError, ScriptError, SetupError
from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.collectors import Collected, Collector, Frame, RawFrames, RawPayload
from rayanim.feed import Batch
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import OnHistory, Transport
from rayanim.source import Geometry, Source

if TYPE_CHECKING:
    from rayanim.video.segment import EncodedSegment
    from rayanim.video.spec import StreamSpec

Payload = Union[RawPayload, "EncodedSegment"]
"""What an actor hands over of a segment: its frames, or what they were encoded to."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a segment went, in seconds.

    Attributes
    ----------
    draw_s, convert_s
        Seconds in the user's code and its drawing, and in the conversion.
    frames
        Frames they were spent on.
    encode_s
        Seconds in the encoder, where the segment was encoded by who drew it.
    account
        How figures were drawn in those frames.
    """

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


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What the first process settled, for all others to draw the same.

    Attributes
    ----------
    geometry, spec, seed
        What the first frame settled, the stream, and the job's seed.
    first
        The film's first frame.
    first_digest
        What `digest_of` gave for it in the first process.
    open_s
        Seconds that opening the source took there.
    transport
        Whether actors hand over frames or closed segments.
    on_history
        What is done about a frame that depends on those drawn before it.
    in_full
        Whether figures are drawn in full, for drawing them in parts was found
        to differ.
    """

    geometry: Geometry
    spec: StreamSpec
    seed: int | None
    first: Batch
    first_digest: bytes | None
    open_s: float
    transport: Transport = "frames"
    on_history: OnHistory = "ignore"
    in_full: bool = False


def digest_of(frame: npt.NDArray[np.uint8]) -> bytes:
    """A short name for the bytes of one converted frame."""
    return hashlib.blake2b(frame.data, digest_size=16).digest()


NO_TIME = Timings(0.0, 0.0, 0)


def open_source(source: Source, seed: int | None, geometry: Geometry | None) -> None:
    """Open `source` in this process, with random numbers that are the same in each.

    Raises
    ------
    SetupError
        If the user's code raises.
    """
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
    """Close `source` in this process.

    Raises
    ------
    ScriptError
        If the user's code raises.
    """
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
    """What the film's first frame settles for all.

    Raises
    ------
    ScriptError
        If the user's code raises.
    """
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
    """Draws segments of one open source; keeps the converter and its buffers.

    Parameters
    ----------
    source
        An open source.
    spec
        How pixels are converted.
    seed
        The job's seed, see `seed_for`.
    """

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

        Raises
        ------
        FrameError
            If a frame cannot be drawn or has another size than the first.
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
        """Draw and convert all frames of `segment` into `collector`, once.

        Returns
        -------
        collected, timings

        Raises
        ------
        FrameError
            If a frame cannot be drawn or has another size than the first.
        EncodeError
            If the collector cannot take it.
        """
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
    """Draw one frame of an open source and check its size.

    Returns
    -------
    (height, width, 4) uint8 array
        RGBA, valid until the source draws again.

    Raises
    ------
    FrameError
        If the user's code raises, or the frame is not of `size`.
    """
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
            f"first one was {size[0]}x{size[1]}. All frames of a film have one size: do not "
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
