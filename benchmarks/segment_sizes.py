"""What cutting a video into segments costs: size and quality against one encoder.

Each video is encoded twice with the same settings: by one `VideoEncoder` with the
codec's own distance of keyframes, and in segments of the lengths that
`segment_lengths` gives, joined. Both are decoded and compared with what was
drawn. Nothing here depends on how fast the machine is, except `--cost`.

Run it as ``python benchmarks/segment_sizes.py [--quick] [--cost]``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder, VideoEncoder
from rayanim.video.join import Joiner
from rayanim.video.spec import StreamSpec

SIZE = (320, 240)
RATE = Fraction(30)
TARGETS = {"h264": ".mp4", "h265": ".mp4", "vp9": ".webm", "av1": ".mp4"}
LONGEST = 250
SHORTEST = 8
MOST_FOR_SHORT_VIDEOS = 16

Pixels = NDArray[np.uint8]


def segment_lengths(n_frames: int, shortest: int, longest: int) -> list[int]:
    """Frames of each segment: up to 16 of about `shortest`, or as few as `longest` allows."""
    count = max(-(-n_frames // longest), min(MOST_FOR_SHORT_VIDEOS, -(-n_frames // shortest)))
    ends = [n_frames * index // count for index in range(count + 1)]
    return [stop - start for start, stop in itertools.pairwise(ends)]


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


def busy(frame: Pixels, index: int) -> None:
    """A line moves quickly under dots that jump."""
    draw_wave(frame, index / 5)
    draw_dots(frame, index)


CONTENTS: tuple[Callable[[Pixels, int], None], ...] = (still, slow, busy)


class Drawing:
    """Packed frames of one content, drawn when they are asked for."""

    def __init__(self, spec: StreamSpec, content: Callable[[Pixels, int], None]) -> None:
        self._background = axes_picture(spec.source_size)
        self._content = content
        self._converter = FrameConverter(spec)
        self._frame_bytes = spec.frame_bytes

    def frames(self, start: int, stop: int) -> Pixels:
        """``(stop - start, frame_bytes) uint8``."""
        payload = np.empty((stop - start, self._frame_bytes), np.uint8)
        for index, out in zip(range(start, stop), payload, strict=True):
            frame = self._background.copy()
            self._content(frame, index)
            self._converter.convert(frame, out)
        return payload


# ------------------------------------------------------------- the two ways


def write_both(spec: StreamSpec, drawing: Drawing, lengths: list[int], folder: Path) -> None:
    """Write ``one`` and ``joined`` into `folder`, drawing each frame once."""
    one, joiner = VideoEncoder(spec, folder / "one"), Joiner(spec, folder / "joined")
    start = 0
    for length in lengths:
        payload = drawing.frames(start, start + length)
        one.encode(payload)
        joiner.add(encoded(spec, payload))
        start += length
    one.finish()
    joiner.finish()


def encoded(spec: StreamSpec, payload: Pixels) -> EncodedSegment:
    """The frames as one segment."""
    encoder = SegmentEncoder(spec)
    encoder.encode(payload)
    return encoder.finish()


def shown(path: Path) -> Iterator[tuple[Fraction, Pixels]]:
    """When each frame is shown, in seconds, and its luma."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            yield frame.pts * frame.time_base, rows[:, : plane.width]


@dataclass(frozen=True)
class Quality:
    """Luma PSNR of a video's frames in dB, and whether all are there at their times."""

    mean_db: float
    worst_db: float
    is_exact: bool


def quality_of(path: Path, drawing: Drawing, n_frames: int) -> Quality:
    """Compare a video with what was drawn."""
    psnr_db, is_exact = [], True
    for index, (time_s, luma) in enumerate(shown(path)):
        drawn = drawing.frames(index, index + 1)[0, : luma.size].reshape(luma.shape)
        error = np.mean((luma.astype(float) - drawn) ** 2)
        psnr_db.append(10 * np.log10(255**2 / max(error, 1e-3)))
        # Half a millisecond is what Matroska's times can be off.
        is_exact &= abs(time_s - index / RATE) <= Fraction(1, 2000)
    return Quality(float(np.mean(psnr_db)), min(psnr_db), is_exact and len(psnr_db) == n_frames)


