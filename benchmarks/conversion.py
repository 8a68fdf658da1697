"""Prints what converting a frame costs, whole and where little of it changed.

Run ``python benchmarks/conversion.py``. Every way converts the same frames by turns,
so that a busy machine slows all alike; processor times are compared, and
"reformat" is one call of PyAV with a kept reformatter: pixels in, FFmpeg's frame out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from drawing import drawn_frames, grid, heat_map, wave
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.spec import StreamSpec

Convert = Callable[[np.ndarray, np.ndarray], None]
FRAMES = 40
AREA = 0x20


def large_wave() -> tuple[Figure, Callable[[int], None]]:
    """1920x1080, one line."""
    figure, update = wave()
    figure.set_size_inches(19.2, 10.8)
    return figure, update


def clear_wave() -> tuple[Figure, Callable[[int], None]]:
    """1920x1080, one line on a transparent figure."""
    figure, update = large_wave()
    figure.set_facecolor("none")
    figure.axes[0].set_facecolor((1, 1, 1, 0.5))
    return figure, update


CASES = (wave, heat_map, large_wave, grid, clear_wave)


def frames(make: Callable[[], tuple[Figure, Callable[[int], None]]]) -> list[np.ndarray]:
    """The frames of a figure, each (height, width, 4) uint8 RGBA."""
    return drawn_frames(*make(), FRAMES)


def plain(spec: StreamSpec) -> Convert:
    """PyAV's own conversion, its result left in FFmpeg's memory."""
    reformatter = VideoReformatter()

    def convert(rgba: np.ndarray, _out: np.ndarray) -> None:
        frame = av.VideoFrame.from_numpy_buffer(rgba, format="rgba")
        reformatter.reformat(frame, *spec.size, spec.pixel_format, interpolation=AREA)

    return convert


def whole(spec: StreamSpec) -> Convert:
    """Every frame in full, as if it were the first."""
    converter = FrameConverter(spec)
    converter._partial = None
    return converter.convert


def partial(spec: StreamSpec) -> Convert:
    """As videos are converted."""
    return FrameConverter(spec).convert


def measure(drawn: list[np.ndarray], ways: list[Convert], frame_bytes: int) -> list[float]:
    """Median milliseconds of processor time of a frame, for each way."""
    out = np.empty(frame_bytes, np.uint8)
    times_ms: list[list[float]] = [[] for _ in ways]
    # Drawn into the same memory, frame after frame, as a canvas does.
    rgba = np.empty_like(drawn[0])
    for pixels in drawn:
        np.copyto(rgba, pixels)
        for way, taken_ms in zip(ways, times_ms, strict=True):
            start_s = time.process_time()
            way(rgba, out)
            taken_ms.append((time.process_time() - start_s) * 1e3)
    return [float(np.median(taken_ms[1:])) for taken_ms in times_ms]


def main() -> None:
    """Print a line per case."""
    for make in CASES:
        drawn = frames(make)
        height, width = drawn[0].shape[:2]
        spec = make_spec(".mp4", VideoSettings(), (width, height), Fraction(30))
        ways = [make_way(spec) for make_way in (plain, whole, partial)]
        plain_ms, whole_ms, partial_ms = measure(drawn, ways, spec.frame_bytes)
        print(
            f"{make.__name__:11} {width}x{height:<5} reformat {plain_ms:5.2f} ms  "
            f"whole {whole_ms:5.2f} ms  partial {partial_ms:5.2f} ms  "
            f"{whole_ms / partial_ms:4.1f} times as quick"
        )


if __name__ == "__main__":
    main()
