"""The render step: draws a segment and converts its pixels. It stands here alone.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from rayanim.errors import FrameError, RayanimError, ScriptError, SetupError
from rayanim.farm.collectors import Collected, Collector, Frame, RawFrames, RawPayload
from rayanim.farm.plan import Segment
from rayanim.farm.randomness import SETUP, seed_for
from rayanim.feed import Batch
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
    """

    draw_s: float
    convert_s: float
    frames: int
    encode_s: float = 0.0

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.draw_s + other.draw_s,
            self.convert_s + other.convert_s,
            self.frames + other.frames,
            self.encode_s + other.encode_s,
        )

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
    """

    geometry: Geometry
    spec: StreamSpec
    seed: int | None
    first: Batch
    first_digest: bytes | None
    open_s: float
    transport: Transport = "frames"
    on_history: OnHistory = "ignore"


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

    Attributes
    ----------
    difference
        What drawing in parts was found to draw differently from a full draw,
        as text for the user; None as long as nothing was.
    """

    def __init__(self, source: Source, spec: StreamSpec, seed: int | None) -> None:
        from rayanim.video.convert import FrameConverter

        self._source = source
        self._spec = spec
        self._seed = seed
        self._converter = FrameConverter(spec)
        self.difference: str | None = None

    def render(self, segment: Segment) -> tuple[RawPayload, Timings]:
        """Draw and convert all frames of `segment`.

        Where a frame of it turns out to differ from a full draw, the segment
        is drawn once more: the source draws everything in full from then on.

        Raises
        ------
        FrameError
            If a frame cannot be drawn or has another size than the first.
        """
        payload, timings = self.collect(segment, RawFrames(self._spec, len(segment)))
        if self.differs_now():
            payload, again = self.collect(segment, RawFrames(self._spec, len(segment)))
            timings = replace(again, draw_s=again.draw_s + timings.draw_s)
        return payload, timings

    def differs_now(self) -> bool:
        """Whether a difference from a full draw has been found since the last call."""
        found = self._source.difference
        is_new = found is not None and self.difference is None
        self.difference = self.difference or found
        return is_new

    def convert(self, number: int, params: Any, out: Frame) -> tuple[float, float]:
        """Draw frame `number` into `out`; the seconds of drawing and of conversion."""
        began = time.perf_counter()
        seed_for(self._seed, number)
        frame = draw_frame(self._source, number, params, self._spec.source_size)
        drawn = time.perf_counter()
        self._converter.convert(frame, out)
        return drawn - began, time.perf_counter() - drawn

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
        began = time.perf_counter()
        draw_s = convert_s = 0.0
        try:
            for number, params in frames_of(segment.batch):
                frame_draw_s, frame_convert_s = self.convert(number, params, collector.buffer())
                collector.add()
                draw_s += frame_draw_s
                convert_s += frame_convert_s
            collected = collector.finish()
        except BaseException:
            collector.abort()
            raise
        encode_s = time.perf_counter() - began - draw_s - convert_s
        return collected, Timings(draw_s, convert_s, len(segment), encode_s)


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
