"""One frame of a video as an image, as the video shows it before conversion."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.errors import NotPicklableError, OutputError, ParametersError, SettingsError
from rayanim.parameters import Batch, ParameterFeed
from rayanim.report import Report, size_text
from rayanim.settings import VideoSettings

if TYPE_CHECKING:
    from rayanim.render import PlannedVideo
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


def draw_still(plan: PlannedVideo, number: int) -> Report:
    """Draw frame `number` as the video would show it, before conversion."""
    began_s = time.perf_counter()
    plan.target.check(overwrite=plan.settings.overwrite)
    params = _params(plan, number)
    pixels, geometry = _drawn(plan, params, number)
    codec, mode, file_bytes = _save(pixels, plan.target, plan.settings.background_rgb())
    return StillReport(
        number=number,
        output=plan.target.address,
        frames=1,
        elapsed_s=time.perf_counter() - began_s,
        size=geometry.size,
        rate=plan.settings.fps,
        codec=codec.lower(),
        pixel_format=mode.lower(),
        file_bytes=file_bytes,
        rendered=False,
    )


def _params(plan: PlannedVideo, number: int) -> dict[int, Any]:
    """Parameters by frame number: of frame `number`, and of the one that is measured."""
    params: dict[int, Any] = {}
    while number not in params:
        batch = _next(plan, number)
        if not params or batch.numbers[0] == number:
            params[batch.numbers[0]] = None if batch.params is None else batch.params[0]
    return params


def _next(plan: PlannedVideo, number: int) -> Batch:
    """One frame of the feed; nothing beyond frame `number` is taken from the user's iterable."""
    try:
        batch = plan.feed.take(1).kept()
    except ParametersError as error:
        if error.traceback_text is not None or error.frame != number:
            raise
        batch = Batch((), None)
    if not len(batch):
        raise SettingsError(f"There is no frame {number}: {plan.feed.name} ended before it.")
    return batch


def _drawn(plan: PlannedVideo, params: dict[int, Any], number: int) -> tuple[Pixels, Geometry]:
    from rayanim.engine.draw import draw_frame, measure_source, open_source
    from rayanim.randomness import kept_randomness, seed_for

    seed, first = plan.settings.seed, min(params)
    source = _in_sequence(plan)
    find_jump = _jump_finder(plan, source, number)
    with kept_randomness():
        open_source(source, seed, None)
        try:
            geometry = measure_source(source, seed, first, params[first])
            find_jump(geometry)
            seed_for(seed, number)
            # Copied: the canvas that it is a view of ends with the source.
            return draw_frame(source, number, params[number], geometry.size).copy(), geometry
        finally:
            source.close()


def _in_sequence(plan: PlannedVideo) -> Source:
    """The source, which draws a frame in the state that a serial run would have."""
    from rayanim.sources import SequentialSource, only_forward

    settings, source = plan.settings, plan.source
    if settings.sequential or settings.independent or source.stays is not None:
        return source
    by_number = None
    if plan.params is not None:
        by_number = dict(ParameterFeed(plan.params).take(sys.maxsize).frames())
    return SequentialSource(source, settings.seed, by_number, only_forward)


def _jump_finder(plan: PlannedVideo, source: Source, number: int) -> Callable[[Geometry], None]:
    """Before `source` is opened: what finds whether it may skip costly updates, once it is."""
    from rayanim.engine.draw import TESTED_FRAMES, ChunkRenderer, OrderTest, find_jump
    from rayanim.engine.packing import copied, pack
    from rayanim.sources import SequentialSource
    from rayanim.video.codecs import make_spec

    if not isinstance(source, SequentialSource) or plan.settings.sequential:
        return lambda geometry: None
    if len(source.skipped(number)) <= TESTED_FRAMES:
        return lambda geometry: None
    try:
        packed = pack(plan.source)
    except NotPicklableError:
        return lambda geometry: None

    def find(geometry: Geometry) -> None:
        settings = VideoSettings(odd_size="scale", codec="ffv1")
        spec = make_spec(".mkv", settings, geometry.size, plan.settings.fps)
        renderer = ChunkRenderer(source, spec, plan.settings)
        test = OrderTest(spec, plan.settings)
        find_jump(source, number, renderer, test, copied(packed), geometry)

    return find


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
