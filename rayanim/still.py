"""Draws one frame of a plan into an image file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.errors import OutputError, SettingsError
from rayanim.report import Report
from rayanim.request import Plan

if TYPE_CHECKING:
    from rayanim.feed import Batch

IMAGE_CODEC = "png"


def draw_still(plan: Plan, number: int) -> Report:
    """Draw frame `number` as the film would show it, before conversion.

    Parameters
    ----------
    plan
        The film; its target names the image.
    number
        The frame's number.

    Raises
    ------
    SettingsError
        If the film has no such frame.
    OutputError
        If Pillow knows no format for the target's suffix.
    ScriptError
        If the user's code fails.
    """
    from rayanim.farm.randomness import kept_randomness, seed_for
    from rayanim.farm.render import draw_frame, measure_source, open_source

    began_s = time.perf_counter()
    frame = _frame(plan, number)
    params = None if frame.params is None else frame.params[0]
    seed = plan.request.seed
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            geometry = measure_source(plan.source, seed, number, params)
            seed_for(seed, number)
            pixels = draw_frame(plan.source, number, params, geometry.size)
            _save(pixels, plan.target)
        finally:
            plan.source.close()
    return Report(
        output=plan.target,
        frames=1,
        elapsed_s=time.perf_counter() - began_s,
        size=geometry.size,
        rate=plan.rate,
        codec=IMAGE_CODEC,
        pixel_format="rgba",
        file_bytes=plan.target.stat().st_size,
        rendered=False,
    )


def _frame(plan: Plan, number: int) -> Batch:
    """Frame `number` of the feed; those before it are passed over, never drawn."""
    while len(batch := plan.feed.take(1)):
        if batch.numbers[0] == number:
            return batch
    raise SettingsError(f"There is no frame {number}. {_there_is(plan)}")


def _there_is(plan: Plan) -> str:
    total = plan.feed.n_frames
    return "" if total is None else f"The film has frames 0 to {total - 1}."


def _save(pixels: object, path: Path) -> None:
    from PIL import Image

    try:
        Image.fromarray(pixels).save(path)  # type: ignore[arg-type]
    except (ValueError, KeyError) as error:
        raise OutputError(
            f"{path.suffix!r} is no image format that Pillow writes with transparency; use .png."
        ) from error
    except OSError as error:
        raise OutputError(f"{str(path)!r} cannot be written: {error}.") from error
