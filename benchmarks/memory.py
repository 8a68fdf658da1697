"""Shows that no process needs more memory for a long video than for a short one.

    python benchmarks/memory.py                     # 2,000 against 100,000 frames
    python benchmarks/memory.py 2000 20000 --engine ray
    python benchmarks/memory.py --generator         # a FuncAnimation whose frames come from one

Each video is made by a process of its own. What is compared is the largest
resident size that each process of the job had, as the report gives it, and the
driver's as the system gives it. Pages of Ray's object store count for all who
have touched them; its size is the same for every video.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

import rayanim

SIZE = (64, 48)
ALLOWED = 1.2
"""The long video's peak in terms of the short one's, at most."""


def frame(number: int) -> np.ndarray:
    """(48, 64, 4) uint8 RGBA: a bar that moves, so that packets are small but not empty."""
    pixels = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    left = number % (SIZE[0] - 8)
    pixels[8:40, left : left + 8, :3] = number % 251
    return pixels


def animation(frames: int) -> FuncAnimation:
    """A line that moves; its frames come from a generator, which ends by itself."""
    figure = Figure(figsize=(0.64, 0.48), dpi=100)
    [line] = figure.add_axes((0, 0, 1, 1)).plot([0, 1])

    def numbers() -> Iterator[int]:
        yield from range(frames)

    def update(number: int) -> list[Any]:
        line.set_ydata([number % 251 / 251, 0.5])
        return [line]

    return FuncAnimation(figure, update, numbers, cache_frame_data=False)


def measure_here(frames: int, arguments: argparse.Namespace) -> dict[str, int]:
    """Make a video in this process; peak resident bytes by process."""
    source: Any = animation(frames) if arguments.generator else frame
    with tempfile.TemporaryDirectory() as folder:
        report = rayanim.produce(
            source,
            30,
            outfile=Path(folder) / "video.mp4",
            n_frames=None if arguments.generator else frames,
            engine=arguments.engine,
            transport=arguments.transport,
            workers=arguments.workers,
            preset="ultrafast",
            progress=False,
            cache=False,
        )
    if report.frames != frames:
        raise RuntimeError(f"{report.frames} frames in place of {frames}")
    peaks = dict(report.peak_rss_bytes)
    peaks["driver, by the system"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return peaks


def measure(frames: int, arguments: argparse.Namespace) -> dict[str, int]:
    """The same in a process of its own."""
    options = ["--engine", arguments.engine, "--transport", arguments.transport]
    command = [sys.executable, __file__, str(frames), "--here", *options]
    command += ["--workers", str(arguments.workers)]
    command += ["--generator"] if arguments.generator else []
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(told.splitlines()[-1]))


def main() -> None:
    """Measure, print, and exit with 1 where something grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", nargs="*", type=int, default=[2_000, 100_000])
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--transport", choices=("auto", "segments", "frames"), default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--generator", action="store_true", help="an animation of matplotlib's, drawn in process"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generator:
        arguments.engine = "local"
    if arguments.here:
        print(json.dumps(measure_here(arguments.frames[0], arguments)))
        return
    short, long = sorted(arguments.frames)
    few, many = measure(short, arguments), measure(long, arguments)
    print(f"{'process':24}{short:>12,}{long:>12,} frames, peak in MiB, ratio")
    for name in sorted(few):
        ratio = many[name] / few[name]
        told = f"{few[name] / 2**20:12.1f}{many[name] / 2**20:12.1f}{ratio:8.2f}"
        print(f"{name:24}{told}{'' if ratio <= ALLOWED else '  GROWS'}")
    if any(many[name] > ALLOWED * few[name] for name in few):
        sys.exit(1)


if __name__ == "__main__":
    main()
