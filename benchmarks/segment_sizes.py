"""What cutting a video into segments costs: its size against one continuous encode.

Each video is encoded twice with the same settings and from the same arrays: by one
`VideoEncoder`, and in segments of the lengths that the plan gives, joined. The larger
of the two may be larger by 2 % at most. The files depend on the codecs alone, not on
how fast the machine is.

Run it as ``python benchmarks/segment_sizes.py``; with ``--quick`` it takes 60, 300 and
600 frames.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import SegmentEncoder, VideoEncoder
from rayanim.video.join import Joiner
from rayanim.video.spec import StreamSpec, gop_frames, segment_lengths

SIZE = (320, 240)
RATE = Fraction(30)
TARGETS = {"h264": ".mp4", "h265": ".mp4", "vp9": ".webm", "av1": ".mp4"}
FRAMES = (60, 120, 300, 600, 3000)
QUICK_FRAMES = (60, 300, 600)
MOST_LARGER = 1.02
BATCH = 50
"""Frames that are in memory at once."""

Pixels = NDArray[np.uint8]
Content = Callable[[Pixels, int], None]


# ------------------------------------------------------------------ content


def axes_picture(size: tuple[int, int]) -> Pixels:
    """Empty axes with ticks and a title."""
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(-1.5, 1.5), title="A wave")
    axes.grid(visible=True)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def draw_wave(frame: Pixels, phase: float) -> None:
    """Lay a smooth blue line, two pixels wide, over `frame`."""
    height, width = frame.shape[:2]
    x = np.arange(width)
    middle = height * (0.5 - 0.25 * np.sin(x / width * 4 * np.pi + phase))
    distance = np.abs(np.arange(height)[:, None] - middle)
    cover = np.clip(2 - distance, 0, 1)[..., None]
    blue = np.array([31, 119, 180])
    frame[..., :3] = (frame[..., :3] * (1 - cover) + blue * cover).astype(np.uint8)


def draw_dots(frame: Pixels, index: int) -> None:
    """Lay 300 red dots of 3x3 pixels over `frame`, elsewhere in every frame."""
    height, width = frame.shape[:2]
    random = np.random.default_rng(index)
    rows, columns = random.integers(1, height - 1, 300), random.integers(1, width - 1, 300)
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        frame[rows + down, columns + right, :3] = (214, 39, 40)


def still(frame: Pixels, index: int) -> None:
    """Nothing ever changes."""
    draw_wave(frame, 0)


def slow(frame: Pixels, index: int) -> None:
    """A line moves by a third of a pixel in each frame."""
    draw_wave(frame, index / 75)


def image(frame: Pixels, index: int) -> None:
    """A smooth image changes everywhere."""
    height, width = frame.shape[:2]
    steps = np.linspace(-3, 3, height)[:, None] * np.linspace(-3, 3, width)
    wave = 127.5 + 127.5 * np.sin(steps + index / 15)
    frame[..., 0], frame[..., 1], frame[..., 2] = wave, 255 - wave, 128


def busy(frame: Pixels, index: int) -> None:
    """A line moves quickly under dots that jump."""
    draw_wave(frame, index / 5)
    draw_dots(frame, index)


CONTENTS: tuple[Content, ...] = (still, slow, image, busy)


class Drawing:
    """Packed frames of one content, drawn when they are asked for."""

    def __init__(self, spec: StreamSpec, content: Content) -> None:
        self._background = axes_picture(spec.source_size)
        self._content = content
        self._converter = FrameConverter(spec)
        self._frame_bytes = spec.frame_bytes

    def frames(self, start: int, stop: int) -> Pixels:
        """``(stop - start, frame_bytes) uint8``."""
        packed = np.empty((stop - start, self._frame_bytes), np.uint8)
        for index, out in zip(range(start, stop), packed, strict=True):
            frame = self._background.copy()
            self._content(frame, index)
            self._converter.convert(frame, out)
        return packed


# ----------------------------------------------------------------- the table


def sizes(spec: StreamSpec, drawing: Drawing, lengths: list[int]) -> tuple[int, int]:
    """Bytes of the video from one encoder, and of that joined from segments."""
    with tempfile.TemporaryDirectory() as name:
        one, joiner = VideoEncoder(spec, Path(name) / "one"), Joiner(spec, Path(name) / "joined")
        start = 0
        for length in lengths:
            segment = SegmentEncoder(spec)
            stop = start + length
            for first in range(start, stop, BATCH):
                packed = drawing.frames(first, min(stop, first + BATCH))
                one.encode(packed)
                segment.encode(packed)
            joiner.add(segment.finish())
            start = stop
        return one.finish(), joiner.finish()


def main() -> int:
    """Print a line for each video; 1 if one of them is too large."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FRAMES} frames")
    parser.add_argument("--codec", action="append", choices=TARGETS, help="may be given again")
    parser.add_argument("--frames", action="append", type=int, help="may be given again")
    arguments = parser.parse_args()
    frames = arguments.frames or (QUICK_FRAMES if arguments.quick else FRAMES)
    print(f"{'codec':5} {'video':5} {'frames':>6} {'segments':>8} {'one, bytes':>10} {'joined':>7}")
    is_large = False
    for codec, content, n in itertools.product(arguments.codec or TARGETS, CONTENTS, frames):
        spec = make_spec(TARGETS[codec], VideoSettings(codec=codec), SIZE, RATE)
        lengths = list(segment_lengths(n, gop_frames(spec)))
        one_bytes, joined_bytes = sizes(spec, Drawing(spec, content), lengths)
        ratio = joined_bytes / one_bytes
        is_large |= ratio > MOST_LARGER
        print(
            f"{codec:5} {content.__name__:5} {n:6} {len(lengths):8} {one_bytes:10} {ratio:7.3f}"
            f"{'  LARGER' if ratio > MOST_LARGER else ''}",
            flush=True,
        )
    return int(is_large)


if __name__ == "__main__":
    sys.exit(main())
