"""Compares rayanim's H.264 with the file that matplotlib's `Animation.save` writes by default.

Six kinds of plots, 120 frames of 640x480 each. `Animation.save` leaves everything to
FFmpeg: libx264 with the preset medium and a crf of 23. For each of rayanim's own presets
the table holds its file's bytes, PSNR and processor time beside those. Both encoders get
the same planes, converted once as rayanim does (BT.709), and as many threads; the PSNR is that of
all samples of the three planes. Times are the least of three, taken by turns.

Run ``python benchmarks/codec_defaults.py``, or with ``subq=6 crf=24`` to try other options
on top of the default's.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import drawing
import numpy as np
from drawing import Update, X, drawn_frames
from matplotlib import cbook, image
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import SegmentEncoder
from rayanim.video.join import Joiner
from rayanim.video.spec import ENCODER_THREADS, OWN_PRESETS, StreamSpec

Bytes = NDArray[np.uint8]
FRAMES = 120
ROUNDS = 3
SIZE = (640, 480)
RATE = Fraction(30)


# -------------------------------------------------------------------- plots


def scatter() -> tuple[Figure, Update]:
    """400 dots of many sizes and colours that drift apart, half transparent."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.subplots()
    random = np.random.default_rng(0)
    places, speeds = random.normal(0, 1, (400, 2)), random.normal(0, 0.02, (400, 2))
    dots = axes.scatter(*places.T, c=random.random(400), s=random.uniform(5, 60, 400), alpha=0.7)
    axes.set(xlim=(-3, 3), ylim=(-3, 3), title="Particles")
    return figure, lambda n: dots.set_offsets(places + n * speeds)


def surface() -> tuple[Figure, Update]:
    """A surface in 3D, seen from a moving point."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.add_subplot(projection="3d")
    x, y = np.meshgrid(*[np.linspace(-3, 3, 40)] * 2)
    axes.plot_surface(x, y, np.sin(np.hypot(x, y)), cmap="viridis")
    return figure, lambda n: axes.view_init(30, 3 * n)


def text() -> tuple[Figure, Update]:
    """Eleven lines of numbers, of which a quarter change in each frame."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    rows = [figure.text(0.08, 0.9 - 0.08 * row, "", family="monospace") for row in range(11)]

    def update(number: int) -> None:
        for row, line in enumerate(rows):
            if number == 0 or (number + row) % 4 == 0:
                pressure, warmth = 100 * np.sin(number / 9 + row), 30 * np.cos(number / 7 + row)
                line.set_text(
                    f"step {number:4d}  station {row:2d}   {pressure:8.3f} hPa   {warmth:7.2f} C"
                )

    return figure, update


def photo() -> tuple[Figure, Update]:
    """matplotlib's own portrait, zoomed in slowly."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.subplots()
    pixels = np.asarray(image.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    height, width = pixels.shape[:2]
    axes.imshow(pixels)
    axes.set_title("Zoom")

    def update(number: int) -> None:
        half = 0.5 - 0.25 * number / FRAMES
        axes.set_xlim(width * (0.5 - half), width * (0.5 + half))
        axes.set_ylim(height * (0.45 + half), height * (0.45 - half))

    return figure, update


def line() -> tuple[Figure, Update]:
    """A wave that moves by an eighth of a radian in each frame."""
    figure, _ = drawing.wave()
    (curve,) = figure.axes[0].lines
    return figure, lambda n: curve.set_ydata(np.cos(X + n / 15))


def heat_map() -> tuple[Figure, Update]:
    """A field of waves that moves as slowly as the line."""
    figure, update = drawing.heat_map()
    return figure, lambda n: update(n / 3)


KINDS: dict[str, Callable[[], tuple[Figure, Update]]] = {
    "line": line,
    "scatter": scatter,
    "heat map": heat_map,
    "3D": surface,
    "text": text,
    "photo": photo,
}


# ----------------------------------------------------------------- encoding


@dataclass(frozen=True, slots=True)
class Result:
    """What some settings come to on one video."""

    cpu_s: float
    video_bytes: int
    psnr_db: float


def packed_frames(make: Callable[[], tuple[Figure, Update]], spec: StreamSpec) -> Bytes:
    """The frames of a plot as the encoder takes them."""
    converter = FrameConverter(spec)
    packed = np.empty((FRAMES, spec.frame_bytes), np.uint8)
    for frame, out in zip(drawn_frames(*make(), FRAMES), packed, strict=True):
        converter.convert(frame, out)
    return packed


def own_spec(preset: str | None) -> StreamSpec:
    """rayanim's settings with one of its presets; None for the default."""
    return make_spec(".mp4", VideoSettings(preset=preset), SIZE, RATE)


def with_options(spec: StreamSpec, **changes: str) -> StreamSpec:
    """`spec` with other options of the encoder."""
    return replace(spec, options=tuple({**dict(spec.options), **changes}.items()))


def encode(spec: StreamSpec, packed: Bytes, path: Path) -> float:
    """Write the video, and return the processor time of encoding it."""
    began_s = time.process_time()
    encoder = SegmentEncoder(spec)
    encoder.encode(packed)
    segment = encoder.finish()
    took_s = time.process_time() - began_s
    joiner = Joiner(spec, path)
    joiner.add(segment)
    joiner.finish()
    return took_s


def psnr_db(path: Path, packed: Bytes) -> float:
    """PSNR of all samples of the three planes, in all frames."""
    squares = 0.0
    with av.open(str(path)) as container:
        for frame, wanted in zip(container.decode(video=0), packed, strict=True):
            off = frame.to_ndarray().reshape(-1).astype(np.int32) - wanted
            squares += float(np.square(off).sum())
    return 10 * float(np.log10(255**2 / max(squares / packed.size, 1e-3)))


def compare(packed: Bytes, specs: dict[str, StreamSpec]) -> dict[str, Result]:
    """A result for each of the settings."""
    least_s = dict.fromkeys(specs, float("inf"))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, spec in specs.items():
                path = Path(folder) / f"{name}.mp4"
                least_s[name] = min(least_s[name], encode(spec, packed, path))
        for name in specs:
            path = Path(folder) / f"{name}.mp4"
            found[name] = Result(least_s[name], path.stat().st_size, psnr_db(path, packed))
    return found


def main() -> None:
    """Print a line for each kind of plot and each of the settings."""
    changes = dict(argument.split("=", 1) for argument in sys.argv[1:])
    default = own_spec(None)
    # FFmpeg's own defaults: what `Animation.save` gets.
    saved = replace(default, options=(("threads", str(ENCODER_THREADS)),))
    specs = {"Animation.save": saved} | {preset: own_spec(preset) for preset in OWN_PRESETS}
    if changes:
        specs[" ".join(sys.argv[1:])] = with_options(default, **changes)
    print(f"{'':10}{'':32}{'bytes':>8}{'dB':>8}{'time':>8}")
    for kind, make in KINDS.items():
        results = compare(packed_frames(make, default), specs)
        reference = results.pop("Animation.save")
        print(
            f"{kind:10}{'Animation.save':32}{reference.video_bytes:8}{reference.psnr_db:8.1f}"
            f"{1e3 * reference.cpu_s / FRAMES:5.1f} ms",
            flush=True,
        )
        for name, result in results.items():
            print(
                f"{'':10}{name:32}{result.video_bytes / reference.video_bytes:8.2f}"
                f"{result.psnr_db - reference.psnr_db:+8.2f}{result.cpu_s / reference.cpu_s:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
