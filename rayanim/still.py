"""Draws one frame of a video into an image, before it is converted to the video's colours."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.animations import AnimationSource
from rayanim.errors import NotPicklableError, OutputError, ParametersError, SettingsError
from rayanim.figure.draw_stats import uncounted
from rayanim.parameters import Batch, ParameterFeed
from rayanim.progress.base import size_text
from rayanim.report import Report
from rayanim.settings import VideoSettings

if TYPE_CHECKING:
    from rayanim.engine.packing import PackedSource
    from rayanim.planning import PlannedVideo
    from rayanim.sources import Geometry, Pixels, Source
    from rayanim.storage.output import Target

VECTOR_SUFFIXES = (".pdf", ".svg", ".svgz", ".eps", ".ps")

MODES = ("RGBA", "RGB")
"""Pillow's names for the pixels of an image, the better ones first."""


@dataclass(slots=True, kw_only=True, repr=False)
class StillReport(Report):
    """The report of one frame that was drawn into an image."""

    number: int

    def summary(self) -> str:
        """One line."""
        width, height = self.size
        return (
            f"{self.output}: frame {self.number} in {width}x{height}, "
            f"{self.codec} {self.pixel_format}, {size_text(self.file_bytes)}"
        )

    __str__ = summary

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.output}: frame {self.number}>"

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with the number."""
        return {**Report.to_dict(self), "number": self.number}


def check_image_suffix(suffix: str) -> tuple[str, str]:
    """Pillow's names for the image format of a suffix, and for the pixels that it takes."""
    from PIL import Image

    if suffix.lower() in VECTOR_SUFFIXES:
        # Pillow would put an image into some of them, which is not what anybody wants.
        raise OutputError(
            f"A still is an image of pixels, and {suffix!r} is a vector format: name it .png. "
            f"fig.savefig('figure{suffix}') in the script writes the figure as vectors."
        )
    name = Image.registered_extensions().get(suffix.lower())
    if name is not None and name in Image.SAVE:
        for mode in MODES:
            # The only way to ask; a refusal may have any of these types.
            with contextlib.suppress(OSError, ValueError, KeyError):
                Image.new(mode, (1, 1)).save(io.BytesIO(), format=name)
                return name, mode
    raise OutputError(
        f"{suffix!r} is no image format that Pillow writes: name the still .png, .webp, .tiff "
        "or .gif, or .jpg, which has no transparency."
    )


LONG_REPLAY_S = 1.0
"""Where all updates of a video take longer, frames are tested: can they do without those between?
Somebody looks at one frame after another, and waits for each."""


def draw_still(plan: PlannedVideo, number: int) -> Report:
    """Draw frame `number` as the video would show it, before conversion."""
    from rayanim.randomness import kept_randomness

    began_s = time.perf_counter()
    plan.target.check(overwrite=plan.settings.overwrite)
    with kept_randomness(), contextlib.closing(FrameDrawer(plan)) as drawer:
        if not drawer.has(number):
            raise SettingsError(f"There is no frame {number}: {plan.feed.name} ended before it.")
        # Copied: the canvas that it is a view of ends with the source.
        pixels = drawer.draw(number).copy()
    codec, mode, file_bytes = _save(pixels, plan.target, plan.settings.background_rgb())
    return StillReport(
        number=number,
        output=plan.target.address,
        frames=1,
        elapsed_s=time.perf_counter() - began_s,
        size=(pixels.shape[1], pixels.shape[0]),
        rate=plan.settings.fps,
        codec=codec.lower(),
        pixel_format=mode.lower(),
        file_bytes=file_bytes,
        rendered=False,
    )


