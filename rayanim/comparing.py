"""Draws some frames of an animation as `Animation.save` does, and compares pixels and time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rayanim.animations import COME_ONCE, AnimationSource
from rayanim.errors import FrameError, NotPicklableError, SettingsError

if TYPE_CHECKING:
    from rayanim.engine.packing import PackedSource
    from rayanim.report import Report
    from rayanim.sources import Source

MOST_FRAMES, MOST_S = 20, 10.0
"""So many frames are compared at most, those that matplotlib draws in so many seconds, three at
least: the first one takes longer than the others."""

LEAST_FRAMES = 3


def _compared(packed: PackedSource, report: Report) -> str:
    """Compare the first frames of a source that was packed before its video was made."""
    from rayanim.engine.packing import copied
    from rayanim.report import seconds_text

    digests: list[bytes] = []
    times_s: list[float] = []
    resumed_s = began_s = time.perf_counter()

    def take(pixels: npt.NDArray[np.uint8]) -> bool:
        nonlocal resumed_s
        times_s.append(time.perf_counter() - resumed_s)
        digests.append(_digest(pixels))
        resumed_s = time.perf_counter()
        is_long = len(digests) >= LEAST_FRAMES and resumed_s - began_s > MOST_S
        return len(digests) < MOST_FRAMES and not is_long

    with copied(packed) as source:
        if isinstance(source, AnimationSource):
            source.save_as_matplotlib(take)
    if not digests:
        return f"{report.output}: not compared, for Animation.save draws no frame."
    with copied(packed) as source:
        source.open(None)
        try:
            source.measure(0, None)
            drawn = (_digest(source.draw(number, None)) for number in range(len(digests)))
            pairs = enumerate(zip(digests, drawn, strict=True))
            wrong = next((number for number, (one, other) in pairs if one != other), None)
        finally:
            source.close()
    if wrong is not None:
        raise FrameError(
            f"{report.output}: frame {wrong} is not the one that Animation.save draws. Does the "
            "script draw the same each time? Usual causes are the time of day, and numbers of a "
            "random generator without a seed. If it does, please report it; --drawing full draws "
            "each frame whole.",
            frame=wrong,
        )
    whole_s = median(times_s) * report.frames
    saved_s = whole_s - report.elapsed_s
    verdict = f"{seconds_text(saved_s)} saved" if saved_s > 0 else "no time was saved"
    return (
        f"{report.output}: Animation.save draws the same pixels in {len(digests)} of "
        f"{len(digests)} frames compared. It would draw {report.frames} frames in "
        f"{seconds_text(whole_s)} and encode them; rayanim took "
        f"{seconds_text(report.elapsed_s)} for both: {verdict}."
    )


def comparer(source: Source) -> Callable[[Report], str]:
    """What compares frames of `source` as it is now, once its video is made, and gives a text.

    Where pixels differ, it raises `FrameError`.
    """
    from rayanim.engine.packing import pack

    if not isinstance(source, AnimationSource):
        raise SettingsError(
            "--compare is for animations of matplotlib's, which Animation.save draws; "
            f"{source.name} is none. Leave --compare out."
        )
    if source.n_frames is None:
        return lambda report: f"{report.output}: not compared, for {COME_ONCE}."
    try:
        packed = pack(source)
    except NotPicklableError as error:
        reason = error.message
        return lambda report: f"{report.output}: not compared. {reason}"
    return lambda report: _compared(packed, report)


def _digest(pixels: npt.NDArray[np.uint8]) -> bytes:
    shape = str(pixels.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, key=shape).digest()
