"""Compares rayanim's x264 settings with presets, on several kinds of plots.

Run ``python benchmarks/x264_settings.py``, or with ``subq=2 motion-est=hex`` to try other
options on top of rayanim's. For each it prints processor time, bytes and luma PSNR beside
those of the preset medium at a crf of 18, one thread each; times are the least of three,
taken by turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import drawing
import drawings
import numpy as np
from drawing import Update, drawn_frames
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder
from rayanim.video.spec import StreamSpec

Bytes = NDArray[np.uint8]
FRAMES = 120


@dataclass(frozen=True, slots=True)
class Result:
    """What some settings come to on one video."""

    frame_ms: float
    video_bytes: int
    psnr_db: float
    worst_db: float


def square() -> list[Bytes]:
    """A red square by Pillow, 640x480."""
    return [np.asarray(drawings.image_of_square(n / 3000)) for n in range(FRAMES)]


def kept(kind: type[drawings.Drawing], n_frames: int) -> Callable[[], list[Bytes]]:
    """The first frames of a video of `drawings`, as if it had `n_frames`."""

    def frames() -> list[Bytes]:
        scene = kind()
        figure = scene.setup()
        return drawn_frames(figure, lambda number: scene.update(number, number / n_frames), FRAMES)

    return frames


def plot(make: Callable[[], tuple[Figure, Update]]) -> Callable[[], list[Bytes]]:
    """The frames of a figure of `drawing`."""
    return lambda: drawn_frames(*make(), FRAMES)


CASES: dict[str, Callable[[], list[Bytes]]] = {
    "square": square,
    "slow wave": kept(drawings.Wave, 1000),
    "wave": kept(drawings.Wave, 300),
    "panels": kept(drawings.Panels, 300),
    "sweep": kept(drawings.Sweep, 1000),
    "heat map": plot(drawing.heat_map),
    "grid": plot(drawing.grid),
    "scatter": plot(drawing.scatter),
}


def converted(frames: list[Bytes]) -> tuple[StreamSpec, Bytes]:
    """rayanim's specification, and the frames as the encoder takes them."""
    height, width = frames[0].shape[:2]
    spec = make_spec(".mp4", VideoSettings(), (width, height), Fraction(50))
    converter = FrameConverter(spec)
    packed = np.empty((len(frames), spec.frame_bytes), np.uint8)
    for frame, out in zip(frames, packed, strict=True):
        converter.convert(frame, out)
    return spec, packed


def with_options(spec: StreamSpec, **changes: str) -> StreamSpec:
    """`spec` with other options of the encoder."""
    return replace(spec, options=tuple({**dict(spec.options), **changes}.items()))


def by_preset(spec: StreamSpec, preset: str, crf: str) -> StreamSpec:
    """`spec` with x264's own options of a preset."""
    video = {"threads": "1", "preset": preset, "crf": crf}
    return replace(spec, options=tuple(video.items()))


def encoded(spec: StreamSpec, packed: Bytes) -> tuple[float, EncodedSegment]:
    """Processor milliseconds for a frame, and the segment."""
    began = time.thread_time()
    encoder = SegmentEncoder(spec)
    encoder.encode(packed)
    segment = encoder.finish()
    return (time.thread_time() - began) / len(packed) * 1e3, segment


def quality(spec: StreamSpec, segment: EncodedSegment, packed: Bytes) -> tuple[float, float]:
    """Luma PSNR in dB of all frames together and of the worst one."""
    context = av.CodecContext.create("h264", "r")
    context.extradata = segment.header
    frames = [
        frame for packet in segment.packets for frame in context.decode(av.Packet(packet.data))
    ]
    frames += context.decode(None)
    width, height = spec.size
    errors = []
    for frame, wanted in zip(frames, packed, strict=True):
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
        off = luma.astype(np.int16) - wanted[: width * height].reshape(height, width)
        errors.append(max(float(np.square(off).mean()), 1e-3))
    return tuple(10 * np.log10(255**2 / error) for error in (np.mean(errors), max(errors)))


def compare(frames: list[Bytes], changes: dict[str, str]) -> dict[str, Result]:
    """Results by the settings' name, the reference first."""
    spec, packed = converted(frames)
    specs = {
        "medium, crf 18": by_preset(spec, "medium", "18"),
        "slow, crf 20": by_preset(spec, "slow", "20"),
        "veryfast, crf 20": by_preset(spec, "veryfast", "20"),
        "rayanim": spec,
    }
    if changes:
        specs[" ".join(f"{name}={value}" for name, value in changes.items())] = with_options(
            spec, **changes
        )
    least = dict.fromkeys(specs, float("inf"))
    segments = {}
    for _ in range(3):
        for name, wanted in specs.items():
            took_ms, segments[name] = encoded(wanted, packed)
            least[name] = min(least[name], took_ms)
    return {
        name: Result(least[name], segment.data_bytes, *quality(specs[name], segment, packed))
        for name, segment in segments.items()
    }


def main() -> None:
    """Print a table for each kind of plot, and one of all."""
    changes = dict(text.split("=", 1) for text in sys.argv[1:])
    shares: dict[str, list[tuple[float, float, float, float]]] = {}
    print(f"{'':34}{'time':>8}{'bytes':>8}{'dB':>8}{'worst':>8}")
    for case, frames in CASES.items():
        results = compare(frames(), changes)
        reference = next(iter(results.values()))
        print(f"{case}: {reference.frame_ms:.2f} ms, {reference.psnr_db:.1f} dB")
        for name, result in results.items():
            share = (
                result.frame_ms / reference.frame_ms,
                result.video_bytes / reference.video_bytes,
                result.psnr_db - reference.psnr_db,
                result.worst_db - reference.worst_db,
            )
            shares.setdefault(name, []).append(share)
            print_row(name, share)
    print("all: geometric means of time and bytes, medians of dB")
    for name, rows in shares.items():
        times, sizes, levels, worsts = zip(*rows, strict=True)
        means = [float(np.exp(np.log(values).mean())) for values in (times, sizes)]
        print_row(name, (*means, float(np.median(levels)), float(np.median(worsts))))


def print_row(name: str, share: tuple[float, float, float, float]) -> None:
    """One line of a table."""
    print(f"  {name:32}{share[0]:8.2f}{share[1]:8.2f}{share[2]:+8.1f}{share[3]:+8.1f}")


if __name__ == "__main__":
    main()
