"""Frame generators: objects that draw the picture for any time, and ways to combine them.

Examples
--------
A square that brightens for two seconds, then darkens again:

>>> class Square(FrameGenerator):
...     duration = 1  # a millisecond, so that time_ms is the share of the whole
...     frame_size = (16, 16)
...
...     def generate_at(self, time_ms):
...         return bytes([round(255 * time_ms), 0, 0, 255]) * (16 * 16)
>>> there = FluentFG(Square()).time_rescale_exact(2, "s").build()
>>> video = FluentFG(there).then(FluentFG(there).reverse()).build()
>>> video.duration, video.generate_at(1000)[0], video.generate_at(4000)[0]
(4000.0, 128, 0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rayanim.errors import SettingsError
from rayanim.pixels import Frame, Size, bytes_of, to_image, to_size
from rayanim.timeline import (
    AtRate,
    Cropped,
    Dilated,
    Fluent,
    ForDuration,
    Retimed,
    Reversed,
    built,
    built_all,
    call_once,
    clamp,
    duration_of,
    in_sequence,
    same_duration,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_NOTHING_DRAWS = "{} must define generate_at(self, time_ms) or generate_at_pil(self, time_ms)."


class FrameGenerator:
    """Draws the frame for any time, in any order.

    Define `duration`, `frame_size` and one of `generate_at` and
    `generate_at_pil`; each of the two wraps the other. A generator must be
    picklable until `start` is called, because it may be sent to other processes.
    """

    @property
    def duration(self) -> float:
        """Length in milliseconds. Frames are drawn at times from 0 up to it."""
        raise NotImplementedError(f"{type(self).__name__} must define duration, in milliseconds.")

    @property
    def frame_size(self) -> Size:
        """Size of each frame in pixels, ``(width, height)``."""
        raise NotImplementedError(
            f"{type(self).__name__} must define frame_size, (width, height) in pixels."
        )

    def start(self) -> None:
        """Get ready; called once where the frames will be drawn, before the first one."""

    def generate_at(self, time_ms: float) -> Frame:
        """Draw the frame at `time_ms` milliseconds.

        Returns
        -------
        bytes, numpy.ndarray or PIL.Image.Image
            RGBA bytes; or a ``(height, width, 3 or 4)`` uint8 array; or an
            image of any mode.
        """
        if type(self).generate_at_pil is FrameGenerator.generate_at_pil:
            raise NotImplementedError(_NOTHING_DRAWS.format(type(self).__name__))
        return img_to_bytes(self._image_at(time_ms))

    def generate_at_pil(self, time_ms: float) -> Image:
        """Draw the frame at `time_ms` milliseconds as a Pillow image.

        The caller must neither change nor close the image: the generator may
        keep it.
        """
        if type(self).generate_at is FrameGenerator.generate_at:
            raise NotImplementedError(_NOTHING_DRAWS.format(type(self).__name__))
        return to_image(self.generate_at(time_ms), to_size(self.frame_size))

    def finish(self) -> None:
        """Release what `start` acquired; no frame is drawn after it."""

    def _image_at(self, time_ms: float) -> Image:
        return to_image(self.generate_at_pil(time_ms), to_size(self.frame_size))


def img_to_bytes(img: Image) -> bytes:
    """The pixels of a Pillow image of any mode as RGBA bytes, row by row."""
    return bytes_of(to_image(img, None))


class SequenceFrameGenerator(FrameGenerator):
    """Generators that play one after another.

    Where two meet, the first frame of the later one is shown. A generator that
    appears more than once, also inside others, is started and finished once.

    Parameters
    ----------
    children
        The generators, at least one, all of one frame size.

    Attributes
    ----------
    children
        As given, a tuple.
    children_end_at
        When each of them ends, in milliseconds.
    """

    def __init__(self, children: Any) -> None:
        self.children: tuple[FrameGenerator, ...] = built_all(children, FrameGenerator)
        for child in self.children[1:]:
            _require_same_size(self.children[0], child)
        self._order = in_sequence(self.children)

    @property
    def children_end_at(self) -> list[float]:
        """When each child ends, in milliseconds."""
        return list(self._order.ends_ms)

    @property
    def duration(self) -> float:
        return self._order.duration_ms

    @property
    def frame_size(self) -> Size:
        return to_size(self.children[0].frame_size)

    def child_at(self, time_ms: float) -> tuple[int, FrameGenerator, float]:
        """Index of the child that plays at `time_ms`, the child, and its own time in ms."""
        index, child_ms = self._order.locate(time_ms)
        return index, self.children[index], child_ms

    def start(self) -> None:
        call_once("start", self.children)

    def generate_at(self, time_ms: float) -> Frame:
        _, child, child_ms = self.child_at(time_ms)
        return child.generate_at(child_ms)

    def generate_at_pil(self, time_ms: float) -> Image:
        _, child, child_ms = self.child_at(time_ms)
        return child.generate_at_pil(child_ms)

    def finish(self) -> None:
        call_once("finish", self.children)


class _Wrapper(FrameGenerator):
    """A generator that draws what its child does."""

    child: FrameGenerator

    @property
    def frame_size(self) -> Size:
        return to_size(self.child.frame_size)

    def start(self) -> None:
        call_once("start", (self.child,))

    def finish(self) -> None:
        call_once("finish", (self.child,))


class _RetimedFrames(Retimed[FrameGenerator], _Wrapper):
    """A generator that draws its child at another time."""

    kind = FrameGenerator

    def child_time(self, time_ms: float) -> float:
        # A generator never gets a time outside its duration, so an easing that
        # overshoots stops at the end.
        return clamp(super().child_time(time_ms), duration_of(self.child))

    def generate_at(self, time_ms: float) -> Frame:
        return self.child.generate_at(self.child_time(time_ms))

    def generate_at_pil(self, time_ms: float) -> Image:
        return self.child.generate_at_pil(self.child_time(time_ms))


class TimeRescaleFrameGenerator(AtRate[FrameGenerator], _RetimedFrames):
    """Plays `child` at `playback_rate` times the speed: 2 halves its duration."""


class TimeRescaleExactDurationFrameGenerator(ForDuration[FrameGenerator], _RetimedFrames):
    """Plays `child` in exactly `new_duration` milliseconds."""


class TimeDilateFrameGenerator(Dilated[FrameGenerator], _RetimedFrames):
    """Plays `child` with its time changed by the easing `dilator`, within its duration."""


class TimeReverseFrameGenerator(Reversed[FrameGenerator], _RetimedFrames):
    """Plays `child` backwards."""


class CroppedFrameGenerator(Cropped[FrameGenerator], _RetimedFrames):
    """Plays `child` from `crop_start` to `crop_end`, both in milliseconds of its time."""


class RescaleFrameGenerator(_Wrapper):
    """Shows a generator's frames in another size.

    Parameters
    ----------
    child
        The generator.
    new_frame_size
        ``(width, height)`` in pixels.
    resample
        One of `PIL.Image.Resampling`; None means Lanczos.

    Attributes
    ----------
    child, new_frame_size, resample
        As given.
    """

    def __init__(self, child: Any, new_frame_size: Size, resample: int | None = None) -> None:
        from PIL.Image import Resampling

        self.child = built(child, FrameGenerator)
        self.new_frame_size = to_size(new_frame_size, "new_frame_size")
        try:
            self.resample = Resampling.LANCZOS if resample is None else Resampling(resample)
        except ValueError:
            names = ", ".join(f"{kind.name} ({kind.value})" for kind in Resampling)
            raise SettingsError(f"resample must be one of {names}, got {resample!r}.") from None

    @property
    def duration(self) -> float:
        return self.child.duration

    @property
    def frame_size(self) -> Size:
        return self.new_frame_size

    def generate_at_pil(self, time_ms: float) -> Image:
        return self.child._image_at(time_ms).resize(self.new_frame_size, self.resample)


class OverlayFrameGenerator(FrameGenerator):
    """Shows one generator over another, by alpha compositing.

    Parameters
    ----------
    base
        The generator below. Its size is the size of the result.
    overlay
        The generator above. It must have the same duration, and fit at `pos`.
    pos
        Where the overlay's top left corner lies in the base, ``(x, y)`` in
        pixels from the base's top left corner.

    Attributes
    ----------
    base, overlay, pos
        As given.
    """

    def __init__(self, base: Any, overlay: Any, pos: tuple[int, int]) -> None:
        self.base = built(base, FrameGenerator)
        self.overlay = built(overlay, FrameGenerator)
        sizes = to_size(self.base.frame_size), to_size(self.overlay.frame_size)
        self.pos = _checked_pos(pos, *sizes)
        if not same_duration(duration_of(self.base), duration_of(self.overlay)):
            raise SettingsError(
                f"Base and overlay must have the same duration, got {self.base.duration!r} ms and "
                f"{self.overlay.duration!r} ms. Use time_rescale_exact or crop."
            )

    @property
    def duration(self) -> float:
        return self.base.duration

    @property
    def frame_size(self) -> Size:
        return to_size(self.base.frame_size)

    def start(self) -> None:
        call_once("start", (self.base, self.overlay))

    def generate_at_pil(self, time_ms: float) -> Image:
        # The base is copied before the overlay is drawn: they may share one canvas.
        canvas = self.base._image_at(time_ms).copy()
        overlay_ms = clamp(time_ms, self.overlay.duration)
        canvas.alpha_composite(self.overlay._image_at(overlay_ms), dest=self.pos)
        return canvas

    def finish(self) -> None:
        call_once("finish", (self.base, self.overlay))


class FluentFG(Fluent[FrameGenerator]):
    """Combines frame generators by a chain of calls that ends with `build`.

    Every argument that takes a generator also takes another chain.

    Examples
    --------
    >>> from rayanim.easing import squeeze
    >>> class Black(FrameGenerator):
    ...     duration = 60_000
    ...     frame_size = (2, 2)
    ...
    ...     def generate_at(self, time_ms):
    ...         return bytes(16)
    >>> video = (
    ...     FluentFG(Black())
    ...     .crop(15, 30, "s")
    ...     .dilate(squeeze, {"amt": 0.3})
    ...     .then(FluentFG(Black()).time_rescale(2))
    ...     .build()
    ... )
    >>> video.duration
    45000.0
    """

    kind = FrameGenerator
    at_rate = TimeRescaleFrameGenerator
    for_duration = TimeRescaleExactDurationFrameGenerator
    dilated = TimeDilateFrameGenerator
    backwards = TimeReverseFrameGenerator
    cropped = CroppedFrameGenerator
    sequence = SequenceFrameGenerator

    def frame_size(self) -> Size:
        """Size of the current result in pixels, ``(width, height)``."""
        return to_size(self.base.frame_size)

    def then(self, other: FrameGenerator | Fluent[FrameGenerator]) -> Self:
        """Play `other`, which must have the same frame size, after the current result."""
        _require_same_size(self.base, built(other, FrameGenerator))
        return super().then(other)

    def rescale(self, new_width: int, new_height: int, resample: int | None = None) -> Self:
        """Show the current result in another size.

        Parameters
        ----------
        new_width, new_height
            The size in pixels.
        resample
            One of `PIL.Image.Resampling`; None means Lanczos.
        """
        return self.apply(RescaleFrameGenerator, (new_width, new_height), resample)

    def overlay(
        self, overlay: FrameGenerator | Fluent[FrameGenerator], pos: tuple[int, int]
    ) -> Self:
        """Show `overlay` over the current result.

        Parameters
        ----------
        overlay
            The generator above. It must have the same duration, and fit at `pos`.
        pos
            Where its top left corner lies, ``(x, y)`` in pixels.
        """
        return self.apply(OverlayFrameGenerator, overlay, pos)


def _require_same_size(first: FrameGenerator, other: FrameGenerator) -> None:
    sizes = to_size(first.frame_size), to_size(other.frame_size)
    if sizes[0] != sizes[1]:
        raise SettingsError(
            f"Generators that follow each other must have one frame size, got "
            f"{sizes[0]} and {sizes[1]}. Use rescale."
        )


def _checked_pos(pos: Any, base: Size, overlay: Size) -> tuple[int, int]:
    try:
        x, y = (int(part) for part in pos if part == int(part))
    except (TypeError, ValueError, OverflowError):
        raise SettingsError(f"pos must be (x, y) in whole pixels, got {pos!r}.") from None
    if x < 0 or y < 0 or x + overlay[0] > base[0] or y + overlay[1] > base[1]:
        raise SettingsError(
            f"An overlay of {overlay[0]}x{overlay[1]} pixels (width x height) at {(x, y)} "
            f"does not fit into {base[0]}x{base[1]}."
        )
    return x, y
