"""The render step: draws a segment and converts its pixels. It stands here alone.

A render actor and the in-process path call the same class, which is why they
give the same bytes.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.drawing.account import Account
from rayanim.drawing.ledger import Ledger
from rayanim.errors import FrameError, RayanimError, ScriptError, SetupError
from rayanim.farm.plan import Segment
from rayanim.farm.randomness import SETUP, seed_for
from rayanim.feed import Batch
from rayanim.source import Geometry, Source

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

Payload = npt.NDArray[np.uint8]
"""(frames, frame_bytes) uint8: planar frames, packed as `StreamSpec` says."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a segment went, in seconds.

    Attributes
    ----------
    draw_s, convert_s
        Seconds in the user's code and its drawing, and in the conversion.
    frames
        Frames they were spent on.
    account
        How figures were drawn in those frames.
    """

    draw_s: float
    convert_s: float
    frames: int
    account: Account = field(default_factory=Account)

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.draw_s + other.draw_s,
            self.convert_s + other.convert_s,
            self.frames + other.frames,
            self.account + other.account,
        )


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
    """Draws segments of an open source and converts them for the encoder.

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

    @property
    def difference(self) -> str | None:
        """What drawing in parts was found to draw differently from a full draw, as text."""
        return self._ledger.difference

    def draw_in_full_from_now(self) -> None:
        """Draw no figure in parts any more, for a difference was found elsewhere."""
        self._ledger.in_full = True

    def render(self, segment: Segment) -> tuple[Payload, Timings]:
        """Draw and convert all frames of `segment`.

        Where a frame of it turns out to differ from a full draw, the segment
        is drawn once more: all figures are drawn in full from then on.

        Returns
        -------
        payload, timings

        Raises
        ------
        FrameError
            If a frame cannot be drawn or has another size than the first.
        """
        before = self.difference
        payload, timings = self._render_once(segment)
        if self.difference != before:
            payload, again = self._render_once(segment)
            timings = replace(again, draw_s=again.draw_s + timings.draw_s)
        return payload, replace(timings, account=self._ledger.take())

    def _render_once(self, segment: Segment) -> tuple[Payload, Timings]:
        payload = np.empty((len(segment), self._spec.frame_bytes), np.uint8)
        draw_s = convert_s = 0.0
        batch = segment.batch
        with self._ledger.open():
            for position, number in enumerate(batch.numbers):
                params = None if batch.params is None else batch.params[position]
                began = time.perf_counter()
                with self._ledger.frame(number):
                    seed_for(self._seed, number)
                    frame = draw_frame(self._source, number, params, self._spec.source_size)
                drawn = time.perf_counter()
                self._converter.convert(frame, payload[position])
                draw_s += drawn - began
                convert_s += time.perf_counter() - drawn
            self._ledger.check_at_end()
        return payload, Timings(draw_s, convert_s, len(segment))


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