def compare(codec: str, content: Callable[[Pixels, int], None], lengths: list[int]) -> str:
    """One line of the table."""
    spec = make_spec(TARGETS[codec], VideoSettings(codec=codec), SIZE, RATE)
    drawing = Drawing(spec, content)
    n_frames = sum(lengths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_both(spec, drawing, lengths, folder)
        one_bytes, joined_bytes = ((folder / each).stat().st_size for each in ("one", "joined"))
        one, joined = (quality_of(folder / each, drawing, n_frames) for each in ("one", "joined"))
    exact = "yes" if one.is_exact and joined.is_exact else "NO"
    return (
        f"{codec:5} {content.__name__:5} {n_frames:6} {len(lengths):8} {one_bytes:10} "
        f"{joined_bytes / one_bytes:7.3f}  {one.mean_db:6.2f} {joined.mean_db:6.2f}  "
        f"{one.worst_db:6.2f} {joined.worst_db:6.2f}  {exact}"
    )


def print_sizes(codecs: list[str], video_frames: list[int], shortest: int, longest: int) -> None:
    """Print a line for each video."""
    print(
        f"{'codec':5} {'video':5} {'frames':>6} {'segments':>8} {'one, bytes':>10} {'joined':>7}  "
        "one, joined: mean dB  one, joined: worst dB  exact"
    )
    for codec, n_frames, content in itertools.product(codecs, video_frames, CONTENTS):
        print(compare(codec, content, segment_lengths(n_frames, shortest, longest)), flush=True)


# --------------------------------------------------------------------- cost


def cpu_s(spec: StreamSpec, payload: Pixels, length: int) -> float:
    """Processor time of encoding `payload` in segments of `length` frames, per frame."""
    begin = time.process_time()
    for start in range(0, len(payload), length):
        encoded(spec, payload[start : start + length])
    return (time.process_time() - begin) / len(payload)


def print_cost(codecs: list[str]) -> None:
    """Print the processor time per frame of short segments, relative to one of 120 frames."""
    print(f"\n{'codec':5} {'size':>9} {'8 frames':>9} {'20 frames':>10}  (120 frames: 1)")
    for codec, size in itertools.product(codecs, ((640, 480), (1920, 1080))):
        spec = make_spec(TARGETS[codec], VideoSettings(codec=codec), size, RATE)
        payload = Drawing(spec, slow).frames(0, 120)
        lengths = (8, 20, 120)
        best = [min(cpu_s(spec, payload, length) for _ in range(2)) for length in lengths]
        short, middle, _long = (seconds / best[-1] for seconds in best)
        print(f"{codec:5} {size[0]:4}x{size[1]:<4} {short:9.2f} {middle:10.2f}", flush=True)


def main() -> None:
    """Parse the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="H.264 only, up to 600 frames")
    parser.add_argument("--codec", action="append", choices=TARGETS, help="may be given again")
    parser.add_argument("--frames", action="append", type=int, help="may be given again")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="frames in a segment")
    parser.add_argument("--longest", type=int, default=LONGEST, help="frames in a segment")
    parser.add_argument("--cost", action="store_true", help="what short segments cost instead")
    arguments = parser.parse_args()
    codecs = arguments.codec or (["h264"] if arguments.quick else list(TARGETS))
    if arguments.cost:
        print_cost(codecs)
        return
    frames = arguments.frames or ([60, 600] if arguments.quick else [60, 600, 6000])
    print_sizes(codecs, frames, arguments.shortest, arguments.longest)


if __name__ == "__main__":
    main()