class FrameDrawer:
    """Draws frames of a planned video, each in the state that a serial run would have.

    With `in_any_order` more than one can be drawn, and as far as `goes_back` says also those
    before the last one.
    """

    def __init__(self, plan: PlannedVideo, *, in_any_order: bool = False) -> None:
        self._plan = plan
        self._params: dict[int, Any] = {}
        self.geometry: Geometry | None = None
        """What the first frame settled, once one was drawn."""
        self._drawn = -1
        self._packed: PackedSource | None = None
        self._is_tested = plan.settings.sequential or isinstance(plan.source, AnimationSource)
        comes_once = plan.source.stays is not None or (
            plan.params is not None and plan.feed.again() is None
        )
        self._passes = in_any_order and comes_once
        self.numbers: Sequence[int] | None = None
        """The numbers of all frames; None where only drawing shows them."""
        if in_any_order and not comes_once:
            self._pack()
            batch = plan.feed.take(sys.maxsize)
            self.numbers, self._params = batch.numbers, dict(batch.frames())
        self.latest = -1
        """The number of the last frame that came, where they come one after another."""
        self._source = self._in_sequence()
        is_free = plan.settings.independent and not isinstance(plan.source, AnimationSource)
        self.goes_back = in_any_order and not comes_once and (is_free or self._packed is not None)
        """Whether a frame can be drawn after a later one."""

    def has(self, number: int) -> bool:
        """Whether there is a frame `number`. Frames that come once are passed on the way."""
        while number not in self._params:
            if self.numbers is not None:
                return False
            if self._passes:
                self._pass()
            batch = self._next(number)
            if not len(batch):
                return False
            self.latest = batch.numbers[0]
            # Kept of those before: the first one, which is measured.
            if not self._params or batch.numbers[0] == number:
                self._params.update(batch.frames())
        return True

    def params_of(self, number: int) -> Any:
        """The parameters of a frame that there is."""
        return self._params[number]

    def draw(self, number: int) -> Pixels:
        """Frame `number`, which there is; valid until the next call."""
        from rayanim.engine.draw import draw_frame
        from rayanim.randomness import seed_for

        with uncounted():
            geometry = self._open(number)
        seed_for(self._plan.settings.seed, number)
        self._drawn = number
        return draw_frame(self._source, number, self._params[number], geometry.size)

    def close(self) -> None:
        """Release what was opened."""
        if self.geometry is not None:
            self._source.close()

    def _next(self, number: int) -> Batch:
        """One frame of the feed: nothing beyond frame `number` is taken from the iterable."""
        try:
            return self._plan.feed.take(1).kept()
        except ParametersError as error:
            if error.traceback_text is not None or error.frame != number:
                raise
            return Batch((), None)

    def _pass(self) -> None:
        """Reach the state after the frame that came last, unless it was drawn."""
        from rayanim.randomness import seed_for
        from rayanim.sources import naming_frame

        settings = self._plan.settings
        with uncounted():
            for number, params in self._params.items():
                if self.geometry is None:
                    # As a serial run does: what drawing it leaves behind counts.
                    self.draw(number)
                elif number > self._drawn and not settings.independent:
                    seed_for(settings.seed, number)
                    with naming_frame(self._source, number):
                        self._source.advance(number, params)
        self._params.clear()

    def _pack(self) -> None:
        from rayanim.engine.packing import pack

        with contextlib.suppress(NotPicklableError):
            self._packed = pack(self._plan.source)

    def _open(self, number: int) -> Geometry:
        """Before frame `number`: open the source, and find whether it may skip costly updates."""
        from rayanim.engine.draw import TESTED_FRAMES, measure_source, open_source
        from rayanim.engine.packing import unpickled
        from rayanim.sources import SequentialSource

        if isinstance(self._source, AnimationSource) and number <= self._drawn and self._packed:
            # Also for the same one: a layout may go on from where the last draw left it.
            self._source.close()
            self._source, self.geometry = unpickled(self._packed), None
        source, seed = self._source, self._plan.settings.seed
        skips = isinstance(source, SequentialSource) and len(source.skipped(number)) > TESTED_FRAMES
        if skips and not self._is_tested and self._packed is None and self.geometry is None:
            self._pack()
        if self.geometry is None:
            first = next(iter(self._params))
            if isinstance(source, AnimationSource):
                first = number  # it knows itself what comes before
            open_source(source, seed, None)
            try:
                self.geometry = measure_source(source, seed, first, self._params[first])
            except BaseException:
                source.close()
                raise
        if skips and not self._is_tested and self._packed is not None:
            self._is_tested = True
            self._find_jump(number, self._packed, self.geometry)
        return self.geometry

    def _find_jump(self, number: int, packed: PackedSource, geometry: Geometry) -> None:
        from rayanim.engine.draw import ChunkRenderer, OrderTest, find_jump
        from rayanim.engine.packing import copied
        from rayanim.sources import SequentialSource
        from rayanim.video.codecs import make_spec

        plan, source = self._plan, self._source
        if isinstance(source, SequentialSource):
            settings = VideoSettings(odd_size="scale", codec="ffv1")
            spec = make_spec(".mkv", settings, geometry.size, plan.settings.fps)
            renderer = ChunkRenderer(source, spec, plan.settings)
            test = OrderTest(spec, plan.settings)
            costly_s = math.inf if self.numbers is None else LONG_REPLAY_S / len(self.numbers)
            find_jump(source, number, renderer, test, copied(packed), geometry, costly_s)

    def _in_sequence(self) -> Source:
        """The source, which draws a frame in the state that a serial run would have."""
        from rayanim.engine.packing import unpickled
        from rayanim.engine.snapshots import Snapshots
        from rayanim.sources import SequentialSource, only_forward

        plan, settings, packed = self._plan, self._plan.settings, self._packed
        source, by_number = plan.source, None
        is_animation = isinstance(source, AnimationSource)
        if is_animation and packed is not None:
            source = unpickled(packed)
        if is_animation and (packed is None or settings.independent):
            return source
        if self._passes or settings.independent or source.stays is not None:
            return source
        if isinstance(source, SequentialSource):
            source = source.inner
        if plan.params is not None:
            by_number = dict(ParameterFeed(plan.params).take(sys.maxsize).frames())
        if packed is None:
            return SequentialSource(source, settings.seed, by_number, only_forward)
        again = functools.partial(_again, packed)
        # An animation goes on with the random numbers that it had.
        is_known = is_animation or settings.seed is not None
        snapshots = Snapshots(by_number) if is_known else None
        return SequentialSource(source, settings.seed, by_number, again, snapshots=snapshots)


def _again(packed: PackedSource) -> Source:
    """The source as it was before its first frame."""
    from rayanim.engine.packing import restore_variables, unpickled
    from rayanim.sources import SequentialSource

    restore_variables(packed)
    source = unpickled(packed)
    return source.inner if isinstance(source, SequentialSource) else source


def _save(pixels: Pixels, target: Target, background: tuple[int, int, int]) -> tuple[str, str, int]:
    """Write the image whole or not at all; the format's name, its pixels' mode, and its bytes."""
    from PIL import Image

    name, mode = check_image_suffix(target.address.suffix)
    image = Image.fromarray(pixels)
    if mode == "RGB":
        behind = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(behind, image).convert(mode)
    with target.claimed(), target.part() as part:
        try:
            image.save(part, format=name)
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(target.address)!r} cannot be written: {error}.") from error
        file_bytes = part.stat().st_size
    return name, mode, file_bytes
