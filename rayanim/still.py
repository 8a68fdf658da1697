"""Draws one frame of a plan into an image file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.errors import OutputError, ParametersError, SettingsError
from rayanim.feed import Batch
from rayanim.report import Report
from rayanim.request import Plan
from rayanim.target import check_target, part_of

if TYPE_CHECKING:
    from rayanim.source import Geometry, Pixels

IMAGE_PIXELS = "rgba"


def check_image_suffix(suffix: str) -> str:
    """Pillow's name for the image format of `suffix`, ``.png`` say.

    Raises
    ------
    OutputError
        If Pillow has none, or writes it without transparency.
    """
    from PIL import Image

    name = Image.registered_extensions().get(suffix.lower())
    if name is not None and name in Image.SAVE:
        try:
            Image.new("RGBA", (1, 1)).save(io.BytesIO(), format=name)
            return name
        except (OSError, ValueError, KeyError):  # its way of saying: no alpha
            pass
    raise OutputError(
        f"{suffix!r} is no image format that Pillow writes with transparency: "
        "name the still .png, .webp or .tiff."
    )


def draw_still(plan: Plan, number: int) -> Report:
    """Draw frame `number` as the film would show it, before conversion.

    Parameters
    ----------
    plan
        The film; its target names the image, its feed holds frame `number`.
    number
        The frame's number.

    Raises
    ------
    SettingsError
        If the film has no such frame.
    OutputError
        If the target cannot be written.
    ScriptError
        If the user's code fails.
    """
    began_s = time.perf_counter()
    check_target(plan.target, overwrite=plan.request.overwrite)
    params = _params(plan, number)
    pixels, geometry = _drawn(plan, params, number)
    return Report(
        output=plan.target,
        frames=1,
        elapsed_s=time.perf_counter() - began_s,
        size=geometry.size,
        rate=plan.rate,
        codec=_save(pixels, plan.target).lower(),
        pixel_format=IMAGE_PIXELS,
        file_bytes=plan.target.stat().st_size,
        rendered=False,
    )


def _params(plan: Plan, number: int) -> dict[int, Any]:
    """Parameters by frame number: of frame `number`, and of the one that is measured."""
    params: dict[int, Any] = {}
    while number not in params:
        batch = _next(plan, number)
        params[batch.numbers[0]] = None if batch.params is None else batch.params[0]
    return params


def _next(plan: Plan, number: int) -> Batch:
    """One frame of the feed; nothing beyond frame `number` is taken from the user's iterable."""
    try:
        batch = plan.feed.take(1)
    except ParametersError as error:
        if error.traceback_text is not None or error.frame != number:
            raise
        batch = Batch((), None)
    if not len(batch):
        raise SettingsError(f"There is no frame {number}: param_by_frame ended before it.")
    return batch


def _drawn(plan: Plan, params: dict[int, Any], number: int) -> tuple[Pixels, Geometry]:
    from rayanim.farm.randomness import kept_randomness, seed_for
    from rayanim.farm.render import draw_frame, measure_source, open_source

    seed, first = plan.request.seed, min(params)
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            geometry = measure_source(plan.source, seed, first, params[first])
            seed_for(seed, number)
            # Copied: the canvas that it is a view of ends with the source.
            return draw_frame(plan.source, number, params[number], geometry.size).copy(), geometry
        finally:
            plan.source.close()


def _save(pixels: Pixels, path: Path) -> str:
    """Write the image whole or not at all; the format's name."""
    from PIL import Image

    name = check_image_suffix(path.suffix)
    image = Image.fromarray(pixels)
    with part_of(path) as part:
        _written(lambda: image.save(part, format=name), path)
    return name


def _written(save: Callable[[], None], path: Path) -> None:
    try:
        save()
    except (OSError, ValueError) as error:
        raise OutputError(f"{str(path)!r} cannot be written: {error}.") from error
